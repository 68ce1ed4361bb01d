"""Trading perpetuals and futures: entry costs, profits and losses, auctions, protection."""

import pytest
from tests.venue import FUTURE, INDEX, NS, PERP, C, limits, linear_venue, names, refusals, usdc

from exchange.commands import (
    AccrueFunding,
    Halt,
    ProtectionParameters,
    ResetProtection,
    Resume,
    SetProtection,
)
from exchange.events import FundingPaid, ProtectionTripped, RejectReason, Traded
from exchange.fixed import RATIO_SCALE
from exchange.model import PriceSource, Trigger, TriggerKind


@pytest.fixture
def venue():
    return linear_venue()


@pytest.fixture
def ann(venue):
    return venue.fund("ann")


@pytest.fixture
def bob(venue):
    return venue.fund("bob")


def trade(venue, buyer, seller, quantity, price, instrument_id=PERP):
    """One match at this price."""
    venue.sell(seller, quantity, price, instrument_id=instrument_id)
    return venue.buy(buyer, quantity, price, instrument_id=instrument_id)


def cost(venue, who, instrument_id=PERP):
    return venue.engine.subaccounts[who].account.entry_cost(instrument_id)


@pytest.mark.parametrize("instrument_id", [PERP, FUTURE])
def test_opening_moves_no_cash(venue, ann, bob, instrument_id):
    """The value is remembered as entry cost; equity is what the mark says."""
    trade(venue, ann, bob, 2, 99_000, instrument_id)
    assert venue.cash(ann) == venue.cash(bob) == usdc(1_000_000)
    assert (cost(venue, ann, instrument_id), cost(venue, bob, instrument_id)) == (
        usdc(198_000),
        -usdc(198_000),
    )
    assert venue.engine.margin(ann).equity == usdc(1_002_000)
    assert venue.engine.margin(bob).equity == usdc(998_000)


def test_closing_realises_the_difference(venue, ann, bob):
    """Half is closed at a profit, and the rest keeps its average price."""
    trade(venue, ann, bob, 2, 99_000)
    trade(venue, bob, ann, 1, 101_000)
    assert (venue.cash(ann), cost(venue, ann)) == (usdc(1_002_000), usdc(99_000))
    assert (venue.cash(bob), cost(venue, bob)) == (usdc(998_000), -usdc(99_000))


def test_a_fill_may_turn_a_position(venue, ann, bob):
    """All of the old one is realised, the rest is entered at the new price."""
    trade(venue, ann, bob, 1, 99_000)
    trade(venue, bob, ann, 3, 101_000)
    assert venue.position(ann, PERP) == -20_000
    assert (venue.cash(ann), cost(venue, ann)) == (usdc(1_002_000), -usdc(202_000))


def test_a_loss_that_nobody_realised_still_takes_margin(venue, ann, bob):
    """Cash is untouched, excess is not: it cannot be withdrawn."""
    trade(venue, ann, bob, 5, 100_000)
    before = venue.engine.margin(ann)
    venue.mark({PERP: 90_000})
    after = venue.engine.margin(ann)
    assert after.cash == before.cash
    assert after.equity == before.equity - usdc(50_000)
    (refused,) = venue.withdraw(ann, 950_001)
    assert refused.reason is RejectReason.INSUFFICIENT_CASH


def test_a_profit_that_nobody_realised_is_not_paid_out(venue, ann, bob):
    """Equity beyond cash stays until the position closes."""
    trade(venue, ann, bob, "0.1", 100_000)
    venue.mark({PERP: 150_000})
    assert venue.engine.margin(ann).equity == usdc(1_005_000)
    (refused,) = venue.withdraw(ann, 1_000_001)
    assert refused.reason is RejectReason.INSUFFICIENT_CASH


def test_a_perpetual_needs_margin(venue):
    """The test scenarios take half of it, and the largest fee is 1,000 a contract."""
    carol = venue.fund("carol", 1_000_000)
    assert refusals(venue.buy(carol, "19.61", INDEX, instrument_id=PERP)) == [
        RejectReason.INSUFFICIENT_MARGIN
    ]
    assert refusals(venue.buy(carol, "19.6", INDEX, instrument_id=PERP)) == []


def test_a_perpetual_may_have_a_narrower_band():
    """Options keep the wide one."""
    venue = linear_venue(limits=limits(linear_band_rate=RATIO_SCALE // 100))
    ann = venue.fund("ann")
    assert refusals(venue.buy(ann, 1, 101_001, instrument_id=PERP)) == [
        RejectReason.PRICE_OUTSIDE_BAND
    ]
    assert refusals(venue.buy(ann, 1, 101_000, instrument_id=PERP)) == []
    assert refusals(venue.sell(ann, 1, 98_999, instrument_id=FUTURE)) == [
        RejectReason.PRICE_OUTSIDE_BAND
    ]
    assert refusals(venue.buy(ann, 1, 12_500)) == []


def test_reduce_only_closes_and_never_turns(venue, ann, bob):
    """What it asks for beyond the position is canceled."""
    trade(venue, ann, bob, 1, 100_000)
    venue.buy(bob, 3, 100_000, instrument_id=PERP)
    venue.sell(ann, 3, 100_000, instrument_id=PERP, reduce_only=True)
    assert venue.position(ann, PERP) == 0
    assert cost(venue, ann) == 0


def test_a_losing_account_may_still_reduce(venue, bob):
    """Without excess a reduce-only order at the mark is taken: it leaves no less."""
    carol = venue.fund("carol", 60_000)
    trade(venue, carol, bob, 1, 100_000)
    venue.mark({PERP: 80_000})
    venue.index()
    assert venue.engine.margin(carol).initial_excess == usdc(0)
    venue.mark({PERP: 70_000})
    assert venue.engine.margin(carol).initial_excess < 0
    assert refusals(venue.sell(carol, "0.5", 70_000, instrument_id=PERP)) != []
    venue.buy(bob, "0.5", 70_000, instrument_id=PERP)
    events = venue.sell(carol, "0.5", 70_000, instrument_id=PERP, reduce_only=True)
    assert any(isinstance(event, Traded) for event in events)


def test_an_auction_books_linear_fills(venue, ann, bob):
    """One uncrossing price; funding is realised there too."""
    trade(venue, ann, bob, 1, 100_000)
    venue.mark({PERP: 100_100})
    venue.wait(20)
    venue.send(AccrueFunding())
    venue.send(Halt(instrument_id=PERP))
    venue.send(Resume(instrument_id=PERP))
    venue.buy(bob, 1, 100_050, instrument_id=PERP)
    venue.sell(ann, 1, 100_050, instrument_id=PERP)
    venue.wait(60)
    events = venue.index()
    assert names(events).count("Traded") == 1
    paid = [event.amount for event in events if isinstance(event, FundingPaid)]
    assert sum(paid) == 0
    assert len(paid) == 2
    assert venue.position(ann, PERP) == 0


def test_a_stop_on_the_last_price_of_a_perpetual_fires(venue, ann, bob):
    """Triggers watch linear instruments as any other."""
    carol = venue.fund("carol")
    stop = Trigger(kind=TriggerKind.STOP, source=PriceSource.LAST, trigger_price=usdc(99_500))
    trade(venue, carol, bob, 1, 100_000)
    venue.sell(carol, 1, 99_000, instrument_id=PERP, trigger=stop, reduce_only=True)
    venue.buy(bob, 1, 99_400, instrument_id=PERP)
    events = trade(venue, bob, ann, 1, 99_500)
    assert names(events).count("OrderTriggered") == 1
    assert venue.position(carol, PERP) == 0


def test_protection_counts_perpetuals(venue, ann, bob):
    """Ten of delta within a minute freeze the maker, options and perpetuals together."""
    limits_ = ProtectionParameters(interval_ns=60 * NS, frozen_ns=0, quantity_limit=20_000)
    venue.send(SetProtection(subaccount_id=ann, underlying_id=1, limits=limits_))
    venue.sell(ann, 1, 2_500, instrument_id=C, mmp=True)
    venue.sell(ann, 5, 100_000, instrument_id=PERP, mmp=True)
    venue.buy(bob, 1, 2_500, instrument_id=C)
    events = venue.buy(bob, 1, 100_000, instrument_id=PERP)
    assert any(isinstance(event, ProtectionTripped) for event in events)
    assert venue.book(PERP) == ([], [])
    venue.send(ResetProtection(subaccount_id=ann, underlying_id=1))


def test_linear_positions_enter_the_state_hash(venue, ann, bob):
    """Two venues that differ in an entry price alone differ."""
    other = linear_venue()
    for one, price in ((venue, 100_000), (other, 100_010)):
        who = (ann, bob) if one is venue else (other.fund("ann"), other.fund("bob"))
        trade(one, *who, 1, price)
    assert venue.engine.state_hash() != other.engine.state_hash()
    assert venue.twin().state_hash() == venue.engine.state_hash()
