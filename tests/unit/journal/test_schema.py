"""Opening databases: durability by default, URLs as given."""

import pytest
import sqlalchemy as sa

from exchange.journal import JournalUnavailable
from exchange.journal.schema import create_engine, database_url


def test_a_path_is_sqlite(tmp_path):
    """Absolute or relative; URLs stay what they are."""
    assert str(database_url(str(tmp_path / "x.db"))) == f"sqlite:///{tmp_path}/x.db"
    assert database_url("postgresql://host/name").get_backend_name() == "postgresql"
    assert database_url("x.db").database.startswith("/")


def pragma(database: sa.Engine, name: str) -> object:
    with database.connect() as connection:
        return connection.execute(sa.text(f"PRAGMA {name}")).scalar()


def test_a_writer_survives_power_loss(tmp_path):
    """WAL with synchronous=FULL (2): acknowledged is durable."""
    database = create_engine(str(tmp_path / "x.db"))
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "synchronous") == 2
    database.dispose()


def test_a_reader_has_no_hands(tmp_path):
    """Query-only, and only of files that exist."""
    path = tmp_path / "x.db"
    path.touch()
    database = create_engine(str(path), read_only=True)
    assert pragma(database, "query_only") == 1
    database.dispose()
    with pytest.raises(JournalUnavailable):
        create_engine(str(tmp_path / "y.db"), read_only=True)


def test_other_databases_are_opened_by_their_url():
    """PostgreSQL connects lazily and checks connections before use."""
    database = create_engine("postgresql+psycopg://nobody@localhost:1/none")
    assert database.dialect.name == "postgresql"
    database.dispose()
