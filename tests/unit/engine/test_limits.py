"""Position limits: what one subaccount, and all together, may come to hold."""

import pytest
from tests.liquidation_world import bid, liquidating_venue, short_call, sweep
from tests.venue import C, P, call, contracts, limits, open_venue, refusals

from exchange.commands import ListCombo, PositionLimit
from exchange.fixed import RATIO_SCALE
from exchange.model import Leg, Side
from exchange.reasons import RejectReason

R = RejectReason
FAR = call(110_000)


@pytest.fixture
def venue():
    """Ten contracts of BTC for each, twelve for all together; ETH is free."""
    limit = PositionLimit(
        underlying_id=1, contracts_max=contracts(10), open_interest_max=contracts(12)
    )
    return open_venue(position_limits=(limit,))


def test_positions_and_open_orders_count_whichever_fill(venue):
    """Long and short, puts and calls add up; bid and ask of one instrument do not."""
    ann = venue.fund("ann")
    assert refusals(venue.buy(ann, 4, 2_400)) == []
    assert refusals(venue.sell(ann, 4, 2_600)) == [], "only one of the two can stay"
    assert refusals(venue.sell(ann, 6, 2_600, instrument_id=P)) == []
    assert refusals(venue.buy(ann, "0.01", 2_400, instrument_id=FAR)) == [R.POSITION_LIMIT]


def test_what_reduces_always_passes(venue):
    """At the limit a position can be closed, but not turned around to beyond it."""
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.sell(bob, 10, 2_500)
    venue.buy(ann, 10, 2_500)
    assert refusals(venue.buy(ann, "0.01", 2_500)) == [R.POSITION_LIMIT]
    assert refusals(venue.sell(ann, 10, 2_600)) == []
    assert refusals(venue.sell(ann, 10, 2_600)) == []
    assert refusals(venue.sell(ann, "0.01", 2_600)) == [R.POSITION_LIMIT]


def test_an_amend_meets_the_limit_too(venue):
    ann = venue.fund("ann")
    bid = venue.buy(ann, 9, 2_400)
    assert refusals(venue.amend(bid, quantity=contracts(11))) == [R.POSITION_LIMIT]
    assert refusals(venue.amend(bid, quantity=contracts(10))) == []


def test_open_interest_has_a_cap_of_its_own(venue):
    """Ten are open: two more may open, three may not; closing is free."""
    ann, bob, carol = (venue.fund(name) for name in ("ann", "bob", "carol"))
    venue.sell(bob, 10, 2_500)
    venue.buy(ann, 10, 2_500)
    assert refusals(venue.buy(carol, 3, 2_500)) == [R.OPEN_INTEREST_LIMIT]
    assert refusals(venue.buy(carol, 2, 2_500)) == []
    assert refusals(venue.sell(ann, 2, 2_500)) == []
    assert venue.position(carol) == contracts(2)
    assert venue.position(ann) == contracts(8), C


def test_an_underlying_without_limits_has_none():
    limit = PositionLimit(underlying_id=2, contracts_max=0, open_interest_max=0)
    venue = open_venue(position_limits=(limit,))
    assert refusals(venue.buy(venue.fund("ann"), 50, 2_500)) == []


def test_a_bid_in_a_liquidation_keeps_the_limit_too(venue):
    """Whoever is full takes less; what a hedge reduces passes."""
    venue = liquidating_venue(position_limits=venue.engine.parameters.position_limits)
    seller, _ = short_call(venue)
    keeper, other = venue.fund("carol"), venue.fund("dan")
    venue.mark({C: 5_000})
    for _ in range(11):
        sweep(venue, 1)
    venue.sell(keeper, 8, 5_000)
    venue.buy(other, 8, 5_000)
    assert refusals(bid(venue, keeper, seller)) == [R.POSITION_LIMIT]
    assert refusals(bid(venue, keeper, seller, RATIO_SCALE // 10)) == []
    assert refusals(bid(venue, other, seller)) == []
    assert venue.position(keeper) == -contracts("8.4")


def test_instruments_of_one_subaccount_are_counted():
    """Those that are held, and the legs of combos; what is known may always change, and close."""
    venue = open_venue(limits=limits(positions_max=2))
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.sell(bob, 4, 2_500)
    venue.sell(bob, 4, 2_500, instrument_id=P)
    assert refusals(venue.buy(ann, 4, 2_500)) == []
    combo = venue.send(ListCombo(legs=(Leg(P, 1), Leg(FAR, -1))))[-1].instrument_id
    hashed = venue.engine.instruments[combo].legs_hash
    refused = venue.order(ann, Side.BUY, 1, 100, combo, legs_hash=hashed)
    assert refusals(refused) == [R.POSITION_LIMIT]
    assert refusals(venue.buy(ann, 4, 2_500, instrument_id=P)) == []
    assert refusals(venue.buy(ann, 1, 2_400, instrument_id=FAR)) == [R.POSITION_LIMIT]
    assert refusals(venue.buy(ann, 1, 2_400)) == []
    assert refusals(venue.sell(ann, 4, 2_600)) == []


def test_nobody_takes_over_more_instruments_than_it_may_have():
    """The bid is refused; with as many less it is taken."""
    venue = liquidating_venue(limits=limits(positions_max=1))
    seller, _ = short_call(venue)
    keeper = venue.fund("carol")
    other = venue.fund("dan")
    venue.sell(other, 1, 2_400, instrument_id=P)
    venue.buy(keeper, 1, 2_400, instrument_id=P)
    venue.mark({C: 5_000})
    for _ in range(14):
        sweep(venue, 1)
    assert refusals(bid(venue, keeper, seller)) == [R.POSITION_LIMIT]
    venue.buy(other, 1, 2_300, instrument_id=P)
    venue.sell(keeper, 1, 2_300, instrument_id=P)
    assert refusals(bid(venue, keeper, seller)) == []
