"""The taker speed bump: takers wait, makers' cancels go ahead, and nothing is lost."""

import pytest
from tests.venue import (
    C,
    P,
    call,
    canceled,
    contracts,
    fills,
    limits,
    names,
    open_venue,
    placed_in,
    refusals,
    usdc,
)

from exchange.commands import (
    AmendOrder,
    CancelAll,
    ExpireInstruments,
    Halt,
    ListCombo,
    PricedOrder,
    ReleaseOrders,
    Reprice,
    Resume,
    SetSpeedBump,
)
from exchange.events import (
    CancelReason,
    OrderDelayed,
    OrderTriggered,
    RejectReason,
    SpeedBumpSet,
)
from exchange.model import (
    Leg,
    OrderStatus,
    PriceSource,
    SelfTradePrevention,
    TimeInForce,
    Trigger,
    TriggerKind,
)

MS = 10**6
DELAY = 20 * MS


@pytest.fixture
def bumped(venue):
    venue.send(SetSpeedBump(instrument_id=C, delay_ns=DELAY))
    return venue


def later(venue, ms):
    venue.time_ns += ms * MS


def release(venue):
    return venue.send(ReleaseOrders())


def test_a_taker_waits_and_then_trades(bumped, ann, bob):
    """Untriggered for as long as the bump says, outside the book and without margin."""
    bumped.sell(ann, 1, 2_500)
    events = bumped.buy(bob, 1, 2_500)
    assert names(events) == ["OrderArmed", "OrderDelayed"]
    assert events[1].until_ns == bumped.time_ns + DELAY
    assert bumped.view(events[:1]).status is OrderStatus.UNTRIGGERED
    assert bumped.book() == ([], [(usdc(2_500), contracts(1))])
    assert bumped.engine.release_times_ns() == [bumped.time_ns + DELAY]
    later(bumped, 19)
    assert fills(release(bumped)) == []
    later(bumped, 1)
    assert fills(release(bumped)) == [(usdc(2_500), contracts(1))]
    assert bumped.view(events[:1]).status is OrderStatus.FILLED
    assert bumped.engine.release_times_ns() == []
    assert bumped.twin().state_hash() == bumped.engine.state_hash()


def test_a_cancel_before_its_time_goes_ahead(bumped, ann, bob):
    """Also one stamped in the last nanosecond; one stamped at that time comes late."""
    quote = bumped.sell(ann, 1, 2_500)
    taker = bumped.buy(bob, 1, 2_500)[:1]
    bumped.time_ns += DELAY - 1
    assert canceled(bumped.cancel(quote)) == [(contracts(1), CancelReason.BY_OWNER)]
    bumped.time_ns += 1
    assert names(release(bumped)) == ["OrderPlaced"]
    assert bumped.book()[0] == [(usdc(2_500), contracts(1))]
    assert bumped.view(taker).status is OrderStatus.OPEN


def test_a_cancel_at_its_time_comes_late(bumped, ann, bob):
    quote = bumped.sell(ann, 1, 2_500)
    bumped.buy(bob, 1, 2_500)
    later(bumped, 20)
    events = bumped.cancel(quote)
    assert fills(events) == [(usdc(2_500), contracts(1))]
    assert refusals(events) == [RejectReason.UNKNOWN_ORDER]


def test_makers_and_cancels_do_not_wait(bumped, ann, bob):
    """Passive orders, post-only ones that would cross, and everything elsewhere."""
    bumped.sell(ann, 1, 2_500)
    assert names(bumped.buy(bob, 1, "2499.99")) == ["OrderPlaced"]
    assert names(bumped.buy(bob, 1, 2_600, post_only=True)) == ["OrderPlaced"]
    bumped.sell(ann, 1, 2_500, instrument_id=P)
    assert fills(bumped.buy(bob, 1, 2_500, instrument_id=P))
    assert canceled(bumped.buy(bob, 1, 2_400, time_in_force=TimeInForce.IOC))
    assert bumped.engine.release_times_ns() == []


def test_a_seller_waits_as_well(bumped, ann, bob):
    assert names(bumped.sell(ann, 1, 2_500)) == ["OrderPlaced"]
    bumped.cancel(bumped.buy(bob, 1, 2_400))
    bumped.buy(bob, 1, 2_400)
    assert names(bumped.sell(ann, 1, 2_401)) == ["OrderPlaced"]
    assert "OrderDelayed" in names(bumped.sell(ann, 1, 2_400))


def test_the_checks_are_those_of_the_end(bumped, ann):
    """Margin may have gone in the meantime, and the book may have changed."""
    poor = bumped.fund("poor", 2_500)
    bumped.sell(ann, 2, 2_500)
    first, second = bumped.buy(poor, 1, 2_500)[:1], bumped.buy(poor, 1, 2_500)[:1]
    fok = bumped.buy(bumped.fund("carol"), 2, 2_500, time_in_force=TimeInForce.FOK)[:1]
    later(bumped, 20)
    release(bumped)
    assert bumped.view(first).status is OrderStatus.FILLED
    assert bumped.view(second).status is OrderStatus.CANCELED
    assert bumped.view(fok).status is OrderStatus.CANCELED


def test_what_is_refused_at_once_does_not_wait(bumped, ann, bob):
    bumped.sell(ann, 1, 2_500)
    assert refusals(bumped.buy(bob, 1, 50_000)) == [RejectReason.PRICE_OUTSIDE_BAND]
    assert bumped.engine.release_times_ns() == []


def test_one_that_waits_can_be_canceled_by_whatever_cancels(bumped, ann, bob):
    bumped.sell(ann, 1, 2_500)
    taker = bumped.buy(bob, 1, 2_500)[:1]
    assert canceled(bumped.cancel(taker)) == [(contracts(1), CancelReason.BY_OWNER)]
    bumped.buy(bob, 1, 2_500)
    assert canceled(bumped.send(CancelAll(subaccount_id=bob)))
    bumped.buy(bob, 1, 2_500, deadline=bumped.now_s + 1)
    bumped.send(SetSpeedBump(instrument_id=C, delay_ns=0))
    bumped.wait(1)
    assert canceled(bumped.index()) == [(contracts(1), CancelReason.DEADLINE)]
    assert bumped.engine.release_times_ns() == []


def test_an_amend_of_one_that_waits_starts_its_wait_again(bumped, ann, bob):
    """Or an order sent ahead of the news would take at the price of the news."""
    bumped.sell(ann, 1, 2_500)
    taker = bumped.buy(bob, 1, 2_500)[:1]
    later(bumped, 15)
    events = bumped.amend(taker, limit_price=usdc(2_600))
    assert names(events) == ["OrderAmended", "OrderDelayed"]
    later(bumped, 15)
    assert fills(release(bumped)) == []
    later(bumped, 5)
    assert fills(release(bumped)) == [(usdc(2_500), contracts(1))]


def test_an_amend_across_the_spread_waits_outside_the_book(bumped, ann, bob):
    """What was filled stays filled, what self-trade prevention took stays away."""
    bumped.sell(ann, 1, 2_500)
    order = bumped.buy(bob, 3, 2_400)
    bumped.sell(ann, 1, 2_400)
    later(bumped, 20)
    release(bumped)
    assert bumped.view(order).filled_quantity == contracts(1)
    events = bumped.amend(order, limit_price=usdc(2_500))
    assert names(events) == ["OrderAmended", "OrderDelayed"]
    assert bumped.book() == ([], [(usdc(2_500), contracts(1))])
    later(bumped, 20)
    assert fills(release(bumped)) == [(usdc(2_500), contracts(1))]
    assert bumped.book()[0] == [(usdc(2_500), contracts(1))]
    assert bumped.view(order).filled_quantity == contracts(2)


def test_the_quantity_of_an_amend_counts_what_was_filled(bumped, ann, bob):
    bumped.sell(ann, 1, 2_500)
    order = bumped.buy(bob, 3, 2_400)
    bumped.sell(ann, 1, 2_400)
    later(bumped, 20)
    release(bumped)
    bumped.amend(order, limit_price=usdc(2_500))
    less = bumped.amend(order, quantity=contracts(1))
    assert refusals(less) == [RejectReason.QUANTITY_NOT_POSITIVE]


def test_a_volatility_order_that_is_moved_across_waits(bumped, ann, bob):
    """And what prevention had taken of it does not come back."""
    decrement = {"self_trade_prevention": SelfTradePrevention.DECREMENT}
    order = bumped.buy(bob, 3, 2_600, volatility=1, worth=usdc(2_400))
    bumped.sell(bob, 1, 2_400, **decrement)
    later(bumped, 20)
    release(bumped)
    bumped.sell(ann, 3, 2_500)
    moved = Reprice(orders=(PricedOrder(order_id=placed_in(order).order_id, price=usdc(2_550)),))
    assert names(bumped.send(moved)) == ["OrderRepriced", "OrderDelayed"]
    assert bumped.book()[0] == []
    assert bumped.send(moved) == ()
    later(bumped, 20)
    assert fills(release(bumped)) == [(usdc(2_500), contracts(2))]


def test_a_volatility_order_amended_across_waits(bumped, ann, bob):
    order = bumped.buy(bob, 1, 2_600, volatility=1, worth=usdc(2_400))
    bumped.sell(ann, 1, 2_500)
    terms = bumped.terms_of(order)
    changed = type(terms)(
        **{n: getattr(terms, n) for n in terms.__struct_fields__} | {"version": 1}
    )
    events = bumped.send(AmendOrder(terms=changed, signature=b"", volatility=2, worth=usdc(2_550)))
    assert names(events) == ["OrderAmended", "OrderDelayed"]
    later(bumped, 20)
    assert fills(release(bumped)) == [(usdc(2_500), contracts(1))]


def test_an_order_whose_trigger_fired_waits_too(bumped, ann, bob):
    """Once: when it is let in it does not wait again."""
    bumped.sell(ann, 1, 2_500)
    trigger = Trigger(kind=TriggerKind.STOP, source=PriceSource.INDEX, trigger_price=usdc(100_100))
    stop = bumped.buy(bob, 1, 2_600, trigger=trigger)
    events = bumped.index(100_200)
    assert {type(e) for e in events} >= {OrderTriggered, OrderDelayed}
    later(bumped, 20)
    assert fills(release(bumped)) == [(usdc(2_500), contracts(1))]
    assert bumped.view(stop).status is OrderStatus.FILLED


def test_a_halt_keeps_one_that_waits(bumped, ann, bob):
    """Its time comes during the halt; it enters when trading goes on."""
    bumped.sell(ann, 1, 2_500)
    taker = bumped.buy(bob, 1, 2_500)[:1]
    bumped.send(Halt(instrument_id=C))
    later(bumped, 20)
    release(bumped)
    assert bumped.view(taker).status is OrderStatus.UNTRIGGERED
    bumped.send(Resume(instrument_id=C))
    assert names(bumped.buy(ann, 1, 2_600)) == ["OrderPlaced"]  # an auction matches nobody
    bumped.wait(61)
    assert fills(bumped.index())


def test_a_full_batch_keeps_it_for_the_next_command():
    venue = open_venue(limits=limits(batch_items_max=1))
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.send(SetSpeedBump(instrument_id=C, delay_ns=DELAY))
    venue.sell(ann, 2, 2_500)
    for _ in range(2):
        venue.buy(bob, 1, 2_500)
    later(venue, 20)
    assert len(fills(release(venue))) == 1
    assert len(fills(release(venue))) == 1


def test_an_underlying_turns_all_its_instruments_on_and_each_off(venue):
    events = venue.send(SetSpeedBump(underlying_id=1, delay_ns=DELAY))
    assert len(events) == len(venue.engine.instruments)
    assert venue.send(SetSpeedBump(underlying_id=1, delay_ns=DELAY)) == ()
    (off,) = venue.send(SetSpeedBump(instrument_id=C, delay_ns=0))
    assert off == SpeedBumpSet(instrument_id=C, delay_ns=0)
    nowhere = venue.send(SetSpeedBump(underlying_id=9, delay_ns=DELAY))
    assert refusals(nowhere) == [RejectReason.UNKNOWN_INSTRUMENT]


def test_an_expired_instrument_has_no_bump(bumped):
    expiry = bumped.engine.instruments[C].expiry
    bumped.wait_until(expiry - 1_800)
    for _ in range(61):
        bumped.index()
        bumped.wait(30)
    bumped.send(ExpireInstruments(underlying_id=1, expiry=expiry))
    assert bumped.engine._venue.bump.state()[0] == ()


def test_what_an_underlying_lists_later_has_its_bump(venue):
    """And no longer when it is turned off; the bump of one instrument is nobody else's."""
    venue.send(SetSpeedBump(instrument_id=C, delay_ns=DELAY))
    assert names(venue.list_instruments(call(111_000))) == ["InstrumentListed"]
    venue.send(SetSpeedBump(underlying_id=1, delay_ns=DELAY))
    listed, bump = venue.list_instruments(call(112_000))
    assert listed.instrument.instrument_id == call(112_000)
    assert bump == SpeedBumpSet(instrument_id=call(112_000), delay_ns=DELAY)
    combo = venue.send(ListCombo(legs=(Leg(C, 1), Leg(P, -1))))
    assert names(combo) == ["InstrumentListed", "SpeedBumpSet", "ComboListed"]
    venue.send(SetSpeedBump(underlying_id=1, delay_ns=0))
    assert names(venue.list_instruments(call(113_000))) == ["InstrumentListed"]
    assert venue.engine._venue.bump.state() == ((), (), ())
