"""The synchronous client: the asynchronous one on a thread of its own.

Every call blocks until its reply; exceptions are the same. Not meant for several threads at once.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from exchange.sdk import types
from exchange.sdk.book import BookMirror
from exchange.sdk.combos import AskedLeg, Combo
from exchange.sdk.keeper import Keeper
from exchange.sdk.protection import Protection
from exchange.sdk.quotes import TwoSided
from exchange.sdk.rfq import BlockRfq, Direction, RfqClient
from exchange.sdk.session import DEADLINE_S
from exchange.sdk.wallet import Number

T = TypeVar("T")


class EveryCall(RfqClient, Keeper):
    """The asynchronous client with all its calls."""


class Client:
    """One subaccount's client; arguments as for `AsyncClient`."""

    def __init__(self, url: str, private_key: str | bytes | None = None, **options: Any) -> None:
        self._async = EveryCall(url, private_key, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sdk", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Connect."""
        self._thread.start()
        try:
            self._run(self._async.start())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Disconnect; open orders stay."""
        self._run(self._async.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    @property
    def address(self) -> str:
        """The signer's address; empty without a key."""
        return self._async.wallet.address if self._async.wallet else ""

    def call(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """Any method by name."""
        return self._run(self._async.call(method, params))

    def subaccount_id(self) -> int:
        """The subaccount that this client trades for."""
        return self._run(self._async.subaccount_id())

    def instruments(self, currency: str = "any") -> list[types.Instrument]:
        """Instruments that are listed."""
        return self._run(self._async.instruments(currency))

    def instrument(self, name: str) -> types.Instrument:
        """One instrument."""
        return self._run(self._async.instrument(name))

    def create_combo(self, *legs: AskedLeg) -> Combo:
        """List a combo, or find it; legs are (name, amount, direction)."""
        return self._run(self._async.create_combo(*legs))

    def order_book(self, name: str, depth: int = 10) -> types.OrderBook:
        """The book as it stands."""
        return self._run(self._async.order_book(name, depth))

    def ticker(self, name: str) -> types.Ticker:
        """Best prices, mark and greeks."""
        return self._run(self._async.ticker(name))

    def summaries(self, currency: str = "any") -> list[types.Summary]:
        """One row an instrument."""
        return self._run(self._async.summaries(currency))

    def index_price(self, index_name: str) -> Decimal:
        """The newest index price."""
        return self._run(self._async.index_price(index_name))

    def trades(self, name: str, count: int = 10) -> list[types.Trade]:
        """The newest public trades."""
        return self._run(self._async.trades(name, count))

    def buy(self, name: str, amount: Number, price: Number, **options: Any) -> types.Receipt:
        """Sign and send a bid; options as for `AsyncClient.place`."""
        return self._run(self._async.place("buy", name, amount, price, **options))

    def sell(self, name: str, amount: Number, price: Number, **options: Any) -> types.Receipt:
        """Sign and send an offer; options as for `AsyncClient.place`."""
        return self._run(self._async.place("sell", name, amount, price, **options))

    def signed_order(
        self,
        direction: Literal["buy", "sell"],
        name: str,
        amount: Number,
        price: Number,
        **options: Any,
    ) -> dict[str, Any]:
        """Parameters of an order for `place_linked`; options as for `AsyncClient.place`."""
        return self._run(self._async.signed_order(direction, name, amount, price, **options))

    def place_linked(
        self,
        linked_order_type: str,
        *orders: tuple[Literal["buy", "sell"], dict[str, Any]],
        **options: Any,
    ) -> types.Receipt:
        """Send orders that depend on each other; as `AsyncClient.place_linked`."""
        return self._run(self._async.place_linked(linked_order_type, *orders, **options))

    def edit(
        self, order: types.Order, amount: Number, price: Number, **options: Any
    ) -> types.Receipt:
        """Sign new terms of an order."""
        return self._run(self._async.edit(order, amount, price, **options))

    def cancel(self, order_id: str) -> types.Order:
        """Cancel one order."""
        return self._run(self._async.cancel(order_id))

    def mass_quote(self, lines: Sequence[TwoSided], **options: Any) -> types.QuotesReceipt:
        """Replace this subaccount's sheet of quotes; options as in `AsyncClient.mass_quote`."""
        return self._run(self._async.mass_quote(lines, **options))

    def cancel_quotes(self) -> int:
        """Cancel the quotes of this subaccount; returns how many."""
        return self._run(self._async.cancel_quotes())

    def cancel_all(self) -> int:
        """Cancel all orders of this subaccount; returns how many."""
        return self._run(self._async.cancel_all())

    def cancel_by_label(self, label: str) -> int:
        """Cancel orders with a label; returns how many."""
        return self._run(self._async.cancel_by_label(label))

    def protect(self, index_name: str, interval: int, **limits: Any) -> Protection:
        """Limit what `mmp` orders trade; limits as in `AsyncClient.protect`."""
        return self._run(self._async.protect(index_name, interval, **limits))

    def protections(self) -> list[Protection]:
        """Limits in force, and until when a maker is frozen."""
        return self._run(self._async.protections())

    def reset_protection(self, index_name: str) -> None:
        """Lift a freeze."""
        self._run(self._async.reset_protection(index_name))

    def cancel_on_disconnect(self, *, on: bool = True) -> None:
        """Have what came by this connection canceled when it breaks."""
        self._run(self._async.cancel_on_disconnect(on=on))

    def rate_limits(self) -> dict[str, Any]:
        """Credits left, and how fast they come back."""
        return self._run(self._async.rate_limits())

    def order(self, order_id: str) -> types.Order:
        """An order's state."""
        return self._run(self._async.order(order_id))

    def order_by_nonce(self, nonce: int) -> types.Order:
        """What became of a nonce."""
        return self._run(self._async.order_by_nonce(nonce))

    def open_orders(self) -> list[types.Order]:
        """Open orders."""
        return self._run(self._async.open_orders())

    def positions(self) -> list[types.Position]:
        """Positions that are not flat."""
        return self._run(self._async.positions())

    def account(self) -> types.Account:
        """Cash and margin."""
        return self._run(self._async.account())

    def my_trades(self, name: str, count: int = 100) -> list[types.Trade]:
        """Own trades in an instrument, the newest first."""
        return self._run(self._async.my_trades(name, count))

    def history(self, topic: str, limit: int | None = None, **where: Any) -> list[dict[str, Any]]:
        """Rows of the past, the newest first; topics as for `AsyncClient.history`."""
        return self._run(self._async.history(topic, limit, **where))

    def export_csv(self, topic: str, path: Path, **where: Any) -> int:
        """Write every row of a topic to a file; how many."""
        return self._run(self._async.export_csv(topic, path, **where))

    def withdraw(
        self, amount: Number, address: str | None = None, **options: Any
    ) -> types.WithdrawalReceipt:
        """Take cash or a token out; options as in `AsyncClient.withdraw`."""
        return self._run(self._async.withdraw(amount, address, **options))

    def transfer(self, amount: Number, destination: int, **options: Any) -> types.TransferReceipt:
        """Move USDC or a token to another subaccount of the same owner."""
        return self._run(self._async.transfer(amount, destination, **options))

    def margins(self, name: str, amount: Number, price: Number) -> types.Margins:
        """Initial margin that an order would take, bought or sold."""
        return self._run(self._async.margins(name, amount, price))

    def simulate_portfolio(
        self, positions: Mapping[str, Number] | None = None, **options: Any
    ) -> types.Simulation:
        """Margin of what would be; options as in `AsyncClient.simulate_portfolio`."""
        return self._run(self._async.simulate_portfolio(positions, **options))

    def request_quotes(
        self,
        legs: Sequence[tuple[str, Number, Direction]],
        amount: Number,
        direction: Direction | None = None,
        **options: Any,
    ) -> BlockRfq:
        """Ask for so many units of legs; options as in `RfqClient.request_quotes`."""
        return self._run(self._async.request_quotes(legs, amount, direction, **options))

    def requests(self, role: str = "any", state: str = "open") -> list[BlockRfq]:
        """Requests that you made, or may answer."""
        return self._run(self._async.requests(role, state))

    def quote(
        self, rfq: BlockRfq, direction: Direction, price: Number, deadline_s: int = DEADLINE_S
    ) -> int:
        """Answer a request with a signed price; the quote's id."""
        return self._run(self._async.quote(rfq, direction, price, deadline_s))

    def accept(
        self, rfq: BlockRfq, direction: Direction, price: Number, deadline_s: int = DEADLINE_S
    ) -> BlockRfq:
        """Take the best quote within a price; whole, or an error."""
        return self._run(self._async.accept(rfq, direction, price, deadline_s))

    def cancel_request(self, rfq_id: int) -> None:
        """Take a request back."""
        self._run(self._async.cancel_request(rfq_id))

    def cancel_quote(self, quote_id: int) -> None:
        """Take a quote back."""
        self._run(self._async.cancel_quote(quote_id))

    def liquidations(self, currency: str = "any") -> list[types.Liquidation]:
        """What is being liquidated, and what of it is for sale now."""
        return self._run(self._async.liquidations(currency))

    def bid(self, found: types.Liquidation, **options: Any) -> types.TakenOver:
        """Bid for what `found` offers; options as in `Keeper.bid`."""
        return self._run(self._async.bid(found, **options))

    def domain(self) -> types.SigningDomain:
        """What orders are signed for, and the fee schedule."""
        return self._run(self._async.domain())

    def settlement(self, trade_id: str) -> types.Settlement:
        """Where a trade stands on its way to the chain."""
        return self._run(self._async.settlement(trade_id))

    def wait_settled(
        self, trade_id: str, *, timeout_s: float = 60.0, every_s: float = 0.25
    ) -> types.Settlement:
        """Wait until a trade is confirmed on chain."""
        waiting = self._async.wait_settled(trade_id, timeout_s=timeout_s, every_s=every_s)
        return self._run(waiting)

    def mirror(self, name: str, interval: str = "100ms") -> BookMirror:
        """A book that follows the venue by itself."""
        return self._run(self._async.mirror(name, interval))

    def follow(self, *channels: str) -> Iterator[tuple[str, Any]]:
        """Messages of channels, for ever: `for channel, data in client.follow(...)`."""
        stream = self._run(self._async.subscribe(*channels))
        try:
            while True:
                yield self._run(stream.next())
        finally:
            self._run(self._async.unsubscribe(stream))
