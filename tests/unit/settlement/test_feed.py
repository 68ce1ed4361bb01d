"""From journal to outbox: jobs, resuming, and what else the relayer learns on the way."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from eth_hash.auto import keccak
from tests.fake_chain import CLEARING, oracle_desks
from tests.settlement_world import NS, Script
from tests.signed_venue import quoted_venue, write_journal
from tests.venue import C, P, open_venue

from exchange.commands import (
    AdvanceClock,
    CutBatch,
    ListCombo,
    ObserveBlocks,
    PlaceLinked,
    RevertBlocks,
    UpdateMarks,
)
from exchange.events import ClockAdvanced, ComboListed, MarksUpdated, Refused, RejectReason
from exchange.fixed import CASH_SCALE
from exchange.journal import JournalReader
from exchange.journal.outbox import JobKind, JobState, Outbox, Outcome
from exchange.model import HitCondition, Leg, LinkKind, numbered
from exchange.settlement import feed as module
from exchange.settlement.cursor import BlockCursor
from exchange.settlement.feed import ClockJump, Feed
from exchange.settlement.index_samples import sample_of


class Parts:
    def __init__(self, folder: Path) -> None:
        self.script = Script(folder / "journal.db")
        self.reader = JournalReader(str(folder / "journal.db"))
        self.outbox = Outbox(str(folder / "relayer.db"))

    def feed(self) -> Feed:
        return Feed(self.reader, self.outbox, clearing=CLEARING, **oracle_desks())

    def close(self) -> None:
        self.script.close()
        self.reader.close()
        self.outbox.close()


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    parts = Parts(tmp_path)
    yield parts
    parts.close()


def test_each_cut_makes_a_job(parts: Parts) -> None:
    """Calldata to Clearing, its hash, and where to resume."""
    feed = parts.feed()
    parts.script.trade()
    assert feed.pull() == 0
    cut = parts.script.cut()
    assert feed.pull() == 1
    [job] = parts.outbox.jobs()
    assert (job.key, job.number, job.last_seq, job.to) == ("batch:1", 1, cut.last_seq, CLEARING)
    assert job.batch_hash == keccak(job.data[4:])
    assert feed.pull() == 0


def test_delivery_prices_stand_before_their_batch(parts: Parts) -> None:
    """The order in the outbox is the order on chain."""
    parts.script.expire(1, 100_000 * CASH_SCALE)
    parts.script.cut()
    assert parts.feed().pull() == 2
    keys = [job.key for job in parts.outbox.jobs()]
    assert keys == [f"delivery:1:{parts.script.expiry}", "batch:1"]


def test_a_restart_resumes_after_the_last_batch(parts: Parts) -> None:
    """The same jobs, whether one process read the journal or two."""
    for _ in range(2):
        parts.script.trade()
        parts.script.cut()
    parts.feed().pull()
    parts.script.trade()
    feed = parts.feed()
    assert feed.seq == parts.outbox.jobs()[1].last_seq
    feed.pull()
    parts.script.cut()
    parts.feed().pull()
    resumed = parts.outbox.jobs()
    parts.outbox = Outbox(str(parts.script.path.with_name("fresh.db")))
    parts.feed().pull()
    assert parts.outbox.jobs() == resumed


def test_old_orders_are_read_from_the_journal(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order that left the memory, or came before a restart, is found all the same."""
    monkeypatch.setattr(module, "_RECENT_MAX", 1)
    feed = parts.feed()
    ask = parts.script.place(parts.script.maker, 1, 1)
    parts.script.place(parts.script.maker, 1, 1)
    bought = parts.script.traded(ask.seq, parts.script.seq + 1, 1)
    parts.script.place(parts.script.taker, 0, 1, bought)
    parts.script.cut()
    assert feed.pull() == 1
    assert len(feed._recent) == 1


def test_an_order_of_a_linked_command_is_found_by_its_place(parts: Parts) -> None:
    """In memory, and in the journal once it is forgotten."""
    orders = [parts.script.place(parts.script.maker, 1, 1).command for _ in range(2)]
    linked = parts.script.add(
        PlaceLinked(kind=LinkKind.OCO, condition=HitCondition.ANY_FILL, orders=tuple(orders))
    )
    second = numbered(linked.seq, 1)
    feed = parts.feed()
    feed.pull()
    assert feed._signed(second) == orders[1]
    assert parts.feed()._signed(second) == orders[1]


def test_a_sheet_is_read_from_the_journal(parts: Parts, tmp_path: Path) -> None:
    """It is too long to be kept, and as good when it comes from there."""
    venue = quoted_venue()
    venue.send(CutBatch())
    path = tmp_path / "quoted.db"
    write_journal(venue, path)
    parts.reader.close()
    parts.reader = JournalReader(str(path))
    assert parts.feed().pull() == 2
    assert [job.kind for job in parts.outbox.jobs()] == [JobKind.INDEX, JobKind.BATCH]


def test_legs_and_marks_are_read_where_the_journal_has_them(parts: Parts, tmp_path: Path) -> None:
    """A combo's by its number, out of the entry that listed it; marks by their entry."""
    venue = open_venue()
    venue.mark({C: 2_500, P: 1_500})
    both = [venue.send(ListCombo(legs=(Leg(C, 1), Leg(P, sign))))[-1] for sign in (1, -1)]
    path = tmp_path / "combos.db"
    write_journal(venue, path)
    parts.reader.close()
    parts.reader = JournalReader(str(path))
    feed = parts.feed()
    for listed, sign in zip(both, (1, -1), strict=True):
        assert isinstance(listed, ComboListed)
        assert {leg.ratio for leg in feed._legs(listed.instrument_id)} == {1, sign}
    marked = next(seq for seq, _, command, _ in venue.entries if isinstance(command, UpdateMarks))
    assert isinstance(feed._marks(marked), UpdateMarks)
    with pytest.raises(AssertionError, match="seq 1 brought no marks"):
        feed._marks(1)


def test_published_epochs_become_jobs_between_the_batches(parts: Parts) -> None:
    """Each once, in the order of the journal, and across restarts."""
    parts.script.mark(1)
    parts.script.trade()
    parts.script.cut()
    parts.script.mark(2)
    assert parts.feed().pull() == 3
    parts.script.mark(3)
    assert parts.feed().pull() == 2, "the second is read again, and left alone"
    keys = [job.key for job in parts.outbox.jobs()]
    assert keys == ["root:1", "batch:1", "root:2", "root:3"]
    assert parts.outbox.jobs()[0].time_s == parts.script.entries[0].time_ns // NS


def test_index_samples_become_jobs_once_a_heartbeat(parts: Parts) -> None:
    """Whatever comes between; a restart may post one more."""
    start_s = parts.script.time_ns // NS
    feed = parts.feed()
    for after_s in (0, 30, 59, 60, 100, 121):
        parts.script.time_ns = (start_s + after_s) * NS
        parts.script.sample(10**11 + after_s)
    assert feed.pull() == 3
    assert feed.underlyings == [1]
    samples = [sample_of(job) for job in parts.outbox.jobs()]
    assert [(one.time_s - start_s, one.price - 10**11) for one in samples] == [
        (0, 0),
        (60, 60),
        (121, 121),
    ]


def test_an_epoch_that_is_not_published_has_no_root(parts: Parts) -> None:
    """Refused, or in force for the engine alone."""
    update = UpdateMarks(
        epoch=1, root=bytes(32), underlyings=(), expiries=(), instrument_ids=(), rows=b""
    )
    parts.script.add(update, Refused(reason=RejectReason.STALE_MARKS))
    parts.script.add(update, MarksUpdated(epoch=1, root=bytes(32)))
    assert parts.feed().pull() == 0


def test_the_cursor_survives_a_restart(parts: Parts) -> None:
    """Block and hash are kept with the batch, and later observations move them on."""
    parts.script.post(ObserveBlocks(first_block=1, last_block=4, last_hash="0x04"))
    parts.script.cut()
    feed = parts.feed()
    feed.pull()
    assert feed.cursor == BlockCursor(block=4, block_hash="0x04", seq=1)
    heir = parts.feed()
    assert msgspec.structs.replace(heir.cursor, seq=1) == feed.cursor
    parts.script.post(ObserveBlocks(first_block=5, last_block=6, last_hash="0x06"))
    heir.pull()
    assert (heir.cursor.block, heir.cursor.block_hash) == (6, "0x06")


def test_a_clock_jump_waits_for_what_happened_before(parts: Parts) -> None:
    """An accepted jump says where the chain's clock must go and after which batch."""
    feed = parts.feed()
    by_ns = 3_600 * 10**9
    parts.script.add(AdvanceClock(by_ns=by_ns), Refused(reason=RejectReason.NOT_LOCAL))
    feed.pull()
    assert feed.jump is None
    to_s = parts.script.time_ns // 10**9 + 3_600
    for trades, after_batch in ((0, 0), (1, 1)):
        for _ in range(trades):
            parts.script.trade()
        parts.script.add(AdvanceClock(by_ns=by_ns), ClockAdvanced(offset_ns=by_ns))
        feed.pull()
        assert feed.jump == ClockJump(to_s=to_s, after_batch=after_batch)


def test_a_trade_without_a_signed_order_is_a_bug(parts: Parts) -> None:
    """A journal that points at the wrong command builds nothing."""
    parts.script.cut()
    parts.script.place(parts.script.maker, 0, 1, parts.script.traded(1, 1, 1))
    parts.script.cut()
    with pytest.raises(AssertionError, match="seq 1 carries no signed order"):
        parts.feed().pull()


def test_lost_blocks_reopen_what_was_final_in_them(parts: Parts) -> None:
    """The cursor goes back, jobs of later blocks have to be done again, and it is counted."""
    feed = parts.feed()
    for block in (5, 6):
        parts.script.post(
            ObserveBlocks(first_block=block, last_block=block, last_hash=f"0x{block}")
        )
        parts.script.trade()
        parts.script.cut()
    feed.pull()
    for block, job in zip((5, 6), parts.outbox.jobs(), strict=True):
        mined = parts.outbox.move(job, JobState.MINED, Outcome(tx_hash="", block=block))
        parts.outbox.move(mined, JobState.CONFIRMED)
    entry = parts.script.revert(RevertBlocks(last_block=5, last_hash="0x5"))
    assert feed.pull() == 0
    assert feed.cursor == BlockCursor(block=5, block_hash="0x5", seq=entry.seq)
    assert [job.state for job in parts.outbox.jobs()] == [JobState.CONFIRMED, JobState.BUILT]
    assert feed.reverted_blocks == 1
    feed.reopen(5)
    assert feed.reverted_blocks == 2
