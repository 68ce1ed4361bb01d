"""Subscriptions: which client hears what, as snapshot and deltas.

Fed with what each released entry touched; nothing here waits for a client. Raw channels speak at
once, the others at the tick of 100 ms. A message is encoded once, however many hear it.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from exchange.api import results
from exchange.api.book_view import BookDelta, BookView
from exchange.api.connection import Connection
from exchange.api.depth_by_order import OrderFeed
from exchange.api.errors import InvalidParams, TooManyRequests, Unauthorized, UnknownInstrument
from exchange.api.liquidations import liquidation_result, notice_result, of_currency
from exchange.api.ports import Liquidation
from exchange.api.records import Notice, OrderRecord, Touched, Trade
from exchange.api.risk_results import surface_result
from exchange.api.schemas import cash_number, quantity_number
from exchange.api.views import VenueView
from exchange.fixed import to_milliseconds_down
from exchange.model import Instrument, Kind, Side

_INSTRUMENT: Final = r"(?P<instrument>[A-Za-z0-9_-]+)"
_EVERY: Final = r"(?P<every>raw|100ms|agg2)"
_WIDE: Final = (
    r"(?P<kind>option|future|option_combo|future_combo|combo|any)\.(?P<currency>[A-Za-z]+)"
)
PATTERNS: Final = {
    "book": re.compile(rf"book\.{_INSTRUMENT}\.{_EVERY}"),
    "depth": re.compile(rf"book\.{_INSTRUMENT}\.none\.(?P<depth>1|10|20)\.(?P<every>100ms)"),
    "l3": re.compile(rf"l3\.{_INSTRUMENT}"),
    "instrument": re.compile(rf"instrument\.state\.{_WIDE}"),
    "ticker": re.compile(rf"ticker\.{_INSTRUMENT}\.{_EVERY}"),
    "quote": re.compile(rf"quote\.{_INSTRUMENT}"),
    "surface": re.compile(r"volatility_surface\.(?P<index>[a-z0-9]+_usdc)"),
    "index": re.compile(r"deribit_price_index\.(?P<index>[a-z0-9]+_usdc)"),
    "perpetual": re.compile(rf"perpetual\.{_INSTRUMENT}\.{_EVERY}"),
    "trades": re.compile(rf"trades\.(?:{_WIDE}|{_INSTRUMENT})\.{_EVERY}"),
    "user.orders": re.compile(rf"user\.orders\.(?:{_WIDE}|{_INSTRUMENT})\.{_EVERY}"),
    "user.trades": re.compile(rf"user\.trades\.(?:{_WIDE}|{_INSTRUMENT})\.{_EVERY}"),
    "liquidations": re.compile(r"liquidations\.(?P<currency>[A-Za-z]+)"),
    "block_rfq": re.compile(r"block_rfq\.(?:maker|taker)\.(?P<currency>[A-Za-z]+)"),
    "user.liquidations": re.compile(r"user\.liquidations"),
    "user.portfolio": re.compile(r"user\.portfolio\.(?P<currency>[A-Za-z]+)"),
}
TICK: Final = "100ms"


def notification(channel: str, data: object) -> bytes:
    """The message that carries a channel's data."""
    return msgspec.json.encode(
        {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}}
    )


def _family(channel: str) -> str:
    """The first word of a channel's name; of the user's own channels the first two."""
    first, second = channel.split(".")[:2]
    return f"user.{second}" if first == "user" else first


def _rows(view: VenueView, running: Sequence[Liquidation]) -> object:
    return [liquidation_result(view, one) for one in running]


class Channels:
    """Every subscription of this gateway."""

    def __init__(self, view: VenueView, may_see: Callable[[Connection, int], bool]) -> None:
        self._view = view
        self._may_see = may_see  # whether a client's session may touch a subaccount
        self._members: dict[str, set[Connection]] = {}
        self._families: Counter[str] = Counter()  # channels that somebody is in, by family
        self._awaiting_snapshot: dict[str, set[Connection]] = {}
        self._dirty: set[int] = set()  # instruments touched since the last tick
        self._tick_trades: list[Trade] = []
        self._tick_orders: dict[int, OrderRecord] = {}
        self._quotes: dict[int, tuple[object, object]] = {}
        self._order_feed = OrderFeed(view)
        self.dirty_subaccounts: set[int] = set()
        self.dirty_liquidations = False

    # -- membership -----------------------------------------------------------------------------

    def validate(self, channel: str, connection: Connection) -> None:
        """Refuse a channel that does not exist or that the client may not hear."""
        for family, pattern in PATTERNS.items():
            found = pattern.fullmatch(channel)
            if found is None:
                continue
            parts = found.groupdict()
            instrument = parts.get("instrument")
            if instrument is not None and instrument not in self._view.instrument_ids:
                raise UnknownInstrument(f"{channel}: no such instrument", "channels")
            if family == "perpetual" and not self._is_perpetual(parts["instrument"]):
                raise InvalidParams(f"{channel}: not a perpetual", "channels")
            if "index" in parts and parts["index"] not in self._index_names():
                raise UnknownInstrument(f"{channel}: no such index", "channels")
            if family.startswith(("user.", "block_rfq")) and connection.session is None:
                raise Unauthorized(f"{channel} needs a session: call public/auth", "channels")
            return
        raise InvalidParams(f"{channel[:64]}: no such channel", "channels")

    def _index_names(self) -> set[str]:
        parameters = self._view.parameters
        return {results.index_name(u.name) for u in parameters.underlyings} if parameters else set()

    def join(self, channels: Iterable[str], connection: Connection, limit: int) -> None:
        """Add a client to channels; `greet` sends the first data once the reply is on its way."""
        if len(connection.channels.union(channels)) > limit:
            raise TooManyRequests(f"at most {limit} channels a connection", "channels")
        for channel in channels:
            connection.channels.add(channel)
            if channel not in self._members:
                self._members[channel] = set()
                self._families[_family(channel)] += 1
            self._members[channel].add(connection)

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
        parts = channel.split(".")
        if parts[0] == "ticker":
            return results.ticker_result(self._view, self._instrument(parts[1]))
        if parts[0] == "perpetual":
            return results.interest_result(self._view, self._instrument(parts[1]))
        if parts[0] == "quote":
            return self._quote(self._instrument(parts[1]))
        if parts[0] == "deribit_price_index":
            return self._index(parts[1])
        if parts[0] == "volatility_surface":
            return self._surface(parts[1])
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
                        self._families[_family(channel)] -= table is self._members
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
        book = self._view.books[instrument.instrument_id]
        return notification(channel, self._snapshot(instrument, book, book.change_id))

    def _snapshot(self, instrument: Instrument, book: BookView, change_id: int) -> object:
        return {
            "type": "snapshot",
            "timestamp": to_milliseconds_down(self._view.time_ns),
            "instrument_name": instrument.name,
            "change_id": change_id,
            "bids": [["new", cash_number(p), quantity_number(q)] for p, q in book.levels(Side.BUY)],
            "asks": [
                ["new", cash_number(p), quantity_number(q)] for p, q in book.levels(Side.SELL)
            ],
        }

    def _send_delta(self, channel: str, instrument: Instrument, delta: BookDelta) -> None:
        waiting = self._awaiting_snapshot.get(channel, set())
        members = self.members(channel) - waiting
        if not members:
            return
        message = notification(
            channel,
            {
                "type": "change",
                "timestamp": to_milliseconds_down(self._view.time_ns),
                "instrument_name": instrument.name,
                "change_id": delta.change_id,
                "prev_change_id": delta.prev_change_id,
                "bids": [
                    [c.action, cash_number(c.price), quantity_number(c.quantity)]
                    for c in delta.bids
                ],
                "asks": [
                    [c.action, cash_number(c.price), quantity_number(c.quantity)]
                    for c in delta.asks
                ],
            },
        )
        for connection in members:
            connection.outbox.put_delta(channel, message)

    # -- what entries touched -------------------------------------------------------------------

    def publish(self, touched: Touched) -> None:
        """Speak on the raw channels; remember the rest for the tick."""
        for instrument_id, delta in touched.books:
            instrument = self._view.instruments[instrument_id]
            self._send_delta(f"book.{instrument.name}.raw", instrument, delta)
            self._dirty.add(instrument_id)
            self._send_quote(instrument)
        for trade in touched.trades:
            self._send_public_trades("raw", [trade])
            self._send_user_trades("raw", [trade])
        for order in touched.orders.values():
            self._send_orders("raw", [order])
        self._send_single_orders(touched)
        for instrument_id in touched.states:
            self._send_state(self._view.instruments[instrument_id])
        self._tick_trades.extend(touched.trades)
        self._tick_orders.update(touched.orders)
        self.dirty_subaccounts |= touched.subaccounts
        self.dirty_liquidations |= touched.liquidations
        for subaccount_id, notice in touched.notices:
            self._send_notice(subaccount_id, notice)
        for underlying_id in touched.indices:
            name = results.index_name(self._view.underlying_name(underlying_id))
            self._send_latest(f"deribit_price_index.{name}", partial(self._index, name))
        self._dirty |= touched.funding
        if touched.marks:
            self._dirty.update(self._view.instruments)
            for name in self._index_names():
                self._send_latest(f"volatility_surface.{name}", partial(self._surface, name))
            self.dirty_subaccounts.update(self._view.owners)

    def _send_single_orders(self, touched: Touched) -> None:
        if not self._families["l3"]:
            return
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
        data = {
            "timestamp": to_milliseconds_down(self._view.time_ns),
            "instrument_name": instrument.name,
            "state": results.STATES[self._view.statuses[instrument.instrument_id]],
        }
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
            for every in ("raw", TICK, "agg2"):
                self._send_latest(
                    f"ticker.{instrument.name}.{every}",
                    partial(results.ticker_result, self._view, instrument),
                )
                self._send_latest(
                    f"perpetual.{instrument.name}.{every}",
                    partial(results.interest_result, self._view, instrument),
                )
        trades, self._tick_trades = self._tick_trades, []
        orders, self._tick_orders = self._tick_orders, {}
        for every in (TICK, "agg2"):
            self._send_public_trades(every, trades)
            self._send_user_trades(every, trades)
            self._send_orders(every, list(orders.values()))

    def _tick_book(self, instrument: Instrument) -> None:
        book = self._view.books[instrument.instrument_id]
        delta = book.cut()
        for every in (TICK, "agg2"):
            channel = f"book.{instrument.name}.{every}"
            if delta is not None:
                self._send_delta(channel, instrument, delta)
            for connection in self._awaiting_snapshot.pop(channel, set()):
                data = self._snapshot(instrument, book, book.interval_change_id)
                connection.outbox.put(notification(channel, data))
        for depth in (1, 10, 20):
            channel = f"book.{instrument.name}.none.{depth}.{TICK}"
            self._awaiting_snapshot.pop(channel, None)
            self._send_latest(channel, partial(self._depth, instrument, book, depth))

    def _depth(self, instrument: Instrument, book: BookView, depth: int) -> object:
        return {
            "timestamp": to_milliseconds_down(self._view.time_ns),
            "instrument_name": instrument.name,
            "change_id": book.change_id,
            "bids": [[cash_number(p), quantity_number(q)] for p, q in book.levels(Side.BUY, depth)],
            "asks": [
                [cash_number(p), quantity_number(q)] for p, q in book.levels(Side.SELL, depth)
            ],
        }

    def _send_latest(self, channel: str, data: Callable[[], object]) -> None:
        members = self.members(channel)
        if members:
            message = notification(channel, data())
            for connection in members:
                connection.outbox.put_latest(channel, message)

    def _send_quote(self, instrument: Instrument) -> None:
        book = self._view.books[instrument.instrument_id]
        best = (book.best(Side.BUY), book.best(Side.SELL))
        if self._quotes.get(instrument.instrument_id) != best:
            self._quotes[instrument.instrument_id] = best
            self._send_latest(f"quote.{instrument.name}", lambda: self._quote(instrument))

    def _quote(self, instrument: Instrument) -> object:
        book = self._view.books[instrument.instrument_id]
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        return {
            "timestamp": to_milliseconds_down(self._view.time_ns),
            "instrument_name": instrument.name,
            "best_bid_price": cash_number(bid[0]) if bid else None,
            "best_bid_amount": quantity_number(bid[1]) if bid else 0,
            "best_ask_price": cash_number(ask[0]) if ask else None,
            "best_ask_amount": quantity_number(ask[1]) if ask else 0,
        }

    def _surface(self, name: str) -> object:
        parameters = self._view.parameters
        assert parameters is not None
        ids = {results.index_name(u.name): u.underlying_id for u in parameters.underlyings}
        return surface_result(self._view, ids[name])

    def _index(self, name: str) -> object:
        parameters = self._view.parameters
        assert parameters is not None
        for underlying in parameters.underlyings:
            if results.index_name(underlying.name) == name:
                found = self._view.index_prices.get(underlying.underlying_id)
                if found is None:
                    return None
                price, time_ns = found
                return {
                    "index_name": name,
                    "price": cash_number(price),
                    "timestamp": to_milliseconds_down(time_ns),
                }
        return None

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
            instrument = self._view.instruments[thing.instrument_id]
            for name in self._names(family, instrument, every):
                if name in self._members:
                    channels.setdefault(name, []).append(thing)
        return channels

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
