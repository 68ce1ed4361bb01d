"""The read model's one table a shard, its single writer thread and its pages.

Rows are finished wire objects (JSON) with the columns that questions ask for. One thread writes and
reads, so a page contains everything appended before it was asked for. What fails to be written
waits for the next attempt, and fails the pages until then.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from exchange.journal.schema import JournalUnavailable, create_engine, explained

Row = tuple[int, int, int, str, int, int, bytes]  # the columns of `records`, in their order
Mark = tuple[int, int]  # (seq, place) of a row

_ROWS_A_WRITE: Final = 5_000


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

    def __init__(self, location: str, *, shard: int = 0) -> None:
        super().__init__(location, shard=shard)
        self._waiting: list[Row] = []
        self._waiting_seq = 0
        self._write: Future[None] | None = None
        self.last_seq = self._thread.submit(self._open).result()

    def _open(self) -> int:
        self._tables.metadata.create_all(self._database)
        records = self._tables.records
        with self._database.begin() as connection:
            last_seq = written(connection, self._tables)
            connection.execute(records.delete().where(records.c.seq > last_seq))
        return last_seq

    def append(self, seq: int, rows: Sequence[Row]) -> None:
        """Take what became of an entry; written soon, in order. Entries seen before add nothing."""
        if seq <= self.last_seq:
            return
        self.last_seq = self._waiting_seq = seq
        if not rows:
            return
        self._waiting.extend(rows)
        if self._write is None or self._write.done():
            self._write = self._thread.submit(self._drain)

    def _drain(self) -> None:
        _, records, progress = self._tables
        while self._waiting:
            count = min(len(self._waiting), _ROWS_A_WRITE)
            rows, seq = self._waiting[:count], self._waiting_seq
            if count < len(self._waiting):
                seq = rows[-1][0] - 1  # the rest of that command comes with the next write
            names = records.c.keys()
            with self._database.begin() as connection:
                connection.execute(
                    _insert(connection, records),
                    [dict(zip(names, row, strict=True)) for row in rows],
                )
                connection.execute(_insert(connection, progress), {"id": 1, "seq": seq})
                connection.execute(progress.update().where(progress.c.seq < seq).values(seq=seq))
            del self._waiting[:count]

    def _read(self, query: sa.Select[Any]) -> list[tuple[int, int, bytes]]:
        self._drain()  # what waits, or failed to be written: then the page fails too
        return super()._read(query)

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._thread.submit(self._drain).result()
        super().close()


def written(connection: sa.Connection, tables: Tables) -> int:
    """Up to which entry its rows are complete."""
    return int(connection.execute(sa.select(tables.progress.c.seq)).scalar() or 0)


def _insert(connection: sa.Connection, table: sa.Table) -> Any:
    """What is there stays: it is the same."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).on_conflict_do_nothing()
