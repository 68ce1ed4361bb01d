"""How an order shrinks and ends, without anybody trading with it."""

from typing import Any

from tests.venue import Venue, contracts, names, placed_in

from exchange.engine.booking import cancel, shrink
from exchange.events import CancelReason, OrderCanceled
from exchange.model import OrderStatus


def ask(venue: Venue, owner: int, quantity: int) -> tuple[Any, Any]:
    """The engine's state, and a resting order."""
    state: Any = venue.engine._venue
    order = state.orders[placed_in(venue.sell(owner, quantity, 2_500)).order_id]
    state.events = []
    return state, order


def test_a_canceled_order_leaves_book_margin_and_open_orders(venue: Venue, ann: int) -> None:
    before = venue.engine.margin(ann)
    state, order = ask(venue, ann, 2)
    assert venue.engine.margin(ann) != before
    cancel(state, order, CancelReason.BY_OWNER)
    (event,) = state.events
    assert isinstance(event, OrderCanceled)
    assert (event.canceled_quantity, event.remaining_quantity) == (contracts(2), 0)
    assert (order.status, order.is_over) == (OrderStatus.CANCELED, True)
    assert venue.engine.margin(ann) == before
    assert venue.engine.open_orders(ann) == []
    venue.engine.check()


def test_a_deadline_ends_an_order_under_another_name(venue: Venue, ann: int) -> None:
    state, order = ask(venue, ann, 2)
    cancel(state, order, CancelReason.DEADLINE)
    assert order.status is OrderStatus.EXPIRED


def test_what_the_book_took_from_an_order_is_told_and_the_rest_stays(
    venue: Venue, ann: int, bob: int
) -> None:
    state, order = ask(venue, ann, 3)
    removed = state.books[order.terms.instrument_id].reduce(order.order_id, contracts(1))
    shrink(state, order, removed, contracts(1), CancelReason.REDUCE_ONLY)
    (event,) = state.events
    assert (event.canceled_quantity, event.remaining_quantity) == (contracts(2), contracts(1))
    assert order.status is OrderStatus.OPEN
    venue.engine.check()
    assert names(venue.buy(bob, 1, 2_500)) == ["OrderPlaced", "Traded"]
    assert order.status is OrderStatus.CANCELED, "a part of it was: it is not filled"
