"""Journals in a temporary folder, and entries to put into them."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.journals import append

from exchange.journal import Entry, Journal

Write = Callable[..., list[Entry]]


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the journal of this test lies."""
    return str(tmp_path / "journal.db")


@pytest.fixture
def journal(path: str) -> Iterator[Journal]:
    """An open journal."""
    with Journal(path) as opened:
        yield opened


@pytest.fixture
def write(journal: Journal) -> Write:
    """Append a batch of so many entries to the journal."""
    return partial(append, journal)
