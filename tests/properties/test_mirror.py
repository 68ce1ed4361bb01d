"""A client's book against the venue's while the line drops messages: the same, or said to be stale.

The venue's side is the book view that the gateway publishes from; the client's is what the SDK
runs. Pages of pitfalls: 50,000 updates here, 2,000,000 in a long run.
"""

import random

import pytest
from tests.long_run import LONG

from exchange.api.book_view import BookView
from exchange.model import Side
from exchange.sdk.book import BookMirror
from exchange.sdk.subscriptions import Subscriptions

UPDATES = 2_000_000 if LONG else 50_000
CHANNEL = "book.X.raw"
PRICES = {Side.BUY: range(80, 100), Side.SELL: range(101, 121)}
DROPPED, BROKEN, CONFLATED, ANSWERED = 0.02, 0.001, 0.005, 0.3  # chances at each update


class Line:
    """A venue, a client, and what gets lost between them."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.venue = BookView()
        self.held = {}  # quantity by side and price, as this venue sees its own orders
        self.client = Subscriptions()
        self.mirror = BookMirror("X")
        self.client.add_mirror(CHANNEL, self.mirror)
        self.seq = self.compared = self.mended = 0
        self.snapshot()

    def snapshot(self):
        rows = {
            name: [["new", *level] for level in self.venue.levels(side)]
            for name, side in (("bids", Side.BUY), ("asks", Side.SELL))
        }
        self.deliver({"type": "snapshot", "change_id": self.venue.change_id, **rows})

    def change(self):
        """One entry that moves one to three levels."""
        for _ in range(self.random.randint(1, 3)):
            side = self.random.choice((Side.BUY, Side.SELL))
            price = self.random.choice(PRICES[side])
            there = self.held.get((side, price), 0)
            less = there and self.random.random() < 0.6
            taken = self.random.choice((there, self.random.randint(1, there))) if less else 0
            step = -taken if less else self.random.randint(1, 50_000)
            self.held[side, price] = there + step
            self.venue.add(side, price, step)
        self.seq += 1
        delta = self.venue.commit(self.seq)
        if delta is None or self.random.random() < DROPPED:
            return
        rows = {
            name: [list(change) for change in changes]
            for name, changes in (("bids", delta.bids), ("asks", delta.asks))
        }
        ids = {"change_id": delta.change_id, "prev_change_id": delta.prev_change_id}
        self.deliver({"type": "change"} | ids | rows)

    def deliver(self, data):
        self.client.receive(CHANNEL, data)
        if not self.mirror.stale:
            self.compared += 1
            assert self.mirror.change_id == self.venue.change_id
            assert self.mirror.bids() == self.venue.levels(Side.BUY)
            assert self.mirror.asks() == self.venue.levels(Side.SELL)

    def step(self):
        self.change()
        if not self.client.gaps.empty() and self.random.random() < ANSWERED:
            self.client.gaps.get_nowait()
            self.mended += 1
            self.snapshot()
        elif self.random.random() < CONFLATED:
            self.snapshot()
        if self.random.random() < BROKEN:
            self.client.lost()
            self.snapshot()


@pytest.mark.long_run("a client's book rebuilt under drops", updates=UPDATES)
def test_a_mirror_is_the_venues_book_or_stale_under_drops():
    """Every update that arrives is compared whole; each gap is mended, and asked for once."""
    line = Line(seed=11)
    for _ in range(UPDATES):
        line.step()
    assert line.compared > UPDATES * 0.8
    assert line.mended > UPDATES * 0.01
    assert line.client.gaps.qsize() <= 1
