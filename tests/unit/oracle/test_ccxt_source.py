"""The real ccxt client against a stand-in that speaks one exchange's REST shape on loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from exchange.fixed import CASH_SCALE
from exchange.oracle.ccxt_source import (
    CcxtChain,
    CcxtMarket,
    ccxt_chain,
    ccxt_source,
    parse_index_sources,
)
from exchange.oracle.index import IndexCalculator, IndexRules, Verdict
from exchange.oracle.references import ChainQuote

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
            assert source.sample(NOW_NS).price == 99_500.0
            stand_in.status = 503
            await source.poll()
            stand_in.status = 200
            stand_in.ticker = {"last": "1", "timestamp": "1686068944"}
            await source.poll()
            stand_in.hang.clear()
            await source.poll()
            stand_in.hang.set()
            assert source.sample(NOW_NS).price == 99_500.0
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


EXPIRY_MS = (NOW_NS // 10**9 // 86_400 + 30) * 86_400_000 + 8 * 3_600_000


def deribit_option(strike: int, kind: str, **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """An instrument and its row in the summary, as Deribit answers."""
    name = f"BTC-{format_expiry()}-{strike}-{kind[0].upper()}"
    instrument = {
        "instrument_name": name,
        "kind": "option",
        "base_currency": "BTC",
        "quote_currency": "BTC",
        "counter_currency": "USD",
        "settlement_currency": "BTC",
        "settlement_period": "month",
        "instrument_type": "reversed",
        "expiration_timestamp": EXPIRY_MS,
        "strike": strike,
        "option_type": kind,
        "is_active": True,
        "tick_size": 0.0001,
        "contract_size": 1,
        "min_trade_amount": 0.1,
        "maker_commission": 0.0003,
        "taker_commission": 0.0003,
    }
    row = {
        "instrument_name": name,
        "base_currency": "BTC",
        "quote_currency": "BTC",
        "underlying_price": 101_000.0,
        "mark_price": 0.05,
        "mark_iv": 61.5,
        "interest_rate": 0.0,
    }
    return instrument, row | fields


def format_expiry() -> str:
    return f"{datetime.fromtimestamp(EXPIRY_MS / 1000, UTC):%-d%b%y}".upper()


@contextlib.asynccontextmanager
async def options_exchange(
    options: list[tuple[dict[str, Any], dict[str, Any]]],
) -> AsyncIterator[CcxtChain]:
    async def answer(request: web.Request) -> web.Response:
        method = request.path.rsplit("/", 1)[-1]
        found: list[dict[str, Any]] = []
        if method == "get_currencies":
            found = [{"currency": "BTC", "currency_long": "Bitcoin", "fee_precision": 4}]
        elif method == "get_instruments":
            wanted = request.query.get("kind", "any") in ("any", "option")
            found = [instrument for instrument, _ in options] if wanted else []
        elif method == "get_book_summary_by_currency":
            found = [row for _, row in options]
        return web.json_response({"jsonrpc": "2.0", "result": found})

    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    chain = CcxtChain("deribit", "BTC", timeout_s=2.0)
    chain.exchange.urls["api"] = {"rest": f"http://127.0.0.1:{runner.addresses[0][1]}"}
    try:
        yield chain
    finally:
        await chain.close()
        await runner.cleanup()


def test_an_option_chain_is_read_through_ccxt() -> None:
    """Volatilities from percent, premiums from coin; what has no volatility is left out."""

    async def play() -> None:
        options = [
            deribit_option(90_000, "put"),
            deribit_option(100_000, "call", mark_iv=58.25, mark_price=0.08),
            deribit_option(110_000, "call", mark_iv=None),
            deribit_option(120_000, "call", mark_price=None),
            deribit_option(130_000, "call", underlying_price=0),
        ]
        async with options_exchange(options) as chain:
            source = ccxt_chain(chain, "deribit", lambda: NOW_NS)
            assert source.chain(NOW_NS) is None
            await source.poll()
            found = source.chain(NOW_NS)
            assert found is not None
            expiry = EXPIRY_MS // 1000
            assert found.time_ns == NOW_NS
            assert found.forwards == {expiry: 101_000.0}
            assert sorted(found.quotes) == [
                ChainQuote(expiry, 90_000.0, True, 0.615, 0.05 * 101_000),
                ChainQuote(expiry, 100_000.0, False, 0.5825, 0.08 * 101_000),
                ChainQuote(expiry, 120_000.0, False, 0.615, 0.0),
            ]

    asyncio.run(play())


def test_a_chain_without_volatilities_is_no_answer() -> None:
    async def play() -> None:
        async with options_exchange([deribit_option(90_000, "put", mark_iv="none")]) as chain:
            with pytest.raises(ValueError, match="no option"):
                await chain.fetch()

    asyncio.run(play())


def test_an_exchange_without_option_chains_is_named() -> None:
    async def play() -> None:
        with pytest.raises(ValueError, match="reads no option chain of 'bitstamp'"):
            CcxtChain("bitstamp", "BTC")

    asyncio.run(play())
