"""Funding: the rate, what accrues, what moves, and who pays whom."""

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.venue import (
    FUNDING,
    FUTURE,
    INDEX,
    PERP,
    C,
    configuration,
    linear_venue,
    listing,
    names,
    usdc,
)

from exchange.commands import AccrueFunding, FundingParameters, ListInstruments
from exchange.events import BatchCut, FundingAccrued, FundingPaid, Traded
from exchange.fixed import RATIO_SCALE
from exchange.margin.linear import funding_rate

PERCENT = RATIO_SCALE // 100
DERIBIT = FundingParameters(
    damping_rate=PERCENT * 25 // 1_000, rate_max=PERCENT // 2, interval_ns=60 * 10**9
)


@pytest.fixture
def venue():
    """The perpetual is marked 0.1 % above the index; ann is long 2 of bob's."""
    found = linear_venue()
    ann, bob = found.fund("ann"), found.fund("bob")
    found.sell(bob, 2, INDEX, instrument_id=PERP)
    found.buy(ann, 2, INDEX, instrument_id=PERP)
    found.mark({PERP: 100_100})
    assert (ann, bob) == (2, 3)
    return found


def accrue(venue, seconds=28):
    """Funding moves after some seconds; 28.8 of them are a thousandth of eight hours."""
    venue.time_ns += int(seconds * 10**9)
    return venue.send(AccrueFunding())


RATES = [  # mark, rate in thousandths of a percent, with Deribit's damping and cap
    (100_000, 0),
    (100_025, 0),
    (99_975, 0),
    (100_030, 5),
    (99_900, -75),
    (102_000, 500),
    (50_000, -500),
]


@pytest.mark.parametrize(("mark", "rate"), RATES)
def test_the_rate_is_the_damped_and_capped_premium(mark, rate):
    """Nobody pays for a premium within 0.025 %; nobody pays more than 0.5 % in eight hours."""
    assert funding_rate(DERIBIT, usdc(mark), usdc(100_000)) == rate * PERCENT // 1_000


def test_longs_pay_shorts_for_a_premium(venue):
    """0.1 % of 100,000 in eight hours is 0.10 in a thousandth of it, for each contract."""
    cut, moved = accrue(venue, 28.8)
    assert isinstance(cut, BatchCut)
    assert moved == FundingAccrued(
        instrument_id=PERP,
        ordinal=1,
        index=usdc("0.1"),
        rate=PERCENT // 10,
        index_price=usdc(INDEX),
    )
    before = venue.cash(2)
    events = venue.sell(2, 1, 100_000, instrument_id=PERP)
    assert venue.cash(2) == before  # only a fill realises it
    events = venue.buy(3, 1, 100_000, instrument_id=PERP)
    paid = [(e.subaccount_id, e.amount) for e in events if isinstance(e, FundingPaid)]
    assert paid == [(2, -usdc("0.2")), (3, usdc("0.2"))]
    assert names(events).index("FundingPaid") < names(events).index("Traded")
    assert venue.cash(2) == before - usdc("0.2")


def test_unrealised_funding_counts_in_every_excess(venue):
    """Before anybody touches the position, equity, initial and maintenance excess have moved."""
    before = [venue.engine.margin(who) for who in (2, 3)]
    accrue(venue, 28.8)
    for old, who, due in zip(before, (2, 3), (usdc("-0.2"), usdc("0.2")), strict=True):
        new = venue.engine.margin(who)
        assert new.cash == old.cash
        for field in ("equity", "initial_excess", "maintenance_excess"):
            assert getattr(new, field) - getattr(old, field) == due


def test_shorts_pay_longs_for_a_discount(venue):
    """The index falls below where it was."""
    venue.mark({PERP: 99_800})
    (*_, moved) = accrue(venue, 28.8)
    assert (moved.index, moved.rate) == (-usdc("0.2"), -PERCENT // 5)
    venue.mark({PERP: 100_000})
    venue.sell(2, 1, 100_000, instrument_id=PERP)
    events = venue.buy(3, 1, 100_000, instrument_id=PERP)
    paid = [(e.subaccount_id, e.amount) for e in events if isinstance(e, FundingPaid)]
    assert paid == [(2, usdc("0.4")), (3, -usdc("0.4"))]


def test_less_than_a_quantum_waits_for_more(venue):
    """0.01 takes 2.88 seconds; nothing of what accrued is lost."""
    assert accrue(venue, 2.8) == ()
    assert venue.engine.pending == 1  # and no batch is cut for nothing
    (_, moved) = accrue(venue, 0.1)
    assert moved.index == usdc("0.01")
    (moved,) = accrue(venue, 2.86)
    assert (moved.index, moved.ordinal) == (usdc("0.02"), 2)


def test_a_rate_holds_until_the_next_epoch(venue):
    """Half the time at 0.1 %, half at 0.2 %."""
    venue.time_ns += 14_400 * 10**6
    venue.index()
    venue.mark({PERP: 100_200})
    (*_, moved) = accrue(venue, 14.4)
    assert moved.index == usdc("0.15")


def test_time_without_an_index_costs_nothing(venue):
    """An index counts for 30 seconds; then nobody pays until there is a new one."""
    venue.wait(600)
    venue.index()
    (*_, moved) = accrue(venue, 0)
    assert moved.index == usdc("0.10")  # 0.104 in 30 seconds


def test_a_pending_batch_ends_before_the_index_moves(venue):
    """So all its fills see one index; without a fill there is nothing to cut."""
    assert venue.engine.pending == 1
    cut, moved = accrue(venue)
    assert (type(cut), type(moved)) == (BatchCut, FundingAccrued)
    assert cut.last_seq == venue.entries[-1][0]
    assert cut.state_hash == venue.engine.state_hash()
    venue.index()
    assert names(accrue(venue)) == ["FundingAccrued"]


def test_an_order_that_waited_does_not_trade_after_the_cut(venue):
    """What follows from earlier commands comes before the index moves."""
    venue.sell(3, 1, INDEX, instrument_id=PERP)
    events = accrue(venue)
    assert not any(isinstance(event, Traded) for event in events)


def test_a_venue_without_parameters_accrues_nothing():
    """And taking them away ends it: what accrued before still moves."""
    venue = linear_venue(funding=None)
    venue.mark({PERP: 100_100})
    assert accrue(venue) == ()
    venue.send(configuration(version=2, funding=FUNDING))
    venue.index()
    venue.wait(20)
    venue.send(configuration(version=3))
    (moved,) = accrue(venue, 5)
    assert (moved.index, moved.rate) == (usdc("0.06"), 0)
    venue.index()
    assert accrue(venue) == ()


def test_a_perpetual_without_a_mark_or_an_index_accrues_nothing():
    """Its first epoch begins it; an epoch that knows no index price asks for nothing."""
    venue = linear_venue()
    venue.send(ListInstruments(listings=(listing(PERP + (1 << 51)),)))  # ETH
    venue.index(3_500, underlying_id=2)
    assert accrue(venue) == ()
    risks = [
        msgspec.structs.replace(risk, index_price=0) for risk in venue.marks_update().underlyings
    ]
    venue.mark({PERP: 100_100}, underlyings=tuple(risks))
    assert accrue(venue) == ()


def test_futures_and_options_pay_no_funding(venue):
    """Only the perpetual has an index."""
    accrue(venue)
    account = venue.engine.subaccounts[2].account
    assert account.unrealised_funding(PERP) != 0
    assert account.unrealised_funding(FUTURE) == account.unrealised_funding(C) == 0
    assert account.entry_cost(C) == 0
    assert account.realise_funding(C) == 0


@settings(max_examples=25)
@given(
    steps=st.lists(
        st.tuples(st.integers(99_000, 101_000), st.integers(0, 29_999)), min_size=1, max_size=12
    )
)
def test_the_index_never_strays_a_quantum_from_the_exact_sum(steps):
    """However often it moves, the index is the exact accrual, cut toward zero."""
    venue = linear_venue()
    venue.checking = False
    exact = Fraction(0)
    for mark, milliseconds in steps:
        venue.index()
        venue.mark({PERP: mark})
        venue.time_ns += milliseconds * 10**6
        venue.send(AccrueFunding())
        rate = max(-500, min(500, mark - INDEX))  # USDC in eight hours
        exact += Fraction(rate * 10**6 * milliseconds, 8 * 3_600 * 1_000)
        index = venue.engine._venue.marks.funding_index(PERP)
        assert abs(index - exact) < 10_000
