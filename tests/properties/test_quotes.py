"""Carrying out the steps of a sheet leaves exactly the sheet."""

from hypothesis import given
from hypothesis import strategies as st

from exchange.matching.quotes import (
    Cancel,
    Place,
    Quote,
    Reduce,
    Replace,
    Standing,
    sheet_problem,
    sheet_steps,
)
from exchange.model import Side

QUOTES = st.builds(
    Quote,
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(0, 3),
    st.integers(5, 8),
    st.integers(0, 3),
)
SHEETS = st.lists(QUOTES, max_size=6, unique_by=lambda quote: quote.instrument_id)


def carry_out(standing, steps):
    by_id = {order.order_id: key for key, order in standing.items()}
    result = dict(standing)
    next_id = 1000
    for step in steps:
        match step:
            case Cancel(order_id):
                del result[by_id[order_id]]
            case Reduce(order_id, quantity):
                order = result[by_id[order_id]]
                assert 0 < quantity < order.quantity
                result[by_id[order_id]] = order._replace(quantity=quantity)
            case Replace(order_id, price, quantity):
                result[by_id[order_id]] = Standing(order_id, price, quantity)
            case Place(instrument_id, side, price, quantity):
                next_id += 1
                assert (instrument_id, side) not in result
                result[instrument_id, side] = Standing(next_id, price, quantity)
    return result


def wanted(sheet):
    sides = {}
    for quote in sheet:
        sides[quote.instrument_id, Side.BUY] = (quote.bid_price, quote.bid_quantity)
        sides[quote.instrument_id, Side.SELL] = (quote.ask_price, quote.ask_quantity)
    return {key: terms for key, terms in sides.items() if terms[1]}


@given(SHEETS, SHEETS)
def test_the_steps_lead_from_one_sheet_to_the_other(first, second):
    assert sheet_problem(first) is None
    standing = carry_out({}, sheet_steps({}, first))
    after = carry_out(standing, sheet_steps(standing, second))
    assert {key: (order.price, order.quantity) for key, order in after.items()} == wanted(second)
    assert sheet_steps(after, second) == []
