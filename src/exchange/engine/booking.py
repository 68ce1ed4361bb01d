"""How orders are known, shrink and end; what a match does, `fills` says.

When the matches of a command are booked, reduce-only orders shrink to what is left to reduce.
Decides nothing: `entry` and `combo_trading` ask the books first.
"""

import heapq
from typing import Final

from exchange.engine.armed import disarm
from exchange.engine.records import LinkNews, Order
from exchange.engine.state import Subaccount, Venue
from exchange.events import (
    CancelReason,
    OrderCanceled,
    OrderPlaced,
    RejectReason,
)
from exchange.margin.order import MarginOrder
from exchange.model import (
    OrderStatus,
    OrderTerms,
    Side,
)

# Looking a member up costs as much as a call.
_UNTRIGGERED: Final = OrderStatus.UNTRIGGERED
_CANCELED: Final = OrderStatus.CANCELED
_DEADLINE: Final = CancelReason.DEADLINE


def know(venue: Venue, subaccount: Subaccount, order: Order) -> None:
    """Find an order by its id and its nonce, until `entry.forget`."""
    subaccount.orders[order.terms.nonce] = order
    venue.orders[order.order_id] = order
    venue.ended.watch(order)


def remember(venue: Venue, subaccount: Subaccount, order: Order) -> None:
    """Know an order until some time after its deadline."""
    know(venue, subaccount, order)
    heapq.heappush(venue.deadlines, (order.terms.deadline, order.order_id))


def placed_event(order: Order, price: int, max_show: int = 0) -> OrderPlaced:
    """That an order entered the book; `price` is where it rests."""
    terms = order.terms
    return OrderPlaced(
        order_id=order.order_id,
        subaccount_id=terms.subaccount_id,
        instrument_id=terms.instrument_id,
        side=terms.side,
        quantity=terms.quantity,
        limit_price=price,
        nonce=terms.nonce,
        time_in_force=order.time_in_force,
        post_only=order.post_only,
        reduce_only=terms.reduce_only,
        label=order.label,
        max_show=max_show,
    )


def margin_order(terms: OrderTerms, quantity: int) -> MarginOrder:
    """What margin sees of an order with `quantity` left."""
    return MarginOrder(
        terms.instrument_id, terms.side.sign, quantity, terms.limit_price, terms.max_fee
    )


def shrink(venue: Venue, order: Order, removed: int, resting: int, reason: CancelReason) -> None:
    """Account for `removed` that the book took from a resting order, of which `resting` stays."""
    subaccount = venue.subaccounts[order.terms.subaccount_id]
    subaccount.account.reduce_order(order.order_id, resting)
    take_away(venue, order, removed, reason)
    if resting == 0:
        order.status = OrderStatus.CANCELED
        venue.close_order(order)


def take_away(
    venue: Venue,
    order: Order,
    quantity: int,
    reason: CancelReason,
    reject_reason: RejectReason | None = None,
) -> None:
    """An order loses `quantity` that it will not trade."""
    order.canceled_quantity += quantity
    order.updated_ns = venue.time_ns
    terms, remaining = order.terms, order.remaining_quantity
    if remaining == 0 and len(venue.links):
        venue.link_news.append((order.order_id, LinkNews.GONE))
    venue.emit(
        OrderCanceled(
            order_id=order.order_id,
            subaccount_id=terms.subaccount_id,
            instrument_id=terms.instrument_id,
            canceled_quantity=quantity,
            remaining_quantity=remaining,
            reason=reason,
            reject_reason=reject_reason,
        )
    )


def cancel(venue: Venue, order: Order, reason: CancelReason) -> None:
    """End an open order: take all that remains of it out of the book, or end its wait."""
    if order.status is _UNTRIGGERED:
        end_wait(venue, order, reason)
    else:
        removed = venue.books[order.terms.instrument_id].cancel(order.order_id)
        assert removed == order.remaining_quantity > 0
        venue.subaccounts[order.terms.subaccount_id].account.remove_order(order.order_id)
        take_away(venue, order, removed, reason)
        order.status = _CANCELED
        venue.close_order(order)
    if reason is _DEADLINE:
        order.status = OrderStatus.EXPIRED


def end_wait(
    venue: Venue, order: Order, reason: CancelReason, reject_reason: RejectReason | None = None
) -> None:
    """Cancel an order that waits."""
    disarm(venue, order)
    order.status = OrderStatus.CANCELED
    venue.close_order(order)
    take_away(venue, order, order.remaining_quantity, reason, reject_reason)


def limit_reduce_only(venue: Venue, subaccount: Subaccount, instrument_id: int) -> None:
    """Shrink reduce-only orders so that no sequence of fills can turn the position.

    A taker may sweep several orders of one owner at once, best price first. So the position is
    shared out in that order; at one price other orders count before reduce-only ones.
    """
    if not subaccount.reducing:
        return
    position = subaccount.account.position(instrument_id)
    for side in (Side.BUY, Side.SELL):
        left = max(0, -side.sign * position)
        resting = [
            order
            for order in subaccount.open_orders.values()
            if (order.terms.instrument_id, order.terms.side) == (instrument_id, side)
            and order.status is OrderStatus.OPEN
        ]
        resting.sort(
            key=lambda order: (-order.terms.side.sign * order.price, order.terms.reduce_only)
        )
        for order in resting:
            keep = min(order.remaining_quantity, left)
            if order.terms.reduce_only and keep < order.remaining_quantity:
                removed = venue.books[instrument_id].reduce(order.order_id, keep)
                shrink(venue, order, removed, keep, CancelReason.REDUCE_ONLY)
            left -= keep
