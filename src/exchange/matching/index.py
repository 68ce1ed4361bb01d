"""Where an order is: order_id to the offset of its record, for one book.

Compiled, it is an open-addressing table of offsets; the record itself holds the key, and who looks
an order up reads its record next anyway. Interpreted, a dict is faster. Both give the same answers.
"""

from array import array
from typing import Final

COMPILED: Final = not __file__.endswith(".py")

# 2**64 divided by the golden ratio, as a signed word: blocks of ids that share low bits spread out.
_SPREAD: Final = 0x9E3779B97F4A7C15 - 2**64
_WORD_BITS: Final = 64
_START_BITS: Final = 4
_BLOCK_BITS: Final = 4  # so many consecutive ids share a cache line of the table


class Index:
    """Offsets > 0 by order_id > 0; offset 0 means absent. Complexity: O(1) each."""

    __slots__ = ("bits", "count", "mask", "offsets", "old", "records", "table")

    def __init__(self, records: "array[int]") -> None:
        self.records = records  # an order's first word is its order_id
        self.count = 0
        self.table: dict[int, int] = {}
        self.bits = _START_BITS
        self.mask = (1 << _START_BITS) - 1
        self.offsets = array("i", bytes(4 << _START_BITS))
        self.old = self.offsets  # the smaller table while it moves

    def find(self, order_id: int) -> int:
        """Offset of an order, 0 if it is absent."""
        if COMPILED:  # pragma: no cover
            return self.offsets[self._seek(order_id)]
        return self.table.get(order_id, 0)

    def put(self, order_id: int, offset: int) -> None:
        """Add an absent order, whose record is written."""
        self.count += 1
        if COMPILED:  # pragma: no cover
            if 2 * self.count > self.mask:
                self._grow()
            self.offsets[self._seek(order_id)] = offset
        else:
            self.table[order_id] = offset

    def drop(self, order_id: int) -> None:
        """Take a present order out, whose record still stands."""
        self.count -= 1
        if COMPILED:  # pragma: no cover
            self._close(self._seek(order_id))
        else:
            del self.table[order_id]

    def _home(self, order_id: int) -> int:  # pragma: no cover -- compiled
        block = (order_id >> _BLOCK_BITS) * _SPREAD >> (_WORD_BITS - self.bits)
        return (block ^ order_id) & self.mask

    def _seek(self, order_id: int) -> int:  # pragma: no cover -- compiled
        """Entry that holds an order, or the empty one where it would go."""
        entry = self._home(order_id)
        at = self.offsets[entry]
        while at != 0 and self.records[at] != order_id:
            entry = (entry + 1) & self.mask
            at = self.offsets[entry]
        return entry

    def _close(self, hole: int) -> None:  # pragma: no cover -- compiled
        """Empty an entry, moving later ones back so that no probe stops short of them."""
        entry = (hole + 1) & self.mask
        at = self.offsets[entry]
        while at != 0:
            if (entry - self._home(self.records[at])) & self.mask >= (entry - hole) & self.mask:
                self.offsets[hole] = at
                hole = entry
            entry = (entry + 1) & self.mask
            at = self.offsets[entry]
        self.offsets[hole] = 0

    def _grow(self) -> None:  # pragma: no cover -- compiled
        """Move to a table twice as long."""
        self.old = self.offsets
        size = 1 << self.bits
        self.bits += 1
        self.mask = (1 << self.bits) - 1
        self.offsets = array("i", bytes(4 << self.bits))
        for entry in range(size):
            at = self.old[entry]
            if at != 0:
                self.offsets[self._seek(self.records[at])] = at
        self.old = self.offsets
