"""How funding indices moved, from released events alone.

An interest is what a long paid as a share of the index, in 1e-18; negative: it was paid.
"""

from bisect import bisect_right
from typing import Final, NamedTuple

from exchange.events import FundingAccrued
from exchange.fixed import RATIO_SCALE, mul_div_down

MOVES_KEPT: Final = 50_000  # of each perpetual: a month of minutes


class _Move(NamedTuple):
    paid: int  # what a long has paid a contract since the listing
    interest: int  # the same as shares of the index of each time
    index_price: int


class FundingView:
    """The moves of each perpetual, oldest first."""

    def __init__(self) -> None:
        self._times: dict[int, list[int]] = {}
        self._moves: dict[int, list[_Move]] = {}

    def note(self, time_ns: int, event: FundingAccrued, index_price: int) -> None:
        """Take a move at this index price."""
        assert index_price > 0, "funding accrues on an index alone"
        times = self._times.setdefault(event.instrument_id, [])
        moves = self._moves.setdefault(event.instrument_id, [])
        before = moves[-1] if moves else _Move(0, 0, 0)
        share = mul_div_down(event.index - before.paid, RATIO_SCALE, index_price)
        times.append(time_ns)
        moves.append(_Move(event.index, before.interest + share, index_price))
        if len(moves) >= 2 * MOVES_KEPT:
            del times[:MOVES_KEPT], moves[:MOVES_KEPT]

    def index(self, instrument_id: int) -> int:
        """What a long has paid a contract since the listing, micro-USDC."""
        moves = self._moves.get(instrument_id)
        return moves[-1].paid if moves else 0

    def interest(self, instrument_id: int, start_ns: int, end_ns: int) -> int:
        """What moved after `start_ns`, up to `end_ns`."""
        return self._at(instrument_id, end_ns).interest - self._at(instrument_id, start_ns).interest

    def index_price(self, instrument_id: int, time_ns: int) -> int:
        """The price of the index at the last move up to `time_ns`; 0 before the first."""
        return self._at(instrument_id, time_ns).index_price

    def _at(self, instrument_id: int, time_ns: int) -> _Move:
        place = bisect_right(self._times.get(instrument_id, ()), time_ns)
        return self._moves[instrument_id][place - 1] if place else _Move(0, 0, 0)
