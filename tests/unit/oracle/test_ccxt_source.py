"""The real ccxt client against a stand-in that speaks one exchange's REST shape on loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from exchange.fixed import CASH_SCALE
from exchange.oracle.ccxt_source import CcxtMarket, ccxt_source, parse_index_sources
from exchange.oracle.index import IndexCalculator, IndexRules, Verdict

NOW_NS = 1_795_271_000 * 10**9
MARKET = {
    "name": "BTC/USDC",
    "market_symbol": "btcusdc",
    "base_currency": "BTC",
    "base_decimals": 8,
    "counter_currency": "USDC",
    "counter_decimals": 2,
    "minimum_order_value": "10",
    "trading": "Enabled",
    "instant_order_counter_decimals": 2,
    "instant_and_market_orders": "Enabled",
    "description": "Bitcoin / USDC",
    "market_type": "SPOT",
}


class StandIn:
    """Bitstamp's three public answers; `ticker` is what the test says, `hang` makes it silent."""

    def __init__(self) -> None:
        self.ticker: dict[str, Any] = {"bid": "99990", "ask": "100010", "last": "99000"}
        self.status = 200
        self.hang = asyncio.Event()
        self.hang.set()

    async def answer(self, request: web.Request) -> web.Response:
        if "/ticker/" in request.path:
            await self.hang.wait()
            return web.json_response(self.ticker, status=self.status)
        return web.json_response([MARKET] if "markets" in request.path else [])


@contextlib.asynccontextmanager
async def exchange() -> AsyncIterator[tuple[StandIn, CcxtMarket]]:
    stand_in = StandIn()
    app = web.Application()
    app.router.add_get("/{tail:.*}", stand_in.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    market = CcxtMarket("bitstamp", "BTC/USDC", timeout_s=1.0)
    base = f"http://127.0.0.1:{port}/api"
    market.exchange.urls["api"] = {"public": base, "private": base}
    try:
        yield stand_in, market
    finally:
        await market.close()
        await runner.cleanup()


def test_ccxt_is_asked_and_judged_like_any_source() -> None:
    """A quote, a trade without a quote, an error, a hang, an old ticker: all in one connection."""

    async def play() -> None:
        async with exchange() as (stand_in, market):
            source = ccxt_source(market, "bitstamp", lambda: NOW_NS)
            await source.poll()
            first = source.sample(NOW_NS)
            assert first is not None
            assert (first.price, first.time_ns) == (100_000.0, NOW_NS)
            stand_in.ticker = {"last": "99500"}
            await source.poll()
            assert source.sample(NOW_NS).price == 99_500.0  # type: ignore[union-attr]
            stand_in.status = 503
            await source.poll()
            stand_in.status = 200
            stand_in.ticker = {"last": "1", "timestamp": "1686068944"}
            await source.poll()
            stand_in.hang.clear()
            await source.poll()
            stand_in.hang.set()
            assert source.sample(NOW_NS).price == 99_500.0  # type: ignore[union-attr]
            rules = IndexRules(
                floor_price=1_000 * CASH_SCALE, ceiling_price=10**7 * CASH_SCALE, quorum=1
            )
            samples = {"bitstamp": source.sample(NOW_NS)}
            reading = IndexCalculator(rules).read(samples, NOW_NS)
            assert reading.index_price == 99_500 * CASH_SCALE
            late = IndexCalculator(rules).read(samples, NOW_NS + 11 * 10**9)
            assert late.sources[0].verdict is Verdict.STALE

    asyncio.run(play())


def test_an_exchange_that_ccxt_does_not_know_is_named() -> None:
    with pytest.raises(ValueError, match="no exchange 'nowhere'"):
        CcxtMarket("nowhere", "BTC/USDC")


def test_the_setting_names_exchanges_by_underlying() -> None:
    assert parse_index_sources("") == {}
    assert parse_index_sources("BTC=kraken:BTC/USDC,okx:BTC/USDC;ETH=kraken:ETH/USDC") == {
        "BTC": [("kraken", "BTC/USDC"), ("okx", "BTC/USDC")],
        "ETH": [("kraken", "ETH/USDC")],
    }


@pytest.mark.parametrize("text", ["BTC", "BTC=", "BTC=kraken", "BTC=:BTC/USDC", "BTC=kraken:"])
def test_a_setting_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not UNDERLYING"):
        parse_index_sources(text)
