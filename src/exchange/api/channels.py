"""Subscriptions: which client hears what, as snapshot and deltas.

Fed with what each released entry touched; nothing here waits for a client. Raw channels speak at
once, the others at the tick of 100 ms. A message is encoded once, however many hear it.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Final

import msgspec

from exchange.api import channel_data as data_of
from exchange.api import results
from exchange.api.book_view import BookDelta
from exchange.api.channel_names import FAMILIES, INTERVALS, TICKED, Family
from exchange.api.connection import Connection
from exchange.api.depth_by_order import OrderFeed
from exchange.api.errors import InvalidParams, TooManyRequests, UnknownInstrument
from exchange.api.liquidations import liquidation_result, notice_result, of_currency
from exchange.api.ports import Liquidation
from exchange.api.records import Notice, OrderRecord, Touched, Trade
from exchange.api.user_changes import changes_of
from exchange.api.views import VenueView
from exchange.fixed import to_milliseconds_down
from exchange.model import Instrument, Kind

_BY_INDEX: Final[dict[str, Callable[[VenueView, str], object]]] = {
    "index": data_of.index,
    "expiration": data_of.expiration,
    "volatility_index": data_of.volatility_index,
    "markprice": data_of.mark_prices,
    "surface": data_of.surface,
}
_OF_INSTRUMENT: Final[dict[str, Callable[[VenueView, Instrument], object]]] = {
    "ticker": results.ticker_result,
    "perpetual": results.interest_result,
    "quote": data_of.quote,
}
_INDEX_ADDRESSES: Final = {
    family.name: family.addresses[0] for family in FAMILIES if family.name in _BY_INDEX
}
_AT_TICKS: Final[dict[str, Callable[[VenueView, Instrument], object]]] = {
    family: _OF_INSTRUMENT[family] for family in ("ticker", "perpetual")
}
_BOOKS_INSTRUMENT: Final = itemgetter(0)
_WATCHED: Final = ("depth", "chart")  # of an instrument there are too many to try them all
_AT_INDEX: Final = ("index", "expiration")
_AT_EPOCH: Final = ("surface", "markprice", "volatility_index")


def notification(channel: str, data: object) -> bytes:
    """The message that carries a channel's data."""
    return msgspec.json.encode(
        {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}}
    )


def _rows(view: VenueView, running: Sequence[Liquidation]) -> object:
    return [liquidation_result(view, one) for one in running]


class Channels:
    """Every subscription of this gateway."""

    def __init__(self, view: VenueView, may_see: Callable[[Connection, int], bool]) -> None:
        self._view = view
        self._may_see = may_see  # whether a client's session may touch a subaccount
        self._members: dict[str, set[Connection]] = {}
        self._families = {family.name: 0 for family in FAMILIES}  # channels that somebody is in
        self._awaiting_snapshot: dict[str, set[Connection]] = {}
        self._dirty: set[int] = set()  # instruments to speak of at the next tick
        self._tick_trades: list[Trade] = []
        self._tick_orders: list[dict[int, OrderRecord]] = []  # of each entry since the last tick
        # grouped books and charts that somebody is in, by instrument: (family, parts)
        self._watched: dict[str, dict[str, tuple[str, dict[str, str]]]] = {}
        self._heard: dict[tuple[str, int, str], list[str]] = {}  # what `_heard_names` found
        self._heard_under = view.parameters
        self._order_feed = OrderFeed(view)
        self.dirty_subaccounts: set[int] = set()
        self.dirty_liquidations = False

    # -- membership -----------------------------------------------------------------------------

    def validate(self, channel: str) -> str:
        """Refuse a channel that does not exist; the scope that a session needs to hear it."""
        family, parts = self._parsed(channel)
        instrument = parts.get("instrument")
        if instrument is not None and instrument not in self._view.instrument_ids:
            raise UnknownInstrument(f"{channel}: no such instrument", "channels")
        if family.name == "perpetual" and not self._is_perpetual(parts["instrument"]):
            raise InvalidParams(f"{channel}: not a perpetual", "channels")
        if "index" in parts and parts["index"] not in data_of.index_ids(self._view):
            raise UnknownInstrument(f"{channel}: no such index", "channels")
        return family.scope

    def _parsed(self, channel: str) -> tuple[Family, dict[str, str]]:
        for family in FAMILIES:
            parts = family.parts(channel)
            if parts is not None:
                return family, parts
        raise InvalidParams(f"{channel[:64]}: no such channel", "channels")

    def join(self, channels: Iterable[str], connection: Connection, limit: int) -> None:
        """Add a client to channels; `greet` sends the first data once the reply is on its way."""
        if len(connection.channels.union(channels)) > limit:
            raise TooManyRequests(f"at most {limit} channels a connection", "channels")
        for channel in channels:
            connection.channels.add(channel)
            if channel not in self._members:
                self._members[channel] = set()
                self._count(channel, 1)
            self._members[channel].add(connection)

    def _count(self, channel: str, step: int) -> None:
        """A channel got its first member, or lost its last."""
        self._heard.clear()
        family, parts = self._parsed(channel)
        self._families[family.name] += step
        if family.name in _WATCHED:
            watched = self._watched.setdefault(parts["instrument"], {})
            if step > 0:
                watched[channel] = family.name, parts
            else:
                watched.pop(channel)

    def greet(self, channel: str, connection: Connection) -> None:
        """Send a channel's first data: a snapshot, or what it last said."""
        if channel not in connection.channels:
            return
        if channel.startswith("book."):
            message = self.snapshot(connection, channel)
            if message is not None:
                connection.outbox.put(message)
            return
        if channel.startswith("l3."):
            snapshot = self._order_feed.snapshot(self._instrument(channel.split(".")[1]))
            connection.outbox.put(notification(channel, snapshot))
            return
        data = self._first_data(channel)
        if data is not None:
            connection.outbox.put_latest(channel, notification(channel, data))

    def _first_data(self, channel: str) -> object:
        family, parts = self._parsed(channel)
        if family.name in _BY_INDEX:
            return _BY_INDEX[family.name](self._view, parts["index"])
        if family.name == "chart":
            instrument = self._instrument(parts["instrument"])
            return data_of.candle(self._view, instrument, parts["resolution"])
        if family.name in _OF_INSTRUMENT:
            return _OF_INSTRUMENT[family.name](self._view, self._instrument(parts["instrument"]))
        if channel.startswith("liquidations."):
            self.dirty_liquidations = True
        if channel.startswith("user.portfolio."):
            self.dirty_subaccounts.update(self._view.owners)
        return None

    def leave(self, channels: Iterable[str], connection: Connection) -> list[str]:
        """Take a client out of channels; returns those it was in."""
        left = [channel for channel in channels if channel in connection.channels]
        for channel in left:
            connection.channels.discard(channel)
            connection.outbox.forget(channel)
            for table in (self._members, self._awaiting_snapshot):
                members = table.get(channel)
                if members is not None:
                    members.discard(connection)
                    if not members:
                        del table[channel]
                        if table is self._members:
                            self._count(channel, -1)
        return left

    def count(self) -> int:
        """Subscriptions in force."""
        return sum(map(len, self._members.values()))

    def members(self, channel: str) -> set[Connection]:
        """Who hears a channel."""
        return self._members.get(channel, set())

    # -- books ----------------------------------------------------------------------------------

    def snapshot(self, connection: Connection, channel: str) -> bytes | None:
        """A book snapshot now (raw), or a promise for the next tick (100 ms): then None."""
        if channel not in connection.channels:
            return None
        instrument = self._instrument(channel.split(".")[1])
        if not channel.endswith(".raw"):
            # Between two ticks the book is ahead of the channel's change_id: wait for the cut.
            self._awaiting_snapshot.setdefault(channel, set()).add(connection)
            self._dirty.add(instrument.instrument_id)
            return None
        change_id = self._view.books[instrument.instrument_id].change_id
        return notification(channel, data_of.snapshot(self._view, instrument, change_id))

    def _send_delta(self, channel: str, instrument: Instrument, delta: BookDelta) -> None:
        members = self.members(channel) - self._awaiting_snapshot.get(channel, set())
        if not members:
            return
        message = notification(channel, data_of.change(self._view, instrument, delta))
        for connection in members:
            connection.outbox.put_delta(channel, message)

    # -- what entries touched -------------------------------------------------------------------

    def publish(self, touched: Touched) -> None:
        """Remember what the tick speaks of; speak on the raw channels if anybody is in one."""
        self._dirty.update(map(_BOOKS_INSTRUMENT, touched.books), touched.funding)
        if touched.marks:
            self._dirty.update(self._view.instruments)
        self._tick_trades += touched.trades
        self._tick_orders.append(touched.orders)
        if touched.liquidations:
            self.dirty_liquidations = True
        if self._members:
            self._send_raw(touched)

    def _send_raw(self, touched: Touched) -> None:
        self._send_books(touched)
        self._send_trading(touched)
        for instrument_id in touched.states:
            self._send_state(self._view.instruments[instrument_id])
        if self._families["user.portfolio"]:  # who joins later is told of all
            self.dirty_subaccounts |= touched.subaccounts
            self.dirty_subaccounts.update(self._view.owners if touched.marks else ())
        for subaccount_id, notice in touched.notices:
            self._send_notice(subaccount_id, notice)
        for key in touched.frozen:
            self._send_freeze(*key)
        for underlying_id in touched.indices:
            name = results.index_name(self._view.underlying_name(underlying_id))
            self._send_by_index(_AT_INDEX, name)
        if touched.marks:
            for name in data_of.index_ids(self._view):
                self._send_by_index(_AT_EPOCH, name)

    def _send_books(self, touched: Touched) -> None:
        if not self._families["book"] and not self._families["quote"]:
            return
        for instrument_id, delta in touched.books:
            instrument = self._view.instruments[instrument_id]
            channel = f"book.{instrument.name}.raw"
            if channel in self._members:
                self._send_delta(channel, instrument, delta)
            self._send_quote(instrument, delta)

    def _send_trading(self, touched: Touched) -> None:
        heard = self._families
        if heard["trades"] or heard["user.trades"]:
            for trade in touched.trades:
                self._send_public_trades("raw", [trade])
                self._send_user_trades("raw", [trade])
        if heard["user.orders"]:
            for order in touched.orders.values():
                self._send_orders("raw", [order])
        if heard["user.changes"]:
            self._send_changes("raw", touched.trades, list(touched.orders.values()))
        if heard["l3"]:
            self._send_single_orders(touched)

    def _send_by_index(self, families: Sequence[str], name: str) -> None:
        for family in families:
            channel = _INDEX_ADDRESSES[family].replace("{index}", name)
            self._send_latest(channel, partial(_BY_INDEX[family], self._view, name))

    def _send_single_orders(self, touched: Touched) -> None:
        for instrument, message in self._order_feed.changes(touched, self._heard_by_order):
            channel = f"l3.{instrument.name}"
            encoded = notification(channel, message)
            for connection in self.members(channel):
                connection.outbox.put(encoded)

    def _heard_by_order(self, instrument: Instrument) -> bool:
        return f"l3.{instrument.name}" in self._members

    def _send_state(self, instrument: Instrument) -> None:
        if not self._families["instrument"]:
            return
        data = data_of.state(self._view, instrument)
        for name in self._names("instrument.state", instrument, ""):
            channel = name.rstrip(".")
            for connection in self.members(channel):
                connection.outbox.put(notification(channel, data))

    def tick(self) -> None:
        """Speak on the 100 ms channels."""
        dirty, self._dirty = self._dirty, set()
        for instrument_id in dirty:
            instrument = self._view.instruments[instrument_id]
            self._tick_book(instrument)
            for family, data in _AT_TICKS.items():
                if self._families[family]:
                    for every in INTERVALS:
                        channel = f"{family}.{instrument.name}.{every}"
                        self._send_latest(channel, partial(data, self._view, instrument))
        trades, self._tick_trades = self._tick_trades, []
        orders = self._take_orders()
        for every in TICKED:
            self._send_public_trades(every, trades)
            self._send_user_trades(every, trades)
            self._send_orders(every, orders)
            self._send_changes(every, trades, orders)
        for instrument_id in {trade.instrument_id for trade in trades}:
            self._send_watched("chart", self._view.instruments[instrument_id])

    def _take_orders(self) -> list[OrderRecord]:
        """What changed since the last tick, once each; put together only if somebody hears it."""
        since, self._tick_orders = self._tick_orders, []
        orders: dict[int, OrderRecord] = {}
        if self._families["user.orders"] or self._families["user.changes"]:
            for of_entry in since:
                orders.update(of_entry)
        return list(orders.values())

    def _tick_book(self, instrument: Instrument) -> None:
        book = self._view.books[instrument.instrument_id]
        delta = book.cut()
        for every in TICKED if self._families["book"] else ():
            channel = f"book.{instrument.name}.{every}"
            if delta is not None:
                self._send_delta(channel, instrument, delta)
            for connection in self._awaiting_snapshot.pop(channel, set()):
                data = data_of.snapshot(self._view, instrument, book.interval_change_id)
                connection.outbox.put(notification(channel, data))
        self._send_watched("depth", instrument)

    def _send_watched(self, wanted: str, instrument: Instrument) -> None:
        """Speak on the grouped books, or the charts, of an instrument that somebody is in."""
        for channel, (family, parts) in self._watched.get(instrument.name, {}).items():
            if family != wanted:
                continue
            self._awaiting_snapshot.pop(channel, None)
            self._send_latest(channel, partial(self._watched_data, instrument, parts))

    def _watched_data(self, instrument: Instrument, parts: dict[str, str]) -> object:
        if "depth" in parts:
            return data_of.depth(self._view, instrument, parts["group"], int(parts["depth"]))
        return data_of.candle(self._view, instrument, parts["resolution"])

    def _send_latest(self, channel: str, data: Callable[[], object]) -> None:
        members = self.members(channel)
        if members:
            message = notification(channel, data())
            for connection in members:
                connection.outbox.put_latest(channel, message)

    def _send_quote(self, instrument: Instrument, delta: BookDelta) -> None:
        channel = f"quote.{instrument.name}"
        book = self._view.books[instrument.instrument_id]
        if channel in self._members and book.moved_best(delta):
            self._send_latest(channel, partial(data_of.quote, self._view, instrument))

    # -- trades and orders ----------------------------------------------------------------------

    def _names(self, family: str, instrument: Instrument, every: str) -> list[str]:
        kind = results.kind_name(instrument)
        base = self._view.underlying_name(instrument.underlying_id)
        return [f"{family}.{instrument.name}.{every}"] + [
            f"{family}.{k}.{currency}.{every}"
            for k in (kind, *(["combo"] if instrument.legs else []), "any")
            for currency in (base, "USDC", "any", base.lower(), "usdc")
        ]

    def _grouped(self, family: str, every: str, things: list[Any]) -> dict[str, list[Any]]:
        channels: dict[str, list[Any]] = {}
        if not self._families[family]:  # by far the most frequent case, and it must stay cheap
            return channels
        for thing in things:
            for name in self._heard_names(family, thing.instrument_id, every):
                channels.setdefault(name, []).append(thing)
        return channels

    def _heard_names(self, family: str, instrument_id: int, every: str) -> list[str]:
        """Channels of a family that tell of an instrument and that somebody is in."""
        if self._heard_under is not self._view.parameters:  # they name the currencies
            self._heard_under = self._view.parameters
            self._heard.clear()
        key = (family, instrument_id, every)
        heard = self._heard.get(key)
        if heard is None:
            names = self._names(family, self._view.instruments[instrument_id], every)
            heard = self._heard[key] = [name for name in names if name in self._members]
        return heard

    def _send_public_trades(self, every: str, trades: list[Trade]) -> None:
        for channel, group in self._grouped("trades", every, trades).items():
            message = notification(channel, [results.trade_result(self._view, t) for t in group])
            for connection in self.members(channel):
                connection.outbox.put(message)

    def _send_user_trades(self, every: str, trades: list[Trade]) -> None:
        for channel, group in self._grouped("user.trades", every, trades).items():
            for connection in self.members(channel):
                data = [
                    row
                    for trade in group
                    for owner in sorted({trade.maker_subaccount_id, trade.taker_subaccount_id})
                    if self._may_see(connection, owner)
                    for row in results.user_trade_result(self._view, trade, owner)
                ]
                if data:
                    connection.outbox.put(notification(channel, data))

    def _send_orders(self, every: str, orders: list[OrderRecord]) -> None:
        for channel, group in self._grouped("user.orders", every, orders).items():
            for connection in self.members(channel):
                rows = [
                    results.order_result(self._view, order)
                    for order in group
                    if self._may_see(connection, order.subaccount_id)
                ]
                if every == "raw":
                    for row in rows:
                        connection.outbox.put(notification(channel, row))
                elif rows:
                    connection.outbox.put(notification(channel, rows))

    def _send_changes(self, every: str, trades: list[Trade], orders: list[OrderRecord]) -> None:
        """Everything of one instrument and subaccount in one message, with its position."""
        by_channel = self._grouped("user.changes", every, [*trades, *orders])
        for channel, group in by_channel.items():
            for connection in self.members(channel):
                for data in changes_of(self._view, group, partial(self._may_see, connection)):
                    connection.outbox.put(notification(channel, data))

    def _send_freeze(self, subaccount_id: int, underlying_id: int) -> None:
        if not self._families["user.mmp_trigger"]:
            return
        name = results.index_name(self._view.underlying_name(underlying_id))
        channel = f"user.mmp_trigger.{name}"
        data = {
            "index_name": name,
            "subaccount_id": subaccount_id,
            "frozen_until": to_milliseconds_down(self._view.frozen[subaccount_id, underlying_id]),
            "timestamp": to_milliseconds_down(self._view.time_ns),
        }
        for connection in self.members(channel):
            if self._may_see(connection, subaccount_id):
                connection.outbox.put(notification(channel, data))

    def _send_notice(self, subaccount_id: int, notice: Notice) -> None:
        for connection in self.members("user.liquidations"):
            if self._may_see(connection, subaccount_id):
                row = notice_result(self._view, notice, subaccount_id)
                connection.outbox.put(notification("user.liquidations", row))

    @property
    def wants_liquidations(self) -> bool:
        """Whether somebody hears of liquidations, and one may have changed."""
        return self.dirty_liquidations and self._families["liquidations"] > 0

    def send_liquidations(self, running: Sequence[Liquidation]) -> None:
        """Tell what runs and what is for sale, by currency."""
        self.dirty_liquidations = False
        for channel in [name for name in self._members if name.startswith("liquidations.")]:
            mine = of_currency(self._view, running, channel.split(".")[1])
            self._send_latest(channel, partial(_rows, self._view, mine))

    def portfolio_members(self) -> list[tuple[str, Connection]]:
        """Who follows portfolios, by channel."""
        return [
            (channel, connection)
            for channel, members in self._members.items()
            if channel.startswith("user.portfolio.")
            for connection in members
        ]

    def _is_perpetual(self, name: str) -> bool:
        return self._instrument(name).kind is Kind.PERPETUAL

    def _instrument(self, name: str) -> Instrument:
        return self._view.instruments[self._view.instrument_ids[name]]
