"""Which call of an auction is due, and what a bid buys; on a chain in the integration tests."""

from types import SimpleNamespace
from typing import Any

import pytest

from exchange.settlement.auctions import FORCE_S, OPEN_FOR_S, ChainAuctions
from exchange.settlement.errors import Reverted
from exchange.settlement.margin_proof import NO_PROOF

NOW_S = 1_800_000_000
DAY_S = 86_400
NOTICE_S = 3_600
TENTH = 10**17


class FakeChain:
    """One auction, of subaccount 7; refuses bids by what they ask."""

    clearing = margin = liquidations = None
    usdc = SimpleNamespace()
    deployment = SimpleNamespace(
        clearing="0xc", liquidations="0xd", usdc="0xe", custody="0x" + "0f" * 20
    )

    def __init__(self, **changes: Any) -> None:
        self.auction = changes.get("auction", (0, 0, 0))
        self.since = changes.get("since", NOW_S - DAY_S)
        self.proven = changes.get("proven", NOW_S)
        self.equity = changes.get("equity", 100)
        self.allowance = 0
        self.says = changes.get("says", ["FractionTooLarge", "PriceAboveLimit", "BidderShort"])
        self.figures = {"FractionTooLarge": TENTH, "PriceAboveLimit": -500, "BidderShort": -1_000}

    def call(self, _: Any, function: str, *__: Any) -> Any:
        return {
            "auctionOf": self.auction,
            "auctionRules": {"notice": NOTICE_S, "length": 600, "discountMax": TENTH, "lot": 100},
            "MAX_BATCH_AGE": DAY_S,
            "subaccountCount": 2,
            "flagOf": (self.since, "0x"),
            "health": (self.equity, self.equity - 1_000, 5),
            "allowance": self.allowance,
        }[function]

    def force_until(self, _: int) -> int:
        return self.proven

    def block_time(self) -> int:
        return NOW_S

    def refusal(self, sender: str, to: str, data: bytes) -> Reverted | None:
        if not self.says:
            return None
        error = self.says.pop(0)
        return Reverted(error, (self.figures.get(error, 0),))


def auctions(chain: Any) -> ChainAuctions:
    return ChainAuctions(chain, lambda _: NO_PROOF, "0x" + "01" * 20)


ANNOUNCED = NOW_S - NOTICE_S
FROZEN = NOW_S - DAY_S - 301
STEPS: list[tuple[dict[str, Any], str | None]] = [
    ({}, "announceAuction"),
    ({"proven": NOW_S - 1}, "flag"),
    ({"auction": (ANNOUNCED + 1, 0, 0)}, None),
    ({"auction": (ANNOUNCED, 0, 0)}, "flag"),
    ({"auction": (ANNOUNCED, 0, 0), "proven": NOW_S + FORCE_S}, "startAuction"),
    ({"auction": (ANNOUNCED - OPEN_FOR_S - 1, 0, 0)}, "endAuction"),
    ({"auction": (ANNOUNCED, 0, 0), "since": 0}, "endAuction"),
    ({"auction": (ANNOUNCED, 0, 0), "since": NOW_S}, "endAuction"),
    ({"auction": (ANNOUNCED, FROZEN, 0)}, None),
    ({"auction": (ANNOUNCED, FROZEN - OPEN_FOR_S, 0)}, "endAuction"),
]


@pytest.mark.parametrize(("changes", "name"), STEPS)
def test_the_step_that_is_due(changes: dict[str, Any], name: str | None) -> None:
    """By what the chain says of the flag, the proof, and the auction."""
    changes = {"since": ANNOUNCED - DAY_S} | changes
    found = auctions(FakeChain(**changes, says=[])).step(7)
    assert (found and found.name) == name
    if found is not None:
        assert found.to == ("0xd" if name == "flag" else "0xc")


def test_a_step_that_the_contract_refuses_is_not_due() -> None:
    """An account that recovered is not flagged."""
    assert auctions(FakeChain(proven=0, says=["Healthy"])).step(7) is None
    assert auctions(FakeChain()).flagged() == [1, 2]
    assert auctions(FakeChain(since=0)).flagged() == []


def test_an_offer_is_what_the_contract_says() -> None:
    """The fraction, the price and the margin that is lacking; half of the discount has grown."""
    chain = FakeChain(auction=(ANNOUNCED, FROZEN, 3))
    found = auctions(chain).offer(7)
    assert found is not None
    assert (found.fraction, found.bids, found.price) == (TENTH, 3, -500)
    assert found.deposit == 1_020
    assert (found.discount, found.requirement) == (5, 100)
    assert auctions(chain).purchase(found).name == "approve"
    chain.allowance = 1_020
    assert auctions(chain).purchase(found).name == "bid"
    assert auctions(chain).lapse(7).to == "0xd"


@pytest.mark.parametrize(("equity", "discount"), [(10, 1), (-50, 5)])
def test_the_discount_of_an_account_with_equity_is_no_more_than_that(
    equity: int, discount: int
) -> None:
    """Who owes nothing is not made a debtor."""
    found = auctions(FakeChain(auction=(ANNOUNCED, FROZEN, 0), equity=equity)).offer(7)
    assert found is not None
    assert found.discount == discount


@pytest.mark.parametrize("says", [["NotLiquidated"], ["FractionTooLarge", "RiskNotReduced"], []])
def test_nothing_is_offered_where_the_contract_says_something_else(says: list[str]) -> None:
    """A healthy account, or one whose hedges lots would take."""
    assert auctions(FakeChain(auction=(ANNOUNCED, FROZEN, 0), says=says)).offer(7) is None


def test_a_bid_that_needs_no_margin_brings_none() -> None:
    """What the seller pays may be enough."""
    says = ["FractionTooLarge", "PriceAboveLimit"]
    found = auctions(FakeChain(auction=(ANNOUNCED, FROZEN, 0), says=says)).offer(7)
    assert found is not None
    assert found.deposit == 0


def test_nothing_is_offered_before_bids_are_taken() -> None:
    """Nor after."""
    for frozen in (0, FROZEN + 302, FROZEN - OPEN_FOR_S):
        assert auctions(FakeChain(auction=(ANNOUNCED, frozen, 0))).offer(7) is None
