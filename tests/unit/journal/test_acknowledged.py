"""The witness beside a journal: exact after a crash, silent when torn."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.journals import append

from exchange.journal import Journal, JournalCorrupt, JournalReader, JournalUnavailable, schema
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


def test_a_start_beside_a_busy_leader_finds_nothing_lost(tmp_path, monkeypatch):
    """What the leader commits while another looks is no lost end."""
    path = str(tmp_path / "journal.db")
    monkeypatch.setattr(schema, "_LOCKED_S", 0.1)
    leader, head = Journal(path), JournalReader.head

    def busy(reader: JournalReader) -> tuple[int, bytes]:
        found = head(reader)
        with suppress(JournalUnavailable):  # while the other claims nobody commits
            append(leader, 3)
        return found

    append(leader, 1)
    monkeypatch.setattr(JournalReader, "head", busy)
    with Journal(path) as successor:
        assert successor.last_seq == 4
    leader.close()


def test_nobody_claims_before_the_witness_is_his(tmp_path, monkeypatch):
    """Two at once would take each other's file, and one's word would go nowhere."""
    path = str(tmp_path / "journal.db")
    others: list[str] = []
    take_over = Acknowledged.take_over

    def slowly(witness: Acknowledged, seq: int, chain_hash: bytes) -> None:
        if not others:
            with pytest.raises(JournalUnavailable) as refusal:
                Journal(path)
            others.append(str(refusal.value))
        take_over(witness, seq, chain_hash)

    Journal(path).close()
    monkeypatch.setattr(schema, "_LOCKED_S", 0.1)
    monkeypatch.setattr(Acknowledged, "take_over", slowly)
    with Journal(path) as leader:
        append(leader, 2)
    with closing(Acknowledged(Path(f"{path}-acknowledged"))) as witness:
        assert witness.read() == (2, leader.chain_hash)
    assert "locked" in others[0]


def test_who_cannot_take_the_witness_over_deposes_nobody(tmp_path, monkeypatch):
    """The lease goes back to who leads: he can go on, and a standby sees him live."""
    path = str(tmp_path / "journal.db")
    leader = Journal(path)
    append(leader, 2)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(JournalUnavailable, match="cannot be written: No space left"):
            Journal(path)
    append(leader, 1)
    leader.close()
    with Journal(path) as again:
        assert again.last_seq == 3


def test_a_leader_takes_the_witness_back_from_a_claim_that_failed(tmp_path, monkeypatch):
    """Whoever died between his file and his claim left a file that nobody writes to."""
    path = str(tmp_path / "journal.db")
    leader = Journal(path)
    append(leader, 2)
    take_over = Acknowledged.take_over

    def die(witness: Acknowledged, seq: int, chain_hash: bytes) -> None:
        take_over(witness, seq, chain_hash)
        raise JournalUnavailable("here")

    with monkeypatch.context() as patch:
        patch.setattr(Acknowledged, "take_over", die)
        with pytest.raises(JournalUnavailable, match="here"):
            Journal(path)
    for _ in range(2):
        append(leader, 3)
        with closing(Acknowledged(Path(f"{path}-acknowledged"))) as witness:
            assert witness.read() == (leader.last_seq, leader.chain_hash)
    leader.close()


def test_what_somebody_left_who_died_here_is_no_witness(tmp_path):
    """A file of his, perhaps still open, is not written to."""
    path = tmp_path / "journal.db"
    left = tmp_path / "journal.db-acknowledged.new"
    with Journal(str(path)) as journal:
        append(journal, 1)
    left.write_bytes(b"half a word")
    with left.open("r+b") as his, Journal(str(path)) as journal:
        append(journal, 1)
        his.write(bytes(100))
        his.flush()
        with closing(Acknowledged(tmp_path / "journal.db-acknowledged")) as witness:
            assert witness.read() == (2, journal.chain_hash)


def test_a_leader_that_wakes_does_not_set_the_witness_back(tmp_path, monkeypatch):
    """Frozen between its last commit and its word: that goes to a file that nobody reads."""
    path = str(tmp_path / "journal.db")
    frozen, held = Journal(path), []
    append(frozen, 1)
    with monkeypatch.context() as patch:
        patch.setattr(Acknowledged, "write", lambda _, *told: held.append(told))
        append(frozen, 1)
    with Journal(path) as successor:
        append(successor, 5)
        frozen._acknowledged.write(*held[0])
    frozen.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM journal_batches WHERE first_seq > 2")
    with pytest.raises(JournalCorrupt, match="seq 7 was acknowledged"):
        Journal(path)
