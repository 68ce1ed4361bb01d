"""Reading the journal: from the start, from a seq, or one entry. Never writes.

Any process may read while the engine writes. Everything read is checked: seqs without gap, and the
hash chain from batch to batch.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from exchange.journal.arrivals import START, StreamId, newest_place
from exchange.journal.codec import GENESIS_HASH, Entry, decode_entries
from exchange.journal.lease import Lease, query_of
from exchange.journal.schema import (
    JournalCorrupt,
    JournalUnavailable,
    batches,
    checkpoints,
    create_engine,
    explained,
)

_ROWS_AT_ONCE = 200


class JournalReader:
    """The read side of one shard's journal, at a path or database URL."""

    def __init__(self, location: str, *, shard: int = 0) -> None:
        self.shard = shard
        self._database = create_engine(location, read_only=True)
        self._given = (0, GENESIS_HASH)  # seq and chain hash of what `entries` gave last

    def head(self) -> tuple[int, bytes]:
        """(last seq, chain hash after it); (0, zeros) when empty."""
        query = (
            sa.select(batches.c.last_seq, batches.c.chain_hash)
            .where(batches.c.shard == self.shard)
            .order_by(batches.c.first_seq.desc())
            .limit(1)
        )
        row = next(iter(self._rows(query)), None)
        return (row.last_seq, row.chain_hash) if row else (0, GENESIS_HASH)

    def last_seq(self) -> int:
        """Number of the newest committed command; 0 when empty."""
        return self.head()[0]

    def entries(self, after_seq: int = 0) -> Iterator[Entry]:
        """Committed entries with seq > `after_seq`, in order, up to the head as of each page.

        Where this reader gave `after_seq` last, that entry must still be what it was: the journal
        may have gone back under it, to an older copy or a server that lagged.
        """
        given_seq, given_hash = self._given
        cursor, chain_hash = self._start(after_seq)
        joint = chain_hash if cursor == after_seq + 1 else None
        time_ns = 0
        while rows := self._page(cursor):
            for row in rows:
                if row.first_seq != cursor or row.previous_hash != chain_hash:
                    raise JournalCorrupt(f"batch {row.first_seq} does not follow seq {cursor - 1}")
                for entry in self._decode(row):
                    if entry.time_ns < time_ns:
                        raise JournalCorrupt(f"time goes back at seq {entry.seq}")
                    time_ns = entry.time_ns
                    if entry.seq == after_seq:
                        joint = entry.chain_hash
                    elif entry.seq > after_seq:
                        if after_seq == given_seq and joint != given_hash:
                            raise JournalCorrupt(went_back(after_seq))
                        self._given = entry.seq, entry.chain_hash
                        yield entry
                cursor, chain_hash = row.last_seq + 1, row.chain_hash
        if after_seq == given_seq and joint != given_hash:
            raise JournalCorrupt(went_back(after_seq))

    def entry(self, seq: int) -> Entry:
        """The entry with this seq; LookupError when it is not in the journal."""
        row = self._covering(seq)
        if row is not None and row.first_seq <= seq <= row.last_seq:
            at: int = seq - row.first_seq
            return self._decode(row)[at]
        raise LookupError(f"the journal holds no seq {seq}")

    def checkpoints(self) -> dict[int, bytes]:
        """State hashes that the engine recorded, by seq."""
        query = sa.select(checkpoints.c.seq, checkpoints.c.state_hash).where(
            checkpoints.c.shard == self.shard
        )
        rows = self._rows(query.order_by(checkpoints.c.seq))
        return {row.seq: row.state_hash for row in rows}

    def last_checkpoint(self) -> int:
        """Seq of the newest recorded state hash; 0 if there is none."""
        query = sa.select(sa.func.max(checkpoints.c.seq)).where(checkpoints.c.shard == self.shard)
        return self._rows(query)[0][0] or 0

    def lease(self) -> Lease:
        """The leader's last sign of life."""
        row = next(iter(self._rows(query_of(self.shard))), None)
        return Lease(row.epoch, row.beat) if row else Lease()

    def last_place(self) -> StreamId:
        """Place in the stream of the newest command that came by it."""
        row = next(iter(self._rows(newest_place(self.shard))), None)
        return StreamId(row.time_ms, row.number) if row else START

    def close(self) -> None:
        """Release the database."""
        self._database.dispose()

    def _start(self, after_seq: int) -> tuple[int, bytes]:
        row = self._covering(after_seq + 1)
        return (row.first_seq, row.previous_hash) if row else (1, GENESIS_HASH)

    def _covering(self, seq: int) -> sa.Row[Any] | None:
        query = (
            sa.select(batches)
            .where(batches.c.shard == self.shard, batches.c.first_seq <= seq)
            .order_by(batches.c.first_seq.desc())
            .limit(1)
        )
        return next(iter(self._rows(query)), None)

    def _page(self, first_seq: int) -> list[sa.Row[Any]]:
        query = (
            sa.select(batches)
            .where(batches.c.shard == self.shard, batches.c.first_seq >= first_seq)
            .order_by(batches.c.first_seq)
            .limit(_ROWS_AT_ONCE)
        )
        return self._rows(query)

    def _rows(self, query: sa.Select[Any]) -> list[sa.Row[Any]]:
        try:
            with self._database.connect() as connection:
                return list(connection.execute(query))
        except sa.exc.SQLAlchemyError as error:
            raise JournalUnavailable(f"the journal cannot be read: {explained(error)}") from error

    @staticmethod
    def _decode(row: sa.Row[Any]) -> list[Entry]:
        """The whole batch, after its hash was checked: nobody sees half a corrupt one."""
        entries: list[Entry] = []
        try:
            entries.extend(decode_entries(row.commands, row.events, row.previous_hash))
        except (ValueError, msgspec.MsgspecError) as error:
            seq = row.first_seq + len(entries)
            raise JournalCorrupt(f"seq {seq} cannot be read: {error}") from error
        for seq, entry in enumerate(entries, row.first_seq):
            if entry.seq != seq:
                raise JournalCorrupt(f"expected seq {seq}, the journal holds {entry.seq}")
        if not entries or (entries[-1].seq, entries[-1].chain_hash) != (
            row.last_seq,
            row.chain_hash,
        ):
            raise JournalCorrupt(f"the hash of batch {row.first_seq} does not match its content")
        return entries


def went_back(seq: int) -> str:
    """What to say of a journal that no longer holds what was read from it."""
    return (
        f"seq {seq} is gone or another command than this process read: the journal went back under "
        "it, to an older copy or a server that lagged; start it anew"
    )
