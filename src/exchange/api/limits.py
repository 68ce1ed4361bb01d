"""Credit pools: how much an account and a network address may ask, matching and the rest apart.

A request takes from both pools or, when either lacks credits, from none and is refused, never
queued. A pool refills steadily up to its burst. Without a session the account is the address's own.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from exchange.api.errors import TooManyRequests
from exchange.api.settings import GatewaySettings

POOLS_MAX: Final = 40_000  # the longest unused is forgotten, which only fills it up


class Payer(NamedTuple):
    """Whose credits a request spends."""

    account: str  # a session's address; empty without one
    network: str  # the network address that it came from


class _Pool(msgspec.Struct):
    rate: float  # credits a second
    burst: float
    credits: float
    at_s: float


class _Key(NamedTuple):
    account: str
    network: str  # empty in the key of a signed-in account's pool: it is one wherever it calls from
    shared: bool  # by everybody at the network address
    matching: bool


class RateLimits:
    """The pools of this gateway."""

    def __init__(self, settings: GatewaySettings, monotonic_s: Callable[[], float]) -> None:
        plain = {
            True: (settings.orders_per_s, settings.orders_burst),
            False: (settings.requests_per_s, settings.requests_burst),
        }
        self._rates = {  # by whether it is shared, and whether it is of matching
            (shared, matching): (rate * factor, burst * factor)
            for matching, (rate, burst) in plain.items()
            for shared, factor in ((False, 1.0), (True, settings.network_factor))
        }
        self._monotonic_s = monotonic_s
        self._pools: OrderedDict[_Key, _Pool] = OrderedDict()

    def take(self, payer: Payer, *, matching: bool, cost: int = 1) -> None:
        """Take credits from both pools, or none of them and raise TooManyRequests."""
        own_key, shared_key = _keys(payer, matching=matching)
        now_s = self._monotonic_s()
        own, shared = self._refill(own_key, now_s), self._refill(shared_key, now_s)
        if own.credits < cost:
            raise TooManyRequests("the credit pool is empty; slow down")
        if shared.credits < cost:
            raise TooManyRequests("the credit pool of this network address is empty; slow down")
        own.credits -= cost
        shared.credits -= cost

    def give_back(self, payer: Payer, *, matching: bool, cost: int) -> None:
        """Undo a `take`."""
        for key in _keys(payer, matching=matching):
            self._refill(key, self._monotonic_s()).credits += cost

    def left(self, payer: Payer, *, shared: bool) -> dict[str, dict[str, object]]:
        """What a payer's pools hold, his own or his network's: for `get_rate_limits`."""
        return {
            name: self._shown(_keys(payer, matching=name == "matching")[shared])
            for name in ("matching", "other")
        }

    def _shown(self, key: _Key) -> dict[str, object]:
        pool = self._refill(key, self._monotonic_s())
        return {"rate": pool.rate, "burst": pool.burst, "remaining": int(pool.credits)}

    def _refill(self, key: _Key, now_s: float) -> _Pool:
        pool = self._pools.get(key)
        if pool is None:
            rate, burst = self._rates[key.shared, key.matching]
            pool = self._pools[key] = _Pool(rate, burst, burst, now_s)
            if len(self._pools) > POOLS_MAX:
                self._pools.popitem(last=False)
        else:
            self._pools.move_to_end(key)
            pool.credits = min(pool.burst, pool.credits + (now_s - pool.at_s) * pool.rate)
            pool.at_s = now_s
        return pool


@lru_cache(POOLS_MAX)
def _keys(payer: Payer, *, matching: bool) -> tuple[_Key, _Key]:
    """The payer's own pool, and that of his network address."""
    network = "" if payer.account else payer.network
    own = _Key(payer.account, network, False, matching)
    return own, _Key("", payer.network, True, matching)
