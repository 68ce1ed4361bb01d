"""The margin state of one subaccount: cash, positions, orders."""

import msgspec
import pytest
from tests.margin_world import (
    WETH,
    account,
    marks_book,
    option,
    order,
    perpetual,
    preset,
    update,
)

from exchange.fixed import CASH_SCALE, RATIO_SCALE
from exchange.margin.account import MarginAccount
from exchange.margin.linear import LinearPosition
from exchange.margin.marks import MarksBook
from exchange.margin.scenarios import margin_parameters

CALL, PUT = option(110_000, "C"), option(90_000, "P")


def test_cash_alone_is_all_excess():
    found = account(cash=100)
    assert (
        found.equity() == found.initial_excess() == found.maintenance_excess() == 100 * CASH_SCALE
    )
    assert found.initial_margin() == found.maintenance_margin() == 0


def test_a_fill_and_its_opposite_leave_nothing():
    found = account({CALL: 1.0}, cash=5)
    found.initial_excess()
    found.apply_fill(CALL, -10_000)
    assert found.positions == {}
    assert found.initial_excess() == 5 * CASH_SCALE
    found.check()


def test_a_short_option_needs_more_initial_than_maintenance_margin():
    found = account({CALL: -1.0}, cash=20_000)
    assert found.initial_margin() > found.maintenance_margin() > 0
    assert found.equity() == found.cash + found.mark_value() < found.cash


def test_placing_then_removing_an_order_changes_nothing():
    found = account({CALL: -1.0, PUT: 2.0}, cash=20_000)
    before = found.initial_excess(), found.state()
    found.place_order(1, order(PUT, -3, 2000))
    assert found.initial_excess() < before[0]
    found.check()
    found.remove_order(1)
    assert (found.initial_excess(), found.state()) == before
    found.check()


def test_orders_before_any_position_count_too():
    found = account(cash=20_000)
    expected = found.initial_excess_with(order(CALL, -1, 3000))
    found.place_order(1, order(CALL, -1, 3000))
    assert found.initial_excess() == expected < 20_000 * CASH_SCALE
    found.place_order(2, order(option(4000, "P", underlying_id=2), -1, 100))
    found.check()


def test_reducing_an_order_to_nothing_removes_it():
    found = account(cash=20_000)
    found.place_order(1, order(CALL, -2, 3000))
    found.reduce_order(1, 5_000)
    assert found.orders[1].quantity == 5_000
    found.check()
    found.reduce_order(1, 0)
    assert found.orders == {}
    assert found.initial_excess() == 20_000 * CASH_SCALE


def test_an_order_at_a_generous_price_costs_nothing():
    """Buying far below the mark gains at once more than any scenario takes."""
    found = account(cash=0)
    assert found.initial_excess_with(order(option(60_000, "C"), 1, 1, max_fee=0)) == 0


def test_an_expired_instrument_leaves_with_its_quantity():
    found = account({CALL: -1.5, PUT: 1.0}, cash=100)
    assert found.expire(CALL, 2 * CASH_SCALE) == (-15_000, -3 * CASH_SCALE)
    assert found.expire(CALL, 2 * CASH_SCALE) == (0, 0)
    assert found.cash == 97 * CASH_SCALE
    assert found.position(CALL) == 0
    assert found.position(PUT) == 10_000
    found.check()


def test_new_marks_are_noticed_without_being_told():
    marks = marks_book()
    found = account({CALL: -1.0}, cash=50_000, marks=marks)
    found.place_order(1, order(PUT, -1, 2000))
    before = found.initial_excess(), found.maintenance_excess(), found.mark_value()
    marks.update(update(2, move=1.1))
    after = found.initial_excess(), found.maintenance_excess(), found.mark_value()
    assert all(new < old for new, old in zip(after, before, strict=True))
    found.check()
    found.remove_order(1)
    marks.update(update(3))
    found.place_order(1, order(PUT, -1, 2000))
    assert (found.initial_excess(), found.maintenance_excess(), found.mark_value()) == before


def test_an_order_may_go_before_anybody_asked_under_new_marks():
    marks = marks_book()
    found = account({CALL: -1.0}, cash=50_000, marks=marks)
    before = found.initial_excess(), found.state()
    found.place_order(1, order(PUT, -1, 2_000))
    found.place_order(2, order(CALL, -1, 3_000))
    marks.update(update(2))
    found.remove_order(1)
    found.reduce_order(2, 0)
    assert (found.initial_excess(), found.state()) == before
    found.check()


def test_a_depeg_raises_the_initial_requirement_of_positions_and_orders():
    """At 0.90 the worst scenario counts 1.36 times; maintenance does not move."""
    calm = account({CALL: -1.0}, cash=50_000)
    broken = account({CALL: -1.0}, cash=50_000, marks=marks_book(stablecoin=0.90))
    addons = 500 * CASH_SCALE
    calm_worst = calm.initial_margin() - addons
    assert broken.initial_margin() - addons == pytest.approx(1.36 * calm_worst, rel=1e-9)
    assert broken.maintenance_excess() == calm.maintenance_excess()
    sell = order(CALL, -1, 2000)
    cost = broken.initial_excess() - broken.initial_excess_with(sell)
    assert cost > calm.initial_excess() - calm.initial_excess_with(sell)
    broken.place_order(1, sell)
    broken.check()


def test_low_confidence_adds_to_net_short_expiries_and_perpetuals():
    positions = {CALL: -2.0, PUT: 1.0, perpetual(): 0.5}
    sure = account(positions, cash=200_000)
    unsure = account(positions, cash=200_000, marks=marks_book(confidence=0.5))
    extra = sure.initial_excess() - unsure.initial_excess()
    assert extra == round((1 * 100_000 + 0.5 * 100_050) * 0.5 * CASH_SCALE)
    assert sure.maintenance_excess() == unsure.maintenance_excess()
    unsure.place_order(1, order(PUT, -1, 2000))
    unsure.place_order(2, order(perpetual(), -1, 100_000))
    unsure.check()


def test_calls_and_puts_of_one_strike_are_naked_together():
    straddle = account({option(100_000, "C"): -1.0, option(100_000, "P"): 1.0}, cash=0)
    scenario_part = straddle.initial_margin()
    naked = account({option(100_000, "C"): -1.0}, cash=0)
    assert naked.portfolio.addons() == (200 * CASH_SCALE, 300 * CASH_SCALE)
    assert straddle.portfolio.addons() == (0, 0)
    assert scenario_part > 0


def test_closing_part_of_a_losing_short_reduces_risk():
    found = account({CALL: -2.0}, cash=0)
    assert found.initial_excess() < 0
    mark = found._marks.mark_price(CALL) / CASH_SCALE
    assert found.risk_reducing(order(CALL, 1, mark))
    assert found.risk_reducing(order(CALL, 5, mark)), "reduce-only stops at the position"
    assert not found.risk_reducing(order(CALL, -1, mark))
    assert not found.risk_reducing(order(CALL, 1, mark + 50_000)), "the price eats the gain"
    assert not found.risk_reducing(order(PUT, 1, 2000)), "nothing is held there"
    found.check()


def test_closing_the_hedge_of_a_short_does_not_reduce_risk():
    found = account({CALL: -1.0, option(120_000, "C"): 1.0}, cash=0)
    hedge = option(120_000, "C")
    mark = found._marks.mark_price(hedge) / CASH_SCALE
    assert not found.risk_reducing(order(hedge, -1, mark - 100))


def test_a_close_is_tried_where_the_skew_results_turn():
    """Between its ends excess need not be concave: the fill that makes an expiry worth nothing."""
    found = account({option(120_000, "C"): -40.0, option(120_000, "P"): 1.0}, cash=10_000)
    mark = found._marks.mark_price(option(120_000, "C")) / CASH_SCALE
    close = order(option(120_000, "C"), 40, mark)
    turns = list(found._turns(close))
    assert turns[0] == 400_000
    assert len(turns) == 5, "the whole, and two beside each of the two turns"
    assert list(found._turns(order(option(120_000, "C"), 1, mark))) == [10_000]
    assert found.risk_reducing(close)


def test_parameters_may_change_under_open_positions():
    marks = marks_book()
    found = account({CALL: -1.0, perpetual(): 1.0}, cash=100_000, marks=marks)
    found.place_order(1, order(option(3500, "C", underlying_id=2), -1, 100))
    before = found.initial_margin()
    harsher = msgspec.structs.replace(
        margin_parameters(preset()), initial_factor=2 * RATIO_SCALE, risk_groups=((1, 1), (2, 1))
    )
    marks.configure(harsher)
    assert found.initial_margin() > before
    found.check()


def test_state_is_canonical():
    one, other = account(cash=1), account(cash=1)
    one.apply_fill(CALL, 5)
    one.apply_fill(PUT, 7)
    other.apply_fill(PUT, 7)
    other.apply_fill(CALL, 5)
    for found, ids in ((one, (2, 1)), (other, (1, 2))):
        for order_id in ids:
            found.place_order(order_id, order(CALL, order_id, 100))
    assert one.state() == other.state()
    assert one.state()[:2] == (7, CASH_SCALE)


def test_an_account_may_exist_before_the_first_epoch():
    marks = MarksBook(margin_parameters(preset()))
    found = MarginAccount(3, marks)
    found.add_cash(5)
    assert found.initial_excess() == 5
    marks.update(update(1))
    assert found.initial_excess() == 5
    found.check()


def test_a_rebuilt_position_takes_the_place_of_what_was_held():
    """Quantity, cost and funding index are the new ones; what is flat is forgotten."""
    marks = marks_book()
    found = account({perpetual(): 2.0, perpetual(2): 1.0}, cash=10, marks=marks)
    other = LinearPosition(-5_000, -70 * CASH_SCALE, 3 * 10**6)
    found.rebuild(perpetual(), other, -4 * CASH_SCALE)
    assert found.linear[perpetual()] == other
    assert found.position(perpetual()) == -5_000
    assert found.cash == 6 * CASH_SCALE
    found.rebuild(perpetual(2), LinearPosition(0, 0, 0), 0)
    assert list(found.linear) == list(found.positions) == [perpetual()]
    found.check()


def test_an_order_spends_its_fee_and_what_it_pays_for_options():
    """Selling, or trading a perpetual, takes the fee alone."""
    found = account(cash=20_000)
    assert found.spends(order(CALL, 2, 3_000, 30)) == 6_060 * CASH_SCALE
    assert found.spends(order(CALL, -2, 3_000, 30)) == 60 * CASH_SCALE
    assert found.spends(order(perpetual(), 2, 90_000, 30)) == 60 * CASH_SCALE
    found.least_excess_with(order(CALL, 1, 3_000, 30))
    assert found.spends(order(CALL, 1, 3_000, 30)) == 3_030 * CASH_SCALE
    assert found.spends(order(CALL, 1, 4_000, 30)) == 4_030 * CASH_SCALE


def test_an_order_grows_what_may_be_held_on_its_side():
    found = account({CALL: 2.0}, cash=20_000)
    assert found.growth_with(order(CALL, 3, 3_000)) == 30_000
    assert found.growth_with(order(CALL, -3, 3_000)) == 0
    assert found.growth_with(order(CALL, -5, 3_000)) == 10_000


def test_excess_can_be_asked_with_more_held():
    """Positions and tokens that come for nothing, and leave no trace."""
    found = account({CALL: -1.0}, cash=50_000)
    found.place_order(1, order(PUT, -1, 2_000))
    before = found.state(), found.initial_excess(), found.maintenance_excess()
    moves, tokens = {CALL: -10_000, PUT: 5_000}, {WETH: 10**8}
    other = account({CALL: -2.0, PUT: 0.5}, cash=50_000, tokens={WETH: 1})
    other.place_order(1, order(PUT, -1, 2_000))
    assert found.initial_excess_holding(moves, tokens) == other.initial_excess()
    assert found.maintenance_excess_with(moves, tokens) == other.maintenance_excess()
    assert (found.state(), found.initial_excess(), found.maintenance_excess()) == before
    found.check()


def test_entry_cost_is_what_a_linear_position_was_bought_for():
    found = account(cash=0)
    found.trade(perpetual(), 5_000, 100_000 * CASH_SCALE)
    found.trade(CALL, 5_000, 100 * CASH_SCALE)
    assert found.entry_cost(perpetual()) == 50_000 * CASH_SCALE
    assert found.entry_cost(CALL) == found.entry_cost(perpetual(2)) == 0
    assert found.cash == -50 * CASH_SCALE


def test_relief_is_what_a_trade_gains_where_the_group_loses_most():
    """A short call loses most where it rises most; an empty account needs no relief."""
    found = account({CALL: -1.0}, cash=50_000)
    row = found._marks.row(CALL)
    results = found.group_results()[row.group]
    gain = row.shocked[results.index(min(results))] - row.mark_price
    assert found.relief(row, 2) == 2 * gain > 0
    assert found.relief(row, -2) == -2 * gain
    assert account(cash=1).relief(row, 2) == 0
