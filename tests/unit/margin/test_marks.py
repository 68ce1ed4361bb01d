"""The risk arrays in force."""

import msgspec
import pytest
from tests.margin_world import (
    collaterals,
    instruments,
    marks_book,
    option,
    perpetual,
    preset,
    update,
)
from tests.venue import configuration

from exchange.fixed import QUANTITY_SCALE, RATIO_SCALE
from exchange.margin.marks import PRICE_MAX, UNIT_SCALE, MarksBook
from exchange.margin.portfolio import Portfolio
from exchange.margin.scenarios import margin_parameters
from exchange.model import Leg, combo_number

CALL = option(100_000, "C")
COMBO = combo_number(1)


def empty():
    return MarksBook(margin_parameters(preset()))


def replace(**changes):
    return msgspec.structs.replace(update(), **changes)


def test_an_epoch_answers_for_each_instrument():
    marks = marks_book()
    assert marks.epoch == 1
    assert marks.root == update().root
    assert all(marks.has(instrument_id) for instrument_id in instruments())
    assert not marks.has(CALL + 2)
    assert list(marks.rows()) == sorted(instruments())
    assert marks.mark_price(CALL) > 0
    assert 500_000 < marks.mark_iv(CALL) < 700_000
    assert 400_000 < marks.delta(CALL) < 600_000
    assert marks.vega(CALL) > 0
    assert marks.delta(perpetual()) == 1_000_000
    assert marks.mark_iv(perpetual()) == marks.vega(perpetual()) == 0


def test_index_samples_are_apart_from_the_index_of_the_epoch():
    marks = marks_book()
    assert (marks.index_price(1), marks.confidence(1)) == (0, 0)
    marks.set_index(1, 123, 456)
    assert (marks.index_price(1), marks.confidence(1)) == (123, 456)
    assert marks.underlying_risk(1).index_price == 100_000_000_000


def test_well_formed_updates_are_accepted():
    assert empty().accepts(update())
    assert empty().accepts(replace(instrument_ids=(), rows=b""))


def wrong():
    good = update()
    width = len(good.rows) // len(good.instrument_ids)
    backwards = good.instrument_ids[1::-1]
    twice = good.instrument_ids[:1] * 2
    swapped = msgspec.structs.replace(good.expiries[0], discount_short=0)
    negative = msgspec.structs.replace(good.expiries[0], discount_long=-1)
    huge = (PRICE_MAX + 1).to_bytes(8, "little") + good.rows[8:]
    below = (-1).to_bytes(8, "little", signed=True) + good.rows[8:]
    return {
        "short root": {"root": bytes(31)},
        "half a row": {"rows": good.rows[:-8]},
        "ids not ascending": {"instrument_ids": backwards, "rows": good.rows[: 2 * width]},
        "an id twice": {"instrument_ids": twice, "rows": good.rows[: 2 * width]},
        "credit for a box": {"expiries": (swapped, *good.expiries[1:])},
        "negative discount": {"expiries": (negative, *good.expiries[1:])},
        "no expiry row": {"expiries": good.expiries[1:]},
        "no underlying row": {"underlyings": good.underlyings[1:]},
        "huge price": {"rows": huge},
        "negative price": {"rows": below},
    }


@pytest.mark.parametrize("case", wrong())
def test_malformed_updates_are_not_accepted(case):
    assert not empty().accepts(replace(**wrong()[case]))


def test_dropped_instruments_are_gone():
    marks = marks_book()
    marks.drop([CALL, CALL])
    assert not marks.has(CALL)


def test_parameters_with_other_scenarios_fit_only_an_empty_book():
    other = margin_parameters(preset("pm35"))
    assert empty().can_configure(other)
    assert not marks_book().can_configure(other)
    assert marks_book().can_configure(margin_parameters(preset()))
    marks = empty()
    marks.configure(other)
    marks.update(update(1, "pm35"))
    assert len(marks.row(CALL).shocked) == 35


def test_unit_effects_are_forgotten_with_the_parameters_that_made_them():
    marks = marks_book()
    row = marks.row(CALL)
    before = marks.unit(row, -1).effects, marks.unit(row, -1).addon
    assert marks.unit(row, -1).effects is before[0]
    assert len(before[0]) == 34
    assert marks.unit(row, 1).addon == 0
    doubled = msgspec.structs.replace(marks.parameters, initial_factor=2 * RATIO_SCALE)
    marks.configure(doubled)
    assert marks.unit(row, -1).effects != before[0]


def test_state_tells_epochs_and_samples_apart():
    one, other = marks_book(), marks_book()
    assert one.state() == other.state()
    one.set_index(1, 5, 5)
    assert one.state() != other.state()


def test_state_knows_open_interest_and_funding():
    one, other = marks_book(), marks_book()
    one.update(update(2), {1: 5})
    other.update(update(2), {1: 6})
    assert one.state() != other.state()
    one.update(update(3))
    other.update(update(3))
    assert one.state() == other.state()
    one.set_funding(perpetual(), 10_000)
    assert one.state() != other.state()


def test_the_generation_grows_with_whatever_margin_follows():
    marks = marks_book()
    seen = [marks.generation]
    marks.configure(marks.parameters)
    seen.append(marks.generation)
    marks.set_collaterals(())
    seen.append(marks.generation)
    marks.update(update(2))
    seen.append(marks.generation)
    assert seen == [seen[0], seen[0] + 1, seen[0] + 2, seen[0] + 3]


def test_a_book_under_other_parameters_knows_all_that_this_one_knows():
    """Rows in force or others, tokens, combos, funding and open interest; and it is apart."""
    marks = marks_book()
    marks.update(update(2), {1: 7})
    marks.set_funding(perpetual(), 10_000)
    marks.add_package(COMBO, (Leg(CALL, 1), Leg(perpetual(), -1)))
    terms = marks.parameters
    harsher = msgspec.structs.replace(terms, initial_factor=2 * RATIO_SCALE)
    wanted = configuration(margin=harsher, collaterals=collaterals())
    same, other = marks.under(wanted, None), marks.under(wanted, update(3, move=1.1))
    assert (same.epoch, other.epoch) == (2, 3)
    assert same.parameters is other.parameters is harsher
    assert same.state() == marks.state()
    assert same.collaterals == marks.collaterals
    assert same.mark_price(COMBO) == marks.mark_price(COMBO) != other.mark_price(COMBO)
    same.drop_package(COMBO)
    same.set_funding(perpetual(), 0)
    assert marks.has(COMBO)
    assert marks.funding_index(perpetual()) == 10_000
    assert empty().under(wanted, None).epoch == 0


@pytest.mark.parametrize("instrument_id", [CALL, CALL + 1, perpetual()])
@pytest.mark.parametrize("sign", [1, -1])
def test_effects_of_one_contract_are_what_a_portfolio_of_it_loses(instrument_id, sign):
    """In 1e-4 micro-USDC, the basis last; where the smile tilts, the worse of both discounts."""
    marks = marks_book()
    portfolio = Portfolio(marks)
    portfolio.change(instrument_id, sign * QUANTITY_SCALE)
    unit = marks.unit(marks.row(instrument_id), sign)
    (results,) = portfolio.group_results().values()
    assert len(unit.effects) == len(results) == 34
    assert unit.low == min(unit.effects)
    for at, (effect, result) in enumerate(zip(unit.effects, results, strict=True)):
        if at in marks.skew_scenarios:
            assert effect // UNIT_SCALE <= result
        else:
            assert effect // UNIT_SCALE == result


def test_a_book_begins_empty():
    assert empty().row_bytes == b""
    assert empty().in_force is None
    assert (empty().epoch, empty().instrument_ids, empty().rows()) == (0, (), {})
    assert empty().index_price(1) == empty().funding_index(perpetual()) == 0
