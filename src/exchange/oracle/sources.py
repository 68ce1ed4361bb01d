"""Where prices come from: the protocol of a source, a simulated market, a recorded one.

A source answers "what is your latest price, and when was it true?" and nothing else: it judges
nothing, and it may be wrong, late or silent. All judgement lies in `index`. Time is an input.
"""

import csv
import io
import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple, Protocol

import msgspec
import numpy as np

from exchange.margin.pricing import FloatArray
from exchange.model import SECONDS_PER_DAY

_NANOSECONDS: Final = 10**9
_BLOCK_S: Final = 3600  # the simulated path is drawn an hour at a time
_MINUTE_S: Final = 60  # its volatility is constant within a minute
_YEAR_S: Final = 365 * SECONDS_PER_DAY


class Sample(NamedTuple):
    """A price in USDC as its source states it, unjudged, and the moment it belongs to."""

    price: float
    time_ns: int


class Source(Protocol):
    """One origin of prices for one underlying."""

    @property
    def name(self) -> str:
        """How operators know it."""
        ...

    def sample(self, now_ns: int) -> Sample | None:
        """Its latest price at `now_ns`, or None where it has none."""
        ...


class MarketModel(msgspec.Struct, frozen=True, kw_only=True):
    """Bates: Heston's stochastic variance with jumps; rates are per year.

    dS/S = sqrt(v) dW + jumps, dv = reversion (volatility^2 - v) dt + xi sqrt(v) dZ, dW dZ = rho dt.
    """

    volatility: float  # to which it returns
    volatility_of_volatility: float = 1.0  # xi
    reversion: float = 8.0
    correlation: float = -0.4  # a falling price is a wilder one
    jumps: float = 20.0  # expected number
    jump_mean: float = -0.002  # of a jump's logarithm
    jump_size: float = 0.01  # its standard deviation


class SimulatedMarket:
    """One true price: a pure function of (model, seed, start) and of the moment asked for.

    How often it is asked does not matter, so a leap of the venue's clock lands where a slow walk
    would have. Noise belongs to absolute hours, drawn forward from the start: a leap of a year
    costs about a second. Moments before the start give the starting price.
    """

    def __init__(self, model: MarketModel, *, seed: int, start_price: float, start_ns: int) -> None:
        assert start_price > 0
        assert seed >= 0
        self.model = model
        self._seed = seed
        self._start_s = start_ns // _NANOSECONDS
        self._block = self._start_s // _BLOCK_S
        self._opening = (math.log(start_price), model.volatility**2)  # log price, variance
        self._first = (self._block, self._opening)
        self._path, self._variances, self._closing = self._draw(self._block, self._opening)

    def price(self, now_ns: int) -> float:
        """The price at `now_ns`, in USDC. Complexity: O(hours since the last question)."""
        second = self._seek(now_ns)
        return math.exp(float(self._path[second]))

    def variance(self, now_ns: int) -> float:
        """The yearly variance in force at `now_ns`, likewise."""
        second = self._seek(now_ns)
        return float(self._variances[second])

    def _seek(self, now_ns: int) -> int:
        """Draw the hour of `now_ns`; the second within it."""
        second = max(now_ns // _NANOSECONDS, self._start_s)
        block, offset = divmod(second, _BLOCK_S)
        if block < self._block:
            self._block, self._opening = self._first
            self._path, self._variances, self._closing = self._draw(self._block, self._opening)
        while self._block < block:
            self._block, self._opening = self._block + 1, self._closing
            self._path, self._variances, self._closing = self._draw(self._block, self._opening)
        return offset

    def _draw(
        self, block: int, opening: tuple[float, float]
    ) -> tuple[FloatArray, FloatArray, tuple[float, float]]:
        """Log price and variance at each second of one hour, and the state at its end."""
        model = self.model
        noise = np.random.default_rng((self._seed, block))
        log_price, variance = opening
        shocks = noise.standard_normal(_BLOCK_S)
        others = noise.standard_normal(_BLOCK_S // _MINUTE_S)
        variances = np.empty(_BLOCK_S)
        span, rest = _MINUTE_S / _YEAR_S, math.sqrt(1.0 - model.correlation**2)
        for minute, other in enumerate(others):
            seconds = slice(minute * _MINUTE_S, (minute + 1) * _MINUTE_S)
            held = max(variance, 0.0)  # full truncation: a variance below zero moves nothing
            variances[seconds] = held
            shared = float(shocks[seconds].sum()) / math.sqrt(_MINUTE_S)
            shock = model.correlation * shared + rest * float(other)
            variance += model.reversion * (model.volatility**2 - held) * span
            variance += model.volatility_of_volatility * math.sqrt(held * span) * shock
        moves = np.sqrt(variances / _YEAR_S) * shocks - variances / _YEAR_S / 2
        jump_at = noise.random(_BLOCK_S) < model.jumps / _YEAR_S
        sizes = model.jump_mean + model.jump_size * noise.standard_normal(_BLOCK_S)
        moves += jump_at * sizes
        since = max(0, self._start_s - block * _BLOCK_S)
        moves[: since + (block == self._first[0])] = 0.0  # nothing moved before the start
        path = log_price + np.cumsum(moves)
        return path, variances, (float(path[-1]), variance)


class SimulatedSource:
    """One venue's view of a simulated market: the true price with a little noise of its own."""

    def __init__(self, name: str, market: SimulatedMarket, *, seed: int, noise: float) -> None:
        assert 0 <= noise < 1
        self._name = name
        self._market = market
        self._seed = seed
        self._noise = noise

    @property
    def name(self) -> str:
        """How operators know it."""
        return self._name

    def sample(self, now_ns: int) -> Sample:
        """The market's price this second, off by at most `noise` of it."""
        second = now_ns // _NANOSECONDS
        error = np.random.default_rng((self._seed, second)).uniform(-self._noise, self._noise)
        return Sample(self._market.price(now_ns) * (1 + float(error)), now_ns)


class RecordedSource:
    """Prices of a file, at the moments that they were recorded, shifted to now.

    Silent before the first; after the last its age tells that nothing follows.
    """

    def __init__(self, name: str, rows: Sequence[Sample], *, shift_ns: int = 0) -> None:
        """`rows` are ascending by time; `shift_ns` is added to each."""
        assert all(a.time_ns <= b.time_ns for a, b in pairwise(rows))
        self._name = name
        self._rows = rows
        self._shift_ns = shift_ns

    @property
    def name(self) -> str:
        """How operators know it."""
        return self._name

    def sample(self, now_ns: int) -> Sample | None:
        """The newest row that is not of the future."""
        at = bisect_right(self._rows, now_ns - self._shift_ns, key=lambda row: row.time_ns)
        if at == 0:
            return None
        row = self._rows[at - 1]
        return Sample(row.price, row.time_ns + self._shift_ns)


def read_recorded(text: str) -> tuple[Sample, ...]:
    """Rows `time,price` of a file: UTC seconds with any fraction, ascending; a heading is allowed.

    Prices are unjudged: the index is where a wrong one is dropped.
    """
    rows: list[Sample] = []
    for number, row in enumerate(csv.reader(io.StringIO(text)), start=1):
        try:
            sample = Sample(float(row[1]), round(float(row[0]) * _NANOSECONDS))
        except (ValueError, IndexError, OverflowError):
            if number == 1:
                continue
            raise ValueError(f"row {number}: expected time,price, got {row}") from None
        if rows and sample.time_ns < rows[-1].time_ns:
            raise ValueError(f"row {number}: times go back")
        rows.append(sample)
    return tuple(rows)
