"""The float half's picture of the world."""

import pytest
from tests.margin_world import EXPIRIES, NOW, market


def test_markets_are_found_by_underlying_and_expiry():
    world = market(fixed=0.25)
    known = world.underlying(1).expiry(EXPIRIES[0])
    assert known.whole_forward == pytest.approx(100_000.0)
    with pytest.raises(KeyError, match="no market for underlying 9"):
        world.underlying(9)
    with pytest.raises(KeyError, match="no market for expiry 5 of underlying 1"):
        world.underlying(1).expiry(5)


def test_days_end_at_expiry():
    assert market().days_to(NOW + 43_200) == 0.5
    assert market().days_to(NOW - 1) == 0.0
