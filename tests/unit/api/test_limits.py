"""Credit pools refill, and one caller's does not feed another."""

import pytest

from exchange.api.errors import TooManyRequests
from exchange.api.limits import POOLS_MAX, RateLimits
from exchange.api.settings import GatewaySettings


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


def limits():
    clock = Clock()
    settings = GatewaySettings(requests_per_s=1, requests_burst=2, orders_per_s=10, orders_burst=3)
    return RateLimits(settings, clock), clock


def spend(pools, caller, count, *, matching):
    for _ in range(count):
        pools.take(caller, matching=matching)


@pytest.mark.parametrize(("matching", "burst"), [(False, 2), (True, 3)])
def test_a_pool_is_empty_after_its_burst(matching, burst):
    pools, _ = limits()
    spend(pools, "a", burst, matching=matching)
    with pytest.raises(TooManyRequests):
        pools.take("a", matching=matching)


def test_pools_of_callers_and_kinds_are_apart():
    pools, _ = limits()
    spend(pools, "a", 2, matching=False)
    spend(pools, "b", 2, matching=False)
    spend(pools, "a", 3, matching=True)


def test_a_pool_refills_up_to_its_burst():
    pools, clock = limits()
    spend(pools, "a", 2, matching=False)
    clock.now_s = 1.0
    spend(pools, "a", 1, matching=False)
    with pytest.raises(TooManyRequests):
        pools.take("a", matching=False)
    clock.now_s = 100.0
    assert pools.left("a", matching=False)["remaining"] == 2


def test_forgotten_pools_are_full():
    pools, _ = limits()
    spend(pools, "a", 2, matching=False)
    for number in range(POOLS_MAX):
        pools.take(f"other {number}", matching=False)
    pools.take("a", matching=False)
