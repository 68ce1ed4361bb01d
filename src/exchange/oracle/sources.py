"""Where prices come from: the protocol of a source, and a simulated market.

A source answers "what is your latest price, and when was it true?" and nothing else: it judges
nothing, and it may be wrong, late or silent. All judgement lies in `index`. Time is an input.
"""

import math
from typing import Final, NamedTuple, Protocol

import msgspec
import numpy as np

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
    """A geometric path with stochastic volatility and jumps; rates are per year."""

    volatility: float  # of returns in a quiet hour
    volatility_of_volatility: float = 1.5  # of its logarithm
    reversion: float = 50.0  # speed at which the logarithm returns to `volatility`
    jumps: float = 20.0  # expected number
    jump_size: float = 0.01  # standard deviation of a jump's logarithm


class SimulatedMarket:
    """One true price: a pure function of (model, seed, start) and of the moment asked for.

    How often it is asked does not matter, so a leap of the venue's clock lands where a slow walk
    would have. Noise belongs to absolute hours, drawn forward from the start: a leap of a year
    costs about a second. Moments before the start give the starting price.
    """

    def __init__(self, model: MarketModel, *, seed: int, start_price: float, start_ns: int) -> None:
        assert start_price > 0
        assert seed >= 0
        self._model = model
        self._seed = seed
        self._start_s = start_ns // _NANOSECONDS
        self._block = self._start_s // _BLOCK_S
        self._opening = (math.log(start_price), 0.0)  # log price, excess log volatility
        self._first = (self._block, self._opening)
        self._path, self._closing = self._draw(self._block, self._opening)

    def price(self, now_ns: int) -> float:
        """The price at `now_ns`, in USDC. Complexity: O(hours since the last question)."""
        second = max(now_ns // _NANOSECONDS, self._start_s)
        block, offset = divmod(second, _BLOCK_S)
        if block < self._block:
            self._block, self._opening = self._first
            self._path, self._closing = self._draw(self._block, self._opening)
        while self._block < block:
            self._block, self._opening = self._block + 1, self._closing
            self._path, self._closing = self._draw(self._block, self._opening)
        return math.exp(float(self._path[offset]))

    def _draw(
        self, block: int, opening: tuple[float, float]
    ) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], tuple[float, float]]:
        """Log price at each second of one hour, and the state at its end."""
        model = self._model
        noise = np.random.default_rng((self._seed, block))
        log_price, excess = opening
        keep = math.exp(-model.reversion * _MINUTE_S / _YEAR_S)
        wander = model.volatility_of_volatility * math.sqrt(_MINUTE_S / _YEAR_S)
        volatility = np.empty(_BLOCK_S)
        for minute, shock in enumerate(noise.standard_normal(_BLOCK_S // _MINUTE_S)):
            volatility[minute * _MINUTE_S : (minute + 1) * _MINUTE_S] = model.volatility * math.exp(
                excess
            )
            excess = keep * excess + wander * float(shock)
        deviation = volatility * math.sqrt(1 / _YEAR_S)
        moves = deviation * noise.standard_normal(_BLOCK_S) - deviation**2 / 2
        jump_at = noise.random(_BLOCK_S) < model.jumps / _YEAR_S
        moves += jump_at * (noise.standard_normal(_BLOCK_S) * model.jump_size)
        since = max(0, self._start_s - block * _BLOCK_S)
        moves[: since + (block == self._first[0])] = 0.0  # nothing moved before the start
        path = log_price + np.cumsum(moves)
        return path, (float(path[-1]), excess)


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
