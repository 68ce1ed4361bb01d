"""The leaves of an epoch and its root."""

import struct

import msgspec
from eth_hash.auto import keccak
from tests.margin_world import instruments, update

from exchange.commands import UpdateMarks
from exchange.fixed import RATIO_SCALE
from exchange.margin.merkle import (
    expiry_leaf,
    header_leaf,
    leaves,
    marks_leaves,
    marks_root,
    packed_marks,
    row_leaf,
    underlying_leaf,
    update_root,
)
from exchange.merkle import merkle_proof, merkle_root, verify_proof
from exchange.model import index_id


def test_an_update_carries_the_root_of_all_its_numbers():
    good = update()
    assert good.root == update_root(good)
    assert len(leaves(good)) == 1 + len(good.underlyings) + len(good.expiries) + len(instruments())
    changes = {
        "epoch": 2,
        "stablecoin_price": 1,
        "underlyings": good.underlyings[1:],
        "expiries": good.expiries[1:],
        "rows": bytes(8) + good.rows[8:],
    }
    for name, value in changes.items():
        assert update_root(msgspec.structs.replace(good, **{name: value})) != good.root


def test_leaves_are_packed_big_endian():
    """The layout of docs/margin.md, spelled out."""
    good = update()
    assert header_leaf(3, 7) == keccak(struct.pack(">QQQ", 3, 0, 7))
    underlying = good.underlyings[0]
    packed = struct.pack(">Qq", underlying.underlying_id, underlying.index_price)
    assert underlying_leaf(underlying) == keccak(packed + underlying.confidence.to_bytes(16, "big"))
    scaled = msgspec.structs.replace(underlying, scan=RATIO_SCALE * 2)
    packed += underlying.confidence.to_bytes(16, "big") + (RATIO_SCALE * 2).to_bytes(16, "big")
    assert underlying_leaf(scaled) == keccak(packed), "only a scale that is in force is hashed"
    expiry = good.expiries[1]
    ratios = (expiry.discount_long, expiry.discount_short, expiry.basis_weight)
    packed = struct.pack(">QQq", expiry.underlying_id, expiry.expiry, expiry.forward_price)
    packed += b"".join(ratio.to_bytes(16, "big") for ratio in ratios)
    assert expiry_leaf(expiry) == keccak(packed)
    numbers = (-1, 2, *range(7))
    assert row_leaf(5, struct.pack("<9q", *numbers)) == keccak(struct.pack(">Q9q", 5, *numbers))


def test_marks_are_packed_indices_first():
    """Sixteen bytes each, ascending by id, and every one lies under the root."""
    good = update()
    marks = packed_marks(good)
    pairs = list(struct.iter_unpack(">Qq", marks))
    indices = [(index_id(one.underlying_id), one.index_price) for one in good.underlyings]
    size = len(good.rows) // len(good.instrument_ids)
    rows = [struct.unpack_from("<q", good.rows, at * size)[0] for at in range(len(pairs) - 2)]
    assert pairs == sorted(indices) + list(zip(good.instrument_ids, rows, strict=True))
    assert pairs == sorted(pairs)
    places = [0, 3, len(pairs) - 1]
    tree = marks_leaves(marks)
    assert tree[3] == keccak(struct.pack(">Qq", *pairs[3]))
    assert marks_root(marks) == merkle_root(tree)
    for at in places:
        assert verify_proof(marks_root(marks), tree[at], merkle_proof(tree, at))


def test_an_epoch_without_instruments_has_a_root():
    nothing = UpdateMarks(
        epoch=1, root=bytes(32), underlyings=(), expiries=(), instrument_ids=(), rows=b""
    )
    assert packed_marks(nothing) == b""
    assert update_root(nothing) == header_leaf(1, nothing.stablecoin_price)
