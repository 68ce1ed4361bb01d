"""The journal's store in memory, with what a machine's death does to it.

The real writer and reader run above: framing, hash chain and the checks of what is read are theirs.
Here are rows that are written, and rows that are durable; a crash takes the others. A disk that is
full or fails says so as SQLite would.
"""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from exchange.journal import (
    GENESIS_HASH,
    Arrival,
    Entry,
    Journal,
    JournalReader,
    JournalUnavailable,
    Lease,
    StreamId,
)
from exchange.journal.arrivals import START

_ROWS_AT_ONCE = 200


class Row(msgspec.Struct, gc=False):
    """One committed group; `entries` once somebody read it."""

    first_seq: int
    last_seq: int
    previous_hash: bytes
    chain_hash: bytes
    commands: bytes
    events: bytes
    entries: list[Entry] | None = None


class Lost(NamedTuple):
    """What a crash took: groups that were written and not durable."""

    groups: int
    commands: int


class Store:
    """Rows of one shard; the first `durable` of them survive."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.durable = 0
        self.state_hashes: dict[int, bytes] = {}
        self.failure = ""  # what the next commit meets, instead of a good disk
        self._firsts: list[int] = []

    @property
    def durable_seq(self) -> int:
        """Seq of the newest command that a crash leaves."""
        return self.rows[self.durable - 1].last_seq if self.durable else 0

    def write(self, row: Row, state_hashes: dict[int, bytes]) -> None:
        """Put a row down; a crash before `sync` takes it."""
        if self.failure:
            why, self.failure = self.failure, ""
            raise JournalUnavailable(f"the journal refused a batch: {why}")
        self.rows.append(row)
        self._firsts.append(row.first_seq)
        self.state_hashes |= state_hashes

    def sync(self) -> None:
        """Make everything durable."""
        self.durable = len(self.rows)

    def crash(self) -> Lost:
        """Lose what is not durable."""
        lost = self.rows[self.durable :]
        del self.rows[self.durable :], self._firsts[self.durable :]
        for seq in [seq for seq in self.state_hashes if seq > self.durable_seq]:
            del self.state_hashes[seq]
        return Lost(len(lost), sum(row.last_seq - row.first_seq + 1 for row in lost))

    def covering(self, seq: int) -> Row | None:
        """The last row that begins at or before a seq."""
        at = bisect_right(self._firsts, seq)
        return self.rows[at - 1] if at else None

    def following(self, first_seq: int) -> list[Row]:
        """Some rows from this one on."""
        at = bisect_right(self._firsts, first_seq - 1)
        return self.rows[at : at + _ROWS_AT_ONCE]


class StoreReader(JournalReader):
    """Reads a store; what it reads is checked as always, once a row."""

    def __init__(self, store: Store) -> None:
        self.shard = 0
        self._given = (0, GENESIS_HASH)
        self._store = store

    def head(self) -> tuple[int, bytes]:
        """As of the newest row that was written: a reader sees what is committed."""
        rows = self._store.rows
        return (rows[-1].last_seq, rows[-1].chain_hash) if rows else (0, GENESIS_HASH)

    def checkpoints(self) -> dict[int, bytes]:
        """All of them."""
        return dict(self._store.state_hashes)

    def last_checkpoint(self) -> int:
        """The newest."""
        return max(self._store.state_hashes, default=0)

    def lease(self) -> Lease:
        """Nobody else ever leads here."""
        return Lease()

    def close(self) -> None:
        """Holds nothing."""

    def _covering(self, seq: int) -> Any:
        return self._store.covering(seq)

    def _page(self, first_seq: int) -> Any:
        return self._store.following(first_seq)

    @staticmethod
    def _decode(row: Any) -> list[Entry]:
        if row.entries is None:
            row.entries = JournalReader._decode(row)
        entries: list[Entry] = row.entries
        return entries


class StoreJournal(Journal):
    """Appends to a store."""

    def __init__(self, store: Store) -> None:
        self.shard = 0
        self._store = store
        self._acknowledged = None
        self.reader = StoreReader(store)
        self.last_seq, self.chain_hash = self.reader.head()
        self.last_place = START

    def _commit(
        self,
        row: dict[str, Any],
        marks: list[dict[str, Any]],
        arrivals: Mapping[int, Arrival] | None,
    ) -> StreamId:
        assert not arrivals, "no stream is simulated"
        fields = {name: row[name] for name in Row.__struct_fields__ if name in row}
        self._store.write(Row(**fields), {mark["seq"]: mark["state_hash"] for mark in marks})
        self._store.sync()
        return self.last_place

    def close(self) -> None:
        """Holds nothing."""
