"""Proofs of marks lead to the published root, as the contract climbs them."""

import random
import struct

import pytest
from tests.margin_world import update

from exchange.margin.merkle import MARK_SIZE, marks_leaves, marks_root, packed_marks
from exchange.merkle import merkle_root
from exchange.model import index_id, unpack_instrument_id
from exchange.settlement.marks_proof import MarksProof, prove_marks


def climbed(proof: MarksProof) -> bytes:
    """The twin of RiskProofLib.climb, by a dictionary a level."""
    places = struct.unpack(f">{len(proof.places) // 2}H", proof.places)
    level = dict(zip(places, marks_leaves(proof.marks), strict=True))
    nodes, width = list(proof.nodes), proof.leaf_count
    while width > 1:
        above: dict[int, bytes] = {}
        for place in sorted(level):
            if place >> 1 in above:
                continue
            sibling = place ^ 1
            if sibling < width:
                other = level.get(sibling) or nodes.pop(0)
                above[place >> 1] = merkle_root([level[place], other])
            else:
                above[place >> 1] = level[place]
        level, width = above, (width + 1) // 2
    assert not nodes, "a node is left over"
    return level[0]


@pytest.mark.parametrize("seed", range(20))
def test_any_choice_of_instruments_is_proven(seed: int) -> None:
    """With the index of each underlying, once, and nothing else."""
    rng = random.Random(seed)
    epoch = update()
    chosen = rng.sample(epoch.instrument_ids, rng.randint(1, len(epoch.instrument_ids)))
    proof = prove_marks(epoch, chosen + chosen[:1])
    packed = packed_marks(epoch)
    assert climbed(proof) == marks_root(packed)
    assert proof.leaf_count == len(packed) // MARK_SIZE
    ids = [key for key, _ in struct.iter_unpack(">Qq", proof.marks)]
    indices = {index_id(unpack_instrument_id(number).underlying_id) for number in chosen}
    assert ids == sorted(indices | set(chosen))


def test_what_has_no_mark_is_not_proven() -> None:
    """The engine lets nothing trade before its mark is published."""
    epoch = update()
    with pytest.raises(AssertionError, match="without a published mark"):
        prove_marks(epoch, [epoch.instrument_ids[-1] + 2])
