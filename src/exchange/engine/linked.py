"""Orders that depend on each other: entered together, canceled and activated by each other.

`matching.linked` decides what a fill or an end means to the others; here it is done to them. All
orders of a link are of one subaccount, and each is checked before the first is entered.
"""

from exchange.commands import PlaceLinked
from exchange.engine.access import check_access
from exchange.engine.armed import arm
from exchange.engine.booking import cancel, margin_order
from exchange.engine.checks import (
    Refusal,
    check_authority,
    check_order,
    check_waiting,
    reducible_quantity,
)
from exchange.engine.entry import new_order, reject, remember_rejected, repeat, wait
from exchange.engine.records import LinkNews, Order
from exchange.engine.state import Subaccount, Venue
from exchange.events import CancelReason, OrderActivated, OrdersLinked, RejectReason
from exchange.model import LinkKind, OrderStatus

_SIZES = {LinkKind.OCO: (2, 3), LinkKind.OTO: (2, 3), LinkKind.OTOCO: (3,)}


def place_linked(venue: Venue, command: PlaceLinked) -> None:
    """Enter linked orders, all or none; a refusal names the order by its nonce."""
    words = _misfit(command)
    if words:
        venue.refuse(RejectReason.BAD_LINK, words)
        return
    if not all(check_authority(venue, item.terms) for item in command.orders):
        return
    subaccount = venue.subaccounts[command.orders[0].terms.subaccount_id]
    if _repeats(venue, subaccount, command):
        return
    orders = [new_order(venue, item, place) for place, item in enumerate(command.orders)]
    refused = _first_refused(venue, subaccount, command, orders)
    if refused is not None:
        order, refusal = refused
        for other in orders:
            remember_rejected(venue, subaccount, other, refusal[0])
        reject(venue, order.terms, *refusal)
        return
    _enter(venue, subaccount, command, orders)


def _misfit(command: PlaceLinked) -> str:
    """Why these orders cannot be linked, in words; empty if they can."""
    subaccount_ids = {item.terms.subaccount_id for item in command.orders}
    if len(subaccount_ids) > 1:
        return "linked orders belong to one subaccount"
    if len({item.terms.nonce for item in command.orders}) < len(command.orders):
        return "each linked order has its own nonce"
    if len(command.orders) not in _SIZES[command.kind]:
        return f"{command.kind.name} links {' or '.join(map(str, _SIZES[command.kind]))} orders"
    return ""


def _repeats(venue: Venue, subaccount: Subaccount, command: PlaceLinked) -> bool:
    """Whether a nonce is known: all with the same content give the first outcome again."""
    known = [subaccount.orders.get(item.terms.nonce) for item in command.orders]
    same = [
        order
        for order, item in zip(known, command.orders, strict=True)
        if order is not None and order.terms == item.terms
    ]
    if len(same) == len(known):
        for order in same:
            repeat(venue, order)
        return True
    for first, item in zip(known, command.orders, strict=True):
        if first is not None or item.terms.nonce in subaccount.used_nonces:
            words = f"nonce {item.terms.nonce} is taken"
            reject(venue, item.terms, RejectReason.NONCE_USED, words)
            return True
    return False


def _working(command: PlaceLinked) -> int:
    """How many of the orders work at once: the others wait for the first."""
    return len(command.orders) if command.kind is LinkKind.OCO else 1


def _first_refused(
    venue: Venue, subaccount: Subaccount, command: PlaceLinked, orders: list[Order]
) -> tuple[Order, Refusal] | None:
    """The first order that fails its checks. Margin must hold with all that work together."""
    account = subaccount.account
    margined = []
    found = None
    for place, order in enumerate(orders):
        dormant = place >= _working(command)
        if dormant or order.trigger is not None:
            refusal = check_waiting(venue, subaccount, order, more=len(orders), dormant=dormant)
        else:
            refusal = check_order(venue, subaccount, order, more=len(orders))
        if refusal is not None:
            found = order, refusal
            break
        if not dormant and order.trigger is None:
            quantity = reducible_quantity(subaccount, order.terms, 0)
            account.place_order(order.order_id, margin_order(order.terms, quantity))
            margined.append(order.order_id)
    for order_id in margined:
        account.remove_order(order_id)
    if found is None:
        refusal = check_access(venue, subaccount, orders)
        found = (orders[0], refusal) if refusal is not None else None
    return found


def _enter(venue: Venue, subaccount: Subaccount, command: PlaceLinked, orders: list[Order]) -> None:
    for order in orders:
        wait(venue, subaccount, order)
    order_ids = tuple(order.order_id for order in orders)
    venue.links.link(command.kind, command.condition, order_ids)
    venue.emit(OrdersLinked(kind=command.kind, condition=command.condition, order_ids=order_ids))
    for order in orders[: _working(command)]:
        arm(venue, order)


def follow_links(venue: Venue) -> None:
    """Do to the others what the oldest news of an order asks for."""
    order_id, news = venue.link_news.popleft()
    if news is LinkNews.GONE:
        effects = venue.links.on_gone(order_id)
    else:
        effects = venue.links.on_fill(order_id, complete=news is LinkNews.FILLED)
    for other_id in effects.activate:
        other = venue.orders[other_id]
        assert other.status is OrderStatus.UNTRIGGERED
        venue.emit(OrderActivated(order_id=other_id, subaccount_id=other.terms.subaccount_id))
        arm(venue, other)
    for other_id in effects.cancel:
        # One taker may have filled both, and one sweep of deadlines may have forgotten both.
        linked = venue.orders.get(other_id)
        if linked is not None and not linked.is_over:
            cancel(venue, linked, CancelReason.LINKED)
