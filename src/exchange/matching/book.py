"""One instrument's order book: price-time priority, plain integers in, plain results out.

It must never know accounts, margin, money, fees, time, events or refusals for users: it is told an
order, it says what traded, what was taken away and what rests. Same calls, same results, always.

    book = OrderBook(tick_size, price_min, fills_max)
    placement = book.place(order_id, subaccount_id, owner_key, side, price, quantity,
                           word, max_show)
    placement = book.amend(order_id, price, quantity, word, max_show)
    removed = book.reduce(order_id, quantity)      # what may remain; keeps priority
    removed = book.cancel(order_id)                # 0 if it does not rest
    order = book.get(order_id)                     # Order or None
    book.best_bid, book.best_ask                   # price or None
    book.take(order_id, quantity)                  # a trade that was decided elsewhere
    book.levels(side, depth)                       # [(price, displayed quantity, orders)]
    book.orders(side)                              # [Order] in priority order
    book.check()

The pair of arrays and offsets below instead of objects is what makes it fast: see ADR 0003. With a
C compiler the same source runs compiled, typed by `book.pxd`.

Prices are micro-USDC per contract and multiples of `tick_size`, quantities 1e-4 contracts; the book
of a combo has negative prices too (`price_min`). A market order is an IOC priced at the end of its
protection band. GTD rests like GTC: who has the time cancels it. The caller validates, the book
asserts.
"""

from array import array
from typing import Final

from exchange.fixed import div_up
from exchange.matching.index import Index
from exchange.matching.ladder import Ladder, doubled
from exchange.matching.placement import (
    CANCEL_BOTH,
    CANCEL_MAKER,
    CANCEL_TAKER,
    CUT_SHORT,
    FIELD,
    FILLED,
    FOK,
    FOK_REFUSED,
    IOC,
    NO_MATCH,
    POST_ONLY_REFUSED,
    POST_ONLY_REJECT,
    POST_ONLY_SHIFT,
    PREVENTION_SHIFT,
    RESTING,
    SELF_TRADE_CANCELED,
    UNFILLED,
    Order,
    Outcome,
    Placement,
    PostOnly,
    instruction_word,
)

__all__ = [
    "ICEBERG_SLICES_MAX",
    "Order",
    "OrderBook",
    "Outcome",
    "Placement",
    "PostOnly",
    "instruction_word",
]

ICEBERG_SLICES_MAX: Final = 100  # bounds the fills that one iceberg can cost one taker

# A record is nine words of one array; its offset is its name. Record 0 stays unused: 0 is "none".
# A level heads the ring of its orders: before it is the last order, after it the first.
_RECORD: Final = 9
_ORDER_ID: Final = 0
_OWNER: Final = 1
_REMAINING: Final = 2  # of a level: the sum over its orders
_DISPLAYED: Final = 3  # likewise
_MAX_SHOW: Final = 4
_BEFORE: Final = 5
_AFTER: Final = 6
_LEVEL: Final = 7
_SUBACCOUNT: Final = 8
_RANK: Final = 0  # level: words shared with an order's
_SIDE: Final = 1
_COUNT: Final = 4

_START: Final = 32  # records at first: so that a book that is almost empty need not grow
_NOTHING: Final[tuple[tuple[int, int, int], ...]] = ()


def _placement(price: int) -> Placement:
    placement = Placement.__new__(Placement)
    placement.outcome = 0
    placement.price = price
    placement.resting_quantity = 0
    placement.canceled_quantity = 0
    placement.fills = _NOTHING
    placement.prevented = _NOTHING
    return placement


class OrderBook(Index):
    """The book of one instrument; see the module's docstring for its interface.

    It is the index of its own records: one object less to fetch for each call.
    """

    __slots__ = (
        "_free",
        "_used",
        "asks",
        "bids",
        "fills_max",
        "price_min",
        "tick_size",
    )

    def __init__(self, tick_size: int, price_min: int, fills_max: int = 1 << 62) -> None:
        assert min(tick_size, fills_max) > 0
        super().__init__(array("q", bytes(8 * _RECORD * _START)))
        self.tick_size = tick_size
        self.price_min = price_min
        self.fills_max = fills_max  # of one arriving order, whose rest is canceled
        self.bids = Ladder(1)
        self.asks = Ladder(-1)
        self._used = _RECORD  # words of the array that hold records, free ones included
        self._free = 0  # first record of the free list, linked by _AFTER

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
        assert order_id > 0
        assert self.find(order_id) == 0, "order_id already rests"
        self._assert_terms(side, price, quantity, max_show)
        placement = _placement(price)
        if word & NO_MATCH:
            left = quantity
        elif self._refuses(placement, owner_key, side, quantity, word):
            return placement
        else:
            left = self._match(placement, owner_key, side, quantity, word)
        if left and word & FIELD < IOC and placement.outcome != CUT_SHORT:
            at = self._append(order_id, owner_key, side, placement.price, left, max_show)
            self.records[at + _SUBACCOUNT] = subaccount_id
            placement.resting_quantity = left
            placement.outcome = RESTING
        elif left or placement.canceled_quantity:
            if placement.outcome != CUT_SHORT:
                placement.outcome = SELF_TRADE_CANCELED if placement.canceled_quantity else UNFILLED
            placement.canceled_quantity += left
        else:
            placement.outcome = FILLED
        return placement

    def amend(
        self, order_id: int, price: int, quantity: int, word: int = 0, max_show: int = 0
    ) -> Placement:
        """Give a resting order another price or remaining `quantity`; a refusal changes nothing.

        Priority is kept when only the quantity falls, an iceberg's slice with it; all else is a
        cancel and a new arrival, which may trade. Complexity: as `reduce`, or `cancel` and `place`.
        """
        order = self.get(order_id)
        assert order is not None
        self._assert_terms(order.side, price, quantity, max_show)
        placement = _placement(price)
        same = price == order.price and max_show == min(order.max_show, quantity)
        if same and quantity <= order.remaining_quantity:
            self.reduce(order_id, quantity)
            placement.resting_quantity = quantity
            return placement
        if not word & NO_MATCH and self._refuses(
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
        at = self.find(order_id)
        if at == 0 or quantity >= self.records[at + _REMAINING]:
            return 0
        if quantity == 0:
            return self._remove(at)
        removed = self.records[at + _REMAINING] - quantity
        self._shrink(at, quantity)
        return removed

    def cancel(self, order_id: int) -> int:
        """Take an order out; returns what remained, 0 if it does not rest. Complexity: O(1)."""
        at = self.find(order_id)
        if at == 0:
            return 0
        return self._remove(at)

    def take(self, order_id: int, quantity: int) -> None:
        """Trade with one resting order as a taker at its price does, whoever is ahead of it."""
        at = self.find(order_id)
        assert 0 < quantity <= self.records[at + _DISPLAYED]
        self._take(at, quantity)

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
        assert order_id > 0
        assert self.find(order_id) == 0
        self._assert_terms(side, price, remaining_quantity, 0)
        assert 0 < displayed_quantity <= (max_show or remaining_quantity)
        at = self._append(order_id, owner_key, side, price, remaining_quantity, max_show)
        self.records[at + _SUBACCOUNT] = subaccount_id
        level = self.records[at + _LEVEL]
        self.records[level + _DISPLAYED] += displayed_quantity - self.records[at + _DISPLAYED]
        self.records[at + _DISPLAYED] = displayed_quantity

    def get(self, order_id: int) -> Order | None:
        """The resting order as it is now, or None. Complexity: O(1)."""
        at = self.find(order_id)
        return self._order(at) if at else None

    @property
    def best_bid(self) -> int | None:
        """Highest price at which someone buys."""
        count = self.bids.count
        return self.bids.words[count - 1] if count else None

    @property
    def best_ask(self) -> int | None:
        """Lowest price at which someone sells."""
        count = self.asks.count
        return -self.asks.words[count - 1] if count else None

    def levels(self, side: int, depth: int) -> list[tuple[int, int, int]]:
        """Levels best first, (price, displayed quantity, orders); `depth` 0 asks for all."""
        ladder = self._ladder(side)
        count = ladder.count
        last = count - depth if 0 < depth < count else 0
        found = []
        for position in range(count - 1, last - 1, -1):
            level = ladder.words[ladder.room + position]
            price = ladder.sign * ladder.words[position]
            found.append((price, self.records[level + _DISPLAYED], self.records[level + _COUNT]))
        return found

    def orders(self, side: int, depth: int = 0) -> list[Order]:
        """Orders of the best `depth` levels (0: all) as they would trade. Complexity: O(orders)."""
        ladder = self._ladder(side)
        last = ladder.count - depth if 0 < depth < ladder.count else 0
        found = []
        for position in range(ladder.count - 1, last - 1, -1):
            level = ladder.words[ladder.room + position]
            at = self.records[level + _AFTER]
            while at != level:
                found.append(self._order(at))
                at = self.records[at + _AFTER]
        return found

    def __contains__(self, order_id: int) -> bool:
        return self.find(order_id) != 0

    def __len__(self) -> int:
        """Number of resting orders."""
        return self.count

    def _ladder(self, side: int) -> Ladder:
        return self.asks if side else self.bids

    def _order(self, at: int) -> Order:
        level = self.records[at + _LEVEL]
        side = self.records[level + _SIDE]
        rank = self.records[level + _RANK]
        return Order(
            self.records[at + _ORDER_ID],
            self.records[at + _SUBACCOUNT],
            self.records[at + _OWNER],
            side,
            -rank if side else rank,
            self.records[at + _REMAINING],
            self.records[at + _DISPLAYED],
            self.records[at + _MAX_SHOW],
        )

    def _assert_terms(self, side: int, price: int, quantity: int, max_show: int) -> None:
        assert 0 <= side <= 1
        assert quantity > 0
        assert price >= self.price_min
        assert price % self.tick_size == 0, "price off the tick grid"
        if max_show:
            assert 0 < max_show <= quantity
            assert max_show * ICEBERG_SLICES_MAX >= quantity, "slices too thin"

    def _new_record(self) -> int:
        at = self._free
        if at:
            self._free = self.records[at + _AFTER]
            return at
        at = self._used
        self._used = at + _RECORD
        if self._used > len(self.records):
            self.records = doubled(self.records)
        return at

    def _free_record(self, at: int) -> None:
        self.records[at + _AFTER] = self._free
        self._free = at

    def _append(
        self, order_id: int, owner_key: int, side: int, price: int, quantity: int, max_show: int
    ) -> int:
        """Rest an order last at its price. Complexity: O(log L), O(L) moves for a new level."""
        level = self._level(side, price)
        at = self._new_record()
        displayed = quantity
        if 0 < max_show < quantity:
            displayed = max_show
        self.records[at + _ORDER_ID] = order_id
        self.records[at + _OWNER] = owner_key
        self.records[at + _REMAINING] = quantity
        self.records[at + _DISPLAYED] = displayed
        self.records[at + _MAX_SHOW] = max_show
        self.records[at + _LEVEL] = level
        self.records[level + _REMAINING] += quantity
        self.records[level + _DISPLAYED] += displayed
        self.records[level + _COUNT] += 1
        self._link(level, at)
        self.put(order_id, at)
        return at

    def _level(self, side: int, price: int) -> int:
        """The level at a price, made if nobody is there."""
        ladder = self._ladder(side)
        rank = ladder.sign * price
        position = ladder.seek(rank)
        if position < ladder.count and ladder.words[position] == rank:
            return ladder.words[ladder.room + position]
        level = self._new_record()
        self.records[level + _RANK] = rank
        self.records[level + _SIDE] = side
        self.records[level + _REMAINING] = 0
        self.records[level + _DISPLAYED] = 0
        self.records[level + _COUNT] = 0
        self.records[level + _BEFORE] = level
        self.records[level + _AFTER] = level
        ladder.insert(position, rank, level)
        return level

    def _link(self, level: int, at: int) -> None:
        last = self.records[level + _BEFORE]
        self.records[at + _BEFORE] = last
        self.records[at + _AFTER] = level
        self.records[last + _AFTER] = at
        self.records[level + _BEFORE] = at

    def _unlink(self, at: int) -> None:
        before = self.records[at + _BEFORE]
        after = self.records[at + _AFTER]
        self.records[before + _AFTER] = after
        self.records[after + _BEFORE] = before

    def _remove(self, at: int) -> int:
        """Take an order out, and its level if it was the last one there; returns what remained."""
        level = self.records[at + _LEVEL]
        remaining = self.records[at + _REMAINING]
        self.records[level + _REMAINING] -= remaining
        self.records[level + _DISPLAYED] -= self.records[at + _DISPLAYED]
        self.records[level + _COUNT] -= 1
        self._unlink(at)
        self.drop(self.records[at + _ORDER_ID])
        self._free_record(at)
        if self.records[level + _COUNT] == 0:
            ladder = self._ladder(self.records[level + _SIDE])
            ladder.remove(ladder.seek(self.records[level + _RANK]))
            self._free_record(level)
        return remaining

    def _shrink(self, at: int, quantity: int) -> None:
        """Leave `quantity` of an order, hidden part first to go."""
        level = self.records[at + _LEVEL]
        self.records[level + _REMAINING] -= self.records[at + _REMAINING] - quantity
        self.records[at + _REMAINING] = quantity
        if self.records[at + _DISPLAYED] > quantity:
            self.records[level + _DISPLAYED] -= self.records[at + _DISPLAYED] - quantity
            self.records[at + _DISPLAYED] = quantity

    def _refuses(
        self, placement: Placement, owner_key: int, side: int, quantity: int, word: int
    ) -> bool:
        """Decide FOK and post-only before anything changes; a reprice moves `placement.price`."""
        post_only = word >> POST_ONLY_SHIFT & FIELD
        refused = False
        if post_only:
            assert word & FIELD < IOC, "an order that may only make must be able to rest"
            refused = self._post_only_refuses(placement, side, post_only)
        elif word & FIELD == FOK:
            prevention = word >> PREVENTION_SHIFT & FIELD
            refused = not self._fillable(placement.price, owner_key, side, quantity, prevention)
            if refused:
                placement.outcome = FOK_REFUSED
        if refused:
            placement.canceled_quantity = quantity
        return refused

    def _post_only_refuses(self, placement: Placement, side: int, post_only: int) -> bool:
        opposite = self._ladder(1 - side)
        if opposite.count == 0:
            return False
        best = opposite.words[opposite.count - 1]
        if best < opposite.sign * placement.price:
            return False
        price = opposite.sign * (best + self.tick_size)
        if post_only == POST_ONLY_REJECT or price < self.price_min:
            placement.outcome = POST_ONLY_REFUSED
            return True
        placement.price = price
        return False

    def _fillable(
        self, price: int, owner_key: int, side: int, quantity: int, prevention: int
    ) -> bool:
        """Whether an order would fill in full, in few enough fills. Complexity: O(its makers)."""
        ladder = self._ladder(1 - side)
        position = ladder.count - 1
        fills = 0
        while position >= 0 and ladder.words[position] >= ladder.sign * price:
            level = ladder.words[ladder.room + position]
            total = self.records[level + _REMAINING]
            ahead = slices = 0  # displayed before the first own order: reserves requeue behind it
            at = self.records[level + _AFTER]
            while at != level:
                if self.records[at + _OWNER] == owner_key:
                    if prevention != CANCEL_MAKER:
                        return ahead >= quantity and fills <= self.fills_max
                    total -= self.records[at + _REMAINING]
                else:
                    if ahead < quantity:
                        fills += 1
                    hidden = self.records[at + _REMAINING] - self.records[at + _DISPLAYED]
                    slices += div_up(hidden, self.records[at + _MAX_SHOW] or 1)
                    ahead += self.records[at + _DISPLAYED]
                at = self.records[at + _AFTER]
            if ahead < quantity:
                fills += slices
            quantity -= total
            if quantity <= 0:
                return fills <= self.fills_max
            position -= 1
        return False

    def _match(
        self, placement: Placement, owner_key: int, side: int, quantity: int, word: int
    ) -> int:
        """Trade down the opposite side; returns what may still rest."""
        ladder = self._ladder(1 - side)
        limit = ladder.sign * placement.price
        if ladder.count == 0 or ladder.words[ladder.count - 1] < limit:
            return quantity
        fills: list[tuple[int, int, int]] = []
        placement.fills = fills
        while quantity and ladder.count and ladder.words[ladder.count - 1] >= limit:
            price = ladder.sign * ladder.words[ladder.count - 1]
            maker = self.records[ladder.words[ladder.room + ladder.count - 1] + _AFTER]
            if self.records[maker + _OWNER] == owner_key:
                quantity = self._prevent(placement, maker, quantity, word)
            elif len(fills) == self.fills_max:
                placement.outcome = CUT_SHORT
                return quantity
            else:
                traded = self.records[maker + _DISPLAYED]
                if traded > quantity:
                    traded = quantity
                fills.append((self.records[maker + _ORDER_ID], price, traded))
                quantity -= traded
                self._take(maker, traded)
        return quantity

    def _take(self, maker: int, traded: int) -> None:
        """Remove a trade from a maker; an exhausted slice of an iceberg queues up again."""
        if self.records[maker + _REMAINING] == traded:
            self._remove(maker)
            return
        level = self.records[maker + _LEVEL]
        self.records[maker + _REMAINING] -= traded
        self.records[maker + _DISPLAYED] -= traded
        self.records[level + _REMAINING] -= traded
        self.records[level + _DISPLAYED] -= traded
        if self.records[maker + _DISPLAYED] == 0:
            displayed = self.records[maker + _MAX_SHOW]
            if displayed > self.records[maker + _REMAINING]:
                displayed = self.records[maker + _REMAINING]
            self.records[maker + _DISPLAYED] = displayed
            self.records[level + _DISPLAYED] += displayed
            self._unlink(maker)
            self._link(level, maker)

    def _prevent(self, placement: Placement, maker: int, quantity: int, word: int) -> int:
        """Apply self-trade prevention to a pair; returns what the taker keeps."""
        prevention = word >> PREVENTION_SHIFT & FIELD
        if prevention == CANCEL_TAKER:
            placement.canceled_quantity += quantity
            return 0
        order_id = self.records[maker + _ORDER_ID]
        removed = self.records[maker + _REMAINING]
        rests = 0
        if prevention > CANCEL_BOTH and quantity < removed:
            rests = removed - quantity
            removed = quantity
        if rests:
            self._shrink(maker, rests)
        else:
            self._remove(maker)
        placement.prevented = [*placement.prevented, (order_id, removed, rests)]
        if prevention == CANCEL_MAKER:
            return quantity
        lost = quantity if prevention == CANCEL_BOTH else removed
        placement.canceled_quantity += lost
        return quantity - lost

    def check(self) -> None:
        """Assert every representation invariant. Complexity: O(orders)."""
        seen = self._check_ladder(self.bids, 0) + self._check_ladder(self.asks, 1)
        assert seen == len(self)
        spare = 0
        at = self._free
        while at:
            spare += 1
            at = self.records[at + _AFTER]
        levels = self.bids.count + self.asks.count
        assert self._used == _RECORD * (1 + seen + levels + spare), "a record leaked"

    def _check_ladder(self, ladder: Ladder, side: int) -> int:
        ranks = list(ladder.words)[: ladder.count]
        assert ranks == sorted(set(ranks))
        assert len(ranks) == ladder.count
        seen = 0
        for position in range(ladder.count):
            seen += self._check_level(
                ladder.words[ladder.room + position], ladder.words[position], side
            )
        return seen

    def _check_level(self, level: int, rank: int, side: int) -> int:
        assert (self.records[level + _RANK], self.records[level + _SIDE]) == (rank, side)
        count = remaining = displayed = 0
        before = level
        at = self.records[level + _AFTER]
        while at != level:
            assert self.records[at + _BEFORE] == before
            assert self.records[at + _LEVEL] == level
            assert self.find(self.records[at + _ORDER_ID]) == at
            limit = self.records[at + _MAX_SHOW] or self.records[at + _REMAINING]
            assert 0 < self.records[at + _DISPLAYED] <= min(limit, self.records[at + _REMAINING])
            count += 1
            remaining += self.records[at + _REMAINING]
            displayed += self.records[at + _DISPLAYED]
            before = at
            at = self.records[at + _AFTER]
        assert self.records[level + _BEFORE] == before
        totals = (
            self.records[level + _COUNT],
            self.records[level + _REMAINING],
            self.records[level + _DISPLAYED],
        )
        assert totals == (count, remaining, displayed)
        assert count > 0
        return count
