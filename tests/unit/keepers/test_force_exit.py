"""A request, its deadline, and the end."""

import asyncio

from tests.unit.keepers.node import FakeNode

from exchange.keepers.ethereum import calldata
from exchange.keepers.force_exit import ExitOrder, ForceExitKeeper
from exchange.keepers.runner import Post

CLEARING, USDC, ME = ("0x" + digit * 40 for digit in "abc")
ORDER = ExitOrder(clearing=CLEARING, subaccount_id=7, token=USDC, amount=55, recipient=ME)
ZERO = "0x" + "0" * 40
DEADLINE_S = 7 * 86_400


class Story:
    """A keeper, and the request that the chain shows it."""

    def __init__(self, *, again=False):
        self.node = FakeNode()
        self.keeper = ForceExitKeeper(self.node, ORDER, again=again)
        self.node.answer("EXIT_DEADLINE()", ["uint64"], DEADLINE_S)
        self.ended(0)

    def ended(self, since):
        self.node.answer("escape()", ["uint64"] * 11, since, *[7] * 10)

    def look(self, ordinal, age_s=None):
        """What it would do about request `ordinal`, open for that long; None: closed."""
        requested_at = 0 if age_s is None else self.node.now - age_s
        request = (USDC if requested_at else ZERO, requested_at, ME, ordinal, 55)
        types = ["(address,uint64,address,uint64,uint256)"]
        self.node.answer("exitOf(uint64)", types, request, to=(7,))
        return [action.work for action in asyncio.run(self.keeper.look())]


ASK = Post(
    to=CLEARING,
    data=calldata("requestExit(uint64,address,uint256,address)", 7, USDC, 55, ME),
)


def test_it_asks_once():
    """With amount, token and recipient as they were given; and ends when that one is closed."""
    story = Story()
    assert story.look(0) == [ASK]
    assert story.look(0) == [ASK], "nobody sent it"
    assert story.look(1, age_s=5) == []
    assert not story.keeper.is_over
    assert story.look(1) == []
    assert story.keeper.is_over


def test_a_request_of_earlier_times_is_none_of_this_one():
    """An owner may leave in several parts, and says so; else it was started again after its end."""
    story = Story()
    assert story.look(3) == []
    assert story.keeper.is_over
    story = Story(again=True)
    assert story.look(3) == [ASK]
    assert story.look(4, age_s=5) == story.look(4) == []
    assert story.keeper.is_over


def test_one_that_is_open_is_followed():
    """A keeper that died in between asks no second time."""
    story = Story()
    assert story.look(4, age_s=5) == story.look(4) == []
    assert story.keeper.is_over


def test_it_waits_for_the_operator():
    """Until the deadline is over, to the second."""
    story = Story()
    assert story.look(1, age_s=DEADLINE_S) == []
    assert not story.keeper.is_over


def test_a_request_that_nobody_served_ends_the_venue():
    """One second later; then nothing is left to do here."""
    story = Story()
    end = Post(to=CLEARING, data=calldata("startEscape(uint64)", 7))
    assert story.look(1, age_s=DEADLINE_S + 1) == [end]
    story.ended(story.node.now)
    assert story.look(1, age_s=DEADLINE_S + 1) == []
    assert story.keeper.is_over
