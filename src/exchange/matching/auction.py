"""The call auction: one price for everything that a halted book collected.

Pure functions. They must never know why the book was halted, nor change it: the caller applies the
fills and cancels what was prevented.

The price, in this order: the largest volume that trades, then the smallest imbalance (difference
of what is bid and what is offered there), then the nearest to the reference (the mark), then the
lower one. Every tick between the outermost limits is a candidate, not only the limits themselves.

At that price each side fills in its priority order, better limits first; the side with more is cut
at its end. So a fill is never worse than a limit, and nobody is passed over.

Nobody trades with himself. Of two crossing orders of one owner the younger leaves *before* the
price is computed, as it would have by the default self-trade prevention in a live book. Then at no
price does one owner stand on both sides: all of the volume that decides the price does trade, and
the book is not crossed afterwards (unless the price met its bounds: `is_crossed`). Pairing around
such orders instead would either lose volume that others counted on, or need a second price for
what stays crossed.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from exchange.fixed import is_multiple
from exchange.model import Side


class AuctionOrder(NamedTuple):
    """A collected order; `quantity` is all that remains, hidden slices of an iceberg too.

    `order_id` grows with time: it tells the younger of two orders of one `owner_key`.
    """

    order_id: int
    owner_key: int
    price: int
    quantity: int


class AuctionPrices(NamedTuple):
    """Where the price may lie: on ticks from `price_min` to `price_max`, near `reference`."""

    tick_size: int
    reference: int
    price_min: int
    price_max: int


class AuctionFill(NamedTuple):
    """One trade at the auction's price."""

    bid_order_id: int
    ask_order_id: int
    quantity: int


class Uncrossing(NamedTuple):
    """What an auction gives. Without volume `price` is None and nothing is filled."""

    price: int | None
    volume: int
    imbalance: int  # bid minus offered at the price: positive where buyers are left
    fills: tuple[AuctionFill, ...]
    prevented: tuple[int, ...]  # order_ids that crossed an older order of their owner, ascending
    is_crossed: bool  # bounds kept orders from trading: the book must not go live yet


class _Candidate(NamedTuple):
    """Ordered as the rule orders prices: the least one wins."""

    negative_volume: int
    imbalance_size: int
    distance: int
    price: int
    imbalance: int


def uncross(
    bids: Sequence[AuctionOrder], asks: Sequence[AuctionOrder], prices: AuctionPrices
) -> Uncrossing:
    """Price and fills of an auction; both sides in priority order. Complexity: O(n log n)."""
    _assert_terms(bids, asks, prices)
    prevented = _self_crossed(bids, asks)
    bids = [order for order in bids if order.order_id not in prevented]
    asks = [order for order in asks if order.order_id not in prevented]
    best = min(_candidates(bids, asks, prices), default=None)
    gone = tuple(sorted(prevented))
    if best is None or best.negative_volume == 0:
        return Uncrossing(None, 0, 0, (), gone, is_crossed=_is_crossed(bids, asks, 0))
    price, volume = best.price, -best.negative_volume
    fills = _pair(
        (order for order in bids if order.price >= price),
        (order for order in asks if order.price <= price),
    )
    is_crossed = _is_crossed(bids, asks, volume)
    return Uncrossing(price, volume, best.imbalance, tuple(fills), gone, is_crossed)


def _assert_terms(
    bids: Sequence[AuctionOrder], asks: Sequence[AuctionOrder], prices: AuctionPrices
) -> None:
    assert prices.tick_size > 0
    assert is_multiple(prices.price_min, prices.tick_size)
    assert is_multiple(prices.price_max, prices.tick_size)
    assert all(order.quantity > 0 for order in (*bids, *asks))
    assert all(is_multiple(order.price, prices.tick_size) for order in (*bids, *asks))
    assert all(first.price >= then.price for first, then in pairwise(bids))
    assert all(first.price <= then.price for first, then in pairwise(asks))


def _self_crossed(bids: Iterable[AuctionOrder], asks: Iterable[AuctionOrder]) -> set[int]:
    """order_ids of those that cross an older order of their owner that is still there."""
    best_bid: dict[int, int] = {}  # by owner_key
    best_ask: dict[int, int] = {}
    crossed: set[int] = set()
    entries = [(order, Side.BUY) for order in bids] + [(order, Side.SELL) for order in asks]
    for order, side in sorted(entries):
        owner, price = order.owner_key, order.price
        if side is Side.BUY:
            if owner in best_ask and price >= best_ask[owner]:
                crossed.add(order.order_id)
            else:
                best_bid[owner] = max(price, best_bid.get(owner, price))
        elif owner in best_bid and price <= best_bid[owner]:
            crossed.add(order.order_id)
        else:
            best_ask[owner] = min(price, best_ask.get(owner, price))
    return crossed


def _candidates(
    bids: Sequence[AuctionOrder], asks: Sequence[AuctionOrder], prices: AuctionPrices
) -> Iterator[_Candidate]:
    """The best price of each stretch of ticks over which neither side changes."""
    limits = sorted({order.price for order in (*bids, *asks)})
    demand = _quantity_at(limits, bids)
    bid_total = sum(order.quantity for order in bids)
    offered = list(accumulate(_quantity_at(limits, asks)))
    bought_below = list(accumulate(demand, initial=0))  # bids with a limit below limits[at]
    for at, limit in enumerate(limits):
        wanted = bid_total - bought_below[at]
        yield from _nearest(limit, limit, prices, wanted, offered[at])
        if at + 1 < len(limits):  # between this limit and the next one
            first, last = limit + prices.tick_size, limits[at + 1] - prices.tick_size
            yield from _nearest(first, last, prices, bid_total - bought_below[at + 1], offered[at])


def _quantity_at(limits: Sequence[int], orders: Iterable[AuctionOrder]) -> list[int]:
    quantities = dict.fromkeys(limits, 0)
    for order in orders:
        quantities[order.price] += order.quantity
    return list(quantities.values())


def _nearest(
    first: int, last: int, prices: AuctionPrices, wanted: int, offered: int
) -> Iterator[_Candidate]:
    """The one or two ticks from `first` to `last` next to the reference."""
    first, last = max(first, prices.price_min), min(last, prices.price_max)
    if first > last:
        return
    below = prices.reference - prices.reference % prices.tick_size
    for tick in {below, below + prices.tick_size}:
        price = min(max(tick, first), last)
        imbalance = wanted - offered
        yield _Candidate(
            -min(wanted, offered),
            abs(imbalance),
            abs(price - prices.reference),
            price,
            imbalance,
        )


def _pair(bids: Iterator[AuctionOrder], asks: Iterator[AuctionOrder]) -> Iterator[AuctionFill]:
    """Match both sides in priority order until one ends."""
    bid, ask = next(bids, None), next(asks, None)
    bid_left, ask_left = bid.quantity if bid else 0, ask.quantity if ask else 0
    while bid and ask:
        assert bid.owner_key != ask.owner_key
        quantity = min(bid_left, ask_left)
        yield AuctionFill(bid.order_id, ask.order_id, quantity)
        bid_left -= quantity
        ask_left -= quantity
        if bid_left == 0:
            bid = next(bids, None)
            bid_left = bid.quantity if bid else 0
        if ask_left == 0:
            ask = next(asks, None)
            ask_left = ask.quantity if ask else 0


def _is_crossed(bids: Sequence[AuctionOrder], asks: Sequence[AuctionOrder], volume: int) -> bool:
    """Whether the best orders left after `volume` has traded could still trade."""
    bid, ask = _first_left(bids, volume), _first_left(asks, volume)
    return bid is not None and ask is not None and bid.price >= ask.price


def _first_left(orders: Sequence[AuctionOrder], volume: int) -> AuctionOrder | None:
    totals = accumulate(order.quantity for order in orders)
    return next(
        (order for order, total in zip(orders, totals, strict=True) if total > volume), None
    )
