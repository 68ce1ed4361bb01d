"""Where governance asks for proofs of margin, they take room in batches; else nothing changes."""

from tests.venue import C, P, Venue, call, canceled, fills, limits

from exchange.commands import BatchMarginSeen, CancelAll, CutBatch
from exchange.engine.proofs import FILLS_MAX, auction_fills_max, fills_max
from exchange.engine.snapshot import frozen, thawed
from exchange.events import BatchCut, BatchMarginChanged, CancelReason, Traded

MAINTENANCE, INITIAL = 1, 2
CALLS = [call(strike) for strike in range(90_000, 115_000, 1_000)]


def asked_venue(level: int = MAINTENANCE) -> Venue:
    """Options at 2,500, and batches of a hundred items."""
    venue = Venue(limits=limits(batch_items_max=100, open_orders_max=200), transfers=True)
    venue.list_instruments(*sorted({C, P, *CALLS}))
    venue.index()
    venue.mark(dict.fromkeys({C, P, *CALLS}, 2_500))
    if level:
        assert BatchMarginChanged(level=level) in venue.observe(BatchMarginSeen(level=level))
    return venue


def trade(venue: Venue, seller: int, buyer: int, instrument_id: int = C, **changes) -> None:
    venue.sell(seller, 1, 2_500, instrument_id=instrument_id)
    events = venue.buy(buyer, 1, 2_500, instrument_id=instrument_id, **changes)
    assert len(fills(events)) == 1


def pending(venue: Venue) -> int:
    return venue.engine.pending


def test_an_account_counts_once_in_a_batch_by_what_it_holds() -> None:
    venue = asked_venue()
    ann, bob, cid = (venue.fund(name, 10_000_000) for name in ("ann", "bob", "cid"))
    trade(venue, ann, bob)
    assert pending(venue) == 1 + 2 + 2, "a trade, and two proofs of a leg"
    trade(venue, ann, bob, P)
    assert pending(venue) == 1 + 2 + 2 + 1
    venue.send(CutBatch())
    assert pending(venue) == 0
    for instrument_id in CALLS:
        trade(venue, ann, bob, instrument_id)
    venue.send(CutBatch())
    trade(venue, ann, cid)
    assert pending(venue) == 1 + (1 + 3) + 2, "one of 26 legs and one of one"
    venue.twin()


def test_who_only_reduces_needs_no_proof() -> None:
    venue = asked_venue()
    ann, bob = venue.fund("ann"), venue.fund("bob")
    trade(venue, ann, bob)
    venue.send(CutBatch())
    trade(venue, bob, ann, reduce_only=True)
    assert pending(venue) == 1 + 1, "of the seller alone, who holds nothing any more"


def test_a_transfer_needs_a_proof_of_who_sends_it() -> None:
    venue = asked_venue()
    ann, savings = venue.fund("ann"), venue.fund("ann")
    venue.move(ann, savings, 10_000_000)
    assert pending(venue) == 1 + 1
    venue.withdraw(ann, 10)
    assert pending(venue) == 3, "what is withdrawn is proven when it leaves"


def test_without_a_batch_margin_nothing_but_items_counts() -> None:
    plain, asked = asked_venue(level=0), asked_venue(level=INITIAL)
    for venue in (plain, asked):
        ann, bob = venue.fund("ann"), venue.fund("bob")
        trade(venue, ann, bob)
    assert pending(plain) == 1
    assert len(plain.engine._venue.batches.state()) == 6, "the state is what it was before"
    assert plain.engine.state_hash() != asked.engine.state_hash()


def test_a_hundred_accounts_are_split_into_batches_that_fit() -> None:
    """Each pair trades once: two hundred items and three times as much of proofs."""
    plain, asked = asked_venue(level=0), asked_venue()
    cuts = {}
    for venue in (plain, asked):
        ids = [venue.fund(f"owner{at}", 1_000_000) for at in range(100)]
        for seller, buyer in zip(ids[::2], ids[1::2], strict=True):
            trade(venue, seller, buyer)
        venue.send(CutBatch())
        cuts[venue] = [len(_traders(venue, cut)) for cut in _cuts(venue)]
        venue.twin()
    assert cuts[plain] == [100]
    assert cuts[asked] == [40, 40, 20], "twenty trades and the proofs of forty accounts"


def _cuts(venue: Venue) -> list[BatchCut]:
    return [
        event for *_, events in venue.entries for event in events if isinstance(event, BatchCut)
    ]


def _traders(venue: Venue, cut: BatchCut) -> set[int]:
    inside = venue.entries[cut.first_seq - 1 : cut.last_seq]
    trades = [event for *_, events in inside for event in events if isinstance(event, Traded)]
    return {one.maker_subaccount_id for one in trades} | {one.taker_subaccount_id for one in trades}


def test_one_order_fills_fewer_where_each_fill_may_bring_a_proof() -> None:
    """Until governance asks no longer, or the chain has lost that it ever did."""
    venue = asked_venue(level=0)
    ann = venue.fund("ann", 10_000_000)
    before = venue.block()

    def swept() -> int:
        bob = venue.fund("bob", 10_000_000)
        for _ in range(FILLS_MAX + 5):
            venue.sell(ann, "0.01", 2_500)
        events = venue.buy(bob, 1, 2_500)
        venue.send(CancelAll(subaccount_id=ann))
        venue.send(CutBatch())
        assert canceled(events)[0][1] is CancelReason.TOO_MANY_FILLS
        return len(fills(events))

    assert swept() == FILLS_MAX
    venue.observe(BatchMarginSeen(level=MAINTENANCE))
    asked = venue.block()
    assert swept() == fills_max(venue.engine._venue) == 15
    venue.observe(BatchMarginSeen(level=0))
    assert swept() == FILLS_MAX
    venue.revert(asked)
    assert venue.engine._venue.batches.margin_level == MAINTENANCE
    assert swept() == 15
    venue.revert(before)
    assert venue.engine._venue.batches.levels == []


def test_an_auction_books_fewer_fills_in_a_command() -> None:
    assert auction_fills_max(asked_venue(level=0).engine._venue, 40) == 40
    asked = asked_venue().engine._venue
    assert [auction_fills_max(asked, room) for room in (0, 3, 40)] == [0, 3, 7]


def test_a_snapshot_keeps_whom_a_proof_was_counted_for() -> None:
    venue = asked_venue()
    ann, bob = venue.fund("ann"), venue.fund("bob")
    trade(venue, ann, bob)
    batches = thawed(frozen(venue.engine._venue)).batches
    assert batches.state() == venue.engine._venue.batches.state()
    assert batches.takers == {ann, bob}
