"""Orders that wait for a price: what they watch, when they fire, and what may end them."""

import pytest
from tests.venue import (
    EXPIRY_S,
    C,
    P,
    Venue,
    call,
    canceled,
    fills,
    limits,
    names,
    open_venue,
    placed_in,
    refusals,
    usdc,
)

from exchange.commands import CancelAll, Halt, NonceFloorSeen, Resume, SessionKeySeen
from exchange.events import CancelReason, OrderTriggered, RejectReason
from exchange.model import (
    InstrumentStatus,
    OrderStatus,
    PriceSource,
    Side,
    TimeInForce,
    Trigger,
    TriggerKind,
)

R = RejectReason
MARK, INDEX, LAST = PriceSource.MARK, PriceSource.INDEX, PriceSource.LAST


def stop(price, source=LAST):
    return Trigger(kind=TriggerKind.STOP, source=source, trigger_price=usdc(price))


def take(price, source=LAST):
    return Trigger(kind=TriggerKind.TAKE, source=source, trigger_price=usdc(price))


def trail(offset, source=LAST):
    return Trigger(kind=TriggerKind.TRAILING, source=source, trail_offset=usdc(offset))


def trade(venue: Venue, price, quantity="0.01", instrument_id=C):
    """Two strangers trade at this price; the events of the taker's order."""
    venue.buy(venue.fund("dora"), quantity, price, instrument_id=instrument_id)
    return venue.sell(venue.fund("emil"), quantity, price, instrument_id=instrument_id)


def fired(events):
    """(order_id, price) of each order that fired, in order."""
    return [(e.order_id, e.price) for e in events if isinstance(e, OrderTriggered)]


def status(venue, order):
    return venue.view(order).status


# --- entry ---


def test_an_untriggered_order_is_open_but_binds_no_margin(venue, ann):
    """It is listed and counted; neither the book nor margin knows it."""
    before = venue.engine.margin(ann)
    order = venue.sell(ann, 100, 2_400, trigger=stop(2_450, MARK))
    assert names(order) == ["OrderArmed"]
    assert status(venue, order) is OrderStatus.UNTRIGGERED
    assert venue.view(order).trigger == stop(2_450, MARK)
    assert [view.order_id for view in venue.engine.open_orders(ann)] == [placed_in(order).order_id]
    assert venue.book() == ([], [])
    assert venue.engine.margin(ann) == before


def test_untriggered_orders_count_toward_the_limit(bob):
    """Otherwise waiting would be free."""
    venue = open_venue(limits=limits(open_orders_max=2))
    ann = venue.fund("ann")
    venue.sell(ann, 1, 2_400, trigger=stop(2_450, MARK))
    last = venue.sell(ann, 1, 2_400, trigger=stop(2_450, MARK))
    assert refusals(venue.buy(ann, 1, 2_400)) == [R.TOO_MANY_ORDERS]
    assert refusals(venue.sell(ann, 1, 2_400, trigger=stop(2_450, MARK))) == [R.TOO_MANY_ORDERS]
    assert canceled(venue.mark({C: 2_450})) == [], "one that fires takes its own place"
    assert status(venue, last) is OrderStatus.OPEN


REFUSED = {
    R.UNKNOWN_INSTRUMENT: {"instrument_id": call(1), "trigger": stop(2_400, MARK)},
    R.TRIGGER_NOT_SIGNED: {"trigger": stop(2_400, MARK), "trigger_hash": bytes(32)},
    R.BAD_TRIGGER: {"trigger": Trigger(kind=TriggerKind.TRAILING, source=MARK)},
    R.TRIGGER_UNPRICED: {"trigger": trail(10, LAST)},
    R.TRIGGER_REACHED: {"trigger": stop(2_500, MARK)},
    R.QUANTITY_NOT_POSITIVE: {"trigger": stop(2_400, MARK), "quantity": 0},
    R.PRICE_OFF_TICK: {"trigger": stop(2_400, MARK), "limit_price": 1},
}


@pytest.mark.parametrize("reason", REFUSED, ids=str)
def test_what_cannot_wait_is_refused_and_remembered(venue, ann, reason):
    """The same content again is refused again."""
    changes = {"quantity": 1} | REFUSED[reason]
    command = venue.sign(ann, Side.SELL, changes.pop("quantity"), 2_400, **changes)
    assert refusals(venue.enter(command)) == [reason]
    assert refusals(venue.enter(command)) == [reason]
    assert venue.engine.open_orders(ann) == []


def test_reasons_stand_in_the_order_of_the_checks():
    """The table above, and so the checks, follow `RejectReason`."""
    assert list(REFUSED) == [reason for reason in RejectReason if reason in REFUSED]


@pytest.mark.parametrize(
    "trigger",
    [
        Trigger(kind=TriggerKind.STOP, source=MARK, trigger_price=-1),
        Trigger(kind=TriggerKind.STOP, source=MARK, trigger_price=1, trail_offset=1),
        Trigger(kind=TriggerKind.TRAILING, source=MARK, trigger_price=1, trail_offset=1),
    ],
    ids=["negative", "stop with offset", "trail with price"],
)
def test_a_trigger_has_what_its_kind_asks_for(venue, ann, trigger):
    """And nothing else."""
    assert refusals(venue.sell(ann, 1, 2_400, trigger=trigger)) == [R.BAD_TRIGGER]


def test_a_signed_hash_needs_its_trigger(venue, ann):
    """An order signed to wait cannot be entered as one that does not."""
    events = venue.sell(ann, 1, 2_400, trigger_hash=b"\x01" * 32)
    assert refusals(events) == [R.TRIGGER_NOT_SIGNED]


def test_the_same_content_returns_the_first_outcome(venue, ann):
    """Also after the order fired."""
    command = venue.sign(ann, Side.SELL, 1, 2_400, trigger=stop(2_450, MARK))
    venue.enter(command)
    assert names(venue.enter(command)) == ["OrderRepeated"]
    venue.mark({C: 2_450})
    assert names(venue.enter(command)) == ["OrderRepeated"]


# --- firing ---


def test_a_mark_sets_off_what_watches_that_instrument(venue, ann):
    """A stop to sell fires when the mark falls to it, and no sooner."""
    order = venue.sell(ann, 1, 2_400, trigger=stop(2_450, MARK))
    other = venue.sell(ann, 1, 2_400, instrument_id=P, trigger=stop(2_450, MARK))
    assert fired(venue.mark({C: 2_451})) == []
    events = venue.mark({C: 2_450})
    assert names(events) == ["MarksUpdated", "OrderTriggered", "OrderPlaced"]
    assert fired(events) == [(placed_in(order).order_id, usdc(2_450))]
    assert venue.book() == ([], [(usdc(2_400), 10_000)])
    assert status(venue, other) is OrderStatus.UNTRIGGERED


def test_an_index_sets_off_what_watches_the_underlying(venue, ann):
    """Whatever the instrument; other underlyings do not matter."""
    orders = [
        venue.sell(ann, 1, 2_400, instrument_id=instrument_id, trigger=stop(99_900, INDEX))
        for instrument_id in (C, P)
    ]
    assert fired(venue.index(3_000, underlying_id=2)) == []
    events = venue.index(99_900)
    assert [order_id for order_id, _ in fired(events)] == [placed_in(o).order_id for o in orders]


def test_a_trade_sets_off_what_watches_the_last_price(venue, ann):
    """A buy stop above, a take below; before the first trade there is nothing to reach."""
    above = venue.buy(ann, 1, 2_600, trigger=stop(2_550))
    below = venue.buy(ann, 1, 2_400, trigger=take(2_450))
    assert fired(trade(venue, 2_500)) == []
    assert fired(trade(venue, 2_550)) == [(placed_in(above).order_id, usdc(2_550))]
    venue.cancel(above)
    assert fired(trade(venue, 2_440)) == [(placed_in(below).order_id, usdc(2_440))]
    assert refusals(venue.buy(ann, 1, 2_400, trigger=take(2_440))) == [R.TRIGGER_REACHED]


def test_a_trail_follows_the_best_price(venue, ann):
    """Up with the mark, never down; it fires at its offset below the top."""
    order = venue.sell(ann, 1, 2_400, trigger=trail(100, MARK))
    assert fired(venue.mark({C: 2_800})) == []
    assert fired(venue.mark({C: 2_701})) == []
    assert fired(venue.mark({C: 2_700})) == [(placed_in(order).order_id, usdc(2_700))]


def test_one_order_that_fires_may_set_off_the_next(venue, ann, bob):
    """A cascade runs within one command, each order once, in the order of prices."""
    for price in (2_500, 2_490, 2_480):
        venue.buy(bob, 1, price)
    first = venue.sell(ann, 1, 2_400, trigger=stop(2_510))
    second = venue.sell(ann, 1, 2_400, trigger=stop(2_500))
    events = trade(venue, 2_510)
    assert [order_id for order_id, _ in fired(events)] == [
        placed_in(first).order_id,
        placed_in(second).order_id,
    ]
    assert [price for price, _ in fills(events)] == [usdc(2_510), usdc(2_500), usdc(2_490)]
    assert {status(venue, order) for order in (first, second)} == {OrderStatus.FILLED}


def test_a_stop_market_order_takes_what_it_finds(venue, ann, bob):
    """An IOC at its worst price; what finds nobody is canceled."""
    venue.buy(bob, 1, 2_450)
    order = venue.sell(ann, 3, 2_300, trigger=stop(2_460, MARK), time_in_force=TimeInForce.IOC)
    events = venue.mark({C: 2_455})
    assert fills(events) == [(usdc(2_450), 10_000)]
    assert canceled(events) == [(20_000, CancelReason.IMMEDIATE_OR_CANCEL)]
    assert status(venue, order) is OrderStatus.CANCELED


REFUSED_THEN = {
    R.STALE_INDEX: {},
    R.PRICE_OUTSIDE_BAND: {"price": "30000"},
    R.REDUCE_ONLY_INCREASES: {"reduce_only": True},
    R.INSUFFICIENT_MARGIN: {"quantity": 1_000},
    R.POST_ONLY_WOULD_TRADE: {"post_only": True, "reject_post_only": True},
    R.FOK_NOT_FILLABLE: {"quantity": 50, "time_in_force": TimeInForce.FOK},
}


@pytest.mark.parametrize("reason", REFUSED_THEN, ids=str)
def test_what_a_new_order_may_not_do_a_fired_one_may_not(venue, ann, bob, reason):
    """It is canceled, and the event names the check that failed."""
    venue.sell(bob, 1, 2_550)
    changes = {"quantity": 1, "price": 2_600} | REFUSED_THEN[reason]
    quantity, price = changes.pop("quantity"), changes.pop("price")
    order = venue.buy(ann, quantity, price, trigger=stop(2_540, MARK), **changes)
    assert refusals(order) == []
    if reason is R.STALE_INDEX:
        venue.wait(31)
    event = venue.mark({C: 2_540})[-1]
    assert (event.reason, event.reject_reason) == (CancelReason.REFUSED, reason)
    assert status(venue, order) is OrderStatus.CANCELED
    assert venue.engine.open_orders(ann) == []


def test_a_reduce_only_stop_closes_what_is_held_then(venue, ann, bob):
    """The position counts when it fires, not when it was placed; the excess is canceled."""
    venue.sell(bob, 2, 2_500)
    order = venue.sell(ann, 5, 2_300, trigger=stop(2_450, MARK), reduce_only=True)
    venue.buy(ann, 2, 2_500)
    venue.buy(bob, 9, 2_400)
    events = venue.mark({C: 2_450})
    assert canceled(events) == [(30_000, CancelReason.REDUCE_ONLY)]
    assert fills(events) == [(usdc(2_400), 20_000)]
    assert venue.position(ann) == 0
    assert status(venue, order) is OrderStatus.CANCELED


# --- what else may happen to it ---


def test_its_owner_cancels_it(venue, ann):
    """By id or all at once; then no price sets it off."""
    one = venue.sell(ann, 1, 2_400, trigger=stop(2_450, MARK))
    assert canceled(venue.cancel(one)) == [(10_000, CancelReason.BY_OWNER)]
    assert refusals(venue.cancel(one)) == [R.UNKNOWN_ORDER]
    venue.sell(ann, 1, 2_400, trigger=stop(2_450, MARK))
    events = venue.send(CancelAll(subaccount_id=ann))
    assert canceled(events) == [(10_000, CancelReason.BY_OWNER)]
    assert fired(venue.mark({C: 2_400})) == []


def test_its_deadline_ends_it(venue, ann):
    """Like that of a resting order, before any price."""
    order = venue.sell(ann, 1, 2_400, trigger=stop(2_450, MARK), deadline=venue.now_s + 10)
    venue.wait(10)
    assert names(venue.mark({C: 2_400})) == ["OrderCanceled", "MarksUpdated"]
    assert status(venue, order) is OrderStatus.EXPIRED


def test_the_chain_ends_it(venue, ann):
    """A nonce floor and a revoked key reach orders that wait."""
    late = venue.now_s + 9_000
    venue.observe(SessionKeySeen(owner="ann", key="key", deadline=late))
    venue.sell(ann, 1, 2_400, trigger=stop(2_450, MARK), signer="key")
    revoked = venue.observe(SessionKeySeen(owner="ann", key="key", deadline=0))
    assert canceled(revoked) == [(10_000, CancelReason.SESSION_KEY)]
    order = venue.sell(ann, 1, 2_400, trigger=stop(2_450, MARK))
    floor = placed_in(order).nonce + 1
    raised = venue.observe(NonceFloorSeen(subaccount_id=ann, floor=floor))
    assert canceled(raised) == [(10_000, CancelReason.NONCE_FLOOR)]


def test_expiry_ends_it(venue, ann):
    """With its instrument, whatever it watches."""
    far = EXPIRY_S + 3_600
    venue.wait_until(EXPIRY_S - 2_000)
    venue.sell(ann, 1, 2_400, trigger=stop(90_000, INDEX), deadline=far)
    while venue.now_s < EXPIRY_S:
        venue.index()
        venue.wait(20)
    venue.index()
    assert canceled(venue.expire()) == [(10_000, CancelReason.EXPIRED)]
    venue.marks.clear()


def test_one_that_fires_after_expiry_is_refused(venue, ann):
    """Trading is over although nobody has delivered yet."""
    venue.wait_until(EXPIRY_S - 5)
    venue.index()
    venue.sell(ann, 1, 2_400, trigger=stop(99_900, INDEX))
    venue.wait(5)
    event = venue.index(99_900)[-1]
    assert (event.reason, event.reject_reason) == (CancelReason.REFUSED, R.INSTRUMENT_EXPIRED)


def test_an_amend_changes_price_and_quantity_of_one_that_waits(venue, ann):
    """The trigger stays; what fires are the new terms, under the new signature."""
    order = venue.sell(ann, 1, 2_400, trigger=stop(2_450, MARK))
    events = venue.amend(order, quantity=20_000, limit_price=usdc(2_350))
    assert names(events) == ["OrderAmended"]
    view = venue.view(order)
    assert (view.status, view.limit_price) == (OrderStatus.UNTRIGGERED, usdc(2_350))
    assert refusals(venue.amend(order, quantity=0)) == [R.QUANTITY_NOT_POSITIVE]
    assert refusals(venue.amend(order, trigger_hash=bytes(32))) == [R.NOT_AMENDABLE]
    venue.mark({C: 2_450})
    assert venue.book() == ([], [(usdc(2_350), 20_000)])


def test_an_order_may_be_armed_and_amended_while_its_instrument_is_halted(venue, ann):
    """It only waits; trading is not touched."""
    venue.send(Halt(instrument_id=C))
    order = venue.sell(ann, 1, 2_400, trigger=stop(2_450, MARK))
    assert names(venue.amend(order, quantity=20_000)) == ["OrderAmended"]


def test_a_halt_keeps_an_order_that_fires(venue, ann, bob):
    """It stays untriggered in status until its instrument is live, then it enters."""
    held = venue.sell(ann, 1, 2_400, trigger=stop(2_450, MARK))
    free = venue.sell(ann, 1, 2_400, instrument_id=P, trigger=stop(2_450, MARK))
    venue.send(Halt(instrument_id=C))
    events = venue.mark({C: 2_450, P: 2_450})
    assert [order_id for order_id, _ in fired(events)] == [
        placed_in(held).order_id,
        placed_in(free).order_id,
    ]
    assert placed_in([e for e in events if "Placed" in type(e).__name__]).instrument_id == P
    assert status(venue, held) is OrderStatus.UNTRIGGERED
    assert names(venue.send(Resume(instrument_id=C))) == ["InstrumentStatusChanged"]
    assert status(venue, held) is OrderStatus.UNTRIGGERED, "an auction does not take it either"
    venue.wait(600)
    events = venue.index()
    assert venue.engine.status(C) is InstrumentStatus.LIVE
    assert placed_in(events).order_id == placed_in(held).order_id


def test_an_order_that_fired_in_a_halt_can_be_canceled(venue, ann):
    """Cancels work in every phase."""
    order = venue.sell(ann, 1, 2_400, trigger=stop(2_450, MARK))
    venue.send(Halt(instrument_id=C))
    venue.mark({C: 2_450})
    assert canceled(venue.cancel(order)) == [(10_000, CancelReason.BY_OWNER)]
    venue.twin()
