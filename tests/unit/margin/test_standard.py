"""The standard mode: each position by itself."""

import itertools
import random

import msgspec
import pytest
from tests.margin_world import (
    WBTC,
    WETH,
    account,
    floats,
    instruments,
    market,
    marks_book,
    option,
    order,
    perpetual,
)

from exchange.fixed import CASH_SCALE, QUANTITY_SCALE, RATIO_SCALE
from exchange.margin.reference import evaluate_standard
from exchange.margin.scenarios import load_standard
from exchange.margin.standard import StandardAccount, unit_requirements

CALL, PUT = option(110_000, "C"), option(90_000, "P")


def standard(positions=None, cash=0, marks=None):
    found = StandardAccount(7, marks or marks_book())
    found.add_cash(round(cash * CASH_SCALE))
    for instrument_id, contracts in (positions or {}).items():
        found.apply_fill(instrument_id, round(contracts * QUANTITY_SCALE))
    return found


@pytest.mark.parametrize(
    ("instrument_id", "initial"),
    [
        (option(100_000, "C"), 15_000),  # at the money
        (option(60_000, "C"), 15_000),  # in the money
        (option(110_000, "C"), 10_000),  # 10 % out: 5 % is below the floor
        (option(110_000, "P"), 15_000),
        (option(90_000, "P"), 10_000),
    ],
)
def test_a_short_option_needs_its_mark_and_a_share_of_the_index(instrument_id, initial):
    found = standard({instrument_id: -1.0}, cash=50_000)
    mark = found._marks.mark_price(instrument_id)
    assert found.initial_excess() == (50_000 - initial) * CASH_SCALE - mark
    assert found.maintenance_excess() == (50_000 - 7_500) * CASH_SCALE - mark


def test_out_of_the_money_less_than_the_floor_counts_in_full():
    """At 4 % out of the money 11 % remain."""
    marks = marks_book()
    row = marks.row(option(100_000, "C"))
    lower = msgspec.structs.replace(marks.underlying_risk(1), index_price=96_000 * CASH_SCALE)
    marks._underlyings[1] = lower
    expected = (96_000 * 15 // 100 - 4_000) * CASH_SCALE
    assert unit_requirements(marks, row)[0] == expected * 10**18


def test_long_options_are_paid_for_and_count_nothing():
    found = standard({CALL: 2.0}, cash=5)
    assert found.initial_excess() == found.maintenance_excess() == 5 * CASH_SCALE
    assert found.equity() > 5 * CASH_SCALE
    assert found.initial_margin() == found.mark_value()


def test_a_perpetual_needs_a_tenth():
    found = standard({perpetual(): -1.0}, cash=200_000)
    value = 100_050
    assert found.initial_excess() == (200_000 - value - 10_000) * CASH_SCALE
    assert found.maintenance_excess() == (200_000 - value - 6_500) * CASH_SCALE


def test_nothing_offsets():
    spread = standard({CALL: -1.0, option(120_000, "C"): 1.0}, cash=50_000)
    assert spread.initial_excess() == standard({CALL: -1.0}, cash=50_000).initial_excess()


@pytest.mark.parametrize("changes", [{}, {"stablecoin": 0.9}, {"confidence": 0.5}], ids=str)
def test_integers_follow_the_float_reference(changes):
    rng = random.Random(4)
    for _ in range(50):
        chosen = rng.sample(instruments(), rng.randint(1, 20))
        positions = {one: rng.randint(-100, 100) / 10 for one in chosen}
        found = standard(positions, cash=10_000, marks=marks_book(**changes))
        for asset_id in rng.sample((WETH, WBTC), rng.randint(0, 2)):
            found.add_collateral(asset_id, rng.randint(1, 10**12))
        expected = evaluate_standard(load_standard(), market(**changes), floats(found))
        contracts = sum(map(abs, found.positions.values())) / QUANTITY_SCALE
        for name in ("initial_excess", "maintenance_excess"):
            difference = getattr(found, name)() - getattr(expected, name) * CASH_SCALE
            assert abs(difference) <= contracts + 2 + 4 * len(found.collateral)


def test_no_subset_of_fills_leaves_less_than_promised():
    rng = random.Random(8)
    marks = marks_book()
    for _ in range(60):
        positions = {one: rng.randint(-20, 20) / 10 for one in rng.sample(instruments(), 5)}
        orders = []
        for one in rng.sample(instruments(), 4):
            fair = marks.mark_price(one) / CASH_SCALE
            orders.append(
                order(one, rng.choice((-2, 0.5)), max(0.01, fair * rng.uniform(0.5, 1.5)))
            )
        found = standard(positions, cash=10_000, marks=marks)
        for order_id, one in enumerate(orders):
            expected = found.initial_excess_with(one)
            found.place_order(order_id, one)
            assert found.initial_excess() == expected
        found.check()
        for count in range(len(orders) + 1):
            for subset in itertools.combinations(orders, count):
                filled = standard(positions, cash=10_000, marks=marks)
                for one in subset:
                    filled.apply_fill(one.instrument_id, one.sign * one.quantity)
                    filled.add_cash(-one.sign * one.limit_price * one.quantity // QUANTITY_SCALE)
                    filled.add_cash(-(one.max_fee * one.quantity // QUANTITY_SCALE))
                assert filled.initial_excess() >= found.initial_excess()
        for order_id in range(len(orders)):
            found.remove_order(order_id)
        assert found.initial_excess() == standard(positions, 10_000, marks).initial_excess()


def test_closing_reduces_risk():
    found = standard({CALL: -2.0}, cash=0)
    mark = found._marks.mark_price(CALL) / CASH_SCALE
    assert found.risk_reducing(order(CALL, 1, mark))
    assert not found.risk_reducing(order(CALL, 1, mark + 20_000))


def test_tokens_count_what_their_worst_scenario_and_haircuts_leave():
    """10 WETH at 3,500: 18 % and 2 + 3 % less; for maintenance 0.8 of the shock and 2 %."""
    found = standard({CALL: -1.0}, cash=0)
    alone = found.initial_excess(), found.maintenance_excess()
    found.add_collateral(WETH, 10 * 10**8)
    assert found.initial_excess() == alone[0] + (35_000 - 6_300 - 700 - 1_050) * CASH_SCALE
    assert found.maintenance_excess() == alone[1] + (35_000 - 5_040 - 700) * CASH_SCALE
    found.check()


def test_all_that_a_standard_account_needs_is_an_addon():
    """Short options and perpetuals by their rates; a long option needs what it is worth."""
    found = standard({CALL: -1.0, perpetual(): 1.0}, cash=50_000)
    assert found.group_results() == {}
    assert found.addons() == (20_000 * CASH_SCALE, 14_000 * CASH_SCALE)
    found.apply_fill(PUT, QUANTITY_SCALE)
    value = found._marks.mark_price(PUT)
    assert found.addons() == (20_000 * CASH_SCALE + value, 14_000 * CASH_SCALE + value)


def test_relief_is_the_maintenance_of_what_a_trade_closes():
    """7.5 % of the index for a short option, 6.5 % for a perpetual, less what opens anew."""
    found = standard({CALL: -2.0, perpetual(): 1.0}, cash=50_000)

    def relief(instrument_id, contracts):
        row = found._marks.row(instrument_id)
        return found.relief(row, contracts * QUANTITY_SCALE) // (
            QUANTITY_SCALE * RATIO_SCALE * CASH_SCALE
        )

    assert relief(CALL, 1) == 7_500
    assert relief(CALL, 3) == 7_500
    assert relief(CALL, 5) == -7_500
    assert relief(CALL, -1) == -7_500
    assert relief(perpetual(), -1) == 6_500
    assert relief(PUT, 1) == -7_500


def test_state_says_how_an_account_is_margined():
    found = standard({CALL: 1.0}, cash=5)
    assert found.state() == (*account({CALL: 1.0}, cash=5).state(), "standard")
