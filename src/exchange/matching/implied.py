"""What a combo order trades: with its own book, and with the books of its legs (implied-in).

A pure function from views of what rests to a plan. It must never know accounts or books: the caller
gives what rests in the order in which it would trade, and carries the plan out.

The order takes the best net price first. Its own book and the legs give the next one each; at equal
net prices its own book comes first, because there nobody is needed but one other order. In the legs
it takes lots one after the other, each at the best prices left in every leg, as long as that lot's
own net price is within the limit. So no lot is paid for by a better one, a lot trades with all of
its legs or not at all, and no leg trades outside its band or past an order that rests outside it.
Makers get the prices at which they rest. Orders of the same owner in the legs are passed over; in
the combo's own book self-trade prevention deals with them as in any other.

The plan is the largest that keeps these rules, up to `fills_max` trades in legs; a lot is never
split by that bound. Where two combo orders meet, `allot` finds the prices of the legs.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import groupby, takewhile
from math import gcd
from typing import NamedTuple

from exchange.fixed import PRICE_QUANTUM, div_down, div_exact, div_up, is_multiple
from exchange.matching.placement import Order
from exchange.model import Legs, SelfTradePrevention, Side


class Offer(NamedTuple):
    """Something to trade with: what an order shows until it queues up again."""

    order_id: int
    price: int
    quantity: int


class LegView(NamedTuple):
    """What a leg's book offers to the side that the order needs, and the leg's price band."""

    offers: Sequence[Offer]
    price_min: int
    price_max: int


class Rival(NamedTuple):
    """An order on the other side of the combo's own book."""

    order_id: int
    price: int
    quantity: int
    is_own: bool  # of the same owner
    is_allotted: bool  # whether prices of legs within their bands add up to its price


class ComboOrder(NamedTuple):
    """The order: `quantity` units in 1e-4, a multiple of `lot_size`.

    A buyer pays at most, a seller receives at least `net_limit` a unit; it may be negative.
    """

    side: Side
    net_limit: int
    quantity: int
    lot_size: int
    fills_max: int
    prevention: SelfTradePrevention = SelfTradePrevention.CANCEL_TAKER


class LegFill(NamedTuple):
    """To be taken from one order in one leg."""

    instrument_id: int
    side: Side
    order_id: int
    price: int
    quantity: int


class Match(NamedTuple):
    """Units to be traded with an order in the combo's own book, at its price."""

    order_id: int
    price: int
    quantity: int


class Slice(NamedTuple):
    """Units to be traded in the legs, each lot at one net price: `value` / `quantity`."""

    value: int  # the signed sum of price times quantity
    quantity: int
    fills: tuple[LegFill, ...]


class Stop(IntEnum):
    """Why a plan ends although it leaves some of the order."""

    PRICE = 0  # nothing more is within the limit
    SELF_TRADE = 1
    FILLS = 2  # one lot more would be too many trades
    BAND = 3  # the next in the combo's book trades at no prices that the bands of the legs allow


class Plan(NamedTuple):
    """Steps in order; orders of the owner to shrink by (order_id, removed, resting)."""

    steps: tuple[Match | Slice, ...]
    prevented: tuple[tuple[int, int, int], ...]
    canceled: int  # of the order itself, by self-trade prevention
    left: int
    stop: Stop


_Level = list[int]  # [order_id, price, quantity left]


def offers(orders: Sequence[Order], owner_key: int) -> Iterator[Offer]:
    """What others than `owner_key` offer, as a taker would meet it: slices of icebergs requeue."""
    for price, level in groupby(orders, lambda order: order.price):
        queue = deque(
            (order.order_id, order.displayed_quantity, order.remaining_quantity, order.max_show)
            for order in level
            if order.owner_key != owner_key
        )
        while queue:
            order_id, shown, remaining, max_show = queue.popleft()
            yield Offer(order_id, price, shown)
            hidden = remaining - shown
            if hidden:
                queue.append((order_id, min(max_show, hidden), hidden, max_show))


def plan_combo(
    legs: Legs, views: Sequence[LegView], rivals: Sequence[Rival], order: ComboOrder
) -> Plan:
    """What the order trades. Complexity: O(offers and rivals given)."""
    return _Planner(legs, views, rivals, order).plan()


class _Planner:
    """The state of one planning: what is left of everything."""

    def __init__(
        self, legs: Legs, views: Sequence[LegView], rivals: Sequence[Rival], order: ComboOrder
    ) -> None:
        assert is_multiple(order.quantity, order.lot_size)
        self.legs = legs
        self.order = order
        self.sides = [order.side if leg.ratio > 0 else order.side.opposite for leg in legs]
        self.books = [_reachable(view) for view in views]
        self.rivals = deque(rivals)
        self.left = order.quantity
        self.canceled = 0
        self.fills = 0
        self.steps: list[Match | Slice] = []
        self.prevented: list[tuple[int, int, int]] = []

    def plan(self) -> Plan:
        stop: Stop | None = None
        while self.left and stop is None:
            implied = self._next_slice()
            rival = self._next_rival()
            if rival is not None and self._rival_first(rival, implied):
                stop = self._meet(rival)
            elif implied is not None:
                stop = self._take_slice(implied)
            else:
                stop = Stop.PRICE
        return Plan(
            tuple(self.steps),
            tuple(self.prevented),
            self.canceled,
            self.left,
            Stop.PRICE if stop is None else stop,
        )

    def _next_rival(self) -> Rival | None:
        if not self.rivals:
            return None
        rival = self.rivals[0]
        return rival if self._within_limit(rival.price, 1) else None

    def _rival_first(self, rival: Rival, implied: Slice | None) -> bool:
        if implied is None:
            return True
        return self.order.side.sign * (rival.price * implied.quantity - implied.value) <= 0

    def _within_limit(self, value: int, quantity: int) -> bool:
        return self.order.side.sign * (value - self.order.net_limit * quantity) <= 0

    def _meet(self, rival: Rival) -> Stop | None:
        """Trade with an order of the combo's own book, unless it is the owner's."""
        if rival.is_own:
            return self._prevent(rival)
        if not rival.is_allotted:
            return Stop.BAND
        if self.fills + len(self.legs) > self.order.fills_max:
            return Stop.FILLS
        quantity = min(self.left, rival.quantity)
        self.fills += len(self.legs)
        self.left -= quantity
        self.steps.append(Match(rival.order_id, rival.price, quantity))
        self.rivals.popleft()
        if quantity < rival.quantity:
            self.rivals.appendleft(rival._replace(quantity=rival.quantity - quantity))
        return None

    def _prevent(self, rival: Rival) -> Stop | None:
        mode = self.order.prevention
        if mode is SelfTradePrevention.CANCEL_TAKER:
            return self._cancel_rest()
        self.rivals.popleft()
        removed = rival.quantity
        if mode is SelfTradePrevention.DECREMENT:
            removed = min(removed, self.left)
        self.prevented.append((rival.order_id, removed, rival.quantity - removed))
        if mode is SelfTradePrevention.CANCEL_BOTH:
            return self._cancel_rest()
        if mode is SelfTradePrevention.DECREMENT:
            self.left -= removed
            self.canceled += removed
        return None

    def _cancel_rest(self) -> Stop:
        self.canceled += self.left
        self.left = 0
        return Stop.SELF_TRADE

    def _next_slice(self) -> Slice | None:
        """The next lots of one net price in the legs, if that is within the limit."""
        if not all(self.books):
            return None
        quantity = min(self.left, self._lots_at_best() * self.order.lot_size)
        taken = []
        for leg, book in zip(self.legs, self.books, strict=True):
            parts = _parts(book, quantity * abs(leg.ratio))
            if not parts:
                return None
            taken.append(parts)
        value = sum(
            price * part if leg.ratio > 0 else -price * part
            for leg, parts in zip(self.legs, taken, strict=True)
            for _, price, part in parts
        )
        if not self._within_limit(value, quantity):
            return None
        return Slice(value, quantity, tuple(self._fills(taken)))

    def _lots_at_best(self) -> int:
        """Lots that the first offer of every leg can fill; one lot may need several offers."""
        lots = [
            div_down(book[0][2], abs(leg.ratio) * self.order.lot_size)
            for leg, book in zip(self.legs, self.books, strict=True)
        ]
        return max(1, min(lots))

    def _fills(self, taken: list[list[tuple[int, int, int]]]) -> Iterator[LegFill]:
        for leg, side, parts in zip(self.legs, self.sides, taken, strict=True):
            for order_id, price, quantity in parts:
                yield LegFill(leg.instrument_id, side, order_id, price, quantity)

    def _take_slice(self, found: Slice) -> Stop | None:
        if self.fills + len(found.fills) > self.order.fills_max:
            return Stop.FILLS
        self.fills += len(found.fills)
        self.left -= found.quantity
        self.steps.append(found)
        for leg, book in zip(self.legs, self.books, strict=True):
            _consume(book, found.quantity * abs(leg.ratio))
        return None


def _reachable(view: LegView) -> deque[_Level]:
    """The offers that a taker meets before one outside the band."""
    inside = takewhile(lambda one: view.price_min <= one.price <= view.price_max, view.offers)
    return deque([*one] for one in inside)


def _parts(book: deque[_Level], quantity: int) -> list[tuple[int, int, int]]:
    """Exactly `quantity` of the first offers, as (order_id, price, part); [] if there is less."""
    parts = []
    for order_id, price, offered in book:
        part = min(offered, quantity)
        parts.append((order_id, price, part))
        quantity -= part
        if quantity == 0:
            return parts
    return []


def _consume(book: deque[_Level], quantity: int) -> None:
    while quantity:
        part = min(book[0][2], quantity)
        book[0][2] -= part
        quantity -= part
        if book[0][2] == 0:
            book.popleft()


def allot(
    legs: Legs, marks: Sequence[int], bands: Sequence[tuple[int, int]], net_price: int
) -> tuple[int, ...] | None:
    """Prices of the legs that add up to `net_price`, or None if their bands allow none.

    On the grid of 0.01 USDC. Each leg stays at its mark, the cheapest first, as far as the others
    can take up the difference; so the dearest leg bears what one leg can bear.
    """
    order = sorted(range(len(legs)), key=lambda at: (marks[at], at))
    steps = [_Step.of(legs[at].ratio, marks[at], bands[at]) for at in order]
    if any(step.low > step.high for step in steps) or not is_multiple(net_price, PRICE_QUANTUM):
        return None
    left = div_exact(net_price, PRICE_QUANTUM) - sum(step.ratio * step.start for step in steps)
    prices = [0] * len(legs)
    for place, step in enumerate(steps):
        shift = step.shift(left, steps[place + 1 :])
        if shift is None:
            return None
        left -= step.ratio * shift
        prices[order[place]] = (step.start + shift) * PRICE_QUANTUM
    assert left == 0
    return tuple(prices)


def net_band(legs: Legs, bands: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The lowest and the highest net price that prices within the bands of the legs add up to."""
    ends = [
        sorted(leg.ratio * price for price in band) for leg, band in zip(legs, bands, strict=True)
    ]
    return sum(low for low, _ in ends), sum(high for _, high in ends)


class _Step(NamedTuple):
    """One leg on the grid: where it starts and how far it may move."""

    ratio: int
    start: int
    low: int
    high: int

    @classmethod
    def of(cls, ratio: int, mark: int, band: tuple[int, int]) -> "_Step":
        low, high = div_up(band[0], PRICE_QUANTUM), div_down(band[1], PRICE_QUANTUM)
        start = min(max(div_down(mark, PRICE_QUANTUM), low), high)
        return cls(ratio, start, low, high)

    def reach(self) -> tuple[int, int]:
        """The smallest and the largest change that this leg can make to the sum."""
        ends = self.ratio * (self.low - self.start), self.ratio * (self.high - self.start)
        return min(ends), max(ends)

    def shift(self, left: int, others: "Sequence[_Step]") -> int | None:
        """The least move after which the others can make up what is left."""
        least = left - sum(other.reach()[1] for other in others)
        most = left - sum(other.reach()[0] for other in others)
        common = gcd(*(other.ratio for other in others))
        low, high = self.low - self.start, self.high - self.start
        if self.ratio > 0:
            low, high = max(low, div_up(least, self.ratio)), min(high, div_down(most, self.ratio))
        else:
            low = max(low, div_up(-most, -self.ratio))
            high = min(high, div_down(-least, -self.ratio))
        first = min(max(0, low), high)
        for distance in range(max(1, common)):
            for shift in (first + distance, first - distance):
                rest = left - self.ratio * shift
                fits = rest == 0 if common == 0 else is_multiple(rest, common)
                if low <= shift <= high and fits:
                    return shift
        return None
