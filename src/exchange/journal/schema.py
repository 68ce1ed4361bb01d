"""The journal's tables, and opening the database that holds them.

`(shard, first_seq)` is the primary key of a batch: two leaders can never both write one
(docs/adr/0037). SQLite runs in WAL mode with synchronous=FULL, so an acknowledged commit survives
power loss.
"""

from pathlib import Path
from typing import Any, Final
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

# Who may write (journal/lease.py). One row a shard; `beat` counts signs of life of that leader.
leases = sa.Table(
    "journal_leases",
    metadata,
    sa.Column("shard", sa.Integer, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("beat", sa.BigInteger, nullable=False),
)

# What of a batch came by a stream (journal/arrivals.py); a journal without one has no rows here.
arrivals = sa.Table(
    "journal_arrivals",
    metadata,
    sa.Column("shard", sa.Integer, primary_key=True),
    sa.Column("first_seq", sa.BigInteger, primary_key=True),  # of the batch
    sa.Column("time_ms", sa.BigInteger, nullable=False),  # place in the stream of its newest
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("senders", sa.LargeBinary, nullable=False),
)


class JournalCorrupt(Exception):
    """What is stored is not a journal that this program wrote; names the first bad seq."""


class JournalUnavailable(Exception):
    """The store cannot be opened, read or written; says what to do next."""


class LeaseLost(JournalUnavailable):
    """Another process leads this journal: this one has written nothing since, and must end."""


# Pages of the log that a commit folds into the file: SQLite's own thousand takes it 10 ms.
_LOG_PAGES: Final = 200
_LOCKED_S: Final = 10.0  # how long a writer waits for another's commit to a file
_FROZEN_MS: Final = 5_000  # a writer that stops in the middle of a commit loses its locks

# Whatever the server's default is: under a stricter level a beat beside a commit would end both.
_ISOLATION: Final = "READ COMMITTED"
# A network that lets nothing through any more is noticed within seconds, not the kernel's hours.
_SESSION: Final[dict[str, object]] = {
    "options": f"-c idle_in_transaction_session_timeout={_FROZEN_MS}",
    "connect_timeout": 10,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
# Settings of a server that would lose what was acknowledged when its machine, or it, dies.
_FORGETFUL: Final = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}

_FULL: Final = "the disk is full: free space, then start again; nothing acknowledged is lost"
_READ_ONLY: Final = "it is read-only: give this user write access to the file and its folder"
_DAMAGED: Final = "it is damaged: keep a copy, then restore a backup (docs/runbook.md)"
_DEVICE: Final = "the device failed: see the system's log, then start again"
_SERVER: Final = "the server is gone or refuses: bring it back, then start again"
_OTHERS: Final = "another session is in the way: end it, then start again"
# By the longest prefix of SQLite's name of the error, or of PostgreSQL's code.
_ADVICE: Final = {
    "SQLITE_FULL": _FULL,
    "SQLITE_READONLY": _READ_ONLY,
    "SQLITE_CANTOPEN": "see that its folder is there and that this user may write in it",
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": _DAMAGED,
    "SQLITE_IOERR_SHORT_READ": _DAMAGED,  # the file ends too early
    "SQLITE_IOERR": _DEVICE,
    "SQLITE_BUSY": "another process holds the file: stop that one first",
    "SQLITE_CONSTRAINT": "another writer was here first: this one must not go on",
    "53100": _FULL,
    "25006": "the server takes no writes: a standby, or set so; give it leave, then start again",
    "25P03": "this writer stood still in a commit for too long: start again",
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
    "58030": _DEVICE,
    "08": _SERVER,
    "57P": _SERVER,
    "42501": "its user may not: grant him the journal's tables, or the schema",
    "53300": "the server has no connection left: raise max_connections, or end others",
    "55P03": _OTHERS,
    "57014": _OTHERS,  # a statement took longer than the server allows
    "40": _OTHERS,
    "23505": "another writer was here first: this one must not go on",
}


def explained(error: sa.exc.SQLAlchemyError) -> str:
    """What went wrong in the database's words, and what to do about it where that is known."""
    origin = getattr(error, "orig", None)
    words = str(origin or error)
    name = getattr(origin, "sqlite_errorname", None) or getattr(origin, "sqlstate", None) or ""
    if not name and hasattr(origin, "sqlstate") and isinstance(error, sa.exc.OperationalError):
        return f"{words}; {_SERVER}"  # killed, or not reached: nobody was left to give a code
    advice = next((text for prefix, text in _ADVICE.items() if name.startswith(prefix)), "")
    return f"{words}; {advice}" if advice else words


def database_url(location: str) -> sa.URL:
    """A URL as given, or SQLite on a path."""
    if "://" in location:
        return sa.make_url(location)
    return sa.URL.create("sqlite", database=str(Path(location).absolute()))


def create_engine(location: str, *, read_only: bool = False) -> sa.Engine:
    """An SQLAlchemy engine with the durability that the design asks for."""
    url = database_url(location)
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(
            url, pool_pre_ping=True, isolation_level=_ISOLATION, connect_args=_SESSION
        )
    if read_only:
        if not Path(str(url.database)).exists():
            raise JournalUnavailable(f"there is no journal at {url.database}")
        path = quote(str(url.database))
        url = url.set(database=f"file:{path}", query={"mode": "ro", "uri": "true"})
    database = sa.create_engine(url, connect_args={"timeout": _LOCKED_S})
    sa.event.listen(database, "connect", _pragmas_read if read_only else _pragmas_write)
    return database


def _pragmas_write(connection: Any, _record: object) -> None:
    durable = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
    for pragma in (*durable, f"wal_autocheckpoint={_LOG_PAGES}"):
        connection.execute(f"PRAGMA {pragma}")


def _pragmas_read(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA query_only=ON")


def require_durable(connection: sa.Connection) -> None:
    """Refuse a server that says a commit is done before it is; raises `JournalUnavailable`."""
    if connection.dialect.name != "postgresql":
        return
    for name, bad in _FORGETFUL.items():
        if connection.exec_driver_sql(f"SHOW {name}").scalar() == bad:
            raise JournalUnavailable(
                f"the server has {name} {bad}: what was acknowledged would be lost when it dies; "
                "turn it on, then start again"
            )


def create_tables(location: str) -> None:
    """Make what is missing, the file too; raises `JournalUnavailable`."""
    database = create_engine(location)
    try:
        metadata.create_all(database)
    except sa.exc.SQLAlchemyError as error:
        raise JournalUnavailable(
            f"the journal at {location} cannot be opened: {explained(error)}"
        ) from error
    finally:
        database.dispose()
