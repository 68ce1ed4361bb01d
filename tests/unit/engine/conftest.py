"""A venue with two traders."""

import pytest
from tests.venue import Venue, open_venue


@pytest.fixture
def venue() -> Venue:
    """Configured, listed, marked; see `tests.venue`."""
    return open_venue()


@pytest.fixture
def ann(venue: Venue) -> int:
    """A trader's subaccount with a million."""
    return venue.fund("ann")


@pytest.fixture
def bob(venue: Venue) -> int:
    """Another one."""
    return venue.fund("bob")
