"""The engine's whole state as bytes, and an engine that goes on from them.

Bytes only: where they lie is not for here. Caches are kept too, so what comes back has computed
what the other had computed. A book is rebuilt from its orders, compiled or not. Digests are not
kept but made anew, so that the hash of the state is of what came back, and the bytes do not tell
when somebody last asked for it.
"""

from typing import Final

from exchange.engine.remembered import Digests, EndedOrders
from exchange.engine.state import Venue
from exchange.freeze import Foreign, Reducers, freeze, thaw
from exchange.matching.book import OrderBook

_Resting = tuple[int, int, int, int, int, int, int, int]
_Book = tuple[int, int, int, list[_Resting]]


def _orders(book: OrderBook) -> _Book:
    resting = [
        (
            order.order_id,
            order.subaccount_id,
            order.owner_key,
            order.side,
            order.price,
            order.remaining_quantity,
            order.max_show,
            order.displayed_quantity,
        )
        for side in (0, 1)
        for order in book.orders(side)
    ]
    return book.tick_size, book.price_min, book.fills_max, resting


def _book(content: _Book) -> OrderBook:
    *terms, resting = content
    book = OrderBook(*terms)
    for order in resting:
        book.restore(*order)
    return book


_REDUCERS: Final[Reducers] = {
    OrderBook: (_orders, _book),
    Digests: (lambda _: None, lambda _: Digests()),
    EndedOrders: (lambda _: None, lambda _: EndedOrders()),
}


def frozen(venue: Venue) -> bytes:
    """Everything in a venue, between two commands."""
    return freeze(venue, _REDUCERS)


def thawed(data: bytes) -> Venue:
    """The venue that was frozen; raises `exchange.freeze.Foreign` where other code did that."""
    venue = thaw(data, _REDUCERS)
    assert isinstance(venue, Venue)
    for subaccount in venue.subaccounts.values():
        subaccount.used_nonces.distrust()
        for nonce, order in subaccount.orders.items():
            if venue.orders.get(order.order_id) is not order or order.terms.nonce != nonce:
                raise Foreign(f"order {order.order_id} is not where it belongs")
            venue.ended.watch(order)
    if sum(len(one.orders) for one in venue.subaccounts.values()) != len(venue.orders):
        raise Foreign("orders that no subaccount knows")
    return venue
