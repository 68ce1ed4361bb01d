"""A taker's answer comes when a speed bump has let it in."""

import asyncio

import pytest
from tests.unit.api.world import CALL_NAME, MAKER_KEY, World, call
from tests.venue import C

from exchange.api import gateway as gateway_module
from exchange.commands import Halt, ReleaseOrders, SetSpeedBump

DELAY_NS = 20 * 10**6


@pytest.fixture
def world():
    world = World()
    world.do(lambda venue: venue.send(SetSpeedBump(instrument_id=C, delay_ns=DELAY_NS)))
    yield world
    world.gateway.stop()


async def place(world, side, **changes):
    return (await call(world, f"private/{side}", world.order(side, **changes)))["result"]


def test_the_answer_shows_the_trades(world):
    async def play():
        await place(world, "sell", key=MAKER_KEY)
        answer = asyncio.create_task(place(world, "buy"))
        await asyncio.sleep(0.05)
        assert not answer.done()
        world.venue.time_ns += DELAY_NS
        world.do(lambda venue: venue.send(ReleaseOrders()))
        found = await answer
        assert found["order"]["order_state"] == "filled"
        assert len(found["trades"]) == 1
        return await call(world, "public/get_instrument", {"instrument_name": CALL_NAME})

    assert asyncio.run(play())["result"]["speed_bump_ms"] == 20
    assert world.gateway._entering == {}


def test_a_halt_in_between_answers_with_the_order_as_it_waits(world, monkeypatch):
    monkeypatch.setattr(gateway_module, "BUMP_TIMEOUT_S", 0.05)

    async def play():
        await place(world, "sell", key=MAKER_KEY)
        answer = asyncio.create_task(place(world, "buy"))
        while not world.venue.engine.release_times_ns():  # noqa: ASYNC110 -- a fake tells nobody
            await asyncio.sleep(0.001)
        world.do(lambda venue: venue.send(Halt(instrument_id=C)))
        return await answer

    found = asyncio.run(play())
    assert (found["order"]["order_state"], found["trades"]) == ("untriggered", [])
    assert world.gateway._entering == {}


def test_one_that_entered_already_is_not_waited_for(world):
    asyncio.run(world.gateway.entered(999))
    order = asyncio.run(place(world, "sell", key=MAKER_KEY))["order"]
    asyncio.run(world.gateway.entered(int(order["order_id"])))
    assert world.gateway._entering == {}
