"""Faults of the store: each ends in one clear sentence, and nothing acknowledged is lost."""

import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.journals import append, made_up

from exchange.journal import EntryEncoder, Journal, JournalCorrupt, JournalUnavailable
from exchange.journal.schema import explained

NOBODY = 65_534


@contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """No file grows beyond this many bytes: the write that would is torn there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 10, 24, 3_000, 4_120, 9_000, 20_000])
def test_a_full_disk_loses_nothing_that_was_acknowledged(path, room):
    """The write is torn where the disk ends; with space again the venue goes on from there."""
    with Journal(path) as journal:
        told = append(journal, 5)
        size = Path(f"{path}-wal").stat().st_size

        def fill() -> None:
            for _ in range(50):
                told.extend(append(journal, 5))

        refusal = r"refused a batch: .*; the d"  # the disk is full, the device failed
        with disk_full_at(size + room), pytest.raises(JournalUnavailable, match=refusal):
            fill()
    with Journal(path) as journal:
        assert list(journal.reader.entries()) == told
        append(journal, 1)


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Root may write everywhere: act as a user who may not, in a folder that he may enter."""
    if os.geteuid():
        yield
        return
    for parent in folder.parents:
        if not parent.stat().st_mode & 1:
            parent.chmod(parent.stat().st_mode | 0o55)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_journal_does_not_start(path, tmp_path):
    """It is refused when it is opened, not at the first order."""
    with Journal(path) as journal:
        append(journal, 5)
    Path(path).chmod(0o444)
    Path(f"{path}-acknowledged").chmod(0o444)
    tmp_path.chmod(0o555)
    with as_nobody(tmp_path), pytest.raises(JournalUnavailable, match=r"cannot be opened: .*only"):
        Journal(path)
    tmp_path.chmod(0o755)
    for name in ("", "-acknowledged"):
        Path(f"{path}{name}").chmod(0o644)
    with Journal(path) as journal:
        assert journal.last_seq == 5


def restart(path: str) -> None:
    """Open a journal and read it whole, as an engine does."""
    with Journal(path) as journal:
        list(journal.reader.entries())


def test_a_torn_file_never_passes_for_a_shorter_journal(path):
    """Wherever it ends it is refused, when it is opened or when it is read."""
    with Journal(path) as journal:
        for _ in range(12):
            append(journal, 40)
    whole = Path(path).read_bytes()
    for size in range(0, len(whole), 1_777):
        Path(path).write_bytes(whole[:size])
        with pytest.raises((JournalCorrupt, JournalUnavailable), match=r"(?i)restore|seq"):
            restart(path)
        for rest in ("-wal", "-shm"):
            Path(f"{path}{rest}").unlink(missing_ok=True)


def test_time_that_went_back_is_corruption(path):
    """Within a batch and between two: no sequencer writes that."""
    for groups in ([(5, 4)], [(5,), (4,)]):
        Path(path).unlink(missing_ok=True)
        Path(f"{path}-acknowledged").unlink(missing_ok=True)
        with Journal(path) as journal:
            command = made_up(0, bytes(32), 1)[0][0].command
            encoder = EntryEncoder()
            for times in groups:
                stamped = [encoder.stamp(time_ns, command, ()) for time_ns in times]
                journal.append([entry for entry, _ in stamped], [record for _, record in stamped])
            with pytest.raises(JournalCorrupt, match="time goes back at seq 2"):
                list(journal.reader.entries())


class ServerError(Exception):
    """What psycopg raises: a code and some words."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("words of the server")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("53100", "the disk is full"),
        ("25006", "takes no writes"),
        ("55P03", "another session is in the way"),
        ("40001", "another session is in the way"),
        ("53300", "max_connections"),
        ("42501", "its user may not"),
        (None, "the server is gone"),
        ("XX001", "damaged"),
        ("08006", "the server is gone"),
        ("57P01", "the server is gone"),
        ("23505", "another writer"),
    ],
)
def test_a_server_is_understood_too(code, advice):
    """PostgreSQL's codes get the same advice as SQLite's names."""
    told = explained(sa.exc.OperationalError("INSERT", {}, ServerError(code)))
    assert told.startswith("words of the server; ")
    assert advice in told


def test_what_is_not_known_is_told_as_it_is():
    """In the database's words alone."""
    assert (
        explained(sa.exc.OperationalError("X", {}, ServerError("42601"))) == "words of the server"
    )
    assert explained(sa.exc.InvalidRequestError("words")) == "words"
    assert explained(sa.exc.OperationalError("X", {}, sqlite3.Error("other"))) == "other"
