"""Positions and averages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venue import C, P, Venue

from exchange.api.records import Batch, Marks, OrderRecord, Position
from exchange.events import OrderArmed, OrderPlaced
from exchange.fixed import notional
from exchange.model import Side

TRADES = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(1, 100), st.integers(1, 50)), max_size=20
)


@given(TRADES)
def test_profit_is_what_the_trades_paid(trades):
    """Realised profit less cost is the cash that went through, whatever the path."""
    position, cash, quantity = Position(), 0, 0
    for side, cents, lots in trades:
        price, size = cents * 10_000, lots * 100
        position.trade(side, price, size)
        cash -= side.sign * notional(price, size)
        quantity += side.sign * size
        assert position.quantity == quantity
        assert position.realized - position.cost == cash
        assert (position.cost == 0) or (position.quantity != 0)


@pytest.mark.parametrize(
    ("trades", "quantity", "average", "realized"),
    [
        ([("BUY", 100, 1), ("BUY", 200, 1)], 2, 150, 0),
        ([("BUY", 100, 2), ("SELL", 150, 1)], 1, 100, 50),
        ([("BUY", 100, 1), ("SELL", 150, 3)], -2, 150, 50),
        ([("SELL", 100, 1), ("BUY", 40, 1)], 0, 0, 60),
    ],
)
def test_average_and_realized(trades, quantity, average, realized):
    position = Position()
    for side, price, size in trades:
        position.trade(Side[side], price * 10**6, size * 10_000)
    assert position.quantity == quantity * 10_000
    assert position.average_price == average * 10**6
    assert position.realized == realized * 10**6


def test_marks_are_read_row_by_row():
    venue = Venue()
    venue.list_instruments(C, P)
    venue.mark({C: 1_000, P: 500})
    marks = Marks(venue.entries[-1][2], venue.time_ns)
    assert marks.mark(C).mark_price == 1_000 * 10**6
    assert marks.mark(P).shocked == tuple(number * 10**6 for number in (750, 250, 550, 400, 600))
    assert marks.mark(7) is None
    assert [marks.mark_price(key) for key in (C, P, 7)] == [1_000 * 10**6, 500 * 10**6, 0]
    assert marks.expiry(1, 5) is None


def test_a_batch_is_confirmed_by_its_transaction():
    assert not Batch(1, 2, 3).confirmed
    assert Batch(1, 2, 3, 4, "0x").confirmed


def test_an_orders_record_begins_as_its_events_do():
    """It is made by place; an armed order has its trigger where others say how much they show."""
    fields = OrderPlaced.__struct_fields__
    assert OrderRecord.__struct_fields__[: len(fields)] == (*fields[:-1], "slice_quantity")
    assert OrderArmed.__struct_fields__ == (*fields[:-1], "trigger")
    assert fields[-1] == "max_show"
