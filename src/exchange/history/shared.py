"""A read model that several processes share: the leader writes, gateways read, standbys inherit."""

from collections import deque
from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
import structlog

from exchange.history.store import (
    HistoryPages,
    HistoryStore,
    Row,
    tables_of,
    unopened,
    written,
)
from exchange.journal.schema import create_engine

LOOK_ROWS: Final = 10_000  # a standby looks what was written whenever it holds so many more

_EVERYTHING: Final = 2**63 - 1

log = structlog.get_logger(__name__)


class HistoryReader(HistoryPages):
    """What a gateway sees of it: as new as the leader's last write, some milliseconds old."""

    last_seq = _EVERYTHING  # it takes nothing: the leader does

    def append(self, seq: int, rows: Sequence[Row]) -> None:
        """Never called, since nothing is newer than `last_seq`."""
        raise AssertionError(f"the leader writes the {len(rows)} rows of {seq}")


class Heir:
    """What a standby holds of it: all that the leader has not written yet.

    Rows are made from the view as it was, so they cannot be made later.
    """

    def __init__(self, location: str, *, shard: int = 0) -> None:
        self._location = location
        self._shard = shard
        self._tables = tables_of(shard)
        self._database = create_engine(location)
        try:
            self._tables.metadata.create_all(self._database)
            self.last_seq = self._written()
        except sa.exc.SQLAlchemyError as error:
            raise unopened(location, error) from error
        self._held: deque[tuple[int, Sequence[Row]]] = deque()
        self._rows = 0
        self._look_at = LOOK_ROWS

    def append(self, seq: int, rows: Sequence[Row]) -> None:
        """Hold what became of an entry until it is written."""
        self.last_seq = seq
        if not rows:
            return
        self._held.append((seq, rows))
        self._rows += len(rows)
        if self._rows >= self._look_at:
            self._look()

    def _written(self) -> int:
        with self._database.connect() as connection:
            return written(connection, self._tables)

    def _look(self) -> None:
        """Forget what is written; where nobody can say, it is held on to."""
        self._look_at = self._rows + LOOK_ROWS
        try:
            seq = self._written()
        except sa.exc.SQLAlchemyError as error:
            log.warning("history_unavailable", reason=str(error))
            return
        while self._held and self._held[0][0] <= seq:
            self._rows -= len(self._held.popleft()[1])
        self._look_at = self._rows + LOOK_ROWS

    def inherit(self) -> HistoryStore:
        """Write from now on, and first what the last leader did not; as soon as it is there."""
        self._database.dispose()
        store = HistoryStore(self._location, shard=self._shard, at_once=False)
        for seq, rows in self._held:
            store.append(seq, rows)
        store.append(self.last_seq, ())
        return store
