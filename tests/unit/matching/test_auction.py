"""One price for a collected book, and who trades at it."""

import pytest

from exchange.matching.auction import (
    AuctionFill,
    AuctionOrder,
    AuctionPrices,
    Uncrossing,
    uncross,
)


def side(first_id, *rows):
    """Orders of different owners from (price, quantity), or (price, quantity, owner)."""
    return [
        AuctionOrder(first_id + at, row[2] if len(row) > 2 else 100 * first_id + at, *row[:2])
        for at, row in enumerate(rows)
    ]


def prices(reference, low=10, high=1_000, tick_size=10):
    return AuctionPrices(tick_size, reference, low, high)


def auction(bids, asks, reference=100, **limits):
    return uncross(side(1, *bids), side(50, *asks), prices(reference, **limits))


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        ([], []),
        ([(100, 5)], []),
        ([], [(100, 5)]),
        ([(90, 5)], [(100, 5)]),
    ],
)
def test_without_a_crossing_nothing_trades(bids, asks):
    assert auction(bids, asks) == Uncrossing(None, 0, 0, (), (), is_crossed=False)


def test_the_largest_volume_decides():
    found = auction([(120, 5), (110, 5), (100, 5)], [(90, 5), (100, 4), (110, 1), (120, 5)])
    assert (found.price, found.volume) == (110, 10)


def test_then_the_smallest_imbalance():
    found = auction([(120, 10), (100, 3)], [(90, 10)], reference=90)
    assert (found.price, found.volume, found.imbalance) == (110, 10, 0)


def test_the_imbalance_is_positive_where_buyers_are_left():
    assert auction([(100, 9)], [(100, 5)]).imbalance == 4
    assert auction([(100, 5)], [(100, 9)]).imbalance == -4


@pytest.mark.parametrize(
    ("reference", "price"),
    [(50, 80), (83, 80), (85, 80), (86, 90), (100, 100), (117, 120), (500, 120)],
)
def test_then_the_tick_nearest_to_the_reference_the_lower_of_two(reference, price):
    assert auction([(120, 5)], [(80, 5)], reference).price == price


@pytest.mark.parametrize(
    ("limits", "price"),
    [({"low": 100}, 100), ({"high": 90}, 90), ({"low": 130}, None), ({"high": 70}, None)],
)
def test_the_price_lies_within_its_bounds(limits, price):
    reference = 80 if "low" in limits else 120
    assert auction([(120, 5)], [(80, 5)], reference, **limits).price == price


@pytest.mark.parametrize(
    ("bids", "limits", "crossed"),
    [
        ([(120, 5)], {"low": 130}, True),
        ([(120, 5)], {"high": 70}, True),
        ([(120, 5), (110, 1)], {"high": 90}, False),
        ([(120, 5), (110, 1)], {}, False),
    ],
)
def test_bounds_may_leave_the_book_crossed(bids, limits, crossed):
    assert auction(bids, [(80, 5), (120, 1)], **limits).is_crossed is crossed


@pytest.mark.parametrize(("bid", "ask"), [((120, 1), (80, 1)), ((120, 5), (120, 5))])
def test_the_smallest_crossing_beyond_the_bounds_is_one(bid, ask):
    assert auction([bid], [ask], low=130).is_crossed


def test_negative_prices_are_prices():
    found = auction([(-80, 5)], [(-120, 5)], reference=-104, low=-500)
    assert found.price == -100


def test_each_side_fills_in_priority_and_the_longer_one_is_cut_at_its_end():
    found = auction([(120, 4), (110, 3), (110, 6)], [(90, 5), (100, 5), (130, 1)])
    assert (found.price, found.volume) == (100, 10)
    assert found.fills == (
        AuctionFill(1, 50, 4),
        AuctionFill(2, 50, 1),
        AuctionFill(2, 51, 2),
        AuctionFill(3, 51, 3),
    )


def test_the_younger_of_two_crossing_orders_of_one_owner_leaves_before_the_price_is_found():
    found = auction([(120, 5, 7), (110, 5)], [(90, 5, 7), (100, 5)])
    assert found.prevented == (50,)
    assert (found.price, found.volume) == (120, 5)
    assert found.fills == (AuctionFill(1, 51, 5),)


def test_an_older_ask_prevents_a_younger_bid():
    bids = [AuctionOrder(60, 7, 120, 5), AuctionOrder(61, 8, 110, 2)]
    asks = [AuctionOrder(50, 7, 90, 5)]
    found = uncross(bids, asks, prices(100))
    assert found.prevented == (60,)
    assert found.fills == (AuctionFill(61, 50, 2),)


def test_a_prevented_order_prevents_nothing_itself():
    bids = [AuctionOrder(1, 7, 100, 5)]
    asks = [AuctionOrder(2, 7, 90, 5), AuctionOrder(4, 7, 130, 5)]
    bids = [AuctionOrder(3, 7, 120, 5), *bids]
    found = uncross(bids, asks, prices(100))
    assert found.prevented == (2,)


def test_orders_of_one_owner_that_do_not_cross_all_stay():
    found = auction([(90, 5, 7), (80, 5, 7)], [(100, 5, 7), (110, 5, 7)])
    assert found.prevented == ()


@pytest.mark.parametrize(
    ("bids", "asks", "limits"),
    [
        ([(100, 5), (110, 5)], [], {}),
        ([], [(110, 5), (100, 5)], {}),
        ([(105, 5)], [], {}),
        ([(100, 0)], [], {}),
        ([], [], {"low": 11}),
        ([], [], {"high": 999}),
        ([], [], {"tick_size": 0}),
    ],
)
def test_terms_are_sound(bids, asks, limits):
    with pytest.raises(AssertionError):
        auction(bids, asks, **limits)
