"""What margin would be: the same as if it were, and nothing happens."""

import pytest
from tests.venue import COLLATERALS, WBTC, WETH, C, P, contracts, open_venue, tokens, usdc

from exchange.margin.order import MarginOrder


@pytest.fixture
def venue():
    return open_venue(collaterals=COLLATERALS)


def traded(venue):
    """Ann is short four calls against a debt-free bob, and owns a WBTC."""
    ann, bob = venue.fund("ann", 200_000), venue.fund("bob")
    venue.give(ann, WBTC, 1)
    venue.sell(ann, 4, 2_500)
    venue.buy(bob, 4, 2_500)
    venue.sell(ann, 1, 2_600)
    return ann, bob


def test_adding_nothing_is_the_account_itself(venue):
    """Positions, tokens, cash and open orders: every figure is the real one."""
    ann, _ = traded(venue)
    before = venue.engine.state_hash()
    found = venue.engine.simulate(ann, {}, {})
    assert found.summary == venue.engine.margin(ann)
    assert found.positions == venue.engine.positions(ann)
    assert found.collateral == {WBTC: tokens(1)}
    assert venue.engine.state_hash() == before


def test_what_is_simulated_is_what_trading_at_the_mark_gives(venue):
    """A trade at the mark, without fees, ends where the simulation said."""
    ann, bob = traded(venue)
    promised = venue.engine.simulate(bob, {P: contracts(3)}, {WETH: tokens(2)})
    venue.give(bob, WETH, 2)
    venue.sell(ann, 3, 2_500, instrument_id=P)
    venue.buy(bob, 3, 2_500, instrument_id=P)
    assert promised.summary == venue.engine.margin(bob)


def test_a_whole_portfolio_may_be_invented(venue):
    """Nothing of the subaccount is in it, and what is bought is paid for."""
    ann, _ = traded(venue)
    found = venue.engine.simulate(ann, {C: contracts(1)}, {}, usdc(3_000), added=False)
    assert found.summary.cash == usdc(500)
    assert found.summary.equity == usdc(3_000)
    (group,) = found.groups
    assert group.underlying_ids == (1,)
    assert group.worst == min(*group.results, group.basis)
    assert group.results[0] == usdc(1_250), "half as much again"


def test_an_order_takes_what_placing_it_takes(venue):
    ann, _ = traded(venue)
    for sign, place in ((1, venue.buy), (-1, venue.sell)):
        order = MarginOrder(C, sign, contracts(2), usdc(2_500), usdc(1_000))
        before = venue.engine.margin(ann).initial_excess
        taken = venue.engine.order_margin(ann, order)
        placed = place(ann, 2, 2_500)
        assert before - venue.engine.margin(ann).initial_excess == taken
        venue.cancel(placed)


def test_an_order_keeps_what_its_cancel_gives_back(venue):
    """Each alone, whatever else rests; of one that is over nothing is kept."""
    ann, bob = traded(venue)
    placed = venue.sell(ann, 2, 2_700)
    dropped = venue.buy(ann, 1, 2_200)
    first, second, gone = (order.order_id for order in venue.engine.open_orders(ann))
    venue.cancel(dropped)
    before = venue.engine.state_hash()
    margin = venue.engine.margin(ann).initial_margin
    kept = venue.engine.resting_margins(ann, [first, second, gone])
    assert venue.engine.state_hash() == before
    assert venue.engine.margin(ann).initial_margin == margin
    assert kept[gone] == 0 < kept[second]
    assert venue.engine.resting_margins(bob, []) == {}
    venue.cancel(placed)
    assert margin - venue.engine.margin(ann).initial_margin == kept[second]


def test_what_may_surely_leave_is_never_too_much(venue):
    """All of it where nothing needs margin, nothing where nothing is free."""
    ann, bob = traded(venue)
    (_, wbtc) = venue.engine.token_views(ann)
    assert (wbtc.name, wbtc.amount, wbtc.value) == ("WBTC", tokens(1), usdc(100_000))
    assert 0 < wbtc.withdrawable <= tokens(1)
    excess = venue.engine.simulate(ann, {}, {WBTC: -wbtc.withdrawable}).summary.initial_excess
    assert excess >= 0
    carol = venue.fund("carol", 0)
    venue.give(carol, WETH, 3)
    assert venue.engine.token_views(carol)[0].withdrawable == tokens(3)
    venue.withdraw(bob, "986000")
    assert venue.engine.token_views(bob)[1].withdrawable == 0
