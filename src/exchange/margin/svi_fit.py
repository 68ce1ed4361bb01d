"""Smiles from quotes: mids and trades to one arbitrage-checked SVI slice per expiry.

Fall-backs, in order, each taken when the one before has too few strikes or fails its checks:
raw SVI (8 strikes) -> SSVI slice, free of butterflies by construction (3) -> flat at the weighted
mean (1) -> no slice: the surface reads the neighbours. A slice below its predecessor is lifted.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np
from scipy.optimize import least_squares

from exchange.margin.pricing import FloatArray
from exchange.margin.svi import (
    SviSlice,
    SviSurface,
    calendar_shortfall,
    flat_slice,
    natural_slice,
)

# Log-moneyness where arbitrage is looked for: a spot of a fifth to a spot of seven.
GRID: Final = np.linspace(-1.6, 1.95, 143)
_STRIKES_SVI: Final = 8
_STRIKES_SSVI: Final = 3
_PENALTY: Final = 10.0  # of Durrleman's function below the cushion, against volatility errors
_CUSHION: Final = 1e-3
_NODES_MAX: Final = 200
_STARTS: Final = ((-0.5, 0.1), (-0.1, 0.3), (0.3, 0.1))  # (rho, sigma): smiles lean either way
_NOISE: Final = 0.005  # half a volatility point: no quote is trusted beyond it


class Method(StrEnum):
    """How a slice was made."""

    SVI = "svi"
    SSVI = "ssvi"
    FLAT = "flat"


class Quote(NamedTuple):
    """One observed volatility; `spread` is half the bid-ask, in volatility."""

    expiry: int
    tau: float
    forward_price: float
    strike: float
    volatility: float
    spread: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceReport:
    """How well one slice fits its quotes."""

    expiry: int
    method: Method
    quotes: int
    mean_absolute_error: float  # in volatility
    lifted: float  # total variance added against calendar arbitrage


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedSurface:
    """A surface and what to think of it."""

    surface: SviSurface
    reports: tuple[SliceReport, ...]

    @property
    def mean_absolute_error(self) -> float:
        """Over all quotes, in volatility."""
        total = sum(report.quotes for report in self.reports)
        return sum(report.mean_absolute_error * report.quotes for report in self.reports) / total


def fit_surface(quotes: Iterable[Quote]) -> FittedSurface:
    """One slice for each quoted expiry; needs at least one sound quote."""
    chains: dict[int, list[Quote]] = defaultdict(list)
    for quote in quotes:
        if _sound(quote):
            chains[quote.expiry].append(quote)
    slices: dict[int, SviSlice] = {}
    reports = []
    earlier: SviSlice | None = None
    for expiry in sorted(chains):
        chain = chains[expiry]
        method, one = _fit_slice(chain)
        rise = calendar_shortfall(earlier, one, GRID) if earlier else 0.0
        if rise > 0.0:
            rise *= 1.0 + 1e-9  # the sum must not round back below
            one = one.lifted(rise)
        distance, volatility, _ = _columns(chain)
        error = float(np.mean(np.abs(one.volatility(distance) - volatility)))
        reports.append(
            SliceReport(
                expiry=expiry,
                method=method,
                quotes=len(chain),
                mean_absolute_error=error,
                lifted=rise,
            )
        )
        slices[expiry] = earlier = one
    return FittedSurface(surface=SviSurface(slices), reports=tuple(reports))


def _sound(quote: Quote) -> bool:
    numbers = quote[1:]
    return all(map(np.isfinite, numbers)) and min(numbers[:4]) > 0.0 and quote.spread >= 0.0


def _columns(chain: list[Quote]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(log-moneyness, volatility, weight) of quotes."""
    forward = np.array([quote.forward_price for quote in chain])
    strike = np.array([quote.strike for quote in chain])
    volatility = np.array([quote.volatility for quote in chain])
    weight = 1.0 / (np.array([quote.spread for quote in chain]) + _NOISE)
    return np.log(strike / forward), volatility, weight / weight.mean()


def _fit_slice(chain: list[Quote]) -> tuple[Method, SviSlice]:
    distance, volatility, weight = _columns(chain)
    tau = chain[0].tau
    strikes = len({quote.strike for quote in chain})
    if strikes >= _STRIKES_SVI:
        one = _fit_svi(tau, distance, volatility, weight)
        if one.free_of_butterflies(GRID):
            return Method.SVI, one
    if strikes >= _STRIKES_SSVI:
        one = _fit_ssvi(tau, distance, volatility, weight)
        if one.free_of_butterflies(GRID):
            return Method.SSVI, one
    return Method.FLAT, flat_slice(tau, float(np.average(volatility, weights=weight)))


def _fit_svi(
    tau: float, distance: FloatArray, volatility: FloatArray, weight: FloatArray
) -> SviSlice:
    level = float(np.average(volatility, weights=weight)) ** 2 * tau
    width = max(float(np.ptp(distance)), 0.05)

    def slice_of(parameters: FloatArray) -> SviSlice:
        floor, steepness, rho, m, sigma = (float(value) for value in parameters)
        b = steepness * level / width  # scaled, so that every parameter is near one
        # The lowest total variance is the parameter, so that it can be bounded away from zero.
        a = floor * level - b * sigma * width * float(np.sqrt(1.0 - rho * rho))
        return SviSlice(tau=tau, a=a, b=b, rho=rho, m=m * width, sigma=sigma * width)

    def residuals(parameters: FloatArray) -> FloatArray:
        one = slice_of(parameters)
        errors = (one.volatility(distance) - volatility) * weight
        arbitrage = np.minimum(one.butterfly(GRID) - _CUSHION, 0.0)
        wing = max(0.0, one.steepest_wing - 2.0 + _CUSHION)
        return np.concatenate([errors, _PENALTY * arbitrage, [_PENALTY * wing]])

    low, high = [1e-4, 0.0, -0.999, -2.0, 1e-3], [3.0, 50.0, 0.999, 2.0, 5.0]
    fits = [
        least_squares(
            residuals, [0.8, 0.5, rho, 0.0, sigma], bounds=(low, high), max_nfev=_NODES_MAX
        )
        for rho, sigma in _STARTS
    ]
    return slice_of(min(fits, key=lambda fit: fit.cost).x)


def _fit_ssvi(
    tau: float, distance: FloatArray, volatility: FloatArray, weight: FloatArray
) -> SviSlice:
    level = float(np.average(volatility, weights=weight)) ** 2 * tau

    def slice_of(parameters: FloatArray) -> SviSlice:
        theta, rho, curvature = (float(value) for value in parameters)
        theta *= level
        # Gatheral and Jacquier: free of butterflies while both products stay below 4.
        bound = min(4.0 / (theta * (1 + abs(rho))), float(np.sqrt(4.0 / (theta * (1 + abs(rho))))))
        return natural_slice(tau, theta, rho, curvature * bound)

    def residuals(parameters: FloatArray) -> FloatArray:
        errors = (slice_of(parameters).volatility(distance) - volatility) * weight
        return np.asarray(errors, dtype=np.float64)

    low, high = [0.05, -0.99, 1e-3], [20.0, 0.99, 0.999]
    fit = least_squares(residuals, [1.0, 0.0, 0.3], bounds=(low, high), max_nfev=_NODES_MAX)
    return slice_of(fit.x)
