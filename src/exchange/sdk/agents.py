"""The demo market's agents: makers that quote a chain around its marks, takers that hit it.

Ordinary clients of the wire with an ordinary wallet each. Their choices come from a seeded
generator; refusals and broken connections are met as any client must meet them.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from random import Random  # noqa: TID251  seeded by whoever starts the agent
from typing import Any, Final, Literal

import msgspec
import structlog

from exchange.sdk.async_client import AsyncClient
from exchange.sdk.errors import ApiError, ConnectionLost, SdkError
from exchange.sdk.types import Instrument, Order, Summary

Direction = Literal["buy", "sell"]
DIRECTIONS: Final[tuple[Direction, Direction]] = ("buy", "sell")
RETRY_S: Final = 1.0
GONE: Final = frozenset({"unknown_order", "quantity_not_positive", "instrument_expired"})

_log: Final = structlog.get_logger("agents")


class MakerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a maker quotes, and how often; `half_spread` and `requote_move` are fractions."""

    expiries: int = 3  # of each underlying, the nearest
    strikes: int = 7  # of each expiry, the nearest to the index
    amount: Decimal = Decimal(1)
    half_spread: Decimal = Decimal("0.02")
    linear_half_spread: Decimal = Decimal("0.0005")  # of perpetuals and futures
    linear_lean: Decimal = Decimal("0.001")  # how far they move against a full position
    half_spread_ticks: int = 2
    position_max: Decimal = Decimal(20)  # in one instrument; beyond it that side rests
    requote_move: Decimal = Decimal("0.001")  # of the index
    requote_s: float = 5.0
    orders_per_s: float = 40.0


class TakerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a taker trades."""

    orders_per_s: float = 1.0
    amounts: tuple[str, ...] = ("0.1", "0.2", "0.5")
    position_max: Decimal = Decimal(5)  # in one instrument; beyond it only reducing orders


class Maker:
    """Quotes both sides of near strikes, perpetuals and futures; amends its orders to move them."""

    def __init__(self, client: AsyncClient, rng: Random, settings: MakerSettings) -> None:
        self._client = client
        self._rng = rng
        self._settings = settings
        self._quotes: dict[tuple[str, Direction], Order] = {}
        self._instruments: dict[str, Instrument] = {}
        self._positions: dict[str, Decimal] = {}
        self._index: dict[str, Decimal] = {}
        self._quoted_index: dict[str, Decimal] = {}

    async def run(self) -> None:
        """Quote until cancelled."""
        while True:
            try:
                await self._client.cancel_all()  # of an earlier life: their versions are unknown
                self._quotes.clear()
                async with _listening(self._client, ["user.orders.any.any.raw"]) as orders:
                    await self._quote_for_ever(orders)
            except SdkError as error:
                _log.info("maker starts over", error=str(error))
                await asyncio.sleep(RETRY_S)

    async def _quote_for_ever(self, orders: Any) -> None:
        names = await self._client.call("public/get_index_price_names")
        indices = [f"deribit_price_index.{name}" for name in names]
        following = asyncio.create_task(self._follow_orders(orders))
        try:
            async with _listening(self._client, indices) as prices:
                while True:
                    await self.requote()
                    await self._wait_for_move(prices)
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following

    async def _follow_orders(self, orders: Any) -> None:
        async for _, data in orders:
            key = (data["instrument_name"], data["direction"])
            known = self._quotes.get(key)
            if known is not None and known.order_id == data["order_id"]:
                order = msgspec.convert(data, Order, strict=False)
                if order.order_state != "open":
                    del self._quotes[key]
                elif order.version >= known.version:
                    self._quotes[key] = order

    async def _wait_for_move(self, prices: Any) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.requote_s):
                while True:
                    channel, data = await prices.next()
                    price = Decimal(data["price"])
                    self._index[channel] = price
                    before = self._quoted_index.get(channel, price)
                    if abs(price - before) > before * self._settings.requote_move:
                        return

    async def requote(self) -> None:
        """One pass over the chain: new quotes, moved quotes, quotes withdrawn."""
        self._quoted_index.update(self._index)
        self._instruments = {i.instrument_name: i for i in await self._client.instruments()}
        held = await self._client.positions()
        self._positions = {position.instrument_name: position.size for position in held}
        summaries = [s for s in await self._client.summaries() if s.mark_price]
        chosen = near_the_money(self._instruments, summaries, self._settings)
        chosen += [s for s in summaries if self._is_linear(s.instrument_name)]
        wanted = {s.instrument_name for s in chosen}
        for key in [key for key in self._quotes if key[0] not in wanted]:
            await self._withdraw(key)
        self._rng.shuffle(chosen)  # makers that start together do not race for the same queue
        for summary in chosen:
            for direction in self._order_of_sides(summary):
                await self._quote(summary, direction)

    def _order_of_sides(self, summary: Summary) -> tuple[Direction, Direction]:
        """The side that moves away goes first, lest the maker meets its own order."""
        standing = self._quotes.get((summary.instrument_name, "buy"))
        bid = self._price(summary, "buy")
        rising = standing is not None and standing.price < bid
        return ("sell", "buy") if rising else ("buy", "sell")

    def _is_linear(self, name: str) -> bool:
        return name in self._instruments and self._instruments[name].kind == "future"

    def _price(self, summary: Summary, direction: Direction) -> Decimal:
        name = summary.instrument_name
        instrument = self._instruments[name]
        settings = self._settings
        if instrument.kind == "future":
            summary = leaning(summary, self._positions.get(name, Decimal(0)), settings)
            settings = msgspec.structs.replace(settings, half_spread=settings.linear_half_spread)
        return quote_price(summary, direction, instrument.tick_size, settings)

    async def _quote(self, summary: Summary, direction: Direction) -> None:
        key = (summary.instrument_name, direction)
        sign = 1 if direction == "buy" else -1
        position = self._positions.get(summary.instrument_name, Decimal(0))
        if sign * position >= self._settings.position_max:
            await self._withdraw(key)
            return
        price = self._price(summary, direction)
        standing = self._quotes.get(key)
        if standing is not None and standing.price == price:
            return
        await asyncio.sleep(1 / self._settings.orders_per_s)
        try:
            await self._send(key, price)
        except ConnectionLost:
            raise
        except ApiError as error:
            if error.reject_reason in GONE:
                self._quotes.pop(key, None)
            _log.debug("quote refused", instrument_name=key[0], error=str(error))

    async def _send(self, key: tuple[str, Direction], price: Decimal) -> None:
        standing = self._quotes.get(key)
        if standing is None:
            name, direction = key
            receipt = await self._client.place(
                direction, name, self._settings.amount, price, post_only=True, label="maker"
            )
        else:
            amount = standing.filled_amount + self._settings.amount
            receipt = await self._client.edit(standing, amount, price)
        if receipt.order.order_state == "open":
            self._quotes[key] = receipt.order
        else:
            self._quotes.pop(key, None)

    async def _withdraw(self, key: tuple[str, Direction]) -> None:
        standing = self._quotes.pop(key, None)
        if standing is not None:
            with contextlib.suppress(ApiError):
                await self._client.cancel(standing.order_id)


def near_the_money(
    instruments: dict[str, Instrument], summaries: Sequence[Summary], settings: MakerSettings
) -> list[Summary]:
    """The nearest strikes of the nearest expiries of each underlying."""
    chosen: list[Summary] = []
    by_chain: dict[tuple[str, int], list[Summary]] = {}
    for summary in summaries:
        instrument = instruments.get(summary.instrument_name)
        if instrument is not None and instrument.kind == "option":
            chain = (instrument.base_currency, instrument.expiration_timestamp)
            by_chain.setdefault(chain, []).append(summary)
    for currency in sorted({chain[0] for chain in by_chain}):
        expiries = sorted(chain for chain in by_chain if chain[0] == currency)
        for chain in expiries[: settings.expiries]:
            rows = sorted(
                by_chain[chain],
                key=lambda s: abs(instruments[s.instrument_name].strike - s.underlying_price),
            )
            chosen += rows[: 2 * settings.strikes]  # calls and puts
    return chosen


def leaning(summary: Summary, position: Decimal, settings: MakerSettings) -> Summary:
    """A perpetual's or future's row with what a maker of this position thinks it worth.

    A perpetual is worth its index: quoted around its mark, which follows the book, a premium would
    feed itself. A full position moves both by `linear_lean` to the side that reduces it; that
    is what the perpetual's premium, and so its funding, comes from.
    """
    is_perpetual = summary.instrument_name.endswith("-PERPETUAL")
    worth = summary.underlying_price if is_perpetual else summary.mark_price
    assert worth is not None
    share = max(Decimal(-1), min(Decimal(1), position / settings.position_max))
    return msgspec.structs.replace(summary, mark_price=worth * (1 - share * settings.linear_lean))


def quote_price(
    summary: Summary, direction: Direction, tick: Decimal, settings: MakerSettings
) -> Decimal:
    """The mark less (plus) the half spread, on the grid and at least one tick."""
    assert summary.mark_price is not None
    away = max(summary.mark_price * settings.half_spread, tick * settings.half_spread_ticks)
    if direction == "buy":
        return max(tick, to_tick(summary.mark_price - away, tick, ROUND_FLOOR))
    return max(2 * tick, to_tick(summary.mark_price + away, tick, ROUND_CEILING))


def to_tick(price: Decimal, tick: Decimal, rounding: str) -> Decimal:
    """The price on the grid of `tick`."""
    return (price / tick).to_integral_value(rounding) * tick


class Taker:
    """Sends immediate-or-cancel orders at the other side's best price."""

    def __init__(self, client: AsyncClient, rng: Random, settings: TakerSettings) -> None:
        self._client = client
        self._rng = rng
        self._settings = settings
        self.trades = 0

    async def run(self) -> None:
        """Trade until cancelled."""
        while True:
            await asyncio.sleep(self._rng.expovariate(self._settings.orders_per_s))
            try:
                await self.trade_once()
            except SdkError as error:
                _log.debug("taker was refused", error=str(error))

    async def trade_once(self) -> None:
        """One order in an instrument that somebody quotes."""
        quoted = [s for s in await self._client.summaries() if s.bid_price and s.ask_price]
        if not quoted:
            return
        summary = self._rng.choice(quoted)
        direction = self._direction(await self._position(summary.instrument_name))
        price = summary.ask_price if direction == "buy" else summary.bid_price
        assert price is not None
        receipt = await self._client.place(
            direction,
            summary.instrument_name,
            self._rng.choice(self._settings.amounts),
            price,
            time_in_force="immediate_or_cancel",
            label="taker",
        )
        self.trades += len(receipt.trades)

    def _direction(self, position: Decimal) -> Direction:
        if position >= self._settings.position_max:
            return "sell"
        if position <= -self._settings.position_max:
            return "buy"
        return self._rng.choice(DIRECTIONS)

    async def _position(self, name: str) -> Decimal:
        for position in await self._client.positions():
            if position.instrument_name == name:
                return position.size
        return Decimal(0)


@contextlib.asynccontextmanager
async def _listening(client: AsyncClient, channels: list[str]) -> AsyncIterator[Any]:
    stream = await client.subscribe(*channels)
    try:
        yield stream
    finally:
        with contextlib.suppress(SdkError):
            await client.unsubscribe(stream)


async def run_maker(
    url: str, private_key: bytes | str, rng: Random, settings: MakerSettings | None = None
) -> None:
    """Quote over a WebSocket until cancelled; the key's address must hold a funded subaccount."""
    async with AsyncClient(url, private_key) as client:
        await Maker(client, rng, settings or MakerSettings()).run()


async def run_taker(
    url: str, private_key: bytes | str, rng: Random, settings: TakerSettings | None = None
) -> None:
    """Take over REST until cancelled; the key's address must hold a funded subaccount."""
    async with AsyncClient(url, private_key, transport="http") as client:
        await Taker(client, rng, settings or TakerSettings()).run()
