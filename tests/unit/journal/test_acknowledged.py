"""The witness beside a journal: exact after a crash, silent when torn."""

import os
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.journals import append

from exchange.journal import Journal, JournalUnavailable
from exchange.journal.acknowledged import Acknowledged, acknowledged_beside

HASH = bytes(range(32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db-acknowledged"


def test_it_knows_the_last_head_that_it_was_told(path):
    """Nothing at first; then the newest, also for who opens it anew."""
    witness = Acknowledged(path)
    assert witness.read() is None
    for seq in (1, 7, 1 << 40):
        witness.write(seq, HASH)
        assert witness.read() == (seq, HASH)
    witness.close()
    again = Acknowledged(path)
    assert again.read() == (1 << 40, HASH)
    again.close()


def test_a_torn_one_says_nothing(path):
    """Whatever byte is wrong, and wherever it ends."""
    witness = Acknowledged(path)
    witness.write(9, HASH)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert witness.read() is None
        path.write_bytes(whole[:at])
        assert witness.read() is None
    witness.close()


def test_a_failed_write_is_an_error(path):
    """Nobody goes on without it."""
    witness = Acknowledged(path)
    os.close(witness._file)
    with pytest.raises(JournalUnavailable, match="cannot be written"):
        witness.write(1, HASH)
    witness.close()
    with pytest.raises(JournalUnavailable, match="cannot be opened"):
        Acknowledged(path.parent / "nowhere" / "x")


def test_only_a_file_has_one(tmp_path):
    """One for each shard of it; databases elsewhere look after themselves."""
    assert acknowledged_beside(sa.make_url("postgresql://host/name"), 0) is None
    assert acknowledged_beside(sa.make_url("sqlite://"), 0) is None
    assert acknowledged_beside(sa.make_url("sqlite:///file:x?uri=true"), 0) is None
    for shard in (0, 3):
        with Journal(str(tmp_path / "journal.db"), shard=shard) as journal:
            append(journal, 2)
    names = {file.name for file in tmp_path.iterdir()}
    assert {"journal.db-acknowledged", "journal.db-acknowledged-3"} <= names


def test_a_journal_without_one_is_taken_as_it_is(tmp_path):
    """A backup, or a journal from before there were witnesses."""
    path = str(tmp_path / "journal.db")
    with Journal(path) as journal:
        append(journal, 2)
    Path(f"{path}-acknowledged").unlink()
    with Journal(path) as journal:
        assert journal.last_seq == 2
        append(journal, 1)
    assert Path(f"{path}-acknowledged").exists()


def test_a_commit_that_was_not_told_is_kept(tmp_path):
    """The process died between the two: what is durable stands."""
    path = str(tmp_path / "journal.db")
    with Journal(path) as journal:
        append(journal, 2)
        told = Path(f"{path}-acknowledged").read_bytes()
        append(journal, 3)
    Path(f"{path}-acknowledged").write_bytes(told)
    with Journal(path) as journal:
        assert journal.last_seq == 5
