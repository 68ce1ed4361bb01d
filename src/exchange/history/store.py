"""The read model's one table a shard, its single writer thread and its pages.

Rows are finished wire objects (JSON) with the columns that questions ask for. One thread writes and
reads, so a page contains everything appended before it was asked for. What fails to be written
waits for the next attempt, and fails the pages until then.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite

from exchange.journal.schema import JournalUnavailable, create_engine, explained

Row = tuple[int, int, int, str, int, int, bytes]  # the columns of `records`, in their order
Mark = tuple[int, int]  # (seq, place) of a row

_ROWS_A_WRITE: Final = 5_000
_PROGRESS_EVERY: Final = 1_000  # entries without rows: a snapshot beyond what is written is no use
_RETRY_S: Final = 1.0

log = structlog.get_logger(__name__)


class Tables(NamedTuple):
    """Of one shard. Each has its own, so that one model can be dropped and built anew."""

    metadata: sa.MetaData
    records: sa.Table
    progress: sa.Table


def tables_of(shard: int) -> Tables:
    """The first shard's have no number, as before there were others."""
    metadata = sa.MetaData()
    suffix = f"_{shard}" if shard else ""
    records = sa.Table(
        f"history_records{suffix}",
        metadata,
        sa.Column("seq", sa.BigInteger, primary_key=True),  # of the command that caused it
        sa.Column("place", sa.Integer, primary_key=True),  # among the rows of that command
        sa.Column("subaccount_id", sa.BigInteger, nullable=False),
        sa.Column("topic", sa.String(16), nullable=False),
        sa.Column("instrument_id", sa.BigInteger, nullable=False),  # 0: none
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Index(f"history_by_subaccount{suffix}", "subaccount_id", "topic", "seq", "place"),
    )
    progress = sa.Table(
        f"history_progress{suffix}",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
    )
    return Tables(metadata, records, progress)


class HistoryPages:
    """Questions to a shard's read model, which another process may be writing."""

    def __init__(self, location: str, *, shard: int = 0) -> None:
        self._tables = tables_of(shard)
        self._database = create_engine(location)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")

    async def page(  # noqa: PLR0913  a question has so many parts
        self,
        subaccount_ids: Sequence[int],
        topics: Sequence[str],
        *,
        instrument_ids: frozenset[int] | None = None,
        since_ms: int = 0,
        until_ms: int = 2**62,
        after: Mark | None = None,
        ascending: bool = False,
        count: int = 100,
    ) -> tuple[list[bytes], Mark | None]:
        """Bodies, the newest first unless ascending, and where the next page begins, if any."""
        table = self._tables.records.c
        query = (
            sa.select(table.seq, table.place, table.body)
            .where(table.subaccount_id.in_(subaccount_ids), table.topic.in_(topics))
            .where(table.time_ms.between(since_ms, until_ms))
            .limit(count + 1)
        )
        if instrument_ids is not None:
            query = query.where(table.instrument_id.in_(instrument_ids))
        place = sa.tuple_(table.seq, table.place)
        if after is not None:
            query = query.where(place > after if ascending else place < after)
        order = (table.seq, table.place)
        query = query.order_by(*(order if ascending else [column.desc() for column in order]))
        loop = asyncio.get_running_loop()
        rows = await loop.run_in_executor(self._thread, self._read, query)
        more = (rows[count - 1][0], rows[count - 1][1]) if len(rows) > count else None
        return [row[2] for row in rows[:count]], more

    def _read(self, query: sa.Select[Any]) -> list[tuple[int, int, bytes]]:
        try:
            with self._database.connect() as connection:
                return [(row[0], row[1], row[2]) for row in connection.execute(query)]
        except sa.exc.DBAPIError as error:
            raise JournalUnavailable(f"the past cannot be read: {explained(error)}") from error

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()
        self._database.dispose()


class HistoryStore(HistoryPages):
    """The read model and its writer; there is one writer, the process that leads.

    Rows follow from the journal, so a writer that leads no more and wakes can only write what its
    successor writes as well.
    """

    def __init__(self, location: str, *, shard: int = 0, at_once: bool = True) -> None:
        """Opened `at_once`, or with the first write: whoever takes over leads though it is away.

        Raises `JournalUnavailable` where it cannot be opened at once.
        """
        super().__init__(location, shard=shard)
        self._location = location
        self._waiting: list[Row] = []
        self._waiting_seq = 0
        self._written_seq: int | None = None  # not known before it is open
        self._asked_seq = 0  # when the thread was asked to write last ...
        self._rests_until_s = 0.0  # ... and when it failed, for how long it is left alone
        self._write: Future[None] | None = None
        self.last_seq = self._thread.submit(self._open).result() if at_once else 0

    def _open(self) -> int:
        """Up to which entry it is written."""
        records = self._tables.records
        try:
            self._tables.metadata.create_all(self._database)
            with self._database.begin() as connection:
                last_seq = written(connection, self._tables)
                connection.execute(records.delete().where(records.c.seq > last_seq))
        except sa.exc.SQLAlchemyError as error:
            raise unopened(self._location, error) from error
        self._written_seq = last_seq
        return last_seq

    def append(self, seq: int, rows: Sequence[Row]) -> None:
        """Take what became of an entry; written soon, in order. Entries seen before add nothing."""
        if seq <= self.last_seq:
            return
        self._waiting.extend(rows)
        self.last_seq = self._waiting_seq = seq  # after the rows: the thread looks here first
        if not rows and not self._waiting and seq - self._asked_seq < _PROGRESS_EVERY:
            return
        if (self._write is None or self._write.done()) and monotonic() >= self._rests_until_s:
            self._asked_seq = seq
            self._write = self._thread.submit(self._drain_or_tell)

    def _drain_or_tell(self) -> None:
        try:
            self._drain()
        except JournalUnavailable as error:
            log.warning("history_unavailable", reason=str(error), waiting=len(self._waiting))
            self._rests_until_s = monotonic() + _RETRY_S

    def _drain(self) -> None:
        """Write what waits; raises `JournalUnavailable`, and it waits on."""
        at = self._open() if self._written_seq is None else self._written_seq
        while True:
            seq, rows = self._waiting_seq, self._waiting[:_ROWS_A_WRITE]
            if len(rows) == _ROWS_A_WRITE:
                seq = min(seq, rows[-1][0] - 1)  # the rest of that command comes with the next
            if not rows and seq <= at:
                return
            try:
                self._store([row for row in rows if row[0] > at], seq)  # what is not there yet
            except sa.exc.SQLAlchemyError as error:
                raise JournalUnavailable(
                    f"the past cannot be written: {explained(error)}"
                ) from error
            del self._waiting[: len(rows)]
            at = self._written_seq = max(at, seq)

    def _store(self, rows: Sequence[Row], seq: int) -> None:
        _, records, progress = self._tables
        names = records.c.keys()
        with self._database.begin() as connection:
            if rows:
                values = [dict(zip(names, row, strict=True)) for row in rows]
                connection.execute(_insert(connection, records), values)
            connection.execute(_insert(connection, progress), {"id": 1, "seq": seq})
            connection.execute(progress.update().where(progress.c.seq < seq).values(seq=seq))

    def _read(self, query: sa.Select[Any]) -> list[tuple[int, int, bytes]]:
        self._drain()  # what waits, or failed to be written: then the page fails too
        return super()._read(query)

    def close(self) -> None:
        """Write what waits, and end the thread; what cannot be written is built anew."""
        self._thread.submit(self._drain_or_tell).result()
        super().close()


def unopened(location: str, error: sa.exc.SQLAlchemyError) -> JournalUnavailable:
    """What to say of a read model that cannot be opened."""
    return JournalUnavailable(f"the past at {location} cannot be opened: {explained(error)}")


def written(connection: sa.Connection, tables: Tables) -> int:
    """Up to which entry its rows are complete."""
    return int(connection.execute(sa.select(tables.progress.c.seq)).scalar() or 0)


def _insert(connection: sa.Connection, table: sa.Table) -> Any:
    """What is there stays: it is the same."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).on_conflict_do_nothing()
