"""Volatility by expiry and strike.

A surface answers one question, `volatilities(expiry, forward_price, strikes)`; where its numbers
come from is its own business. Floats only; never knows an instrument, a book or a scenario.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from exchange.margin.pricing import FloatArray


class Surface(Protocol):
    """One smile per expiry."""

    def volatilities(self, expiry: int, forward_price: float, strikes: FloatArray) -> FloatArray:
        """Volatility at each strike of the expiry (UTC second)."""
        ...


@dataclass(frozen=True, slots=True)
class FlatSurface:
    """One volatility everywhere: the surface of a venue without quotes."""

    volatility: float

    def volatilities(self, expiry: int, forward_price: float, strikes: FloatArray) -> FloatArray:
        """The same for each strike."""
        del expiry, forward_price  # flat means flat
        return np.full(strikes.shape, self.volatility)


class MarkPoint(NamedTuple):
    """One instrument's volatility, as a recorded chain gives it."""

    expiry: int
    forward_price: float
    strike: float
    volatility: float


class MarkSurface:
    """Given volatilities, linear in log-moneyness between strikes, flat beyond the outermost.

    Points of one strike (its call and put) are averaged. An expiry without points takes those of
    the nearest one, at equal log-moneyness.
    """

    def __init__(self, points: Iterable[MarkPoint]) -> None:
        smiles: dict[int, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
        for point in points:
            distance = float(np.log(point.strike / point.forward_price))
            smiles[point.expiry][distance].append(point.volatility)
        if not smiles:
            raise ValueError("a mark surface needs at least one point")
        self._smiles: dict[int, tuple[FloatArray, FloatArray]] = {}
        for expiry, smile in smiles.items():
            distances = sorted(smile)
            means = [float(np.mean(smile[distance])) for distance in distances]
            self._smiles[expiry] = (np.array(distances), np.array(means))

    def volatilities(self, expiry: int, forward_price: float, strikes: FloatArray) -> FloatArray:
        """Interpolated at each strike's distance from the forward."""
        nearest = min(self._smiles, key=lambda known: (abs(known - expiry), known))
        distances, volatilities = self._smiles[nearest]
        return np.interp(np.log(strikes / forward_price), distances, volatilities)
