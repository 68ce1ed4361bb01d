"""The asynchronous client: typed calls, local signing, subscriptions that survive reconnection.

Orders need no session, only the subaccount's number; with a private key the client signs in anyway
to learn it. Prices and amounts may be text, ints, Decimals or floats, but must be exact in the
venue's steps.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from exchange.fixed import CASH_SCALE, div_up, mul_div_up
from exchange.model import (
    OrderTerms,
    SheetTerms,
    Side,
    instrument_name,
    unpack_instrument_id,
)
from exchange.sdk import history, order_fields, types
from exchange.sdk.book import BookMirror
from exchange.sdk.combos import COMBO_KINDS, AskedLeg, Combo, created, trades, verified
from exchange.sdk.errors import BadArgument, ConnectionLost
from exchange.sdk.money import MoneyCalls
from exchange.sdk.protection import ProtectionCalls
from exchange.sdk.quotes import TwoSided
from exchange.sdk.session import DEADLINE_S
from exchange.sdk.subscriptions import Stream
from exchange.sdk.transport import WebSocketTransport
from exchange.sdk.triggers import trigger_of
from exchange.sdk.wallet import (
    Number,
    price_text,
    to_price,
    to_quantity,
)
from exchange.signing import trigger_hash

FEE_MARGIN: Final = 2  # the default fee limit in multiples of the schedule: the index may rise
FEE_INDEX_AGE_S: Final = 30.0
MIRROR_TIMEOUT_S: Final = 10.0


class AsyncClient(MoneyCalls, ProtectionCalls):
    """One subaccount's client. `transport="http"` does without subscriptions."""

    def __init__(
        self,
        url: str,
        private_key: str | bytes | None = None,
        *,
        subaccount_id: int | None = None,
        transport: Literal["websocket", "http"] = "websocket",
    ) -> None:
        super().__init__(url, private_key, subaccount_id=subaccount_id, transport=transport)
        self._instruments: dict[str, types.Instrument] = {}
        self._index_prices: dict[str, tuple[int, float]] = {}

    # -- market data ----------------------------------------------------------------------------

    async def instruments(self, currency: str = "any") -> list[types.Instrument]:
        """Instruments that are listed."""
        found = await self._typed(
            list[types.Instrument], "public/get_instruments", {"currency": currency}
        )
        self._instruments.update((one.instrument_name, one) for one in found)
        return found

    async def instrument(self, name: str) -> types.Instrument:
        """One instrument; its id is checked against its name, since the id is what gets signed."""
        known = self._instruments.get(name)
        if known is None:
            known = await self._typed(
                types.Instrument, "public/get_instrument", {"instrument_name": name}
            )
            if known.kind in COMBO_KINDS:
                details = await self.call("public/get_combo_details", {"combo_id": name})
                known = await verified(known, details, self.instrument)
            elif name != instrument_name(
                known.base_currency, unpack_instrument_id(known.instrument_id)
            ):
                raise BadArgument(f"the venue's id of {name} means another instrument")
            self._instruments[name] = known
        return known

    async def create_combo(self, *legs: AskedLeg) -> Combo:
        """List a combo, or find it; `direction` sell: buying what was asked is selling this."""
        return created(await self.call("private/create_combo", {"trades": trades(legs)}), legs)

    async def order_book(self, name: str, depth: int = 10) -> types.OrderBook:
        """The book as it stands."""
        params = {"instrument_name": name, "depth": depth}
        return await self._typed(types.OrderBook, "public/get_order_book", params)

    async def ticker(self, name: str) -> types.Ticker:
        """Best prices, mark and greeks."""
        return await self._typed(types.Ticker, "public/ticker", {"instrument_name": name})

    async def summaries(self, currency: str = "any") -> list[types.Summary]:
        """One row an instrument."""
        params = {"currency": currency}
        return await self._typed(list[types.Summary], "public/get_book_summary_by_currency", params)

    async def index_price(self, index_name: str) -> Decimal:
        """The newest index price, such as of btc_usdc."""
        answer = await self.call("public/get_index_price", {"index_name": index_name})
        return Decimal(answer["index_price"])

    async def trades(self, name: str, count: int = 10) -> list[types.Trade]:
        """The newest public trades."""
        params = {"instrument_name": name, "count": count}
        answer = await self.call("public/get_last_trades_by_instrument", params)
        return msgspec.convert(answer["trades"], list[types.Trade], strict=False)

    # -- orders ---------------------------------------------------------------------------------

    async def buy(self, name: str, amount: Number, price: Number, **options: Any) -> types.Receipt:
        """Bid; see `place`."""
        return await self.place("buy", name, amount, price, **options)

    async def sell(self, name: str, amount: Number, price: Number, **options: Any) -> types.Receipt:
        """Offer; see `place`."""
        return await self.place("sell", name, amount, price, **options)

    async def place(
        self,
        direction: Literal["buy", "sell"],
        name: str,
        amount: Number,
        price: Number,
        **options: Any,
    ) -> types.Receipt:
        """Sign and send an order.

        Options: `max_fee` (USDC a contract; twice the schedule by default), `deadline_s` (seconds
        from now), `nonce`, and Deribit's `time_in_force`, `post_only`, `reject_post_only`,
        `reduce_only`, `label`, `type`, `max_show`; for a stop, take or trailing stop also `trigger`
        (`index_price`, `mark_price` or `last_price`) and `trigger_price` or `trigger_offset`. With
        `advanced="implv"` the price is a volatility in percent, and `limit_price` the worst price.
        """
        params = await self.signed_order(direction, name, amount, price, **options)
        return await self._typed(types.Receipt, f"private/{direction}", params)

    async def signed_order(
        self,
        direction: Literal["buy", "sell"],
        name: str,
        amount: Number,
        price: Number,
        **options: Any,
    ) -> dict[str, Any]:
        """Parameters of `private/buy` or `private/sell`, signed; options as for `place`."""
        wallet = self._wallet()
        instrument = await self.instrument(name)
        max_fee = options.pop("max_fee", None)
        nonce = options.pop("nonce", None)
        worst = options.pop("limit_price", None)
        limit_price, prices = order_fields.price_fields(price, options.get("advanced"), worst)
        options = order_fields.decimal_options(options)
        trigger = trigger_of(
            options.get("type", "limit"),
            options.get("trigger", ""),
            options.get("trigger_price"),
            options.get("trigger_offset"),
        )
        terms = OrderTerms(
            subaccount_id=await self.subaccount_id(),
            instrument_id=instrument.instrument_id,
            legs_hash=instrument.legs_hash,
            side=Side.BUY if direction == "buy" else Side.SELL,
            quantity=to_quantity(amount),
            limit_price=limit_price,
            max_fee=await self._max_fee(instrument, max_fee),
            reduce_only=options.get("reduce_only", False),
            trigger_hash=trigger_hash(trigger),
            nonce=self.nonces.allocate() if nonce is None else nonce,
            deadline=self._transport.clock.now_s() + options.pop("deadline_s", DEADLINE_S),
            signer=wallet.address,
        )
        return (
            order_fields.signed_fields(terms)
            | prices
            | {
                "instrument_name": name,
                "subaccount_id": terms.subaccount_id,
                "nonce": terms.nonce,
                "signature": wallet.sign_order(await self._signing_domain(), terms),
            }
            | options
        )

    async def place_linked(
        self,
        linked_order_type: str,
        *orders: tuple[Literal["buy", "sell"], dict[str, Any]],
        trigger_fill_condition: str = "first_hit",
    ) -> types.Receipt:
        """Send orders that depend on each other, all or none; the receipt is that of the first.

        Each is a direction and what `signed_order` gives for it. Types: `one_cancels_other`,
        `one_triggers_other`, `one_triggers_one_cancels_other`.
        """
        (direction, first), *others = orders
        params = first | {
            "linked_order_type": linked_order_type,
            "trigger_fill_condition": trigger_fill_condition,
            "otoco_config": [fields | {"direction": side} for side, fields in others],
        }
        return await self._typed(types.Receipt, f"private/{direction}", params)

    async def edit(
        self,
        order: types.Order,
        amount: Number,
        price: Number,
        *,
        limit_price: Number | None = None,
        max_fee: Number | None = None,
        deadline_s: int = DEADLINE_S,
        **options: Any,
    ) -> types.Receipt:
        """Sign the order's nonce again with the next version; its id stays.

        A volatility order takes a volatility and a `limit_price` again. Options: `max_show`.
        """
        signed, prices = order_fields.price_fields(price, order.advanced, limit_price)
        wallet = self._wallet()
        instrument = await self.instrument(order.instrument_name)
        trigger = trigger_of(
            order.order_type, order.trigger, order.trigger_price, order.trigger_offset
        )
        terms = OrderTerms(
            subaccount_id=order.subaccount_id,
            instrument_id=instrument.instrument_id,
            legs_hash=instrument.legs_hash,
            side=Side.BUY if order.direction == "buy" else Side.SELL,
            quantity=to_quantity(amount),
            limit_price=signed,
            max_fee=await self._max_fee(instrument, max_fee),
            reduce_only=order.reduce_only,
            trigger_hash=trigger_hash(trigger),
            nonce=order.nonce,
            version=order.version + 1,
            deadline=self._transport.clock.now_s() + deadline_s,
            signer=wallet.address,
        )
        signature = wallet.sign_order(await self._signing_domain(), terms)
        named = {"order_id": order.order_id, "version": terms.version, "signature": signature}
        params = (
            order_fields.signed_fields(terms)
            | prices
            | named
            | order_fields.decimal_options(options)
        )
        return await self._typed(types.Receipt, "private/edit", params)

    async def cancel(self, order_id: str) -> types.Order:
        """Cancel one order."""
        return await self._typed(types.Order, "private/cancel", {"order_id": order_id})

    async def cancel_all(self) -> int:
        """Cancel all orders of this subaccount; returns how many."""
        params = {"subaccount_id": await self.subaccount_id()}
        return int(await self.call("private/cancel_all", params))

    async def mass_quote(
        self,
        lines: Sequence[TwoSided],
        *,
        max_fee: Number | None = None,
        deadline_s: int = DEADLINE_S,
        mmp: bool = False,
        label: str = "",
        detailed: bool = True,
    ) -> types.QuotesReceipt:
        """Replace this subaccount's sheet of post-only quotes, under one signature.

        What only shrinks keeps its priority; what the sheet does not name is canceled. Without
        `detailed` the receipt only counts: faster for long sheets.
        """
        wallet = self._wallet()
        instruments = [await self.instrument(line.instrument_name) for line in lines]
        fees = [await self._max_fee(instrument, max_fee) for instrument in instruments]
        first_nonce = self.nonces.allocate(2 * len(lines))
        terms = SheetTerms(
            subaccount_id=await self.subaccount_id(),
            sheet_nonce=first_nonce,  # it only grows, over restarts too
            first_nonce=first_nonce,
            max_fee=max(fees, default=0),
            deadline=self._transport.clock.now_s() + deadline_s,
            signer=wallet.address,
        )
        quotes = [
            line.signed(instrument.instrument_id)
            for line, instrument in zip(lines, instruments, strict=True)
        ]
        params = msgspec.structs.asdict(terms) | {
            "max_fee": price_text(terms.max_fee),
            "signature": wallet.sign_sheet(await self._signing_domain(), terms, quotes),
            "quotes": [line.fields() for line in lines],
            "mmp": mmp,
            "label": label,
            "detailed": detailed,
        }
        return await self._typed(types.QuotesReceipt, "private/mass_quote", params)

    async def cancel_quotes(self) -> int:
        """Cancel the quotes of this subaccount; returns how many."""
        params = {"subaccount_id": await self.subaccount_id()}
        return int(await self.call("private/cancel_quotes", params))

    async def order(self, order_id: str) -> types.Order:
        """An order's state."""
        return await self._typed(types.Order, "private/get_order_state", {"order_id": order_id})

    async def order_by_nonce(self, nonce: int) -> types.Order:
        """What became of a nonce: the question after a `ConnectionLost`."""
        params = {"subaccount_id": await self.subaccount_id(), "nonce": nonce}
        return await self._typed(types.Order, "private/get_order_state_by_nonce", params)

    async def open_orders(self) -> list[types.Order]:
        """Open orders of this subaccount."""
        params = {"subaccount_id": await self.subaccount_id()}
        return await self._typed(list[types.Order], "private/get_open_orders", params)

    # -- the past -------------------------------------------------------------------------------

    async def history(
        self, topic: str, limit: int | None = None, **where: Any
    ) -> list[dict[str, Any]]:
        """Rows of one of `history.TOPICS` from all pages, the newest first; `where`: `currency`."""
        found: list[dict[str, Any]] = []
        if limit is not None and limit < history.PAGE:
            where = {"count": max(limit, 1)} | where
        async for row in history.rows(self, topic, **where):
            if limit is not None and len(found) >= limit:
                break
            found.append(row)
        return found

    async def export_csv(self, topic: str, path: Path, **where: Any) -> int:
        """Write every row of a topic to a file; how many."""
        return await history.export_csv(self, topic, path, **where)

    async def _max_fee(self, instrument: types.Instrument, given: Number | None) -> int:
        """The fee limit a contract: as given, or a multiple of the schedule at today's index."""
        if given is not None:
            return to_price(given, "max_fee")
        price, asked_s = self._index_prices.get(instrument.price_index, (0, 0.0))
        now_s = time.monotonic()
        if not price or now_s - asked_s > FEE_INDEX_AGE_S:
            price = to_price(await self.index_price(instrument.price_index))
            self._index_prices[instrument.price_index] = (price, now_s)
        rate = to_price(max(instrument.maker_commission, instrument.taker_commission), "fee rate")
        cents = div_up(mul_div_up(price * FEE_MARGIN, rate, CASH_SCALE), 10_000)
        return cents * 10_000 * instrument.contracts

    # -- subscriptions --------------------------------------------------------------------------

    def _websocket(self) -> WebSocketTransport:
        if not isinstance(self._transport, WebSocketTransport):
            raise BadArgument("subscriptions need transport='websocket'")
        return self._transport

    async def subscribe(self, *channels: str) -> Stream:
        """Join channels; iterate over the stream for (channel, data)."""
        self._websocket()
        stream = Stream(list(channels))
        self._subscriptions.add_stream(stream)
        try:
            await self._join(list(channels))
        except BaseException:
            self._subscriptions.remove_stream(stream)
            raise
        return stream

    async def unsubscribe(self, stream: Stream) -> None:
        """Leave a stream's channels, unless others use them."""
        unused = self._subscriptions.remove_stream(stream)
        if unused:
            with contextlib.suppress(ConnectionLost):
                await self.call("public/unsubscribe", {"channels": unused})

    async def mirror(self, name: str, interval: str = "100ms") -> BookMirror:
        """A book that follows the venue; returns once the first snapshot came."""
        self._websocket()
        channel = f"book.{name}.{interval}"
        mirror = self._subscriptions.mirror(channel)
        if mirror is None:
            mirror = BookMirror(name)
            ready = self._subscriptions.add_mirror(channel, mirror)
            await self._join([channel])
            async with asyncio.timeout(MIRROR_TIMEOUT_S):
                await ready.wait()
        return mirror
