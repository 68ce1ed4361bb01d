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
    row_leaf,
    underlying_leaf,
    update_root,
)


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
    assert row_leaf(5, struct.pack("<2q", -1, 2)) == keccak(struct.pack(">Q2q", 5, -1, 2))


def test_an_epoch_without_instruments_has_a_root():
    nothing = UpdateMarks(
        epoch=1, root=bytes(32), underlyings=(), expiries=(), instrument_ids=(), rows=b""
    )
    assert update_root(nothing) == header_leaf(1, nothing.stablecoin_price)
