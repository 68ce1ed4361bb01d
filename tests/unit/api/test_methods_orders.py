"""Closing a position, and orders by label and by sort."""

import asyncio

import pytest
from tests.unit.api.world import (
    CALL_NAME,
    MAKER_KEY,
    PUT_NAME,
    TAKER_ID,
    TAKER_KEY,
    World,
    api_key,
    call,
    session_of,
    sign_order,
)


@pytest.fixture
def world():
    world = World()
    world.bot = world.gateway.sessions.open(api_key(world, TAKER_KEY)).session
    yield world
    world.gateway.stop()


def ask(world, method, params=None, session=None):
    found = world.bot if session is None else session
    reply = asyncio.run(call(world, f"private/{method}", params, session=found))
    return reply.get("result", reply.get("error"))


def buy(world, **fields):
    order = {"instrument_name": CALL_NAME, "amount": 2, "price": 1_000} | fields
    return ask(world, "buy", order)["order"]["order_id"]


def offer(world, side="sell", **fields):
    params = world.order(side, key=MAKER_KEY, **fields)
    return asyncio.run(call(world, f"private/{side}", params))


def test_a_position_is_closed_at_the_market(world):
    offer(world, amount="2")
    buy(world)
    offer(world, "buy", amount="5", price="990")
    closed = ask(world, "close_position", {"instrument_name": CALL_NAME, "type": "market"})
    assert (closed["order"]["direction"], closed["order"]["reduce_only"]) == ("sell", True)
    assert [row["amount"] for row in closed["trades"]] == [2]
    assert ask(world, "get_positions") == []
    again = ask(world, "close_position", {"instrument_name": CALL_NAME, "type": "market"})
    assert (again["code"], again["data"]["param"]) == (11050, "instrument_name")


def test_a_short_is_closed_at_a_limit_that_rests_and_that_a_wallet_signs(world):
    offer(world, "buy", amount="2", price="1000")
    ask(world, "sell", {"instrument_name": CALL_NAME, "amount": 2, "price": 1_000})
    terms = world.order("buy", amount="2", price="900", reduce_only=True)
    unsigned = {k: v for k, v in terms.items() if k not in ("amount", "reduce_only")}
    wallet = session_of(world).session
    closed = ask(world, "close_position", unsigned | {"type": "limit"}, wallet)
    order = closed["order"]
    assert (order["direction"], order["amount"], order["order_state"]) == ("buy", 2, "open")
    forged = unsigned | {"type": "limit", "nonce": 99}
    assert ask(world, "close_position", forged, wallet)["code"] == 13004


def test_the_one_order_with_a_label_is_edited(world):
    first = buy(world, label="mine")
    buy(world, label="mine", instrument_name=PUT_NAME)
    params = {"label": "mine", "instrument_name": CALL_NAME, "amount": 1, "price": 999}
    edited = ask(world, "edit_by_label", params)["order"]
    assert (edited["order_id"], edited["price"], edited["amount"]) == (first, 999, 1)
    signed = world.order("buy", amount="3", price="998", nonce=edited["nonce"], version=2)
    wanted = ("amount", "price", "version", "deadline", "max_fee", "signer", "signature")
    by_wallet = params | {name: signed[name] for name in wanted}
    assert ask(world, "edit_by_label", by_wallet)["order"]["price"] == 998
    buy(world, label="mine")
    assert ask(world, "edit_by_label", params)["code"] == 11050
    assert ask(world, "edit_by_label", params | {"label": "no"})["code"] == 10004
    assert ask(world, "edit_by_label", params | {"label": ""})["code"] == 11050
    assert sign_order(signed, "buy", TAKER_KEY) == signed["signature"]


def test_open_orders_by_label(world):
    mine = [buy(world, label="a"), buy(world, label="a", instrument_name=PUT_NAME)]
    buy(world, label="b")
    rows = ask(world, "get_open_orders_by_label", {"label": "a", "currency": "BTC"})
    assert [row["order_id"] for row in rows] == mine
    assert ask(world, "get_open_orders_by_label", {"label": "a", "currency": "ETH"}) == []


def test_orders_of_a_sort_are_canceled(world):
    buy(world)
    waiting = {"type": "stop_limit", "trigger": "mark_price", "trigger_price": 5_000}
    buy(world, **waiting)
    sort = {"kind": "option", "type": "trigger_all", "subaccount_id": TAKER_ID}
    assert ask(world, "cancel_all_by_kind_or_type", sort | {"kind": "future"}) == 0
    assert ask(world, "cancel_all_by_kind_or_type", sort) == 1
    assert ask(world, "cancel_all_by_kind_or_type", {}) == 1
