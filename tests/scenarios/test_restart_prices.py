"""After a restart nothing trades and nobody is liquidated before every price is fresh."""

from tests.liquidation_world import liquidating_venue, rules, sweep
from tests.venue import NS, C, limits, refusals, usdc

from exchange.commands import SweepLiquidations
from exchange.engine import Engine
from exchange.events import LiquidationStarted, RejectReason

R = RejectReason


def started(events):
    return [event.subaccount_id for event in events if isinstance(event, LiquidationStarted)]


def paused_venue():
    """Ann sold a call that has just become dear; then the venue was down for five minutes."""
    venue = liquidating_venue(
        limits=limits(marks_age_ns_max=60 * NS), liquidation=rules(marks_age_ns_max=60 * NS)
    )
    ann, bob = venue.fund("ann", 30_000), venue.fund("bob")
    venue.sell(ann, 5, 2_500)
    venue.buy(bob, 5, 2_500)
    venue.mark({C: 9_500})
    assert venue.engine.margin(ann).maintenance_excess < 0
    venue.engine = restarted(venue)
    venue.wait(300)
    return venue, ann, bob


def restarted(venue) -> Engine:
    """The journal replayed by a new process: it knows old prices and no new one."""
    twin = venue.twin()
    assert twin.state_hash() == venue.engine.state_hash()
    return twin


def test_no_order_before_index_and_marks_are_fresh():
    """First the index is missing, then the marks; then it trades. Cancels work throughout."""
    venue, _, bob = paused_venue()
    assert refusals(venue.sell(bob, 1, 9_500)) == [R.STALE_INDEX]
    venue.index()
    assert refusals(venue.sell(bob, 1, 9_500)) == [R.STALE_MARKS]
    venue.mark({})
    assert refusals(venue.sell(bob, 1, 9_500)) == []


def test_nobody_is_liquidated_on_prices_from_before_the_restart():
    """Ann is below maintenance by old marks; by fresh ones she may not be."""
    venue, ann, _ = paused_venue()
    assert started(venue.send(SweepLiquidations())) == []
    venue.index()
    assert started(venue.send(SweepLiquidations())) == []
    venue.mark({C: 2_500})
    assert started(venue.send(SweepLiquidations())) == []
    assert venue.engine.margin(ann).maintenance_excess >= usdc(0)


def test_whoever_is_still_short_then_is_liquidated():
    """Fresh prices that say the same end the grace."""
    venue, ann, _ = paused_venue()
    assert started(sweep(venue, 1)) == [ann]
