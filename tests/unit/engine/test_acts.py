"""What nobody signed and the chain refuses: all of it goes back, or the fund takes it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.liquidation_world import bid, liquidating_venue, rules, short_call, sweep
from tests.properties.test_liquidation import Market
from tests.unit.engine.test_lending import HOUR_S, indebted, lend
from tests.unit.engine.test_remedies import entry_of, expire
from tests.unit.engine.test_takeover import fill_fund, of_kind, until_taken_over
from tests.venue import (
    COLLATERALS,
    FEE_ID,
    PERP,
    USDC_TOKEN,
    WALLET,
    WBTC,
    C,
    contracts,
    linear_venue,
    refusals,
    usdc,
)

from exchange.commands import (
    AccrueFunding,
    AccrueInterest,
    BatchSeen,
    CutBatch,
    ForceSeen,
    HoldWithdrawals,
    Novate,
    RefusedAct,
    SubaccountSeen,
)
from exchange.events import (
    ActRefused,
    ForceGranted,
    InsuranceUsed,
    InterestPaid,
    LossSocialised,
    PortfolioTransferred,
    PositionExpired,
    RejectReason,
    WithdrawalsHeld,
    Withdrawn,
)
from exchange.observations import ExitSeen
from exchange.settlement.holdings import Held, expected_holdings
from exchange.settlement.rebuilding import rebuilt_positions

R = RejectReason
ACTS = (PortfolioTransferred, InsuranceUsed, LossSocialised)


def acts_of(venue):
    """Acts of batches that are not final, and their batches, oldest first."""
    moves = venue.engine._venue.batches.moves
    return [(-key, moves[key].batch) for key in sorted(moves, reverse=True) if key < 0]


def act_of(venue, event):
    """The number of an act."""
    moves = venue.engine._venue.batches.moves
    found = [-key for key, kept in moves.items() if key < 0 and kept.act is event]
    return found[0] if found else 1


def refuse(venue, event, batch=0, fund=0):
    """As the relayer would: with the linear positions that a fold of the journal finds."""
    act_id = act_of(venue, event)
    act = RefusedAct(act_id=act_id, fund_subaccount_id=fund)
    if dict(acts_of(venue)).get(act_id, 0) > venue.engine.batch_number:
        venue.send(CutBatch())
    entries = [entry_of(*one) for one in venue.entries]
    rebuilt = rebuilt_positions(lambda: entries, len(entries), (), (act,))
    batch = batch or dict(acts_of(venue)).get(act_id, 1)
    return venue.send(Novate(batch=batch, fills=(), acts=(act,), rebuilt=rebuilt))


def same_as_a_fold(venue):
    """Cash and positions are those of the journal without what the chain refused."""
    entries = [entry_of(*one) for one in venue.entries]
    folded = expected_holdings(entries, settled_seq=len(entries), observed_seq=len(entries))
    folded.check()
    for number, subaccount in venue.engine.subaccounts.items():
        assert folded.cash.get(number, 0) == venue.cash(number), number
        held = {key: one.quantity for key, one in folded.positions_of(number).items()}
        assert held == venue.engine.positions(number)
        for key, linear in subaccount.account.linear.items():
            assert folded.positions_of(number)[key] == Held(*linear)
    assert venue.twin().state_hash() == venue.engine.state_hash()
    venue.engine.check()


def figures(venue, *who):
    return [(venue.cash(one), venue.engine.positions(one)) for one in who]


@pytest.fixture
def venue():
    venue = liquidating_venue()
    venue.observe(SubaccountSeen(subaccount_id=FEE_ID, owner="treasury"))
    return venue


def until_sold(venue, keeper, seller):
    """Sweeps until a keeper's bid buys all; that, and the figures before it."""
    for _ in range(60):
        sweep(venue, 1)
        before = figures(venue, seller, keeper, FEE_ID)
        events = bid(venue, keeper, seller)
        if of_kind(events, PortfolioTransferred):
            return events[0], before
    raise AssertionError(events)


def auctioned(venue):
    """A seller whose calls a keeper bought in an auction: (seller, keeper, act, before)."""
    seller, _ = short_call(venue)
    keeper = venue.fund("carol")
    venue.mark({C: 5_000})
    for _ in range(14):
        sweep(venue, 1)
    before = figures(venue, seller, keeper)
    (sold,) = of_kind(bid(venue, keeper, seller), PortfolioTransferred)
    return seller, keeper, sold, before


def test_a_takeover_that_the_chain_refuses_did_not_happen(venue):
    """Legs and money are back; the seller's withdrawals wait for somebody who looks."""
    seller, keeper, sold, before = auctioned(venue)
    assert sold.discount > 0
    assert figures(venue, seller, keeper) != before
    number = act_of(venue, sold)
    [refused, held] = refuse(venue, sold)
    assert refused == ActRefused(
        batch=1, act_id=number, act=sold, subaccount_id=seller, payer_subaccount_id=seller
    )
    assert isinstance(held, WithdrawalsHeld)
    assert figures(venue, seller, keeper) == before
    assert venue.engine.held == [seller]
    same_as_a_fold(venue)
    assert refusals(refuse(venue, sold)) == [R.NOT_NOVATABLE]


def test_the_fund_takes_a_keepers_place(venue):
    """With its discount: the seller is not asked again, and nobody's withdrawals are held."""
    seller, keeper, sold, before = auctioned(venue)
    after = figures(venue, seller)[0]
    fund_cash = venue.cash(FEE_ID)
    events = refuse(venue, sold, fund=FEE_ID)
    assert events[0].fund_subaccount_id == FEE_ID
    assert figures(venue, seller, keeper) == [after, before[1]]
    assert venue.engine.positions(FEE_ID) == {C: sold.legs[0].quantity}
    worth = sold.legs[0].quantity * 5_000 * 10**6 // 10_000
    assert venue.cash(FEE_ID) == fund_cash - worth + sold.discount
    assert FEE_ID in {one.subaccount_id for one in venue.engine.liquidations()}, "it unwinds"
    assert venue.engine.held == []
    same_as_a_fold(venue)


def test_the_fund_takes_nothing_else(venue):
    """Neither what it had taken itself, nor another's place, nor what is no takeover."""
    short_call(venue)
    venue.mark({C: 6_500})
    fill_fund(venue, 300)
    events = until_taken_over(venue)
    (taken,), (used,) = of_kind(events, PortfolioTransferred), of_kind(events, InsuranceUsed)
    for act in (taken, used):
        assert refusals(refuse(venue, act, fund=FEE_ID)) == [R.NOT_NOVATABLE]


def test_nobody_else_takes_a_keepers_place(venue):
    """Nor is an act refused in another batch, or twice in one command."""
    seller, _, sold, _ = auctioned(venue)
    assert refusals(refuse(venue, sold, fund=seller)) == [R.NOT_NOVATABLE]
    assert refusals(refuse(venue, sold, batch=99)) == [R.NOT_NOVATABLE]
    twice = (RefusedAct(act_id=act_of(venue, sold)),) * 2
    assert refusals(venue.send(Novate(batch=1, fills=(), acts=twice))) == [R.NOT_NOVATABLE]


def test_what_the_fund_paid_and_shared_comes_back(venue):
    """The loss of 900, of which 600 were everybody's: all of it in three acts."""
    seller, buyer = short_call(venue)
    fill_fund(venue, 300)
    rich = venue.fund("rich", 500_000)
    venue.mark({C: 6_500})
    before = figures(venue, seller, buyer, rich, FEE_ID)
    events = until_taken_over(venue)
    kinds = {type(one): one for one in events if isinstance(one, ACTS)}
    assert kinds.keys() == {PortfolioTransferred, InsuranceUsed, LossSocialised}
    for kind in (LossSocialised, InsuranceUsed, PortfolioTransferred):
        refuse(venue, kinds[kind])
        same_as_a_fold(venue)
    assert figures(venue, seller, buyer, rich, FEE_ID) == before
    assert venue.engine.held == [seller], "who shared the loss is innocent"


def test_a_discount_that_the_fund_paid_is_its_own_again():
    """An insolvent account is sold at a price that the fund pays for."""
    venue = liquidating_venue(liquidation=rules())
    seller, _ = short_call(venue)
    fill_fund(venue, 50_000)
    keeper = venue.fund("carol")
    venue.mark({C: 6_500})
    for _ in range(18):
        sweep(venue, 1)
    sold, before = until_sold(venue, keeper, seller)
    assert sold.by_fund
    assert sold.discount > 0
    refuse(venue, sold)
    assert figures(venue, seller, keeper, FEE_ID) == before
    same_as_a_fold(venue)


@pytest.mark.parametrize("fund", [0, FEE_ID])
def test_perpetuals_go_back_as_if_they_had_never_left(fund):
    """Cost and funding of all who traded on meanwhile are those of what is left."""
    venue = linear_venue(liquidation=rules())
    seller, buyer, keeper = venue.fund("ann", 52_000), venue.fund("bob"), venue.fund("carol")
    venue.sell(seller, 1, 100_000, instrument_id=PERP)
    venue.buy(buyer, 1, 100_000, instrument_id=PERP)
    venue.mark({PERP: 130_000})
    sold, _ = until_sold(venue, keeper, seller)
    venue.sell(buyer, "0.4", 130_000, instrument_id=PERP)
    venue.buy(keeper, "0.4", 130_000, instrument_id=PERP)
    venue.wait(3_600)
    venue.index()
    venue.mark({PERP: 130_100})
    venue.send(AccrueFunding())
    act = RefusedAct(act_id=act_of(venue, sold), fund_subaccount_id=fund)
    batch = dict(acts_of(venue))[act.act_id]
    assert refusals(venue.send(Novate(batch=batch, fills=(), acts=(act,)))) == [R.NOT_NOVATABLE]
    assert refusals(refuse(venue, sold, fund=fund)) == []
    assert venue.engine.positions(keeper) == {PERP: contracts("0.4")}
    same_as_a_fold(venue)


def test_what_expired_meanwhile_goes_back_as_cash(venue):
    """The keeper gives payoff and premium back; the next batch pays the fund's position off."""
    _, keeper, sold, before = auctioned(venue)
    expire(venue)
    events = refuse(venue, sold, fund=FEE_ID)
    (expired,) = of_kind(events, PositionExpired)
    assert (expired.subaccount_id, expired.quantity) == (FEE_ID, sold.legs[0].quantity)
    assert figures(venue, keeper) == [(before[1][0], {})]
    same_as_a_fold(venue)


def test_tokens_go_back_too():
    """At their value; what the keeper moved on is missing until it deposits again."""
    venue = liquidating_venue(collaterals=COLLATERALS)
    venue.observe(SubaccountSeen(subaccount_id=FEE_ID, owner="treasury"))
    debtor, keeper = venue.fund("ann", 0), venue.fund("carol")
    venue.give(debtor, WBTC, "0.1")
    venue.engine._venue.subaccounts[debtor].account.add_cash(-usdc(9_800))
    venue.external[""] -= usdc(9_800)
    venue.mark({})
    for _ in range(12):
        sweep(venue, 1)
    before = figures(venue, debtor, keeper)
    (sold,) = of_kind(bid(venue, keeper, debtor), PortfolioTransferred)
    assert sold.tokens
    refuse(venue, sold)
    assert figures(venue, debtor, keeper) == before
    account = venue.engine.subaccounts[debtor].account
    assert account.collateral == {WBTC: 10**7}


def test_interest_that_the_chain_does_not_charge_is_paid_back():
    """The venue bears it; the debtor's withdrawals are not held."""
    venue = lend()
    ann = indebted(venue)
    venue.send(AccrueInterest())
    venue.wait(HOUR_S)
    before = figures(venue, ann, FEE_ID)
    (paid,) = of_kind(venue.send(AccrueInterest()), InterestPaid)
    [refused] = refuse(venue, paid)
    assert (refused.act, refused.subaccount_id) == (paid, ann)
    assert figures(venue, ann, FEE_ID) == before
    assert venue.engine.held == []
    same_as_a_fold(venue)


def test_an_exit_that_the_chain_does_not_pay_is_held(venue):
    """The money is back; it is not tried again with every epoch."""
    ann = venue.fund("ann", 1_000)
    seen = ExitSeen(
        subaccount_id=ann,
        ordinal=1,
        token=USDC_TOKEN,
        amount=usdc(400),
        recipient=WALLET,
        requested_s=venue.now_s,
    )
    (paid,) = of_kind(venue.observe(seen), Withdrawn)
    refuse(venue, paid)
    assert (venue.cash(ann), venue.engine.held) == (usdc(1_000), [ann])
    same_as_a_fold(venue)
    venue.send(HoldWithdrawals(subaccount_id=ann, held=False, detail="looked at"))
    assert venue.engine.held == []


def test_nothing_is_forced_any_more_until_another_proof():
    """The chain knew of none; else the same would be refused for ever."""
    venue = liquidating_venue(liquidation=rules(needs_proof=True))
    seller, _ = short_call(venue)
    keeper = venue.fund("carol")
    venue.mark({C: 5_000})
    sweep(venue, 1)
    proof = ForceSeen(
        subaccount_id=seller, until=venue.now_s + 3_600, contracts=0, budget=usdc(10**6)
    )
    venue.observe(proof)
    for _ in range(14):
        sweep(venue, 1)
    (sold,) = of_kind(bid(venue, keeper, seller), PortfolioTransferred)
    events = refuse(venue, sold)
    (revoked,) = of_kind(events, ForceGranted)
    assert (revoked.subaccount_id, revoked.until) == (seller, 0)
    assert refusals(bid(venue, keeper, seller)) == [R.LIQUIDATION_SUSPENDED]


def test_acts_of_a_final_batch_stay(venue):
    """Unless the chain loses it again."""
    _, _, sold, _ = auctioned(venue)
    venue.observe()
    before = venue.block()
    venue.observe(BatchSeen(number=1, batch_hash=bytes(32), block=1, transaction="0x"))
    assert acts_of(venue) == []
    assert refusals(refuse(venue, sold, batch=1)) == [R.NOT_NOVATABLE]
    venue.revert(before)
    assert refusals(refuse(venue, sold, batch=1)) == []


def refuse_some(market, draw):
    """After anything, any acts: cash is conserved, and engine and fold agree."""
    venue = market.venue
    venue.send(CutBatch())
    found = acts_of(venue)
    for act_id, batch in found:
        kept = venue.engine._venue.batches.moves.get(-act_id)
        if kept is None or draw(0, 2):
            continue
        act = kept.act
        bids = isinstance(act, PortfolioTransferred) and act.taker_subaccount_id != FEE_ID
        fund = FEE_ID if bids and draw(0, 1) else 0
        assert refusals(refuse(venue, act, batch, fund)) == []
    same_as_a_fold(venue)
    return len(found)


@given(st.data())
@settings(deadline=None)
def test_any_acts_can_be_refused(data):
    draw = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731 # passed on twice
    market = Market(draw)
    for _ in range(draw(1, 30)):
        market.step()
    refuse_some(market, draw)


def test_many_acts_are_refused():
    """The property above would be empty if nothing of this ever happened."""
    found = 0
    for seed in range(6):
        draw = random.Random(seed).randint
        market = Market(draw)
        for _ in range(60):
            market.step()
        found += refuse_some(market, draw)
    assert found > 10
