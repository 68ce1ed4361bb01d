"""Merkle trees that OpenZeppelin's `MerkleProof` verifies: of quote sheets, marks, receipts.

Pure. Pairs hash in sorted order; an odd node rises unchanged. A leaf is a hash of anything but 64
bytes, so it cannot pass for a node: who makes leaves sees to that.
"""

from collections.abc import Sequence

from eth_hash.backends.pysha3 import keccak256 as keccak


def merkle_levels(leaves: Sequence[bytes]) -> list[Sequence[bytes]]:
    """A tree from its leaves, one or more, up to its root. Complexity: O(n)."""
    levels = [_checked(leaves)]
    while len(levels[-1]) > 1:
        levels.append(_parents(levels[-1]))
    return levels


def proof_in(levels: Sequence[Sequence[bytes]], at: int) -> tuple[bytes, ...]:
    """Siblings of leaf `at` of a tree, from the leaves up."""
    assert 0 <= at < len(levels[0])
    proof = []
    for level in levels[:-1]:
        if at ^ 1 < len(level):
            proof.append(level[at ^ 1])
        at >>= 1
    return tuple(proof)


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Root of one or more leaves."""
    return merkle_levels(leaves)[-1][0]


def merkle_proof(leaves: Sequence[bytes], at: int) -> tuple[bytes, ...]:
    """Siblings of leaf `at`, from the leaves up."""
    return proof_in(merkle_levels(leaves), at)


def merkle_multiproof(leaves: Sequence[bytes], places: Sequence[int]) -> list[bytes]:
    """What leads from the leaves at `places` (ascending) to the root, level by level.

    Each node once, and none that the leaves themselves give.
    """
    level = _checked(leaves)
    proof = []
    known = list(places)
    while len(level) > 1:
        here = set(known)
        proof += [level[at ^ 1] for at in known if at ^ 1 < len(level) and at ^ 1 not in here]
        known = sorted({at >> 1 for at in known})
        level = _parents(level)
    return proof


def verify_proof(root: bytes, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` leads from `leaf` to `root`, as Solidity checks it."""
    return root_of_proof(leaf, proof) == root


def root_of_proof(leaf: bytes, proof: Sequence[bytes]) -> bytes:
    """Where `proof` leads from `leaf`."""
    for sibling in proof:
        leaf = _node(leaf, sibling)
    return leaf


def _checked(leaves: Sequence[bytes]) -> Sequence[bytes]:
    assert leaves
    assert all(len(leaf) == 32 for leaf in leaves)
    return leaves


def _parents(level: Sequence[bytes]) -> list[bytes]:
    pairs = zip(level[::2], level[1::2], strict=False)
    parents = [keccak(one + two if one < two else two + one) for one, two in pairs]
    return [*parents, level[-1]] if len(level) & 1 else parents


def _node(left: bytes, right: bytes) -> bytes:
    return keccak(left + right if left < right else right + left)
