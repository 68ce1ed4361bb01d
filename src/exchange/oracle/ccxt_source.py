"""Any exchange that `ccxt` knows as a source of index prices: one ticker, polled.

The only module that imports ccxt, and only when such a source is configured: it takes a second.
"""

from collections.abc import Callable
from typing import Any, Final

from exchange.oracle.polling import PolledSource, mid_or_last

_TICKER_AGE_MS: Final = 10_000  # a feed behind the exchange may hang while its server answers


class CcxtMarket:
    """One exchange's public ticker of one symbol."""

    def __init__(self, exchange_id: str, pair: str, *, timeout_s: float = 3.0) -> None:
        """`exchange_id` as ccxt has it, `pair` such as BTC/USDC; raises `ValueError`."""
        import ccxt.async_support as ccxt

        if exchange_id not in ccxt.exchanges:
            raise ValueError(f"ccxt knows no exchange {exchange_id!r}")
        options = {"enableRateLimit": True, "timeout": int(timeout_s * 1000)}
        self.exchange: Any = getattr(ccxt, exchange_id)(options)
        self._pair = pair

    async def fetch(self) -> float:
        """The middle of its best quote, or its last price."""
        ticker = await self.exchange.fetch_ticker(self._pair)
        stamped_ms = ticker.get("timestamp")
        if stamped_ms and self.exchange.milliseconds() - stamped_ms > _TICKER_AGE_MS:
            raise ValueError(f"the ticker is of {stamped_ms}")
        return mid_or_last(ticker.get("bid"), ticker.get("ask"), ticker.get("last"))

    async def close(self) -> None:
        """Give its connections back: without the flag ccxt keeps them open."""
        await self.exchange.close(clean_instance_data=True)


def ccxt_source(market: CcxtMarket, name: str, now_ns: Callable[[], int]) -> PolledSource:
    """A source that polls it once a second."""
    return PolledSource(name, market.fetch, now_ns)


def parse_index_sources(text: str) -> dict[str, list[tuple[str, str]]]:
    """`BTC=kraken:BTC/USDC,bitstamp:BTC/USDC;ETH=...` to (exchange, pair) by underlying."""
    found: dict[str, list[tuple[str, str]]] = {}
    for part in filter(None, text.split(";")):
        underlying, equals, listed = part.partition("=")
        pairs = [one.partition(":") for one in listed.split(",")]
        if not equals or not all(exchange and pair for exchange, _, pair in pairs):
            raise ValueError(f"{part!r} is not UNDERLYING=exchange:SYMBOL,...")
        found[underlying] = [(exchange, pair) for exchange, _, pair in pairs]
    return found
