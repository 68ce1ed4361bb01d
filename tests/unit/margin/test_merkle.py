"""The root of an epoch, and proofs of its rows."""

import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.margin_world import instruments, update

from exchange.commands import UpdateMarks
from exchange.fixed import RATIO_SCALE
from exchange.margin.merkle import (
    expiry_leaf,
    header_leaf,
    keccak,
    leaves,
    merkle_multiproof,
    merkle_proof,
    merkle_root,
    row_leaf,
    underlying_leaf,
    update_root,
    verify_proof,
)


def test_keccak_is_ethereums():
    empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak(b"").hex() == empty


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 33])
def test_every_leaf_has_a_proof(count):
    level = [keccak(bytes([at])) for at in range(count)]
    root = merkle_root(level)
    for at, leaf in enumerate(level):
        proof = merkle_proof(level, at)
        assert verify_proof(root, leaf, proof)
        assert not verify_proof(root, keccak(leaf), proof)


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


def climbed(width, known, nodes):
    """Root of leaves by place and the missing nodes: what the contract does, with a dict."""
    nodes = list(nodes)
    while width > 1:
        above = {}
        for at in sorted(known):
            if at >> 1 in above:
                continue
            pair = [known[at]]
            if at ^ 1 < width:
                pair.append(known[at ^ 1] if at ^ 1 in known else nodes.pop(0))
            above[at >> 1] = keccak(b"".join(sorted(pair))) if len(pair) == 2 else pair[0]
        known, width = above, (width + 1) // 2
    assert not nodes
    return known[0]


@given(st.integers(1, 70), st.data())
def test_a_multiproof_leads_to_the_root(width, data):
    """Any set of leaves of a tree of any width, and each missing node once."""
    level = [keccak(bytes([at])) for at in range(width)]
    places = sorted(data.draw(st.sets(st.integers(0, width - 1), min_size=1)))
    nodes = merkle_multiproof(level, places)
    assert climbed(width, {at: level[at] for at in places}, nodes) == merkle_root(level)
    assert len(nodes) <= sum(len(merkle_proof(level, at)) for at in places)


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
