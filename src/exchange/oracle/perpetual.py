"""The mark of a perpetual: the index and a slow, bounded view of how far the book lies from it.

Deribit's way. Each sample of the book's middle is clamped before it is averaged, so that no quote
moves the mark by more than the clamp, and none moves it quickly: the book alone is never a mark.
"""

import math
from typing import Final

from exchange.engine import Engine
from exchange.model import InstrumentStatus, InstrumentTerms, Kind, Side, pack_instrument_id

CLAMP: Final = 0.005  # of the index, either way
TIME_CONSTANT_S: Final = 30.0
STEP_S_MAX: Final = 5.0  # a longer silence counts as this: one sample is never the whole average


class Premium:
    """An exponential average of (middle - index) / index."""

    def __init__(self) -> None:
        self.value = 0.0
        self._time_ns = 0

    def note(self, now_ns: int, index_price: int, middle: float | None) -> None:
        """Take a sample; without a middle the premium fades toward the index."""
        elapsed_s = min(STEP_S_MAX, max(0.0, (now_ns - self._time_ns) / 1e9))
        self._time_ns = now_ns
        gap = 0.0 if middle is None else (middle - index_price) / index_price
        gap = max(-CLAMP, min(CLAMP, gap))
        self.value += (gap - self.value) * -math.expm1(-elapsed_s / TIME_CONSTANT_S)


def perpetual_middle(underlying_id: int, engine: Engine) -> float | None:
    """Between the best bid and ask of a live perpetual, micro-USDC; None where a side is empty."""
    instrument_id = pack_instrument_id(InstrumentTerms(Kind.PERPETUAL, underlying_id))
    if instrument_id not in engine.instruments:
        return None
    if engine.status(instrument_id) is not InstrumentStatus.LIVE:
        return None  # an auction's book may cross
    sides = [engine.levels(instrument_id, side, 1) for side in Side]
    if not all(sides):
        return None
    return sum(levels[0][0] for levels in sides) / 2
