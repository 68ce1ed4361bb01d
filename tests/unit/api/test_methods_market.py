"""Past trades for everybody: by time, by currency, as candles; and deliveries."""

import asyncio

import pytest
from tests.unit.api.world import CALL_NAME, MAKER_KEY, PUT_NAME, World, call
from tests.venue import PERP

MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def world():
    """Trades at 1000, 1010 and 990 in the first minute, at 1005 three minutes later; one put."""
    world = World()
    world.start_ms = world.gateway.now_ms()
    for price, wait in (("1000", 1), ("1010", 1), ("990", 178), ("1005", 0)):
        trade(world, CALL_NAME, price)
        world.venue.wait(wait)
        world.do(lambda venue: venue.index())
    trade(world, PUT_NAME, "1000")
    yield world
    world.gateway.stop()


def trade(world, name, price):
    sell = world.order("sell", key=MAKER_KEY, price=price, instrument_name=name)
    asyncio.run(call(world, "private/sell", sell))
    asyncio.run(call(world, "private/buy", world.order("buy", price=price, instrument_name=name)))


def ask(world, method, **params):
    reply = asyncio.run(call(world, f"public/{method}", params))
    assert "result" in reply, reply
    return reply["result"]


def prices(found):
    return [trade["price"] for trade in found["trades"]]


def test_trades_by_time(world):
    found = ask(world, "get_last_trades_by_instrument_and_time", instrument_name=CALL_NAME, count=2)
    assert (prices(found), found["has_more"]) == ([1005, 990], True)
    found = ask(
        world,
        "get_last_trades_by_instrument_and_time",
        instrument_name=CALL_NAME,
        start_timestamp=world.start_ms,
        end_timestamp=world.start_ms + 1_500,
        sorting="asc",
    )
    assert (prices(found), found["has_more"]) == ([1000, 1010], False)


@pytest.mark.parametrize("suffix", ["", "_and_time"])
def test_trades_of_a_currency(world, suffix):
    found = ask(world, f"get_last_trades_by_currency{suffix}", currency="BTC", kind="option")
    assert [trade["instrument_name"] for trade in found["trades"]][:2] == [PUT_NAME, CALL_NAME]
    assert len(found["trades"]) == 5
    assert ask(world, f"get_last_trades_by_currency{suffix}", currency="ETH")["trades"] == []


def chart(world, start, end, resolution="1"):
    return ask(
        world,
        "get_tradingview_chart_data",
        instrument_name=CALL_NAME,
        start_timestamp=start,
        end_timestamp=end,
        resolution=resolution,
    )


def test_candles(world):
    start = world.start_ms // MINUTE_MS * MINUTE_MS
    found = chart(world, start - 5 * MINUTE_MS, start + 4 * MINUTE_MS)
    assert found["ticks"] == [start + minute * MINUTE_MS for minute in range(4)]
    assert found["open"] == [1000, 990, 990, 1005]
    assert found["high"] == [1010, 990, 990, 1005]
    assert found["low"] == [990, 990, 990, 1005]
    assert found["close"] == [990, 990, 990, 1005]
    assert found["volume"] == [3, 0, 0, 1]
    assert found["cost"] == [3000, 0, 0, 1005]
    assert found["status"] == "ok"


def test_a_chart_that_begins_later_knows_the_last_close(world):
    start = world.start_ms // MINUTE_MS * MINUTE_MS
    found = chart(world, start + MINUTE_MS, start + MINUTE_MS)
    assert (found["open"], found["volume"]) == ([990], [0])
    day = chart(world, start, start, "1D")
    assert (day["open"], day["close"], day["volume"]) == ([1000], [1005], [4])


def test_before_the_first_trade_there_is_nothing(world):
    found = chart(world, 0, MINUTE_MS)
    assert (found["ticks"], found["status"]) == ([], "no_data")


def test_charts_are_bounded(world):
    reply = asyncio.run(
        call(
            world,
            "public/get_tradingview_chart_data",
            {
                "instrument_name": CALL_NAME,
                "start_timestamp": 0,
                "end_timestamp": 2**52,
                "resolution": "1",
            },
        )
    )
    assert reply["error"]["data"]["param"] == "start_timestamp"


def test_deliveries_of_an_instrument():
    world = World()
    question = {"instrument_name": CALL_NAME}
    method = "get_last_settlements_by_instrument"
    assert ask(world, method, **question)["settlements"] == []
    world.deliver()
    (row,) = ask(world, method, **question)["settlements"]
    assert row["type"] == "delivery"
    assert row["index_price"] > 0
    assert ask(world, method, **question, type="bankruptcy")["settlements"] == []
    assert ask(world, method, **question, search_start_timestamp=1)["settlements"] == []
    world.gateway.stop()


def test_deliveries_of_a_currency():
    world = World()
    world.deliver()
    found = ask(world, "get_last_settlements_by_currency", currency="BTC")["settlements"]
    assert CALL_NAME in {row["instrument_name"] for row in found}
    assert ask(world, "get_last_settlements_by_currency", currency="ETH")["settlements"] == []
    one = ask(world, "get_last_settlements_by_currency", currency="BTC", count=1)
    assert len(one["settlements"]) == 1
    world.gateway.stop()


def test_expiries_sizes_and_volumes(world):
    assert ask(world, "get_expirations", currency="BTC") == {"option": ["25DEC26"]}
    assert ask(world, "get_expirations", currency="ETH") == {}
    assert ask(world, "get_contract_size", instrument_name=CALL_NAME) == {"contract_size": 1}
    (btc, eth) = ask(world, "get_trade_volumes")
    assert (btc["currency"], btc["calls_volume"], btc["puts_volume"]) == ("BTC", 4, 1)
    assert (btc["futures_volume"], eth["calls_volume"]) == (0, 0)
    names = ask(world, "get_supported_index_names")
    assert names == ask(world, "get_index_price_names")


def test_a_book_by_the_number_of_its_instrument(world):
    number = world.gateway.view.instrument_ids[CALL_NAME]
    found = ask(world, "get_order_book_by_instrument_id", instrument_id=number)
    assert found["instrument_name"] == CALL_NAME
    reply = asyncio.run(call(world, "public/get_order_book_by_instrument_id", {"instrument_id": 7}))
    assert reply["error"]["code"] == 10020


def test_a_perpetual_never_expires():
    world = World()
    world.do(lambda venue: venue.list_instruments(PERP))
    found = ask(world, "get_expirations", currency="BTC", kind="future")
    assert found == {"future": ["PERPETUAL"]}
    world.gateway.stop()
