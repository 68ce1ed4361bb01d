"""The uncrossing price by its three rules, and who trades at it."""

import pytest

from exchange.matching.auction import Collected, Uncrossing, pairs, uncrossing


def orders(*terms):
    return [Collected(order_id, *term) for order_id, term in enumerate(terms, 1)]


@pytest.mark.parametrize(
    ("bids", "asks", "reference", "expected"),
    [
        ([], [(100, 5)], 100, None),
        ([(90, 5)], [(100, 5)], 95, None),
        # Only one price trades everything.
        ([(100, 5)], [(100, 5)], 500, Uncrossing(100, 5, 0)),
        # Largest volume beats everything.
        ([(110, 5), (100, 5)], [(100, 10)], 110, Uncrossing(100, 10, 0)),
        # Same volume: the smaller imbalance.
        ([(110, 10), (100, 5)], [(90, 10)], 95, Uncrossing(101, 10, 0)),
        # Same volume and imbalance: nearest to the reference, inside the gap too.
        ([(110, 10)], [(90, 10)], 97, Uncrossing(97, 10, 0)),
        ([(110, 10)], [(90, 10)], 500, Uncrossing(110, 10, 0)),
        ([(110, 10)], [(90, 10)], 1, Uncrossing(90, 10, 0)),
        # The best price may lie between those of the orders.
        ([(105, 10), (95, 5)], [(95, 10), (105, 5)], 100, Uncrossing(100, 10, 0)),
        # More sellers than buyers: negative imbalance.
        ([(100, 5)], [(100, 8)], 100, Uncrossing(100, 5, -3)),
    ],
)
def test_uncrossing_price(bids, asks, reference, expected):
    assert uncrossing(orders(*bids), orders(*asks), 1, reference) == expected


def test_equally_near_prices_resolve_to_the_lower_one_on_the_grid():
    assert uncrossing(orders((140, 1)), orders((60, 1)), 20, 90) == Uncrossing(80, 1, 0)


def test_neighbouring_ticks_have_nothing_between_them():
    assert uncrossing(orders((110, 1)), orders((100, 1)), 10, 104) == Uncrossing(100, 1, 0)


def test_pairs_trade_in_priority_order_until_the_volume_is_used():
    bids = orders((110, 4), (105, 4), (100, 9))
    asks = orders((90, 3), (95, 3), (100, 4))
    assert pairs(bids, asks, Uncrossing(100, 9, 0)) == [
        (1, 1, 3),
        (1, 2, 1),
        (2, 2, 2),
        (2, 3, 2),
        (3, 3, 1),
    ]
