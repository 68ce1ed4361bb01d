"""What a proof on chain allows: nothing before it, and afterwards no more than it says."""

from typing import Any

import pytest
from tests.liquidation_world import PERCENT, bid, liquidating_venue, rules, short_call, sweep
from tests.venue import (
    COLLATERALS,
    FEE_ID,
    FEES,
    NS,
    WBTC,
    C,
    Venue,
    configuration,
    contracts,
    names,
    refusals,
    usdc,
)

from exchange.commands import DepositSeen, ForceSeen, RevertBlocks
from exchange.events import (
    ForceGranted,
    MarksUpdated,
    PortfolioTransferred,
    RejectReason,
    Traded,
)
from exchange.fixed import RATIO_SCALE
from exchange.model import InstrumentTerms, Kind, LiquidationStage, Side, pack_instrument_id
from exchange.publications import PublicationParameters

LOSS = 5_000
PERPETUAL = pack_instrument_id(InstrumentTerms(Kind.PERPETUAL, 1))


@pytest.fixture
def venue():
    return liquidating_venue(liquidation=rules(needs_proof=True))


@pytest.fixture
def seller(venue):
    """Below maintenance, and in liquidation."""
    seller, _ = short_call(venue)
    venue.mark({C: LOSS})
    assert names(sweep(venue)) == ["LiquidationStarted"]
    return seller


def prove(venue, subaccount_id, seconds=3600, budget=10_000, held="4"):
    return venue.observe(
        ForceSeen(
            subaccount_id=subaccount_id,
            until=venue.now_s + seconds,
            contracts=contracts(held),
            budget=usdc(budget),
        )
    )


def offer(venue, price=LOSS, quantity=20):
    maker = venue.fund("carol", 10_000_000)
    venue.sell(maker, quantity, price)
    return maker


def traded(events):
    return [event for event in events if isinstance(event, Traded)]


def test_nobody_is_forced_before_the_chain_saw_a_proof(venue, seller):
    """Orders are canceled and none is taken, but nothing trades, however long it takes."""
    offer(venue)
    for _ in range(20):
        assert sweep(venue, 1) == ()
    [running] = venue.engine.liquidations()
    assert (running.stage, running.step) == (LiquidationStage.SLICING, 0)
    assert running.suspended == "the chain has seen no proof yet"


def test_a_proof_starts_the_time_in_the_book(venue, seller):
    offer(venue)
    venue.wait(30)
    [granted] = [e for e in prove(venue, seller) if isinstance(e, ForceGranted)]
    assert (granted.subaccount_id, granted.contracts) == (seller, contracts("4"))
    assert traded(sweep(venue, 1))[0].taker_subaccount_id == seller
    assert traded(sweep(venue, 8))
    assert venue.engine.liquidations()[0].stage is LiquidationStage.SLICING
    venue.twin()


def test_a_proof_of_another_account_or_from_before_is_none(venue, seller):
    offer(venue)
    prove(venue, seller + 1)
    prove(venue, seller, seconds=-1)
    assert sweep(venue, 1) == ()
    prove(venue, seller, seconds=1)
    assert traded(sweep(venue, 1)), "up to the last second"
    assert sweep(venue, 1) == ()


def test_who_recovers_before_the_proof_is_let_go(venue, seller):
    """Nobody can prove it any more, so the buffer is not waited for."""
    venue.observe(DepositSeen(subaccount_id=seller, amount=usdc(6_000)))
    account = venue.engine.margin(seller)
    assert 0 <= account.maintenance_excess < account.maintenance_margin * 15 // 100
    assert names(sweep(venue, 1)) == ["LiquidationEnded"]


def test_nobody_bids_without_a_proof(venue, seller):
    """It ran out while the auction waited: bids are refused until it is renewed."""
    prove(venue, seller, seconds=15)
    keeper = venue.fund("dave")
    for _ in range(14):
        sweep(venue, 1)
    assert venue.engine.liquidations()[0].stage is LiquidationStage.AUCTION
    venue.wait(5)
    venue.index()
    venue.mark({})
    assert refusals(bid(venue, keeper, seller)) == [RejectReason.LIQUIDATION_SUSPENDED]
    prove(venue, seller)
    [sold] = bid(venue, keeper, seller)
    assert isinstance(sold, PortfolioTransferred)


def test_takers_get_no_more_off_than_the_budget(venue, seller):
    """Discounts of all takers count, also those of before the newest proof."""
    prove(venue, seller, budget=100)
    keeper = venue.fund("dave")
    for _ in range(14):
        sweep(venue, 1)
    [first] = bid(venue, keeper, seller, fraction=10 * PERCENT)
    assert 0 < first.discount < usdc(100)
    [rest] = bid(venue, keeper, seller)
    assert first.discount + rest.discount == usdc(100)
    prove(venue, seller, budget=150)
    force = venue.engine._venue.forces[seller]
    assert (force.spent, force.budget) == (usdc(100), usdc(150))
    venue.twin()


def test_a_budget_below_what_was_spent_leaves_nothing_and_stops_nobody(venue, seller):
    """The chain knows of a discount only when its batch settled; a lost proof may come smaller."""
    prove(venue, seller, budget=1_000)
    keeper = venue.fund("dave")
    for _ in range(25):
        sweep(venue, 1)
    (first,) = bid(venue, keeper, seller, fraction=10 * PERCENT)
    assert first.discount > usdc(20)
    prove(venue, seller, budget=20)
    (second,) = bid(venue, keeper, seller, fraction=10 * PERCENT)
    assert second.discount == 0


def test_the_fund_takes_over_within_the_budget(venue, seller):
    prove(venue, seller, budget=0)
    venue.observe(DepositSeen(subaccount_id=FEE_ID, amount=usdc(50_000)))
    events = ()
    while not any(isinstance(event, PortfolioTransferred) for event in events):
        events = sweep(venue, 1)
    [moved] = [event for event in events if isinstance(event, PortfolioTransferred)]
    assert (moved.taker_subaccount_id, moved.discount) == (FEE_ID, 0)


@pytest.mark.parametrize("proven", ["0.1", "100"])
def test_a_hedge_is_no_larger_than_what_the_proof_says(proven):
    venue = liquidating_venue(
        liquidation=rules(needs_proof=True, slice_rate=100 * PERCENT, slicing_ns=10**4 * NS)
    )
    venue.list_instruments(C, PERPETUAL)
    venue.mark({C: 2_500, PERPETUAL: 100_000})
    seller, _ = short_call(venue)
    maker = venue.fund("carol", 10_000_000)
    venue.order(maker, Side.SELL, 20, 100_000, PERPETUAL)
    venue.mark({C: LOSS, PERPETUAL: 100_000})
    sweep(venue)
    prove(venue, seller, held=proven)
    for _ in range(8):
        sweep(venue, 1)
    held = venue.engine.positions(seller)[PERPETUAL]
    assert held > 0
    assert (held <= contracts("0.1")) == (proven == "0.1")


def test_what_the_chain_would_refuse_as_fees_is_refused_as_parameters():
    """It takes an eighth of a premium, and 0.09 % of an index."""
    venue = liquidating_venue()
    for change in ({"premium_cap": 2 * 10**17}, {"linear_taker_rate": 10**15}):
        fields = {name: getattr(FEES, name) for name in FEES.__struct_fields__} | change
        wrong = configuration(
            version=2, liquidation=rules(needs_proof=True), fees=type(FEES)(**fields)
        )
        assert refusals(venue.send(wrong)) == [RejectReason.BAD_PARAMETERS]


def test_a_lost_proof_allows_nothing(venue, seller):
    """Whatever a reorganisation took away has to be shown again."""
    offer(venue)
    before = venue.engine._venue.chain.spans[-1]
    prove(venue, seller)
    assert venue.engine.liquidations()[0].suspended == ""
    venue.send(RevertBlocks(last_block=before.last_block, last_hash=before.last_hash))
    assert sweep(venue, 1) == ()
    prove(venue, seller)
    assert traded(sweep(venue, 1))
    venue.twin()


def test_a_liquidation_that_waits_has_its_marks_published():
    """Without a proof of the marks that it began with nobody could flag it."""
    shown = PublicationParameters(
        heartbeat_ns=300 * NS,
        move_rate=RATIO_SCALE,
        band_rate=RATIO_SCALE,
        linear_band_rate=RATIO_SCALE,
        age_max_ns=900 * NS,
    )
    venue = liquidating_venue(liquidation=rules(needs_proof=True), publication=shown)
    short_call(venue)
    venue.wait(1)
    venue.index()
    [quiet] = [e for e in venue.mark({C: LOSS}) if isinstance(e, MarksUpdated)]
    assert not quiet.published
    assert names(sweep(venue, 1)) == ["LiquidationStarted"]
    venue.wait(1)
    [shown_now] = [e for e in venue.mark({C: LOSS}) if isinstance(e, MarksUpdated)]
    assert shown_now.published
    [again] = [e for e in venue.mark({C: LOSS}) if isinstance(e, MarksUpdated)]
    assert not again.published, "once is enough"
    venue.wait(30)
    venue.index()
    [later] = [e for e in venue.mark({C: LOSS}) if isinstance(e, MarksUpdated)]
    assert later.published, "the proof may have been refused by the last one"


def auctioned_within(band: int, **changes: Any) -> tuple[Venue, int, int]:
    """An auction that waits, under published marks with a band of so many percent."""
    shown = PublicationParameters(
        heartbeat_ns=800 * NS,
        move_rate=RATIO_SCALE,
        band_rate=band * PERCENT,
        linear_band_rate=band * PERCENT,
        age_max_ns=900 * NS,
    )
    venue = liquidating_venue(
        liquidation=rules(needs_proof=True, slicing_ns=0), publication=shown, **changes
    )
    seller, _ = short_call(venue)
    venue.wait(1)
    venue.index()
    venue.mark({C: LOSS})
    sweep(venue)
    venue.wait(1)
    venue.mark({C: LOSS})
    prove(venue, seller)
    sweep(venue, 1)
    assert venue.engine.liquidations()[0].stage is LiquidationStage.AUCTION
    return venue, seller, venue.fund("dave")


def test_nothing_is_sold_at_marks_that_the_chain_does_not_know() -> None:
    """They went on by more than the band since they were published."""
    venue, seller, keeper = auctioned_within(1)
    venue.mark({C: LOSS + 1_001})
    assert refusals(bid(venue, keeper, seller)) == [RejectReason.LIQUIDATION_SUSPENDED]
    assert "marks have left" in venue.engine.liquidations()[0].suspended
    venue.mark({C: LOSS + 900})
    assert isinstance(bid(venue, keeper, seller)[0], PortfolioTransferred)


def test_no_token_is_sold_at_an_index_that_the_chain_does_not_know() -> None:
    """Its value would be another than what the published index says."""
    venue, seller, keeper = auctioned_within(1, collaterals=COLLATERALS)
    venue.give(seller, WBTC, "0.001")
    venue.index(101_500)
    assert refusals(bid(venue, keeper, seller)) == [RejectReason.LIQUIDATION_SUSPENDED]
    assert "index has left" in venue.engine.liquidations()[0].suspended
    venue.index(100_500)
    [sold] = bid(venue, keeper, seller)
    assert sold.tokens[0].underlying_id == 1
