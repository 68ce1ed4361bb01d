"""Quote sheets: replaced as a whole, refused as a whole or side by side, signed by the newest."""

import msgspec
import pytest
from tests.sheets import sheet
from tests.venue import FEES, C, P, Venue, limits, open_venue, placed_in, usdc

from exchange.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Halt,
    NonceFloorSeen,
    ProtectionParameters,
    Resume,
    SessionKeySeen,
    SetProtection,
)
from exchange.engine import Engine
from exchange.events import (
    CancelReason,
    OrderCanceled,
    OrderPlaced,
    QuoteRefused,
    QuotesRepeated,
    QuotesReplaced,
    Refused,
    RejectReason,
    Traded,
)
from exchange.model import Side, numbered, seq_and_place

CALL = (C, 2_480, 5, 2_520, 5)
PUT = (P, 2_480, 5, 2_520, 5)


@pytest.fixture
def venue() -> Venue:
    venue = open_venue(limits=limits(open_orders_max=6))
    venue.fund("maker")  # subaccount 2
    venue.fund("taker")  # subaccount 3
    return venue


def send(venue: Venue, nonce: int, *lines, **changes):
    return venue.send(sheet(venue, 2, nonce, *lines, **changes))


def summary(events) -> tuple[int, int, int, int]:
    (event,) = [event for event in events if isinstance(event, QuotesReplaced)]
    return event.canceled, event.kept, event.placed, event.refused


def refusals(events) -> list[tuple[int, Side, RejectReason]]:
    return [
        (event.instrument_id, event.side, event.reason)
        for event in events
        if isinstance(event, QuoteRefused)
    ]


def reason(events) -> RejectReason:
    (event,) = events
    assert isinstance(event, Refused)
    return event.reason


def test_a_sheet_places_both_sides_of_every_line(venue):
    """Orders like any other: ids by place, consecutive nonces, margined, post-only."""
    events = send(venue, 1, CALL, PUT, label="grid")
    assert summary(events) == (0, 0, 4, 0)
    placed = [event for event in events if isinstance(event, OrderPlaced)]
    seq = len(venue.entries)
    assert [event.order_id for event in placed] == [numbered(seq, leaf) for leaf in range(4)]
    assert [event.nonce for event in placed] == [1_000, 1_001, 1_002, 1_003]
    assert venue.book() == ([(usdc(2_480), 50_000)], [(usdc(2_520), 50_000)])
    views = venue.engine.open_orders(2)
    assert all(view.is_quote and view.post_only and view.label == "grid" for view in views)
    assert venue.engine.margin(2).initial_margin > 0


def test_the_same_sheet_again_returns_the_first_outcome(venue):
    """Also when nothing of it stands any more."""
    command = sheet(venue, 2, 1, CALL)
    venue.send(command)
    assert venue.send(command) == (QuotesRepeated(subaccount_id=2, sheet_nonce=1),)
    venue.send(CancelAll(subaccount_id=2))
    assert venue.send(command) == (QuotesRepeated(subaccount_id=2, sheet_nonce=1),)
    assert venue.book() == ([], [])


def test_nonces_are_used_once(venue):
    """A lower sheet, other content under one nonce, and leaves that are taken change nothing."""
    assert reason(send(venue, 0, CALL)) is RejectReason.STALE_SHEET
    send(venue, 5, CALL)
    book = venue.book()
    assert reason(send(venue, 4, PUT)) is RejectReason.STALE_SHEET
    assert reason(send(venue, 5, PUT)) is RejectReason.NONCE_USED
    assert reason(send(venue, 6, PUT, first_nonce=5_001)) is RejectReason.NONCE_USED
    venue.withdraw(2, 1, nonce=7_001)
    assert reason(send(venue, 7, PUT)) is RejectReason.NONCE_USED
    assert venue.book() == book


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((), "empty sheet"),
        ((CALL, CALL), "repeated instrument"),
        (((C, 2_520, 1, 2_480, 1),), "crossed quote"),
    ],
)
def test_a_malformed_sheet_is_refused_whole(venue, lines, words):
    (refused,) = send(venue, 1, *lines)
    assert (refused.reason, refused.detail) == (RejectReason.BAD_SHEET, words)
    assert refused.subaccount_id == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"subaccount_id": 99}, RejectReason.UNKNOWN_SUBACCOUNT),
        ({"signer": "mallory"}, RejectReason.UNAUTHORIZED_SIGNER),
        ({"deadline": 1}, RejectReason.DEADLINE_PASSED),
        ({"first_nonce": 10}, RejectReason.STALE_NONCE),
    ],
)
def test_authority_refuses_the_whole_sheet(venue, changes, expected):
    send(venue, 1, CALL)
    venue.observe(NonceFloorSeen(subaccount_id=2, floor=500))
    book = venue.book()
    assert reason(send(venue, 2, PUT, **changes)) is expected
    assert venue.book() == book


def test_a_new_sheet_cancels_reduces_keeps_and_places(venue):
    """What shrinks keeps its place in the queue; the rest is canceled first."""
    first = send(venue, 1, CALL, PUT)
    ids = [event.order_id for event in first if isinstance(event, OrderPlaced)]
    venue.buy(3, 5, 2_480)  # behind the maker's bid in the call
    events = send(venue, 2, (C, 2_480, 3, 2_530, 5), (P, 0, 0, 2_520, 5))
    assert summary(events) == (2, 2, 1, 0)
    canceled = [event for event in events if isinstance(event, OrderCanceled)]
    assert [(event.order_id, event.canceled_quantity) for event in canceled] == [
        (ids[1], 50_000),
        (ids[2], 50_000),
        (ids[0], 20_000),
    ]
    assert {event.reason for event in canceled} == {CancelReason.REPLACED}
    kept = venue.engine.order(ids[0])
    assert (kept.quantity, kept.nonce, kept.filled_quantity) == (30_000, 2_000, 0)
    assert venue.engine.order(ids[3]).nonce == 2_002
    assert venue.engine.order(ids[1]) is None, "forgotten: nobody traded with it"
    sold = venue.sell(3, 4, 2_480, self_trade_prevention=0)
    assert [event.maker_order_id for event in sold if isinstance(event, Traded)] == [ids[0]]


def test_fills_count_under_the_nonce_that_signed_them(venue):
    """A kept quote goes on under the new leaf; its life shows all fills, each leaf only its own."""
    first = send(venue, 1, CALL)
    bid = next(event.order_id for event in first if isinstance(event, OrderPlaced))
    before = [e for e in venue.sell(3, 2, 2_480) if isinstance(e, Traded)]
    second_seq = len(venue.entries) + 1
    send(venue, 2, (P, 2_480, 1, 0, 0), (C, 2_480, 3, 2_520, 5))
    after = [e for e in venue.sell(3, 1, 2_480) if isinstance(e, Traded)]
    assert seq_and_place(before[0].maker_signed_seq)[1] == 0
    assert seq_and_place(after[0].maker_signed_seq) == (second_seq, 1)
    assert {trade.maker_order_id for trade in before + after} == {bid}
    view = venue.engine.order(bid)
    assert (view.quantity, view.filled_quantity, view.nonce) == (50_000, 30_000, 2_001)
    assert reason(venue.buy(2, 1, 2_000, nonce=1_000)) is RejectReason.NONCE_USED
    venue.sell(3, 2, 2_480)
    assert venue.engine.order(bid).filled_quantity == 50_000
    assert venue.engine.order(bid).status.name == "FILLED"


def test_a_filled_quote_is_remembered_until_an_hour_after_its_deadline(venue):
    """Later sheets do not forget it; time does, and its nonce stays used."""
    first = send(venue, 1, CALL)
    bid = next(event.order_id for event in first if isinstance(event, OrderPlaced))
    venue.sell(3, 5, 2_480)
    send(venue, 2, CALL)
    assert venue.engine.order(bid).filled_quantity == 50_000
    venue.wait(7_201)
    venue.index()
    assert venue.engine.order(bid) is None
    assert reason(venue.buy(2, 1, 2_000, nonce=1_000)) is RejectReason.NONCE_USED


def test_the_market_refuses_sides_one_by_one(venue):
    """Each for its own reason; the others stand."""
    venue.sell(3, 1, 2_470)
    events = send(
        venue,
        1,
        CALL,
        (P, 20_000, 1, 30_000, 1),
        (99, 1, 1, 2, 1),
        (C + 2, "0.001", 1, "0.01", 0),
    )
    assert refusals(events) == [
        (C, Side.BUY, RejectReason.POST_ONLY_WOULD_TRADE),
        (P, Side.BUY, RejectReason.PRICE_OUTSIDE_BAND),
        (99, Side.BUY, RejectReason.UNKNOWN_INSTRUMENT),
        (99, Side.SELL, RejectReason.UNKNOWN_INSTRUMENT),
        (C + 2, Side.BUY, RejectReason.UNKNOWN_INSTRUMENT),
    ]
    assert summary(events) == (0, 0, 2, 5)


def test_margin_takes_the_quotes_that_it_can_carry(venue):
    poor = venue.fund("poor", 4_000)
    events = send(
        venue, 1, (C, 2_480, 1, 0, 0), (P, 2_480, 1, 0, 0), subaccount_id=poor, signer="poor"
    )
    assert refusals(events) == [(P, Side.BUY, RejectReason.INSUFFICIENT_MARGIN)]


def test_a_quote_that_cannot_go_on_is_canceled(venue):
    """Its old signature is void, so it must not stay: here the new fee limit is too low."""
    venue.send(msgspec.structs.replace(venue.entries[0][2], version=2, fees=FEES))
    send(venue, 1, CALL)
    events = send(venue, 2, CALL, max_fee=0)
    assert summary(events) == (2, 0, 0, 2)
    assert {item[2] for item in refusals(events)} == {RejectReason.MAX_FEE_TOO_LOW}
    assert venue.book() == ([], [])


def test_too_many_orders_refuse_what_does_not_fit(venue):
    lines = [(id_, 2_480, 1, 2_520, 1) for id_ in sorted(venue.marks)[:4]]
    events = send(venue, 1, *lines)
    assert summary(events) == (0, 0, 6, 2)
    assert {item[2] for item in refusals(events)} == {RejectReason.TOO_MANY_ORDERS}


def test_a_halt_keeps_quotes_and_takes_no_new_ones(venue):
    """An auction takes both: quotes rest unmatched until it ends."""
    send(venue, 1, CALL)
    venue.send(Halt(instrument_id=C))
    events = send(venue, 2, (C, 2_480, 4, 2_530, 5))
    assert summary(events) == (1, 1, 0, 1)
    assert refusals(events) == [(C, Side.SELL, RejectReason.INSTRUMENT_HALTED)]
    venue.sell(3, 1, 2_400)  # refused too
    venue.send(Resume(instrument_id=C))
    venue.sell(3, 1, 2_400)
    events = send(venue, 3, (C, 2_480, 4, 2_530, 5), (P, 2_480, 1, 2_490, 1))
    assert summary(events) == (0, 1, 3, 0)


def test_an_auction_knows_the_age_of_a_quote(venue):
    """The younger of two crossing orders of one owner goes, though its order_id is the lower."""
    venue.send(Halt(instrument_id=C))
    venue.send(Resume(instrument_id=C))
    (ask,) = [
        event.order_id
        for event in send(venue, 1, (P, 2_480, 1, 2_520, 1), (C, 0, 0, 2_520, 5))
        if isinstance(event, OrderPlaced) and event.instrument_id == C
    ]
    bid = venue.buy(2, 1, 2_530)
    assert ask > placed_in(bid).order_id
    venue.wait(60)
    events = venue.index()
    prevented = [event.order_id for event in events if isinstance(event, OrderCanceled)]
    assert prevented == [placed_in(bid).order_id]


def test_quotes_end_with_their_sheet(venue):
    """At its deadline all of them, also those that an older sheet placed."""
    send(venue, 1, CALL, deadline=venue.now_s + 100)
    send(venue, 2, (C, 2_480, 5, 2_530, 5), (P, 0, 0, 2_520, 1), deadline=venue.now_s + 200)
    venue.send(CancelOrder(subaccount_id=2, order_id=venue.engine.open_orders(2)[-1].order_id))
    venue.wait(100)
    venue.index()
    assert len(venue.engine.open_orders(2)) == 2
    venue.wait(100)
    events = venue.index()
    assert [event.reason for event in events if isinstance(event, OrderCanceled)] == [
        CancelReason.DEADLINE
    ] * 2
    venue.wait(1)
    send(venue, 3, CALL)
    assert len(venue.engine.open_orders(2)) == 2


def test_floors_and_keys_reach_quotes(venue):
    """A nonce floor cancels the leaves below it; a revoked key all that it signed."""
    send(venue, 1, CALL)
    venue.observe(NonceFloorSeen(subaccount_id=2, floor=1_001))
    assert [view.nonce for view in venue.engine.open_orders(2)] == [1_001]
    venue.observe(SessionKeySeen(owner="maker", key="key", deadline=venue.now_s + 10**6))
    assert summary(send(venue, 2, PUT, signer="key")) == (1, 0, 2, 0)
    venue.observe(SessionKeySeen(owner="maker", key="key", deadline=0))
    assert venue.engine.open_orders(2) == []


def test_quotes_alone_can_be_canceled_and_none_amended(venue):
    order = venue.buy(2, 1, 2_400)
    send(venue, 1, CALL, label="a")
    quote_id = venue.engine.open_orders(2)[1].order_id
    terms = venue.engine._venue.orders[quote_id].terms
    amended = msgspec.structs.replace(terms, version=1, quantity=10_000)
    events = venue.send(AmendOrder(terms=amended, signature=b""))
    assert reason(events) is RejectReason.NOT_AMENDABLE
    venue.send(CancelOrder(subaccount_id=2, order_id=quote_id))
    venue.send(CancelAll(subaccount_id=2, quotes_only=True))
    (left,) = venue.engine.open_orders(2)
    assert left.order_id == placed_in(order).order_id


def test_protection_counts_and_cancels_quotes(venue):
    """Limits are needed; a fill that trips them takes the sheet off, and a frozen maker waits."""
    events = send(venue, 1, CALL, mmp=True)
    assert {item[2] for item in refusals(events)} == {RejectReason.NOT_PROTECTED}
    given = ProtectionParameters(interval_ns=10**9, frozen_ns=0, quantity_limit=10_000)
    venue.send(SetProtection(subaccount_id=2, underlying_id=1, limits=given))
    send(venue, 2, CALL, mmp=True)
    venue.buy(3, 1, 2_520)
    assert venue.engine.open_orders(2) == []
    events = send(venue, 3, CALL, mmp=True)
    assert {item[2] for item in refusals(events)} == {RejectReason.PROTECTION_FROZEN}


def test_quotes_count_before_reduce_only_orders(venue):
    """As any order does that enters the book: the position is shared out again."""
    venue.sell(3, 5, 2_500)
    venue.buy(2, 5, 2_500)
    venue.sell(2, 5, 2_600, reduce_only=True)
    send(venue, 1, (C, 2_480, 1, 2_520, 3), PUT)
    (reducing,) = [view for view in venue.engine.open_orders(2) if view.reduce_only]
    assert reducing.filled_quantity == 0
    resting = venue.engine._venue.books[C].get(reducing.order_id)
    assert resting.remaining_quantity == 20_000


def test_a_twin_lives_the_same_life(venue):
    """The sheet is part of the state: the same commands, the same hash."""
    for nonce in range(1, 6):
        send(venue, nonce, (C, 2_480, 6 - nonce, 2_520 + nonce % 2, 5), PUT)
        venue.sell(3, "0.5", 2_480)
    twin: Engine = venue.twin()
    assert twin.state_hash() == venue.engine.state_hash()
