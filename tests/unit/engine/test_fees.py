"""Fees: which rate, which cap, how they round, and what an owner signs for them."""

from fractions import Fraction
from math import ceil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venue import (
    FEE_ID,
    FEES,
    FUTURE,
    PERP,
    C,
    Venue,
    linear_venue,
    open_venue,
    refusals,
    usdc,
)

from exchange.commands import DepositSeen, FeeSchedule, SubaccountSeen
from exchange.engine.fees import schedule_fee
from exchange.events import RejectReason, Traded
from exchange.fixed import RATIO_SCALE


def fee_venue(**fees: int) -> tuple[Venue, int, int]:
    schedule = msgspec.structs.replace(FEES, **fees)
    venue = open_venue(fees=schedule)
    return venue, venue.fund("ann"), venue.fund("bob")


FEE_TABLE = [
    # quantity, price, maker, taker: 0.03 % of 100,000 is 30 a contract, at most 12.5 % of premium
    ("1", "2500", "30", "30"),
    ("0.5", "2500", "15", "15"),
    ("1", "240", "30", "30"),
    ("1", "239.92", "29.99", "29.99"),
    ("1", "100", "12.5", "12.5"),
    ("0.01", "0.01", "0.000013", "0.000013"),  # 12.5 micro-USDC, rounded up
]


@pytest.mark.parametrize(("quantity", "price", "maker", "taker"), FEE_TABLE)
def test_fees_are_a_rate_of_the_index_capped_by_the_premium(quantity, price, maker, taker):
    """Both sides pay, rounded up to the next micro-USDC, and the venue receives the sum."""
    venue, ann, bob = fee_venue()
    venue.mark({C: price})
    venue.sell(ann, quantity, price)
    (trade,) = [e for e in venue.buy(bob, quantity, price) if isinstance(e, Traded)]
    assert (trade.maker_fee, trade.taker_fee) == (usdc(maker), usdc(taker))
    assert venue.cash(FEE_ID) == trade.maker_fee + trade.taker_fee


def test_an_index_fee_rounds_up():
    """A third of a micro-USDC counts as a whole one."""
    venue, ann, bob = fee_venue(maker_rate=0, taker_rate=10**10)
    venue.index("99999.999999")
    venue.sell(ann, "0.01", 2_500)
    (trade,) = [e for e in venue.buy(bob, "0.01", 2_500) if isinstance(e, Traded)]
    assert (trade.maker_fee, trade.taker_fee) == (0, 10)  # 9.9999999999


@given(
    index=st.integers(1, 10**12),
    ticks=st.integers(1, 10**7),
    quantity=st.integers(1, 10**8),
    rates=st.tuples(*[st.integers(0, RATIO_SCALE)] * 3),
)
def test_fees_agree_with_fractions(index, ticks, quantity, rates):
    """Each bound is the rational number, rounded up; the smaller one is the fee."""
    maker_rate, taker_rate, cap = rates
    fees = FeeSchedule(maker_rate=maker_rate, taker_rate=taker_rate, premium_cap=cap)
    venue = Venue(fees=fees)
    venue.list_instruments(C)
    state = venue.engine._venue
    state.marks.set_index(1, index, RATIO_SCALE)
    price = ticks * 10_000
    for rate, maker in ((maker_rate, True), (taker_rate, False)):
        by_index = ceil(Fraction(rate * index * quantity, RATIO_SCALE * 10_000))
        by_premium = ceil(Fraction(cap * price * quantity, RATIO_SCALE * 10_000))
        fee = schedule_fee(state, state.instruments[C], price, quantity, maker=maker)
        assert fee == min(by_index, by_premium)


def test_a_fee_never_exceeds_what_was_signed():
    """When the index rises after entry, a maker pays at most its max_fee, rounded down."""
    venue, ann, bob = fee_venue()
    venue.sell(ann, "0.03", 2_500, max_fee=usdc("30.000033"))
    venue.index(105_000)
    (trade,) = [e for e in venue.buy(bob, "0.03", 2_500) if isinstance(e, Traded)]
    assert trade.maker_fee == usdc("0.900000")  # 0.03 * 30.000033 = 0.90000099
    assert trade.taker_fee == usdc("0.945")


def test_makers_and_takers_have_their_own_rates():
    """The rate follows the role in the match, not the order."""
    venue, ann, bob = fee_venue(maker_rate=10**14)
    venue.buy(ann, 1, 2_500)
    (trade,) = [e for e in venue.sell(bob, 1, 2_500) if isinstance(e, Traded)]
    assert (trade.maker_fee, trade.taker_fee) == (usdc(10), usdc(30))


@pytest.mark.parametrize(("price", "least"), [("2500", "30"), ("100", "12.5"), ("0.01", "0.00125")])
def test_a_signed_fee_limit_covers_the_schedule_at_entry(price, least):
    """The limit is per contract: the dearer of both roles at the order's own price."""
    venue, ann, _ = fee_venue(maker_rate=0)
    low = venue.buy(ann, 1, price, max_fee=usdc(least) - 1)
    assert refusals(low) == [RejectReason.MAX_FEE_TOO_LOW]
    assert refusals(venue.buy(ann, 1, price, max_fee=usdc(least))) == []


def test_the_venues_own_account_may_trade():
    """Fees of its own trades leave and return; cash is conserved (asserted at every step)."""
    venue, ann, _ = fee_venue()
    venue.observe(
        SubaccountSeen(subaccount_id=FEE_ID, owner="treasury"),
        DepositSeen(subaccount_id=FEE_ID, amount=usdc(10_000)),
    )
    venue.sell(FEE_ID, 1, 2_500)
    venue.buy(ann, 1, 2_500)
    assert venue.cash(FEE_ID) == usdc(10_000 + 2_500 + 30)


@pytest.mark.parametrize("instrument_id", [PERP, FUTURE])
def test_linear_instruments_have_rates_of_their_own_and_no_cap(instrument_id):
    """Makers trade free, takers pay 0.05 % of the index; and sign at least that much."""
    venue = linear_venue(fees=FEES)
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.sell(ann, "0.5", 100_000, instrument_id=instrument_id)
    low = venue.buy(bob, 1, 100_000, instrument_id=instrument_id, max_fee=usdc(50) - 1)
    assert refusals(low) == [RejectReason.MAX_FEE_TOO_LOW]
    events = venue.buy(bob, 1, 100_000, instrument_id=instrument_id, max_fee=usdc(50))
    (trade,) = [e for e in events if isinstance(e, Traded)]
    assert (trade.maker_fee, trade.taker_fee) == (0, usdc(25))
