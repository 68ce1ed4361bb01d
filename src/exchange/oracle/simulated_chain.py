"""The option chain that a simulated venue shows: Heston's expected variance, SSVI's smiles.

Prices and volatilities of one model, so that parity gives its forward and rate back. Free of
butterflies and calendars (Gatheral and Jacquier: eta * (1 + |rho|) <= 2, variance grows with time).
"""

import math
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import numpy as np

from exchange.margin.pricing import price
from exchange.margin.svi import SviSlice, natural_slice
from exchange.model import SECONDS_PER_DAY
from exchange.oracle.references import ChainQuote, ChainSample
from exchange.oracle.sources import MarketModel, SimulatedMarket

_NANOSECONDS: Final = 10**9
_YEAR_S: Final = 365 * SECONDS_PER_DAY
_ETA: Final = 1.2
_BLOCK_S: Final = 15  # a venue's chain moves that often

Strikes = Callable[[int, float], Iterable[tuple[int, float]]]  # (UTC second, index): (expiry, K)


class CarryModel(msgspec.Struct, frozen=True, kw_only=True):
    """Yearly: what a forward earns over the index, and what money earns."""

    carry: float = 0.0
    rate: float = 0.0


class SimulatedChain:
    """One venue's options on a simulated market, its volatilities off by a little of its own."""

    def __init__(
        self,
        name: str,
        market: SimulatedMarket,
        listed: Strikes,
        carry: CarryModel,
        *,
        seed: int,
        noise: float,
    ) -> None:
        """`listed` says what the venue trades; `noise` is a share of each volatility."""
        assert 0 <= noise < 1
        self._name = name
        self._market = market
        self._listed = listed
        self._carry = carry
        self._seed = seed
        self._noise = noise

    @property
    def name(self) -> str:
        """How operators know it."""
        return self._name

    def chain(self, now_ns: int) -> ChainSample:
        """Every option of every expiry, call and put."""
        second = now_ns // _NANOSECONDS
        index_price = self._market.price(now_ns)
        variance = self._market.variance(now_ns)
        dice = np.random.default_rng((self._seed, second // _BLOCK_S))
        strikes: dict[int, list[float]] = {}
        for expiry, strike in self._listed(second, index_price):
            strikes.setdefault(expiry, []).append(strike)
        quotes: list[ChainQuote] = []
        forwards = {}
        for expiry, wanted in sorted(strikes.items()):
            tau = (expiry - second) / _YEAR_S
            forward = forwards[expiry] = index_price * math.exp(self._carry.carry * tau)
            ladder = np.array(sorted(set(wanted)))
            smile = simulated_slice(self._market.model, variance, tau)
            level = 1.0 + float(dice.uniform(-self._noise, self._noise))
            volatilities = smile.volatility(np.log(ladder / forward)) * level
            for is_put in (False, True):
                prices = price(forward, ladder, tau, volatilities, is_put, self._carry.rate)
                quotes += [
                    ChainQuote(expiry, *one)
                    for one in zip(
                        ladder.tolist(),
                        [is_put] * len(ladder),
                        volatilities.tolist(),
                        prices.tolist(),
                        strict=True,
                    )
                ]
        return ChainSample(tuple(quotes), forwards, now_ns)


def simulated_slice(model: MarketModel, variance: float, tau: float) -> SviSlice:
    """The smile at an expiry when the variance in force is `variance`."""
    decay = model.reversion * tau
    weight = -math.expm1(-decay) / decay
    level = model.volatility**2
    mean = level + (max(variance, 0.0) - level) * weight
    mean += model.jumps * (model.jump_mean**2 + model.jump_size**2)
    theta = mean * tau
    phi = _ETA / math.sqrt(theta * (1.0 + theta))
    return natural_slice(tau, theta, model.correlation, phi)
