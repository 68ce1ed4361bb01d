"""The circuit breaker: a price that moves too far too fast turns a live book into an auction.

It must never know books, orders or which price it watches: it is told prices and the time, it says
in which status the instrument (or all those of an underlying) is now. The moves are a table.

    LIVE --moved--> HALTED --cool-off over--> AUCTION --auction over--> LIVE

A price has moved if it differs from the highest or the lowest one in force during the last
`window_ns` by more than `move_rate` of that one, or of a base that comes with it: what a mark may
move is a share of the index, or every cheap option would halt. A price is in force until the next
one comes: a jump after a silence halts too. A halt forgets the window: the next move is measured
from the price that halted, and one more such move, during the halt or the auction, starts the
cool-off again. An operator's halt lasts until an operator resumes, into an auction. A phase lasts
from the command that began it, never from when it was due: an auction gives everybody its whole
length.
"""

from collections import deque
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

import msgspec

from exchange.fixed import RATIO_SCALE
from exchange.model import InstrumentStatus


class Cause(IntEnum):
    """What may change the status."""

    MOVED = 1
    ELAPSED = 2
    HALT = 3
    RESUME = 4


# A missing key: nothing changes.
MOVES: Final[dict[tuple[InstrumentStatus, Cause], InstrumentStatus]] = {
    (InstrumentStatus.LIVE, Cause.MOVED): InstrumentStatus.HALTED,
    (InstrumentStatus.HALTED, Cause.MOVED): InstrumentStatus.HALTED,
    (InstrumentStatus.AUCTION, Cause.MOVED): InstrumentStatus.HALTED,
    (InstrumentStatus.HALTED, Cause.ELAPSED): InstrumentStatus.AUCTION,
    (InstrumentStatus.AUCTION, Cause.ELAPSED): InstrumentStatus.LIVE,
    (InstrumentStatus.LIVE, Cause.HALT): InstrumentStatus.HALTED,
    (InstrumentStatus.HALTED, Cause.HALT): InstrumentStatus.HALTED,
    (InstrumentStatus.AUCTION, Cause.HALT): InstrumentStatus.HALTED,
    (InstrumentStatus.HALTED, Cause.RESUME): InstrumentStatus.AUCTION,
}


_STRICTNESS: Final = (InstrumentStatus.LIVE, InstrumentStatus.AUCTION, InstrumentStatus.HALTED)


class BreakerRules(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """When to halt and for how long; `move_rate` in 1e-18."""

    move_rate: int
    window_ns: int
    cool_off_ns: int
    auction_ns: int


def strictest(statuses: Iterable[InstrumentStatus]) -> InstrumentStatus:
    """The status of an instrument that several breakers govern: its own mark, its index."""
    return max(statuses, key=_STRICTNESS.index, default=InstrumentStatus.LIVE)


class Breaker:
    """Status of what one price governs. Time never runs backwards between calls."""

    __slots__ = ("_highs", "_last_price", "_lows", "due_ns", "rules", "status")

    def __init__(self, rules: BreakerRules) -> None:
        assert min(rules.move_rate, rules.window_ns, rules.cool_off_ns, rules.auction_ns) > 0
        self.rules = rules
        self.status = InstrumentStatus.LIVE
        self.due_ns = 0  # when the present phase ends by itself; 0: it does not
        self._last_price: int | None = None  # in force now
        # Prices no longer in force as (when it ended, price): highs fall, lows rise.
        self._highs: deque[tuple[int, int]] = deque()
        self._lows: deque[tuple[int, int]] = deque()

    def on_price(self, time_ns: int, price: int, base: int = 0) -> InstrumentStatus | None:
        """Take a price; the new status if it halts (again). Complexity: O(1) amortised.

        A move is measured against `base`, or where that is 0 against the price that it left.
        """
        assert price > 0 or (price == 0 and base > 0)
        if self._last_price is not None:
            self._remember(time_ns, self._last_price)
        self._forget(time_ns - self.rules.window_ns)
        self._last_price = price
        if not self._has_moved(price, base):
            return None
        self._highs.clear()
        self._lows.clear()
        if self.is_held:
            return None
        return self._move(Cause.MOVED, time_ns)

    def on_time(self, time_ns: int) -> InstrumentStatus | None:
        """The new status if the present phase is over; at most one step."""
        if self.due_ns == 0 or time_ns < self.due_ns:
            return None
        return self._move(Cause.ELAPSED, time_ns)

    def halt(self, time_ns: int) -> InstrumentStatus | None:
        """An operator halts; None if an operator's halt is in force already."""
        if self.is_held:
            return None
        status = self._move(Cause.HALT, time_ns)
        self.due_ns = 0
        return status

    def resume(self, time_ns: int) -> InstrumentStatus | None:
        """An operator ends any halt, into an auction; None if there is no halt."""
        return self._move(Cause.RESUME, time_ns)

    @property
    def is_held(self) -> bool:
        """Whether an operator's halt is in force."""
        return self.status is InstrumentStatus.HALTED and self.due_ns == 0

    def state(self) -> tuple[object, ...]:
        """Canonical content: status, end of the phase, price in force, extremes of the window."""
        window = (tuple(self._highs), tuple(self._lows))
        return (self.status.value, self.due_ns, self._last_price, *window)

    def check(self) -> None:
        """Assert that the window is ordered and that only timed phases end."""
        assert self.status is not InstrumentStatus.EXPIRED
        assert self.status is not InstrumentStatus.LIVE or self.due_ns == 0
        assert self.status is not InstrumentStatus.AUCTION or self.due_ns > 0
        for window, sign in ((self._highs, 1), (self._lows, -1)):
            times = [ended_ns for ended_ns, _ in window]
            assert times == sorted(times)
            prices = [sign * price for _, price in window]
            assert prices == sorted(set(prices), reverse=True)
        assert bool(self._highs) is bool(self._lows)
        assert not self._highs or self._highs[-1] == self._lows[-1]

    def _move(self, cause: Cause, time_ns: int) -> InstrumentStatus | None:
        status = MOVES.get((self.status, cause))
        if status is None:
            return None
        self.status = status
        lengths = {
            InstrumentStatus.HALTED: self.rules.cool_off_ns,
            InstrumentStatus.AUCTION: self.rules.auction_ns,
        }
        self.due_ns = time_ns + lengths[status] if status in lengths else 0
        return status

    def _forget(self, ended_ns: int) -> None:
        """Drop the prices that had ended by `ended_ns`."""
        for window in (self._highs, self._lows):
            while window and window[0][0] <= ended_ns:
                window.popleft()

    def _has_moved(self, price: int, base: int) -> bool:
        extremes = {window[0][1] for window in (self._highs, self._lows) if window}
        return any(
            abs(price - extreme) * RATIO_SCALE > self.rules.move_rate * (base or extreme)
            for extreme in extremes
        )

    def _remember(self, ended_ns: int, price: int) -> None:
        while self._highs and self._highs[-1][1] <= price:
            self._highs.pop()
        while self._lows and self._lows[-1][1] >= price:
            self._lows.pop()
        self._highs.append((ended_ns, price))
        self._lows.append((ended_ns, price))
