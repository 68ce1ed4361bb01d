"""Takers wait where a speed bump is on; who makes, reduces or cancels does not.

An order waits if it would match on arrival: a new one, one that an amend or a new price moves
across the spread, one whose trigger fired. It waits outside the book, UNTRIGGERED, without margin,
and meets the checks of a new order when its time has come. What is stamped before that goes ahead.
An order that rests in a combo waits there until it takes from legs that came within its reach.
"""

from exchange.commands import SetSpeedBump
from exchange.engine.checks import entry_price
from exchange.engine.records import Order
from exchange.engine.state import Venue
from exchange.events import OrderDelayed, RejectReason, SpeedBumpSet
from exchange.model import Instrument, InstrumentStatus, OrderStatus, Side


def set_speed_bump(venue: Venue, command: SetSpeedBump) -> None:
    """Turn the bump of an instrument, or of all that an underlying lists now and later, on or off.

    Who waits already goes on waiting as long as he was told.
    """
    instruments = [
        instrument.instrument_id
        for instrument in venue.live_instruments()
        if command.instrument_id in (0, instrument.instrument_id)
        and command.underlying_id in (0, instrument.underlying_id)
    ]
    if not instruments:
        venue.refuse(RejectReason.UNKNOWN_INSTRUMENT, "nothing live is in this scope")
    if command.underlying_id and not command.instrument_id:
        venue.bump.set_default(command.underlying_id, command.delay_ns)
    for instrument_id in instruments:
        if venue.bump.delay_ns(instrument_id) != command.delay_ns:
            venue.bump.set_delay(instrument_id, command.delay_ns)
            venue.emit(SpeedBumpSet(instrument_id=instrument_id, delay_ns=command.delay_ns))


def inherit_bump(venue: Venue, instrument: Instrument) -> None:
    """What is listed has the bump of its underlying."""
    delay_ns = venue.bump.default_ns(instrument.underlying_id)
    if delay_ns:
        venue.bump.set_delay(instrument.instrument_id, delay_ns)
        venue.emit(SpeedBumpSet(instrument_id=instrument.instrument_id, delay_ns=delay_ns))


def must_wait(venue: Venue, order: Order) -> bool:
    """Whether an order that is about to enter would take, and has not waited yet."""
    if order.waited or not venue.bump.is_on:
        return False
    return takes_late(venue, order, entry_price(venue, order))


def takes_late(venue: Venue, order: Order, price: int) -> bool:
    """Whether an order would take at this price, and has to wait for it.

    One in a combo may take from the books of its legs: it waits wherever one of them has a bump.
    """
    if order.post_only or not _delay_ns(venue, order):
        return False
    instrument_id = order.terms.instrument_id
    if order.terms.legs_hash:
        return venue.statuses[instrument_id] is InstrumentStatus.LIVE
    return would_take(venue, order, price)


def _delay_ns(venue: Venue, order: Order) -> int:
    instrument = venue.instruments[order.terms.instrument_id]
    return max(venue.bump.delay_ns(instrument.instrument_id), leg_delay_ns(venue, instrument))


def leg_delay_ns(venue: Venue, combo: Instrument) -> int:
    """How long who takes from the legs of a combo waits; of anything else 0."""
    return max((venue.bump.delay_ns(leg.instrument_id) for leg in combo.legs), default=0)


def would_take(venue: Venue, order: Order, price: int) -> bool:
    """Whether an order at this price would find somebody to match with."""
    instrument_id = order.terms.instrument_id
    if venue.statuses[instrument_id] is not InstrumentStatus.LIVE:
        return False
    book = venue.books[instrument_id]
    if order.terms.side is Side.BUY:
        return book.best_ask is not None and price >= book.best_ask
    return book.best_bid is not None and price <= book.best_bid


def delay(venue: Venue, order: Order) -> None:
    """Let an accepted order wait as long as its instrument asks."""
    assert order.status is OrderStatus.UNTRIGGERED
    until_ns = venue.time_ns + _delay_ns(venue, order)
    order.waited = True
    venue.bump.add(order.order_id, until_ns)
    venue.emit(
        OrderDelayed(
            order_id=order.order_id, subaccount_id=order.terms.subaccount_id, until_ns=until_ns
        )
    )


def delay_again(venue: Venue, order: Order) -> None:
    """An order that waits took new terms: it starts again, or it would outrun the bump."""
    if venue.bump.remove(order.order_id):
        delay(venue, order)


def withdraw(venue: Venue, order: Order) -> None:
    """Take a resting order out of the book and let it wait: it is about to take."""
    book = venue.books[order.terms.instrument_id]
    assert book.cancel(order.order_id) > 0
    venue.subaccounts[order.terms.subaccount_id].account.remove_order(order.order_id)
    order.status = OrderStatus.UNTRIGGERED
    delay(venue, order)


def release_due(venue: Venue) -> bool:
    """Let the orders whose wait is over enter, before the command that comes now; whether any."""
    if not venue.bump and not venue.combos.waits:
        return False
    due = venue.bump.release(venue.time_ns)
    venue.ready += due
    return venue.combos.stir_due(venue.time_ns) or bool(due)
