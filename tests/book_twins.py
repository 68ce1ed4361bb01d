"""Drives `OrderBook` and `NaiveBook` with the same calls and compares everything after each."""

from tests.naive_book import NaiveBook

from exchange.matching.book import OrderBook, Outcome, PostOnly, instruction_word
from exchange.model import SelfTradePrevention, Side, TimeInForce

TICK = 10
REFUSED = (Outcome.FOK_REFUSED, Outcome.POST_ONLY_REFUSED)


class Twins:
    def __init__(self, price_min=TICK):
        self.book = OrderBook(TICK, price_min)
        self.naive = NaiveBook(TICK, price_min)
        self.quantity_in = self.traded = self.canceled = 0
        self.next_id = 1
        self.collecting = False  # an auction collects: orders rest without matching

    def place(self, owner, side, price, quantity, time_in_force, post_only, stp, show):
        order_id, self.next_id = self.next_id, self.next_id + 1
        word = instruction_word(time_in_force, post_only, stp, matching=not self.collecting)
        waiting = list(self.book.orders(1 - side))
        got = self.book.place(order_id, 7, owner, side, price, quantity, word, show)
        matching = not self.collecting
        expected = self.naive.place(
            order_id, owner, side, price, quantity, time_in_force, post_only, stp, show, matching
        )
        self.quantity_in += quantity
        self.settle(got, expected)
        self.assert_priority(got, waiting, owner, side, got.price)
        self.compare()

    def amend(self, order_id, price, quantity, time_in_force, post_only, stp, show):
        order = self.book.get(order_id)
        before, side, owner = order.remaining_quantity, order.side, order.owner_key
        matching = not self.collecting
        word = instruction_word(time_in_force, post_only, stp, matching=matching)
        waiting = list(self.book.orders(1 - side))
        got = self.book.amend(order_id, price, quantity, word, show)
        expected = self.naive.amend(
            order_id, price, quantity, time_in_force, post_only, stp, show, matching
        )
        self.settle(got, expected)
        if got.outcome in REFUSED:
            self.canceled -= quantity
        else:
            self.quantity_in += quantity
            self.canceled += before
        self.assert_priority(got, waiting, owner, side, got.price)
        self.compare()

    def reduce(self, order_id, quantity):
        got = self.book.reduce(order_id, quantity)
        assert self.naive.reduce(order_id, quantity) == got
        self.canceled += got
        self.compare()

    def cancel(self, order_id):
        got = self.book.cancel(order_id)
        assert self.naive.reduce(order_id, 0) == got
        self.canceled += got
        self.compare()

    def collect(self, collecting):
        """Start or end an auction; ending it takes out what crosses."""
        while not collecting and self.crossed():
            self.cancel(self.book.orders(Side.BUY)[0].order_id)
        self.collecting = collecting

    def crossed(self):
        bid, ask = self.book.best_bid, self.book.best_ask
        return bid is not None and ask is not None and bid >= ask

    def ids(self):
        return [order.order_id for side in Side for order in self.book.orders(side)]

    def settle(self, got, expected):
        """Compare results and keep the totals of conservation."""
        assert expected == (
            got.outcome,
            got.price,
            list(got.fills),
            list(got.prevented),
            got.resting_quantity,
            got.canceled_quantity,
        )
        self.traded += 2 * sum(fill[2] for fill in got.fills)
        self.canceled += got.canceled_quantity + sum(removed for _, removed, _ in got.prevented)

    def assert_priority(self, got, waiting, owner, side, limit):
        """Makers trade in the order in which they waited, at their own prices, within the limit."""
        touched = dict.fromkeys(order_id for order_id, _, _ in got.fills)
        others = [order.order_id for order in waiting if order.owner_key != owner]
        assert list(touched) == others[: len(touched)]
        prices = [price for _, price, _ in got.fills]
        assert prices == sorted(prices, reverse=side == Side.SELL)
        assert all(p >= limit if side == Side.SELL else p <= limit for p in prices)

    def compare(self):
        """Same orders in the same places; conservation; never crossed while matching."""
        self.book.check()
        for side in Side:
            assert [
                (o.order_id, o.owner, o.price, o.remaining, o.max_show, o.displayed)
                for o in self.naive.sides[side]
            ] == [
                (
                    o.order_id,
                    o.owner_key,
                    o.price,
                    o.remaining_quantity,
                    o.max_show,
                    o.displayed_quantity,
                )
                for o in self.book.orders(side)
            ]
        resting = sum(o.remaining for orders in self.naive.sides for o in orders)
        assert self.quantity_in == resting + self.traded + self.canceled
        assert self.collecting or not self.crossed()


def legal(time_in_force, post_only):
    """Post-only and immediate orders exclude each other."""
    return post_only is PostOnly.OFF or time_in_force in (TimeInForce.GTC, TimeInForce.GTD)


def random_terms(rng):
    """Price, quantity and instructions of a random order; prices so close that most interact."""
    time_in_force = rng.choices(list(TimeInForce), (6, 1, 2, 2))[0]
    post_only = rng.choices(list(PostOnly), (7, 1, 1))[0]
    quantity = rng.choice((1, 5, 10, 20, 50, 100))
    show = rng.choice((0, 0, 0, quantity, max(1, quantity // 3)))
    if not legal(time_in_force, post_only):
        post_only = PostOnly.OFF
    stp = rng.choice(list(SelfTradePrevention))
    return TICK * rng.randint(1, 9), quantity, time_in_force, post_only, stp, show


def random_step(rng, twins):
    """One random call on both books."""
    ids = twins.ids()
    kind = rng.random()
    if not ids or kind < 0.6:
        twins.place(rng.randint(1, 4), rng.randint(0, 1), *random_terms(rng))
    elif kind < 0.75:
        twins.amend(rng.choice(ids), *random_terms(rng))
    elif kind < 0.85:
        twins.reduce(rng.choice(ids), rng.randint(0, 60))
    elif kind < 0.99:
        twins.cancel(rng.choice(ids) + rng.choice((0, 0, 0, 1)))
    else:
        twins.collect(not twins.collecting)
