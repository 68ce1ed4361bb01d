"""One instrument's public book by price level, and what changed in it.

Knows no order and no owner, only (side, price, quantity). Two readers follow it: the raw channel
takes a delta for every entry, the 100 ms channel one for every tick; each delta names the change
before it, so that a client sees a gap.
"""

from typing import Final, NamedTuple

from sortedcontainers import SortedDict

from exchange.model import Side

Level = tuple[int, int]  # price, quantity
_SIDES: Final = (Side.BUY, Side.SELL)


class LevelChange(NamedTuple):
    """One level's step: `action` is Deribit's new, change or delete (quantity 0)."""

    action: str
    price: int
    quantity: int


class BookDelta(NamedTuple):
    """Changes that lead from `prev_change_id` to `change_id`."""

    bids: list[LevelChange]
    asks: list[LevelChange]
    change_id: int
    prev_change_id: int


class BookView:
    """Levels of both sides; `change_id` is the seq of the last entry that changed them."""

    def __init__(self) -> None:
        self.change_id = 0
        self.interval_change_id = 0  # what the 100 ms channel published last
        self._levels: tuple[SortedDict, SortedDict] = (SortedDict(), SortedDict())
        self._entry_before: dict[tuple[Side, int], int] = {}
        self._interval_before: dict[tuple[Side, int], int] = {}

    def add(self, side: Side, price: int, quantity: int) -> None:
        """Add `quantity` (negative: take away) at a price. Complexity: O(log levels)."""
        levels = self._levels[side]
        before = levels.get(price, 0)
        after = before + quantity
        assert after >= 0, f"negative level {side.name} {price}: {after}"
        self._entry_before.setdefault((side, price), before)
        if after:
            levels[price] = after
        else:
            levels.pop(price, None)

    def commit(self, seq: int) -> BookDelta | None:
        """End an entry: its net changes for the raw channel, or None."""
        for key, before in self._entry_before.items():
            self._interval_before.setdefault(key, before)
        delta = self._delta(self._entry_before, seq, self.change_id)
        self._entry_before.clear()
        if delta is not None:
            self.change_id = seq
        return delta

    def cut(self) -> BookDelta | None:
        """End a tick: net changes since the last one, or None."""
        delta = self._delta(self._interval_before, self.change_id, self.interval_change_id)
        self._interval_before.clear()
        if delta is not None:
            self.interval_change_id = self.change_id
        return delta

    def _delta(
        self, before: dict[tuple[Side, int], int], change_id: int, previous: int
    ) -> BookDelta | None:
        changes: tuple[list[LevelChange], list[LevelChange]] = ([], [])
        for (side, price), old in before.items():
            new = self._levels[side].get(price, 0)
            if new != old:
                action = "delete" if new == 0 else "change" if old else "new"
                changes[side].append(LevelChange(action, price, new))
        if not changes[Side.BUY] and not changes[Side.SELL]:
            return None
        return BookDelta(changes[Side.BUY], changes[Side.SELL], change_id, previous)

    def levels(self, side: Side, depth: int = 0) -> list[Level]:
        """Levels from the best on; `depth` 0: all."""
        items = self._levels[side].items()
        best_first = reversed(items) if side is Side.BUY else iter(items)
        if not depth:
            return list(best_first)
        return [level for level, _ in zip(best_first, range(depth), strict=False)]

    def best(self, side: Side) -> Level | None:
        """The best level, or None. Complexity: O(log levels)."""
        levels = self._levels[side]
        return levels.peekitem(-1 if side is Side.BUY else 0) if levels else None

    def check(self, *, may_cross: bool = False) -> None:
        """Assert the invariants: positive levels; uncrossed unless an auction collects orders."""
        for side in _SIDES:
            assert all(quantity > 0 for quantity in self._levels[side].values())
        bid, ask = self.best(Side.BUY), self.best(Side.SELL)
        assert may_cross or bid is None or ask is None or bid[0] < ask[0], f"crossed: {bid} {ask}"
