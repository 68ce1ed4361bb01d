"""The true prices, sources that see them with faults, and what the oracle makes of those.

The index is the real one (`oracle.index`): guards, median, breaker. Risk arrays are small and of
integers: five scenarios of a smooth price.
"""

import random
import struct
from itertools import repeat
from typing import Final, NamedTuple

from exchange.commands import ExpiryRisk, UnderlyingRisk, UpdateIndex, UpdateMarks
from exchange.fixed import CASH_SCALE, RATIO_SCALE
from exchange.model import InstrumentTerms, Kind, unpack_instrument_id
from exchange.oracle.index import IndexCalculator, IndexRules
from exchange.oracle.sources import Sample
from exchange.simulation.parameters import INDICES, SPOTS, TICK, Faults, usdc, worth

SOURCES: Final = tuple(f"source{number}" for number in range(5))
RULES: Final = {
    underlying_id: IndexRules(
        floor_price=usdc(index) // 10,
        ceiling_price=usdc(index) * 10,
        quorum=3,
        calm_cycles=4,
    )
    for underlying_id, index in INDICES.items()
}
DELTA: Final = 500_000
VEGA: Final = 100_000_000
ERROR_MAX: Final = 0.005  # of an index that passed the guards, against the true price
VOLATILITY: Final = 650_000


class Market:
    """True prices in USDC, which only this module knows; `step` moves them."""

    def __init__(self, draw: random.Random, faults: Faults) -> None:
        self.faults = faults
        self.prices = {underlying_id: float(index) for underlying_id, index in INDICES.items()}
        self.crashes = self.faulty = self.withheld = 0
        self._draw = draw
        self.premium = 0  # of perpetuals over their indices, in 1e-6
        self._falls_left = 0
        self._fall = 1.0
        self._lies: dict[tuple[int, str], tuple[str, int]] = {}  # fault, and how long it lasts
        self._seen: dict[tuple[int, str], Sample] = {}
        self._calculators = self._fresh()

    def _fresh(self) -> dict[int, IndexCalculator]:
        return {underlying_id: IndexCalculator(rules) for underlying_id, rules in RULES.items()}

    def restart(self) -> None:
        """The oracle's process lost its memory."""
        self._calculators = self._fresh()

    def step(self, seconds: float) -> None:
        """Time passes: prices wander, and now and then fall or rise for a while."""
        draw = self._draw
        if self._falls_left == 0 and draw.random() < self.faults.crashes * seconds / 3_600:
            self._falls_left = draw.randint(3, 8)
            self._fall = draw.choice((0.94, 0.96, 0.97, 1.03, 1.04, 1.06))
            self.crashes += 1
        for underlying_id, price in self.prices.items():
            step = draw.gauss(0.0, 0.0006)
            self.prices[underlying_id] = price * (1 + step)
        self.premium = max(-2_000, min(2_000, self.premium + draw.randint(-300, 300)))
        if self._falls_left:
            self._falls_left -= 1
            self.prices = {key: price * self._fall for key, price in self.prices.items()}

    def index(self, underlying_id: int, now_ns: int) -> UpdateIndex | None:
        """A sample of the index, or none; a median of few liars is true to a few thousandths."""
        samples = {name: self._sample(underlying_id, name, now_ns) for name in SOURCES}
        reading = self._calculators[underlying_id].read(samples, now_ns)
        if reading.index_price is None:
            self.withheld += 1
            return None
        true = self.prices[underlying_id]
        error = abs(reading.index_price / CASH_SCALE / true - 1)
        assert error <= ERROR_MAX, f"an index is {error:.2%} off, with two sources of five faulty"
        return UpdateIndex(
            underlying_id=underlying_id,
            index_price=reading.index_price // TICK * TICK,
            confidence=reading.confidence,
        )

    def _sample(self, underlying_id: int, name: str, now_ns: int) -> Sample | None:
        """The true price with a little noise, or a fault; never are more than two faulty."""
        key = (underlying_id, name)
        true = self.prices[underlying_id] * (1 + self._draw.uniform(-0.0002, 0.0002))
        fault, left = self._lies.get(key, ("", 0))
        if left == 0:
            self._lies.pop(key, None)
            faulty = sum(one == underlying_id for one, _ in self._lies)
            if faulty < 2 and self._draw.random() < self.faults.sources:
                fault = self._draw.choice(("stale", "outlier", "missing", "nonsense"))
                left = self._draw.randint(1, 6)
                self.faulty += 1
            else:
                fault = ""
        if fault:
            self._lies[key] = (fault, left - 1)
        sample = self._told(fault, key, Sample(true, now_ns))
        if sample is not None and not fault:
            self._seen[key] = sample
        return sample

    def _told(self, fault: str, key: tuple[int, str], true: Sample) -> Sample | None:
        match fault:
            case "missing":
                return None
            case "stale":
                return self._seen.get(key)
            case "outlier":
                return Sample(true.price * self._draw.choice((0.5, 0.93, 1.02, 1.3)), true.time_ns)
            case "nonsense":
                return Sample(self._draw.choice((0.0, -1.0, float("nan"), 1e30)), true.time_ns)
            case _:
                return true


class Epoch(NamedTuple):
    """What an epoch of marks is made of: indices in micro-USDC, the premium in 1e-6 of them."""

    number: int
    indices: dict[int, int]
    live: list[int]
    premium: int = 0  # of perpetuals, so that funding has something to accrue


def marks(epoch: Epoch, now_s: int) -> UpdateMarks:
    """Risk arrays of live instruments."""
    indices = epoch.indices
    terms = {number: unpack_instrument_id(number) for number in sorted(epoch.live)}
    expiries = sorted({(one.underlying_id, one.expiry) for one in terms.values()})
    prices = [_price_of(one, epoch) for one in terms.values()]
    rows = b"".join(map(_row, terms.values(), prices, repeat(now_s)))
    return UpdateMarks(
        epoch=epoch.number,
        root=epoch.number.to_bytes(32, "big"),
        underlyings=tuple(
            UnderlyingRisk(underlying_id=one, index_price=price, confidence=RATIO_SCALE)
            for one, price in sorted(indices.items())
        ),
        expiries=tuple(
            ExpiryRisk(
                underlying_id=underlying_id,
                expiry=expiry,
                forward_price=indices[underlying_id],
                discount_long=RATIO_SCALE,
                discount_short=RATIO_SCALE,
                basis_weight=0,
            )
            for underlying_id, expiry in expiries
        ),
        instrument_ids=tuple(terms),
        rows=rows,
    )


def _price_of(terms: InstrumentTerms, epoch: Epoch) -> int:
    index = epoch.indices[terms.underlying_id]
    premium = epoch.premium if terms.kind is Kind.PERPETUAL else 0
    return index + index * premium // 10**6


def _row(terms: InstrumentTerms, index: int, now_s: int) -> bytes:
    mark = worth(terms, index, now_s)
    shocked = (worth(terms, index * part // 100, now_s) for part in SPOTS)
    return struct.pack("<9q", mark, VOLATILITY, DELTA, VEGA, *shocked)
