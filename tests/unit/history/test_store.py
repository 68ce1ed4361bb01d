"""The read model: what was appended comes back, in pages, once, after any restart."""

import asyncio

import pytest
import sqlalchemy as sa
import structlog
from hypothesis import given
from hypothesis import strategies as st

from exchange.history import store as module
from exchange.history.store import HistoryStore, tables_of
from exchange.journal import JournalUnavailable


@pytest.fixture
def location(tmp_path):
    return str(tmp_path / "history.db")


@pytest.fixture
def store(location):
    found = HistoryStore(location)
    yield found
    found.close()


def row(seq, place=0, *, subaccount_id=2, topic="trade", instrument_id=7, time_ms=None):
    time_ms = seq * 10 if time_ms is None else time_ms
    return (seq, place, subaccount_id, topic, instrument_id, time_ms, f"{seq}.{place}".encode())


def page(store, subaccounts=(2,), topics=("trade",), **where):
    return asyncio.run(store.page(subaccounts, topics, **where))


def names(store, **where):
    return [body.decode() for body in page(store, **where)[0]]


def test_the_newest_comes_first(store):
    store.append(1, [row(1), row(1, 1)])
    store.append(2, [row(2)])
    assert names(store) == ["2.0", "1.1", "1.0"]
    assert names(store, ascending=True) == ["1.0", "1.1", "2.0"]


def test_questions_choose(store):
    store.append(1, [row(1), row(1, 1, subaccount_id=3), row(1, 2, topic="order")])
    store.append(2, [row(2, instrument_id=8), row(2, 1, instrument_id=0)])
    assert names(store, subaccounts=(3,)) == ["1.1"]
    assert names(store, topics=("order",)) == ["1.2"]
    assert names(store, topics=("order", "trade")) == ["2.1", "2.0", "1.2", "1.0"]
    assert names(store, instrument_ids=frozenset({8, 0})) == ["2.1", "2.0"]
    assert names(store, since_ms=11) == ["2.1", "2.0"]
    assert names(store, until_ms=19) == ["1.0"]


@given(
    counts=st.lists(st.integers(0, 4), max_size=12),
    size=st.integers(1, 5),
    ascending=st.booleans(),
)
def test_pages_hold_every_row_once_in_order(tmp_path_factory, counts, size, ascending):
    """Whatever the size of a page, and while more is appended between pages read downwards."""
    store = HistoryStore(str(tmp_path_factory.mktemp("history") / "history.db"))
    expected = []
    for seq, count in enumerate(counts, 1):
        rows = [row(seq, place) for place in range(count)]
        expected += [f"{seq}.{place}" for place in range(count)]
        store.append(seq, rows)
    found, after = [], None
    while True:
        bodies, after = page(store, after=after, count=size, ascending=ascending)
        found += [body.decode() for body in bodies]
        assert len(bodies) <= size
        if after is None:
            break
        if not ascending:
            store.append(store.last_seq + 1, [row(store.last_seq + 1)])
    assert found == (expected if ascending else expected[::-1])
    store.close()


def test_a_restart_goes_on_where_it_ended(location):
    first = HistoryStore(location)
    first.append(5, [row(5)])
    first.close()
    second = HistoryStore(location)
    assert second.last_seq == 5
    second.append(5, [row(5)])
    second.append(6, [row(6)])
    assert names(second) == ["6.0", "5.0"]
    second.close()


def test_a_command_half_written_is_written_again(location, monkeypatch):
    """A crash between two writes of one command's rows: the restart takes the command whole."""
    monkeypatch.setattr(module, "_ROWS_A_WRITE", 2)
    first = HistoryStore(location)
    first.append(5, [row(5)])
    asyncio.run(first.page((2,), ("trade",)))
    with first._database.begin() as connection:
        records = tables_of(0).records
        names_ = records.c.keys()
        rows = [dict(zip(names_, row(6, place), strict=True)) for place in (0, 1)]
        connection.execute(records.insert(), rows)
    first.close()
    second = HistoryStore(location)
    assert second.last_seq == 5
    second.append(6, [row(6, place) for place in range(5)])
    assert names(second) == ["6.4", "6.3", "6.2", "6.1", "6.0", "5.0"]
    second.close()


def test_entries_without_rows_move_on(store):
    store.append(3, [])
    assert store.last_seq == 3
    store.append(2, [row(2)])
    assert names(store) == []


def test_how_far_it_came_is_kept_without_rows(location):
    """At its end, and every so often: a snapshot beyond that would be of no use."""
    for last_seq in (7, 9):
        store = HistoryStore(location)
        store.append(last_seq, [])
        store.close()
        store = HistoryStore(location)
        assert store.last_seq == last_seq
        store.close()
    dead = HistoryStore(location)
    for seq in range(10, 3_010):
        dead.append(seq, [])
    dead._thread.shutdown()  # it dies with what was asked of it, and no more
    heir = HistoryStore(location)
    assert 2_000 <= heir.last_seq < 3_010
    heir.close()


def test_what_cannot_be_written_is_told_now_and_then(store, monkeypatch):
    """It waits, and is tried again a second later, not with every command."""
    now = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    with store._database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE history_records RENAME TO aside"))
    with structlog.testing.capture_logs() as logs:
        for seq in range(1, 100):
            now[0] += 0.1
            store.append(seq, [row(seq)])
            store._write.result()
    assert 9 <= len(logs) <= 11
    assert {line["event"] for line in logs} == {"history_unavailable"}
    assert logs[-1]["waiting"] > 80
    with store._database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE aside RENAME TO history_records"))
    assert len(names(store)) == 99


def test_what_waited_is_written_with_the_next_entry(store, monkeypatch):
    """Once it is left alone no more, though that entry has no rows."""
    now = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    with store._database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE history_records RENAME TO aside"))
    store.append(1, [row(1)])
    store._write.result()
    store.append(2, [row(2)])
    with store._database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE aside RENAME TO history_records"))
    now[0] += module._RETRY_S
    store.append(3, [])
    store._write.result()
    with store._database.connect() as connection:
        assert connection.execute(sa.select(store._tables.records.c.seq)).scalars().all() == [1, 2]


def test_one_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(JournalUnavailable, match=r"the past at .* cannot be opened"):
        HistoryStore(str(tmp_path / "nowhere" / "history.db"))


def test_a_failed_write_waits_for_the_next(store):
    store.append(1, [row(1)])
    assert names(store) == ["1.0"]
    with store._database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE history_records RENAME TO aside"))
    store.append(2, [row(2)])
    with pytest.raises(JournalUnavailable, match="the past cannot be written"):
        page(store)
    with store._database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE aside RENAME TO history_records"))
    assert names(store) == ["2.0", "1.0"]
