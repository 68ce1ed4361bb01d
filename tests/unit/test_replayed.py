"""What a replay believes, and what finds it out where it should not have."""

import sqlite3

import msgspec
import pytest
from tests.venue import C, Venue, open_venue, usdc

from exchange.commands import CutBatch, ReleaseOrders
from exchange.engine import Engine
from exchange.engine.checks import nothing_refused
from exchange.events import (
    BatchCut,
    CancelReason,
    OrderCanceled,
    OrderPlaced,
    QuoteRefused,
    Refused,
    RejectReason,
)
from exchange.journal import Entry, EntryEncoder, Journal, JournalCorrupt
from exchange.model import Side, TimeInForce
from exchange.sequencer import catch_up, replayed

POOR = 10  # USDC: they do not carry five short calls


def forged(*, cut: bool) -> tuple[Venue, list[tuple]]:
    """A venue that refused an order, and entries that say the order stands; perhaps a batch."""
    venue = open_venue()
    poor, bob = venue.fund("ann", POOR), venue.fund("bob")
    venue.sell(bob, 1, 2_500)
    venue.buy(venue.fund("eve"), 1, 2_500)  # something to settle
    venue.sell(poor, 5, 2_500)
    *known, (seq, time_ns, command, events) = venue.entries
    assert [type(event) for event in events] == [Refused]
    assert events[0].reason is RejectReason.INSUFFICIENT_MARGIN
    engine = Engine()
    for entry in known:
        engine.apply(*entry[:3])
    engine._venue.accepted = True
    placed = engine.apply(seq, time_ns, command)
    assert [type(event) for event in placed] == [OrderPlaced]
    entries = [*known, (seq, time_ns, command, placed)]
    if cut:
        venue.send(CutBatch())
        entries.append(venue.entries[-1])
    return venue, entries


def write(entries: list[tuple], path: str) -> None:
    """As a journal, hashes of the state among its checkpoints."""
    encoder = EntryEncoder()
    with Journal(path) as journal:
        for entry in entries:
            stamped, record = encoder.stamp(*entry[1:])
            cuts = [event for event in entry[3] if isinstance(event, BatchCut)]
            journal.append([stamped], [record], {cut.last_seq: cut.state_hash for cut in cuts})


def test_an_order_that_was_accepted_is_checked_again_unless_a_hash_proves_it() -> None:
    """The same entry, believed and not."""
    _, entries = forged(cut=False)
    for proven_later in (True, False):
        engine = Engine()
        for entry in entries[:-1]:
            assert engine.replay(*entry, proven_later=proven_later)
        assert engine.replay(*entries[-1], proven_later=proven_later) is proven_later
        assert not engine._venue.accepted


def test_a_forged_acceptance_is_found_at_the_next_hash(tmp_path) -> None:
    """Its own events are as the engine would give them; the state is not what was hashed."""
    venue, entries = forged(cut=True)
    write(entries, str(tmp_path / "forged.db"))
    write(venue.entries, str(tmp_path / "honest.db"))
    with Journal(str(tmp_path / "forged.db")) as journal:
        seq = entries[-1][0]
        for believed_to, found_at in ((seq, seq), (seq - 1, seq), (seq - 2, seq - 1), (0, seq - 1)):
            with pytest.raises(JournalCorrupt, match=f"seq {found_at} replays to other events"):
                list(catch_up(journal.reader, Engine(), believed_to=believed_to))
    with Journal(str(tmp_path / "honest.db")) as journal:
        engine = Engine()
        assert len(list(catch_up(journal.reader, engine, believed_to=seq))) == len(entries)
    assert engine.state_hash() == venue.engine.state_hash()


def test_what_no_hash_covers_is_checked(tmp_path) -> None:
    """After the newest batch, and where an upgrade made all hashes worthless."""
    _, entries = forged(cut=False)
    path = str(tmp_path / "forged.db")
    write(entries, path)
    with Journal(path) as journal:
        for trust_hashes in (True, False):
            with pytest.raises(JournalCorrupt, match="replays to other events"):
                list(catch_up(journal.reader, Engine(), trust_hashes=trust_hashes, believed_to=10))


@pytest.mark.parametrize("at", [10, 11, 12, 1_000])
def test_nothing_is_believed_for_a_hash_that_is_not_there(tmp_path, at) -> None:
    """A checkpoint is a row, which anybody can write who writes a journal."""
    _, entries = forged(cut=False)
    seq, time_ns, *_ = entries[-1]
    assert seq == 10
    path = str(tmp_path / "forged.db")
    write([*entries, (seq + 1, time_ns, ReleaseOrders(), ())], path)
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO journal_checkpoints VALUES (0, ?, x'00')", (at,))
    with Journal(path) as journal:
        found = {10: "seq 10 replays", 11: "recorded at seq 11, which cut none"}
        with pytest.raises(JournalCorrupt, match=found.get(at, f"before the state's hash at {at}")):
            list(catch_up(journal.reader, Engine(), believed_to=seq + 1))


@pytest.mark.parametrize(
    "changes",
    [{"instrument_id": 5}, {"limit_price": 1}, {"limit_price": -usdc(2_500)}, {"quantity": 0}],
    ids=repr,
)
def test_what_no_check_would_have_let_pass_is_corruption(changes) -> None:
    """The engine stumbles over it where nothing is checked: that has the journal's words too."""
    _, entries = forged(cut=False)
    *known, (seq, time_ns, command, placed) = entries
    terms = msgspec.structs.replace(command.terms, **changes)
    bad = msgspec.structs.replace(command, terms=terms)
    stamped = [
        Entry(seq=seq, time_ns=time_ns, command=command, events=events, chain_hash=b"")
        for seq, time_ns, command, events in (*known, (seq, time_ns, bad, placed))
    ]
    with pytest.raises(JournalCorrupt, match=f"seq {seq} cannot be applied: "):
        list(replayed(stamped, Engine(), hashed_from=1_000, believed_to=1_000))


def test_other_hashes_are_trusted_while_the_journal_grows(tmp_path) -> None:
    """A gateway starts while the engine writes: no seq is then the last one."""
    venue = open_venue()
    venue.sell(venue.fund("bob"), 1, 2_500)
    begun = len(venue.entries)
    venue.buy(venue.fund("eve"), 1, 2_500)
    venue.send(CutBatch())
    seq, time_ns, command, events = venue.entries[-1]
    cut = [
        msgspec.structs.replace(event, state_hash=bytes(32)) if type(event) is BatchCut else event
        for event in events
    ]
    assert cut != list(events)
    written = [*venue.entries[:-1], (seq, time_ns, command, tuple(cut))]
    write(written[:begun], str(tmp_path / "grows.db"))
    encoder = EntryEncoder()
    stamped = [encoder.stamp(*entry[1:]) for entry in written]
    engine = Engine()
    with Journal(str(tmp_path / "grows.db")) as journal:
        for entry in catch_up(journal.reader, engine, trust_hashes=True):
            if entry.seq == begun:
                entries, records = zip(*stamped[begun:], strict=True)
                journal.append(entries, records, {seq: bytes(32)})
    assert engine.seq == seq
    assert engine.state_hash() == venue.engine.state_hash()


def test_silence_is_no_acceptance() -> None:
    """A refusal that changed no state is missed where its event is gone."""
    venue = open_venue()
    [refused] = venue.buy(77, 1, 2_500)
    assert refused.reason is RejectReason.UNKNOWN_SUBACCOUNT
    *known, (*order, _) = venue.entries
    engine = Engine()
    for entry in known:
        assert engine.replay(*entry, proven_later=True)
    assert not engine.replay(*order, (), proven_later=True)


def test_what_is_forgotten_leaves_no_trace_in_a_hash(tmp_path) -> None:
    """An order that a forger let in and out again: only who checks everything finds it."""
    venue = open_venue()
    poor = venue.fund("ann", POOR)
    venue.sell(venue.fund("bob"), 1, 2_500)
    venue.buy(venue.fund("eve"), 1, 2_500)  # something to settle
    refused = venue.buy(poor, 5, 2_500, time_in_force=TimeInForce.IOC)
    assert [type(event) for event in refused] == [Refused]
    at = len(venue.entries) - 1
    engine = Engine()
    for entry in venue.entries[:at]:
        engine.apply(*entry[:3])
    engine._venue.accepted = True
    come_and_gone = engine.apply(*venue.entries[at][:3])
    assert [type(event) for event in come_and_gone] == [OrderPlaced, OrderCanceled]
    venue.wait(400 * 86_400)
    assert isinstance(venue.send(CutBatch())[-1], BatchCut)
    entries = list(venue.entries)
    seq, *order, _ = entries[at]
    entries[at] = (seq, *order, come_and_gone)
    path = str(tmp_path / "forged.db")
    write(entries, path)
    with Journal(path) as journal:
        believer = Engine()
        list(catch_up(journal.reader, believer, believed_to=seq))
        assert believer.state_hash() == venue.engine.state_hash()
        with pytest.raises(JournalCorrupt, match=f"seq {seq} replays to other events"):
            list(catch_up(journal.reader, Engine()))


def test_what_was_refused_is_refused_again() -> None:
    """No belief where any order of the command was refused: its own, a quote, one that it woke."""
    venue = open_venue()
    ann = venue.fund("ann")
    venue.sell(ann, 1, 2_500)
    _, _, order, placed = venue.entries[-1]
    assert nothing_refused(order, placed)
    assert not nothing_refused(order, (*placed, Refused(reason=RejectReason.NONCE_USED)))
    assert not nothing_refused(CutBatch(), ())
    (canceled,) = venue.cancel(placed)
    assert nothing_refused(order, (*placed, canceled))
    woken = msgspec.structs.replace(canceled, reason=CancelReason.REFUSED)
    assert not nothing_refused(order, (*placed, woken))
    quote = QuoteRefused(
        subaccount_id=ann,
        instrument_id=C,
        side=Side.BUY,
        reason=RejectReason.INSUFFICIENT_MARGIN,
        detail="",
    )
    assert not nothing_refused(order, (quote,))
