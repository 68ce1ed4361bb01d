"""Reading: from anywhere, while somebody writes, and never past what is damaged."""

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.journals import append

from exchange.commands import CancelAll
from exchange.journal import (
    GENESIS_HASH,
    EntryEncoder,
    Journal,
    JournalCorrupt,
    JournalReader,
    JournalUnavailable,
)
from exchange.journal import reader as reader_module


@pytest.fixture
def reader(journal, path):
    opened = JournalReader(path)
    yield opened
    opened.close()


def change(path: str, statement: str, *values: object) -> None:
    """Do to the file what only damage or an enemy does."""
    with sqlite3.connect(path) as connection:
        assert connection.execute(statement, values).rowcount == 1
    connection.close()


def test_an_empty_journal(reader):
    """Nothing, and the hash of nothing."""
    assert reader.head() == (0, GENESIS_HASH)
    assert (reader.last_seq(), list(reader.entries()), reader.checkpoints()) == (0, [], {})
    with pytest.raises(LookupError, match="no seq 1"):
        reader.entry(1)


def test_entries_come_back_as_written(reader, write):
    """Commands, events, times and hashes, across batches."""
    entries = [*write(3), *write(1), *write(5)]
    assert list(reader.entries()) == entries
    assert reader.head() == (9, entries[-1].chain_hash)


def test_reading_starts_anywhere(reader, write):
    """Inside a batch, at its border, at the head and beyond."""
    entries = [*write(3), *write(2)]
    for after_seq in range(5):
        assert list(reader.entries(after_seq)) == entries[after_seq:]
    assert list(reader.entries(5)) == list(reader.entries(99)) == []


def test_one_entry(reader, write):
    """Any that is there; LookupError for others."""
    entries = [*write(3), *write(2)]
    assert [reader.entry(seq) for seq in range(1, 6)] == entries
    for missing in (0, -1, 6):
        with pytest.raises(LookupError):
            reader.entry(missing)


def test_reading_goes_on_while_another_writes(reader, write):
    """Each new look sees what was committed since, and only whole batches."""
    first = write(2)
    entries = reader.entries()
    assert next(entries) == first[0]
    second = write(2)
    assert [*entries] == [first[1], *second]
    assert list(reader.entries(4)) == []
    third = write(1)
    assert list(reader.entries(4)) == third


def test_many_batches_come_in_pages(reader, write, monkeypatch):
    """More rows than one query fetches."""
    monkeypatch.setattr(reader_module, "_ROWS_AT_ONCE", 3)
    entries = [entry for _ in range(8) for entry in write(2)]
    assert list(reader.entries(3)) == entries[3:]


def test_checkpoints(reader, write):
    """State hashes by seq."""
    write(2, state_hashes={1: b"\x01" * 32, 2: b"\x02" * 32})
    write(1, state_hashes={3: b"\x03" * 32})
    assert reader.checkpoints() == {seq: bytes([seq]) * 32 for seq in (1, 2, 3)}


def test_shards_do_not_mix(path, write):
    """Two journals in one database."""
    entries = write(2)
    with Journal(path, shard=1) as other:
        assert other.last_seq == 0
        assert list(other.reader.entries()) == []
    reader = JournalReader(path, shard=0)
    assert list(reader.entries()) == entries
    reader.close()


def test_a_reader_cannot_write(reader, write):
    """The file is opened read-only: no bug of a reader can change it."""
    write(1)
    with (
        reader._database.connect() as connection,
        pytest.raises(sa.exc.OperationalError, match="readonly"),
    ):
        connection.execute(sa.text("DELETE FROM journal_batches"))


def test_a_missing_journal_is_named(tmp_path):
    """A reader never creates one."""
    with pytest.raises(JournalUnavailable, match=r"there is no journal at .*nowhere\.db"):
        JournalReader(str(tmp_path / "nowhere.db"))
    assert list(tmp_path.iterdir()) == []


def test_odd_paths_work(tmp_path):
    """A path is a path, whatever its letters mean in a URI."""
    folder = tmp_path / "a b%20#c?mode=rw"
    folder.mkdir()
    with Journal(str(folder / "journal.db")) as journal:
        assert journal.reader.last_seq() == 0


NOT_JOURNALS = [b"", b"SQLite format 3\x00" + b"\xff" * 4_000, b"hello" * 1_000]


@pytest.mark.parametrize("content", NOT_JOURNALS, ids=["empty", "damaged", "text"])
def test_other_files_are_no_journals(tmp_path, content):
    """One clear error, not one of the database's many."""
    path = tmp_path / "other.db"
    path.write_bytes(content)
    reader = JournalReader(str(path))
    with pytest.raises(JournalUnavailable, match="cannot be read"):
        reader.last_seq()
    reader.close()


# --- damage ---

GAPS = [
    ("DELETE FROM journal_batches WHERE first_seq = 1", "batch 3 does not follow seq 0"),
    ("DELETE FROM journal_batches WHERE first_seq = 3", "batch 5 does not follow seq 2"),
    ("UPDATE journal_batches SET first_seq = 4 WHERE first_seq = 3", "batch 4 does not follow"),
    ("UPDATE journal_batches SET last_seq = 3 WHERE first_seq = 3", "does not match"),
    ("UPDATE journal_batches SET chain_hash = zeroblob(32) WHERE first_seq = 3", "does not match"),
    ("UPDATE journal_batches SET previous_hash = zeroblob(32) WHERE first_seq = 3", "not follow"),
    ("UPDATE journal_batches SET commands = x'' WHERE first_seq = 3", "seq 3 cannot be read"),
    ("UPDATE journal_batches SET events = x'' WHERE first_seq = 3", "seq 3 cannot be read"),
    (
        "UPDATE journal_batches SET commands = x'', events = x'' WHERE first_seq = 3",
        "does not match",
    ),
]


@pytest.mark.parametrize(("statement", "message"), GAPS)
def test_gaps_and_rewrites_are_noticed(reader, write, path, statement, message):
    """Nothing of the damaged batch is handed out; what came before it is."""
    for _ in range(3):
        write(2)
    change(path, statement)
    seen = []
    with pytest.raises(JournalCorrupt, match=message):
        seen.extend(reader.entries())
    assert [entry.seq for entry in seen] in ([], [1, 2])


def test_a_transplanted_batch_is_noticed(reader, write, path):
    """Commands of another place in the order have other seqs."""
    write(2)
    write(2)
    change(
        path,
        "UPDATE journal_batches SET commands = (SELECT commands FROM journal_batches "
        "WHERE first_seq = 1) WHERE first_seq = 3",
    )
    with pytest.raises(JournalCorrupt, match="expected seq 3, the journal holds 1"):
        reader.entry(3)


@pytest.fixture(scope="module")
def three_batches(tmp_path_factory) -> tuple[str, list[bytes]]:
    """A closed journal and the commands of its batches, for damage that is undone again."""
    path = str(tmp_path_factory.mktemp("damage") / "journal.db")
    with Journal(path) as journal:
        for _ in range(3):
            append(journal, 3)
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT commands FROM journal_batches ORDER BY first_seq")
        blobs = [row[0] for row in rows]
    connection.close()
    return path, blobs


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2), st.integers(0, 10**6), st.integers(0, 7))
def test_every_flipped_bit_of_a_command_is_noticed(three_batches, batch, at, bit):
    """Wherever it is, in whatever batch: the chain covers every bit of the commands."""
    path, blobs = three_batches
    damaged = bytearray(blobs[batch])
    damaged[at % len(damaged)] ^= 1 << bit
    update = "UPDATE journal_batches SET commands = ? WHERE first_seq = ?"
    change(path, update, bytes(damaged), 3 * batch + 1)
    reader = JournalReader(path)
    seen = []
    with pytest.raises(JournalCorrupt):
        seen.extend(reader.entries())
    assert len(seen) == 3 * batch
    with pytest.raises(JournalCorrupt):
        reader.entry(3 * batch + 1)
    change(path, update, blobs[batch], 3 * batch + 1)
    assert len(list(reader.entries())) == 9
    reader.close()


def test_a_journal_that_goes_back_under_a_reader_is_noticed(reader, path):
    """An older copy was put in its place, or another server's, with or without new entries."""
    with Journal(path) as journal:
        append(journal, 3)
        append(journal, 2)
        assert [one.seq for one in reader.entries()] == [1, 2, 3, 4, 5]
        assert list(reader.entries(5)) == []
        append(journal, 1)
        assert [one.seq for one in reader.entries(5)] == [6]
    Path(f"{path}-acknowledged").unlink()
    change(path, "DELETE FROM journal_batches WHERE first_seq = 6")
    with pytest.raises(JournalCorrupt, match="seq 6 is gone or another command"):
        list(reader.entries(6))
    change(path, "DELETE FROM journal_batches WHERE first_seq = 4")
    with Journal(path) as journal:
        for count in (2, 3):
            encoder = EntryEncoder(journal.last_seq, journal.chain_hash)
            found = [encoder.stamp(9_999, CancelAll(subaccount_id=0), ()) for _ in range(count)]
            journal.append([entry for entry, _ in found], [record for _, record in found])
            with pytest.raises(JournalCorrupt, match="seq 6 is gone or another command"):
                list(reader.entries(6))
    assert [one.seq for one in reader.entries(3)] == [4, 5, 6, 7, 8]


def test_a_relative_path_is_read_where_it_was_written(tmp_path, monkeypatch, write):
    """Settings may name `./var/journal.db`."""
    monkeypatch.chdir(tmp_path)
    Path("var").mkdir()
    with Journal("var/journal.db") as journal:
        assert journal.reader.head() == (0, GENESIS_HASH)
    assert (tmp_path / "var" / "journal.db").exists()
