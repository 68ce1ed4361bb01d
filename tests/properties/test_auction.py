"""The auction's price is the one that trying every tick finds, and its fills are fair."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from exchange.matching.auction import AuctionOrder, AuctionPrices, uncross
from exchange.matching.book import OrderBook, PostOnly, instruction_word
from exchange.model import SelfTradePrevention, TimeInForce

TICK = 5
ORDERS = st.lists(
    st.tuples(st.booleans(), st.integers(-3, 9), st.integers(1, 6), st.integers(1, 4)), max_size=12
)


def without_self_crossing(rows):
    """Let the orders arrive one by one; one that would meet its owner's own does not rest."""
    kept, gone = [], []
    for order_id, (buys, ticks, quantity, owner) in enumerate(rows, 1):
        crosses = any(
            own[1] == owner
            and own[0] is not buys
            and (ticks >= own[2] if buys else ticks <= own[2])
            for own in kept
        )
        if crosses:
            gone.append(order_id)
        else:
            kept.append((buys, owner, ticks, quantity, order_id))
    return kept, gone


def best_tick(kept, reference, low, high):
    """(price, volume, imbalance) by trying every tick between the bounds."""
    found = []
    for ticks in range(low, high + 1):
        wanted = sum(row[3] for row in kept if row[0] and row[2] >= ticks)
        offered = sum(row[3] for row in kept if not row[0] and row[2] <= ticks)
        volume, imbalance, price = min(wanted, offered), wanted - offered, ticks * TICK
        distance = abs(price - reference)
        found.append((-volume, abs(imbalance), distance, price, imbalance))
    volume, _, _, price, imbalance = min(found)
    return (price, -volume, imbalance) if volume else (None, 0, 0)


def in_priority(rows):
    bids, asks = [], []
    for order_id, (buys, ticks, quantity, owner) in enumerate(rows, 1):
        order = AuctionOrder(order_id, owner, ticks * TICK, quantity)
        (bids if buys else asks).append(order)
    bids.sort(key=lambda order: -order.price)
    asks.sort(key=lambda order: order.price)
    return bids, asks


@given(ORDERS, st.integers(-30, 60), st.integers(-3, 4), st.integers(3, 9))
def test_the_price_is_the_best_of_all_ticks(rows, reference, low, high):
    low, high = min(low, high), max(low, high)
    bids, asks = in_priority(rows)
    found = uncross(bids, asks, AuctionPrices(TICK, reference, low * TICK, high * TICK))
    kept, gone = without_self_crossing(rows)
    assert list(found.prevented) == gone
    expected = best_tick(kept, reference, low, high)
    assert (found.price, found.volume, found.imbalance) == expected


@given(ORDERS, st.integers(-30, 60))
def test_fills_keep_limits_priority_and_owners_apart(rows, reference):
    bids, asks = in_priority(rows)
    found = uncross(bids, asks, AuctionPrices(TICK, reference, -100, 100))
    orders = {order.order_id: order for order in (*bids, *asks)}
    assert sum(fill.quantity for fill in found.fills) == found.volume
    filled = Counter()
    for fill in found.fills:
        bid, ask = orders[fill.bid_order_id], orders[fill.ask_order_id]
        assert fill.quantity > 0
        assert ask.price <= found.price <= bid.price
        assert bid.owner_key != ask.owner_key
        filled[bid.order_id] += fill.quantity
        filled[ask.order_id] += fill.quantity
    assert not set(filled) & set(found.prevented)
    for side in (bids, asks):
        present = [order for order in side if order.order_id not in found.prevented]
        taken = [filled[order.order_id] for order in present]
        assert all(take <= order.quantity for take, order in zip(taken, present, strict=True))
        for at, order in enumerate(present):
            if taken[at] < order.quantity:  # nobody behind it is filled
                assert not any(taken[at + 1 :])
                break


@given(ORDERS, st.integers(-30, 60), st.integers(-3, 4), st.integers(3, 9))
def test_afterwards_the_book_is_crossed_only_beyond_the_bounds(rows, reference, low, high):
    bids, asks = in_priority(rows)
    for bounds in ((min(low, high) * TICK, max(low, high) * TICK), (-100, 100)):
        found = uncross(bids, asks, AuctionPrices(TICK, reference, *bounds))
        filled = Counter()
        for fill in found.fills:
            filled[fill.bid_order_id] += fill.quantity
            filled[fill.ask_order_id] += fill.quantity
        left_bids, left_asks = (
            [o.price for o in side if o[0] not in found.prevented and filled[o[0]] < o.quantity]
            for side in (bids, asks)
        )
        crossed = bool(left_bids and left_asks) and max(left_bids) >= min(left_asks)
        assert found.is_crossed is crossed
        if crossed:
            assert min(left_asks) > bounds[1] or max(left_bids) < bounds[0]


@given(ORDERS, st.integers(-30, 60))
def test_the_same_book_gives_the_same_auction(rows, reference):
    bids, asks = in_priority(rows)
    bounds = AuctionPrices(TICK, reference, -100, 100)
    assert uncross(bids, asks, bounds) == uncross(tuple(bids), tuple(asks), bounds)


@given(ORDERS, st.integers(1, 60), st.integers(0, 3))
def test_a_book_that_collected_orders_is_live_again_after_its_auction(rows, reference, shown):
    collecting = instruction_word(
        TimeInForce.GTC, PostOnly.OFF, SelfTradePrevention.CANCEL_TAKER, matching=False
    )
    book = OrderBook(TICK, -100)
    for order_id, (buys, ticks, quantity, owner) in enumerate(rows, 1):
        show = min(shown, quantity)
        book.place(order_id, 1, owner, 0 if buys else 1, ticks * TICK, quantity, collecting, show)
    before = sum(order.remaining_quantity for side in (0, 1) for order in book.orders(side))
    bids, asks = (
        [AuctionOrder(o.order_id, o.owner_key, o.price, o.remaining_quantity) for o in orders]
        for orders in (book.orders(0), book.orders(1))
    )
    found = uncross(bids, asks, AuctionPrices(TICK, reference, -100, 100))
    removed = sum(book.cancel(order_id) for order_id in found.prevented)
    for fill in found.fills:
        for order_id in (fill.bid_order_id, fill.ask_order_id):
            left = book.get(order_id).remaining_quantity - fill.quantity
            assert book.reduce(order_id, left) == fill.quantity
    book.check()
    assert book.best_bid is None or book.best_ask is None or book.best_bid < book.best_ask
    after = sum(order.remaining_quantity for side in (0, 1) for order in book.orders(side))
    assert before == after + removed + 2 * found.volume
