"""What an order says of itself."""

import pytest
from tests.venue import open_venue

from exchange.engine.records import Order
from exchange.events import OrderPlaced
from exchange.model import OrderStatus, numbered


def placed() -> Order:
    """An order of one contract that rests."""
    venue = open_venue()
    ann = venue.fund("ann")
    events = venue.sell(ann, 1, 2_500)
    (event,) = [one for one in events if isinstance(one, OrderPlaced)]
    order = venue.engine._venue.orders[event.order_id]
    assert order.order_id == numbered(venue.engine.seq, 0)
    return order


def test_what_remains_is_what_neither_filled_nor_was_canceled():
    order = placed()
    whole = order.quantity
    order.filled_quantity, order.canceled_quantity = 3, 4
    assert order.remaining_quantity == whole - 7
    assert order.quantity == whole


def test_a_quote_counts_what_filled_under_earlier_sheets():
    """Its sheet says what is left of it, so what filled before belongs to the whole."""
    order = placed()
    signed = order.terms.quantity
    order.filled_before = order.filled_quantity = 5
    assert (order.quantity, order.remaining_quantity) == (signed + 5, signed)


@pytest.mark.parametrize("status", OrderStatus)
def test_an_order_is_over_unless_it_rests_or_waits(status):
    order = placed()
    order.status = status
    assert order.is_over == (status not in {OrderStatus.OPEN, OrderStatus.UNTRIGGERED})
