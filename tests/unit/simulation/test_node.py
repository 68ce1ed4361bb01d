"""Answers that are lost on the way, before or after the call took effect."""

import random

import pytest

from exchange.settlement.errors import ChainUnavailable, NodeRefused
from exchange.simulation.chain import ModelChain
from exchange.simulation.loop import VirtualLoop, blocking, run
from exchange.simulation.node import FaultyNode
from exchange.simulation.parameters import Faults


def node(**faults: float) -> FaultyNode:
    return FaultyNode(ModelChain(random.Random(1), 1_000), random.Random(2), Faults(**faults))


def test_a_good_node_answers_like_the_chain() -> None:
    """Some of its answers take time; what it holds is given as it is."""
    good, loop = node(), VirtualLoop()
    assert good.deployment is good.chain.deployment

    def ask() -> set[int]:
        return {good.head() for _ in range(50)}

    assert run(loop, blocking(ask)) == {0}
    assert 0 < loop.now_s < 50


def test_lost_answers_are_lost_before_or_after() -> None:
    """The caller cannot tell."""
    bad = node(call_lost=0.5)

    def ask() -> list[str]:
        words = []
        for _ in range(50):
            try:
                bad.head()
            except ChainUnavailable as error:
                words.append(str(error))
        return words

    words = run(VirtualLoop(), blocking(ask))
    assert {"head: the request was lost", "head: the answer was lost"} == set(words)


def test_a_full_pool_refuses() -> None:
    """Broadcasts alone."""
    full = node(refused=1.0)

    def ask() -> int:
        with pytest.raises(NodeRefused, match="pool is full"):
            full.broadcast(b"")
        return full.head()

    assert run(VirtualLoop(), blocking(ask)) == 0
