"""Which epochs the journal publishes, what that cuts, and which orders it takes out."""

import msgspec
import pytest
from tests.unit.engine.test_published import PERCENT, RULES, shown_venue
from tests.venue import (
    NS,
    PERP,
    C,
    P,
    Venue,
    canceled,
    configuration,
    contracts,
    limits,
    open_venue,
    refusals,
    usdc,
)

from exchange.commands import CutBatch
from exchange.engine.published import published_band
from exchange.events import BatchCut, CancelReason, MarksUpdated, RejectReason


def published(venue: Venue, marks: dict[int, int] | None = None, **changes) -> bool:
    """Whether this epoch goes on chain."""
    [event] = [one for one in venue.mark(marks or {}, **changes) if isinstance(one, MarksUpdated)]
    return event.published


def test_without_parameters_nothing_is_published() -> None:
    """As in journals from before them."""
    venue = open_venue()
    assert not published(venue)
    assert venue.engine._venue.published is None


def test_an_epoch_is_published_on_the_heartbeat() -> None:
    """The first at once, then one in five minutes."""
    venue = shown_venue()
    first = venue.engine._venue.published
    assert (first.epoch, first.seq) == (1, 4)
    venue.wait(299)
    assert not published(venue)
    venue.wait(1)
    assert published(venue)
    assert not published(venue)
    assert venue.engine._venue.published.epoch == 3
    assert venue.engine._venue.published.time_ns == venue.time_ns


@pytest.mark.parametrize(("price", "expected"), [(3_500, False), (3_501, True), (1_499, True)])
def test_an_epoch_is_published_when_a_mark_moved(price: int, *, expected: bool) -> None:
    """By more than 1 % of the index, either way."""
    assert published(shown_venue(), {C: price}) is expected


@pytest.mark.parametrize(("price", "expected"), [(101_000, False), (101_001, True), (98_999, True)])
def test_an_epoch_is_published_when_the_index_moved(price: int, *, expected: bool) -> None:
    """As the epoch has it."""
    venue = shown_venue()
    risks = venue.marks_update().underlyings
    moved = [msgspec.structs.replace(risk, index_price=usdc(price)) for risk in risks]
    assert published(venue, underlyings=tuple(moved)) is expected


def test_small_moves_add_up() -> None:
    """What counts is the distance from what the chain knows."""
    venue = shown_venue()
    assert not published(venue, {C: 3_200})
    assert published(venue, {C: 3_600})
    assert not published(venue, {C: 4_200})


def test_an_epoch_is_published_for_a_new_instrument() -> None:
    """It cannot trade before."""
    venue = shown_venue()
    venue.list_instruments(PERP)
    assert published(venue, {PERP: 100_000})
    assert not published(venue)


def test_a_publication_ends_the_pending_batch() -> None:
    """Its fills keep to the epoch before; the journal tells which command brought it."""
    venue = shown_venue()
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.sell(bob, 1, 2_500)
    venue.buy(ann, 1, 2_500)
    events = venue.mark({C: 4_000})
    [cut] = [event for event in events if isinstance(event, BatchCut)]
    assert (cut.risk_epoch, cut.marks_seq) == (1, 4)
    assert cut.last_seq == venue.engine._venue.seq
    assert not any(isinstance(event, BatchCut) for event in venue.mark({C: 6_000}))
    venue.sell(bob, 1, 5_000)
    venue.buy(ann, 1, 5_000)
    [cut] = venue.send(CutBatch())
    assert (cut.risk_epoch, cut.marks_seq) == (3, cut.last_seq - 3)


def test_a_batch_without_publications_names_the_epoch_in_force() -> None:
    """As before them."""
    venue = open_venue()
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.sell(bob, 1, 2_500)
    venue.buy(ann, 1, 2_500)
    venue.mark({})
    [cut] = venue.send(CutBatch())
    assert (cut.risk_epoch, cut.marks_seq) == (2, 0)


def test_orders_on_the_wrong_side_of_the_band_are_canceled() -> None:
    """They would be hit at once, at a price that the chain refuses; all others stay."""
    venue = shown_venue()
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.buy(ann, 1, 1_000)
    venue.sell(bob, 2, 3_000)
    venue.sell(bob, 1, 20_000)
    venue.buy(ann, 1, 2_000, instrument_id=P)
    events = venue.mark({C: 9_000})  # published: 4,000 to 14,000
    assert canceled(events) == [(contracts(2), CancelReason.PRICE_BAND)]
    bids, asks = venue.book()
    assert ([price for price, _ in bids], [price for price, _ in asks]) == (
        [usdc(1_000)],
        [usdc(20_000)],
    )


def test_bids_above_the_band_are_canceled() -> None:
    """The mirror: a mark that falls leaves a bid far above it."""
    venue = shown_venue()
    ann = venue.fund("ann")
    venue.mark({C: 9_000})
    venue.buy(ann, 1, 8_000)
    venue.buy(ann, 1, 6_000)
    assert canceled(venue.mark({C: 2_000})) == [(contracts(1), CancelReason.PRICE_BAND)]


def test_a_narrower_band_holds_at_once() -> None:
    """New parameters cancel what lies outside; without any, nothing is published any more."""
    venue = shown_venue()
    ann = venue.fund("ann")
    venue.buy(ann, 1, 6_000)
    narrow = msgspec.structs.replace(RULES, band_rate=PERCENT)
    events = venue.send(configuration(version=2, publication=narrow))
    assert canceled(events) == [(contracts(1), CancelReason.PRICE_BAND)]
    venue.send(configuration(version=3))
    assert published_band(venue.engine._venue, C) is None
    assert refusals(venue.buy(ann, 1, 6_000)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"heartbeat_ns": 600 * NS},
        {"heartbeat_ns": 0},
        {"move_rate": 0},
        {"band_rate": 100 * PERCENT + 1},
        {"linear_band_rate": -1},
    ],
)
def test_parameters_that_cannot_work_are_refused(changes: dict[str, int]) -> None:
    """A heartbeat longer than the age would stop the venue between two beats."""
    rules = msgspec.structs.replace(RULES, **changes)
    events = open_venue().send(configuration(version=2, publication=rules))
    assert refusals(events) == [RejectReason.BAD_PARAMETERS]


def test_a_full_batch_and_a_publication_cut_once() -> None:
    """The second would be empty."""
    venue = shown_venue(limits=limits(batch_items_max=1))
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.sell(bob, 1, 2_500)
    assert [one.marks_seq for one in venue.buy(ann, 1, 2_500) if isinstance(one, BatchCut)] == [4]
    assert not any(isinstance(event, BatchCut) for event in venue.mark({C: 4_000}))
    assert venue.twin().state_hash() == venue.engine.state_hash()
