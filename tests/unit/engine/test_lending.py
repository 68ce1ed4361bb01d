"""Debts: what they cost, whom they are paid to, and how much is lent at all."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.liquidation_world import bid, rules
from tests.venue import (
    COLLATERALS,
    FEE_ID,
    LIMITS,
    NS,
    WBTC,
    C,
    configuration,
    limits,
    names,
    open_venue,
    refusals,
    tokens,
    usdc,
)

from exchange.commands import (
    AccrueInterest,
    CutBatch,
    DepositSeen,
    InterestParameters,
    SweepLiquidations,
)
from exchange.engine.lending import CHARGE_WITHIN_S, YEAR_NS
from exchange.events import InterestAccrued, InterestPaid
from exchange.fixed import RATIO_SCALE
from exchange.reasons import RejectReason
from exchange.terms import INTEREST_RATE_MAX

R = RejectReason
HOUR_S = 3_600
RATE = RATIO_SCALE // 10  # 10 % a year


def lend(batch_items_max=LIMITS.batch_items_max, **changes):
    """A venue that lends at 10 % a year, up to 100,000 USDC."""
    fields = {"rate": RATE, "interval_ns": HOUR_S * NS, "debt_max": usdc(100_000)} | changes
    return open_venue(
        collaterals=COLLATERALS,
        interest=InterestParameters(**fields),
        limits=limits(batch_items_max=batch_items_max),
    )


def indebted(venue, premium=25_000):
    """Ann owes `premium` for calls that two WBTC back."""
    ann, bob = venue.fund("ann", 0), venue.fund("bob")
    venue.give(ann, WBTC, 2)
    venue.sell(bob, premium // 2_500, 2_500)
    venue.buy(ann, premium // 2_500, 2_500)
    assert venue.cash(ann) == -usdc(premium)
    return ann


def test_a_debt_pays_its_interest_to_the_venue():
    """An hour at 10 % a year, rounded up; who owes nothing pays nothing."""
    venue = lend()
    ann = indebted(venue)
    venue.send(AccrueInterest())
    venue.wait(HOUR_S)
    debt = -venue.cash(ann)
    accrued, paid = venue.send(AccrueInterest())
    growth = RATE * HOUR_S * NS // YEAR_NS
    assert accrued == InterestAccrued(index=growth, growth=growth)
    amount = -(-debt * growth // RATIO_SCALE)
    assert paid == InterestPaid(subaccount_id=ann, amount=amount, accrued_s=venue.now_s)
    assert venue.cash(ann) == -debt - paid.amount
    assert venue.cash(FEE_ID) == paid.amount == usdc("0.285389")


def test_nothing_is_lost_between_accruals():
    """However often it is charged, the index grows by the rate: the remainder is exact."""
    venue = lend()
    venue.wait(1)
    start = venue.time_ns
    venue.send(AccrueInterest())
    first = venue.engine._venue.treasury.interest_index
    for seconds in (1, 7, 59, 3_600, 12_345):
        venue.wait(seconds)
        venue.send(AccrueInterest())
    grown = venue.engine._venue.treasury.interest_index - first
    assert abs(grown - RATE * (venue.time_ns - start) // YEAR_NS) <= 1
    venue.time_ns += NS - 1
    assert venue.send(AccrueInterest()) == (), "once a second, as the contract takes it"
    assert venue.twin().state_hash() == venue.engine.state_hash()


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=8), st.integers(0, INTEREST_RATE_MAX))
def test_interest_moves_cash_and_makes_none(waits, rate):
    """What debtors pay is what the venue receives; `Venue.send` sums all cash after each."""
    venue = lend(rate=rate)
    ann = indebted(venue)
    paid = 0
    for seconds in waits:
        venue.wait(seconds)
        events = venue.send(AccrueInterest())
        paid += sum(event.amount for event in events if isinstance(event, InterestPaid))
    assert venue.cash(FEE_ID) == paid
    assert venue.cash(ann) == -usdc(25_000) - paid


def many_debtors(count, batch_items_max):
    """Who owe less and less, in a venue whose batches hold so many items."""
    venue = lend(batch_items_max, debt_max=usdc(10**6))
    debtors = []
    for n in range(count):
        debtor, seller = venue.fund(f"debtor{n}", 0), venue.fund(f"seller{n}")
        venue.give(debtor, WBTC, 2)
        venue.sell(seller, count - n, 2_500)
        venue.buy(debtor, count - n, 2_500)
        debtors.append(debtor)
    venue.send(AccrueInterest())
    while venue.engine.interest_is_due(venue.time_ns):
        venue.send(AccrueInterest())
    venue.send(CutBatch())
    return venue, debtors


def charges(events):
    return [event for event in events if isinstance(event, InterestPaid)]


def test_what_a_full_batch_leaves_the_next_command_charges():
    """Seven debtors, three to a batch: everybody once, at one growth, and each batch ends full."""
    venue, debtors = many_debtors(7, 3)
    venue.wait(HOUR_S)
    owed = {debtor: -venue.cash(debtor) for debtor in debtors}
    begun_s, commands, paid = venue.now_s, 0, []
    while venue.engine.interest_is_due(venue.time_ns):
        events = venue.send(AccrueInterest())
        assert len(charges(events)) <= 3
        assert ("InterestAccrued" in names(events)) == (commands == 0)
        paid += charges(events)
        commands += 1
        venue.wait(1)
        assert venue.twin().state_hash() == venue.engine.state_hash()
    assert [one.subaccount_id for one in paid] == debtors
    assert {one.accrued_s for one in paid} == {begun_s}
    growth = RATE * HOUR_S * NS // YEAR_NS
    hours = [abs(one.amount - owed[one.subaccount_id] * growth / RATIO_SCALE) for one in paid]
    assert max(hours) < owed[debtors[0]] * 10**9 / RATIO_SCALE, "an hour's, and a second's at most"
    assert commands == 3


def test_whoever_pays_back_before_his_turn_is_not_charged():
    venue, debtors = many_debtors(3, 2)
    venue.wait(HOUR_S)
    venue.send(AccrueInterest())
    venue.observe(DepositSeen(subaccount_id=debtors[2], amount=usdc(100_000)))
    assert charges(venue.send(AccrueInterest())) == []
    assert not venue.engine.interest_is_due(venue.time_ns)


def test_an_accrual_ends_where_the_venue_stops_lending():
    """What is under way is charged; the next one is not offered."""
    venue, debtors = many_debtors(3, 2)
    venue.wait(HOUR_S)
    venue.send(AccrueInterest())
    off = {"interest": None, "limits": limits(batch_items_max=2)}
    venue.send(configuration(version=2, collaterals=COLLATERALS, **off))
    assert [one.subaccount_id for one in charges(venue.send(AccrueInterest()))] == debtors[2:]
    venue.wait(HOUR_S)
    assert refusals(venue.send(AccrueInterest())) == [R.NOT_OFFERED]


def test_an_accrual_that_waited_too_long_is_forgiven():
    """The contract would take no charge of it; a new accrual begins with what came since."""
    venue, debtors = many_debtors(3, 2)
    venue.wait(HOUR_S)
    assert len(charges(venue.send(AccrueInterest()))) == 2
    venue.wait(CHARGE_WITHIN_S + 1)
    events = venue.send(AccrueInterest())
    assert names(events)[0] == "InterestAccrued"
    assert [one.subaccount_id for one in charges(events)] == debtors[:2]
    assert [one.subaccount_id for one in charges(venue.send(AccrueInterest()))] == debtors[2:]


def test_a_new_rate_holds_from_its_configuration_on():
    venue = lend()
    venue.send(AccrueInterest())
    before = venue.engine._venue.treasury.interest_index
    venue.wait(HOUR_S)
    dear = InterestParameters(rate=2 * RATE, interval_ns=HOUR_S * NS, debt_max=0)
    venue.send(configuration(version=2, collaterals=COLLATERALS, interest=dear))
    venue.wait(HOUR_S)
    venue.send(AccrueInterest())
    grown = venue.engine._venue.treasury.interest_index - before
    assert abs(grown - 3 * RATE * HOUR_S * NS // YEAR_NS) <= 1


def test_a_venue_without_interest_charges_none(venue):
    assert refusals(venue.send(AccrueInterest())) == [R.NOT_OFFERED]
    assert not venue.engine.interest_is_due(venue.time_ns + YEAR_NS)


def test_interest_is_due_once_an_interval():
    venue = lend()
    venue.send(AccrueInterest())
    assert not venue.engine.interest_is_due(venue.time_ns + HOUR_S * NS - 1)
    assert venue.engine.interest_is_due(venue.time_ns + HOUR_S * NS)


def test_orders_that_could_borrow_beyond_the_cap_are_refused():
    """What rests in the same subaccount counts, and so do all other debts."""
    venue = lend(debt_max=usdc(40_000))
    indebted(venue)
    carol = venue.fund("carol", 10_000)
    venue.give(carol, WBTC, 2)
    assert refusals(venue.buy(carol, 4, 2_500, max_fee=0)) == []
    assert refusals(venue.buy(carol, 6, 2_500, max_fee=0)) == [], "15,000 more: just the cap"
    assert refusals(venue.buy(carol, 1, 2_500, max_fee=0)) == [R.DEBT_LIMIT]
    assert refusals(venue.sell(carol, 1, 2_600, max_fee=0)) == [], "selling borrows nothing"
    assert refusals(venue.buy(carol, 1, 2_500, max_fee=0, reduce_only=True)) != [R.DEBT_LIMIT]


def test_cash_buys_without_borrowing_at_any_cap():
    venue = lend(debt_max=0)
    ann = venue.fund("ann", 100_000)
    assert refusals(venue.buy(ann, 10, 2_500)) == []
    assert names(venue.withdraw(ann, 1)) == ["Withdrawn"]


def test_a_short_may_always_be_bought_back():
    """A reduce-only order is never refused for the debt that it leaves."""
    venue = lend(debt_max=0)
    ann, bob = venue.fund("ann", 0), venue.fund("bob")
    venue.give(ann, WBTC, 2)
    venue.buy(bob, 1, 2_500)
    venue.sell(ann, 1, 2_500, max_fee=0)
    venue.withdraw(ann, 2_500)
    assert venue.cash(ann) == 0
    venue.sell(bob, 1, 2_500)
    assert refusals(venue.buy(ann, 1, 2_500, max_fee=0)) == [R.DEBT_LIMIT]
    assert refusals(venue.buy(ann, 1, 2_500, max_fee=0, reduce_only=True)) == []
    assert venue.cash(ann) == -usdc(2_500)
    assert venue.engine.tokens(ann) == {COLLATERALS[1].token: tokens(2)}


@pytest.mark.parametrize("rate", [0, 1])
def test_rates_too_small_to_count_charge_nothing_yet(rate):
    venue = lend(rate=rate)
    indebted(venue)
    assert venue.send(AccrueInterest()) == ()


def test_a_bid_in_a_liquidation_spends_no_more_than_is_lent():
    """Ann's calls and tokens cost more cash than the venue has left to lend."""
    terms = InterestParameters(rate=0, interval_ns=NS, debt_max=usdc(36_000))
    venue = open_venue(collaterals=COLLATERALS, interest=terms, liquidation=rules())
    ann, rich, poor = indebted(venue), venue.fund("rich"), venue.fund("poor", 0)
    venue.give(poor, WBTC, 90)
    btc, eth = venue.marks_update().underlyings
    fallen = msgspec.structs.replace(btc, index_price=usdc(10_000))
    for _ in range(12):
        venue.wait(1)
        venue.index(10_000)
        venue.mark({C: 600}, underlyings=(fallen, eth))
        venue.send(SweepLiquidations())
    assert refusals(bid(venue, poor, ann)) == [R.DEBT_LIMIT]
    assert refusals(bid(venue, rich, ann)) == []
