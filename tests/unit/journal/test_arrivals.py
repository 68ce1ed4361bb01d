"""What came by a stream is known by place and sender, batch by batch."""

import pytest
from tests.journals import made_up

from exchange.journal import Arrival, JournalReader, JournalUnavailable, Sender, StreamId
from exchange.journal.arrivals import START, senders_of


def arrive(journal, count: int, **arrivals: Arrival) -> None:
    entries, records = made_up(journal.last_seq, journal.chain_hash, count)
    found = {entries[int(at[1:])].seq: one for at, one in arrivals.items()}
    journal.append(entries, records, None, found)


def test_the_newest_place_is_remembered(journal, path):
    """By the writer and by whoever reads; a batch of the engine's own changes nothing."""
    assert journal.last_place == journal.reader.last_place() == START
    first, second = StreamId(1_000, 7), StreamId(1_000, 11)
    arrive(journal, 3, _0=Arrival(first, Sender(5, 1)), _2=Arrival(second, Sender(6, 1)))
    arrive(journal, 2)
    assert journal.last_place == journal.reader.last_place() == second
    arrive(journal, 1, _0=Arrival(StreamId(1_001, 0), Sender(5, 2)))
    assert JournalReader(path).last_place() == (1_001, 0)


def test_a_batch_that_was_refused_moves_nothing(journal):
    """Neither does what came by the stream with it."""
    entries, records = made_up(0, journal.chain_hash, 1)
    journal.append(entries, records)
    journal.last_seq, journal.chain_hash = 0, bytes(32)  # as an older leader would believe
    with pytest.raises(JournalUnavailable):
        journal.append(entries, records, None, {1: Arrival(StreamId(1, 1), Sender(1, 1))})
    assert journal.last_place == journal.reader.last_place() == START


def test_batches_without_arrivals_have_no_senders():
    """As in every journal of an engine without a stream."""
    assert senders_of(None) == {}
