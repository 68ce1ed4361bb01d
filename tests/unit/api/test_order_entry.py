"""Orders that depend on each other, on the wire: each signed, all or none."""

import asyncio

import pytest
from tests.unit.api.world import MAKER_KEY, TAKER_KEY, call, session_of


def ask(world, method, params, key=None):
    session = session_of(world, key).session if key else None
    return asyncio.run(call(world, f"private/{method}", params, session=session))


def linked(world, kind, *sides, **changes):
    """The taker's bid, and others of these (side, price)."""
    others = [world.order(side, price=price) | {"direction": side} for side, price in sides]
    first = world.order("buy", price="990")
    return first | {"linked_order_type": kind, "otoco_config": others} | changes


def states(world, ids):
    found = [ask(world, "get_order_state", {"order_id": i}, TAKER_KEY)["result"] for i in ids]
    return [order["order_state"] for order in found]


def test_one_triggers_the_others_and_one_of_them_cancels_the_other(world):
    """Untriggered, open, cancelled: an entry with two ways out."""
    kind = "one_triggers_one_cancels_other"
    params = linked(world, kind, ("sell", "1010"), ("sell", "1020"))
    found = ask(world, "buy", params)["result"]
    ids = found["linked_order_ids"]
    assert found["order"]["order_id"] == ids[0]
    assert states(world, ids) == ["open", "untriggered", "untriggered"]
    ask(world, "sell", world.order("sell", key=MAKER_KEY, price="990"))
    assert states(world, ids) == ["filled", "open", "open"]
    ask(world, "buy", world.order("buy", key=MAKER_KEY, price="1010", amount="0.5"))
    assert states(world, ids) == ["filled", "open", "cancelled"]
    again = ask(world, "buy", params)["result"]
    assert again["order"]["order_id"] == ids[0]
    assert "linked_order_ids" not in again


def test_a_complete_fill_may_be_asked_for(world):
    params = linked(
        world, "one_cancels_other", ("sell", "1010"), trigger_fill_condition="complete_fill"
    )
    ids = ask(world, "buy", params)["result"]["linked_order_ids"]
    ask(world, "buy", world.order("buy", key=MAKER_KEY, price="1010", amount="0.5"))
    assert states(world, ids) == ["open", "open"]


def test_each_signature_is_checked(world):
    """One altered order keeps all out."""
    params = linked(world, "one_cancels_other", ("sell", "1010"))
    params["otoco_config"][0]["price"] = "1011"
    assert ask(world, "buy", params)["error"]["data"]["reject_reason"] == "bad_signature"
    assert ask(world, "get_open_orders", {}, TAKER_KEY)["result"] == []


def test_a_group_of_another_size_is_refused(world):
    params = linked(world, "one_triggers_one_cancels_other", ("sell", "1010"))
    assert ask(world, "buy", params)["error"]["data"]["reject_reason"] == "bad_link"


@pytest.mark.parametrize("missing", ["linked_order_type", "otoco_config"])
def test_kind_and_orders_come_together(world, missing):
    params = linked(world, "one_cancels_other", ("sell", "1010"))
    del params[missing]
    assert ask(world, "buy", params)["error"]["message"] == "bad_request"
