"""Proofs of marks: those that the fills of a batch need, under the root that was published. Pure.

The struct mirrors `MarksProof` in `contracts/src/libraries/MarksLib.sol`.
"""

import struct
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from exchange.commands import UpdateMarks
from exchange.fixed import div_exact
from exchange.margin.merkle import MARK_SIZE, marks_leaves, packed_marks
from exchange.merkle import merkle_multiproof
from exchange.model import index_id, unpack_instrument_id

MARKS_TYPE: Final = "(bytes,uint32,bytes,bytes32[])"
MarksLookup = Callable[[int], UpdateMarks]  # by the `seq` that brought them


class MarksProof(msgspec.Struct, frozen=True, kw_only=True):
    """Some packed marks, and what leads from them to the root; empty proves nothing."""

    marks: bytes = b""
    leaf_count: int = 0
    places: bytes = b""  # two bytes each
    nodes: tuple[bytes, ...] = ()


def prove_marks(
    update: UpdateMarks, instrument_ids: Iterable[int], underlyings: Iterable[int] = ()
) -> MarksProof:
    """The marks of these instruments, with the indices of their underlyings and of these.

    Complexity: O(instruments of the epoch) hashes.
    """
    packed = packed_marks(update)
    count = div_exact(len(packed), MARK_SIZE)
    ids = struct.unpack(">" + "Qq" * count, packed)[::2]
    wanted = set(instrument_ids)
    wanted |= {index_id(unpack_instrument_id(number).underlying_id) for number in wanted}
    wanted |= set(map(index_id, underlyings))
    places = [place for place, number in enumerate(ids) if number in wanted]
    assert len(places) == len(wanted), "something traded without a published mark"
    return MarksProof(
        marks=b"".join(packed[at * MARK_SIZE : (at + 1) * MARK_SIZE] for at in places),
        leaf_count=count,
        places=struct.pack(f">{len(places)}H", *places),
        nodes=tuple(merkle_multiproof(marks_leaves(packed), places)),
    )
