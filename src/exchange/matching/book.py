"""One instrument's order book: price-time priority, plain integers in, plain results out.

It must never know accounts, margin, money, fees, time, events or refusals for users: it is told an
order, it says what traded, what was taken away and what rests. Same calls, same results, always.

    book = OrderBook(tick_size, price_min)
    placement = book.place(order_id, subaccount_id, owner_key, side, price, quantity,
                           word, max_show)
    placement = book.amend(order_id, price, quantity, word, max_show)
    removed = book.reduce(order_id, quantity)      # what may remain; keeps priority
    removed = book.cancel(order_id)                # 0 if it does not rest
    order = book.get(order_id)                     # Order or None
    book.best_bid, book.best_ask                   # price or None
    book.levels(side, depth)                       # [(price, displayed quantity, orders)]
    book.orders(side)                              # priority order
    book.check()

Prices are micro-USDC per contract and multiples of `tick_size`, quantities 1e-4 contracts; the book
of a combo has negative prices too (`price_min`). A market order is an IOC priced at the end of its
protection band. GTD rests like GTC: who has the time cancels it. The caller validates, the book
asserts.
"""

from bisect import bisect_left
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from exchange.model import SelfTradePrevention, TimeInForce

ICEBERG_SLICES_MAX: Final = 100  # bounds the fills that one iceberg can cost one taker

# An instruction word, low to high: time in force 2 bits, post-only 2, self-trade prevention 2,
# rest without matching 1. One int, because each argument costs on the hot path.
_POST_ONLY_SHIFT: Final = 2
_PREVENTION_SHIFT: Final = 4
_NO_MATCH: Final = 1 << 6
_FIELD: Final = 3

_IOC: Final = 2
_FOK: Final = 3
_POST_ONLY_REJECT: Final = 1
_CANCEL_TAKER: Final = 0
_CANCEL_MAKER: Final = 1
_CANCEL_BOTH: Final = 2


class PostOnly(IntEnum):
    """What an order does that may only make."""

    OFF = 0
    REJECT = 1  # refused if it would trade
    REPRICE = 2  # moved one tick away from the best opposite price if it would trade


class Outcome(IntEnum):
    """What became of a placed order, first match wins."""

    RESTING = 0  # some or all of it rests
    FILLED = 1  # all of it traded
    SELF_TRADE_CANCELED = 2  # the rest, or part of it, fell to self-trade prevention
    UNFILLED = 3  # IOC: the rest found no counterparty within its price
    FOK_REFUSED = 4  # nothing changed
    POST_ONLY_REFUSED = 5  # nothing changed


def instruction_word(
    time_in_force: TimeInForce = TimeInForce.GTC,
    post_only: PostOnly = PostOnly.OFF,
    prevention: SelfTradePrevention = SelfTradePrevention.CANCEL_TAKER,
    *,
    matching: bool = True,
) -> int:
    """The word that `place` and `amend` take; `matching` is False while an auction collects."""
    word = time_in_force | post_only << _POST_ONLY_SHIFT | prevention << _PREVENTION_SHIFT
    return word if matching else word | _NO_MATCH


class Level:
    """All orders at one price, oldest first; `rank` orders levels, higher is better."""

    __slots__ = ("count", "displayed", "head", "price", "quantity", "rank", "tail")

    def __init__(self, price: int, rank: int) -> None:
        self.price = price
        self.rank = rank
        self.quantity = 0  # hidden part of icebergs included
        self.displayed = 0
        self.count = 0
        self.head: Order | None = None
        self.tail: Order | None = None


class Order:
    """A resting order. Readers may look at it until the next call to the book, and never write."""

    __slots__ = (
        "after",
        "before",
        "displayed_quantity",
        "level",
        "max_show",
        "order_id",
        "owner_key",
        "price",
        "remaining_quantity",
        "side",
        "subaccount_id",
    )

    def __init__(  # noqa: PLR0913 -- built once, in one place
        self,
        order_id: int,
        subaccount_id: int,
        owner_key: int,
        side: int,
        price: int,
        remaining_quantity: int,
        max_show: int,
    ) -> None:
        self.order_id = order_id
        self.subaccount_id = subaccount_id
        self.owner_key = owner_key
        self.side = side
        self.price = price
        self.remaining_quantity = remaining_quantity
        self.max_show = max_show  # displayed slice of an iceberg, 0 for all
        self.displayed_quantity = min(max_show or remaining_quantity, remaining_quantity)
        self.level: Level | None = None
        self.before: Order | None = None
        self.after: Order | None = None


class Placement:
    """What a placed or amended order did.

    `quantity in = sum of fills + resting_quantity + canceled_quantity`, refusals included. `fills`
    are (maker order_id, price, quantity) in priority order. `prevented` are makers that self-trade
    prevention touched: (order_id, quantity removed, quantity that still rests).
    """

    __slots__ = ("canceled_quantity", "fills", "outcome", "prevented", "price", "resting_quantity")

    def __init__(self, price: int) -> None:
        self.outcome = 0
        self.price = price  # differs from the limit only after a post-only reprice
        self.resting_quantity = 0
        self.canceled_quantity = 0
        self.fills: list[tuple[int, int, int]] = []
        self.prevented: list[tuple[int, int, int]] = []


class Ladder:
    """One side of a book: its levels by rank, the best one at hand."""

    __slots__ = ("best", "levels", "ranks", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign  # +1 for bids, -1 for asks: rank = sign * price
        self.levels: dict[int, Level] = {}
        self.ranks: list[int] = []  # ascending, the best last
        self.best: Level | None = None

    def append(self, order: Order) -> None:
        """Put an order last at its price. Complexity: O(log L), plus O(L) moves for a new level."""
        rank = self.sign * order.price
        level = self.levels.get(rank)
        if level is None:
            level = self._insert(order.price, rank)
        order.level = level
        level.quantity += order.remaining_quantity
        level.displayed += order.displayed_quantity
        level.count += 1
        self._link(level, order)

    def unlink(self, order: Order) -> None:
        """Take an order out, and its level if that was the last one. Complexity: O(1) amortised."""
        level = order.level
        assert level is not None
        level.quantity -= order.remaining_quantity
        level.displayed -= order.displayed_quantity
        level.count -= 1
        self._detach(level, order)
        order.level = None
        if level.count == 0:
            self._drop(level)

    def requeue(self, level: Level, order: Order) -> None:
        """Move an order to the end of its level, as a refilled iceberg must."""
        if level.tail is not order:
            self._detach(level, order)
            self._link(level, order)

    def _link(self, level: Level, order: Order) -> None:
        last = level.tail
        order.before = last
        order.after = None
        if last is None:
            level.head = order
        else:
            last.after = order
        level.tail = order

    def _detach(self, level: Level, order: Order) -> None:
        before = order.before
        after = order.after
        if before is None:
            level.head = after
        else:
            before.after = after
        if after is None:
            level.tail = before
        else:
            after.before = before
        order.before = None
        order.after = None

    def _insert(self, price: int, rank: int) -> Level:
        level = Level(price, rank)
        self.levels[rank] = level
        best = self.best
        if best is None or rank > best.rank:
            self.ranks.append(rank)
            self.best = level
        else:
            self.ranks.insert(bisect_left(self.ranks, rank), rank)
        return level

    def _drop(self, level: Level) -> None:
        del self.levels[level.rank]
        if level is self.best:
            self.ranks.pop()
            self.best = self.levels[self.ranks[-1]] if self.ranks else None
        else:
            del self.ranks[bisect_left(self.ranks, level.rank)]


class OrderBook:
    """The book of one instrument; see the module's docstring for its interface."""

    __slots__ = ("_orders", "asks", "bids", "price_min", "tick_size")

    def __init__(self, tick_size: int, price_min: int) -> None:
        assert tick_size > 0
        self.tick_size = tick_size
        self.price_min = price_min
        self.bids = Ladder(1)
        self.asks = Ladder(-1)
        self._orders: dict[int, Order] = {}

    def place(  # noqa: PLR0913 -- plain ints are the cheapest call
        self,
        order_id: int,
        subaccount_id: int,
        owner_key: int,
        side: int,
        price: int,
        quantity: int,
        word: int = 0,
        max_show: int = 0,
    ) -> Placement:
        """Match an arriving order, then rest or cancel the rest; FOK and post-only decide first.

        `word` comes from `instruction_word()`. `max_show` is the slice that an iceberg displays, 0
        for all. Complexity: O(log L) to rest, O(1) for each fill.
        """
        assert order_id not in self._orders, "order_id already rests"
        self._assert_terms(side, price, quantity, max_show)
        placement = Placement(price)
        if word & _NO_MATCH:
            left = quantity
        elif self._refuses(placement, owner_key, side, quantity, word):
            return placement
        else:
            left = self._match(placement, owner_key, side, quantity, word)
        if left and word & _FIELD < _IOC:
            order = Order(order_id, subaccount_id, owner_key, side, placement.price, left, max_show)
            self._append(order)
            placement.resting_quantity = left
            placement.outcome = Outcome.RESTING
        elif left or placement.canceled_quantity:
            placement.outcome = (
                Outcome.SELF_TRADE_CANCELED if placement.canceled_quantity else Outcome.UNFILLED
            )
            placement.canceled_quantity += left
        else:
            placement.outcome = Outcome.FILLED
        return placement

    def amend(
        self, order_id: int, price: int, quantity: int, word: int = 0, max_show: int = 0
    ) -> Placement:
        """Give a resting order another price or remaining `quantity`; a refusal changes nothing.

        Priority is kept when only the quantity falls; all else is a cancel and a new arrival, which
        may trade. Complexity: as `reduce`, or as `cancel` and `place`.
        """
        order = self._orders[order_id]
        self._assert_terms(order.side, price, quantity, max_show)
        same = price == order.price and max_show == order.max_show
        if same and quantity <= order.remaining_quantity:
            self.reduce(order_id, quantity)
            placement = Placement(price)
            placement.resting_quantity = quantity
            return placement
        placement = Placement(price)
        if not word & _NO_MATCH and self._refuses(
            placement, order.owner_key, order.side, quantity, word
        ):
            return placement
        self.cancel(order_id)
        return self.place(
            order_id,
            order.subaccount_id,
            order.owner_key,
            order.side,
            price,
            quantity,
            word,
            max_show,
        )

    def reduce(self, order_id: int, quantity: int) -> int:
        """Let at most `quantity` of an order remain, in its place; returns what was removed.

        The hidden part of an iceberg goes first. 0 cancels. Complexity: O(1).
        """
        assert quantity >= 0
        order = self._orders.get(order_id)
        if order is None or quantity >= order.remaining_quantity:
            return 0
        if quantity == 0:
            return self.cancel(order_id)
        removed = order.remaining_quantity - quantity
        self._shrink(order, removed)
        return removed

    def cancel(self, order_id: int) -> int:
        """Take an order out; returns what remained, 0 if it does not rest. Complexity: O(1)."""
        order = self._orders.pop(order_id, None)
        if order is None:
            return 0
        self._ladder(order.side).unlink(order)
        return order.remaining_quantity

    def restore(  # noqa: PLR0913 -- the fields of a snapshot
        self,
        order_id: int,
        subaccount_id: int,
        owner_key: int,
        side: int,
        price: int,
        remaining_quantity: int,
        max_show: int,
        displayed_quantity: int,
    ) -> None:
        """Append an order from a snapshot as it was, without matching; call in priority order."""
        assert order_id not in self._orders
        order = Order(order_id, subaccount_id, owner_key, side, price, remaining_quantity, max_show)
        order.displayed_quantity = displayed_quantity
        self._append(order)

    def get(self, order_id: int) -> Order | None:
        """The resting order, or None. Complexity: O(1)."""
        return self._orders.get(order_id)

    @property
    def best_bid(self) -> int | None:
        """Highest price at which someone buys."""
        level = self.bids.best
        return None if level is None else level.price

    @property
    def best_ask(self) -> int | None:
        """Lowest price at which someone sells."""
        level = self.asks.best
        return None if level is None else level.price

    def levels(self, side: int, depth: int) -> list[tuple[int, int, int]]:
        """Levels best first, (price, displayed quantity, orders); `depth` 0 asks for all."""
        ladder = self._ladder(side)
        found = (ladder.levels[rank] for rank in reversed(ladder.ranks[-depth:]))
        return [(level.price, level.displayed, level.count) for level in found]

    def displayed_at(self, side: int, price: int) -> int:
        """Displayed quantity at one price, 0 if nobody is there. Complexity: O(1)."""
        ladder = self._ladder(side)
        level = ladder.levels.get(ladder.sign * price)
        return 0 if level is None else level.displayed

    def orders(self, side: int) -> Iterator[Order]:
        """Every order of one side in the order in which it would trade; do not touch the book."""
        ladder = self._ladder(side)
        for rank in reversed(ladder.ranks):
            order = ladder.levels[rank].head
            while order is not None:
                yield order
                order = order.after

    def __contains__(self, order_id: int) -> bool:
        return order_id in self._orders

    def __len__(self) -> int:
        """Number of resting orders."""
        return len(self._orders)

    def _ladder(self, side: int) -> Ladder:
        return self.asks if side else self.bids

    def _append(self, order: Order) -> None:
        self._ladder(order.side).append(order)
        self._orders[order.order_id] = order

    def _assert_terms(self, side: int, price: int, quantity: int, max_show: int) -> None:
        assert 0 <= side <= 1
        assert quantity > 0
        assert price >= self.price_min
        assert price % self.tick_size == 0, "price off the tick grid"
        assert 0 <= max_show <= quantity
        assert not max_show or max_show * ICEBERG_SLICES_MAX >= quantity, "slices too thin"

    def _refuses(
        self, placement: Placement, owner_key: int, side: int, quantity: int, word: int
    ) -> bool:
        """Decide FOK and post-only before anything changes; a reprice moves `placement.price`."""
        post_only = word >> _POST_ONLY_SHIFT & _FIELD
        if post_only:
            assert word & _FIELD < _IOC, "an order that may only make must be able to rest"
            refused = self._post_only_refuses(placement, side, post_only)
        elif word & _FIELD == _FOK:
            prevention = word >> _PREVENTION_SHIFT & _FIELD
            refused = not self._fillable(placement.price, owner_key, side, quantity, prevention)
            if refused:
                placement.outcome = Outcome.FOK_REFUSED
        else:
            return False
        if refused:
            placement.canceled_quantity = quantity
        return refused

    def _post_only_refuses(self, placement: Placement, side: int, post_only: int) -> bool:
        opposite = self._ladder(1 - side)
        best = opposite.best
        if best is None or best.rank < opposite.sign * placement.price:
            return False
        price = best.price + opposite.sign * self.tick_size
        if post_only == _POST_ONLY_REJECT or price < self.price_min:
            placement.outcome = Outcome.POST_ONLY_REFUSED
            return True
        placement.price = price
        return False

    def _fillable(
        self, price: int, owner_key: int, side: int, quantity: int, prevention: int
    ) -> bool:
        """Whether an order would fill in full. Complexity: O(orders within its price)."""
        ladder = self._ladder(1 - side)
        limit = ladder.sign * price
        for rank in reversed(ladder.ranks):
            if rank < limit:
                return False
            level = ladder.levels[rank]
            order = level.head
            ahead = 0  # displayed before the first own order: reserves requeue behind it
            total = level.quantity
            while order is not None:
                if order.owner_key == owner_key:
                    if prevention != _CANCEL_MAKER:
                        return ahead >= quantity
                    total -= order.remaining_quantity
                ahead += order.displayed_quantity
                order = order.after
            quantity -= total
            if quantity <= 0:
                return True
        return False

    def _match(
        self, placement: Placement, owner_key: int, side: int, quantity: int, word: int
    ) -> int:
        """Trade down the opposite side; returns what may still rest."""
        ladder = self._ladder(1 - side)
        limit = ladder.sign * placement.price
        level = ladder.best
        while quantity and level is not None and level.rank >= limit:
            maker = level.head
            assert maker is not None
            if maker.owner_key == owner_key:
                quantity = self._prevent(placement, maker, quantity, word)
            else:
                traded = min(quantity, maker.displayed_quantity)
                placement.fills.append((maker.order_id, level.price, traded))
                quantity -= traded
                self._take(ladder, level, maker, traded)
            level = ladder.best
        return quantity

    def _take(self, ladder: Ladder, level: Level, maker: Order, traded: int) -> None:
        """Remove a trade from a maker; an exhausted slice of an iceberg queues up again."""
        maker.remaining_quantity -= traded
        maker.displayed_quantity -= traded
        level.quantity -= traded
        level.displayed -= traded
        if maker.remaining_quantity == 0:
            del self._orders[maker.order_id]
            ladder.unlink(maker)
        elif maker.displayed_quantity == 0:
            maker.displayed_quantity = min(maker.max_show, maker.remaining_quantity)
            level.displayed += maker.displayed_quantity
            ladder.requeue(level, maker)

    def _prevent(self, placement: Placement, maker: Order, quantity: int, word: int) -> int:
        """Apply self-trade prevention to a pair; returns what the taker keeps."""
        prevention = word >> _PREVENTION_SHIFT & _FIELD
        if prevention == _CANCEL_TAKER:
            placement.canceled_quantity += quantity
            return 0
        removed = maker.remaining_quantity
        if prevention > _CANCEL_BOTH:
            removed = min(removed, quantity)
        self.reduce(maker.order_id, maker.remaining_quantity - removed)
        rests = maker.remaining_quantity if maker.level is not None else 0
        placement.prevented.append((maker.order_id, removed, rests))
        if prevention == _CANCEL_MAKER:
            return quantity
        lost = quantity if prevention == _CANCEL_BOTH else removed
        placement.canceled_quantity += lost
        return quantity - lost

    def _shrink(self, order: Order, removed: int) -> None:
        level = order.level
        assert level is not None
        order.remaining_quantity -= removed
        level.quantity -= removed
        hidden = order.displayed_quantity - order.remaining_quantity
        if hidden > 0:
            order.displayed_quantity -= hidden
            level.displayed -= hidden

    def check(self) -> None:
        """Assert every representation invariant. Complexity: O(orders)."""
        seen = self._check_ladder(self.bids, 0) + self._check_ladder(self.asks, 1)
        assert seen == len(self._orders)

    def _check_ladder(self, ladder: Ladder, side: int) -> int:
        ranks = ladder.ranks
        assert ranks == sorted(set(ranks))
        assert set(ranks) == set(ladder.levels)
        assert ladder.best is (ladder.levels[ranks[-1]] if ranks else None)
        return sum(self._check_level(ladder, rank, side) for rank in ranks)

    def _check_level(self, ladder: Ladder, rank: int, side: int) -> int:
        level = ladder.levels[rank]
        assert level.rank == rank == ladder.sign * level.price
        count = quantity = displayed = 0
        before: Order | None = None
        order = level.head
        while order is not None:
            assert order.before is before
            assert order.level is level
            assert (order.side, order.price) == (side, level.price)
            assert self._orders[order.order_id] is order
            assert 0 < order.displayed_quantity <= order.remaining_quantity
            if order.max_show == 0:
                assert order.displayed_quantity == order.remaining_quantity
            else:
                assert order.displayed_quantity <= order.max_show
            count += 1
            quantity += order.remaining_quantity
            displayed += order.displayed_quantity
            before, order = order, order.after
        assert level.tail is before
        assert (level.count, level.quantity, level.displayed) == (count, quantity, displayed)
        assert count > 0
        return count
