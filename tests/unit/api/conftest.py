"""A gateway's parts for each test."""

from collections.abc import Iterator

import pytest
from tests.unit.api.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """A marked venue with a maker and a taker; see `tests.unit.api.world`."""
    world = World()
    yield world
    world.gateway.stop()
