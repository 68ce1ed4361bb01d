"""A shared read model: one writes, others read, and who takes over leaves nothing out."""

import sqlite3

import pytest
import sqlalchemy as sa
from tests.unit.history.test_store import names, row

from exchange.history import shared
from exchange.history.shared import Heir, HistoryReader
from exchange.history.store import HistoryStore
from exchange.journal import JournalUnavailable


@pytest.fixture
def location(tmp_path):
    return str(tmp_path / "history.db")


def test_a_reader_sees_what_the_leader_writes(location):
    store, reader = HistoryStore(location), HistoryReader(location)
    store.append(1, [row(1)])
    assert names(store) == ["1.0"]  # it is written by then
    assert names(reader) == ["1.0"]
    assert reader.last_seq > store.last_seq
    with pytest.raises(AssertionError):
        reader.append(2, [row(2)])
    reader.close()
    store.close()


def test_an_heir_writes_what_its_leader_did_not(location):
    """And nothing twice; the seq of an entry without rows counts too."""
    leader, heir = HistoryStore(location), Heir(location)
    for seq in range(1, 6):
        heir.append(seq, [row(seq)])
    heir.append(6, ())
    leader.append(1, [row(1)])
    leader.append(3, [row(3)])
    leader.close()
    store = heir.inherit()
    assert store.last_seq == 6
    assert names(store) == ["5.0", "4.0", "3.0", "1.0"]  # up to 3 the leader wrote all there was
    store.close()


def test_an_heir_forgets_what_is_written(location, monkeypatch):
    """Or it would hold the whole past."""
    monkeypatch.setattr(shared, "LOOK_ROWS", 10)
    leader, heir = HistoryStore(location), Heir(location)
    for seq in range(1, 101):
        leader.append(seq, [row(seq)])
        names(leader)
        heir.append(seq, [row(seq)])
        assert len(heir._held) <= 10
    leader.close()
    assert heir.inherit().last_seq == 100


def test_a_leader_that_wakes_too_late_does_no_harm(location):
    """It writes the same rows, and its progress is no step back."""
    old = HistoryStore(location)
    new = HistoryStore(location)
    new.append(1, [row(1)])
    new.append(2, [row(2)])
    assert names(new) == ["2.0", "1.0"]
    old.append(1, [row(1)])
    assert names(old) == ["2.0", "1.0"]
    old.close()
    new.append(3, [row(3)])
    new.close()
    assert HistoryStore(location).last_seq == 3


def test_a_store_that_is_away_ends_no_standby(location, monkeypatch):
    """It holds on to what it has, and looks again later."""
    monkeypatch.setattr(shared, "LOOK_ROWS", 2)
    heir = Heir(location)

    def away(*_: object) -> int:
        raise sa.exc.OperationalError("select", {}, OSError("the server is gone"))

    with monkeypatch.context() as patched:
        patched.setattr(shared, "written", away)
        for seq in range(1, 6):
            heir.append(seq, [row(seq)])
    assert names(heir.inherit()) == ["5.0", "4.0", "3.0", "2.0", "1.0"]


def test_an_heir_leads_though_the_store_is_away(location, tmp_path):
    """What it holds is written as soon as it is back; one that starts meanwhile says why not."""
    leader, heir = HistoryStore(location), Heir(location)
    for seq in range(1, 6):
        heir.append(seq, [row(seq)])
    leader.append(2, [row(2)])
    leader.close()
    aside = tmp_path / "aside"
    (tmp_path / "history.db").rename(aside)
    (tmp_path / "history.db").mkdir()
    with pytest.raises(JournalUnavailable, match=r"the past at .* cannot be opened"):
        Heir(location)
    store = heir.inherit()
    store.append(6, [row(6)])
    with pytest.raises(JournalUnavailable, match=r"the past at .* cannot be opened"):
        names(store)
    (tmp_path / "history.db").rmdir()
    aside.rename(location)
    assert names(store) == ["6.0", "5.0", "4.0", "3.0", "2.0"]  # up to 2 the leader wrote all
    store.close()
    assert HistoryStore(location).last_seq == 6


def test_a_past_that_cannot_be_read_is_named(location):
    HistoryStore(location).close()
    reader = HistoryReader(location)
    with sqlite3.connect(location) as connection:
        connection.execute("DROP TABLE history_records")
    connection.close()
    with pytest.raises(JournalUnavailable, match="the past cannot be read"):
        names(reader)
    reader.close()
