"""Faults of a real PostgreSQL: each ends in one clear sentence, nothing acknowledged is lost.

As `tests/unit/journal/test_faults.py` has it for a file. A commit under way when the fault comes
may be in the journal or not: nobody was told of it.
"""

import os
import random
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import gettempdir

import pytest
import sqlalchemy as sa
import structlog
from tests.journals import append, made_up
from tests.long_run import LONG
from tests.postgres import Postgres, postgres_server
from tests.small_disk import bound_files, small_disk

from exchange.journal import (
    Entry,
    EntryEncoder,
    Journal,
    JournalCorrupt,
    JournalReader,
    JournalUnavailable,
)
from exchange.journal.schema import create_tables

pytestmark = pytest.mark.integration

log = structlog.get_logger(__name__)

SEED = int(os.environ.get("EXCHANGE_SEED", "2026"))
KILLS = 60 if LONG else 4
BATCHES_MAX = 200  # before a kill
SMALL_KB = 2_000
MANY = 400  # entries in a batch, about 30 kB, so that a disk is full within a second
ENDLESS = 10_000  # batches; the fault comes long before
DROP = "DROP TABLE IF EXISTS journal_batches, journal_checkpoints, journal_leases"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres_server() as running:
        yield running


@pytest.fixture
def url(server: Postgres) -> Iterator[str]:
    """An empty database, under the server's own settings before and after."""
    server.start()
    server.run(DROP, "ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")
    yield server.url
    server.run("ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")


def held(url: str) -> list[Entry]:
    """The whole journal, as a restart reads it."""
    with closing(JournalReader(url)) as reader:
        return list(reader.entries())


def set_for_all(server: Postgres, name: str, value: str) -> None:
    """One setting of the server; sessions that are open see it with their next transaction."""
    server.run(f"ALTER SYSTEM SET {name} = {value}", "SELECT pg_reload_conf()")
    database = sa.create_engine(server.url)
    deadline = time.monotonic() + 10
    while True:
        with database.connect() as connection:
            if str(connection.exec_driver_sql(f"SHOW {name}").scalar()) == value.strip("'"):
                break
        assert time.monotonic() < deadline, f"{name} is not {value}"
        database.dispose()  # a new session reads the newest
        time.sleep(0.02)
    database.dispose()


class Writer(threading.Thread):
    """Appends as fast as it can until the store fails."""

    def __init__(self, url: str, at_once: int = 3) -> None:
        super().__init__()
        self._at_once = at_once
        self.told: list[Entry] = []
        self.failure: JournalUnavailable | None = None
        self._url = url
        self.start()

    def run(self) -> None:
        try:
            with Journal(self._url) as journal:
                for _ in range(ENDLESS):
                    self.told += append(journal, self._at_once)
        except JournalUnavailable as error:
            self.failure = error

    def wait(self, batches: int) -> None:
        """Until so many were acknowledged."""
        deadline = time.monotonic() + 60
        while len(self.told) < 3 * batches:
            assert self.is_alive(), self.failure
            assert time.monotonic() < deadline, "the writer stands still"
            time.sleep(0.001)

    def end(self) -> str:
        """What it said when it ended."""
        self.join(60)
        assert not self.is_alive()
        assert self.failure is not None, "nothing failed"
        return str(self.failure)


def require_told(url: str, before: list[Entry], told: list[Entry], at_once: int = 3) -> list[Entry]:
    """All that was acknowledged is there, and of the rest one batch at most, whole."""
    entries = held(url)
    known = before + told
    assert entries[: len(known)] == known
    assert len(entries) - len(known) in (0, at_once)
    return entries


def test_a_killed_server_loses_nothing_that_was_acknowledged(server: Postgres, url: str) -> None:
    """kill -9 of all its processes at any instant of a commit; after its recovery one goes on."""
    log.info("EXCHANGE_SEED repeats it", seed=SEED, kills=KILLS)
    dice = random.Random(SEED)
    entries: list[Entry] = []
    caught = 0
    for _ in range(KILLS):
        writer = Writer(url)
        writer.wait(dice.randrange(1, BATCHES_MAX))
        time.sleep(dice.random() * 0.002)  # about one commit
        server.kill()
        assert "the server is gone" in writer.end()
        server.start()
        after = require_told(url, entries, writer.told)
        caught += len(after) - len(entries) - len(writer.told) > 0
        entries = after
    log.info("all there", entries=len(entries), of_them_never_answered=3 * caught)


def test_a_session_that_the_server_ends_is_named(server: Postgres, url: str) -> None:
    """An administrator's word, a restart, or a proxy that closes: the same outcome."""
    writer = Writer(url)
    writer.wait(5)
    server.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    )
    assert "the server is gone" in writer.end()
    require_told(url, [], writer.told)


def test_a_server_that_takes_no_writes_is_named(server: Postgres, url: str) -> None:
    """Under a running writer, and when one is opened; reading goes on."""
    with Journal(url) as journal:
        told = append(journal, 5)
        set_for_all(server, "default_transaction_read_only", "on")
        with pytest.raises(JournalUnavailable, match=r"refused a batch: .*takes no writes"):
            append(journal, 5)
    assert held(url) == told
    with pytest.raises(JournalUnavailable, match=r"cannot be led: .*takes no writes"):
        Journal(url)
    set_for_all(server, "default_transaction_read_only", "off")
    with Journal(url) as journal:
        told += append(journal, 1)
    assert held(url) == told


@pytest.mark.parametrize(
    ("name", "bad"), [("fsync", "off"), ("full_page_writes", "off"), ("synchronous_commit", "off")]
)
def test_a_server_that_forgets_is_refused(server: Postgres, url: str, name: str, bad: str) -> None:
    """One that says a commit is done before it is."""
    set_for_all(server, name, bad)
    with pytest.raises(JournalUnavailable, match=rf"the server has {name} off: .* would be lost"):
        Journal(url)
    set_for_all(server, name, "on")
    with Journal(url) as journal:
        append(journal, 1)


def test_a_stricter_isolation_is_not_the_venues(server: Postgres, url: str) -> None:
    """Beats beside commits touch one row: under the server's level they would end each other."""
    set_for_all(server, "default_transaction_isolation", "serializable")
    with Journal(url) as journal:
        over = threading.Event()
        failures: list[BaseException] = []

        def beat() -> None:
            try:
                while not over.is_set():
                    journal.beat()
            except JournalUnavailable as error:
                failures.append(error)

        beating = threading.Thread(target=beat)
        beating.start()
        try:
            told = [entry for _ in range(100) for entry in append(journal, 1)]
        finally:
            over.set()
            beating.join(30)
    assert failures == []
    assert held(url) == told


@contextmanager
def lease_locked(url: str) -> Iterator[None]:
    """Somebody's session holds the row that every commit touches."""
    database = sa.create_engine(url)
    with database.connect() as connection, connection.begin():
        connection.exec_driver_sql("SELECT * FROM journal_leases FOR UPDATE")
        yield
    database.dispose()


def test_a_lock_that_stays_is_named_and_one_that_goes_is_waited_for(
    server: Postgres, url: str
) -> None:
    set_for_all(server, "lock_timeout", "'300ms'")
    with Journal(url) as journal:
        told = append(journal, 5)
        with lease_locked(url), pytest.raises(JournalUnavailable, match="session is in the way"):
            append(journal, 5)
    assert held(url) == told
    set_for_all(server, "lock_timeout", "0")
    writer = Writer(url)
    writer.wait(1)
    with lease_locked(url):
        waits_at = len(writer.told)
        time.sleep(0.3)
        assert len(writer.told) <= waits_at + 3  # one commit may have been behind the lock
    writer.wait(waits_at // 3 + 3)
    server.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    )
    writer.end()
    require_told(url, told, writer.told)


@contextmanager
def little_room(folder: Path) -> Iterator[tuple[Postgres, Path | None]]:
    """A server whose tables lie on a small disk; None where its files are bounded instead.

    One of its own: what happens to it here nobody else should notice.
    """
    for parent in (folder, *folder.parents):
        if parent == Path(gettempdir()):
            break
        parent.chmod(0o755)  # the server is another user
    disk = folder / "disk"
    with small_disk(disk, SMALL_KB) as mounted, postgres_server() as server:
        if not mounted:
            for process in server.processes():
                bound_files(process.pid, SMALL_KB << 9)
            yield server, None
            return
        place = disk / "tables"
        place.mkdir()
        if server.user:
            shutil.chown(place, server.user)
        server.run(f"CREATE TABLESPACE small LOCATION '{place}'")
        set_for_all(server, "default_tablespace", "small")
        yield server, disk


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    """With space again the venue goes on from there."""
    with little_room(tmp_path) as (server, disk):
        create_tables(server.url)
        ballast = disk / "ballast" if disk else None
        if ballast:
            ballast.write_bytes(bytes(SMALL_KB << 8))
        writer = Writer(server.url, MANY)
        said = writer.end()
        log.info("full", tmpfs=disk is not None, said=said)
        assert "refused a batch" in said
        entries = require_told(server.url, [], writer.told, MANY)
        if ballast:
            assert "the disk is full" in said
            ballast.unlink()
            with Journal(server.url) as journal:
                append(journal, 3)
            assert len(held(server.url)) == len(entries) + 3


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("SET commands = overlay(commands placing '\\x00' from 20)", r"seq|the hash of batch"),
        ("SET chain_hash = sha256(chain_hash)", r"the hash of batch 6 does not match"),
        ("SET previous_hash = sha256(chain_hash)", r"batch 6 does not follow seq 5"),
    ],
)
def test_a_damaged_record_is_named(server: Postgres, url: str, damage: str, words: str) -> None:
    """In a column it is what it would be in a file: the first bad seq, never a shorter journal."""
    with Journal(url) as journal:
        for _ in range(3):
            append(journal, 5)
    server.run(f"UPDATE journal_batches {damage} WHERE first_seq = 6")
    with pytest.raises(JournalCorrupt, match=words):
        held(url)


def test_a_row_that_is_gone_leaves_a_gap(server: Postgres, url: str) -> None:
    with Journal(url) as journal:
        for _ in range(3):
            append(journal, 5)
    server.run("DELETE FROM journal_batches WHERE first_seq = 6")
    with pytest.raises(JournalCorrupt, match="batch 11 does not follow seq 5"):
        held(url)


def test_time_that_went_back_is_corruption_here_too(url: str) -> None:
    with Journal(url) as journal:
        command = made_up(0, bytes(32), 1)[0][0].command
        encoder = EntryEncoder()
        for time_ns in (5, 4):
            entry, record = encoder.stamp(time_ns, command, ())
            journal.append([entry], [record])
    with pytest.raises(JournalCorrupt, match="time goes back at seq 2"):
        held(url)


def test_a_batch_that_is_there_already_is_another_writers(server: Postgres, url: str) -> None:
    """The key fences even who holds the lease: a restored copy of the table, say."""
    with Journal(url) as journal:
        append(journal, 5)
        server.run(
            "INSERT INTO journal_batches SELECT shard, 6, 6, previous_hash, chain_hash, commands,"
            " events FROM journal_batches"
        )
        with pytest.raises(JournalUnavailable, match="another writer was here first"):
            append(journal, 5)


def test_who_may_not_is_told(server: Postgres, url: str) -> None:
    """No such database; a user without rights."""
    missing = url.replace("/postgres?", "/nowhere?")
    with pytest.raises(JournalUnavailable, match=r"does not exist.*gone or refuses"):
        Journal(missing)
    with Journal(url):
        pass
    server.run("DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN")
    with pytest.raises(JournalUnavailable, match="its user may not"):
        Journal(url.replace("//postgres:", "//guest:"))
    server.run("DROP ROLE guest")
