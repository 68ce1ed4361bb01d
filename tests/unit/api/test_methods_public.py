"""Market data in Deribit's shapes, and how to sign."""

import asyncio

import pytest
from tests.unit.api.world import (
    CALL_NAME,
    DOMAIN,
    MAKER_KEY,
    PUT_NAME,
    TAKER,
    TAKER_ID,
    World,
    call,
    hexed,
    sign_in_text,
)
from tests.venue import EXPIRY_S, C, contracts, usdc

from exchange.signing import order_digest


@pytest.fixture(scope="module")
def world():
    """One trade at 1000, an offer of 1 left at 1000, a bid of 2 at 990."""
    world = World()
    run(call(world, "private/sell", world.order("sell", key=MAKER_KEY, amount="2")))
    run(call(world, "private/buy", world.order("buy")))
    run(call(world, "private/buy", world.order("buy", amount="2", price="990")))
    yield world
    world.gateway.stop()


def run(coroutine):
    return asyncio.run(coroutine)


def result(world, method, **params):
    reply = run(call(world, f"public/{method}", params))
    assert "result" in reply, reply
    return reply["result"]


def error(world, method, **params):
    return run(call(world, f"public/{method}", params))["error"]


def test_instruments_are_described(world):
    found = result(world, "get_instruments", currency="BTC", kind="option")
    assert len(found) == 6
    one = result(world, "get_instrument", instrument_name=CALL_NAME)
    assert one in found
    expected = {
        "kind": "option",
        "option_type": "call",
        "settlement_period": "month",
        "strike": 100_000,
        "tick_size": 0.01,
        "min_trade_amount": 0.01,
        "base_currency": "BTC",
        "settlement_currency": "USDC",
        "price_index": "btc_usdc",
        "expiration_timestamp": EXPIRY_S * 1000,
        "signed_instrument": str(C),
        "taker_commission": 0.0003,
        "state": "open",
    }
    assert expected.items() <= one.items()


@pytest.mark.parametrize(
    ("params", "count"),
    [
        ({"currency": "USDC"}, 6),
        ({"currency": "any"}, 6),
        ({"currency": "btc"}, 6),
        ({"currency": "ETH"}, 0),
        ({"currency": "BTC", "kind": "future"}, 0),
        ({"currency": "BTC", "expired": True}, 0),
    ],
)
def test_instruments_are_selected(world, params, count):
    assert len(result(world, "get_instruments", **params)) == count


def test_the_book_has_levels_and_the_ticker(world):
    book = result(world, "get_order_book", instrument_name=CALL_NAME, depth=10)
    assert book["bids"] == [[990, 2]]
    assert book["asks"] == [[1000, 1]]
    ticker = result(world, "ticker", instrument_name=CALL_NAME)
    assert ticker.items() <= book.items()
    expected = {
        "best_bid_price": 990,
        "best_ask_price": 1000,
        "last_price": 1000,
        "index_price": 100_000,
        "mark_price": 1000,
        "mark_iv": 65,
        "open_interest": 1,
    }
    assert expected.items() <= ticker.items()
    assert ticker["stats"]["volume"] == 1


def test_an_empty_book_has_no_prices(world):
    ticker = result(world, "ticker", instrument_name=PUT_NAME)
    assert (ticker["best_bid_price"], ticker["last_price"]) == (0, None)
    assert ticker["stats"]["high"] is None


def test_a_depth_is_one_of_deribits(world):
    assert error(world, "get_order_book", instrument_name=CALL_NAME, depth=7)["data"]["param"] == (
        "depth"
    )


def test_trades_are_listed_newest_first(world):
    found = result(world, "get_last_trades_by_instrument", instrument_name=CALL_NAME)
    (trade,) = found["trades"]
    assert not found["has_more"]
    assert (trade["price"], trade["amount"], trade["direction"]) == (1000, 1, "buy")
    assert (
        result(world, "get_last_trades_by_instrument", instrument_name=CALL_NAME, start_seq=2)[
            "trades"
        ]
        == []
    )
    assert "order_id" not in trade
    assert "subaccount_id" not in trade


def test_summaries_have_one_row_an_instrument(world):
    rows = {
        r["instrument_name"]: r
        for r in result(world, "get_book_summary_by_currency", currency="BTC")
    }
    assert len(rows) == 6
    assert rows[CALL_NAME]["mid_price"] == 995
    assert rows[PUT_NAME]["bid_price"] is None
    assert result(world, "get_book_summary_by_instrument", instrument_name=CALL_NAME) == [
        rows[CALL_NAME]
    ]


def test_indices_have_names_and_prices(world):
    assert result(world, "get_index_price_names") == ["btc_usdc", "eth_usdc"]
    assert result(world, "get_index_price", index_name="btc_usdc")["index_price"] == 100_000
    assert error(world, "get_index_price", index_name="doge_usdc")["code"] == 10020


def test_delivery_prices_begin_empty(world):
    assert result(world, "get_delivery_prices", index_name="btc_usdc") == {
        "data": [],
        "records_total": 0,
    }


def test_the_order_hash_is_shown_stage_by_stage(world):
    order = world.order("buy", amount="0.5", price="995.5")
    shown = {k: v for k, v in order.items() if k != "signature"} | {"direction": "buy"}
    stages = result(world, "debug_order_hash", **shown)
    from exchange.model import OrderTerms, Side

    terms = OrderTerms(
        subaccount_id=TAKER_ID,
        instrument_id=C,
        side=Side.BUY,
        quantity=contracts("0.5"),
        limit_price=usdc("995.5"),
        max_fee=usdc(100),
        nonce=order["nonce"],
        deadline=order["deadline"],
        signer=TAKER,
    )
    assert stages["digest"] == hexed(order_digest(DOMAIN, terms))
    assert stages["message"]["quantity"] == 5_000


def test_the_signing_domain_is_published(world):
    found = result(world, "get_signing_domain")
    assert (found["chain_id"], found["verifying_contract"]) == (31_337, DOMAIN.clearing)
    assert found["premium_cap"] == 0.125


@pytest.mark.parametrize("method", ["test", "hello", "get_time", "status", "get_rate_limits"])
def test_small_methods_answer(world, method):
    assert result(world, method)


def test_the_test_method_fails_on_request(world):
    assert error(world, "test", expected_result="exception")["code"] == 11050


def test_currencies_are_the_quote_and_the_underlyings(world):
    assert [c["currency"] for c in result(world, "get_currencies")] == ["USDC", "BTC", "ETH"]


def test_auth_opens_and_renews_a_session(world):
    nonce = result(world, "get_sign_in_nonce")["nonce"]
    from tests.unit.api.world import TAKER_KEY

    from exchange.api.auth import personal_digest
    from exchange.signing import sign_digest

    text = sign_in_text(world, TAKER, nonce)
    signature = hexed(sign_digest(personal_digest(text), TAKER_KEY))
    tokens = result(
        world, "auth", grant_type="eip4361", message=text, signature=signature, state="s"
    )
    assert (tokens["address"], tokens["subaccount_ids"], tokens["state"]) == (
        TAKER,
        [TAKER_ID],
        "s",
    )
    again = result(world, "auth", grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert again["access_token"] != tokens["access_token"]
    assert error(world, "auth", grant_type="password")["data"]["param"] == "grant_type"


@pytest.mark.parametrize(
    "method", ["subscribe", "unsubscribe", "unsubscribe_all", "set_heartbeat", "disable_heartbeat"]
)
def test_what_needs_a_websocket_says_so(world, method):
    params = {
        "subscribe": {"channels": ["quote.X"]},
        "unsubscribe": {"channels": ["quote.X"]},
        "set_heartbeat": {"interval": 10},
    }.get(method, {})
    assert error(world, method, **params)["code"] == 10030


@pytest.mark.parametrize(
    "method",
    ["get_instrument", "ticker", "get_order_book", "get_last_trades_by_instrument",
     "get_risk_arrays", "get_book_summary_by_instrument"],
)  # fmt: skip
def test_an_unknown_instrument_is_named(world, method):
    found = error(world, method, instrument_name="BTC_USDC-1JAN30-1-C")
    assert (found["code"], found["data"]["param"]) == (10020, "instrument_name")


def test_a_venue_without_parameters_is_unavailable():
    from tests.unit.api.world import FakeSequencer
    from tests.venue import Venue

    from exchange.api.dispatch import Dispatcher
    from exchange.api.gateway import Gateway
    from exchange.api.methods_public import PUBLIC
    from exchange.api.settings import GatewaySettings

    class Bare(World):
        def __init__(self):
            self.sequencer = FakeSequencer(Venue())
            self.gateway = Gateway(self.sequencer, GatewaySettings())
            self.dispatcher = Dispatcher(self.gateway, PUBLIC)

    bare = Bare()
    assert error(bare, "get_instruments")["code"] == 13028
    assert result(bare, "status")["locked"] == "true"
    bare.gateway.stop()
