"""Stock clients against a whole running venue: `ccxt.deribit` as it is, only its URL changed.

A real chain allows the API key's session key; the demo market quotes. What hummingbot and nautilus
ask of a venue (rules, time, orders by client id, fills, positions, balances) goes through the same
calls, and is checked by name at the end.
"""

import asyncio
import gc
import time
import warnings
from collections.abc import Iterator
from typing import Any

import ccxt
import ccxt.pro
import httpx
import pytest
from tests.ports import free_port

from exchange.bootstrap.dev import Stack
from exchange.bootstrap.dev_keys import person
from exchange.config import Settings
from exchange.sdk import Client
from exchange.settlement.wallet import OwnerWallet

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # ccxt leaves sockets to the collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # inside ccxt
]

PERP = "BTC/USDC:USDC"
WAIT_S = 90.0
DAY_S = 86_400


class Running:
    """A venue and the API key of a funded person."""

    def __init__(self, stack: Stack, key: dict[str, Any]) -> None:
        self.stack = stack
        self.key = key

    def options(self) -> dict[str, Any]:
        url = self.stack.url
        return {
            "apiKey": self.key["client_id"],
            "secret": self.key["client_secret"],
            "options": {"fetchTradingFees": {"code": "USDC"}},  # else it asks for BTC's account
            "urls": {"api": {"rest": url, "ws": "ws" + url[4:] + "/ws/api/v2"}},
        }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    state = tmp_path_factory.mktemp("ccxt") / "var"
    settings = Settings(
        state_dir=str(state), port=free_port(), admin_port=free_port(), chain_port=free_port()
    )
    with Stack(settings) as stack:
        stack.start_chain()
        for name in ("engine", "relayer", "market"):
            stack.start(name)
        stack.wait_for_quotes()
        yield Running(stack, api_key(stack))


def api_key(stack: Stack) -> dict[str, Any]:
    """Made in a wallet's session, then allowed on chain; usable once the venue saw it."""
    with Client(stack.url, person(0).key) as client:
        made: dict[str, Any] = client.call("private/create_api_key", {"name": "ccxt"})
        wallet = OwnerWallet(stack.chain, person(0).key)
        wallet.set_session_key(made["session_key"], int(time.time()) + DAY_S)
        deadline = time.monotonic() + WAIT_S
        while not client.call("private/list_api_keys", {})[0]["session_key_deadline"]:
            assert time.monotonic() < deadline, "the venue did not see the session key"
            time.sleep(0.2)
    return made


@pytest.fixture(scope="module")
def deribit(running: Running) -> ccxt.deribit:
    exchange = ccxt.deribit(running.options())
    exchange.load_markets()
    return exchange


@pytest.fixture(scope="module")
def option(deribit: ccxt.deribit) -> str:
    """A quoted option."""
    chain = deribit.fetch_option_chain("BTC")
    return next(symbol for symbol, row in chain.items() if row["askPrice"] and row["bidPrice"])


def quoted(deribit: ccxt.deribit, symbol: str) -> dict[str, Any]:
    """A book with both sides: the demo's makers take theirs away now and then."""
    deadline = time.monotonic() + WAIT_S
    while True:
        book: dict[str, Any] = deribit.fetch_order_book(symbol)
        if book["bids"] and book["asks"]:
            return book
        assert time.monotonic() < deadline, f"nobody quotes {symbol}"
        time.sleep(0.2)


def test_markets_are_what_a_unified_client_expects(deribit: ccxt.deribit, option: str) -> None:
    market, perpetual = deribit.market(option), deribit.market(PERP)
    assert (market["option"], market["linear"], market["settle"]) == (True, True, "USDC")
    assert market["strike"] > 0
    assert market["optionType"] in ("call", "put")
    assert market["precision"] == {"amount": 0.01, "price": market["precision"]["price"]}
    assert (perpetual["swap"], perpetual["linear"]) == (True, True)
    assert perpetual["expiry"] > time.time() * 1000


def test_market_data(deribit: ccxt.deribit, option: str) -> None:
    for symbol in (option, PERP):
        book = quoted(deribit, symbol)
        assert book["bids"][0][0] < book["asks"][0][0]
        ticker = deribit.fetch_ticker(symbol)
        assert ticker["bid"] < ticker["ask"]
        assert len(deribit.fetch_trades(symbol, limit=5)) <= 5
        deribit.fetch_trades(symbol, since=1)
        deribit.fetch_ohlcv(symbol, "1m", limit=5)
        deribit.fetch_open_interest(symbol)
    assert deribit.fetch_tickers([option])[option]["last"] != 0
    greeks = deribit.fetch_greeks(option)
    assert -1 <= greeks["delta"] <= 1
    assert greeks["markPrice"] > 0
    assert deribit.fetch_option(option)["currency"] == "BTC"
    assert deribit.fetch_status()["status"] == "ok"
    assert abs(deribit.fetch_time() - time.time() * 1000) < 60_000
    assert {"USDC", "BTC", "ETH"} <= set(deribit.fetch_currencies())
    assert abs(deribit.fetch_funding_rate(PERP)["fundingRate"]) < 0.01
    deribit.fetch_funding_rate_history(PERP)


def test_orders_from_entry_to_history(deribit: ccxt.deribit, option: str) -> None:
    ask = quoted(deribit, option)["asks"][0][0]
    taken = deribit.create_order(option, "limit", "buy", 0.1, ask)
    assert (taken["status"], taken["filled"]) == ("closed", 0.1)
    low = deribit.price_to_precision(option, ask * 0.5)
    rested = deribit.create_order(
        option, "limit", "buy", 0.1, low, {"postOnly": True, "label": "mine"}
    )
    assert (rested["status"], rested["postOnly"]) == ("open", True)
    edited = deribit.edit_order(rested["id"], option, "limit", "buy", 0.2, low)
    assert (edited["id"], edited["amount"]) == (rested["id"], 0.2)
    assert [order["id"] for order in deribit.fetch_open_orders(option)] == [rested["id"]]
    assert deribit.fetch_order(rested["id"], option)["status"] == "open"
    assert deribit.cancel_order(rested["id"], option)["status"] == "canceled"
    assert deribit.fetch_open_orders() == []
    assert taken["id"] in [order["id"] for order in deribit.fetch_closed_orders(option)]
    fills = deribit.fetch_order_trades(taken["id"])
    assert fills[0]["id"] in [trade["id"] for trade in deribit.fetch_my_trades(option)]
    assert fills[0]["id"] in [trade["id"] for trade in deribit.fetch_my_trades(option, since=1)]
    position = deribit.fetch_position(option)
    assert (position["side"], position["contracts"]) == ("long", 0.1)
    assert option in [held["symbol"] for held in deribit.fetch_positions([option])]


def test_market_stop_and_trailing_orders(deribit: ccxt.deribit) -> None:
    bought = deribit.create_order(PERP, "market", "buy", 0.01)
    assert (bought["status"], bought["filled"]) == ("closed", 0.01)
    sold = deribit.create_order(PERP, "market", "sell", 0.01, None, {"reduceOnly": True})
    assert sold["status"] == "closed"
    stop = {"stopLossPrice": 50_000, "trigger": "mark_price"}
    for order in (
        deribit.create_order(PERP, "market", "sell", 0.01, None, stop),
        deribit.create_order(PERP, "limit", "sell", 0.01, 49_000, stop),
        deribit.create_order(PERP, "market", "sell", 0.01, None, {"trailingAmount": 500}),
    ):
        assert order["info"]["order_state"] == "untriggered"
    deribit.cancel_all_orders(PERP)
    assert deribit.fetch_open_orders(PERP) == []


def test_money(deribit: ccxt.deribit) -> None:
    balance = deribit.fetch_balance()
    assert balance["USDC"]["total"] > 0
    assert deribit.fetch_deposits("USDC")[0]["amount"] > 0
    assert deribit.fetch_withdrawals("USDC") == []
    assert deribit.fetch_transfers("USDC") == []
    fees = deribit.fetch_trading_fees()
    assert fees[PERP]["taker"] >= fees[PERP]["maker"] >= 0
    assert deribit.fetch_accounts()[0]["type"] == "subaccount"
    assert deribit.fetch_my_liquidations(PERP) == []


def test_refusals_have_the_names_that_clients_know(deribit: ccxt.deribit) -> None:
    with pytest.raises(ccxt.InsufficientFunds):
        deribit.create_order(PERP, "limit", "buy", 1_000, 90_000)
    with pytest.raises(ccxt.OrderNotFound):
        deribit.cancel_order("999999999")
    stranger = ccxt.deribit({"apiKey": "x", "secret": "y", "urls": deribit.urls})
    with pytest.raises(ccxt.AuthenticationError):
        stranger.fetch_balance()


async def watch(running: Running) -> None:
    exchange = ccxt.pro.deribit(running.options())
    try:
        async with asyncio.timeout(60):
            await exchange.load_markets()
            book = await exchange.watch_order_book(PERP)
            while not (book["bids"] and book["asks"]):
                book = await exchange.watch_order_book(PERP)
            assert book["bids"][0][0] < book["asks"][0][0]
            assert (await exchange.watch_ticker(PERP))["bid"]
            assert (await exchange.watch_balance())["info"]["equity"] > 0
            orders = asyncio.create_task(exchange.watch_orders(PERP))
            fills = asyncio.create_task(exchange.watch_my_trades(PERP))
            trades = asyncio.create_task(exchange.watch_trades(PERP))
            await asyncio.sleep(2)  # until the subscriptions stand
            placed = await exchange.create_order(PERP, "market", "buy", 0.01)
            assert placed["id"] in [order["id"] for order in await orders]
            assert placed["id"] in [fill["order"] for fill in await fills]
            assert await trades
            raw = await exchange.watch_order_book(PERP, None, {"interval": "raw"})
            assert raw["asks"]
    finally:
        await exchange.close()


def test_ccxt_pro_watches_books_and_its_own_orders(running: Running) -> None:
    asyncio.run(watch(running))
    with (
        warnings.catch_warnings()
    ):  # ccxt leaves sessions to the collector: here, not in a later test
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_what_strategy_platforms_ask(running: Running, option: str) -> None:
    """Rules, orders by client id with their final state, and reports to reconcile with."""
    url = f"{running.stack.url}/api/v2"
    auth = {
        "grant_type": "client_credentials",
        "client_id": running.key["client_id"],
        "client_secret": running.key["client_secret"],
    }
    with httpx.Client(trust_env=False, timeout=60) as client:

        def ask(method: str, **params: Any) -> Any:
            request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            reply = client.post(url, json=request).json()
            assert "result" in reply, reply
            return reply["result"]

        token = ask("public/auth", **auth)["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        rules = ask("public/get_instrument", instrument_name="BTC_USDC-PERPETUAL")
        assert {"tick_size", "min_trade_amount", "contract_size", "lot_size"} <= set(rules)
        order = ask(
            "private/buy",
            instrument_name="BTC_USDC-PERPETUAL",
            amount=0.01,
            price=90_000,
            label="x-1",
        )["order"]
        (found,) = ask("private/get_order_state_by_label", currency="any", label="x-1")
        assert found["order_id"] == order["order_id"]
        assert ask("private/cancel_by_label", label="x-1") == 1
        (gone,) = ask("private/get_order_state_by_label", currency="any", label="x-1")
        assert gone["order_state"] == "cancelled"
        history = ask(
            "private/get_order_history_by_currency", currency="any", include_unfilled=True
        )
        assert order["order_id"] in [row["order_id"] for row in history]
        assert ask("private/get_transaction_log")["logs"]
        assert ask("private/get_positions", currency="any") is not None
        assert ask("private/get_account_summary", currency="USDC", extended=True)["fees"]
