"""`l3.X` and `instrument.state`: a reader that follows them has the book, and the phases."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.api.test_channels import Listener
from tests.unit.api.world import CALL_NAME, MAKER_ID, TAKER_ID, World
from tests.venue import C, contracts

from exchange.commands import Halt, Resume
from exchange.model import Side

CHANNEL = f"l3.{CALL_NAME}"


class Reader:
    """A client's book by order: what the documentation says, and nothing else."""

    def __init__(self):
        self.orders = {}
        self.change_id = None

    def take(self, data):
        if data["type"] == "snapshot":
            rows = [(row, "buy") for row in data["bids"]] + [(row, "sell") for row in data["asks"]]
            self.orders = {row[0]: (row[1], row[2], side) for row, side in rows}
        else:
            assert data["prev_change_id"] == self.change_id, "a gap"
            for action, order_id, *rest in data["orders"]:
                self.orders.pop(order_id, None)
                if action == "put":
                    self.orders[order_id] = tuple(rest)
        self.change_id = data["change_id"]

    def levels(self, side):
        sums = {}
        for price, amount, direction in self.orders.values():
            if direction == side:
                sums[price] = round(sums.get(price, 0) + amount, 4)
        return sums


def levels(world, side):
    book = world.gateway.view.books[C]
    return {price / 1e6: quantity / 1e4 for price, quantity in book.levels(side)}


def test_a_snapshot_then_changes(world):
    world.do(lambda venue: venue.sell(MAKER_ID, 2, 1_000))
    listener = Listener(world)
    listener.join(CHANNEL)
    ((_, snapshot),) = listener.heard()
    assert [row[1:] for row in snapshot["asks"]] == [[1_000, 2]]
    world.do(lambda venue: venue.buy(TAKER_ID, 1, 1_000))
    ((_, change),) = listener.heard()
    kinds = sorted(row[0] for row in change["orders"])
    assert kinds == ["delete", "put"]
    assert change["prev_change_id"] == snapshot["change_id"]
    assert "subaccount" not in str(snapshot) + str(change)


def test_an_iceberg_shows_its_slice_alone(world):
    listener = Listener(world)
    listener.join(CHANNEL)
    listener.heard()
    world.do(lambda venue: venue.sell(MAKER_ID, 10, 1_000, max_show=contracts(2)))
    ((_, change),) = listener.heard()
    assert [row[2:4] for row in change["orders"]] == [[1_000, 2]]


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(0, 10))
def test_a_reader_that_joins_at_any_time_has_the_book(seed, before):
    """Random orders and cancels; sums by price equal the public book after each."""
    rng = random.Random(seed)
    world = World()
    listener, reader = Listener(world), Reader()

    def act():
        side = rng.choice((world.venue.buy, world.venue.sell))
        who, price = rng.choice((MAKER_ID, TAKER_ID)), rng.randint(990, 1_010)
        world.do(lambda _: side(who, rng.randint(1, 5), price))

    for _ in range(before):
        act()
    listener.join(CHANNEL)
    for _ in range(15):
        act()
        for _, data in listener.heard():
            reader.take(data)
        for side, word in ((Side.BUY, "buy"), (Side.SELL, "sell")):
            assert reader.levels(word) == levels(world, side)
    world.gateway.stop()


def test_states_are_told(world):
    listener = Listener(world)
    listener.join("instrument.state.option.BTC", "instrument.state.any.any")
    world.do(lambda venue: venue.send(Halt(instrument_id=C, reason="test")))
    told = listener.heard()
    assert {channel for channel, _ in told} == {
        "instrument.state.option.BTC",
        "instrument.state.any.any",
    }
    assert {(data["instrument_name"], data["state"]) for _, data in told} == {(CALL_NAME, "halted")}
    world.do(lambda venue: venue.send(Resume(instrument_id=C)))
    assert {data["state"] for _, data in listener.heard()} == {"auction"}


def test_nobody_else_hears_of_states(world):
    listener = Listener(world)
    listener.join("instrument.state.future.BTC", "instrument.state.option.ETH")
    world.do(lambda venue: venue.send(Halt(instrument_id=C, reason="test")))
    assert listener.heard() == []
