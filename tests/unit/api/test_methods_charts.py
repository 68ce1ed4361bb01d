"""Figures over time in Deribit's shapes."""

import asyncio
from itertools import pairwise

import pytest
from tests.unit.api.world import CALL_NAME, World, call
from tests.venue import INDEX, C

MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def world():
    """The index rises by 100 a minute for ten hours; marks every minute."""
    world = World()
    world.start_ms = world.gateway.now_ms()
    for minute in range(600):
        world.venue.wait(60)
        world.do(lambda venue, minute=minute: venue.index(INDEX + 100 * minute))
        if minute < 30:
            world.do(lambda venue, minute=minute: venue.mark({C: 2_000 + minute}))
    yield world
    world.gateway.stop()


def ask(world, method, **params):
    return asyncio.run(call(world, f"public/{method}", params))


def test_an_index_chart_has_the_last_price_of_each_step(world):
    found = ask(world, "get_index_chart_data", index_name="btc_usdc", range="1h")["result"]
    assert 60 <= len(found) <= 61
    assert {after[0] - before[0] for before, after in pairwise(found)} == {MINUTE_MS}
    assert found[-1][1] == INDEX + 100 * 599
    for words, points in (("1d", 120), ("2d", 60), ("1m", 10), ("1y", 1), ("all", 1)):
        found = ask(world, "get_index_chart_data", index_name="btc_usdc", range=words)["result"]
        assert points <= len(found) <= points + 2, words


def test_marks_every_five_minutes(world):
    found = ask(
        world,
        "get_mark_price_history",
        instrument_name=CALL_NAME,
        start_timestamp=world.start_ms,
        end_timestamp=world.gateway.now_ms(),
    )["result"]
    assert 6 <= len(found) <= 7
    assert all(2_000 <= price < 2_030 for _, price in found[1:])
    wrong = ask(
        world,
        "get_mark_price_history",
        instrument_name=CALL_NAME,
        start_timestamp=2,
        end_timestamp=1,
    )
    assert wrong["error"]["data"]["param"] == "start_timestamp"


def test_realised_volatility_in_percent(world):
    """6 % an hour upwards, seven hours and more of it."""
    found = ask(world, "get_historical_volatility", currency="BTC")["result"]
    assert len(found) >= 3
    assert all(100 < value < 1_000 for _, value in found)
    assert ask(world, "get_historical_volatility", currency="DOGE")["error"]["code"] == 10020


def test_the_volatility_index_in_candles(world):
    """The newest thousand first, older ones up to the continuation."""
    params = {"currency": "BTC", "start_timestamp": 0, "end_timestamp": world.gateway.now_ms()}
    found = ask(world, "get_volatility_index_data", resolution="60", **params)["result"]
    assert len(found["data"]) >= 29
    assert found["continuation"] is None
    assert all(low <= close <= high for _, _, high, low, close in found["data"])
    track, start_s = world.gateway.view.history.volatilities[2], world.start_ms // 1_000
    for minute in range(1_500):
        track.note(start_s + 60 * minute, 600_000 + minute)
    params |= {"currency": "ETH", "end_timestamp": 2**45}
    found = ask(world, "get_volatility_index_data", resolution="60", **params)["result"]
    assert len(found["data"]) == 1_000
    assert found["data"][-1][1:] == [60.1499] * 4
    older = ask(
        world,
        "get_volatility_index_data",
        resolution="60",
        **params | {"end_timestamp": found["continuation"]},
    )["result"]
    assert (len(older["data"]), older["continuation"]) == (500, None)
    assert older["data"][-1][0] < found["data"][0][0]
    days = ask(world, "get_volatility_index_data", resolution="1D", **params)["result"]["data"]
    assert (days[0][1], days[-1][4]) == (60, 60.1499)
