"""What changes hands, and who pays: the fund, then everybody, to the last unit."""

import msgspec
import pytest
from tests.liquidation_world import PERCENT, bid, liquidating_venue, rules, short_call, sweep
from tests.venue import (
    COLLATERALS,
    EXPIRY_S,
    FEE_ID,
    WBTC,
    C,
    canceled,
    contracts,
    names,
    usdc,
)

from exchange.commands import DepositSeen, SubaccountSeen, SweepLiquidations
from exchange.events import (
    CancelReason,
    InsuranceUsed,
    LiquidationEnded,
    LiquidationSliced,
    LossSocialised,
    PortfolioTransferred,
    TransferredLeg,
)
from exchange.fixed import RATIO_SCALE
from exchange.model import LiquidationStage, OrderStatus
from exchange.reasons import RejectReason


def of_kind(events, kind):
    return [event for event in events if isinstance(event, kind)]


def fill_fund(venue, cash):
    venue.observe(DepositSeen(subaccount_id=FEE_ID, amount=usdc(cash)))


def until_taken_over(venue, seconds=90):
    """Sweeps until somebody takes over; the events of the last one."""
    for _ in range(seconds):
        events = sweep(venue, 1)
        if of_kind(events, PortfolioTransferred):
            return events
    raise AssertionError("nobody took over")


@pytest.fixture
def venue():
    return liquidating_venue()


@pytest.fixture
def seller(venue):
    return short_call(venue)[0]


def test_without_bids_the_fund_takes_everything_at_the_last_price(venue, seller):
    """The price fell to nothing: the fund has the equity, the account is flat and owes nothing."""
    venue.mark({C: 5_000})
    events = until_taken_over(venue)
    assert names(events) == ["PortfolioTransferred", "LiquidationStarted", "LiquidationEnded"]
    assert events[0] == PortfolioTransferred(
        subaccount_id=seller,
        taker_subaccount_id=FEE_ID,
        step=1,
        fraction=RATIO_SCALE,
        legs=(TransferredLeg(instrument_id=C, quantity=-contracts(4), price=usdc(5_000)),),
        discount=usdc(5_100),
        by_fund=False,
    )
    assert (venue.cash(seller), venue.position(seller)) == (0, 0)
    assert (venue.cash(FEE_ID), venue.position(FEE_ID)) == (usdc(25_100), -contracts(4))
    assert events[1].stage is LiquidationStage.UNWINDING


def test_the_fund_never_meets_its_own_orders(venue, seller):
    """The treasury's bid stands aside when the fund unwinds into it; its other orders stay."""
    venue.observe(SubaccountSeen(subaccount_id=FEE_ID, owner="treasury"))
    fill_fund(venue, 1_000_000)
    venue.mark({C: 5_000})
    until_taken_over(venue)
    own = venue.sell(FEE_ID, 1, 5_000)
    other = venue.buy(FEE_ID, 1, 4_990)
    venue.sell(venue.fund("carol"), 1, 5_001)
    events = sweep(venue, 1)
    assert canceled(events) == [(contracts(1), CancelReason.LIQUIDATION)]
    assert venue.view(own).status is OrderStatus.CANCELED
    assert venue.view(other).status is OrderStatus.OPEN
    (sliced,) = of_kind(events, LiquidationSliced)
    assert sliced.subaccount_id == FEE_ID


def test_the_fund_pays_what_an_insolvent_account_owes(venue, seller):
    fill_fund(venue, 10_000)
    venue.mark({C: 6_500})
    events = until_taken_over(venue)
    (used,) = of_kind(events, InsuranceUsed)
    assert (used.liquidated_id, used.subaccount_id, used.amount) == (seller, seller, usdc(900))
    assert not of_kind(events, LossSocialised)
    assert venue.engine.margin(FEE_ID).equity == usdc(9_100)


def test_beyond_the_fund_everybody_pays_pro_rata_to_equity(venue, seller):
    """900 lost, 300 in the fund: 600 from three accounts of 1,016,000, 500,000 and 1."""
    buyer = seller + 1
    fill_fund(venue, 300)
    rich, poor = venue.fund("carol", 500_000), venue.fund("dave", "0.000001")
    venue.fund("eve", 0)
    venue.mark({C: 6_500})
    before = {one: venue.cash(one) for one in (buyer, rich, poor)}
    equities = {one: venue.engine.margin(one).equity for one in before}
    events = until_taken_over(venue)
    (shared,) = of_kind(events, LossSocialised)
    shares = dict(shared.shares)
    assert shared.amount == sum(shares.values()) == usdc(600)
    assert set(shares) <= {buyer, rich, poor}
    total = sum(equities.values())
    for one, equity in equities.items():
        assert before[one] - venue.cash(one) == shares.get(one, 0)
        assert abs(shares.get(one, 0) * total - usdc(600) * equity) < total
    assert venue.engine.margin(FEE_ID).equity == 0


def test_one_loss_uses_no_more_than_its_share_of_the_fund():
    venue = liquidating_venue(liquidation=rules(fund_rate_max=10 * PERCENT))
    short_call(venue)
    fill_fund(venue, 5_000)
    venue.mark({C: 6_500})
    (shared,) = of_kind(until_taken_over(venue), LossSocialised)
    assert shared.amount == usdc(400)
    assert venue.engine.margin(FEE_ID).equity == usdc(4_500)


def test_where_nobody_else_has_equity_the_fund_bears_it_all():
    """Its limit is for others' sake: the account ends flat, and no unit is lost."""
    venue = liquidating_venue(liquidation=rules(fund_rate_max=0))
    venue.observe(SubaccountSeen(subaccount_id=FEE_ID, owner="treasury"))
    fill_fund(venue, 50_000)
    seller, _ = short_call(venue, buyer=FEE_ID)
    before = venue.cash(seller) + venue.cash(FEE_ID)
    venue.mark({C: 6_500})
    events = until_taken_over(venue)
    (used,) = of_kind(events, InsuranceUsed)
    assert (used.subaccount_id, used.amount) == (seller, usdc(900))
    assert not of_kind(events, LossSocialised)
    assert (venue.cash(seller), venue.cash(FEE_ID)) == (0, before)
    assert not venue.engine._venue.losses


def test_debt_without_positions_is_covered_at_once(venue, seller):
    """The options expired against the account before anybody took over."""
    fill_fund(venue, 100_000)
    venue.wait_until(EXPIRY_S - 1_800)
    for _ in range(61):
        venue.index(110_000)
        venue.wait(30)
    venue.expire()
    assert venue.cash(seller) == usdc(25_100 - 40_000)
    assert names(sweep(venue)) == ["LiquidationStarted", "InsuranceUsed", "LiquidationEnded"]
    assert (venue.cash(seller), venue.cash(FEE_ID)) == (0, usdc(85_100))


def test_the_fund_unwinds_what_it_took(venue, seller):
    """Slice by slice until it is flat, whatever its excess."""
    fill_fund(venue, 100_000)
    maker = venue.fund("carol")
    venue.mark({C: 6_500})
    until_taken_over(venue)
    venue.sell(maker, 10, 6_500)
    events = [event for _ in range(60) for event in sweep(venue, 1)]
    sliced = of_kind(events, LiquidationSliced)
    assert {event.subaccount_id for event in sliced} == {FEE_ID}
    assert of_kind(events, LiquidationEnded)[-1].subaccount_id == FEE_ID
    assert venue.position(FEE_ID) == 0
    venue.twin()


def test_what_the_fund_loses_is_shared_once_it_is_flat(venue, seller):
    """Marks that go against it cost nobody until it has traded: 4 calls, 500 lost on each."""
    maker = venue.fund("carol")
    venue.mark({C: 6_500})
    until_taken_over(venue)
    venue.mark({C: 7_000})
    assert sweep(venue, 1) == ()
    assert venue.engine.margin(FEE_ID).equity == usdc(-2_000)
    venue.sell(maker, 10, 7_000)
    events = [event for _ in range(60) for event in sweep(venue, 1)]
    (shared,) = of_kind(events, LossSocialised)
    assert (shared.liquidated_id, shared.amount) == (FEE_ID, usdc(2_000))
    assert (venue.cash(FEE_ID), venue.position(FEE_ID)) == (0, 0)


def test_a_second_takeover_joins_the_first(venue, seller):
    other, _ = short_call(venue)
    fill_fund(venue, 100_000)
    venue.mark({C: 6_500})
    first, second = until_taken_over(venue), sweep(venue, 1)
    taken = [of_kind(events, PortfolioTransferred)[0].subaccount_id for events in (first, second)]
    assert taken == [seller, other], "one ends a batch; the next sweep takes the other"
    assert names(first + second).count("LiquidationStarted") == 1
    assert venue.position(FEE_ID) == -contracts(8)


def test_the_fund_may_be_another_subaccount():
    """Until it is open on chain the venue's own stands in."""
    venue = liquidating_venue(liquidation=rules(fund_subaccount_id=4))
    short_call(venue)
    assert venue.fund("safety", 50_000) == 4
    venue.mark({C: 6_500})
    events = until_taken_over(venue)
    assert of_kind(events, PortfolioTransferred)[0].taker_subaccount_id == 4
    assert not of_kind(sweep(venue, 1), LossSocialised)


def test_a_keepers_reduce_only_order_shrinks_with_the_position_it_takes_over(venue, seller):
    """Long 4 with an order to sell them: short 4 taken over leave nothing to reduce."""
    buyer = seller + 1
    fill_fund(venue, 10_000)
    venue.sell(buyer, 4, 9_000, reduce_only=True)
    venue.mark({C: 6_500})
    for _ in range(3):
        sweep(venue, 1)
    events = bid(venue, buyer, seller)
    assert "OrderCanceled" in names(events)
    assert venue.position(buyer) == 0
    assert not venue.engine.open_orders(buyer)


def indebted(venue, amount):
    """An account without positions that owes 9,800 and has some WBTC."""
    debtor = venue.fund("ann", 0)
    venue.give(debtor, WBTC, amount)
    venue.engine._venue.subaccounts[debtor].account.add_cash(usdc(-9_800))
    venue.external[""] -= usdc(9_800)
    return debtor


def tokens(venue, who):
    return venue.engine._venue.subaccounts[who].account.collateral.get(WBTC, 0)


def test_tokens_are_for_sale_with_the_rest():
    """A tenth of a WBTC against a debt: a keeper pays its value at the index, less the discount."""
    venue = liquidating_venue(collaterals=COLLATERALS)
    venue.mark({})
    debtor, keeper = indebted(venue, "0.1"), venue.fund("carol")
    for _ in range(12):
        sweep(venue, 1)
    (view,) = venue.engine.liquidations()
    assert view.collateral == {WBTC: 10**7}
    (sold,) = bid(venue, keeper, debtor)
    (token,) = sold.tokens
    assert (token.value, sold.legs) == (-(-token.amount * usdc(100_000) // 10**8), ())
    assert tokens(venue, keeper) + tokens(venue, debtor) == 10**7
    assert venue.cash(keeper) == usdc(1_000_000) - token.value + sold.discount
    assert names(sweep(venue, 1)) == ["LiquidationEnded"]
    venue.engine.check()


def test_the_fund_takes_tokens_over_too():
    venue = liquidating_venue(collaterals=COLLATERALS)
    venue.mark({})
    fill_fund(venue, 50_000)
    debtor = indebted(venue, "0.09")
    events = until_taken_over(venue)
    assert of_kind(events, InsuranceUsed)[0].amount == usdc(800)
    assert (tokens(venue, debtor), tokens(venue, FEE_ID)) == (0, 9 * 10**6)
    assert venue.cash(debtor) == 0
    assert venue.engine.margin(FEE_ID).equity == usdc(50_000 - 800)


def whale(amount):
    """Who owes 9,800 and holds WBTC that the venue's cap keeps from counting."""
    wbtc = msgspec.structs.replace(COLLATERALS[1], total_cap=0)
    venue = liquidating_venue(collaterals=(COLLATERALS[0], wbtc))
    venue.mark({})
    fill_fund(venue, 50_000)
    debtor = indebted(venue, amount)
    assert tokens(venue, debtor) == 0
    return venue, debtor


def test_idle_tokens_pay_a_debt_before_the_fund_does():
    """Beyond the cap they count nothing; in a bankruptcy they are sold like all else."""
    venue, debtor = whale("0.1")
    keeper = venue.fund("carol")
    events = [event for _ in range(12) for event in sweep(venue, 1)]
    assert tokens(venue, debtor) == 10**7
    (sold,) = bid(venue, keeper, debtor)
    assert sold.tokens[0].amount > 0
    assert not of_kind([*events, *sweep(venue, 1)], InsuranceUsed)
    assert tokens(venue, keeper) + tokens(venue, debtor) == 10**7
    assert venue.cash(FEE_ID) == usdc(50_000)
    venue.engine.check()


def test_idle_tokens_may_restore_an_account_and_then_back_its_debt():
    """Nine WBTC against 9,800: nobody sells them, and the owner cannot run with them."""
    venue, debtor = whale(9)
    events = [event for _ in range(3) for event in sweep(venue, 1)]
    assert "LiquidationEnded" in names(events)
    assert tokens(venue, debtor) == 9 * 10**8
    all_of_it = venue.withdrawal(debtor, 0, token=COLLATERALS[1].token)
    terms = msgspec.structs.replace(all_of_it.terms, amount=9 * 10**8)
    (refused,) = venue.send(msgspec.structs.replace(all_of_it, terms=terms))
    assert refused.reason is RejectReason.INSUFFICIENT_CASH


def test_idle_tokens_wait_for_a_fresh_index():
    """Nobody pays for the debtor meanwhile."""
    venue, debtor = whale(9)
    venue.wait(31)
    events = [event for _ in range(3) for event in venue.send(SweepLiquidations())]
    assert names(events) == ["LiquidationStarted"]
    assert (venue.cash(FEE_ID), tokens(venue, debtor)) == (usdc(50_000), 0)
    sweep(venue, 1)
    assert tokens(venue, debtor) == 9 * 10**8
