"""Appending to the journal: one transaction per batch.

The single writer holds a `Journal`. A failed commit is never retried: the caller must stop, because
what the disk holds is unknown (pitfalls of fsync); restart and replay find out.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any, Final

import sqlalchemy as sa

from exchange.journal.acknowledged import Acknowledged, acknowledged_beside
from exchange.journal.arrivals import Arrival, StreamId, insert_arrivals
from exchange.journal.codec import GENESIS_HASH, Entry, encode_events, frame
from exchange.journal.lease import Lease, claim, renew
from exchange.journal.reader import JournalReader
from exchange.journal.schema import (
    JournalCorrupt,
    JournalUnavailable,
    batches,
    checkpoints,
    create_engine,
    explained,
    metadata,
    require_durable,
)

_INSERT: Final = sa.insert(batches)  # made once: every commit needs it


class Journal:
    """The append side; makes what is missing. Not thread-safe: one writer, one call at a time.

    Whoever opens one leads, and every other `Journal` of the shard is refused from then on. A
    standby gives the lease that it saw, and is refused if the leader showed itself since.
    """

    def __init__(self, location: str, *, shard: int = 0, seen: Lease | None = None) -> None:
        self.shard = shard
        with ExitStack() as opened:  # closed again where a later step fails
            self._database = create_engine(location)
            opened.callback(self._database.dispose)
            try:
                metadata.create_all(self._database)
                self._connection = opened.enter_context(self._open())
            except sa.exc.SQLAlchemyError as error:
                raise JournalUnavailable(
                    f"the journal at {location} cannot be opened: {explained(error)}"
                ) from error
            self.reader = opened.enter_context(closing(JournalReader(location, shard=shard)))
            self.reader.head()  # what is no journal is not led
            self._acknowledged = acknowledged_beside(self._database.url, shard)
            if self._acknowledged:
                opened.callback(self._acknowledged.close)
            self._epoch = self._claim(seen)
            self.last_place = self.reader.last_place()  # in the stream, of what is committed
            opened.pop_all()

    @property
    def is_local(self) -> bool:
        """Whether a commit waits for a disk of this machine, not for a server."""
        return self._database.dialect.name == "sqlite"

    def _open(self) -> sa.Connection:
        """A connection to a database that keeps what it is given."""
        connection = self._database.connect()
        try:
            require_durable(connection)
            connection.rollback()
            if self._database.dialect.name == "sqlite":  # a read-only file opens, and no more
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                connection.rollback()
        except BaseException:
            connection.close()
            raise
        return connection

    def _claim(self, seen: Lease | None) -> int:
        """Lead, or leave the lease with whoever has it.

        From the claim on nobody else commits or claims, so journal and witness stand still; beside
        a leader both would move between two looks.
        """
        try:
            with self._connection.begin():
                epoch = claim(self._connection, self.shard, seen)
                self.last_seq, self.chain_hash = self.reader.head()
                if self._acknowledged:
                    self._check_acknowledged(self._acknowledged)
                    self._acknowledged.take_over(self.last_seq, self.chain_hash)
                return epoch
        except sa.exc.SQLAlchemyError as error:
            raise JournalUnavailable(f"the journal cannot be led: {explained(error)}") from error

    def _check_acknowledged(self, witness: Acknowledged) -> None:
        """Refuse a journal without an entry that somebody was told of."""
        seq, chain_hash = witness.read() or (0, b"")
        if seq <= self.last_seq and (seq == 0 or self._hash_at(seq) == chain_hash):
            return
        raise JournalCorrupt(
            f"seq {seq} was acknowledged, and the journal that ends at seq {self.last_seq} does "
            "not hold it: it lost its end or is an older copy. Restore the newest backup; to give "
            f"up what came after it, delete {witness.path} (docs/runbook.md)"
        )

    def _hash_at(self, seq: int) -> bytes:
        return self.chain_hash if seq == self.last_seq else self.reader.entry(seq).chain_hash

    def append(
        self,
        entries: Sequence[Entry],
        records: Sequence[bytes],
        state_hashes: dict[int, bytes] | None = None,
        arrivals: Mapping[int, Arrival] | None = None,
    ) -> None:
        """Commit entries that follow the last ones; returns when they are durable.

        `records` are the entries' command records as `EntryEncoder.stamp` gave them; `arrivals`
        tell, by seq, which came by a stream.
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
        self.last_place = self._commit(row, marks, arrivals)
        self.last_seq, self.chain_hash = entries[-1].seq, entries[-1].chain_hash
        if self._acknowledged:
            self._acknowledged.write(self.last_seq, self.chain_hash)

    def _commit(
        self,
        row: dict[str, Any],
        marks: list[dict[str, Any]],
        arrivals: Mapping[int, Arrival] | None,
    ) -> StreamId:
        """Store all of a batch or nothing, durably; returns the place in the stream by then."""
        place = self.last_place
        try:
            with self._connection.begin():
                renew(self._connection, self.shard, self._epoch)
                if self._acknowledged and self._acknowledged.is_replaced:
                    # By one who died or failed in the middle of his claim: this one leads still.
                    self._acknowledged.take_over(self.last_seq, self.chain_hash)
                self._connection.execute(_INSERT, row)
                if marks:
                    self._connection.execute(sa.insert(checkpoints), marks)
                if arrivals:
                    place = insert_arrivals(
                        self._connection, self.shard, row["first_seq"], arrivals
                    )
        except sa.exc.SQLAlchemyError as error:
            raise JournalUnavailable(f"the journal refused a batch: {explained(error)}") from error
        return place

    def beat(self) -> None:
        """Show a standby that this leader lives though it has nothing to write.

        May be called beside `append`. Raises `LeaseLost` when another leads.
        """
        try:
            with self._database.begin() as connection:
                renew(connection, self.shard, self._epoch)
        except sa.exc.SQLAlchemyError as error:
            raise JournalUnavailable(f"the journal refused a beat: {explained(error)}") from error

    def close(self) -> None:
        """Release the database; further appends are a bug."""
        self.reader.close()  # first, so that the writer, closing last, folds the log into the file
        self._connection.close()
        self._database.dispose()
        if self._acknowledged:
            self._acknowledged.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Assert that the head in memory is the head on disk."""
        assert (self.last_seq, self.chain_hash) == self.reader.head()
        assert self.last_seq > 0 or self.chain_hash == GENESIS_HASH
