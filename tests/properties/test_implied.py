"""The implied plan is what taking one lot after the other finds, and no larger plan is allowed."""

from hypothesis import given
from hypothesis import strategies as st

from exchange.matching.book import OrderBook, PostOnly, instruction_word
from exchange.matching.implied import ComboOrder, LegView, plan_implied
from exchange.model import Leg, SelfTradePrevention, Side, TimeInForce

LOT = 3
LEVELS = st.dictionaries(st.integers(1, 9), st.integers(1, 4), max_size=4)
RATIOS = st.sampled_from((-3, -2, -1, 1, 2, 3))


def lots_in_reach(levels, low, high, *, buys):
    """The prices of single lots of one leg in the order in which they must be taken."""
    prices = [price for price in sorted(levels, reverse=not buys) for _ in range(levels[price])]
    outside = [at for at, price in enumerate(prices) if not low <= price <= high]
    return prices[: outside[0]] if outside else prices


def net_prices(legs, reach):
    """The net price of each lot that all legs can give."""
    count = min(len(prices) // abs(leg.ratio) for leg, prices in zip(legs, reach, strict=True))
    for lot in range(count):
        net = 0
        for leg, prices in zip(legs, reach, strict=True):
            part = prices[lot * abs(leg.ratio) : (lot + 1) * abs(leg.ratio)]
            net += sum(part) if leg.ratio > 0 else -sum(part)
        yield net


@given(
    st.lists(st.tuples(RATIOS, LEVELS, LEVELS), min_size=2, max_size=4),
    st.sampled_from(Side),
    st.integers(-30, 30),
    st.integers(1, 9),
    st.tuples(st.integers(1, 3), st.integers(6, 9)),
)
def test_the_plan_is_that_of_taking_lot_after_lot(given_legs, side, limit, lots, band):
    legs = tuple(Leg(at, ratio) for at, (ratio, _, _) in enumerate(given_legs))
    views, reach = [], []
    for leg, (_, bids, asks) in zip(legs, given_legs, strict=True):
        buys = (leg.ratio > 0) is (side is Side.BUY)
        rows = [(price, bids[price] * LOT) for price in sorted(bids, reverse=True)]
        views.append(LegView(rows, [(price, asks[price] * LOT) for price in sorted(asks)], *band))
        reach.append(lots_in_reach(asks if buys else bids, *band, buys=buys))
    found = plan_implied(legs, views, ComboOrder(side, limit, lots * LOT, LOT))

    allowed = []
    for net in net_prices(legs, reach):
        if side.sign * (net - limit) > 0 or len(allowed) == lots:
            break
        allowed.append(net)
    assert [part.net_price for part in found for _ in range(part.quantity // LOT)] == allowed
    assert allowed == sorted(allowed, reverse=side is Side.SELL)
    for leg, prices in zip(legs, reach, strict=True):
        fills = [f for part in found for f in part.fills if f.instrument_id == leg.instrument_id]
        taken = [fill.price for fill in fills for _ in range(fill.quantity // LOT)]
        assert taken == prices[: len(allowed) * abs(leg.ratio)]
        assert {fill.side for fill in fills} <= {side if leg.ratio > 0 else side.opposite}


@given(
    st.lists(st.tuples(RATIOS, st.lists(st.integers(1, 9), max_size=6)), min_size=2, max_size=3),
    st.integers(-20, 20),
    st.integers(1, 3),
)
def test_no_larger_choice_of_lots_keeps_the_rules(given_legs, limit, lots):
    """Try all ways to stop: the longest run of lots that are each within the limit."""
    legs = tuple(Leg(at, ratio) for at, (ratio, _) in enumerate(given_legs))
    reach = [
        sorted(prices, reverse=leg.ratio < 0)
        for leg, (_, prices) in zip(legs, given_legs, strict=True)
    ]
    views = [
        LegView([(p, LOT) for p in prices], [(p, LOT) for p in prices], 1, 9) for prices in reach
    ]
    found = plan_implied(legs, views, ComboOrder(Side.BUY, limit, lots * LOT, LOT))
    nets = list(net_prices(legs, reach))
    runs = range(min(lots, len(nets)) + 1)
    best = max(n for n in runs if all(net <= limit for net in nets[:n]))
    assert sum(part.quantity for part in found) == best * LOT


TAKE = instruction_word(TimeInForce.IOC, PostOnly.OFF, SelfTradePrevention.CANCEL_MAKER)
RESTING = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(1, 9), st.integers(1, 4), st.integers(1, 3)),
    max_size=8,
)


def filled_book(rows):
    """A leg's book; its bids rest below 5 and its asks above."""
    book = OrderBook(1, 1)
    for order_id, (side, price, lots, owner) in enumerate(rows, 1):
        away = (price + 1) // 2 if side is Side.BUY else 5 + price // 2
        book.place(order_id, owner, owner, side, away, lots * LOT)
    return book


def view_for(book, owner):
    sides = [
        [(o.price, o.remaining_quantity) for o in book.orders(side) if o.owner_key != owner]
        for side in (0, 1)
    ]
    return LegView(*sides, 1, 9)


@given(
    st.lists(st.tuples(RATIOS, RESTING), min_size=2, max_size=3),
    st.sampled_from(Side),
    st.integers(-30, 30),
    st.integers(1, 6),
)
def test_the_books_fill_exactly_what_was_planned(given_legs, side, limit, lots):
    owner = 3
    legs = tuple(Leg(at, ratio) for at, (ratio, _) in enumerate(given_legs))
    books = [filled_book(rows) for _, rows in given_legs]
    views = [view_for(book, owner) for book in books]
    for part in plan_implied(legs, views, ComboOrder(side, limit, lots * LOT, LOT)):
        value = 0
        for number, fill in enumerate(part.fills):
            book = books[fill.instrument_id]
            placement = book.place(
                1_000 + number, owner, owner, fill.side, fill.price, fill.quantity, TAKE
            )
            assert {price for _, price, _ in placement.fills} == {fill.price}
            assert sum(quantity for *_, quantity in placement.fills) == fill.quantity
            sign = fill.side.sign * side.sign
            value += sign * fill.price * fill.quantity
            book.check()
        assert value == part.net_price * part.quantity
