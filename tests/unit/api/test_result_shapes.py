"""Every method's result is described; `World` holds what is really answered against it."""

import asyncio

from tests.unit.api.world import CheckedDispatcher, World, call

from exchange.api.app import METHODS
from exchange.api.dispatch import Dispatcher
from exchange.api.result_shapes import RESULTS


def test_every_method_is_described_and_no_other():
    assert set(RESULTS) == {method.name for method in METHODS}


def test_a_result_that_differs_from_its_description_is_seen(monkeypatch):
    """A field more, a field less, another type: the check that all tests of the gateway share."""
    world = World()
    assert isinstance(world.dispatcher, CheckedDispatcher)
    good = asyncio.run(call(world, "public/get_index_price", {"index_name": "btc_usdc"}))["result"]
    for spoilt in (good | {"x": 1}, {"index_price": 1}, good | {"index_price": "1"}, 7):

        async def answer(*_, found=spoilt):
            return found

        monkeypatch.setattr(Dispatcher, "_call", answer)
        reply = asyncio.run(call(world, "public/get_index_price", {"index_name": "btc_usdc"}))
        assert reply["error"]["code"] == 11094
    world.gateway.stop()
