"""The synchronous client: the asynchronous one on a thread of its own.

Every call blocks until its reply; exceptions are the same. Not meant for several threads at once.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from exchange.sdk import types
from exchange.sdk.async_client import AsyncClient
from exchange.sdk.book import BookMirror
from exchange.sdk.combos import AskedLeg, Combo
from exchange.sdk.quotes import TwoSided
from exchange.sdk.wallet import Number

T = TypeVar("T")


class Client:
    """One subaccount's client; arguments as for `AsyncClient`."""

    def __init__(self, url: str, private_key: str | bytes | None = None, **options: Any) -> None:
        self._async = AsyncClient(url, private_key, **options)
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

    def settlement(self, trade_id: str) -> types.Settlement:
        """Where a trade stands on its way to the chain."""
        return self._run(self._async.settlement(trade_id))

    def wait_settled(self, trade_id: str, *, timeout_s: float = 60.0) -> types.Settlement:
        """Wait until a trade is confirmed on chain."""
        return self._run(self._async.wait_settled(trade_id, timeout_s=timeout_s))

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
