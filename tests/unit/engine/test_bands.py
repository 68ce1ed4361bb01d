"""Governance narrows the chain's bands; the engine keeps to the narrower ones at once."""

import pytest
from tests.unit.engine.test_published import PERCENT, R, shown_venue
from tests.venue import Venue, canceled, contracts, refusals

from exchange.commands import GovernanceSeen, PriceBandsSeen
from exchange.engine.published import is_stale
from exchange.events import CancelReason, GovernanceChanged, PriceBandsChanged

NARROW = PriceBandsSeen(option_rate=2 * PERCENT, linear_rate=PERCENT, age_max_s=300)
WIDE = PriceBandsSeen(option_rate=50 * PERCENT, linear_rate=50 * PERCENT, age_max_s=9_000)
SWAP = GovernanceSeen(change="SignersSet", detail="signers=0xA,0xB threshold=2")


@pytest.fixture
def venue() -> Venue:
    """The chain knows marks of 2,500, so its own band of 5 % of the index ends at 7,500."""
    return shown_venue()


def changed(seen: PriceBandsSeen) -> PriceBandsChanged:
    return PriceBandsChanged(
        option_rate=seen.option_rate, linear_rate=seen.linear_rate, age_max_s=seen.age_max_s
    )


def test_narrower_bands_bind_at_once(venue: Venue) -> None:
    """What rests beyond them goes, and nobody enters there; a wider one of the chain frees none."""
    ann = venue.fund("ann")
    venue.buy(ann, 1, 7_000)
    events = venue.observe(NARROW)
    assert changed(NARROW) in events
    assert canceled(events) == [(contracts(1), CancelReason.PRICE_BAND)]
    assert refusals(venue.buy(ann, 1, 4_501)) == [R.PRICE_OUTSIDE_BAND]
    assert refusals(venue.buy(ann, 1, 4_500)) == []
    venue.observe(WIDE)
    assert refusals(venue.buy(ann, 1, 7_501)) == [R.PRICE_OUTSIDE_BAND]
    assert refusals(venue.buy(ann, 1, 7_500)) == []
    venue.twin()


def test_an_epoch_is_stale_when_the_chain_says_so(venue: Venue) -> None:
    """Five minutes instead of ten."""
    venue.wait(301)
    assert not is_stale(venue.engine._venue)
    venue.observe(NARROW)
    assert is_stale(venue.engine._venue)
    venue.observe(WIDE)
    assert not is_stale(venue.engine._venue)


def test_bands_that_the_chain_lost_are_as_before(venue: Venue) -> None:
    """Also the first ones, before which there were none; other changes are told again."""
    before, ann = venue.engine._venue.access.state(), venue.fund("ann")
    first = venue.block()
    venue.observe(WIDE)
    second = venue.block()
    entered = venue.engine._venue.access.state()
    assert entered != before
    events = venue.observe(NARROW, SWAP)
    assert GovernanceChanged(change="SignersSet", detail=SWAP.detail) in events
    events = venue.revert(second)
    assert GovernanceChanged(change="SignersSet", detail=SWAP.detail, lost=True) in events
    assert changed(WIDE) in events
    assert venue.engine._venue.access.state() == entered
    assert refusals(venue.buy(ann, 1, 7_500)) == []
    assert PriceBandsChanged(option_rate=0, linear_rate=0, age_max_s=0) in venue.revert(first)
    assert venue.engine._venue.access.state() == before
