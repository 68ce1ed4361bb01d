"""Any exchange that `ccxt` knows as a source: an index price by one ticker, options by a chain.

The only module that imports ccxt, and only when such a source is configured: it takes a second.
"""

import math
from collections.abc import Callable
from typing import Any, Final

from exchange.fixed import to_seconds_down
from exchange.oracle.polling import Chain, PolledChain, PolledSource, mid_or_last
from exchange.oracle.references import ChainQuote

# Where an exchange's own answer has the mark volatility, and in what unit.
_MARK_IV: Final = {"deribit": ("mark_iv", 0.01), "bybit": ("markIv", 1.0)}
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


class CcxtChain:
    """One exchange's public chain of options on one coin."""

    def __init__(self, exchange_id: str, coin: str, *, timeout_s: float = 10.0) -> None:
        """`coin` such as BTC; raises `ValueError`."""
        self._market = CcxtMarket(exchange_id, coin, timeout_s=timeout_s)
        self.exchange = self._market.exchange
        if not self.exchange.has.get("fetchOptionChain"):
            raise ValueError(f"ccxt reads no option chain of {exchange_id!r}")
        self._coin = coin
        self._key, self._unit = _MARK_IV.get(exchange_id, ("", 1.0))

    async def fetch(self) -> Chain:
        """Mark volatilities and prices of every option, and the forwards that they stand on."""
        await self.exchange.load_markets()
        options = await self.exchange.fetch_option_chain(self._coin)
        quotes, forwards = [], {}
        for pair, option in options.items():
            market = self.exchange.market(pair)
            forward, volatility = _number(option["underlyingPrice"]), self._volatility(option)
            if not market["option"] or not forward > 0.0 or not volatility > 0.0:
                continue
            expiry = to_seconds_down(int(market["expiry"]) * 10**6)
            coin_priced = market["settle"] == market["base"]  # its premium is in the coin
            paid = _number(option["markPrice"]) * (forward if coin_priced else 1.0)
            is_put = market["optionType"] == "put"
            quotes.append(
                ChainQuote(expiry, float(market["strike"]), is_put, volatility, max(0.0, paid))
            )
            forwards[expiry] = forward
        if not quotes:
            raise ValueError("no option of the chain has a volatility")
        return tuple(quotes), forwards

    def _volatility(self, option: dict[str, Any]) -> float:
        """As ccxt has it, or as the exchange itself states it; 0 without either."""
        stated = option.get("impliedVolatility") or 0.0
        own = _number(option["info"].get(self._key)) * self._unit
        return float(stated) or max(0.0, own)

    async def close(self) -> None:
        """Give its connections back."""
        await self._market.close()


def ccxt_chain(chain: CcxtChain, name: str, now_ns: Callable[[], int]) -> PolledChain:
    """A source of volatilities that polls it every fifteen seconds."""
    return PolledChain(name, chain.fetch, now_ns, interval_s=15.0, timeout_s=20.0)


def _number(value: object) -> float:
    """A number, or the text of one; NaN for anything else."""
    try:
        return float(value) if isinstance(value, str | int | float) else math.nan
    except ValueError:
        return math.nan


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
