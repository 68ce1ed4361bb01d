"""Credit pools: how much one caller may ask, matching and other requests apart.

A pool refills steadily up to its burst; a request that finds it empty is refused, never queued.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from exchange.api.errors import TooManyRequests
from exchange.api.settings import GatewaySettings

POOLS_MAX: Final = 20_000  # the longest unused is forgotten, which only fills it up


class _Pool(msgspec.Struct):
    credits: float
    at_s: float


class RateLimits:
    """Pools by caller: a session's address, or the network address without one."""

    def __init__(self, settings: GatewaySettings, monotonic_s: Callable[[], float]) -> None:
        self._rates = {
            True: (settings.orders_per_s, settings.orders_burst),
            False: (settings.requests_per_s, settings.requests_burst),
        }
        self._monotonic_s = monotonic_s
        self._pools: OrderedDict[tuple[str, bool], _Pool] = OrderedDict()

    def take(self, caller: str, *, matching: bool, cost: int = 1) -> None:
        """Take credits, or none of them and raise TooManyRequests."""
        pool = self._refill(caller, matching=matching)
        if pool.credits < cost:
            raise TooManyRequests("the credit pool is empty; slow down")
        pool.credits -= cost

    def left(self, caller: str, *, matching: bool) -> dict[str, object]:
        """What a pool holds: for `get_rate_limits`."""
        rate, burst = self._rates[matching]
        pool = self._refill(caller, matching=matching)
        return {"rate": rate, "burst": burst, "remaining": int(pool.credits)}

    def _refill(self, caller: str, *, matching: bool) -> _Pool:
        rate, burst = self._rates[matching]
        now_s = self._monotonic_s()
        key = (caller, matching)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = _Pool(burst, now_s)
            if len(self._pools) > POOLS_MAX:
                self._pools.popitem(last=False)
        else:
            self._pools.move_to_end(key)
            pool.credits = min(burst, pool.credits + (now_s - pool.at_s) * rate)
            pool.at_s = now_s
        return pool
