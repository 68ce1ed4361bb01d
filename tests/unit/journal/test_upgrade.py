"""Journals of earlier versions stay readable and replay to what they recorded.

`tests/data/journal-*.db` were written by the version of their month, and are never written anew: a
change that breaks them needs a way for venues that run.
"""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from exchange.commands import CutBatch
from exchange.engine import Engine
from exchange.journal import EntryEncoder, Journal, JournalReader
from exchange.sequencer import catch_up

DATA = Path(__file__).parents[2] / "data"
JOURNALS = sorted(DATA.glob("journal-*.db"))


@pytest.fixture(params=JOURNALS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A copy of an old journal."""
    return str(shutil.copy(request.param, tmp_path / "journal.db"))


def test_every_old_command_still_replays(path):
    """Each command decodes, the chain holds, and the engine says what it said then.

    Hashes of the state are taken as recorded: a version may give the state another form.
    """
    reader, engine, seen = JournalReader(path), Engine(), Counter[str]()
    for entry in catch_up(reader, engine, trust_hashes=True):
        seen[type(entry.command).__name__] += 1
    engine.check()
    assert engine.seq == reader.last_seq() == seen.total() > 200
    assert len(seen) > 20
    reader.close()


def test_an_old_journal_goes_on(path):
    """It is opened and written like one of today."""
    with Journal(path) as journal:
        (last,) = journal.reader.entries(journal.last_seq - 1)
        encoder = EntryEncoder(journal.last_seq, journal.chain_hash)
        entry, record = encoder.stamp(last.time_ns, CutBatch(), ())
        journal.append([entry], [record])
        assert list(journal.reader.entries(last.seq)) == [entry]


def test_there_are_old_journals():
    """Or the tests above would pass on nothing."""
    assert JOURNALS
