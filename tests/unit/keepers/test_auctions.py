"""Which of the contract's auctions a keeper brings on, and which of its bids pay."""

import asyncio
from decimal import Decimal

from exchange.keepers.auctions import AuctionCall, AuctionKeeper
from exchange.keepers.liquidate import BidRules
from exchange.keepers.runner import Post

CLEARING = "0x" + "aa" * 20
RULES = BidRules(risk_rate=Decimal("0.1"), price_max=Decimal(100))


def call(name="bid", discount=0, requirement=0, deposit=0):
    figures = {"discount": discount, "requirement": requirement, "deposit": deposit}
    scaled = {key: value * 10**6 for key, value in figures.items()}
    return AuctionCall(name=name, subaccount_id=7, to=CLEARING, data=name.encode(), **scaled)


def look(*calls):
    found = asyncio.run(AuctionKeeper(lambda: list(calls), RULES).look())
    return [(one.name.split(",")[0], one.reward, one.needed) for one in found]


def test_steps_are_needed_and_come_before_bids() -> None:
    """Whether they pay or not: without them nothing is ever sold."""
    bid, start = call(discount=20, requirement=100, deposit=50), call("startAuction")
    assert look(bid, start) == [("startAuction", 0, True), ("bid", 10, False)]
    [action] = asyncio.run(AuctionKeeper(lambda: [start], RULES).look())
    assert action.work == Post(to=CLEARING, data=b"startAuction")


def test_the_best_bid_comes_first_and_none_beyond_the_purse() -> None:
    """The runner leaves those that do not pay, and says so."""
    small, dear = call(discount=15, requirement=100), call(discount=90, requirement=1, deposit=101)
    large, bad = call(discount=40, requirement=100), call(discount=1, requirement=100)
    assert look(small, dear, large, bad) == [
        ("bid", 30, False),
        ("bid", 5, False),
        ("bid", -9, False),
    ]


def test_nobody_is_allowed_money_for_a_bid_that_does_not_pay() -> None:
    """The leave for a deposit is needed only before a bid that will follow."""
    assert look(call("approve", discount=20, requirement=100)) == [("approve", 0, True)]
    assert look(call("approve", discount=10, requirement=100)) == []
