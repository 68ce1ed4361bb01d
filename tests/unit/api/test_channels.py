"""What subscribers hear, and that a mirror built from it is the book."""

import asyncio
from functools import partial

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.api.world import (
    CALL_NAME,
    MAKER_ID,
    MAKER_KEY,
    PERPETUAL_NAME,
    PUT_NAME,
    STRANGER_KEY,
    TAKER_ID,
    TAKER_KEY,
    World,
    session_of,
)
from tests.venue import PERP, C

from exchange.api.connection import Connection
from exchange.api.gateway import Caller
from exchange.api.outbox import DELTAS_MAX
from exchange.commands import CancelOrder
from exchange.model import Side
from exchange.sdk.book import BookMirror


class Listener:
    """One connected client without a socket."""

    def __init__(self, world, key=None):
        self.world = world
        self.connection = Connection("test", world.settings, world.gateway.channels.snapshot)
        if key:
            self.connection.session = session_of(world, key).session

    def ask(self, method, **params):
        return asyncio.run(self._ask(method, params))

    async def _ask(self, method, params):
        text = msgspec.json.encode({"id": 1, "method": method, "params": params})
        caller = Caller(address="test", connection=self.connection)
        outcome = await self.world.dispatcher.call_text(text, caller)
        for step in caller.after:
            step()
        reply = msgspec.json.decode(outcome.body)
        return reply.get("result", reply.get("error"))

    def join(self, *channels):
        scope = "private" if channels[0].startswith("user.") else "public"
        assert self.ask(f"{scope}/subscribe", channels=channels) == list(channels)

    def heard(self):
        """(channel, data) of everything sent since."""
        return [
            (message["params"]["channel"], message["params"]["data"])
            for message in map(msgspec.json.decode, iter(self.connection.outbox.pop, None))
        ]


def trade(world):
    world.do(lambda venue: venue.sell(MAKER_ID, 2, 1_000))
    world.do(lambda venue: venue.buy(TAKER_ID, 1, 1_000))


def test_a_raw_book_is_a_snapshot_then_linked_changes(world):
    listener = Listener(world)
    listener.join(f"book.{CALL_NAME}.raw")
    trade(world)
    (_, snapshot), (_, first), (_, second) = listener.heard()
    assert (snapshot["type"], snapshot["bids"], snapshot["asks"]) == ("snapshot", [], [])
    assert first["asks"] == [["new", 1000, 2]]
    assert second["asks"] == [["change", 1000, 1]]
    assert first["prev_change_id"] == snapshot["change_id"]
    assert second["prev_change_id"] == first["change_id"]


def test_a_100ms_book_speaks_at_ticks(world):
    listener = Listener(world)
    listener.join(f"book.{CALL_NAME}.100ms")
    trade(world)
    assert listener.heard() == []
    world.gateway.channels.tick()
    ((_, snapshot),) = listener.heard()
    assert snapshot["asks"] == [["new", 1000, 1]]
    world.do(lambda venue: venue.sell(MAKER_ID, 1, 1_000))
    world.do(lambda venue: venue.buy(TAKER_ID, 1, 999))
    world.gateway.channels.tick()
    ((_, change),) = listener.heard()
    assert change["asks"] == [["change", 1000, 2]]
    assert change["bids"] == [["new", 999, 1]]
    assert change["prev_change_id"] == snapshot["change_id"]
    world.gateway.channels.tick()
    assert listener.heard() == []


@pytest.mark.parametrize("depth", [1, 10, 20])
def test_a_depth_channel_sends_whole_levels(world, depth):
    listener = Listener(world)
    listener.join(f"book.{CALL_NAME}.none.{depth}.100ms")
    for price in range(1_000, 1_015):
        world.do(partial(sell_at, price))
    world.gateway.channels.tick()
    ((_, data),) = listener.heard()
    assert len(data["asks"]) == min(depth, 15)
    assert data["asks"][0] == [1000, 1]


def sell_at(price, venue):
    return venue.sell(MAKER_ID, 1, price)


def test_trades_are_told_by_instrument_and_by_kind(world):
    listener = Listener(world)
    channels = [
        f"trades.{CALL_NAME}.raw",
        f"trades.{PUT_NAME}.raw",
        "trades.option.BTC.raw",
        "trades.any.any.raw",
        "trades.future.BTC.raw",
    ]
    listener.join(*channels)
    trade(world)
    heard = dict(listener.heard())
    assert sorted(heard) == sorted([channels[0], channels[2], channels[3]])
    ((row,),) = {tuple(msgspec.json.encode(row) for row in rows) for rows in heard.values()}
    assert "order_id" not in msgspec.json.decode(row)


def test_slow_trades_are_gathered(world):
    listener = Listener(world)
    listener.join(f"trades.{CALL_NAME}.100ms")
    trade(world)
    world.do(lambda venue: venue.buy(TAKER_ID, 1, 1_000))
    assert listener.heard() == []
    world.gateway.channels.tick()
    ((_, rows),) = listener.heard()
    assert [row["trade_id"] for row in rows] == ["1", "2"]


def test_tickers_and_quotes_begin_with_what_stands_and_follow(world):
    listener = Listener(world)
    ticker, quote = f"ticker.{CALL_NAME}.100ms", f"quote.{CALL_NAME}"
    listener.join(ticker, quote)
    first = dict(listener.heard())
    assert first[ticker]["best_ask_price"] == 0
    assert first[quote]["best_ask_price"] is None
    world.do(lambda venue: venue.sell(MAKER_ID, 2, 1_000))
    assert dict(listener.heard())[quote]["best_ask_price"] == 1000
    world.do(lambda venue: venue.sell(MAKER_ID, 2, 1_001))
    assert listener.heard() == []
    world.gateway.channels.tick()
    assert dict(listener.heard())[ticker]["best_ask_price"] == 1000
    world.do(lambda venue: venue.mark({C: 1_200}))
    world.gateway.channels.tick()
    assert dict(listener.heard())[ticker]["mark_price"] == 1200


def test_index_prices_are_told(world):
    listener = Listener(world)
    listener.join("deribit_price_index.btc_usdc")
    world.do(lambda venue: venue.index(101_000))
    assert [data["price"] for _, data in listener.heard()] == [101_000]


def test_own_orders_and_trades_reach_their_owner_alone(world):
    taker, maker, stranger = (Listener(world, key) for key in (TAKER_KEY, MAKER_KEY, STRANGER_KEY))
    for listener in (taker, maker, stranger):
        listener.join("user.orders.any.any.raw", f"user.trades.{CALL_NAME}.raw")
    trade(world)
    assert stranger.heard() == []
    orders = [data for channel, data in taker.heard() if "orders" in channel]
    assert [(o["order_state"], o["subaccount_id"]) for o in orders] == [("filled", TAKER_ID)]
    heard = maker.heard()
    states = [(o["order_state"], o["filled_amount"]) for c, o in heard if "orders" in c]
    assert states == [("open", 0), ("open", 1)]
    ((row,),) = [data for channel, data in heard if "trades" in channel]
    assert (row["liquidity"], row["subaccount_id"]) == ("M", MAKER_ID)


def test_slow_user_channels_send_lists(world):
    taker = Listener(world, TAKER_KEY)
    taker.join(f"user.orders.{CALL_NAME}.100ms", "user.trades.option.BTC.100ms")
    trade(world)
    world.gateway.channels.tick()
    heard = dict(taker.heard())
    assert [o["order_state"] for o in heard[f"user.orders.{CALL_NAME}.100ms"]] == ["filled"]
    assert len(heard["user.trades.option.BTC.100ms"]) == 1


def test_an_ended_session_hears_nothing_more(world):
    taker = Listener(world, TAKER_KEY)
    taker.join("user.orders.any.any.raw")
    world.gateway.sessions.end(taker.connection.session)
    trade(world)
    assert taker.heard() == []


def test_logout_leaves_the_users_channels(world):
    taker = Listener(world, TAKER_KEY)
    taker.join("user.orders.any.any.raw", "deribit_price_index.btc_usdc")
    taker.heard()
    assert taker.ask("private/logout", invalidate_token=False) == "ok"
    assert taker.connection.channels == {"deribit_price_index.btc_usdc"}


def test_portfolios_follow_once_a_second(world):
    taker = Listener(world, TAKER_KEY)
    taker.join("user.portfolio.usdc")
    trade(world)
    asyncio.run(world.gateway._send_portfolios())
    ((channel, data),) = taker.heard()
    assert channel == "user.portfolio.usdc"
    assert data["balance"] == 1_000_000 - 1_030


@pytest.mark.parametrize(
    ("channel", "code"),
    [
        ("book.NOTHING.raw", 10020),
        ("trades.NOTHING.raw", 10020),
        ("deribit_price_index.doge_usdc", 10020),
        (f"book.{CALL_NAME}", -32602),
        (f"book.{CALL_NAME}.1s", -32602),
        (f"book.{CALL_NAME}.none.5.100ms", -32602),
        ("everything", -32602),
        ("user.orders.any.any.raw", 13021),
        ("trades.spot.BTC.raw", -32602),
    ],
)
def test_wrong_channels_are_named_and_nothing_is_joined(world, channel, code):
    listener = Listener(world)
    error = listener.ask("public/subscribe", channels=["deribit_price_index.btc_usdc", channel])
    assert (error["code"], error["data"]["param"]) == (code, "channels")
    assert listener.connection.channels == set()


def test_user_channels_need_a_session(world):
    error = Listener(world).ask("private/subscribe", channels=["user.orders.any.any.raw"])
    assert error["code"] == 13009


def test_channels_are_left_and_counted(world):
    listener = Listener(world)
    listener.join(f"book.{CALL_NAME}.raw", "deribit_price_index.btc_usdc")
    assert world.gateway.channels.count() == 2
    assert listener.ask("public/unsubscribe", channels=[f"book.{CALL_NAME}.raw", "x"]) == [
        f"book.{CALL_NAME}.raw"
    ]
    assert listener.ask("public/unsubscribe_all") == "ok"
    assert world.gateway.channels.count() == 0
    trade(world)
    listener.heard()
    trade(world)
    assert listener.heard() == []


def test_a_connection_joins_a_bounded_number():
    world = World(subscriptions_per_connection_max=1)
    listener = Listener(world)
    listener.join("deribit_price_index.btc_usdc")
    error = listener.ask("public/subscribe", channels=["deribit_price_index.eth_usdc"])
    assert error["code"] == 10028
    world.gateway.stop()


def test_joining_twice_is_joining_once(world):
    listener = Listener(world)
    channel = f"book.{CALL_NAME}.raw"
    listener.join(channel)
    assert listener.ask("public/subscribe", channels=[channel, channel]) == [channel]
    assert len(listener.heard()) == 1


ORDERS = st.lists(
    st.tuples(
        st.sampled_from(Side),
        st.integers(990, 1_010),
        st.booleans(),  # a tick follows
        st.booleans(),  # the client reads
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=30)
@given(ORDERS, st.sampled_from(["raw", "100ms"]), st.integers(1, 4))
def test_a_mirror_is_the_book_whatever_was_dropped(orders, every, repeat):
    """A client that reads rarely gets snapshots instead of changes, and never a wrong book."""
    world = World()
    world.venue.checking = False
    listener, channel = Listener(world), f"book.{CALL_NAME}.{every}"
    listener.join(channel)
    mirror = BookMirror(CALL_NAME)
    for side, price, ticks, reads in orders:
        for _ in range(repeat * DELTAS_MAX // 16):
            world.do(lambda venue, s=side, p=price: flip(venue, s, p))
            if ticks:
                world.gateway.channels.tick()
        world.do(lambda venue, s=side, p=price: keep(venue, s, p))
        if reads:
            listen(listener, mirror)
    world.gateway.channels.tick()
    listen(listener, mirror)
    world.gateway.channels.tick()  # a conflated 100 ms book sends its snapshot here
    listen(listener, mirror)
    book = world.gateway.view.books[C]
    assert not mirror.stale
    for side, levels in ((Side.BUY, mirror.bids()), (Side.SELL, mirror.asks())):
        ours = [(int(price * 10**6), int(amount * 10**4)) for price, amount in levels]
        assert ours == book.levels(side)
    world.gateway.stop()


def listen(listener, mirror):
    for _, data in listener.heard():
        assert mirror.apply(data), "an unbroken chain of changes"


def flip(venue, side, price):
    """An order that rests at most until the next of its kind."""
    subaccount_id = MAKER_ID if side is Side.SELL else TAKER_ID
    for order in venue.engine.open_orders(subaccount_id)[10:]:
        return venue.send(CancelOrder(subaccount_id=subaccount_id, order_id=order.order_id))
    return venue.order(subaccount_id, side, 1, price)


def keep(venue, side, price):
    """An order that may trade and may rest."""
    return venue.order(MAKER_ID if side is Side.SELL else TAKER_ID, side, 2, price)


def test_a_family_is_silent_once_its_last_listener_has_left(world):
    """Whoever comes and goes, who stays hears; the last one out ends the work."""
    first, second = Listener(world), Listener(world)
    channel = f"trades.{CALL_NAME}.raw"
    for listener in (first, second, first):  # the third joins again what it never left
        listener.join(channel)
    first.ask("public/unsubscribe", channels=[channel])
    trade(world)
    assert [len(listener.heard()) for listener in (first, second)] == [0, 1]
    second.ask("public/unsubscribe_all")
    assert world.gateway.channels.count() == 0
    first.join(channel)
    world.do(lambda venue: venue.buy(TAKER_ID, 1, 1_000))
    assert len(first.heard()) == 1


def test_listeners_of_one_family_cost_the_others_nothing(world):
    """An order looks no channel over: thousands of them are one client's to join."""

    class Names(dict):
        looked_over = 0

        def __iter__(self):
            Names.looked_over += 1
            return super().__iter__()

    channels = world.gateway.channels
    channels._members = Names()
    Listener(world).join(f"ticker.{CALL_NAME}.100ms", f"quote.{PUT_NAME}")
    trade(world)
    channels.tick()
    assert Names.looked_over == 0


def test_the_perpetual_channel_tells_the_rate(world):
    """On joining and with each epoch; an option has none."""
    listener = Listener(world)
    channel = f"perpetual.{PERPETUAL_NAME}.100ms"
    world.do(lambda venue: venue.list_instruments(PERP))
    world.do(lambda venue: venue.mark({PERP: 100_000}))
    world.gateway.channels.tick()
    listener.join(channel)
    world.do(lambda venue: venue.mark({PERP: 100_100}))
    world.gateway.channels.tick()
    rates = [data["interest"] for name, data in listener.heard() if name == channel]
    assert rates[-1] == 0.001
    fault = listener.ask("public/subscribe", channels=[f"perpetual.{CALL_NAME}.100ms"])
    assert fault["data"]["param"] == "channels"


def test_grouped_books_round_away_from_the_middle(world):
    listener = Listener(world)
    wanted = [f"book.{CALL_NAME}.10.{depth}.100ms" for depth in (1, 20)]
    listener.join(*wanted)
    for price in (999, 1_000, 1_001, 1_010, 1_011):
        world.do(partial(sell_at, price))
    world.do(lambda venue: venue.buy(TAKER_ID, 3, 994))
    world.gateway.channels.tick()
    heard = dict(listener.heard())
    assert heard[wanted[0]]["asks"] == [[1_000, 2]]
    assert heard[wanted[1]]["asks"] == [[1_000, 2], [1_010, 2], [1_020, 1]]
    assert heard[wanted[1]]["bids"] == [[990, 3]]
    listener.ask("public/unsubscribe", channels=wanted)
    world.do(partial(sell_at, 1_002))
    world.gateway.channels.tick()
    assert listener.heard() == []


def test_a_chart_shows_the_candle_that_is_drawn(world):
    listener = Listener(world)
    channel = f"chart.trades.{CALL_NAME}.60"
    listener.join(channel)
    trade(world)
    world.do(lambda venue: venue.buy(TAKER_ID, 1, 1_000))
    assert listener.heard() == []
    world.gateway.channels.tick()
    ((name, candle),) = listener.heard()
    assert name == channel
    assert (candle["open"], candle["volume"], candle["cost"]) == (1_000, 2, 2_000)
    late = Listener(world)
    late.join(channel)
    assert late.heard() == [(channel, candle)]


def test_changes_come_together_with_the_position(world):
    mine, other = Listener(world, TAKER_KEY), Listener(world, STRANGER_KEY)
    for ear in (mine, other):
        ear.join(f"user.changes.{CALL_NAME}.raw")
    trade(world)
    ((_, change),) = mine.heard()
    assert [row["amount"] for row in change["trades"]] == [1]
    assert [row["order_state"] for row in change["orders"]] == ["filled"]
    assert [row["size"] for row in change["positions"]] == [1]
    assert {row["subaccount_id"] for row in change["orders"]} == {TAKER_ID}
    assert other.heard() == []
