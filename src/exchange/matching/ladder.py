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

    __slots__ = ("count", "room", "sign", "words")

    def __init__(self, sign: int) -> None:
        self.sign = sign  # +1 for bids, -1 for asks: rank = sign * price, higher is better
        self.count = 0
        self.room = _START
        self.words = array("q", bytes(16 * _START))  # ranks, then from `room` on their levels

    def seek(self, rank: int) -> int:
        """Position of the first rank not below `rank`. Complexity: O(log L)."""
        if COMPILED:  # pragma: no cover
            low = 0
            span = self.count
            while span > 0:  # without a branch to mispredict
                half = (span + 1) >> 1
                low += half * (self.words[low + half - 1] < rank)
                span -= half
            return low
        return bisect_left(self.words, rank, 0, self.count)

    def insert(self, position: int, rank: int, level: int) -> None:
        """Complexity: O(L) words moved, those of better levels only."""
        count = self.count
        if count == self.room:
            self.words = doubled(self.words)
            self.words[2 * count : 3 * count] = self.words[count : 2 * count]
            self.room = 2 * count
        room = self.room
        if COMPILED:  # pragma: no cover
            for at in range(count, position, -1):
                self.words[at] = self.words[at - 1]
                self.words[room + at] = self.words[room + at - 1]
        else:
            self._move(position, position + 1, count - position)
        self.words[position] = rank
        self.words[room + position] = level
        self.count = count + 1

    def remove(self, position: int) -> None:
        """Complexity: as `insert`."""
        room = self.room
        count = self.count = self.count - 1
        if COMPILED:  # pragma: no cover
            for at in range(position, count):
                self.words[at] = self.words[at + 1]
                self.words[room + at] = self.words[room + at + 1]
        else:
            self._move(position + 1, position, count - position)

    def _move(self, source: int, target: int, length: int) -> None:
        for start in (0, self.room):
            moved = self.words[start + source : start + source + length]
            self.words[start + target : start + target + length] = moved
