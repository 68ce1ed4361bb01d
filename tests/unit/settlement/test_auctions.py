"""Which call of an auction is due, and what a bid buys; on a chain in the integration tests."""

from types import SimpleNamespace
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from eth_hash.auto import keccak

from exchange.settlement.auctions import (
    BID_TYPE,
    FORCE_S,
    OPEN_FOR_S,
    ChainAuctions,
    Standing,
    Step,
)
from exchange.settlement.errors import Reverted
from exchange.settlement.margin_proof import NO_PROOF, PROOF_TYPE

NOW_S = 1_800_000_000
DAY_S = 86_400
NOTICE_S = 3_600
TENTH = 10**17


SENDER = "0x" + "01" * 20
PROOF = (b"terms", *NO_PROOF[1:])
CUSTODY = "0x" + "0f" * 20
VIEWS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "auctionOf": ("clearing", (7,)),
    "auctionRules": ("clearing", ()),
    "MAX_BATCH_AGE": ("clearing", ()),
    "subaccountCount": ("clearing", ()),
    "flagOf": ("liquidations", (7,)),
    "health": ("margin", (7, PROOF)),
    "allowance": ("usdc", (SENDER, CUSTODY)),
}


class FakeChain:
    """One auction, of subaccount 7; refuses bids by what they ask."""

    clearing, margin, liquidations, usdc = "clearing", "margin", "liquidations", "usdc"
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
        self.tried: list[tuple[str, bytes]] = []

    def call(self, contract: str, function: str, *given: Any) -> Any:
        where, wanted = VIEWS[function]
        assert contract == where
        assert given in ((wanted, (1,), (2,)) if function == "flagOf" else (wanted,))
        return {
            "auctionOf": self.auction,
            "auctionRules": {"notice": NOTICE_S, "length": 600, "discountMax": TENTH, "lot": 100},
            "MAX_BATCH_AGE": DAY_S,
            "subaccountCount": 2,
            "flagOf": (self.since, "0x"),
            "health": (self.equity, self.equity - 1_000, 5),
            "allowance": self.allowance,
        }[function]

    def force_until(self, subaccount_id: int) -> int:
        assert subaccount_id == 7
        return self.proven

    def block_time(self) -> int:
        return NOW_S

    def refusal(self, sender: str, to: str, data: bytes) -> Reverted | None:
        assert sender == SENDER
        self.tried.append((to, data))
        if not self.says:
            return None
        error = self.says.pop(0)
        return Reverted(error, (self.figures.get(error, 0),))


def prove(subaccount_id: int) -> tuple[object, ...]:
    assert subaccount_id == 7
    return PROOF


def auctions(chain: Any) -> ChainAuctions:
    return ChainAuctions(chain, prove, SENDER)


def bidding(*offer: int) -> bytes:
    """Calldata of a bid with 7's proof."""
    selector = keccak(f"bid({BID_TYPE},{PROOF_TYPE})".encode())[:4]
    return selector + encode([BID_TYPE, PROOF_TYPE], [offer, PROOF])


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
    chain = FakeChain(**changes, says=[])
    found = auctions(chain).step(7)
    assert (found and found.name) == name
    if found is not None:
        assert found.to == ("0xd" if name == "flag" else "0xc")
        assert chain.tried == [(found.to, found.data)]
        proven = f",{PROOF_TYPE}" if name == "flag" else ""
        assert found.data[:4] == keccak(f"{name}(uint64{proven})".encode())[:4]
        assert int.from_bytes(found.data[4:36], "big") == 7


def test_an_auction_stands_where_the_chain_says() -> None:
    """Nothing begins before it is announced; bids a batch's age and a second after the freeze."""
    assert auctions(FakeChain()).standing(7) == Standing(
        announced_at=0, starts_at=0, bids_from=0, bids=0, lapsed=False, proven_until=NOW_S
    )
    found = auctions(FakeChain(auction=(5, 9, 3), since=5, proven=8)).standing(7)
    assert found == Standing(
        announced_at=5,
        starts_at=5 + NOTICE_S,
        bids_from=10 + DAY_S,
        bids=3,
        lapsed=False,
        proven_until=8,
    )
    for since, lapsed in ((1, False), (5, False), (6, True), (0, True)):
        assert auctions(FakeChain(auction=(5, 9, 3), since=since)).standing(7).lapsed is lapsed


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
    asked = ((7, 2 * 10**18, 3, 2**127 - 1, 0), (7, TENTH, 3, -(2**127), 0))
    assert chain.tried == [
        ("0xc", bidding(*offer)) for offer in (*asked, (7, TENTH, 3, 2**127 - 1, 0))
    ]
    leave = auctions(chain).purchase(found)
    assert (leave.name, leave.to) == ("approve", "0xe")
    assert decode(["address", "uint256"], leave.data[4:]) == (CUSTODY, 1_020)
    assert leave.data[:4] == keccak(b"approve(address,uint256)")[:4]
    chain.allowance = 1_020
    bid = Step(name="bid", to="0xc", data=bidding(7, TENTH, 3, -500, 1_020))
    assert auctions(chain).purchase(found) == auctions(chain).bid(found, PROOF) == bid
    lapse = auctions(chain).lapse(7)
    assert (lapse.to, lapse.data[:4]) == ("0xd", keccak(f"lapse(uint64,{PROOF_TYPE})".encode())[:4])


@pytest.mark.parametrize(("equity", "discount"), [(10, 1), (0, 5), (-50, 5)])
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
    """Nor after their last second."""
    last = FROZEN + 300 - OPEN_FOR_S
    assert auctions(FakeChain(auction=(ANNOUNCED, last, 0))).offer(7) is not None
    assert auctions(FakeChain(auction=(ANNOUNCED, last - 1, 0))).offer(7) is None
    for frozen in (0, FROZEN + 302, FROZEN - OPEN_FOR_S):
        assert auctions(FakeChain(auction=(ANNOUNCED, frozen, 0))).offer(7) is None
