"""Perpetuals on the wire: what they are, what they pay, what holders see."""

import asyncio

import pytest
from tests.unit.api.world import (
    CALL_NAME,
    MAKER_ID,
    MAKER_KEY,
    PERPETUAL_NAME,
    World,
    call,
    session_of,
)
from tests.venue import PERP

from exchange.commands import AccrueFunding

HOUR_MS = 3_600_000


def run(coroutine):
    return asyncio.run(coroutine)


def result(world, method, **params):
    reply = run(call(world, f"public/{method}", params))
    assert "result" in reply, reply
    return reply["result"]


def error(world, method, **params):
    return run(call(world, f"public/{method}", params))["error"]


def order(world, side, **changes):
    fields = {"instrument_name": PERPETUAL_NAME, "price": "100000", "max_fee": "100"}
    return world.order(side, **(fields | changes))


@pytest.fixture(scope="module")
def world():
    """Taker bought 1 of maker at 100,000; the mark is 0.1 % above, funding moved for 28.8 s."""
    world = World()
    world.do(lambda venue: venue.list_instruments(PERP))
    world.do(lambda venue: venue.mark({PERP: 100_000}))
    run(call(world, "private/sell", order(world, "sell", key=MAKER_KEY)))
    run(call(world, "private/buy", order(world, "buy")))
    world.do(lambda venue: venue.index())
    world.do(lambda venue: venue.mark({PERP: 100_100}))
    world.venue.time_ns += 28_800 * 10**6
    world.do(lambda venue: venue.send(AccrueFunding()))
    world.do(lambda venue: venue.index())
    yield world
    world.gateway.stop()


def test_a_perpetual_is_described(world):
    """Deribit's fields: a future that never expires, with fees of its own."""
    one = result(world, "get_instrument", instrument_name=PERPETUAL_NAME)
    expected = {
        "kind": "future",
        "settlement_period": "perpetual",
        "instrument_type": "linear",
        "expiration_timestamp": 32_503_708_800_000,
        "maker_commission": 0,
        "taker_commission": 0.0005,
    }
    assert expected.items() <= one.items()
    assert "strike" not in one
    assert one in result(world, "get_instruments", currency="BTC", kind="future")


def test_the_ticker_tells_funding(world):
    """The rate now, what eight hours brought, and what a long has paid a contract."""
    found = result(world, "ticker", instrument_name=PERPETUAL_NAME)
    assert (found["current_funding"], found["funding_8h"]) == (0.001, 0.000001)
    assert (found["interest_value"], found["open_interest"]) == (0.1, 1)
    assert "current_funding" not in result(world, "ticker", instrument_name=CALL_NAME)


def test_a_rate_between_two_times(world):
    """Nothing before the perpetual traded; all of it up to now."""
    now = world.venue.time_ns // 10**6
    period = {"instrument_name": PERPETUAL_NAME, "end_timestamp": now}
    assert result(world, "get_funding_rate_value", start_timestamp=0, **period) == 0.000001
    assert result(world, "get_funding_rate_value", start_timestamp=now, **period) == 0
    fault = error(world, "get_funding_rate_value", start_timestamp=now + 1, **period)
    assert fault["data"]["param"] == "end_timestamp"


def test_history_and_chart_come_by_the_hour(world):
    """The whole hours of the period, the oldest first; the move lies in the next one."""
    world.do(lambda venue: venue.wait(3_600) or venue.index())
    hour = world.venue.time_ns // (HOUR_MS * 10**6) * HOUR_MS
    period = {"start_timestamp": hour - HOUR_MS, "end_timestamp": hour + 5 * HOUR_MS}
    rows = result(world, "get_funding_rate_history", instrument_name=PERPETUAL_NAME, **period)
    assert [row["timestamp"] for row in rows] == [hour - HOUR_MS, hour]
    assert [row["interest_1h"] for row in rows] == [0, 0.000001]
    assert [row["interest_8h"] for row in rows] == [0, 0.000001]
    assert (rows[1]["index_price"], rows[1]["prev_index_price"]) == (100_000, 0)
    chart = result(world, "get_funding_chart_data", instrument_name=PERPETUAL_NAME, length="8h")
    assert chart["data"][-1] == rows[1]
    assert (len(chart["data"]), chart["interest_8h"]) == (8, 0.000001)
    assert chart["current_interest"] == 0.001
    month = result(world, "get_funding_chart_data", instrument_name=PERPETUAL_NAME, length="1m")
    assert len(month["data"]) == 90


def test_only_perpetuals_pay_funding(world):
    """An option's name is a mistake, and it says so."""
    fault = error(world, "get_funding_chart_data", instrument_name=CALL_NAME)
    assert fault["data"]["param"] == "instrument_name"


def test_holders_see_what_they_paid(world):
    """Closing realises it: cash, position and account agree."""
    run(call(world, "private/buy", order(world, "buy", key=MAKER_KEY, amount="0.5")))
    run(call(world, "private/sell", order(world, "sell", amount="0.5")))
    own = {"subaccount_id": MAKER_ID}
    session = session_of(world, MAKER_KEY).session
    reply = run(call(world, "private/get_positions", own, session=session))
    (position,) = reply["result"]
    expected = {
        "instrument_name": PERPETUAL_NAME,
        "size": -0.5,
        "direction": "sell",
        "average_price": 100_000,
        "floating_profit_loss": -50,
        "realized_profit_loss": 0,
        "realized_funding": 0.1,
        "interest_value": 0.1,
    }
    assert expected.items() <= position.items()
    account = run(call(world, "private/get_account_summary", own, session=session))["result"]
    assert account["session_funding"] == 0.1
    assert account["balance"] == 1_000_000.1  # a maker's fee is nothing
    assert account["equity"] == account["balance"] - 50
    assert account["options_value"] == 0
