"""Entries for tests of the journal: made up, one batch at a time."""

from exchange.commands import CancelAll
from exchange.events import ClockAdvanced
from exchange.journal import Entry, EntryEncoder, Journal


def made_up(last_seq: int, chain_hash: bytes, count: int) -> tuple[list[Entry], list[bytes]]:
    """`count` entries that follow a head, and their records."""
    encoder = EntryEncoder(last_seq, chain_hash)
    entries, records = [], []
    for seq in range(last_seq + 1, last_seq + count + 1):
        events = (ClockAdvanced(offset_ns=seq),) * (seq % 3)
        entry, record = encoder.stamp(1_000 + seq, CancelAll(subaccount_id=seq), events)
        entries.append(entry)
        records.append(record)
    return entries, records


def append(journal: Journal, count: int = 1, **marks: dict[int, bytes]) -> list[Entry]:
    """Append one batch of made-up entries."""
    entries, records = made_up(journal.last_seq, journal.chain_hash, count)
    journal.append(entries, records, **marks)
    return entries
