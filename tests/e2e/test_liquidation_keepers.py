"""Keepers of liquidations as processes: a bid to the operator, and the auction without it.

The index comes from a file: it moves when the clocks do, and somebody falls below maintenance.
"""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from tests.keeper_runs import (
    HELPER,
    HOUR,
    PERPETUAL,
    WAIT_S,
    Purse,
    Run,
    later,
    moving,
    now_s,
    require_cost,
    run_keeper,
    travel,
)
from tests.live_venue import LiveVenue, Trader, eventually

from exchange.bootstrap import dev_keys
from exchange.events import ForceGranted, LiquidationStarted, PortfolioTransferred
from exchange.fixed import CASH_SCALE
from exchange.settlement.batch import encode_call
from exchange.settlement.wallet import OwnerWallet

pytestmark = pytest.mark.e2e

DAY_NS = 86_400 * 10**9
# A seller of one contract with 30,000 USDC bears the first rise and not the second; each is less
# than halts a market.
PRICES = {0: 100_000, HOUR // 2: 107_000, HOUR: 113_000}


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[LiveVenue]:
    yield from moving(tmp_path, PRICES)


def fail(venue: LiveVenue) -> Trader:
    """A seller that falls below maintenance, proven on chain and known to the engine."""
    ann, bob = venue.join(30_000 * CASH_SCALE), venue.join()
    venue.trade(ann, bob, PERPETUAL, "1")
    venue.settled()
    began_s = venue.entries()[0].time_ns // 10**9
    for rise_s in (HOUR // 2, HOUR):
        travel(venue, began_s + rise_s + 10, HOUR)
    for kind in (LiquidationStarted, ForceGranted):
        eventually(lambda kind=kind: venue.events(kind), kind.__name__, WAIT_S)
    return ann


def for_sale(keeper: Trader) -> bool:
    """Whether the operator's auction offers something now."""
    found = keeper.client.call("public/get_liquidations", {"currency": "any"})
    return any(one["for_sale"] for one in found)


def test_a_keeper_bids_and_shows_its_profit(venue: LiveVenue, tmp_path: Path) -> None:
    """What the discount leaves after the risk; the position is the keeper's, on chain too."""
    ann = fail(venue)
    kim = venue.join()
    travel(venue, now_s(venue) + 70, 70)  # the operator's slices found nobody
    eventually(lambda: for_sale(kim), "an auction", WAIT_S)
    purse = Purse(venue, kim.party.address)
    words = ("liquidate", "--subaccount", str(kim.subaccount_id), "--interval", "0.5")
    early = run_keeper(venue, tmp_path, kim.party.key, *words, "--rounds", "1")
    assert (early.books["done"], early.books["unprofitable"]) == (0, 1), "5 % for the risk"
    words += ("--risk-rate", "0.02")
    seen = run_keeper(venue, tmp_path, kim.party.key, *words, "--dry-run", "--rounds", "1")
    [wanted] = seen.actions("would do")
    assert wanted.startswith(f"take over from subaccount {ann.subaccount_id}, step ")
    assert (seen.books["done"], venue.events(PortfolioTransferred)) == (0, [])
    won = run_keeper(venue, tmp_path, kim.party.key, *words, "--rounds", "3")
    [sold] = venue.events(PortfolioTransferred)
    assert (sold.taker_subaccount_id, sold.on_chain) == (kim.subaccount_id, False)
    discount = Decimal(sold.discount) / CASH_SCALE
    profit = Decimal(won.books["profit"])
    assert won.books["done"] == 1
    assert discount / 3 < profit < discount, "the rest is for the risk"
    purse.require(seen, won, reward=profit)
    assert [one.instrument_name for one in kim.client.positions()] == [PERPETUAL]
    venue.require_agreement()


def be_slow(venue: LiveVenue) -> None:
    """The operator slices for days, into an empty book; governance allows auctions on chain."""
    slow = {"configure": {"liquidation": {"slicing_ns": 30 * DAY_NS}}}
    found = venue.admin("/admin/parameters/apply", {"change": slow})
    assert "seqs" in found, found
    chain = venue.chain
    rules = (3600, 600, 25 * 10**16, 100)
    data = encode_call("setAuctionRules", ("(uint64,uint64,uint64,uint64)",), (rules,))
    chain.transact(dev_keys.deployer().key, chain.deployment.clearing, data)


def test_an_auction_that_the_operator_does_not_hold(venue: LiveVenue, tmp_path: Path) -> None:
    """Announced, started and won by a stranger; the engine follows."""
    be_slow(venue)
    ann = fail(venue)
    chain = venue.chain
    words = ["liquidate", "--subaccount", str(ann.subaccount_id), "--interval", "0.5"]
    words += ["--on-chain", venue.settings.journal_location]
    words += ["--deployment", str(venue.settings.deployment_file)]
    OwnerWallet(chain, HELPER.key).mint(100_000 * CASH_SCALE)
    purse = Purse(venue, HELPER.address)
    runs: list[Run] = []

    def step(*names: str) -> None:
        """Dry, then for real: these calls, and a proof where the relayer brings none in time."""
        flag, *wanted = (f"{one}, subaccount {ann.subaccount_id}" for one in ("flag", *names))
        seen = run_keeper(venue, tmp_path, HELPER.key, *words, "--dry-run", "--rounds", "1")
        assert seen.actions("would do") in (wanted[:1], [flag])
        runs.append(run_keeper(venue, tmp_path, HELPER.key, *words, "--rounds", "4"))
        assert [one for one in runs[-1].actions("done") if one != flag] == wanted
        assert runs[-1].books["failed"] == 0
        purse.require(seen, *runs, reward=sum(Decimal(one.books["reward"]) for one in runs))

    step("announceAuction")
    later(venue, HOUR + 10, HOUR + 10)
    step("startAuction")
    later(venue, HOUR + 86_400 + 400, 9 * HOUR)  # frozen, and no batch under way any more
    step("approve", "bid")
    venue.observed()
    [sold] = venue.events(PortfolioTransferred)
    discount, profit = Decimal(sold.discount) / CASH_SCALE, Decimal(runs[-1].books["profit"])
    assert sold.on_chain
    assert discount / 3 < profit < discount, "the rest is for the risk, and gas"
    owner, _ = chain.call(chain.clearing, "account", sold.taker_subaccount_id)
    assert owner == HELPER.address
    require_cost(venue, runs[-1])
    venue.require_agreement()
