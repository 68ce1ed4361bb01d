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


def look(token, requested_at, ordinal):
    node = FakeNode()
    request = (token, requested_at(node.now) if requested_at else 0, ME, ordinal, 55)
    node.answer("exitOf(uint64)", ["(address,uint64,address,uint64,uint256)"], request, to=(7,))
    node.answer("EXIT_DEADLINE()", ["uint64"], DEADLINE_S)
    keeper = ForceExitKeeper(node, ORDER)
    return keeper, asyncio.run(keeper.look())


def test_it_asks_once():
    """With amount, token and recipient as they were given."""
    keeper, [action] = look(ZERO, None, 0)
    data = calldata("requestExit(uint64,address,uint256,address)", 7, USDC, 55, ME)
    assert (action.work, action.needed, keeper.paid) == (Post(to=CLEARING, data=data), True, False)


def test_it_waits_for_the_operator():
    """Until the deadline is over, to the second."""
    keeper, actions = look(USDC, lambda now: now - DEADLINE_S, 1)
    assert (actions, keeper.paid) == ([], False)


def test_a_request_that_nobody_served_ends_the_venue():
    """One second later."""
    _, [action] = look(USDC, lambda now: now - DEADLINE_S - 1, 1)
    assert action.work == Post(to=CLEARING, data=calldata("startEscape(uint64)", 7))


def test_a_request_that_was_paid_is_done():
    """Its ordinal stays when it closes."""
    keeper, actions = look(ZERO, None, 1)
    assert (actions, keeper.paid) == ([], True)
