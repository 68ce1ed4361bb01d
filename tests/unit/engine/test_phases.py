"""Halts keep orders, auctions collect them, and one price ends an auction."""

from typing import Any

import msgspec
import pytest
from tests.venue import (
    EXPIRY_S,
    NS,
    C,
    P,
    Venue,
    call,
    configuration,
    contracts,
    fills,
    limits,
    names,
    open_venue,
    refusals,
    usdc,
)

from exchange.commands import BreakerParameters, ExpireInstruments, Halt, Resume
from exchange.events import (
    AuctionUncrossed,
    CancelReason,
    InstrumentStatusChanged,
    OrderCanceled,
    RejectReason,
    Traded,
)
from exchange.model import InstrumentStatus, OrderStatus, TimeInForce

ANNE, BOB = "0x" + "1" * 40, "0x" + "2" * 40
BREAKER = BreakerParameters(
    move_rate=10**17, window_ns=60 * NS, cool_off_ns=30 * NS, auction_ns=20 * NS
)


def venue_with_people(**parameters: Any) -> tuple[Venue, int, int]:
    venue = open_venue(breaker=BREAKER, **parameters)
    return venue, venue.fund(ANNE), venue.fund(BOB)


def status(venue: Venue, instrument_id: int = C) -> InstrumentStatus:
    return venue.engine.status(instrument_id)


def in_auction(venue: Venue) -> None:
    """Halt one instrument and let it go into its auction."""
    venue.send(Halt(instrument_id=C))
    venue.send(Resume(instrument_id=C))
    assert status(venue) is InstrumentStatus.AUCTION


def end_auction(venue: Venue) -> tuple[Any, ...]:
    venue.wait(20)
    return venue.index()


def test_an_index_that_jumps_halts_its_underlying_then_collects_then_trades() -> None:
    """Ten percent within a minute: halted, auction, live, each for its time."""
    venue, _, _ = venue_with_people()
    venue.wait(1)
    assert status(venue) is InstrumentStatus.LIVE
    changed = [e for e in venue.index(111_000) if isinstance(e, InstrumentStatusChanged)]
    assert {e.status for e in changed} == {InstrumentStatus.HALTED}
    assert {e.instrument_id for e in changed} == set(venue.engine.instruments)
    venue.wait(30)
    venue.index(111_000)
    assert status(venue) is InstrumentStatus.AUCTION
    venue.wait(20)
    venue.index(111_000)
    assert status(venue) is InstrumentStatus.LIVE


def marked(**changes: Any) -> tuple[Venue, int, int]:
    """Marks that move by more than 5 % of the index halt their instrument."""
    venue = open_venue(breaker=msgspec.structs.replace(BREAKER, mark_move_rate=5 * 10**16))
    return venue, venue.fund(ANNE), venue.fund(BOB)


def test_a_mark_that_jumps_halts_its_instrument_alone() -> None:
    """By more than its share of the index; it comes back through an auction, with its orders."""
    venue, ann, _ = marked()
    order = venue.buy(ann, 1, 2_000)
    venue.mark({C: 7_500})
    assert status(venue) is InstrumentStatus.LIVE
    venue.mark({C: "7500.01", P: 3_000})
    assert (status(venue), status(venue, P)) == (InstrumentStatus.HALTED, InstrumentStatus.LIVE)
    assert venue.view(order).status is OrderStatus.OPEN
    venue.wait(30)
    venue.mark({})
    assert status(venue) is InstrumentStatus.AUCTION
    venue.wait(20)
    venue.mark({})
    assert status(venue) is InstrumentStatus.LIVE
    assert venue.twin().state_hash() == venue.engine.state_hash()


def test_a_mark_may_fall_to_zero_and_rise_from_it() -> None:
    venue, _, _ = marked()
    for price in (0, 4_999, 0, 5_001):
        venue.mark({C: price})
    assert status(venue) is InstrumentStatus.HALTED


def test_a_window_forgets_marks() -> None:
    """The same distance over more than a minute halts nothing."""
    venue, _, _ = marked()
    for price in (2_500, 5_000, 7_500, 10_000):
        venue.mark({C: price})
        venue.wait(31)
    assert status(venue) is InstrumentStatus.LIVE


def test_marks_halt_nothing_where_they_are_not_watched() -> None:
    venue, _, _ = venue_with_people()
    venue.mark({C: 50_000})
    assert status(venue) is InstrumentStatus.LIVE
    assert venue.engine._venue.mark_breakers == {}
    assert open_venue().mark({C: 50_000})


def test_an_operator_may_resume_what_a_mark_halted() -> None:
    venue, _, _ = marked()
    venue.mark({C: 20_000})
    venue.send(Resume(instrument_id=C))
    assert status(venue) is InstrumentStatus.AUCTION


def test_resuming_what_was_never_halted_leaves_nothing_behind() -> None:
    venue, _, _ = venue_with_people()
    assert venue.send(Resume(instrument_id=C)) == ()
    assert venue.engine._venue.mark_breakers == {}


def test_new_parameters_reach_the_breakers_in_force() -> None:
    venue, _, _ = marked()
    rules = msgspec.structs.replace(BREAKER, mark_move_rate=10**17, cool_off_ns=5 * NS)
    venue.send(configuration(version=2, breaker=rules))
    venue.mark({C: 12_499})
    assert status(venue) is InstrumentStatus.LIVE
    venue.mark({C: 12_501})
    venue.wait(5)
    venue.mark({})
    assert status(venue) is InstrumentStatus.AUCTION


def test_an_expired_instrument_has_no_breaker() -> None:
    """Its last marks may still come."""
    venue, _, _ = marked()
    venue.wait_until(EXPIRY_S - 1_800)
    for _ in range(61):
        venue.index()
        venue.wait(30)
    venue.send(ExpireInstruments(underlying_id=1, expiry=EXPIRY_S))
    assert C not in venue.engine._venue.mark_breakers
    venue.mark({})
    assert C not in venue.engine._venue.mark_breakers


def test_a_slow_move_halts_nothing() -> None:
    """The same distance, one percent every ten seconds."""
    venue, _, _ = venue_with_people()
    for step in range(11):
        venue.wait(10)
        venue.index(100_000 + 1_000 * step)
    assert status(venue) is InstrumentStatus.LIVE


@pytest.mark.parametrize(
    ("scope", "halted"),
    [
        ({"instrument_id": C}, {C}),
        ({"underlying_id": 1}, {C, P}),
        ({}, {C, P}),
        ({"underlying_id": 2}, set()),
    ],
)
def test_an_operator_halts_an_instrument_an_underlying_or_all(
    scope: dict[str, int], halted: set[int]
) -> None:
    """And what was halted stays so until an operator resumes it."""
    venue, _, _ = venue_with_people()
    venue.send(Halt(**scope))
    venue.wait(3600)
    venue.index()
    found = {one for one in (C, P) if status(venue, one) is InstrumentStatus.HALTED}
    assert found == halted


def test_unknown_scopes_are_refused() -> None:
    """A typo in a halt must not look like a halt."""
    venue, _, _ = venue_with_people()
    for scope in ({"instrument_id": 7}, {"underlying_id": 9}):
        for command in (Halt(**scope), Resume(**scope)):
            assert refusals(venue.send(command)) == [RejectReason.UNKNOWN_INSTRUMENT]


def test_a_halt_loses_no_order_and_takes_none_but_lets_owners_cancel() -> None:
    """What rested still rests; new orders and amends are refused by name."""
    venue, anne, bob = venue_with_people()
    bid = venue.buy(anne, 1, 2_400)
    offer = venue.sell(bob, 1, 2_600)
    venue.send(Halt(instrument_id=C))
    assert refusals(venue.buy(anne, 1, 2_300)) == [RejectReason.INSTRUMENT_HALTED]
    assert refusals(venue.amend(bid, limit_price=usdc(2_410))) == [RejectReason.INSTRUMENT_HALTED]
    assert names(venue.cancel(offer)) == ["OrderCanceled"]
    venue.send(Resume(instrument_id=C))
    end_auction(venue)
    assert venue.book()[0] == [(usdc(2_400), contracts(1))]


def test_an_auction_collects_crossing_orders_and_trades_them_at_one_price() -> None:
    """The price with the largest volume; both sides get it, whatever their limits."""
    venue, anne, bob = venue_with_people()
    in_auction(venue)
    assert fills(venue.buy(anne, 2, 2_600)) == []
    assert fills(venue.sell(bob, 1, 2_400)) == []
    assert fills(venue.sell(bob, 3, 2_500)) == []
    events = end_auction(venue)
    (uncrossed,) = [e for e in events if isinstance(e, AuctionUncrossed)]
    assert (uncrossed.price, uncrossed.quantity) == (usdc(2_500), contracts(2))
    assert {price for price, _ in fills(events)} == {usdc(2_500)}
    assert venue.position(anne) == contracts(2)
    assert venue.book() == ([], [(usdc(2_500), contracts(2))])


def test_the_younger_order_of_an_auction_trade_is_the_taker() -> None:
    """Fees and liquidity roles need one; time decides."""
    venue, anne, bob = venue_with_people()
    in_auction(venue)
    venue.sell(bob, 1, 2_400)
    venue.buy(anne, 1, 2_600)
    (trade,) = [e for e in end_auction(venue) if isinstance(e, Traded)]
    assert (trade.maker_subaccount_id, trade.taker_subaccount_id) == (bob, anne)


def test_an_auction_does_not_match_an_owner_with_itself() -> None:
    """The younger of the two orders is canceled before the price is found."""
    venue, anne, _ = venue_with_people()
    in_auction(venue)
    venue.buy(anne, 1, 2_600)
    venue.sell(anne, 1, 2_400)
    events = end_auction(venue)
    (canceled,) = [e for e in events if isinstance(e, OrderCanceled)]
    assert canceled.reason is CancelReason.AUCTION_SELF_TRADE
    assert fills(events) == []


def test_an_auction_takes_no_order_that_cannot_wait() -> None:
    """IOC and FOK have nothing to trade with before the end."""
    venue, anne, _ = venue_with_people()
    in_auction(venue)
    for time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
        events = venue.buy(anne, 1, 2_600, time_in_force=time_in_force)
        assert refusals(events) == [RejectReason.INSTRUMENT_HALTED]


def test_reduce_only_orders_stay_within_the_position_through_an_auction() -> None:
    """Part of the position goes at the auction's price; the rest of the order shrinks with it."""
    venue, anne, bob = venue_with_people()
    venue.sell(bob, 3, 2_500)
    venue.buy(anne, 3, 2_500)
    in_auction(venue)
    venue.sell(anne, 3, 2_450, reduce_only=True)
    venue.sell(anne, 1, 2_400)
    venue.buy(bob, 1, 2_500)
    end_auction(venue)
    assert venue.position(anne) == contracts(2)
    assert venue.book()[1] == [(usdc(2_450), contracts(2))]


def test_an_instrument_listed_during_a_halt_is_halted() -> None:
    """A new strike does not slip through its underlying's breaker."""
    venue, _, _ = venue_with_people()
    venue.send(Halt(underlying_id=1))
    strike = call(120_000)
    events = venue.list_instruments(strike)
    assert names(events) == ["InstrumentListed", "InstrumentStatusChanged"]
    assert status(venue, strike) is InstrumentStatus.HALTED


def test_the_state_hash_covers_phases_and_replay_repeats_them() -> None:
    """A second engine that lives through the same halts agrees."""
    venue, anne, bob = venue_with_people()
    before = venue.engine.state_hash()
    in_auction(venue)
    assert venue.engine.state_hash() != before
    venue.buy(anne, 1, 2_600)
    venue.sell(bob, 1, 2_400)
    end_auction(venue)
    assert venue.twin().state_hash() == venue.engine.state_hash()


def test_an_auction_that_reaches_the_expiry_trades_nothing() -> None:
    """The contract refuses a fill from the expiry on, and with it the whole batch."""
    venue, anne, bob = venue_with_people()
    venue.wait_until(EXPIRY_S - 10)
    venue.index()
    in_auction(venue)
    venue.buy(anne, 1, 2_600, deadline=EXPIRY_S + 7_200)
    venue.sell(bob, 1, 2_400, deadline=EXPIRY_S + 7_200)
    assert fills(end_auction(venue)) == []
    assert status(venue) is InstrumentStatus.AUCTION
    venue.wait(3600)
    reasons = {e.reason for e in venue.expire() if isinstance(e, OrderCanceled)}
    assert reasons == {CancelReason.EXPIRED}


def test_an_auction_that_ends_before_the_expiry_trades() -> None:
    """One second is enough."""
    venue, anne, bob = venue_with_people()
    venue.wait_until(EXPIRY_S - 21)
    venue.index()
    in_auction(venue)
    venue.buy(anne, 1, 2_600)
    venue.sell(bob, 1, 2_400)
    assert len(fills(end_auction(venue))) == 1


def test_an_auction_goes_on_where_the_batch_was_full() -> None:
    """A command's fills settle in one transaction, so a large auction takes several commands."""
    venue, anne, bob = venue_with_people(limits=limits(batch_items_max=3))
    in_auction(venue)
    for _ in range(8):
        venue.sell(anne, 1, 2_500)
    venue.buy(bob, 8, 2_500)
    venue.wait(20)
    counts = []
    while status(venue) is InstrumentStatus.AUCTION:
        assert refusals(venue.withdraw(anne, 1, nonce=0)) in ([], [RejectReason.NONCE_USED])
        counts.append(len(fills(venue.entries[-1][3])))
    assert counts == [3, 3, 2]
    assert venue.position(bob) == contracts(8)
    assert venue.twin().state_hash() == venue.engine.state_hash()
