"""From the samples of several sources to one index price, or to none: no price, no trading.

Guards in order (see `Verdict` and `Withheld`): each sample alone, the samples against each other,
the result against its own past. What is dropped is shown, never hidden. The index is the median
of the samples that agree, in whole micro-USDC, rounded half-even; the floats end in this module.

Promise: while the honest sources lie within 1 % of one another, one lying source of seven moves
the index by at most 0.2 %, because the index is withheld unless the samples next to the median
are that close (`IndexRules.agreement`), and both the honest and the moved median lie among them.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from exchange.fixed import CASH_SCALE, RATIO_SCALE, div_half_even, mul_div_down, mul_div_up
from exchange.oracle.sources import Sample

_PARTS: Final = 10**6  # rates below are integers in 1e-6
_PRICE_END: Final = 10**12  # USDC; no underlying costs that much


class Verdict(StrEnum):
    """What became of one source's sample, in the order of the checks."""

    SILENT = "silent"  # the source answered nothing, or failed
    NOT_A_PRICE = "not_a_price"  # NaN, infinite, zero, negative, or no number at all
    OUT_OF_BOUNDS = "out_of_bounds"  # outside the configured floor and ceiling
    FROM_THE_FUTURE = "from_the_future"  # its time lies ahead of the venue's clock
    STALE = "stale"  # older than allowed
    FROZEN = "frozen"  # says the same while the index moves
    OUTLIER = "outlier"  # too far from the median of the others
    ACCEPTED = "accepted"


class Withheld(StrEnum):
    """Why a cycle has no index price, in the order of the checks."""

    NO_QUORUM = "no_quorum"  # too few samples were accepted
    DISAGREEMENT = "disagreement"  # the samples next to the median are too far apart
    BREAKER = "breaker"  # the index would move too far; it needs calm before it returns
    IMPLAUSIBLE = "implausible"  # so far from the past that an operator must confirm it


class IndexRules(msgspec.Struct, frozen=True, kw_only=True):
    """Guards of one underlying's index. Prices in micro-USDC, rates in 1e-6."""

    floor_price: int
    ceiling_price: int
    quorum: int
    sample_age_ns_max: int = 10 * 10**9
    sample_lead_ns_max: int = 2 * 10**9  # clocks of sources are not ours
    frozen_ns: int = 60 * 10**9  # a price repeated this long ...
    frozen_move: int = 500  # ... while the index moved by 0.05 % is no price any more
    outlier: int = 10_000  # 1 % from the median
    agreement: int = 2_000  # 0.2 % between the samples next to the median
    breaker: int = 100_000  # 10 % against either of the last two cycles
    breaker_window_ns: int = 10 * 10**9  # an older price is no longer "the last two cycles"
    plausible: int = 500_000  # 50 %: beyond it only an operator restores the index
    calm: int = 20_000  # 2 % from cycle to cycle counts as calm
    calm_cycles: int = 60  # that many calm cycles close the breaker


class SourceReading(msgspec.Struct, frozen=True, kw_only=True):
    """One source in one cycle; `price` in micro-USDC, 0 where it was none."""

    name: str
    verdict: Verdict
    price: int = 0
    time_ns: int = 0


class IndexReading(msgspec.Struct, frozen=True, kw_only=True):
    """One cycle: the index price (micro-USDC) with its confidence (1e-18), or why there is none."""

    time_ns: int
    index_price: int | None
    confidence: int
    withheld: Withheld | None
    sources: tuple[SourceReading, ...]


class IndexCalculator:
    """The guards of one underlying, with the memory that the breaker needs."""

    def __init__(self, rules: IndexRules, *, last_price: int = 0, last_ns: int = 0) -> None:
        """`last_price` is the journal's latest index, so that a restart is guarded too; 0: none."""
        assert 0 < rules.floor_price < rules.ceiling_price
        assert rules.quorum > 0
        self._rules = rules
        self._published: deque[tuple[int, int]] = deque(maxlen=2)
        if last_price:
            self._published.append((last_ns, last_price))
        # What each source repeats: its price, since when, and the index at that time.
        self._repeated: dict[str, tuple[int, int, int]] = {}
        self._tripped = False
        self._calm = 0
        self._candidate = 0

    @property
    def tripped(self) -> bool:
        """Whether the breaker is open."""
        return self._tripped

    def reset(self) -> None:
        """An operator vouches for the sources: the next reading is compared with no past."""
        self._published.clear()
        self._repeated.clear()
        self._tripped = False
        self._calm = 0
        self._candidate = 0

    def read(self, samples: Mapping[str, Sample | None], now_ns: int) -> IndexReading:
        """One cycle over the latest sample of every configured source. Complexity: O(n log n)."""
        readings = [self._judge(name, sample, now_ns) for name, sample in samples.items()]
        readings = self._drop_outliers(readings)
        prices = sorted(r.price for r in readings if r.verdict is Verdict.ACCEPTED)
        index_price: int | None = None
        withheld: Withheld | None = None
        confidence = 0
        if len(prices) < self._rules.quorum:
            withheld = Withheld.NO_QUORUM
        elif (spread := _inner_spread(prices)) > self._rules.agreement:
            withheld = Withheld.DISAGREEMENT
        else:
            candidate = median_half_even(prices)
            withheld = self._compare_with_past(candidate, now_ns)
            if withheld is None:
                index_price = candidate
                confidence = self._confidence(len(prices), len(readings), spread)
                self._published.append((now_ns, candidate))
        return IndexReading(
            time_ns=now_ns,
            index_price=index_price,
            confidence=confidence,
            withheld=withheld,
            sources=tuple(readings),
        )

    def check(self) -> None:
        """Assert the invariants of the breaker's memory."""
        rules = self._rules
        assert len(self._published) <= 2
        assert all(price > 0 for _, price in self._published)
        assert 0 <= self._calm < rules.calm_cycles
        assert self._tripped or (self._calm == 0 and self._candidate == 0)

    def _judge(self, name: str, sample: Sample | None, now_ns: int) -> SourceReading:
        rules = self._rules
        if sample is None:
            return SourceReading(name=name, verdict=Verdict.SILENT)
        price = _to_cash(sample.price)
        if price is None:
            verdict = Verdict.NOT_A_PRICE
        elif not rules.floor_price <= price <= rules.ceiling_price:
            verdict = Verdict.OUT_OF_BOUNDS
        elif sample.time_ns > now_ns + rules.sample_lead_ns_max:
            verdict = Verdict.FROM_THE_FUTURE
        elif sample.time_ns < now_ns - rules.sample_age_ns_max:
            verdict = Verdict.STALE
        elif self._is_frozen(name, price, now_ns):
            verdict = Verdict.FROZEN
        else:
            verdict = Verdict.ACCEPTED
        return SourceReading(name=name, verdict=verdict, price=price or 0, time_ns=sample.time_ns)

    def _is_frozen(self, name: str, price: int, now_ns: int) -> bool:
        """Whether a source repeats one price though the index has left it behind."""
        index_price = self._published[-1][1] if self._published else price
        known = self._repeated.get(name)
        if known is None or known[0] != price:
            self._repeated[name] = (price, now_ns, index_price)
            return False
        _, since_ns, before = known
        left_behind = min(moved_up(before, index_price), moved_up(price, index_price))
        old = now_ns - since_ns >= self._rules.frozen_ns
        return old and left_behind > self._rules.frozen_move

    def _drop_outliers(self, readings: list[SourceReading]) -> list[SourceReading]:
        prices = sorted(r.price for r in readings if r.verdict is Verdict.ACCEPTED)
        if not prices:
            return readings
        middle = median_half_even(prices)
        return [
            msgspec.structs.replace(reading, verdict=Verdict.OUTLIER)
            if reading.verdict is Verdict.ACCEPTED
            and moved_up(middle, reading.price) > self._rules.outlier
            else reading
            for reading in readings
        ]

    def _compare_with_past(self, candidate: int, now_ns: int) -> Withheld | None:
        rules = self._rules
        if not self._published:
            return None
        if moved_up(self._published[-1][1], candidate) >= rules.plausible:
            self._trip(candidate, calm=0)
            return Withheld.IMPLAUSIBLE
        if self._tripped:
            return self._await_calm(candidate)
        recent = [p for t, p in self._published if t >= now_ns - rules.breaker_window_ns]
        if any(moved_up(price, candidate) >= rules.breaker for price in recent):
            self._trip(candidate, calm=0)
            return Withheld.BREAKER
        return None

    def _await_calm(self, candidate: int) -> Withheld | None:
        """Close the breaker after enough cycles at one level: a true crash becomes the index."""
        calm = self._calm + 1 if moved_up(self._candidate, candidate) <= self._rules.calm else 0
        if calm < self._rules.calm_cycles:
            self._trip(candidate, calm=calm)
            return Withheld.BREAKER
        self._tripped, self._calm, self._candidate = False, 0, 0
        self._published.clear()
        return None

    def _trip(self, candidate: int, *, calm: int) -> None:
        self._tripped, self._calm, self._candidate = True, calm, candidate

    def _confidence(self, accepted: int, configured: int, spread: int) -> int:
        """Share of the configured sources that agree, less their spread against `agreement`."""
        share = mul_div_down(RATIO_SCALE, accepted, configured)
        allowed = 2 * self._rules.agreement  # a spread at the limit halves the confidence
        return mul_div_down(share, allowed - spread, allowed)


def _to_cash(price: object) -> int | None:
    """A source's price as whole micro-USDC, or None where it is none; rounds half-even."""
    if isinstance(price, bool) or not isinstance(price, int | float):
        return None
    if not 0 < price < _PRICE_END:  # false for NaN too
        return None
    return round(price * CASH_SCALE) or None


def median_half_even(values: Sequence[int]) -> int:
    """Median of ascending `values`, which are not empty; the mean of two rounds half-even."""
    low, high = values[(len(values) - 1) // 2], values[len(values) // 2]
    return div_half_even(low + high, 2)


def _inner_spread(prices: list[int]) -> int:
    """Relative distance (1e-6, rounded up) of the neighbours of the median in ascending `prices`.

    Three samples beside an odd median, four around an even one; with fewer than five the outermost
    go, so that one liar of three cannot stop the index.
    """
    count = len(prices)
    trim = max((count - 3) // 2, min(1, (count - 1) // 2))
    return moved_up(prices[trim], prices[count - 1 - trim])


def moved_up(origin: int, price: int) -> int:
    """How far `price` is from `origin` > 0, in 1e-6 of it, rounded up."""
    return mul_div_up(abs(price - origin), _PARTS, origin)
