"""The past on the wire: pages of one's own, and nobody else's."""

import asyncio

import pytest
from tests.unit.api.world import (
    CALL_NAME,
    MAKER_ID,
    MAKER_KEY,
    PUT_NAME,
    TAKER_ID,
    World,
    call,
    session_of,
)
from tests.venue import C

from exchange.api.app import METHODS
from exchange.api.methods_history import HISTORY


@pytest.fixture
def world():
    world = World()
    yield world
    world.gateway.stop()
    world.past.close()


def ask(world, method, params=None, key=None):
    session = session_of(world, *([key] if key else [])).session
    reply = asyncio.run(call(world, f"private/{method}", params, session=session))
    assert "result" in reply, reply
    return reply["result"]


def trade(world, price="1000", name=CALL_NAME):
    sell = world.order("sell", key=MAKER_KEY, price=price, instrument_name=name)
    buy = world.order("buy", price=price, instrument_name=name)
    asyncio.run(call(world, "private/sell", sell))
    asyncio.run(call(world, "private/buy", buy))


def test_finished_orders_are_found_and_open_ones_are_not(world):
    trade(world)
    asyncio.run(call(world, "private/buy", world.order("buy", price="900")))
    (order,) = ask(world, "get_order_history_by_currency", {"currency": "BTC"})
    assert (order["order_state"], order["price"], order["filled_amount"]) == ("filled", 1000, 1)
    (same,) = ask(world, "get_order_history_by_instrument", {"instrument_name": CALL_NAME})
    assert same == order
    assert ask(world, "get_order_history_by_instrument", {"instrument_name": PUT_NAME}) == []
    assert ask(world, "get_order_history_by_currency", {"currency": "ETH"}) == []


def test_orders_that_nobody_traded_with_are_shown_if_asked_for(world):
    ask(world, "get_open_orders")
    asyncio.run(call(world, "private/buy", world.order("buy", price="900")))
    assert ask(world, "cancel_all") == 1
    question = {"currency": "any"}
    assert ask(world, "get_order_history_by_currency", question) == []
    (order,) = ask(world, "get_order_history_by_currency", question | {"include_unfilled": True})
    assert order["order_state"] == "cancelled"


def test_each_sees_its_own_side(world):
    trade(world)
    period = {"currency": "BTC", "start_timestamp": 0, "end_timestamp": 2**52}
    (bought,) = ask(world, "get_user_trades_by_currency_and_time", period)["trades"]
    (sold,) = ask(world, "get_user_trades_by_currency_and_time", period, MAKER_KEY)["trades"]
    assert (bought["direction"], bought["liquidity"]) == ("buy", "T")
    assert (sold["direction"], sold["liquidity"]) == ("sell", "M")
    assert bought["trade_id"] == sold["trade_id"]


def stop(world, **fields):
    terms = {"type": "stop_limit", "trigger": "mark_price", "trigger_price": "900"} | fields
    reply = asyncio.run(call(world, "private/sell", world.order("sell", price="890", **terms)))
    return reply["result"]["order"]["order_id"]


def test_a_wait_for_a_price_has_a_row_when_it_ends(world):
    """Triggered, rejected at the book's door, or canceled before; what became of it later, none."""
    dropped, refused = stop(world, label="mine"), stop(world, reduce_only=True)
    fired = stop(world, type="stop_market")
    question = {"currency": "BTC"}
    assert ask(world, "get_trigger_order_history", question)["entries"] == []
    ask(world, "cancel", {"order_id": dropped})
    world.do(lambda venue: venue.mark({C: 900}))
    ask(world, "cancel_all")
    rows = ask(world, "get_trigger_order_history", question)["entries"]
    told = {row["order_id"]: (row["order_state"], row["request"]) for row in rows}
    assert len(rows) == len(told)
    assert told == {
        dropped: ("cancelled", "cancel"),
        refused: ("rejected:reduce_only_increases", "trigger:order"),
        fired: ("triggered", "trigger:order"),
    }
    first = rows[-1]
    assert (first["trigger_order_id"], first["label"], first["price"]) == (dropped, "mine", 890)
    assert (first["trigger"], first["trigger_price"]) == ("mark_price", 900)
    assert {row["order_id"]: row["order_type"] for row in rows}[fired] == "market"


def test_rows_of_waits_are_of_the_currency_and_the_instrument_asked_for(world):
    order_id = stop(world)
    ask(world, "cancel", {"order_id": order_id})
    for where, count in (
        ({"currency": "any", "instrument_name": CALL_NAME}, 1),
        ({"currency": "BTC", "instrument_name": CALL_NAME}, 1),
        ({"currency": "BTC", "instrument_name": PUT_NAME}, 0),
        ({"currency": "ETH", "instrument_name": CALL_NAME}, 0),
    ):
        assert len(ask(world, "get_trigger_order_history", where)["entries"]) == count
    assert ask(world, "get_trigger_order_history", {"currency": "any"}, MAKER_KEY)["entries"] == []


@pytest.mark.parametrize("method", [method.name for method in HISTORY])
def test_nobody_reads_anothers_past(world, method):
    trade(world)
    needed = {"instrument_name": CALL_NAME} if "instrument" in method else {"currency": "BTC"}
    session = session_of(world).session
    reply = asyncio.run(call(world, method, needed | {"subaccount_id": MAKER_ID}, session=session))
    assert reply["error"]["code"] == 13021
    assert asyncio.run(call(world, method, needed))["error"]["code"] == 13009


def test_pages_follow_one_another(world):
    for price in ("1000", "1001", "1002"):
        trade(world, price)
    question = {"instrument_name": CALL_NAME, "count": 2}
    first = ask(world, "get_user_trades_by_instrument_and_time", question)
    assert first["has_more"]
    second = ask(
        world,
        "get_user_trades_by_instrument_and_time",
        question | {"continuation": first["continuation"]},
    )
    prices = [row["price"] for row in first["trades"] + second["trades"]]
    assert prices == [1002, 1001, 1000]
    assert (second["has_more"], second["continuation"]) == (False, None)
    upward = ask(world, "get_user_trades_by_instrument_and_time", question | {"sorting": "asc"})
    assert [row["price"] for row in upward["trades"]] == [1000, 1001]
    page = {"currency": "any", "count": 1, "with_continuation": True}
    assert ask(world, "get_order_history_by_currency", page)["continuation"]


def test_time_bounds_a_question(world):
    trade(world)
    now = world.gateway.now_ms()
    world.venue.wait(60)
    for bounds, count in (
        ({"start_timestamp": now + 1}, 0),
        ({"end_timestamp": now - 1}, 0),
        ({"start_timestamp": now, "end_timestamp": now}, 1),
    ):
        question = {"instrument_name": CALL_NAME} | bounds
        found = ask(world, "get_user_trades_by_instrument_and_time", question)["trades"]
        assert len(found) == count


def test_the_log_holds_all_that_moved_money(world):
    """A deposit, a trade and a withdrawal, the newest first; the sum of cash is another test's."""
    world.do(lambda venue: venue.fund("0x" + "9" * 40))
    trade(world)
    asyncio.run(call(world, "private/withdraw", world.withdrawal()))
    logs = ask(world, "get_transaction_log")["logs"]
    assert [row["type"] for row in logs] == ["withdrawal", "trade", "deposit"]
    assert logs[0]["change"] == -100
    assert logs[2]["change"] == 1_000_000
    assert all(row["id"] and row["timestamp"] for row in logs)
    (only,) = ask(world, "get_transaction_log", {"query": "trade", "currency": "BTC"})["logs"]
    assert only["price"] == 1000


def test_money_in_and_out(world):
    asyncio.run(call(world, "private/withdraw", world.withdrawal()))
    deposits = ask(world, "get_deposits", {"currency": "USDC"})
    assert deposits["count"] == 1
    assert deposits["data"][0] | {"amount": 1_000_000, "state": "completed"} == deposits["data"][0]
    (out,) = ask(world, "get_withdrawals")["data"]
    assert (out["amount"], out["currency"], out["state"]) == (100, "USDC", "unconfirmed")
    assert ask(world, "get_transfers")["data"] == []


def test_a_delivery_is_history(world):
    trade(world)
    world.deliver()
    for method, question in (
        ("get_settlement_history_by_instrument", {"instrument_name": CALL_NAME}),
        ("get_settlement_history_by_currency", {"currency": "BTC", "type": "delivery"}),
    ):
        (row,) = ask(world, method, question)["settlements"]
        assert (row["type"], row["instrument_name"], row["position"]) == ("delivery", CALL_NAME, 1)
    question = {"currency": "BTC", "type": "bankruptcy"}
    assert ask(world, "get_settlement_history_by_currency", question)["settlements"] == []


def test_offsets_are_refused_and_so_are_foreign_marks(world):
    session = session_of(world).session
    for params in ({"offset": 1}, {"continuation": "x"}, {"continuation": "1"}):
        reply = asyncio.run(call(world, "private/get_deposits", params, session=session))
        assert reply["error"]["code"] == -32602


def test_a_gateway_without_history_says_so(world):
    world.gateway.history = None
    session = session_of(world).session
    reply = asyncio.run(call(world, "private/get_deposits", {}, session=session))
    assert reply["error"]["code"] == 13028


def test_a_restarted_gateway_adds_nothing_twice(world):
    from exchange.api.gateway import Gateway

    trade(world)
    before = ask(world, "get_transaction_log")
    again = Gateway(world.sequencer, world.settings, world.sequencer.entries(), past=world.past)
    assert ask(world, "get_transaction_log") == before
    again.stop()
    assert TAKER_ID in again.view.owners


def test_every_method_is_served():
    assert set(HISTORY) <= set(METHODS)
