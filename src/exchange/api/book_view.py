"""One instrument's public book by price level, and what changed in it.

Knows no order and no owner, only (side, price, quantity). Two readers follow it: the raw channel
takes a delta for every entry, the 100 ms channel one for every tick; each delta names the change
before it, so that a client sees a gap.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from exchange.model import Side

Level = tuple[int, int]  # price, quantity
_SIDES: Final = (Side.BUY, Side.SELL)


class LevelChange(NamedTuple):
    """One level's step: `action` is Deribit's new, change or delete (quantity 0)."""

    action: str
    price: int
    quantity: int


_Steps = Sequence[tuple[int, int, int]]  # price, quantity before, quantity after


class BookDelta(msgspec.Struct, frozen=True, gc=False):
    """Changes that lead from `prev_change_id` to `change_id`; put into words when asked for."""

    steps: tuple[_Steps, _Steps]
    change_id: int
    prev_change_id: int

    @property
    def bids(self) -> list[LevelChange]:
        """Of the buyers' side."""
        return [_level_change(*step) for step in self.steps[Side.BUY]]

    @property
    def asks(self) -> list[LevelChange]:
        """Of the sellers' side."""
        return [_level_change(*step) for step in self.steps[Side.SELL]]


def _level_change(price: int, before: int, after: int) -> LevelChange:
    action = "delete" if after == 0 else "change" if before else "new"
    return LevelChange(action, price, after)


class _BookSide(msgspec.Struct):
    """Levels of one side, their prices in order, and what they were before they changed."""

    levels: dict[int, int] = {}
    prices: list[int] = []  # ascending
    entry_before: dict[int, int] = {}
    interval_before: dict[int, int] = {}

    def entry_steps(self) -> _Steps:
        """Net changes since the last call, which the interval keeps in mind."""
        if not self.entry_before:
            return ()
        levels, interval_before = self.levels, self.interval_before
        steps = []
        for price, before in self.entry_before.items():
            after = levels.get(price, 0)
            if price not in interval_before:
                interval_before[price] = before
            if after != before:
                steps.append((price, before, after))
        self.entry_before = {}
        return steps

    def interval_steps(self) -> _Steps:
        """The same over a tick."""
        levels = self.levels
        steps = [
            (price, before, after)
            for price, before in self.interval_before.items()
            if (after := levels.get(price, 0)) != before
        ]
        self.interval_before = {}
        return steps


class BookView:
    """Levels of both sides; `change_id` is the seq of the last entry that changed them."""

    def __init__(self) -> None:
        self.change_id = 0
        self.interval_change_id = 0  # what the 100 ms channel published last
        self._sides = (_BookSide(), _BookSide())

    def add(self, side: Side, price: int, quantity: int) -> None:
        """Add `quantity` (negative: take away) at a price. Complexity: O(log levels) to find it."""
        one = self._sides[side]
        levels = one.levels
        before = levels.get(price, 0)
        after = before + quantity
        assert after >= 0, f"negative level {side.name} {price}: {after}"
        if price not in one.entry_before:
            one.entry_before[price] = before
        if after:
            levels[price] = after
            if not before:
                insort(one.prices, price)
        elif before:
            del levels[price]
            del one.prices[bisect_left(one.prices, price)]

    def commit(self, seq: int) -> BookDelta | None:
        """End an entry: its net changes for the raw channel, or None."""
        bids, asks = self._sides
        steps = (bids.entry_steps(), asks.entry_steps())
        if not steps[0] and not steps[1]:
            return None
        delta = BookDelta(steps, seq, self.change_id)
        self.change_id = seq
        return delta

    def cut(self) -> BookDelta | None:
        """End a tick: net changes since the last one, or None."""
        bids, asks = self._sides
        steps = (bids.interval_steps(), asks.interval_steps())
        if not steps[0] and not steps[1]:
            return None
        delta = BookDelta(steps, self.change_id, self.interval_change_id)
        self.interval_change_id = self.change_id
        return delta

    def levels(self, side: Side, depth: int = 0) -> list[Level]:
        """Levels from the best on; `depth` 0: all."""
        one = self._sides[side]
        levels, count = one.levels, depth or len(one.prices)
        best_first = one.prices[: -count - 1 : -1] if side is Side.BUY else one.prices[:count]
        return [(price, levels[price]) for price in best_first]

    def best(self, side: Side) -> Level | None:
        """The best level, or None."""
        one = self._sides[side]
        if not one.prices:
            return None
        price = one.prices[-1 if side is Side.BUY else 0]
        return price, one.levels[price]

    def moved_best(self, delta: BookDelta) -> bool:
        """Whether the newest delta changed the best level of a side: no other is at least there."""
        for side, steps in zip(_SIDES, delta.steps, strict=True):
            best, sign = self.best(side), side.sign
            if any(best is None or sign * (price - best[0]) >= 0 for price, _, _ in steps):
                return True
        return False

    def check(self, *, may_cross: bool = False) -> None:
        """Assert the invariants: positive levels; uncrossed unless an auction collects orders."""
        for one in self._sides:
            assert all(quantity > 0 for quantity in one.levels.values())
            assert one.prices == sorted(one.levels)
        bid, ask = self.best(Side.BUY), self.best(Side.SELL)
        assert may_cross or bid is None or ask is None or bid[0] < ask[0], f"crossed: {bid} {ask}"
