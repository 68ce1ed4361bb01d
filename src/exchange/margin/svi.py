"""Stochastic-volatility-inspired smiles: one slice per expiry, and a surface of them.

Total variance w(k) = a + b * (rho * (k - m) + sqrt((k - m)^2 + sigma^2)), k = ln(strike / forward).
Floats; knows shapes and their arbitrage, not where they came from (`svi_fit` does).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from exchange.margin.pricing import FloatArray

_SECONDS_PER_YEAR: Final = 365 * 86_400.0
_VARIANCE_MIN: Final = 1e-12  # keeps a volatility defined where a bad slice would dip below zero


@dataclass(frozen=True, slots=True, kw_only=True)
class SviSlice:
    """One expiry in raw parameters; `tau` is its time in years when it was made."""

    tau: float
    a: float
    b: float
    rho: float
    m: float
    sigma: float

    def variance(self, distance: FloatArray) -> FloatArray:
        """Total variance at log-moneyness `distance`."""
        moved = distance - self.m
        root = np.sqrt(moved * moved + self.sigma * self.sigma)
        return np.asarray(self.a + self.b * (self.rho * moved + root), dtype=np.float64)

    def volatility(self, distance: FloatArray) -> FloatArray:
        """Volatility at log-moneyness `distance`."""
        return np.sqrt(np.maximum(self.variance(distance), _VARIANCE_MIN) / self.tau)

    def butterfly(self, distance: FloatArray) -> FloatArray:
        """Durrleman's function: the risk-neutral density's sign; negative is arbitrage."""
        moved = distance - self.m
        root = np.sqrt(moved * moved + self.sigma * self.sigma)
        variance = np.maximum(self.variance(distance), _VARIANCE_MIN)
        slope = self.b * (self.rho + moved / root)
        bend = self.b * self.sigma * self.sigma / root**3
        first = (1.0 - distance * slope / (2.0 * variance)) ** 2
        second = slope * slope / 4.0 * (1.0 / variance + 0.25)
        return np.asarray(first - second + bend / 2.0, dtype=np.float64)

    @property
    def steepest_wing(self) -> float:
        """Slope of total variance far out; above 2 prices would grow without bound."""
        return self.b * (1.0 + abs(self.rho))

    def free_of_butterflies(self, distance: FloatArray) -> bool:
        """Whether no butterfly on the grid `distance` costs less than nothing."""
        positive = bool(np.all(self.variance(distance) > 0.0))
        return (
            positive and self.steepest_wing <= 2.0 and bool(np.all(self.butterfly(distance) >= 0))
        )

    def lifted(self, rise: float) -> "SviSlice":
        """The slice with `rise` added to total variance everywhere."""
        return SviSlice(
            tau=self.tau, a=self.a + rise, b=self.b, rho=self.rho, m=self.m, sigma=self.sigma
        )


def natural_slice(tau: float, theta: float, rho: float, phi: float) -> SviSlice:
    """SSVI's slice: at-the-money total variance `theta`, skew `rho`, curvature `phi`."""
    root = math.sqrt(1.0 - rho * rho)
    return SviSlice(
        tau=tau,
        a=theta / 2.0 * (1.0 - rho * rho),
        b=theta * phi / 2.0,
        rho=rho,
        m=-rho / phi,
        sigma=root / phi,
    )


def flat_slice(tau: float, volatility: float) -> SviSlice:
    """A slice of one volatility."""
    return SviSlice(tau=tau, a=volatility**2 * tau, b=0.0, rho=0.0, m=0.0, sigma=1.0)


class SviSurface:
    """Slices by expiry.

    Between two expiries total variance is linear in time at equal log-moneyness, so that no
    calendar arbitrage arises that the slices do not have. Outside, the nearest slice is read
    at equal log-moneyness per root of time: a smile narrows as its expiry nears.
    """

    def __init__(self, slices: dict[int, SviSlice]) -> None:
        if not slices:
            raise ValueError("a surface needs at least one slice")
        self.slices = dict(sorted(slices.items()))

    def volatilities(self, expiry: int, forward_price: float, strikes: FloatArray) -> FloatArray:
        """Volatility at each strike of any expiry."""
        distance = np.log(strikes / forward_price)
        known = self.slices.get(expiry)
        if known is not None:
            return known.volatility(distance)
        before = max((one for one in self.slices if one < expiry), default=None)
        after = min((one for one in self.slices if one > expiry), default=None)
        if before is not None and after is not None:
            return self._between(before, expiry, after, distance)
        nearest = after if before is None else before
        assert nearest is not None
        near = self.slices[nearest]
        tau = near.tau + (expiry - nearest) / _SECONDS_PER_YEAR
        return near.volatility(distance * math.sqrt(near.tau / max(tau, 1e-9)))

    def _between(self, before: int, expiry: int, after: int, distance: FloatArray) -> FloatArray:
        near, far = self.slices[before], self.slices[after]
        share = (expiry - before) / (after - before)
        variance = (1 - share) * near.variance(distance) + share * far.variance(distance)
        tau = (1 - share) * near.tau + share * far.tau
        return np.sqrt(np.maximum(variance, _VARIANCE_MIN) / tau)


def calendar_shortfall(near: SviSlice, far: SviSlice, distance: FloatArray) -> float:
    """How far the later slice dips below the earlier one, at most; 0 without arbitrage."""
    return float(max(0.0, np.max(near.variance(distance) - far.variance(distance))))


def surface_faults(slices: Iterable[SviSlice], distance: FloatArray) -> list[str]:
    """What is wrong with slices in order of expiry; empty for a surface without arbitrage."""
    faults = []
    earlier: SviSlice | None = None
    for at, one in enumerate(slices):
        if not one.free_of_butterflies(distance):
            faults.append(f"slice {at} has a butterfly below zero")
        if earlier is not None and calendar_shortfall(earlier, one, distance) > 0.0:
            faults.append(f"slice {at} lies below the one before it")
        earlier = one
    return faults
