"""Orders that wait for a price: how they are armed, and which prices set them off.

Knows no book and no margin: an order that fired goes to `Venue.ready`, and `engine.consequences`
enters it. An order that waits is UNTRIGGERED: in its owner's open orders, without margin.
"""

from exchange.engine.records import Order
from exchange.engine.state import Venue
from exchange.events import OrderTriggered
from exchange.matching.triggers import ArmedOrder, is_reached
from exchange.model import InstrumentStatus, PriceSource, Trigger, TriggerKind


def watched_price(venue: Venue, order: Order, trigger: Trigger) -> int | None:
    """The price that an order's trigger watches, as it is now; None before the first."""
    instrument_id = order.terms.instrument_id
    marks = venue.marks
    if trigger.source is PriceSource.INDEX:
        return marks.index_price(venue.instruments[instrument_id].underlying_id) or None
    if trigger.source is PriceSource.MARK:
        return marks.mark_price(instrument_id) if marks.has(instrument_id) else None
    return venue.last_prices.get(instrument_id)


def arm(venue: Venue, order: Order) -> None:
    """Let an order wait for its trigger. It is ready at once if it has none, or if that is reached.

    A new order is refused then; so this happens to orders that waited for another one first.
    """
    trigger = order.trigger
    if trigger is None:
        venue.ready.append(order.order_id)
        return
    price = watched_price(venue, order, trigger)
    trails = trigger.kind is TriggerKind.TRAILING
    assert price is not None or not trails, "refused at entry"
    if price is not None and not trails and is_reached(trigger, order.terms.side, price):
        _fire(venue, order, price)
        return
    instrument_id = order.terms.instrument_id
    by_index = trigger.source is PriceSource.INDEX
    armed = ArmedOrder(
        order_id=order.order_id,
        side=order.terms.side,
        key=venue.instruments[instrument_id].underlying_id if by_index else instrument_id,
        entry=venue.seq,
        trigger=trigger,
    )
    venue.triggers.add(armed, price or 0)


def disarm(venue: Venue, order: Order) -> None:
    """An order waits no more, whatever for."""
    order_id = order.order_id
    found = venue.triggers.remove(order_id) or venue.bump.remove(order_id)
    if not found and order_id in venue.ready:
        venue.ready.remove(order_id)


def note_price(venue: Venue, source: PriceSource, key: int, price: int) -> None:
    """Remember a new price until the command's own effects are done."""
    if len(venue.triggers):
        venue.new_prices.append((source, key, price))


def meet_price(venue: Venue) -> None:
    """Let the oldest new price set off the orders that it reaches."""
    source, key, price = venue.new_prices.popleft()
    for order_id in venue.triggers.on_price(source, key, price):
        _fire(venue, venue.orders[order_id], price)


def _fire(venue: Venue, order: Order, price: int) -> None:
    venue.ready.append(order.order_id)
    venue.emit(
        OrderTriggered(
            order_id=order.order_id, subaccount_id=order.terms.subaccount_id, price=price
        )
    )


def next_ready(venue: Venue) -> Order | None:
    """Take the order that became ready first, of those whose instrument is live.

    A halt or an auction keeps the others waiting: it loses no order.
    """
    for at, order_id in enumerate(venue.ready):
        order = venue.orders[order_id]
        if venue.statuses[order.terms.instrument_id] is InstrumentStatus.LIVE:
            del venue.ready[at]
            return order
    return None
