"""A combo's order needs the margin of its legs together, and no more."""

import msgspec
import pytest
from tests.margin_world import (
    EXPIRIES,
    account,
    marks_book,
    option,
    order,
    perpetual,
    preset,
    update,
)

from exchange.fixed import CASH_SCALE, QUANTITY_SCALE, RATIO_SCALE
from exchange.margin.marks import MarksBook
from exchange.margin.scenarios import margin_parameters
from exchange.model import Leg, combo_number

NEAR, FAR = EXPIRIES[:2]
LOW, HIGH = option(100_000, "C"), option(110_000, "C")
SPREAD, STRADDLE, BOX, CALENDAR, HEDGED = map(combo_number, range(1, 6))
LEGS = {
    SPREAD: {LOW: 1, HIGH: -1},
    STRADDLE: {LOW: 1, option(100_000, "P"): 1},
    BOX: {LOW: 1, option(100_000, "P"): -1, HIGH: -1, option(110_000, "P"): 1},
    CALENDAR: {option(100_000, "C", NEAR): 1, option(100_000, "C", FAR): -1},
    HEDGED: {LOW: 2, perpetual(): -1},
}


def world(**changes):
    marks = marks_book(**changes)
    for number, legs in LEGS.items():
        marks.add_package(number, tuple(Leg(*leg) for leg in sorted(legs.items())))
    return marks


def need(marks, number, contracts, cash=1_000_000):
    """What an order at the mark takes from the excess of an account without positions."""
    price = marks.mark_price(number) // 10_000 * 10_000 / CASH_SCALE
    found = account(cash=cash, marks=marks)
    return found.initial_excess() - found.initial_excess_with(order(number, contracts, price, 0))


@pytest.mark.parametrize("number", LEGS)
@pytest.mark.parametrize("contracts", [1.0, -1.0, 7.3])
@pytest.mark.parametrize("confidence", [1.0, 0.5])
def test_an_order_at_the_mark_needs_what_its_fill_will_need(number, contracts, confidence):
    """To a few micro-USDC, skew apart: the package alone is the whole portfolio."""
    given = margin_parameters(preset())
    weights = tuple(
        0 if skew else weight for weight, skew in zip(given.weights, given.absolute, strict=True)
    )
    plain = msgspec.structs.replace(given, weights=weights)
    marks = world(parameters=plain, confidence=confidence)
    price = marks.mark_price(number) // 10_000 * 10_000 / CASH_SCALE
    one = order(number, contracts, price, 0)
    found = account(cash=1_000_000, marks=marks)
    promised = found.initial_excess_with(one)
    for instrument_id, ratio in LEGS[number].items():
        found.apply_fill(instrument_id, one.sign * ratio * one.quantity)
    found.add_cash(-one.sign * one.limit_price * one.quantity // QUANTITY_SCALE)
    assert 0 <= found.initial_excess() - promised < 20


def test_a_spread_needs_its_width_at_most_and_far_less_than_its_legs():
    marks = world()
    short = need(marks, SPREAD, -1.0)
    legs = account(cash=1_000_000, marks=marks)
    before = legs.initial_excess()
    for order_id, (instrument_id, sign) in enumerate(((LOW, -1.0), (HIGH, 1.0))):
        price = marks.mark_price(instrument_id) // 10_000 * 10_000 / CASH_SCALE
        legs.place_order(order_id, order(instrument_id, sign, price, 0))
    assert 0 < short < 10_000 * CASH_SCALE
    assert short * 2 < before - legs.initial_excess()


def test_a_box_has_no_naked_option_and_a_straddle_has_two():
    marks = world()
    box = marks.order_row(BOX)
    straddle = marks.order_row(STRADDLE)
    assert marks.unit(box, 1).addon == marks.unit(box, -1).addon == 0
    assert marks.unit(straddle, 1).addon == 0
    assert marks.unit(straddle, -1).addon == 2 * marks.unit(marks.row(LOW), -1).addon


def test_a_package_is_marked_by_its_legs_and_follows_them():
    marks = world()
    assert marks.mark_price(SPREAD) == marks.mark_price(LOW) - marks.mark_price(HIGH)
    assert marks.delta(SPREAD) == marks.delta(LOW) - marks.delta(HIGH)
    assert marks.vega(STRADDLE) == 2 * marks.vega(LOW)
    assert marks.mark_iv(SPREAD) == 0
    before = marks.mark_price(SPREAD)
    marks.update(update(2, move=1.1))
    assert marks.mark_price(SPREAD) == marks.mark_price(LOW) - marks.mark_price(HIGH) != before


def test_a_package_has_a_row_while_all_its_legs_have_one():
    marks = MarksBook(world().parameters)
    marks.add_package(SPREAD, (Leg(LOW, 1), Leg(HIGH, -1)))
    assert not marks.has(SPREAD)
    marks.update(update())
    assert marks.has(SPREAD)
    marks.drop([HIGH])
    assert not marks.has(SPREAD)
    marks.drop_package(SPREAD)
    assert not marks.has(SPREAD)


def test_new_parameters_change_what_a_package_needs():
    marks = world()
    row = marks.order_row(SPREAD)
    before = marks.unit(row, -1).effects
    marks.configure(msgspec.structs.replace(marks.parameters, initial_factor=2 * RATIO_SCALE))
    after = marks.unit(marks.order_row(SPREAD), -1).effects
    assert min(after) < 3 * min(before) // 2
