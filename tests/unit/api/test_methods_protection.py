"""Protection is set, trips, and is lifted by its owner alone."""

import asyncio

import pytest
from tests.unit.api.world import (
    MAKER_ID,
    MAKER_KEY,
    STRANGER_KEY,
    call,
    session_of,
)

LIMITS = {"index_name": "btc_usdc", "interval": 60, "frozen_time": 0, "quantity_limit": "1.5"}


def ask(world, method, params=None, key=MAKER_KEY):
    session = session_of(world, key).session if key else None
    reply = asyncio.run(call(world, f"private/{method}", params, session=session))
    return reply.get("result", reply.get("error"))


def test_limits_are_set_shown_and_removed(world):
    limits = LIMITS | {"delta_limit": 0.5, "vega_limit": "100", "frozen_time": 30}
    shown = ask(world, "set_mmp_config", limits)
    expected = {
        "subaccount_id": MAKER_ID,
        "interval": 60,
        "frozen_time": 30,
        "quantity_limit": 1.5,
        "delta_limit": 0.5,
        "vega_limit": 100,
        "frozen": False,
    }
    assert expected.items() <= shown.items()
    assert ask(world, "get_mmp_config") == [shown]
    assert ask(world, "get_mmp_config", {"index_name": "eth_usdc"}) == []
    ask(world, "set_mmp_config", {"index_name": "btc_usdc", "interval": 0})
    assert ask(world, "get_mmp_config") == []


def test_too_many_fills_freeze_a_maker_until_a_reset(world):
    ask(world, "set_mmp_config", LIMITS)
    for price in ("1000", "1001"):
        order = world.order("sell", key=MAKER_KEY, price=price, mmp=True)
        assert ask(world, "sell", order, None)["order"]["mmp"]
    ask(world, "buy", world.order("buy", amount="2", price="1001"), None)
    assert ask(world, "get_mmp_config")[0]["frozen"]
    frozen = ask(world, "sell", world.order("sell", key=MAKER_KEY, mmp=True), None)
    assert frozen["data"]["reject_reason"] == "protection_frozen"
    assert ask(world, "reset_mmp", {"index_name": "btc_usdc"}) == "ok"
    assert not ask(world, "get_mmp_config")[0]["frozen"]


def test_a_protected_order_needs_limits(world):
    order = world.order("sell", key=MAKER_KEY, mmp=True)
    assert ask(world, "sell", order, None)["data"]["reject_reason"] == "not_protected"


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"quantity_limit": None}, "quantity_limit"),
        ({"quantity_limit": 0}, "quantity_limit"),
        ({"quantity_limit": -1}, "quantity_limit"),
        ({"delta_limit": "x"}, "delta_limit"),
        ({"vega_limit": -1}, "vega_limit"),
        ({"interval": 3_601}, "interval"),
        ({"index_name": "doge_usdc"}, "index_name"),
    ],
)
def test_wrong_limits_are_named(world, changes, param):
    assert ask(world, "set_mmp_config", LIMITS | changes)["data"]["param"] == param


def test_orders_are_canceled_by_label(world):
    for label in ("a", "a", "b"):
        ask(world, "sell", world.order("sell", key=MAKER_KEY, price="1010", label=label), None)
    assert ask(world, "cancel_by_label", {"label": "a"}) == 2
    assert ask(world, "cancel_by_label", {"label": ""})["data"]["param"] == "label"
    assert len(world.gateway.view.open_orders[MAKER_ID]) == 1


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("set_mmp_config", LIMITS | {"subaccount_id": MAKER_ID}),
        ("get_mmp_config", {"subaccount_id": MAKER_ID}),
        ("reset_mmp", {"subaccount_id": MAKER_ID, "index_name": "btc_usdc"}),
        ("cancel_by_label", {"subaccount_id": MAKER_ID, "label": "a"}),
    ],
)
@pytest.mark.parametrize(("key", "code"), [(None, 13009), (STRANGER_KEY, 13021)])
def test_nobody_touches_anothers_protection(world, method, params, key, code):
    assert ask(world, method, params, key)["code"] == code
