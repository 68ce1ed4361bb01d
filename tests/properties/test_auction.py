"""The uncrossing price is what trying every tick finds."""

from hypothesis import given
from hypothesis import strategies as st

from exchange.matching.auction import Collected, Uncrossing, pairs, uncrossing

SIDE = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 9)), max_size=8)


def try_every_tick(bids, asks, tick_size, reference):
    best = None
    for price in range(0, 13 * tick_size, tick_size):
        demand = sum(order.quantity for order in bids if order.price >= price)
        supply = sum(order.quantity for order in asks if order.price <= price)
        volume = min(demand, supply)
        rank = (-volume, abs(demand - supply), abs(price - reference), price)
        if volume and (best is None or rank < best[0]):
            best = (rank, Uncrossing(price, volume, demand - supply))
    return best and best[1]


@given(SIDE, SIDE, st.sampled_from((1, 5, 10)), st.integers(-20, 150))
def test_the_price_is_that_of_trying_every_tick(bids, asks, tick_size, reference):
    bids = [Collected(i, price * tick_size, q) for i, (price, q) in enumerate(bids)]
    asks = [Collected(i, price * tick_size, q) for i, (price, q) in enumerate(asks)]
    found = uncrossing(bids, asks, tick_size, reference)
    assert found == try_every_tick(bids, asks, tick_size, reference)


@given(SIDE, SIDE)
def test_pairs_conserve_quantity_and_break_no_limit(bids, asks):
    bids = sorted((Collected(i, *t) for i, t in enumerate(bids)), key=lambda o: -o.price)
    asks = sorted((Collected(i, *t) for i, t in enumerate(asks)), key=lambda o: o.price)
    found = uncrossing(bids, asks, 1, 6)
    if found is None:
        return
    traded = pairs(bids, asks, found)
    assert sum(quantity for _, _, quantity in traded) == found.volume
    for side, position, sign in ((bids, 0, 1), (asks, 1, -1)):
        limits = {order.order_id: order for order in side}
        for order_id in {pair[position] for pair in traded}:
            order = limits[order_id]
            assert sign * order.price >= sign * found.price
            filled = sum(pair[2] for pair in traded if pair[position] == order_id)
            assert filled <= order.quantity
