"""Records, blobs and the hash chain."""

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.commands import CancelAll, CutBatch
from exchange.events import ClockAdvanced
from exchange.journal import GENESIS_HASH, EntryEncoder
from exchange.journal.codec import decode_entries, encode_events, frame, unframe

RECORDS = st.lists(st.binary(max_size=300), max_size=10)


@given(RECORDS)
def test_blobs_give_their_records_back(records):
    """Any bytes, also none."""
    assert list(unframe(frame(records))) == records


@given(RECORDS, st.data())
def test_a_cut_blob_is_noticed(records, data):
    """A blob that ends anywhere but between two records is refused."""
    blob = frame(records)
    cut = data.draw(st.integers(0, len(blob)))
    whole = [frame(records[:count]) for count in range(len(records) + 1)]
    if blob[:cut] in whole:
        assert frame(list(unframe(blob[:cut]))) == blob[:cut]
    else:
        with pytest.raises(ValueError, match="the blob ends inside"):
            list(unframe(blob[:cut]))


def test_the_chain_is_sha256_of_records():
    """chain_hash(n) = sha256(chain_hash(n-1) || msgpack of [seq, time_ns, command])."""
    encoder = EntryEncoder()
    first, record = encoder.stamp(5, CutBatch(), ())
    assert record == msgspec.msgpack.encode([1, 5, {"type": "CutBatch"}])
    assert first.chain_hash == hashlib.sha256(GENESIS_HASH + record).digest()
    second, record = encoder.stamp(6, CutBatch(), ())
    assert second.chain_hash == hashlib.sha256(first.chain_hash + record).digest()
    assert (encoder.last_seq, encoder.chain_hash) == (2, second.chain_hash)


def test_records_stay_readable():
    """Bytes that this test wrote down once: journals are kept, and fields are only ever added."""
    record = b"\x93\x07\x08\x83\xa4type\xa9CancelAll\xadsubaccount_id\x02\xadinstrument_id\x03"
    blob, events = frame([record]), frame([encode_events(())])
    (entry,) = decode_entries(blob, events, GENESIS_HASH)
    assert (entry.seq, entry.time_ns) == (7, 8)
    assert entry.command == CancelAll(subaccount_id=2, instrument_id=3)
    assert entry.chain_hash == hashlib.sha256(GENESIS_HASH + record).digest()


def test_events_hang_on_their_commands():
    """Entries pair the two blobs; a missing or spare record is corruption."""
    encoder = EntryEncoder(10, b"\x01" * 32)
    events = (ClockAdvanced(offset_ns=1),)
    entry, record = encoder.stamp(5, CutBatch(), events)
    commands, outcomes = frame([record]), frame([encode_events(events)])
    assert list(decode_entries(commands, outcomes, b"\x01" * 32)) == [entry]
    for wrong in (b"", outcomes + outcomes):
        with pytest.raises(ValueError, match="argument 2"):
            list(decode_entries(commands, wrong, b"\x01" * 32))
