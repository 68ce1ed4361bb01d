"""The tree that the contract verifies: roots, proofs of one leaf, proofs of many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.merkle import keccak, merkle_multiproof, merkle_proof, merkle_root, verify_proof


def test_keccak_is_ethereums():
    empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak(b"").hex() == empty


def leaves(count):
    return [keccak(bytes([number])) for number in range(count)]


def test_the_root_hashes_sorted_pairs_and_an_odd_leaf_rises():
    a, b, c = leaves(3)
    inner = keccak(min(a, b) + max(a, b))
    assert merkle_root([a]) == a
    assert merkle_root([a, b]) == merkle_root([b, a]) == inner
    assert merkle_root([a, b, c]) == keccak(min(inner, c) + max(inner, c))
    assert merkle_proof([a, b, c], 2) == (inner,)
    assert merkle_proof([a, b, c], 1) == (a, c)


def test_a_proof_serves_its_own_leaf_only():
    tree = leaves(5)
    root = merkle_root(tree)
    assert verify_proof(root, tree[3], merkle_proof(tree, 3))
    assert not verify_proof(root, tree[2], merkle_proof(tree, 3))
    assert not verify_proof(root, keccak(b"another"), ())


@pytest.mark.parametrize("tree", [[], [b"short"]])
def test_a_tree_has_leaves_of_full_length(tree):
    with pytest.raises(AssertionError):
        merkle_root(tree)


@pytest.mark.parametrize("at", [-1, 2])
def test_a_proof_is_of_a_leaf_that_exists(at):
    with pytest.raises(AssertionError):
        merkle_proof(leaves(2), at)


@given(st.integers(1, 40), st.integers(0, 2**16))
def test_every_leaf_and_no_other_is_in_the_tree(count, seed):
    tree = [keccak(seed.to_bytes(4, "big") + bytes([at])) for at in range(count)]
    root = merkle_root(tree)
    for at, leaf in enumerate(tree):
        proof = merkle_proof(tree, at)
        assert verify_proof(root, leaf, proof)
        assert 2 ** len(proof) < 2 * count or count == 1
        assert not verify_proof(root, keccak(leaf), proof)


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
