"""What pays is done, within bounds, and the books say what came of it."""

import asyncio
from decimal import Decimal

import pytest
from tests.unit.keepers.node import GWEI, FakeNode

from exchange.keepers.ethereum import CallRefused, NodeUnavailable
from exchange.keepers.runner import Action, Books, Limits, Post, Runner, Several
from exchange.sdk import ApiError, ConnectionLost, SdkError

POST = Post(to="0x" + "11" * 20, data=b"\x01")
ETHER = Decimal(3_000)
COST = Decimal(90_000 * 2 * GWEI) / 10**18 * ETHER  # of one transaction, in USDC


class Looking:
    name = "test"

    def __init__(self, *rounds):
        self.rounds = list(rounds)

    async def look(self):
        found = self.rounds.pop(0) if self.rounds else []
        if isinstance(found, Exception):
            raise found
        return found


def run(keeper, *, node=None, prices=(), **limits) -> Books:
    told = iter(prices)

    async def price() -> Decimal:
        found = next(told, ETHER)
        if isinstance(found, Exception):
            raise found
        return found

    bounds = Limits(**({"rounds": 1, "interval_s": 0.0} | limits))
    return asyncio.run(Runner(keeper, bounds, node, price).run())


def earns(amount):
    async def work():
        return Decimal(amount)

    return work


def fails(error):
    async def work():
        raise error

    return work


def test_the_books_say_reward_gas_and_profit():
    """A transaction costs gas, a call of the wire none."""
    node = FakeNode()
    actions = [
        Action(name="post", work=POST, reward=Decimal(5)),
        Action(name="bid", work=earns(7), reward=Decimal(6)),
    ]
    books = run(Looking(actions), node=node)
    assert (books.seen, books.done, books.failed) == (2, 2, 0)
    assert (books.gas_used, books.wei) == (90_000, 90_000 * 2 * GWEI)
    assert books.profit == Decimal(12) - COST


def test_what_does_not_pay_is_left():
    """Unless it is needed."""
    node = FakeNode()
    poor = Action(name="poor", work=POST, reward=Decimal("0.01"))
    needed = Action(name="needed", work=POST, needed=True)
    books = run(Looking([poor, needed]), node=node)
    assert (books.unprofitable, books.done) == (1, 1)
    books = run(
        Looking([Action(name="bid", work=earns(7), reward=Decimal(6))]), profit_min=Decimal(9)
    )
    assert (books.unprofitable, books.done) == (1, 0)


def test_a_dry_run_sends_nothing():
    """It needs no key."""
    node = FakeNode(b"")
    books = run(Looking([Action(name="post", work=POST, needed=True)]), node=node, dry_run=True)
    assert (books.seen, books.done, node.sent) == (1, 0, [])


def test_a_round_is_bounded_and_so_is_the_budget():
    """At most so many actions, and no gas beyond the budget; a spent one ends the run."""
    many = [Action(name=str(n), work=earns(1), needed=True) for n in range(9)]
    assert run(Looking(many), actions_max=3).done == 3
    node = FakeNode()
    posts = [[Action(name="post", work=POST, needed=True)]] * 9
    books = run(Looking(*posts), node=node, rounds=3, budget_wei=90_000 * 2 * GWEI)
    assert (books.done, books.wei) == (0, 0), "what it could cost is beyond the budget"


def test_a_spent_budget_ends_the_run():
    """What is left may not be enough for another one, so nothing goes on for ever."""
    node = FakeNode()
    posts = [[Action(name="post", work=POST, needed=True)]] * 9
    books = run(Looking(*posts), node=node, rounds=4, budget_wei=4 * 10**14)
    assert (books.done, books.rounds) == (1, 4)
    node = FakeNode()
    node.base_fee = 1
    books = run(Looking(*posts), node=node, rounds=0, budget_wei=15 * 10**13)
    assert books.wei >= 15 * 10**13


def test_a_keeper_that_sends_nothing_needs_no_budget():
    """Whoever only bids or trades goes on to the last round."""
    bids = [[Action(name="bid", work=earns(1), needed=True)]] * 3
    books = run(Looking(*bids), rounds=3, budget_wei=0)
    assert (books.rounds, books.done) == (3, 3)


def test_others_that_were_faster_stop_nothing():
    """A refusal by venue, node or chain is counted, and the next action goes on."""
    node = FakeNode()
    node.succeeds = False
    refused = [
        Action(name="venue", work=fails(ApiError(11050, "bad_request")), needed=True),
        Action(name="chain", work=fails(CallRefused("reverted")), needed=True),
        Action(name="mined in vain", work=POST, needed=True),
        Action(name="good", work=earns(1), needed=True),
    ]
    books = run(Looking(refused), node=node)
    assert (books.failed, books.done, books.reward) == (3, 1, Decimal(1))
    assert books.gas_used == 90_000


def test_who_is_away_is_waited_for():
    """Venue or node: the next round asks again."""
    good = [Action(name="good", work=earns(1), needed=True)]
    keeper = Looking(ConnectionLost("gone"), NodeUnavailable("gone"), good)
    assert run(keeper, rounds=3).done == 1


def test_a_transaction_needs_a_node_and_a_key():
    """One line says so."""
    for node in (None, FakeNode(b"")):
        with pytest.raises(SdkError, match="a node and a wallet's key"):
            run(Looking([Action(name="post", work=POST, needed=True)]), node=node)


def test_several_take_turns():
    """In their order."""
    both = Several("both", (Looking([Action(name="a", work=earns(1))]), Looking([])))
    found = asyncio.run(both.look())
    assert [action.name for action in found] == ["a"]


@pytest.mark.parametrize("away", [ConnectionLost("away"), ApiError(1, "no")])
def test_what_is_needed_is_done_without_a_price_of_ether_too(away):
    """At the last one that was told, or for nothing; wei are counted in any case."""
    needed = Action(name="post", work=POST, needed=True)
    books = run(Looking([needed]), node=FakeNode(), prices=[away, away])
    assert (books.done, books.failed, books.wei > 0, books.profit) == (1, 0, True, 0)
    books = run(Looking([needed]), node=FakeNode(), prices=[ETHER, away])
    assert (books.done, books.profit) == (1, -COST)


def test_what_must_pay_waits_for_a_price_of_ether():
    """Nobody knows whether it does."""
    node = FakeNode()
    action = Action(name="post", work=POST, reward=Decimal(5))
    books = run(Looking([action]), node=node, prices=[ConnectionLost("away")])
    assert (books.done, node.sent) == (0, [])


def test_a_keeper_whose_work_is_over_ends():
    """Whatever its limits are."""

    class Finite(Looking):
        @property
        def is_over(self):
            return not self.rounds

    assert run(Finite([], [], []), rounds=0).rounds == 3
