"""The band that the published epoch leaves: no fill outside it, and refusals that name it."""

from typing import Any

import pytest
from tests.venue import (
    FUTURE,
    NS,
    PERP,
    C,
    P,
    Venue,
    contracts,
    fills,
    limits,
    linear_venue,
    open_venue,
    refusals,
    usdc,
)

from exchange.commands import BreakerParameters, Halt, ListCombo, PublicationParameters, Resume
from exchange.engine import published
from exchange.events import AuctionUncrossed, ComboListed, RejectReason
from exchange.fixed import RATIO_SCALE
from exchange.model import Leg, Side, TimeInForce

R = RejectReason
PERCENT = RATIO_SCALE // 100
RULES = PublicationParameters(
    heartbeat_ns=300 * NS,
    move_rate=PERCENT,
    age_max_ns=600 * NS,
    band_rate=5 * PERCENT,
    linear_band_rate=2 * PERCENT,
)


def shown_venue(**parameters: Any) -> Venue:
    """A venue whose chain knows a mark of 2,500 of each option: they trade up to 7,500."""
    return open_venue(**({"publication": RULES} | parameters))


@pytest.fixture
def traders() -> tuple[Venue, int, int]:
    venue = shown_venue()
    return venue, venue.fund("ann"), venue.fund("bob")


def test_an_order_beyond_the_published_band_is_refused(traders) -> None:
    """Though the venue's own band, of 10 % of the index, would take it."""
    venue, ann, bob = traders
    assert refusals(venue.buy(ann, 1, 7_501)) == [R.PRICE_OUTSIDE_BAND]
    assert refusals(venue.buy(ann, 1, 7_500)) == []
    assert fills(venue.sell(bob, 1, "0.01")) == [(usdc(7_500), contracts(1))]
    assert refusals(venue.sell(bob, 1, 7_600)) == [], "who asks for more trades above no mark"


def test_nothing_trades_before_its_mark_is_published() -> None:
    """A new instrument waits for the next epoch, which is published for it."""
    venue = shown_venue()
    ann = venue.fund("ann")
    venue.list_instruments(PERP)
    order = {"instrument_id": PERP}
    assert refusals(venue.buy(ann, 1, 100_000, **order)) == [R.NO_MARK]
    venue.mark({PERP: 100_000})
    assert refusals(venue.buy(ann, "0.1", 100_000, **order)) == []
    assert refusals(venue.buy(ann, "0.1", 102_001, **order)) == [R.PRICE_OUTSIDE_BAND]


def test_a_venue_that_publishes_waits_for_its_first_epoch() -> None:
    """Parameters that ask for publications come into force in the middle of a day."""
    venue = open_venue()
    ann = venue.fund("ann")
    command = venue.engine.parameters
    changed = {name: getattr(command, name) for name in command.__struct_fields__}
    venue.send(type(command)(**(changed | {"version": 2, "publication": RULES})))
    assert refusals(venue.buy(ann, 1, 2_500)) == [R.NO_MARK]
    venue.mark({})
    assert refusals(venue.buy(ann, 1, 2_500)) == []


def test_the_index_may_move_8_percent_between_publications(traders) -> None:
    """The band of the moment moves with it; what both leave trades, the rest is refused."""
    venue, ann, bob = traders
    for price in (102_000, 104_000, 108_000):
        venue.index(price)
    # of the moment: 2,500 +- 10,800; published: 2,500 +- 5,000
    assert refusals(venue.buy(ann, 1, 7_600)) == [R.PRICE_OUTSIDE_BAND]
    venue.buy(ann, 1, 7_400)
    assert fills(venue.sell(bob, 1, 100)) == [(usdc(7_400), contracts(1))]
    events = venue.mark({C: 9_000, P: 1_000})
    assert any(getattr(event, "published", False) for event in events)
    assert refusals(venue.buy(ann, 1, 13_900)) == []


def test_where_the_bands_part_nothing_enters() -> None:
    """By hand: the marks in force lie outside the published band, and no epoch was published."""
    rules = PublicationParameters(
        heartbeat_ns=300 * NS,
        move_rate=50 * PERCENT,
        age_max_ns=600 * NS,
        band_rate=PERCENT,
        linear_band_rate=PERCENT,
    )
    venue = shown_venue(publication=rules, limits=limits(band_rate=PERCENT))
    ann = venue.fund("ann")
    venue.mark({C: 9_000})
    for order in (venue.buy(ann, 1, 3_000), venue.sell(ann, 1, 9_000)):
        assert refusals(order) == [R.PRICE_OUTSIDE_BAND]
    assert refusals(venue.buy(ann, 1, 2_500, instrument_id=P)) == []
    combo = next(
        event.instrument_id
        for event in venue.send(ListCombo(legs=(Leg(C, 1), Leg(P, -1))))
        if isinstance(event, ComboListed)
    )
    signed = {"legs_hash": venue.engine.instruments[combo].legs_hash}
    events = venue.order(ann, Side.BUY, "0.1", 1_000, combo, **signed)
    assert refusals(events) == [R.PRICE_OUTSIDE_BAND]


def test_a_narrowed_band_lies_inside_the_published_one(traders) -> None:
    """Whole, cut on a side, or the nearest edge."""
    venue = traders[0].engine._venue
    low, high = usdc(-2_500), usdc(7_500)
    bounds = published.published_band(venue, C)
    assert bounds == (low, high)
    for band, expected in (
        ((low - 1, high + 1), (low, high)),
        ((low + 1, high - 1), (low + 1, high - 1)),
        ((high + 1, high + 9), (high, high)),
        ((low - 9, low - 1), (low, low)),
    ):
        assert published.narrowed(bounds, band) == expected
        outside = expected[0] == expected[1]
        assert published.overlaps(bounds, band) is not outside
    assert published.allows(venue, C, high)
    assert not published.allows(venue, C, high + 1)


def test_linear_instruments_have_a_band_of_their_own() -> None:
    """Perpetuals and futures alike."""
    venue = linear_venue(publication=RULES)
    for instrument_id in (PERP, FUTURE):
        band = published.published_band(venue.engine._venue, instrument_id)
        assert band == (usdc(98_000), usdc(102_000))


def test_on_an_old_publication_nothing_trades() -> None:
    """An hour without a journaled command: orders wait for an epoch that the chain takes."""
    venue = shown_venue()
    ann = venue.fund("ann")
    venue.wait(601)
    venue.index()
    assert refusals(venue.buy(ann, 1, 2_500)) == [R.STALE_MARKS]
    venue.mark({})
    assert refusals(venue.buy(ann, 1, 2_500)) == []


def test_an_auction_waits_for_a_fresh_publication() -> None:
    """It collected orders before an outage; it ends once the chain knows the marks."""
    breaker = BreakerParameters(
        move_rate=10 * PERCENT, window_ns=60 * NS, cool_off_ns=NS, auction_ns=NS
    )
    venue = shown_venue(breaker=breaker)
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.send(Halt())
    venue.send(Resume())
    venue.buy(ann, 1, 2_600, time_in_force=TimeInForce.GTC)
    venue.sell(bob, 1, 2_500)
    venue.wait(700)
    assert fills(venue.index()) == []
    assert fills(venue.mark({})) == [], "in the command that publishes nothing trades yet"
    events = venue.index()
    assert [type(event) for event in events].count(AuctionUncrossed) == 1
    assert [quantity for _, quantity in fills(events)] == [contracts(1)]
