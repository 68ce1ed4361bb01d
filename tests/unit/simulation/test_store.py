"""The store in memory, under the real writer and reader."""

import pytest

from exchange.commands import ReleaseOrders
from exchange.journal import EntryEncoder, JournalCorrupt, JournalReader, JournalUnavailable
from exchange.journal.writer import Journal
from exchange.simulation.store import Lost, Row, Store, StoreJournal, StoreReader


def append(journal: Journal, encoder: EntryEncoder, count: int) -> None:
    stamped = [encoder.stamp(10**18 + encoder.last_seq, ReleaseOrders(), ()) for _ in range(count)]
    entries = [entry for entry, _ in stamped]
    journal.append(entries, [record for _, record in stamped], {entries[-1].seq: b"\x01" * 32})


def test_what_is_written_is_read(tmp_path) -> None:
    """From the start, from the middle, one by one: as from a file."""
    store, encoder = Store(), EntryEncoder()
    journal = StoreJournal(store)
    with Journal(str(tmp_path / "journal.db")) as real:
        file_encoder = EntryEncoder()
        for count in (1, 3, 2):
            append(journal, encoder, count)
            append(real, file_encoder, count)
        reader, other = StoreReader(store), JournalReader(str(tmp_path / "journal.db"))
        for after in range(7):
            assert list(reader.entries(after)) == list(other.entries(after))
        assert reader.entry(4) == other.entry(4)
        assert reader.head() == other.head() == (6, journal.chain_hash)
        assert reader.checkpoints() == other.checkpoints()
        assert reader.last_checkpoint() == other.last_checkpoint() == 6
        other.close()
    with pytest.raises(LookupError):
        reader.entry(7)
    journal.check()


def test_a_crash_takes_what_is_not_durable() -> None:
    """And only that; a journal opened afterwards goes on from there."""
    store, encoder = Store(), EntryEncoder()
    append(StoreJournal(store), encoder, 2)
    kept = encoder.chain_hash
    last = store.rows[-1]
    store.write(Row(3, 3, kept, b"\x02" * 32, last.commands, last.events), {3: b"\x03" * 32})
    assert store.durable_seq == 2
    assert StoreReader(store).last_seq() == 3
    assert store.crash() == Lost(groups=1, commands=1)
    journal = StoreJournal(store)
    assert (journal.last_seq, journal.chain_hash) == (2, kept)
    assert store.state_hashes == {2: b"\x01" * 32}
    append(journal, EntryEncoder(2, kept), 1)
    assert StoreReader(store).last_seq() == 3


def test_a_bad_disk_refuses_once() -> None:
    """As SQLite would: nothing of the group is there."""
    store, encoder = Store(), EntryEncoder()
    journal = StoreJournal(store)
    store.failure = "the disk is full"
    with pytest.raises(JournalUnavailable, match="the disk is full"):
        append(journal, encoder, 1)
    assert StoreReader(store).head() == (0, bytes(32))


def test_a_changed_row_is_seen() -> None:
    """The hash chain is the real one."""
    store, encoder = Store(), EntryEncoder()
    append(StoreJournal(store), encoder, 2)
    store.rows[0].commands = store.rows[0].commands[:-1] + b"\xff"
    with pytest.raises(JournalCorrupt):
        list(StoreReader(store).entries())
