"""One side of a book: its price levels in order, the best at hand.

Knows ranks and record offsets, not orders. A rank orders prices so that higher is better on both
sides: the price of a bid, the negated price of an ask.
"""

from array import array
from bisect import bisect_left
from typing import Final

COMPILED: Final = not __file__.endswith(".py")

_START: Final = 8  # levels at first


def doubled(words: "array[int]") -> "array[int]":
    """A copy twice as long, zeros behind."""
    grown = array("q", bytes(16 * len(words)))
    memoryview(grown)[: len(words)] = memoryview(words)
    return grown


class Ladder:
    """One side of a book: ranks ascending, the best last, and the record of each rank's level."""

    __slots__ = ("count", "levels", "ranks", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign  # +1 for bids, -1 for asks: rank = sign * price, higher is better
        self.count = 0
        self.ranks = array("q", bytes(8 * _START))
        self.levels = array("q", bytes(8 * _START))

    def seek(self, rank: int) -> int:
        """Position of the first rank not below `rank`. Complexity: O(log L)."""
        if COMPILED:  # pragma: no cover
            low = 0
            span = self.count
            while span > 0:  # without a branch to mispredict
                half = (span + 1) >> 1
                low += half * (self.ranks[low + half - 1] < rank)
                span -= half
            return low
        return bisect_left(self.ranks, rank, 0, self.count)

    def insert(self, position: int, rank: int, level: int) -> None:
        """Complexity: O(L) words moved, those of better levels only."""
        count = self.count
        if count == len(self.ranks):
            self.ranks = doubled(self.ranks)
            self.levels = doubled(self.levels)
        if COMPILED:  # pragma: no cover
            for at in range(count, position, -1):
                self.ranks[at] = self.ranks[at - 1]
                self.levels[at] = self.levels[at - 1]
        else:
            self.ranks[position + 1 : count + 1] = self.ranks[position:count]
            self.levels[position + 1 : count + 1] = self.levels[position:count]
        self.ranks[position] = rank
        self.levels[position] = level
        self.count = count + 1

    def remove(self, position: int) -> None:
        """Complexity: as `insert`."""
        count = self.count = self.count - 1
        if COMPILED:  # pragma: no cover
            for at in range(position, count):
                self.ranks[at] = self.ranks[at + 1]
                self.levels[at] = self.levels[at + 1]
        else:
            self.ranks[position:count] = self.ranks[position + 1 : count + 1]
            self.levels[position:count] = self.levels[position + 1 : count + 1]
