"""The index finds what was put and nothing else."""

import random
from array import array

import pytest
from tests.source import load_source

index = load_source("index")
Index = index.Index


@pytest.mark.parametrize("compiled", [False, True])
def test_finds_what_a_dict_finds(monkeypatch, compiled):
    """Both tables, the compiled one run interpreted: ids that crowd, wrap and come again."""
    monkeypatch.setattr(index, "COMPILED", compiled)
    if compiled:
        monkeypatch.setattr(Index, "_home", home)
    rng = random.Random(1)
    records = array("q", [0] * 4000)
    found, expected = Index(records), {}
    for offset in range(1, 4000):
        order_id = rng.choice(
            (rng.randint(1, 40), rng.randint(1, 40) << 10, rng.getrandbits(62) | 1)
        )
        assert found.find(order_id) == expected.get(order_id, 0)
        if order_id in expected:
            found.drop(order_id)
            del expected[order_id]
        else:
            records[offset] = order_id
            found.put(order_id, offset)
            expected[order_id] = offset
        assert found.count == len(expected)
    assert {order_id: found.find(order_id) for order_id in expected} == expected


def home(self, order_id):
    """`Index._home` with the 64-bit wrap that C does by itself."""
    product = (order_id >> 4) * index._SPREAD & (1 << 64) - 1
    return (product >> (64 - self.bits) ^ order_id) & self.mask
