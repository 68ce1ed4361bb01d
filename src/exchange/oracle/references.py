"""What other venues' option chains say: the reference surface, the forward curve and the rates.

Judged like index prices: a chain that is silent, old, off the market or away from the others is
dropped and shown; what is left is combined by medians. Marks never come from our own book alone,
so without a reference that is young enough there are no marks. Floats and pure.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from statistics import median
from typing import Final, NamedTuple, Protocol

import msgspec
import numpy as np

from exchange.margin.pricing import FloatArray
from exchange.margin.surface import MarkPoint, MarkSurface, Surface
from exchange.model import SECONDS_PER_DAY
from exchange.oracle.curves import fit_parity
from exchange.oracle.marks import MarkModel

_NANOSECONDS: Final = 10**9
_YEAR_S: Final = 365 * SECONDS_PER_DAY


class ChainQuote(NamedTuple):
    """One option of a source, unjudged: its volatility, and its price in USDC (0: unknown)."""

    expiry: int
    strike: float
    is_put: bool
    volatility: float
    price: float = 0.0


class ChainSample(NamedTuple):
    """A source's chain at one moment; forwards in USDC by expiry, as far as it states them."""

    quotes: tuple[ChainQuote, ...]
    forwards: Mapping[int, float]
    time_ns: int


class ChainSource(Protocol):
    """One origin of option volatilities for one underlying."""

    @property
    def name(self) -> str:
        """How operators know it."""
        ...

    def chain(self, now_ns: int) -> ChainSample | None:
        """Its latest chain at `now_ns`, or None where it has none."""
        ...


class ReferenceRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a chain must be to count. Volatilities and rates a year, as plain numbers."""

    age_ns_max: int = 2 * 60 * 10**9
    hold_ns: int = 20 * 60 * 10**9  # how long the last reference serves when no chain counts
    interval_ns: int = 15 * 10**9  # between looks at the sources
    volatility_min: float = 0.01
    volatility_max: float = 5.0
    quotes_min: int = 3  # good ones
    outlier: float = 0.2  # of the median of all chains, at the money
    forward_gap: float = 0.02  # |ln(forward / index)|, and as much again ...
    forward_gap_year: float = 0.5  # ... for each year


class ChainVerdict(StrEnum):
    """Why a chain counts or not, in the order of the checks."""

    ACCEPTED = "accepted"
    SILENT = "silent"
    STALE = "stale"
    THIN = "thin"  # too few quotes that could be true
    OFF_MARKET = "off_market"  # its forwards are not those of this index
    OUTLIER = "outlier"


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """One look: the model where any chain counts, and every verdict."""

    model: MarkModel | None
    verdicts: dict[str, ChainVerdict]


class MedianSurface:
    """The middle of several surfaces, strike by strike."""

    def __init__(self, surfaces: Sequence[Surface]) -> None:
        assert surfaces
        self._surfaces = tuple(surfaces)

    def volatilities(self, expiry: int, forward_price: float, strikes: FloatArray) -> FloatArray:
        """Median volatility at each strike."""
        rows = [one.volatilities(expiry, forward_price, strikes) for one in self._surfaces]
        return np.asarray(np.median(rows, axis=0), dtype=np.float64)


class _Chain(NamedTuple):
    """A chain whose own figures hold together."""

    surface: MarkSurface
    forwards: dict[int, float]
    rates: dict[int, float]
    level: float  # median volatility at the money


def combine(
    samples: Mapping[str, ChainSample | None],
    index_price: float,
    now_ns: int,
    rules: ReferenceRules,
) -> Reference:
    """Judge every chain, and make one model of those that count."""
    verdicts: dict[str, ChainVerdict] = {}
    chains: dict[str, _Chain] = {}
    for name, sample in samples.items():
        found = _judge(sample, index_price, now_ns, rules)
        if isinstance(found, ChainVerdict):
            verdicts[name] = found
        else:
            chains[name] = found
    levels = [one.level for one in chains.values()]
    middle = median(levels) if levels else 0.0
    for name, one in chains.items():
        away = len(chains) > 2 and abs(one.level - middle) > rules.outlier * middle
        verdicts[name] = ChainVerdict.OUTLIER if away else ChainVerdict.ACCEPTED
    good = [one for name, one in chains.items() if verdicts[name] is ChainVerdict.ACCEPTED]
    model = _model(good, index_price, now_ns) if good else None
    return Reference(model=model, verdicts={name: verdicts[name] for name in samples})


def _judge(
    sample: ChainSample | None, index_price: float, now_ns: int, rules: ReferenceRules
) -> _Chain | ChainVerdict:
    if sample is None:
        return ChainVerdict.SILENT
    if not 0 <= now_ns - sample.time_ns + 2 * _NANOSECONDS <= rules.age_ns_max:
        return ChainVerdict.STALE
    by_expiry: dict[int, list[ChainQuote]] = defaultdict(list)
    for quote in sample.quotes:
        alive = quote.expiry * _NANOSECONDS > now_ns and quote.strike > 0.0
        if alive and rules.volatility_min <= quote.volatility <= rules.volatility_max:
            by_expiry[quote.expiry].append(quote)
    if sum(map(len, by_expiry.values())) < rules.quotes_min:
        return ChainVerdict.THIN
    forwards, rates = _curve(by_expiry, sample.forwards, index_price, now_ns)
    for expiry, forward in forwards.items():
        gap = rules.forward_gap + rules.forward_gap_year * _years(expiry, now_ns)
        if not abs(math.log(forward / index_price)) <= gap:
            return ChainVerdict.OFF_MARKET
    points = [
        MarkPoint(expiry, forwards[expiry], quote.strike, quote.volatility)
        for expiry, quotes in by_expiry.items()
        for quote in quotes
    ]
    surface = MarkSurface(points)
    return _Chain(surface, forwards, rates, _level(surface, forwards))


def _curve(
    by_expiry: Mapping[int, Sequence[ChainQuote]],
    stated: Mapping[int, float],
    index_price: float,
    now_ns: int,
) -> tuple[dict[int, float], dict[int, float]]:
    """Forwards and rates: parity, else what the source states, else the index and no rate."""
    forwards, rates = {}, {}
    for expiry, quotes in by_expiry.items():
        sides: tuple[dict[float, float], dict[float, float]] = ({}, {})
        for quote in quotes:
            if 0.0 < quote.price < math.inf:
                sides[quote.is_put][quote.strike] = quote.price
        fit = fit_parity(*sides, _years(expiry, now_ns))
        told = stated.get(expiry, 0.0)
        forwards[expiry] = told if 0.0 < told < math.inf else index_price
        if fit is not None:
            forwards[expiry] = fit.forward_price
            if fit.rate is not None:
                rates[expiry] = fit.rate
    return forwards, rates


def _level(surface: Surface, forwards: Mapping[int, float]) -> float:
    return median(
        float(surface.volatilities(expiry, forward, np.array([forward]))[0])
        for expiry, forward in forwards.items()
    )


def _model(chains: Sequence[_Chain], index_price: float, now_ns: int) -> MarkModel:
    carry = {
        expiry: math.log(forward / index_price) / max(_years(expiry, now_ns), 1 / 365)
        for expiry, forward in _medians(one.forwards for one in chains).items()
    }
    rates = _medians(one.rates for one in chains)
    surface = MedianSurface([one.surface for one in chains])
    return MarkModel(surface=surface, carry=carry, rates=rates)


def _medians(curves: Iterable[Mapping[int, float]]) -> dict[int, float]:
    """The middle of what the curves that know an expiry say of it."""
    known: dict[int, list[float]] = defaultdict(list)
    for curve in curves:
        for expiry, value in curve.items():
            known[expiry].append(value)
    return {expiry: median(values) for expiry, values in sorted(known.items())}


def _years(expiry: int, now_ns: int) -> float:
    return (expiry - now_ns / _NANOSECONDS) / _YEAR_S
