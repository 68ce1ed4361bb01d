"""Writing: one transaction a batch, one writer a shard, errors in plain words."""

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.journals import append, made_up

from exchange.journal import (
    GENESIS_HASH,
    Journal,
    JournalReader,
    JournalUnavailable,
    LeaseLost,
)


def test_a_new_journal_is_empty(journal):
    """It begins with the hash of nothing."""
    assert (journal.last_seq, journal.chain_hash) == (0, GENESIS_HASH)
    journal.check()


def test_the_head_follows_what_is_committed(journal, write):
    """In memory and on disk."""
    for count in (1, 3, 2):
        entries = write(count)
        assert (journal.last_seq, journal.chain_hash) == (
            entries[-1].seq,
            entries[-1].chain_hash,
        )
        journal.check()


def test_reopening_goes_on_where_it_ended(path):
    """The chain of hashes joins across restarts."""
    with Journal(path) as journal:
        entries = append(journal, 3)
    with Journal(path) as journal:
        assert (journal.last_seq, journal.chain_hash) == (3, entries[-1].chain_hash)
        entries += append(journal, 2)
        assert list(journal.reader.entries()) == entries


@pytest.mark.parametrize("last_seq", [1, 3])
def test_entries_join_the_head(journal, write, last_seq):
    """A gap or a repetition is a bug of the caller, and so is an empty batch."""
    write(2)
    entries, records = made_up(last_seq, journal.chain_hash, 1)
    with pytest.raises(AssertionError):
        journal.append(entries, records)
    with pytest.raises(AssertionError):
        journal.append([], [])
    journal.check()


def test_a_second_writer_is_fenced(path, journal, write):
    """Two leaders that know the same head: the newer commits, the other is refused for good."""
    write(2)
    with Journal(path) as other:
        with pytest.raises(LeaseLost):
            write(1)  # though nobody has written that seq yet
        entries = append(other, 1)
        with pytest.raises(LeaseLost):
            write(3)
        with pytest.raises(LeaseLost):
            journal.beat()
        assert journal.last_seq == 2
        assert [entry.seq for entry in other.reader.entries()] == [1, 2, 3]
        assert other.reader.entry(3) == entries[0]
        append(other, 1)


def test_the_key_fences_too(path, journal, write):
    """A batch that exists is never written again, whoever claims to lead."""
    entries, records = made_up(0, GENESIS_HASH, 1)
    with sqlite3.connect(path) as database:
        journal.append(entries, records)
        journal.last_seq, journal.chain_hash = 0, GENESIS_HASH
        with pytest.raises(JournalUnavailable, match="another writer was here first"):
            journal.append(entries, records)
        assert database.execute("select count(*) from journal_batches").fetchall() == [(1,)]


def test_a_refused_batch_leaves_nothing(path, journal, write):
    """Entries and checkpoints go together or not at all."""
    write(1, state_hashes={1: b"\x01" * 32})
    entries, records = made_up(1, journal.chain_hash, 1)
    with pytest.raises(JournalUnavailable):
        journal.append(entries, records, {1: b"\x02" * 32})  # that checkpoint exists
    journal.check()
    assert journal.reader.checkpoints() == {1: b"\x01" * 32}


def test_a_full_disk_is_an_error(path, journal, write):
    """The commit fails in plain words, and what was committed before is still there."""
    entries = write(1)
    pages = journal._connection.exec_driver_sql("PRAGMA page_count").scalar()
    journal._connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    journal._connection.commit()

    def fill() -> None:
        while True:
            write(100)

    with pytest.raises(JournalUnavailable, match="refused a batch"):
        fill()
    reader = JournalReader(path)
    assert next(reader.entries()) == entries[0]
    reader.close()


def test_a_journal_that_cannot_be_opened_is_named(tmp_path):
    """A folder that does not exist, and a path that is a folder."""
    with pytest.raises(JournalUnavailable, match="cannot be opened"):
        Journal(str(tmp_path / "nowhere" / "journal.db"))
    with pytest.raises(JournalUnavailable, match="cannot be opened"):
        Journal(str(tmp_path))


def test_a_file_that_is_no_database_is_left_alone(tmp_path):
    """It is refused and not overwritten."""
    path = tmp_path / "notes.txt"
    path.write_text("not a journal " * 100)
    with pytest.raises(JournalUnavailable, match="cannot be opened"):
        Journal(str(path))
    assert path.read_text() == "not a journal " * 100


def test_readers_see_whole_batches_while_the_writer_writes(path, journal, write):
    """A thread that reads as fast as it can never sees part of a batch or a broken chain."""
    write(4)
    reader = JournalReader(path)
    sizes: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            sizes.append(len(list(reader.entries())))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for _ in range(60):
            write(4)
    finally:
        done.set()
        thread.join()
    reader.close()
    assert sizes == sorted(sizes)
    assert all(size % 4 == 0 for size in sizes)


ROOT = Path(__file__).parents[3]
WRITER = """
import sys
from tests.journals import append
from exchange.journal import Journal
with Journal(sys.argv[1]) as journal:
    while True:
        append(journal, 3)
        print(journal.last_seq, flush=True)
"""


def test_what_was_acknowledged_survives_a_kill(path):
    """kill -9 in mid-write: every acknowledged entry is there, and the chain is whole."""
    command = [sys.executable, "-c", WRITER, path]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": ".:src"},
    )
    assert process.stdout is not None
    acknowledged = 0
    for line in process.stdout:
        acknowledged = int(line)
        if acknowledged >= 60:
            process.kill()
            break
    rest = process.stdout.read().split("\n")
    process.wait()
    process.stdout.close()
    acknowledged = max([acknowledged, *(int(line) for line in rest[:-1])])
    with Journal(path) as journal:
        journal.check()
        assert journal.last_seq >= acknowledged
        assert len(list(journal.reader.entries())) == journal.last_seq
        append(journal, 1)


def test_the_file_is_plain_sqlite(path, write):
    """Anybody with the sqlite3 shell can look at it."""
    write(2)
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    rows = connection.execute("SELECT shard, first_seq, last_seq FROM journal_batches").fetchall()
    connection.close()
    assert rows == [(0, 1, 2)]
