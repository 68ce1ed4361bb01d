"""One seeded flow of orders for every engine: the same prefill, the same operations.

55 % passive adds around a random-walk mid over a few hundred ticks, 35 % cancels of a random
resting order, 10 % aggressive orders whose limit reaches through 1-5 levels. An aggressive order
never asks for more than rests within its limit, so that it fills in full in an engine without IOC
too. It takes about two orders, which is what the adds leave over; while the books hold more than
they should, it takes all levels within its limit: so the number of resting orders is steady.
Takers own no resting orders: self-trade prevention runs on every fill and never fires, because most
peers have none and would then see another flow.
"""

import random
from typing import NamedTuple

from exchange.matching.book import OrderBook

ADD, CANCEL, TAKE = 0, 1, 2
MAKERS = 50
TAKER = 51
SPAN_TICKS = 300  # passive orders lie up to so many ticks away from the mid
MID_START = 10_000
QUANTITY_MAX = 100
# Levels that an aggressive order reaches, and their weights.
REACH = ((1, 2, 3, 4, 5), (0.48, 0.24, 0.14, 0.08, 0.06))


class Operation(NamedTuple):
    """One call: `order_id` is the new order's, or the one to cancel."""

    kind: int
    instrument: int
    order_id: int
    side: int
    price: int
    quantity: int
    owner: int


class Live:
    """The resting orders of one instrument's book, as the flow's maker sees them."""

    def __init__(self) -> None:
        self.book = OrderBook(1, 1)
        self.mid = MID_START


class FlowMaker:
    """Draws operations against reference books, so that cancels and takers find what they need."""

    def __init__(self, seed: int, instruments: int, target: int) -> None:
        self.rng = random.Random(seed)
        self.target = target
        self.live = [Live() for _ in range(instruments)]
        self.resting: list[tuple[int, int]] = []  # (instrument, order_id), in no order
        self.place_of: dict[int, int] = {}
        self.next_id = 1

    def add(self) -> Operation:
        """A passive order, never crossing."""
        rng = self.rng
        instrument = rng.randrange(len(self.live))
        live = self.live[instrument]
        live.mid += rng.choice((-1, 0, 0, 1))
        side = rng.randrange(2)
        distance = 1 + int(SPAN_TICKS * rng.random() ** 2)  # denser near the mid
        price = live.mid + distance if side else live.mid - distance
        bid, ask = live.book.best_bid, live.book.best_ask
        if side == 0 and ask is not None:
            price = min(price, ask - 1)
        elif side == 1 and bid is not None:
            price = max(price, bid + 1)
        order_id, self.next_id = self.next_id, self.next_id + 1
        owner, quantity = rng.randint(1, MAKERS), rng.randint(1, QUANTITY_MAX)
        live.book.place(order_id, owner, owner, side, price, quantity)
        self.place_of[order_id] = len(self.resting)
        self.resting.append((instrument, order_id))
        return Operation(ADD, instrument, order_id, side, price, quantity, owner)

    def cancel(self) -> Operation:
        """Cancel of any resting order."""
        instrument, order_id = self.rng.choice(self.resting)
        self.live[instrument].book.cancel(order_id)
        self.forget(order_id)
        return Operation(CANCEL, instrument, order_id, 0, 0, 0, 0)

    def take(self) -> Operation:
        """An aggressive order that fills in full, against the side of any resting order."""
        rng = self.rng
        instrument, resting_id = rng.choice(self.resting)
        book = self.live[instrument].book
        maker = book.get(resting_id)
        assert maker is not None
        side = 1 - maker.side
        reach = rng.choices(*REACH)[0]
        levels = book.levels(1 - side, reach)
        available = sum(level[1] for level in levels)
        quantity = min(available, reach * (QUANTITY_MAX // 2))
        if len(self.resting) > self.target:
            quantity = available
        order_id, self.next_id = self.next_id, self.next_id + 1
        price = levels[-1][0]
        placement = book.place(order_id, TAKER, TAKER, side, price, quantity)
        for maker_id in {fill[0] for fill in placement.fills}:
            if maker_id not in book:
                self.forget(maker_id)
        return Operation(TAKE, instrument, order_id, side, price, quantity, TAKER)

    def forget(self, order_id: int) -> None:
        """Take an order off the list in O(1)."""
        position = self.place_of.pop(order_id)
        last = self.resting.pop()
        if last[1] != order_id:
            self.resting[position] = last
            self.place_of[last[1]] = position


def make_flow(
    seed: int, instruments: int, resting: int, operations: int
) -> tuple[list[Operation], list[Operation]]:
    """(prefill, operations): plain adds up to `resting` orders, then the mixed flow."""
    maker = FlowMaker(seed, instruments, resting)
    prefill = [maker.add() for _ in range(resting)]
    flow: list[Operation] = []
    while len(flow) < operations:
        draw = maker.rng.random()
        if draw < 0.55 or not maker.resting:
            flow.append(maker.add())
        elif draw < 0.90:
            flow.append(maker.cancel())
        else:
            flow.append(maker.take())
    return prefill, flow
