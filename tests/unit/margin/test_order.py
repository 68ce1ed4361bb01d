"""Margin counts an order under what it says, so nobody may change it behind margin's back."""

import pytest

from exchange.margin.order import MarginOrder


def test_an_order_is_replaced_and_never_changed():
    order = MarginOrder(1, 1, 10_000, 2_500, 3)
    with pytest.raises(AttributeError):
        order.quantity = 1
    assert order == MarginOrder(1, 1, 10_000, 2_500, 3)
