"""Combos over the wire: listed by their legs, found by name, traded by one signature."""

import asyncio
from typing import Any

import pytest
from tests.unit.api.world import (
    CALL_NAME,
    DOMAIN,
    MAKER,
    MAKER_ID,
    MAKER_KEY,
    PUT_NAME,
    TAKER,
    TAKER_ID,
    TAKER_KEY,
    World,
    call,
    hexed,
    session_of,
)
from tests.venue import contracts, usdc

from exchange.model import OrderTerms, Side
from exchange.signing import order_digest, sign_digest

STRADDLE = [
    {"instrument_name": CALL_NAME, "amount": "0.1"},
    {"instrument_name": PUT_NAME, "amount": 0.1},
]


def ask(world: World, method: str, params: Any = None, *, key: bytes | None = TAKER_KEY) -> Any:
    session = session_of(world, key).session if key else None
    return asyncio.run(call(world, method, params, session=session))


def listed(world: World, trades: Any = STRADDLE) -> Any:
    return ask(world, "private/create_combo", {"trades": trades})["result"]


def signed(world: World, combo: Any, side: str, price: str, *, maker: bool = False) -> Any:
    key, owner, number = (MAKER_KEY, MAKER, MAKER_ID) if maker else (TAKER_KEY, TAKER, TAKER_ID)
    params = {
        "instrument_name": combo["id"],
        "amount": "1",
        "price": price,
        "max_fee": "200",
        "subaccount_id": number,
        "nonce": world.venue.next_nonce + 900,
        "deadline": world.venue.now_s + 600,
        "signer": owner,
    }
    world.venue.next_nonce += 1
    terms = OrderTerms(
        subaccount_id=number,
        instrument_id=combo["instrument_id"],
        legs_hash=int(combo["signed_instrument"]).to_bytes(32, "big"),
        side=Side[side.upper()],
        quantity=contracts(1),
        limit_price=usdc(price),
        max_fee=usdc(200),
        nonce=params["nonce"],
        deadline=params["deadline"],
        signer=owner,
    )
    return params | {"signature": hexed(sign_digest(order_digest(DOMAIN, terms), key))}


def test_a_combo_is_created_once_and_found(world):
    """Whoever writes it the other way round is told that he sells it."""
    first = listed(world)
    assert first["id"].split("-")[1] == "STRD"
    assert first["direction"] == "buy"
    assert {leg["instrument_name"]: leg["amount"] for leg in first["legs"]} == {
        CALL_NAME: 1,
        PUT_NAME: 1,
    }
    turned = listed(world, [leg | {"direction": "sell"} for leg in reversed(STRADDLE)])
    assert (turned["id"], turned["direction"]) == (first["id"], "sell")
    details = ask(world, "public/get_combo_details", {"combo_id": first["id"]}, key=None)["result"]
    assert details["state"] == "active"
    assert details["signed_instrument"] == first["signed_instrument"]
    assert ask(world, "public/get_combos", {"currency": "BTC"}, key=None)["result"] == [details]
    for state, names in ((None, [first["id"]]), ("active", [first["id"]]), ("inactive", [])):
        params = {"currency": "any"} | ({"state": state} if state else {})
        assert ask(world, "public/get_combo_ids", params, key=None)["result"] == names


def test_combos_are_among_instruments_when_asked_for(world):
    """Whoever asks for everything wants what can be held."""
    combo = listed(world)

    def names(kind):
        rows = ask(world, "public/get_instruments", {"currency": "BTC", "kind": kind}, key=None)
        return {row["instrument_name"] for row in rows["result"]}

    assert combo["id"] not in names("any")
    assert combo["id"] not in names("option")
    assert names("combo") == names("option_combo") == {combo["id"]}
    assert names("future_combo") == set()
    rows = ask(world, "public/get_book_summary_by_currency", {"currency": "BTC"}, key=None)
    assert combo["id"] not in {row["instrument_name"] for row in rows["result"]}
    params = {"currency": "BTC", "kind": "combo"}
    rows = ask(world, "public/get_book_summary_by_currency", params, key=None)
    assert [row["instrument_name"] for row in rows["result"]] == [combo["id"]]


def test_orders_in_a_combo_trade_and_are_shown(world):
    """Book, ticker, order state and the trades of both legs."""
    combo = listed(world)
    ticker = ask(world, "public/ticker", {"instrument_name": combo["id"]}, key=None)["result"]
    price = str(int(ticker["mark_price"]))
    rested = ask(world, "private/sell", signed(world, combo, "sell", price, maker=True), key=None)
    assert rested["result"]["order"]["order_state"] == "open"
    params = {"instrument_name": combo["id"]}
    book = ask(world, "public/get_order_book", params, key=None)["result"]
    assert book["asks"] == [[int(price), 1]]
    bought = ask(world, "private/buy", signed(world, combo, "buy", price), key=None)["result"]
    assert bought["order"]["order_state"] == "filled"
    assert bought["order"]["average_price"] == int(price)
    assert [row["instrument_name"] for row in bought["trades"]] == [
        leg["instrument_name"] for leg in combo["legs"]
    ]
    assert {row["combo_id"] for row in bought["trades"]} == {combo["id"]}
    public = ask(world, "public/get_last_trades_by_instrument", params, key=None)["result"][
        "trades"
    ]
    assert [(row["price"], row["amount"]) for row in public] == [(int(price), 1)]
    assert {row["combo_trade_id"] for row in bought["trades"]} == {public[0]["trade_id"]}
    own = ask(world, "private/get_user_trades_by_instrument", params)["result"]["trades"]
    assert len(own) == 2
    state = ask(world, "private/get_order_state", {"order_id": bought["order"]["order_id"]})
    assert state["result"]["filled_amount"] == 1
    positions = ask(world, "private/get_positions", {})["result"]
    assert {row["instrument_name"]: row["size"] for row in positions} == {CALL_NAME: 1, PUT_NAME: 1}
    world.gateway.view.check()


@pytest.mark.parametrize("price", ["0", "-10"])
def test_a_combo_that_traded_for_nothing_or_a_credit_is_shown(world, price):
    """Nothing is a percentage of such a price, and nobody else's view may fail by it."""
    reversal = [STRADDLE[0] | {"direction": "buy"}, STRADDLE[1] | {"direction": "sell"}]
    combo = listed(world, reversal)
    ask(world, "private/sell", signed(world, combo, "sell", price, maker=True), key=None)
    bought = ask(world, "private/buy", signed(world, combo, "buy", price), key=None)["result"]
    assert bought["order"]["order_state"] == "filled"
    ticker = ask(world, "public/ticker", {"instrument_name": combo["id"]}, key=None)["result"]
    assert (ticker["stats"]["low"], ticker["stats"]["price_change"]) == (int(price), None)
    assert ticker["stats"]["volume_usd"] == abs(int(price))
    params = {"currency": "any", "kind": "combo"}
    rows = ask(world, "public/get_book_summary_by_currency", params, key=None)["result"]
    assert [row["instrument_name"] for row in rows] == [combo["id"]]


def test_an_order_in_a_combo_takes_the_legs(world):
    """The makers see trades of their own orders, which name the combo."""
    combo = listed(world)
    for name in (CALL_NAME, PUT_NAME):
        answer = world.order("sell", key=MAKER_KEY, instrument_name=name, amount="2")
        assert "error" not in ask(world, "private/sell", answer, key=None)
    legs = {
        name: ask(world, "public/ticker", {"instrument_name": name}, key=None)["result"]
        for name in (CALL_NAME, PUT_NAME)
    }
    price = sum(ticker["best_ask_price"] for ticker in legs.values())
    bought = ask(world, "private/buy", signed(world, combo, "buy", str(price)), key=None)["result"]
    assert bought["order"]["order_state"] == "filled"
    book = ask(world, "public/get_order_book", {"instrument_name": CALL_NAME}, key=None)["result"]
    assert book["asks"][0][1] == 1
    world.gateway.view.check()


def test_leg_prices_add_up(world):
    """From the marks; asked the other way round, with the other signs."""
    found = ask(world, "private/get_leg_prices", {"legs": STRADDLE, "price": "2100"})["result"]
    assert sum(leg["price"] * leg["ratio"] for leg in found["legs"]) == 2_100
    assert {leg["direction"] for leg in found["legs"]} == {"buy"}
    sold = [leg | {"direction": "sell"} for leg in STRADDLE]
    found = ask(world, "private/get_leg_prices", {"legs": sold, "price": "-2100"})["result"]
    assert {leg["direction"] for leg in found["legs"]} == {"sell"}
    assert sum(leg["price"] for leg in found["legs"]) == 2_100
    error = ask(world, "private/get_leg_prices", {"legs": STRADDLE, "price": "9999999"})["error"]
    assert error["data"]["param"] == "price"
    twice = [STRADDLE[0], STRADDLE[0]]
    error = ask(world, "private/get_leg_prices", {"legs": twice, "price": "1"})["error"]
    assert error["data"]["param"] == "legs"


def test_what_cannot_be_a_combo_is_refused(world):
    """Legs without an amount, the same leg twice, no session, a plain instrument's name."""
    none = [STRADDLE[0] | {"amount": "0"}, STRADDLE[1]]
    assert (
        ask(world, "private/create_combo", {"trades": none})["error"]["data"]["param"] == "amount"
    )
    twice = [STRADDLE[0], STRADDLE[0]]
    error = ask(world, "private/create_combo", {"trades": twice})["error"]
    assert error["data"]["reject_reason"] == "bad_combo"
    assert ask(world, "private/create_combo", {"trades": STRADDLE}, key=None)["error"]["code"] == (
        13009
    )
    error = ask(world, "public/get_combo_details", {"combo_id": CALL_NAME}, key=None)["error"]
    assert error["code"] == 10020


def test_the_hash_is_shown_for_debugging(world):
    """`instrument` in the message is the number that the legs hash to."""
    combo = listed(world)
    params = signed(world, combo, "buy", "-5") | {"direction": "buy"}
    del params["signature"]
    shown = ask(world, "public/debug_order_hash", params, key=None)["result"]
    assert shown["message"]["instrument"] == combo["signed_instrument"]
    assert shown["message"]["limitPrice"] == -5_000_000
