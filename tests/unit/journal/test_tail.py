"""A tail sees each batch once, whole or from inside one, and refuses a gap."""

import contextlib
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.journals import append, made_up

from exchange.journal import (
    Arrival,
    JournalCorrupt,
    JournalTail,
    JournalUnavailable,
    Sender,
    StreamId,
)


@pytest.fixture
def tail(journal, path):
    opened = JournalTail(path)
    yield opened
    opened.close()


def test_each_batch_is_seen_once(tail, write):
    """In order; nothing new is nothing."""
    assert tail.fetch() == []
    first, second = write(3), write(1)
    assert [list(found.entries) for found in tail.fetch()] == [first, second]
    assert tail.fetch() == []
    third = write(2)
    assert [list(found.entries) for found in tail.fetch()] == [third]


def test_it_begins_anywhere(journal, path, write):
    """Inside a batch, at a border, and at the head of a journal that grows later."""
    entries = [*write(3), *write(2)]
    for after_seq in range(6):
        tail = JournalTail(path, after_seq=after_seq)
        seen = [entry for found in tail.fetch() for entry in found.entries]
        assert seen == entries[after_seq:]
        tail.close()
    tail = JournalTail(path, after_seq=5)
    more = append(journal, 2)
    assert [list(found.entries) for found in tail.fetch()] == [more]
    tail.close()


def test_senders_come_with_their_batch(journal, tail):
    """By seq."""
    entries, records = made_up(0, journal.chain_hash, 3)
    journal.append(entries, records, None, {2: Arrival(StreamId(1, 1), Sender(4, 9))})
    append(journal, 1)
    assert [found.senders for found in tail.fetch()] == [{2: (4, 9)}, {}]


def test_a_gap_is_not_passed_over(tail, write, path):
    """What misses a batch shows nothing more."""
    write(1)
    tail.fetch()
    write(1)
    write(1)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM journal_batches WHERE first_seq = 2")
    connection.close()
    with pytest.raises(JournalCorrupt, match="does not follow seq 1"):
        tail.fetch()


def test_a_journal_that_went_back_is_noticed(journal, tail, write, path):
    """Nothing new would come by until it is as long again: whoever leads, and how far it is."""
    write(2)
    assert tail.watch() == journal.reader.lease()
    write(2)
    tail.fetch()
    assert tail.watch() == journal.reader.lease()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM journal_batches WHERE first_seq > 2")
    assert tail.fetch() == []
    with pytest.raises(JournalCorrupt, match="seq 4 is gone"):
        tail.watch()


def test_closing_waits_for_a_thread_that_asks(tail, write, monkeypatch):
    """SQLite does not survive a connection that is closed under a question."""
    write(1)
    asked, goes_on, order = threading.Event(), threading.Event(), []
    plain = tail._ask

    def slow(query):
        asked.set()
        assert goes_on.wait(5)
        order.append("answered")
        return plain(query)

    monkeypatch.setattr(tail, "_ask", slow)
    with ThreadPoolExecutor(2) as pool:
        fetching = pool.submit(tail.fetch)
        assert asked.wait(5)
        closing = pool.submit(lambda: (tail.close(), order.append("closed")))
        goes_on.set()
        with contextlib.suppress(JournalUnavailable):  # if the end was known before it asked
            fetching.result(5)
        closing.result(5)
    assert order == ["answered", "closed"]
    with pytest.raises(JournalUnavailable, match="closed"):
        tail.fetch()
