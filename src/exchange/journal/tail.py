"""Following a journal batch by batch, with who sent what of it.

For processes that live beside the engine and answer from a replica. One question to the database a
look; everything is checked as the reader checks it.
"""

import threading
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from exchange.journal.arrivals import Sender, senders_of
from exchange.journal.codec import GENESIS_HASH, Entry
from exchange.journal.lease import Lease
from exchange.journal.reader import JournalReader, went_back
from exchange.journal.schema import (
    JournalCorrupt,
    JournalUnavailable,
    arrivals,
    batches,
    explained,
)

CLOSE_S: Final = 5.0
BATCHES_MAX: Final = 100  # of one look: bounds memory when it is far behind

_FOLLOWING: Final = (
    sa.select(batches, arrivals.c.senders)
    .outerjoin(
        arrivals,
        sa.and_(arrivals.c.shard == batches.c.shard, arrivals.c.first_seq == batches.c.first_seq),
    )
    .where(batches.c.shard == sa.bindparam("of_shard"), batches.c.first_seq >= sa.bindparam("next"))
    .order_by(batches.c.first_seq)
    .limit(BATCHES_MAX)
)


class Delivery(NamedTuple):
    """One batch of the journal, or what of it is new."""

    entries: tuple[Entry, ...]
    senders: Mapping[int, Sender]  # by seq; commands of the engine's own process lack


class JournalTail(JournalReader):
    """Reads what comes after a seq, each batch once."""

    def __init__(self, location: str, *, shard: int = 0, after_seq: int = 0) -> None:
        super().__init__(location, shard=shard)
        self._seen_seq = after_seq
        row = self._covering(after_seq + 1)
        self._next_seq = row.first_seq if row else 1
        self._chain_hash: bytes = row.previous_hash if row else GENESIS_HASH
        self._line: sa.Connection | None = None
        self._asking = threading.Lock()  # whoever closes waits for a question under way
        self._is_closed = False

    def fetch(self) -> list[Delivery]:
        """Batches that were committed since, at most `BATCHES_MAX`; none means: nothing new."""
        query = _FOLLOWING.params(of_shard=self.shard, next=self._next_seq)
        found = []
        for row in self._look(query):
            if row.first_seq != self._next_seq or row.previous_hash != self._chain_hash:
                raise JournalCorrupt(
                    f"batch {row.first_seq} does not follow seq {self._next_seq - 1}"
                )
            entries = tuple(one for one in self._decode(row) if one.seq > self._seen_seq)
            self._next_seq, self._chain_hash = row.last_seq + 1, row.chain_hash
            if entries:
                self._seen_seq = entries[-1].seq
                found.append(Delivery(entries, senders_of(row.senders)))
        return found

    def watch(self) -> Lease:
        """The leader's last sign of life.

        Raises `JournalCorrupt` where the journal went back: nothing new would come by for long.
        """
        seen_seq = self._seen_seq  # before the question: both go on
        if self.last_seq() < seen_seq:
            raise JournalCorrupt(went_back(seen_seq))
        return self.lease()

    def _look(self, query: sa.Select[Any]) -> list[sa.Row[Any]]:
        """By one line that stays, outside transactions: a server is asked once, not four times."""
        with self._asking:
            return self._ask(query)

    def _ask(self, query: sa.Select[Any]) -> list[sa.Row[Any]]:
        if self._is_closed:
            raise JournalUnavailable("the journal was closed")
        try:
            if self._line is None:
                self._line = self._database.connect().execution_options(
                    isolation_level="AUTOCOMMIT"
                )
            return list(self._line.execute(query))
        except sa.exc.SQLAlchemyError as error:
            self._hang_up()
            raise JournalUnavailable(f"the journal cannot be read: {explained(error)}") from error

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def close(self) -> None:
        """Release the database; a thread that asks ends first, if its server answers."""
        self._is_closed = True
        if self._asking.acquire(timeout=CLOSE_S):
            self._hang_up()
            self._asking.release()
        super().close()
