"""The one price at which an auction trades, and who trades with whom.

Pure arithmetic on collected orders. The price is that of the largest volume; among those the one
with the smallest imbalance; among those the one nearest the reference (the mark), the lower of two
equally near. It lies on the tick grid, and need not be the price of any order.
"""

from collections.abc import Iterable
from itertools import zip_longest
from typing import NamedTuple


class Uncrossing(NamedTuple):
    """`imbalance` is what buyers at the price want more than sellers offer; it may be negative."""

    price: int
    volume: int
    imbalance: int


class Collected(NamedTuple):
    """An order in an auction, hidden quantity included."""

    order_id: int
    price: int
    quantity: int


def uncrossing(
    bids: Iterable[Collected], asks: Iterable[Collected], tick_size: int, reference: int
) -> Uncrossing | None:
    """The auction's price, or None if nothing crosses. Complexity: O(n log n)."""
    buy = _by_price(bids)
    sell = _by_price(asks)
    prices = sorted(buy.keys() | sell.keys())
    demand = sum(buy.values())  # of bids at `price` or above
    supply = 0  # of asks below `price`
    best: tuple[int, int, int, int] | None = None
    found: Uncrossing | None = None
    for price, following in zip_longest(prices, prices[1:]):
        supply += sell.get(price, 0)
        for candidate, wanted in _candidates(
            price, following, tick_size, reference, demand, demand - buy.get(price, 0)
        ):
            volume = min(wanted, supply)
            imbalance = wanted - supply
            rank = (-volume, abs(imbalance), abs(candidate - reference), candidate)
            if volume and (best is None or rank < best):
                best = rank
                found = Uncrossing(candidate, volume, imbalance)
        demand -= buy.get(price, 0)
    return found


def _by_price(orders: Iterable[Collected]) -> dict[int, int]:
    total: dict[int, int] = {}
    for order in orders:
        total[order.price] = total.get(order.price, 0) + order.quantity
    return total


def _candidates(
    price: int, following: int | None, tick_size: int, reference: int, at: int, above: int
) -> list[tuple[int, int]]:
    """(price, demand) at an order's price, and of the ticks before the next one's the nearest."""
    found = [(price, at)]
    if following is not None and following - price > tick_size:
        low = reference - reference % tick_size
        first, last = price + tick_size, following - tick_size
        found += [(max(first, min(tick, last)), above) for tick in (low, low + tick_size)]
    return found


def pairs(
    bids: Iterable[Collected], asks: Iterable[Collected], uncrossed: Uncrossing
) -> list[tuple[int, int, int]]:
    """(buy order_id, sell order_id, quantity) until the volume is used up.

    Both sides come in priority order, as `OrderBook.orders` gives them, and trade in it.
    """
    left = uncrossed.volume
    buyers = iter(bids)
    sellers = iter(asks)
    found: list[tuple[int, int, int]] = []
    wanted = offered = buy_id = sell_id = 0
    while left:
        if wanted == 0:
            buy_id, _, wanted = next(buyers)
        if offered == 0:
            sell_id, _, offered = next(sellers)
        quantity = min(wanted, offered, left)
        found.append((buy_id, sell_id, quantity))
        wanted -= quantity
        offered -= quantity
        left -= quantity
    return found
