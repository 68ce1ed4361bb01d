"""A mirror of one order book, from a snapshot and deltas.

Each delta names the change before it; one that does not follow is a gap, and the mirror is stale
until the next snapshot. It never shows a book that the venue did not have.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

Level = tuple[Decimal, Decimal]


class BookMirror:
    """Bids and asks by price; `stale` until a snapshot came, and after a gap."""

    def __init__(self, instrument_name: str) -> None:
        self.instrument_name = instrument_name
        self.change_id = 0
        self.stale = True
        self._bids: dict[Decimal, Decimal] = {}
        self._asks: dict[Decimal, Decimal] = {}

    def apply(self, data: Mapping[str, Any]) -> bool:
        """Take a message of the book channel; False where a gap asks for a new snapshot."""
        if data["type"] == "snapshot":
            self._bids.clear()
            self._asks.clear()
            self.stale = False
        elif self.stale or data["prev_change_id"] != self.change_id:
            self.stale = True
            return False
        _step(self._bids, data["bids"])
        _step(self._asks, data["asks"])
        self.change_id = data["change_id"]
        return True

    def bids(self, depth: int | None = None) -> list[Level]:
        """Bids, the best first."""
        return sorted(self._bids.items(), reverse=True)[:depth]

    def asks(self, depth: int | None = None) -> list[Level]:
        """Asks, the best first."""
        return sorted(self._asks.items())[:depth]

    @property
    def best_bid(self) -> Level | None:
        """The highest bid."""
        return max(self._bids.items(), default=None)

    @property
    def best_ask(self) -> Level | None:
        """The lowest ask."""
        return min(self._asks.items(), default=None)


def _step(levels: dict[Decimal, Decimal], changes: Sequence[Sequence[Any]]) -> None:
    for action, price, amount in changes:
        key = Decimal(price)
        if action == "delete":
            levels.pop(key, None)
        else:
            levels[key] = Decimal(amount)
