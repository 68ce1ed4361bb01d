"""A venue of processes on a real Anvil, for whoever asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.live_venue import LiveVenue


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[LiveVenue]:
    venue = LiveVenue(tmp_path)
    yield venue
    venue.close()
