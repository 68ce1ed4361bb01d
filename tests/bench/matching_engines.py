"""Runs one engine over one flow and prints what it measured as JSON; a process of its own each.

`python matching_engines.py ENGINE FLOW.pickle`, under the interpreter that has the engine. Each
adapter turns the flow into (function, arguments) pairs before the clock starts: what an engine
wants prepared, such as a Decimal, an order object or a command, costs it nothing. The loop is the
same for all. Knows nothing of the exchange but through its own adapter.
"""

import gc
import json
import logging
import os
import pickle
import sys
import time

ADD, CANCEL, TAKE = 0, 1, 2
PREFILL_SECONDS_MAX = 12
RUN_SECONDS_MAX = 2
CHUNK = 500  # operations between two looks at the clock


class Exchange:
    """The book of this repository, self-trade prevention and all assertions on."""

    def __init__(self, instruments):
        from exchange.matching import book

        self.books = [book.OrderBook(1, 1) for _ in range(instruments)]
        self.compiled = not book.__file__.endswith(".py")

    def prepare(self, operations):
        return [
            (self.books[o.instrument].cancel, (o.order_id,))
            if o.kind == CANCEL
            else (
                self.books[o.instrument].place,
                (o.order_id, o.owner, o.owner, o.side, o.price, o.quantity),
            )
            for o in map(Operation._make, operations)
        ]

    def resting(self):
        return sum(map(len, self.books))


class LimitOrderBook:
    """limit-order-book: C++ behind ctypes; returns no fills."""

    def __init__(self, instruments):
        from limit_order_book.limit_order_book import LimitOrderBook as Book

        self.books = [Book() for _ in range(instruments)]

    def prepare(self, operations):
        calls = []
        for o in map(Operation._make, operations):
            book = self.books[o.instrument]
            if o.kind == CANCEL:
                calls.append((book.cancel, (o.order_id,)))
            else:
                place = book.limit_sell if o.side else book.limit_buy
                calls.append((place, (o.order_id, o.quantity, o.price)))
        return calls

    def resting(self):
        return sum(book.count() for book in self.books)


class Litebook:
    """litebook: Rust; it makes up the ids, floats for price and quantity."""

    def __init__(self, instruments):
        import litebook

        self.sides = (litebook.OrderType.Buy, litebook.OrderType.Sell)
        self.books = [litebook.OrderBook(tick_size=1.0) for _ in range(instruments)]
        self.ids = {}

    def place(self, book, order_id, side, price, quantity):
        order = book.create_order(side, price, quantity)
        self.ids[order_id] = order.id
        return book.add(order)

    def cancel(self, book, order_id):
        return book.cancel(self.ids.pop(order_id))

    def prepare(self, operations):
        return [
            (self.cancel, (self.books[o.instrument], o.order_id))
            if o.kind == CANCEL
            else (
                self.place,
                (
                    self.books[o.instrument],
                    o.order_id,
                    self.sides[o.side],
                    float(o.price),
                    float(o.quantity),
                ),
            )
            for o in map(Operation._make, operations)
        ]

    def resting(self):
        return sum(len(book.buy_orders) + len(book.sell_orders) for book in self.books)


class Liquibook:
    """liquibook: the C++ engine behind SWIG, without listeners, so that it reports nothing."""

    def __init__(self, instruments):
        import liquibook

        self.order = liquibook.SimpleOrder
        self.books = [liquibook.liquibook_book_OrderBook() for _ in range(instruments)]
        self.orders = {}

    def prepare(self, operations):
        calls = []
        for o in map(Operation._make, operations):
            book = self.books[o.instrument]
            if o.kind == CANCEL:
                calls.append((book.cancel, (self.orders.pop(o.order_id),)))
                continue
            order = self.order(o.side == 0, o.price, o.quantity)
            self.orders[o.order_id] = order
            calls.append((book.add, (order,)))
        return calls

    def resting(self):
        return sum(len(book.bids()) + len(book.asks()) for book in self.books)


class LightMatchingEngine:
    """lightmatchingengine: plain Python; it makes up the ids."""

    def __init__(self, instruments):
        from lightmatchingengine.lightmatchingengine import LightMatchingEngine as Engine
        from lightmatchingengine.lightmatchingengine import Side

        self.engine = Engine()
        self.sides = (Side.BUY, Side.SELL)
        self.ids = {}

    def place(self, order_id, instrument, price, quantity, side):
        order, trades = self.engine.add_order(instrument, price, quantity, side)
        self.ids[order_id] = order.order_id
        return trades

    def cancel(self, order_id, instrument):
        return self.engine.cancel_order(self.ids.pop(order_id), instrument)

    def prepare(self, operations):
        return [
            (self.cancel, (o.order_id, o.instrument))
            if o.kind == CANCEL
            else (
                self.place,
                (o.order_id, o.instrument, o.price, o.quantity, self.sides[o.side]),
            )
            for o in map(Operation._make, operations)
        ]

    def resting(self):
        books = self.engine.order_books.values()
        return sum(len(level) for b in books for s in (b.bids, b.asks) for level in s.values())


class MatchingEngine:
    """matching-engine: plain Python on msgspec commands; needs Python 3.12."""

    def __init__(self, instruments):
        from matching_engine import domain
        from matching_engine.engine import MatchingEngine as Engine

        self.domain = domain
        self.engines = [Engine() for _ in range(instruments)]
        self.seq = 0
        self.owner = {}

    def prepare(self, operations):
        domain = self.domain
        calls = []
        for o in map(Operation._make, operations):
            self.seq += 1
            if o.kind == CANCEL:
                command = domain.CancelOrder(o.order_id, self.owner[o.order_id])
            else:
                side = domain.Side.SELL if o.side else domain.Side.BUY
                command = domain.NewOrder(o.order_id, o.owner, side, o.price, o.quantity)
                self.owner[o.order_id] = o.owner
            sequenced = domain.SequencedCommand(self.seq, self.seq, command)
            calls.append((self.engines[o.instrument].process, (sequenced,)))
        return calls

    def resting(self):
        return sum(len(engine.book) for engine in self.engines)


class Nautilus:
    """nautilus_trader's L3 book matches nothing: a taker is given as what becomes of its makers.

    Which makers a taker empties comes from a plain book run beside it while preparing.
    """

    def __init__(self, instruments):
        from nautilus_trader.model.book import OrderBook
        from nautilus_trader.model.data import BookOrder
        from nautilus_trader.model.enums import BookType, OrderSide
        from nautilus_trader.model.identifiers import InstrumentId
        from nautilus_trader.model.objects import Price, Quantity

        self.order, self.price, self.quantity = BookOrder, Price, Quantity
        self.sides = (OrderSide.BUY, OrderSide.SELL)
        self.books = [
            OrderBook(InstrumentId.from_str(f"I{i}.X"), BookType.L3_MBO) for i in range(instruments)
        ]
        self.shadow = [({}, {}) for _ in range(instruments)]  # side: {price: {order_id: quantity}}
        self.where = {}

    def make(self, side, price, quantity, order_id):
        return self.order(
            self.sides[side], self.price(price, 0), self.quantity(quantity, 0), order_id
        )

    def prepare(self, operations):
        calls = []
        for o in map(Operation._make, operations):
            book = self.books[o.instrument]
            if o.kind == ADD:
                level = self.shadow[o.instrument][o.side].setdefault(o.price, {})
                level[o.order_id] = o.quantity
                self.where[o.order_id] = (o.side, o.price)
                calls.append((book.add, (self.make(o.side, o.price, o.quantity, o.order_id), 0)))
            elif o.kind == CANCEL:
                side, price = self.where[o.order_id]
                quantity = self.drop(o.instrument, side, price, o.order_id)
                calls.append((book.delete, (self.make(side, price, quantity, o.order_id), 0)))
            else:
                calls.append((self.follow, (book, self.fills(o))))
        return calls

    def drop(self, instrument, side, price, order_id):
        levels = self.shadow[instrument][side]
        quantity = levels[price].pop(order_id)
        if not levels[price]:
            del levels[price]
        return quantity

    def fills(self, o):
        """(order, whether it is gone) for each maker of a taker."""
        side, left, touched = 1 - o.side, o.quantity, []
        levels = self.shadow[o.instrument][side]
        while left:
            price = max(levels) if o.side else min(levels)
            order_id, quantity = next(iter(levels[price].items()))
            if quantity <= left:
                self.drop(o.instrument, side, price, order_id)
                touched.append((self.make(side, price, quantity, order_id), True))
            else:
                levels[price][order_id] -= left
                touched.append((self.make(side, price, quantity - left, order_id), False))
            left -= min(left, quantity)
        return touched

    def follow(self, book, touched):
        for order, gone in touched:
            if gone:
                book.delete(order, 0)
            else:
                book.update(order, 0)

    def resting(self):
        sides = (side for book in self.books for side in (book.bids(), book.asks()))
        return sum(len(level.orders()) for side in sides for level in side)


class CythonOrderbook:
    """cython-orderbook: Cython; Decimal prices, order objects that make up their ids."""

    def __init__(self, instruments):
        import cython_orderbook

        self.order = cython_orderbook.Order
        self.sides = (cython_orderbook.OrderSide.BID, cython_orderbook.OrderSide.ASK)
        self.books = [cython_orderbook.OrderBook() for _ in range(instruments)]
        self.orders = {}

    def prepare(self, operations):
        from decimal import Decimal

        calls = []
        for o in map(Operation._make, operations):
            book = self.books[o.instrument]
            if o.kind == CANCEL:
                calls.append((book.cancel_order, (self.orders.pop(o.order_id).order_id,)))
                continue
            order = self.order(
                side=self.sides[o.side], price=Decimal(o.price), original_quantity=o.quantity
            )
            self.orders[o.order_id] = order
            calls.append((book.add_limit_order, (order,)))
        return calls

    def resting(self):
        return None  # it does not say


class PyOrderBook:
    """pyorderbook: plain Python; one book for all symbols."""

    def __init__(self, instruments):
        from pyorderbook import Book, ask, bid

        logging.disable(logging.CRITICAL)
        self.book = Book()
        self.sides = (bid, ask)
        self.orders = {}

    def prepare(self, operations):
        calls = []
        for o in map(Operation._make, operations):
            if o.kind == CANCEL:
                calls.append((self.book.cancel, (self.orders.pop(o.order_id),)))
                continue
            order = self.sides[o.side](f"I{o.instrument}", o.price, o.quantity)
            self.orders[o.order_id] = order
            calls.append((self.book.match, (order,)))
        return calls

    def resting(self):
        return len(self.book.order_map)


class FastLob:
    """fastlob: plain Python; it makes up the ids, its logging off."""

    def __init__(self, instruments):
        from fastlob import Orderbook, OrderParams, OrderSide

        logging.disable(logging.CRITICAL)
        self.params = OrderParams
        self.sides = (OrderSide.BID, OrderSide.ASK)
        self.books = [Orderbook(f"I{i}") for i in range(instruments)]
        for book in self.books:
            book._alive = True  # `start` would add a thread that looks for expired orders
        self.ids = {}

    def place(self, book, order_id, params):
        self.ids[order_id] = book.process(params).orderid()

    def cancel(self, book, order_id):
        return book.cancel(self.ids.pop(order_id))

    def prepare(self, operations):
        return [
            (self.cancel, (self.books[o.instrument], o.order_id))
            if o.kind == CANCEL
            else (
                self.place,
                (
                    self.books[o.instrument],
                    o.order_id,
                    self.params(self.sides[o.side], o.price, o.quantity),
                ),
            )
            for o in map(Operation._make, operations)
        ]

    def resting(self):
        return None  # it counts levels


class OrderMatching:
    """order-matching: plain Python; a match is a call of its own."""

    def __init__(self, instruments):
        from datetime import datetime

        from loguru import logger
        from order_matching.enums import Side
        from order_matching.matching_engine import MatchingEngine as Engine
        from order_matching.order import LimitOrder
        from order_matching.orders import Orders

        logger.remove()  # it logs every order
        self.order, self.orders = LimitOrder, Orders
        self.sides = (Side.BUY, Side.SELL)
        self.time = datetime(2026, 1, 1)  # noqa: DTZ001 -- it wants naive times
        self.engines = [Engine(seed=1) for _ in range(instruments)]

    def place(self, engine, order):
        engine.place(self.orders([order]))
        return engine.match(timestamp=self.time)

    def prepare(self, operations):
        calls = []
        for o in map(Operation._make, operations):
            engine = self.engines[o.instrument]
            if o.kind == CANCEL:
                calls.append((engine.cancel_order, (str(o.order_id),)))
                continue
            order = self.order(
                side=self.sides[o.side],
                price=float(o.price),
                size=float(o.quantity),
                timestamp=self.time,
                order_id=str(o.order_id),
                trader_id=str(o.owner),
            )
            calls.append((self.place, (engine, order)))
        return calls

    def resting(self):
        return None  # it does not say


ENGINES = {
    "exchange": Exchange,
    "cython-orderbook": CythonOrderbook,
    "fastlob": FastLob,
    "lightmatchingengine": LightMatchingEngine,
    "limit-order-book": LimitOrderBook,
    "liquibook": Liquibook,
    "litebook": Litebook,
    "matching-engine": MatchingEngine,
    "nautilus_trader": Nautilus,
    "order-matching": OrderMatching,
    "pyorderbook": PyOrderBook,
}


class Operation:
    """The fields of `matching_flow.Operation`, without importing the exchange."""

    __slots__ = ("instrument", "kind", "order_id", "owner", "price", "quantity", "side")

    @classmethod
    def _make(cls, fields):
        made = cls()
        (
            made.kind,
            made.instrument,
            made.order_id,
            made.side,
            made.price,
            made.quantity,
            made.owner,
        ) = fields
        return made


def run(calls, seconds_max):
    """(operations done, CPU ns), stopping after `seconds_max` of CPU time."""
    start = time.process_time_ns()
    for first in range(0, len(calls), CHUNK):
        for call, arguments in calls[first : first + CHUNK]:
            call(*arguments)
        elapsed = time.process_time_ns() - start
        if elapsed > seconds_max * 10**9:
            return min(first + CHUNK, len(calls)), elapsed
    return len(calls), time.process_time_ns() - start


def run_timed(calls, seconds_max):
    """Wall ns of each operation, clock included."""
    clock = time.perf_counter_ns
    stop = clock() + seconds_max * 10**9
    times = []
    for call, arguments in calls:
        before = clock()
        call(*arguments)
        after = clock()
        times.append(after - before)
        if after > stop:
            break
    return sorted(times)


def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(engine, instruments, prefill, flow):
    adapter = ENGINES[engine](instruments)
    calls = adapter.prepare(prefill)
    timed = adapter.prepare(flow)
    gc.collect()
    gc.freeze()
    before = resident_bytes()
    done, _ = run(calls, PREFILL_SECONDS_MAX)
    if done < len(calls):
        return {"too_slow": f"{done} of {len(calls)} orders in {PREFILL_SECONDS_MAX} s of prefill"}
    held = resident_bytes() - before
    gc.collect()
    half = len(timed) // 2
    done, elapsed = run(timed[:half], RUN_SECONDS_MAX)
    times = run_timed(timed[done:], RUN_SECONDS_MAX)
    return {
        "operations": done,
        "ns_per_operation": elapsed / done,
        "p50_ns": times[len(times) // 2],
        "p99_ns": times[len(times) * 99 // 100],
        "p999_ns": times[len(times) * 999 // 1000],
        "bytes_per_order": held / len(calls),
        "resting": adapter.resting() if done == half and len(times) == len(timed) - half else None,
        "compiled": getattr(adapter, "compiled", None),
    }


if __name__ == "__main__":
    with open(sys.argv[2], "rb") as file:
        given = pickle.load(file)
    print(json.dumps(measure(sys.argv[1], *given)))
