"""A venue on a real chain for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.settlement_world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Contracts of its own on an Anvil; see `tests.settlement_world`."""
    world = World(tmp_path)
    yield world
    world.close()
