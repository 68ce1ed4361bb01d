"""The order book does what its naive twin does, for every sequence of calls."""

import os
import random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from tests.book_twins import TICK, Twins, legal, random_step
from tests.long_run import LONG

from exchange.matching.book import PostOnly
from exchange.model import SelfTradePrevention, TimeInForce

COUNT = 10_000_000 if LONG else 300_000 if "CI" in os.environ else 20_000
COMMANDS = int(os.environ.get("BOOK_COMMANDS", COUNT))
SEED = int(os.environ.get("BOOK_SEED", 20261121))
SHARDS = 10
LIFETIME = 500  # commands before a run starts again from an empty book


@pytest.mark.long_run("the book against its naive twin", commands=COMMANDS // SHARDS)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_commands_give_identical_results_on_both_books(shard):
    """Conservation, no crossed live book and priority are asserted after each command."""
    seed = SEED + shard
    print(f"book twins: seed {seed}, {COMMANDS // SHARDS} commands")
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


def commands(seed):
    """A book that many random commands change, after each of them."""
    rng = random.Random(seed)
    for _ in range(COMMANDS // SHARDS // LIFETIME):
        twins = Twins()
        for _ in range(LIFETIME):
            random_step(rng, twins)
            yield twins


def test_conservation_what_came_in_rests_traded_or_was_canceled():
    """Counted from what the calls returned, against what the book shows."""
    for twins in commands(SEED + 100):
        levels = [level for side in (0, 1) for level in twins.book.levels(side, 0)]
        orders = [order for side in (0, 1) for order in twins.book.orders(side)]
        resting = sum(order.remaining_quantity for order in orders)
        assert twins.quantity_in == resting + twins.traded + twins.canceled
        assert sum(level[1] for level in levels) == sum(o.displayed_quantity for o in orders)


def test_no_live_book_is_crossed():
    """Only while an auction collects may a bid reach an ask."""
    collected = 0
    for twins in commands(SEED + 101):
        bid, ask = twins.book.best_bid, twins.book.best_ask
        if twins.collecting:
            collected += 1
        elif bid is not None and ask is not None:
            assert bid < ask
    assert collected > 0


def test_priority_is_never_violated():
    """A taker of one lot gets it from who waits first at the best price, and moves nobody else."""
    taken = 0
    terms = (1, TimeInForce.IOC, PostOnly.OFF, SelfTradePrevention.CANCEL_TAKER, 0)
    for twins in commands(SEED + 102):
        waiting = twins.book.orders(1)
        if not waiting or twins.collecting:
            continue
        first = waiting[0]
        assert first.price == min(order.price for order in waiting)
        twins.place(99, 0, first.price, *terms)
        others = [order for order in twins.book.orders(1) if order.order_id != first.order_id]
        assert others == waiting[1:]
        left = twins.book.get(first.order_id)
        assert (left.remaining_quantity if left else 0) == first.remaining_quantity - 1
        taken += 1
    assert taken > 0
