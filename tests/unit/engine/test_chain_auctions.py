"""Auctions that the chain holds: the engine stands aside, and follows them to the last unit."""

import pytest
from tests.liquidation_world import PERCENT, bid, liquidating_venue, rules, short_call, sweep
from tests.venue import (
    COLLATERALS,
    EXPIRY_S,
    INDEX,
    PERP,
    WBTC,
    C,
    configuration,
    linear_venue,
    names,
    refusals,
    usdc,
)

from exchange.commands import AccrueFunding, DepositSeen, ForceSeen
from exchange.events import PortfolioTransferred, PositionExpired, RejectReason
from exchange.fixed import QUANTITY_SCALE
from exchange.model import LiquidationStage, Side
from exchange.observations import (
    AuctionEndedSeen,
    AuctionStartedSeen,
    AuctionTakenSeen,
    ExitSeen,
    SoldLeg,
    SoldToken,
    SubaccountSeen,
)

KEEPER = "0x" + "ee" * 20
CASH = usdc(50_000)


@pytest.fixture
def venue():
    return liquidating_venue(liquidation=rules(needs_proof=True))


@pytest.fixture
def seller(venue):
    """Short of four calls, below maintenance; the operator did nothing about it."""
    seller, _ = short_call(venue)
    venue.mark({C: 5_000})
    return seller


def stage(venue, subaccount_id):
    running = venue.engine._venue.liquidations.get(subaccount_id)
    return running.stage if running else None


def start(venue, subaccount_id):
    return venue.observe(
        AuctionStartedSeen(subaccount_id=subaccount_id, frozen_from=venue.now_s + 3600)
    )


def end(venue, subaccount_id):
    return venue.observe(AuctionEndedSeen(subaccount_id=subaccount_id))


def sold(venue, seller, *legs, tokens=(), discount=100):
    """One transaction: the bidder's subaccount opens, its deposit comes, the fraction moves."""
    taker = max(venue.engine.subaccounts) + 1
    return taker, (
        SubaccountSeen(subaccount_id=taker, owner=KEEPER),
        DepositSeen(subaccount_id=taker, amount=CASH),
        AuctionTakenSeen(
            subaccount_id=seller,
            taker_id=taker,
            fraction=PERCENT * 50,
            legs=legs,
            tokens=tokens,
            discount=usdc(discount),
        ),
    )


def leg(instrument_id, contracts, price, funding_index=0):
    return SoldLeg(
        instrument_id=instrument_id,
        quantity=contracts * QUANTITY_SCALE,
        price=usdc(price),
        funding_index=funding_index,
    )


# -- the operator stands aside ------------------------------------------------------------------


def test_a_start_takes_the_account_from_the_venue(venue, seller) -> None:
    """Its orders go, no order, withdrawal or bid comes in, no sweep touches it."""
    buyer = seller + 1
    venue.mark({C: 2_500})
    venue.order(seller, Side.BUY, 1, 2_000)
    venue.mark({C: 5_000})
    assert names(start(venue, seller))[:2] == ["OrderCanceled", "LiquidationStarted"]
    assert stage(venue, seller) is LiquidationStage.ON_CHAIN
    refused = [RejectReason.IN_LIQUIDATION]
    assert refusals(venue.buy(seller, 1, 2_000)) == refused
    assert refusals(venue.withdraw(seller, 1)) == refused
    assert refusals(bid(venue, buyer, seller)) == [RejectReason.NO_AUCTION]
    venue.observe(
        ForceSeen(
            subaccount_id=seller,
            until=venue.now_s + 9_999,
            contracts=40_000,
            budget=usdc(10_000),
        )
    )
    for _ in range(90):
        assert not sweep(venue, 1)
    [view] = venue.engine.liquidations()
    assert view.suspended == "its auction is on chain"
    assert view.for_sale is None


@pytest.mark.parametrize("swept", [False, True])
def test_an_end_gives_it_back(venue, seller, swept) -> None:
    """Whoever is below still is liquidated anew; the others trade."""
    if swept:
        sweep(venue)
    begun = names(start(venue, seller))
    assert ("LiquidationAuctionStarted" in begun) is swept
    assert "LiquidationEnded" in names(end(venue, seller))
    assert names(sweep(venue)) == ["LiquidationStarted"]
    venue.mark({C: 2_500})
    end(venue, seller)
    assert stage(venue, seller) is LiquidationStage.SLICING, "another end means nothing"


def test_no_exit_of_it_is_paid_by_the_venue(venue, seller) -> None:
    """On chain anybody serves it by proof; a batch could lack what a bid moved."""
    venue.mark({C: 1})
    start(venue, seller)
    asked = ExitSeen(
        subaccount_id=seller,
        ordinal=1,
        token=configuration().collateral,
        amount=usdc(10),
        recipient=KEEPER,
        requested_s=venue.now_s,
    )
    assert "Withdrawn" not in names(venue.observe(asked))
    assert "Withdrawn" in names(end(venue, seller))


# -- what is sold -------------------------------------------------------------------------------


def test_a_sale_moves_what_the_chain_moved(venue, seller) -> None:
    """An option's price is cash; the discount goes to the taker."""
    start(venue, seller)
    before = venue.cash(seller)
    taker, seen = sold(venue, seller, leg(C, -2, 5_000))
    [moved] = [event for event in venue.observe(*seen) if isinstance(event, PortfolioTransferred)]
    assert (moved.on_chain, moved.step, moved.taker_subaccount_id) == (True, 1, taker)
    price = usdc(-2 * 5_000 - 100)
    assert venue.cash(seller) == before + price
    assert venue.cash(taker) == CASH - price
    assert venue.position(seller) == venue.position(taker) == -2 * QUANTITY_SCALE
    venue.engine.check()
    assert venue.twin().state_hash() == venue.engine.state_hash()


def test_a_sale_without_a_liquidation_here_moves_too(venue, seller) -> None:
    """A log is a fact, whatever the engine thought."""
    taker, seen = sold(venue, seller, leg(C, -4, 5_000))
    venue.observe(*seen)
    assert venue.position(taker) == -4 * QUANTITY_SCALE
    assert venue.position(seller) == 0


def test_of_funding_the_seller_owes_what_came_before_the_sale() -> None:
    """And the taker the rest, though both are seen later."""
    venue = linear_venue(liquidation=rules())
    seller, buyer = venue.fund("ann", 300_000), venue.fund("bob")
    venue.sell(seller, 4, INDEX, instrument_id=PERP)
    venue.buy(buyer, 4, INDEX, instrument_id=PERP)
    start(venue, seller)
    sum_before = venue.cash(seller)
    accrue(venue)
    index = venue.engine._venue.marks.funding_index(PERP)
    accrue(venue)
    assert venue.engine._venue.marks.funding_index(PERP) < index < 0
    taker, seen = sold(venue, seller, leg(PERP, -1, INDEX, index), discount=0)
    venue.observe(*seen)
    assert venue.cash(seller) - sum_before == 4 * index, "whole, up to the chain's index"
    assert venue.cash(taker) == CASH
    accounts = venue.engine.subaccounts
    left, bought = accounts[seller].account.linear[PERP], accounts[taker].account.linear[PERP]
    assert left == (-3 * QUANTITY_SCALE, usdc(-3 * INDEX), index)
    assert bought == (-QUANTITY_SCALE, usdc(-INDEX), index)
    venue.engine.check()
    block = venue.block()
    venue.observe(*sold(venue, seller, leg(PERP, -3, INDEX, index), discount=0)[1])
    venue.revert(block)
    assert accounts[seller].account.position(PERP) == -3 * QUANTITY_SCALE
    venue.engine.check()


def accrue(venue) -> None:
    """Shorts pay for a minute."""
    venue.index()
    venue.mark({PERP: INDEX - 5_000})
    venue.wait(60)
    venue.send(AccrueFunding())


def test_what_expired_before_the_sale_was_seen_is_paid_in_cash(venue, seller) -> None:
    """The next batch pays off what the taker holds on chain."""
    start(venue, seller)
    taker, seen = sold(venue, seller, leg(C, -2, 5_000), discount=0)
    before = venue.cash(seller)
    for second in range(EXPIRY_S - 1_800, EXPIRY_S + 1, 30):
        venue.wait_until(second)
        venue.index(101_000)
    venue.expire()
    assert venue.position(seller) == 0
    paid_off = venue.cash(seller) - before
    events = venue.observe(*seen)
    [delivered] = [event for event in events if isinstance(event, PositionExpired)]
    assert (delivered.subaccount_id, delivered.quantity) == (taker, -2 * QUANTITY_SCALE)
    assert delivered.payoff == paid_off // 2
    assert venue.cash(taker) == CASH + usdc(10_000) + paid_off // 2
    assert venue.cash(seller) == before - usdc(10_000) + paid_off // 2
    venue.engine.check()


def test_tokens_are_sold_with_the_rest() -> None:
    """At their value; those that the engine does not count come out of what it kept aside."""
    venue = liquidating_venue(collaterals=COLLATERALS)
    seller, _ = short_call(venue)
    venue.give(seller, WBTC, "0.5")
    token = next(one.token for one in COLLATERALS if one.asset_id == WBTC)
    start(venue, seller)
    part = SoldToken(token=token, amount=25_000_000, value=usdc(25_000))
    taker, seen = sold(venue, seller, leg(C, -2, 5_000), tokens=(part,))
    before = venue.cash(seller)
    venue.observe(*seen)
    accounts = venue.engine.subaccounts
    assert accounts[seller].account.collateral == {WBTC: 25_000_000}
    assert accounts[taker].account.collateral == {WBTC: 25_000_000}
    assert venue.cash(seller) == before + usdc(25_000 - 10_000 - 100)
    unknown = SoldToken(token=KEEPER, amount=0, value=0)
    venue.observe(*sold(venue, seller, tokens=(unknown,))[1])
    venue.engine.check()


# -- lost blocks --------------------------------------------------------------------------------


@pytest.mark.parametrize("swept", [False, True])
def test_a_lost_start_gives_the_account_back(venue, seller, swept) -> None:
    """To the stage that it had."""
    if swept:
        sweep(venue)
    before, block = stage(venue, seller), venue.block()
    start(venue, seller)
    venue.revert(block)
    assert stage(venue, seller) is before


def test_a_lost_end_freezes_again(venue, seller) -> None:
    """And the loss of one that ended nothing does nothing."""
    start(venue, seller)
    block = venue.block()
    end(venue, seller)
    end(venue, seller)
    venue.revert(block)
    assert stage(venue, seller) is LiquidationStage.ON_CHAIN


def test_a_start_that_was_over_when_it_was_lost_leaves_nothing(venue, seller) -> None:
    """The end is undone first, then the start."""
    block = venue.block()
    start(venue, seller)
    end(venue, seller)
    venue.revert(block)
    assert stage(venue, seller) is None


def test_a_lost_sale_goes_back_and_holds_both(venue, seller) -> None:
    """At the same prices, so nobody gained; an operator looks before money leaves."""
    start(venue, seller)
    block, before = venue.block(), venue.cash(seller)
    taker, seen = sold(venue, seller, leg(C, -2, 5_000))
    venue.observe(*seen)
    venue.revert(block)
    assert (venue.cash(seller), venue.position(seller)) == (before, -4 * QUANTITY_SCALE)
    assert (venue.cash(taker), venue.position(taker)) == (0, 0)
    assert {seller, taker} <= venue.engine._venue.treasury.held
    venue.observe(*seen)
    assert venue.position(taker) == -2 * QUANTITY_SCALE, "the chain brings it again"
    venue.engine.check()
