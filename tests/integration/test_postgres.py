"""The journal on a real PostgreSQL, started from a wheel: the same code by another URL."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.journals import append
from tests.postgres import postgres
from tests.signed_venue import traded_venue, write_journal

from exchange.audit import Replay
from exchange.journal import (
    EntryEncoder,
    Journal,
    JournalReader,
    JournalTail,
    JournalUnavailable,
    LeaseLost,
)

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """URL of an empty database of a server that only this module uses."""
    with postgres() as url:
        yield url


def test_a_journal_by_url_replays_like_one_in_a_file(database: str, tmp_path: Path) -> None:
    """Same entries, same hashes, same state."""
    venue = traded_venue()
    write_journal(venue, tmp_path / "journal.db")
    write_journal(venue, database)
    with closing(JournalReader(str(tmp_path / "journal.db"))) as reader:
        in_file = Replay(reader).run()
    with closing(JournalReader(database)) as reader:
        by_url = Replay(reader).run()
    assert by_url == in_file
    assert by_url.state_hash == venue.engine.state_hash().hex()


def test_a_second_writer_is_fenced(database: str) -> None:
    """Two that opened at one head: the newer leads, and a standby that saw too little does not."""
    venue = traded_venue()
    _, time_ns, command, events = venue.entries[0]
    entry, record = EntryEncoder().stamp(time_ns, command, events)
    with Journal(database, shard=7) as first:
        seen = first.reader.lease()
        first.beat()
        with pytest.raises(LeaseLost):
            Journal(database, shard=7, seen=seen)
        with Journal(database, shard=7, seen=first.reader.lease()) as second:
            with pytest.raises(LeaseLost):
                first.append([entry], [record])
            with pytest.raises(LeaseLost):
                first.beat()
            second.append([entry], [record])
            assert first.reader.last_seq() == 1


def test_a_tail_outlives_its_line(database: str) -> None:
    """The server ends it; the next look opens another and misses nothing."""
    with Journal(database, shard=8) as journal:
        tail = JournalTail(database, shard=8)
        first = append(journal, 2)
        assert [list(found.entries) for found in tail.fetch()] == [first]
        second = append(journal, 1)
        ended = sa.create_engine(database)
        with ended.begin() as connection:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid IN"
            idle = (
                "(SELECT pid FROM pg_stat_activity WHERE query LIKE '%journal_arrivals%senders%')"
            )
            assert list(connection.execute(sa.text(f"{others} {idle} AND pid <> pg_backend_pid()")))
        ended.dispose()
        with pytest.raises(JournalUnavailable):
            tail.fetch()
        assert [list(found.entries) for found in tail.fetch()] == [second]
        tail.close()
