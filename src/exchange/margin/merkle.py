"""The Merkle leaves of an epoch's marks and of a delivery's samples, provable in Solidity.

Pure. Leaves are keccak256 of packed big-endian numbers, never of 64 bytes: none can pass for a
node. Each kind has lengths of its own. docs/margin.md gives the layout.
"""

import struct
from collections.abc import Sequence
from typing import Final

from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.commands import ExpiryRisk, UnderlyingRisk, UpdateMarks
from exchange.fixed import RATIO_SCALE, div_exact
from exchange.merkle import merkle_root
from exchange.model import index_id

MARK_SIZE: Final = 16  # bytes of a packed mark
_ROW_SIZE_MIN: Final = 80  # of five scenarios: longer than a node and than every other leaf


def header_leaf(epoch: int, stablecoin_price: int) -> bytes:
    """uint64 epoch, uint128 stablecoin price."""
    return keccak(_u64(epoch) + _u128(stablecoin_price))


def underlying_leaf(risk: UnderlyingRisk) -> bytes:
    """uint64 underlying, int64 index price, uint128 confidence; where not 1 also uint128 scan."""
    head = _u64(risk.underlying_id) + _i64(risk.index_price) + _u128(risk.confidence)
    return keccak(head if risk.scan == RATIO_SCALE else head + _u128(risk.scan))


def expiry_leaf(risk: ExpiryRisk) -> bytes:
    """uint64 underlying, uint64 expiry, int64 forward, uint128 discounts and basis weight."""
    head = _u64(risk.underlying_id) + _u64(risk.expiry) + _i64(risk.forward_price)
    ratios = (risk.discount_long, risk.discount_short, risk.basis_weight)
    return keccak(head + b"".join(map(_u128, ratios)))


def row_leaf(instrument_id: int, row: bytes) -> bytes:
    """uint64 instrument, then int64 of each value; `row` is little-endian as in `UpdateMarks`."""
    count = div_exact(len(row), 8)
    assert 8 + len(row) >= _ROW_SIZE_MIN
    return keccak(
        _u64(instrument_id) + struct.pack(f">{count}q", *struct.unpack(f"<{count}q", row))
    )


def sample_leaf(time_ns: int, index_price: int) -> bytes:
    """One index sample of a delivery window: uint64 time in nanoseconds, int64 price."""
    return keccak(_u64(time_ns) + _i64(index_price))


def samples_root(samples: Sequence[tuple[int, int]]) -> bytes:
    """Root over (time_ns, index price), oldest first: what a delivery price was made from."""
    return merkle_root([sample_leaf(time_ns, price) for time_ns, price in samples])


def leaves(update: UpdateMarks) -> list[bytes]:
    """All leaves of an epoch: header, underlyings, expiries, rows, each ascending."""
    found = [header_leaf(update.epoch, update.stablecoin_price)]
    found += map(underlying_leaf, sorted(update.underlyings, key=lambda risk: risk.underlying_id))
    expiries = sorted(update.expiries, key=lambda risk: (risk.underlying_id, risk.expiry))
    found += map(expiry_leaf, expiries)
    if update.instrument_ids:
        size = div_exact(len(update.rows), len(update.instrument_ids))
        for at, instrument_id in enumerate(update.instrument_ids):
            found.append(row_leaf(instrument_id, update.rows[at * size : (at + 1) * size]))
    return found


def update_root(update: UpdateMarks) -> bytes:
    """The root that `update` must carry."""
    return merkle_root(leaves(update))


def packed_marks(update: UpdateMarks) -> bytes:
    """Every index and mark of an epoch, ascending: uint64 id, int64 price, as the chain keeps them.

    An underlying's index goes by `model.index_id`, so indices come first.
    """
    prices = {index_id(risk.underlying_id): risk.index_price for risk in update.underlyings}
    if update.instrument_ids:
        size = div_exact(len(update.rows), len(update.instrument_ids))
        for at, instrument_id in enumerate(update.instrument_ids):
            prices[instrument_id] = int.from_bytes(
                update.rows[at * size : at * size + 8], "little", signed=True
            )
    return b"".join(struct.pack(">Qq", key, prices[key]) for key in sorted(prices))


def marks_leaves(marks: bytes) -> list[bytes]:
    """The leaves over packed marks, twins of `MarksLib`."""
    return [keccak(marks[at : at + MARK_SIZE]) for at in range(0, len(marks), MARK_SIZE)]


def marks_root(marks: bytes) -> bytes:
    """The root over packed marks."""
    return merkle_root(marks_leaves(marks))


def _u64(value: int) -> bytes:
    return value.to_bytes(8, "big")


def _i64(value: int) -> bytes:
    return value.to_bytes(8, "big", signed=True)


def _u128(value: int) -> bytes:
    return value.to_bytes(16, "big")
