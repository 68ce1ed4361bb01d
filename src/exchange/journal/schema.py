"""The journal's tables, and opening the database that holds them.

`(shard, first_seq)` is the primary key of a batch: two leaders can never both write one (design.md
§10). SQLite runs in WAL mode with synchronous=FULL, so an acknowledged commit survives power loss.
"""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

metadata = sa.MetaData()

batches = sa.Table(
    "journal_batches",
    metadata,
    sa.Column("shard", sa.Integer, primary_key=True),
    sa.Column("first_seq", sa.BigInteger, primary_key=True),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
    sa.Column("previous_hash", sa.LargeBinary(32), nullable=False),
    sa.Column("chain_hash", sa.LargeBinary(32), nullable=False),
    sa.Column("commands", sa.LargeBinary, nullable=False),
    sa.Column("events", sa.LargeBinary, nullable=False),
)

checkpoints = sa.Table(
    "journal_checkpoints",
    metadata,
    sa.Column("shard", sa.Integer, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("state_hash", sa.LargeBinary(32), nullable=False),
)


class JournalCorrupt(Exception):
    """What is stored is not a journal that this program wrote; names the first bad seq."""


class JournalUnavailable(Exception):
    """The store cannot be opened, read or written; says what to do next."""


def database_url(location: str) -> sa.URL:
    """A URL as given, or SQLite on a path."""
    if "://" in location:
        return sa.make_url(location)
    return sa.URL.create("sqlite", database=str(Path(location).absolute()))


def create_engine(location: str, *, read_only: bool = False) -> sa.Engine:
    """An SQLAlchemy engine with the durability that the design asks for."""
    url = database_url(location)
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    if read_only:
        if not Path(str(url.database)).exists():
            raise JournalUnavailable(f"there is no journal at {url.database}")
        path = quote(str(url.database))
        url = url.set(database=f"file:{path}", query={"mode": "ro", "uri": "true"})
    database = sa.create_engine(url, connect_args={"timeout": 10})
    sa.event.listen(database, "connect", _pragmas_read if read_only else _pragmas_write)
    return database


def _pragmas_write(connection: Any, _record: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _pragmas_read(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA query_only=ON")
