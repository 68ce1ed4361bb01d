"""The order book does what its naive twin does, for every sequence of calls."""

import os
import random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from tests.book_twins import TICK, Twins, legal, random_step

from exchange.matching.book import PostOnly
from exchange.model import SelfTradePrevention, TimeInForce

COMMANDS = int(os.environ.get("BOOK_COMMANDS", 300_000 if "CI" in os.environ else 20_000))
SEED = int(os.environ.get("BOOK_SEED", 20261121))
SHARDS = 10
LIFETIME = 500  # commands before a run starts again from an empty book


@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_commands_give_identical_results_on_both_books(shard):
    """Conservation, no crossed live book and priority are asserted after each command."""
    seed = SEED + shard
    print(f"book twins: seed {seed}, {COMMANDS // SHARDS} commands")  # noqa: T201
    rng = random.Random(seed)
    twins = Twins()
    for step in range(COMMANDS // SHARDS):
        if step % LIFETIME == 0:
            twins = Twins(price_min=rng.choice((TICK, -100)))
        random_step(rng, twins)


TERMS = st.tuples(
    st.integers(1, 9).map(lambda ticks: ticks * TICK),
    st.integers(1, 100),
    st.sampled_from(TimeInForce),
    st.sampled_from(PostOnly),
    st.sampled_from(SelfTradePrevention),
    st.sampled_from((0, 1, 7, 100)),
).filter(lambda terms: legal(terms[2], terms[3]))


def clip(terms):
    """`max_show` is at most the quantity."""
    *others, show = terms
    return *others, min(show, others[1])


class BookMachine(RuleBasedStateMachine):
    """Hypothesis looks for the shortest sequence on which the books differ."""

    def __init__(self):
        super().__init__()
        self.twins = Twins()

    def pick(self, index):
        ids = self.twins.ids()
        return ids[index % len(ids)] if ids else None

    @rule(owner=st.integers(1, 3), side=st.integers(0, 1), terms=TERMS)
    def place(self, owner, side, terms):
        self.twins.place(owner, side, *clip(terms))

    @rule(index=st.integers(0, 50), terms=TERMS)
    def amend(self, index, terms):
        if (order_id := self.pick(index)) is not None:
            self.twins.amend(order_id, *clip(terms))

    @rule(index=st.integers(0, 50), quantity=st.integers(0, 100))
    def reduce(self, index, quantity):
        if (order_id := self.pick(index)) is not None:
            self.twins.reduce(order_id, quantity)

    @rule(order_id=st.integers(1, 60))
    def cancel(self, order_id):
        self.twins.cancel(order_id)

    @rule(collecting=st.booleans())
    def collect(self, collecting):
        self.twins.collect(collecting)


TestBookMachine = BookMachine.TestCase
