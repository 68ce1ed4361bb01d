"""Implied-in: trading a combo order against the books of its legs.

A pure function from views of what rests to a plan of fills. It must never know accounts or books:
the caller gives each leg's levels, without the orders of the combo's owner, and applies the plan.

The order takes lots one after the other, each at the best prices left in every leg, as long as
that lot's own net price is within the order's limit. So no lot is paid for by a better one, a lot
trades with all of its legs or not at all, and no leg trades outside its band or past an order that
rests outside it. Makers get the prices at which they rest. The net price of the next lot only ever
gets worse: the first that is too dear ends the plan, which is therefore the largest that keeps
these rules.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

from exchange.fixed import div_down, div_exact, is_multiple
from exchange.model import Legs, Side


class LegView(NamedTuple):
    """One leg's book: `bids` and `asks` as (price, quantity), best first; and its price band."""

    bids: Sequence[tuple[int, int]]
    asks: Sequence[tuple[int, int]]
    price_min: int
    price_max: int


class ComboOrder(NamedTuple):
    """The order: `quantity` units in 1e-4, a multiple of `lot_size`, which all legs share.

    A buyer pays at most, a seller receives at least `net_limit` a unit; it may be negative.
    """

    side: Side
    net_limit: int
    quantity: int
    lot_size: int


class LegFill(NamedTuple):
    """To be taken in one leg at one price."""

    instrument_id: int
    side: Side
    price: int
    quantity: int


class Slice(NamedTuple):
    """`quantity` units at one net price; `fills` by leg, the best price first."""

    net_price: int
    quantity: int
    fills: tuple[LegFill, ...]


_Level = list[int]  # [price, quantity left]


def plan_implied(legs: Legs, views: Sequence[LegView], order: ComboOrder) -> tuple[Slice, ...]:
    """What the order trades in its legs, best net price first; empty if nothing is in reach.

    Complexity: O(levels given): a caller may give only the best few.
    """
    assert order.lot_size > 0
    assert is_multiple(order.quantity, order.lot_size)
    sides = [order.side if leg.ratio > 0 else order.side.opposite for leg in legs]
    books = [_reachable(view, side) for view, side in zip(views, sides, strict=True)]
    assert all(level[1] > 0 for book in books for level in book)
    assert all(is_multiple(level[1], order.lot_size) for book in books for level in book)
    slices = []
    left = order.quantity
    while left:
        quantity = min(left, _quantity_at_best(legs, books, order.lot_size))
        taken = [
            _take(book, quantity * abs(leg.ratio)) for leg, book in zip(legs, books, strict=True)
        ]
        if not all(taken):
            break
        net_price = _net_price(legs, taken, quantity)
        if order.side.sign * (net_price - order.net_limit) > 0:
            break
        slices.append(Slice(net_price, quantity, tuple(_fills(legs, sides, taken))))
        left -= quantity
    return tuple(slices)


def _reachable(view: LegView, side: Side) -> deque[_Level]:
    """The levels that a taker of `side` meets before one outside the band, best first."""
    levels = view.asks if side is Side.BUY else view.bids
    inside = takewhile(lambda level: view.price_min <= level[0] <= view.price_max, levels)
    return deque([price, quantity] for price, quantity in inside)


def _quantity_at_best(legs: Legs, books: list[deque[_Level]], lot_size: int) -> int:
    """Units that the best level of every leg can fill, at least one lot: it may need two levels."""
    lots = [
        div_down(book[0][1], abs(leg.ratio) * lot_size) if book else 0
        for leg, book in zip(legs, books, strict=True)
    ]
    return max(1, min(lots)) * lot_size


def _take(book: deque[_Level], quantity: int) -> list[tuple[int, int]]:
    """Take exactly `quantity` off the best levels, as (price, quantity); [] if there is less."""
    taken = []
    while quantity and book:
        level = book[0]
        part = min(level[1], quantity)
        taken.append((level[0], part))
        quantity -= part
        level[1] -= part
        if level[1] == 0:
            book.popleft()
    return [] if quantity else taken


def _net_price(legs: Legs, taken: list[list[tuple[int, int]]], quantity: int) -> int:
    """Exact: a slice of several prices is one lot, and the parts of a leg are whole lots."""
    value = sum(
        price * part if leg.ratio > 0 else -price * part
        for leg, parts in zip(legs, taken, strict=True)
        for price, part in parts
    )
    return div_exact(value, quantity)


def _fills(legs: Legs, sides: list[Side], taken: list[list[tuple[int, int]]]) -> Iterator[LegFill]:
    for leg, side, parts in zip(legs, sides, taken, strict=True):
        for price, quantity in parts:
            yield LegFill(leg.instrument_id, side, price, quantity)
