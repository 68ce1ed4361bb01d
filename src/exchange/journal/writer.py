"""Appending to the journal: one transaction per batch.

The single writer holds a `Journal`. A failed commit is never retried: the caller must stop, because
what the disk holds is unknown (pitfalls of fsync); restart and replay find out.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from exchange.journal.codec import GENESIS_HASH, Entry, encode_events, frame
from exchange.journal.reader import JournalReader
from exchange.journal.schema import (
    JournalUnavailable,
    batches,
    checkpoints,
    create_engine,
    metadata,
)


class Journal:
    """The append side; makes what is missing. Not thread-safe: one writer, one call at a time."""

    def __init__(self, location: str, *, shard: int = 0) -> None:
        self.shard = shard
        self._database = create_engine(location)
        try:
            metadata.create_all(self._database)
            self._connection = self._database.connect()
        except sa.exc.SQLAlchemyError as error:
            raise JournalUnavailable(
                f"the journal at {location} cannot be opened: {error}"
            ) from error
        self.reader = JournalReader(location, shard=shard)
        self.last_seq, self.chain_hash = self.reader.head()

    def append(
        self,
        entries: Sequence[Entry],
        records: Sequence[bytes],
        state_hashes: dict[int, bytes] | None = None,
    ) -> None:
        """Commit entries that follow the last ones; returns when they are durable.

        `records` are the entries' command records as `EntryEncoder.stamp` gave them.
        """
        assert entries
        assert entries[0].seq == self.last_seq + 1
        row = {
            "shard": self.shard,
            "first_seq": entries[0].seq,
            "last_seq": entries[-1].seq,
            "previous_hash": self.chain_hash,
            "chain_hash": entries[-1].chain_hash,
            "commands": frame(records),
            "events": frame([encode_events(entry.events) for entry in entries]),
        }
        marks = [
            {"shard": self.shard, "seq": seq, "state_hash": state_hash}
            for seq, state_hash in (state_hashes or {}).items()
        ]
        try:
            with self._connection.begin():
                self._connection.execute(sa.insert(batches), row)
                if marks:
                    self._connection.execute(sa.insert(checkpoints), marks)
        except sa.exc.SQLAlchemyError as error:
            raise JournalUnavailable(f"the journal refused a batch: {error}") from error
        self.last_seq, self.chain_hash = entries[-1].seq, entries[-1].chain_hash

    def close(self) -> None:
        """Release the database; further appends are a bug."""
        self._connection.close()
        self._database.dispose()
        self.reader.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Assert that the head in memory is the head on disk."""
        assert (self.last_seq, self.chain_hash) == self.reader.head()
        assert self.last_seq > 0 or self.chain_hash == GENESIS_HASH
