"""A maker's safety by the SDK: limits, labels, and cancels that outlive a reconnection."""

import asyncio

import pytest
from tests.unit.api.world import CALL_NAME, MAKER_ID, MAKER_KEY, served

from exchange.sdk import ApiError, AsyncClient


def run(steps):
    async def bounded():
        async with asyncio.timeout(60):
            return await steps

    return asyncio.run(bounded())


def test_limits_are_set_shown_reset_and_taken_away():
    async def story(url):
        async with AsyncClient(url, MAKER_KEY) as maker:
            with pytest.raises(ApiError, match="at least one limit"):
                await maker.protect("btc_usdc", 10)
            made = await maker.protect("btc_usdc", 10, frozen_time=5, quantity_limit="2.5")
            assert (made.interval, made.frozen_time, str(made.quantity_limit)) == (10, 5, "2.5")
            assert await maker.protections() == [made]
            await maker.reset_protection("btc_usdc")
            ended = await maker.protect("btc_usdc", 0)
            assert (ended.interval, await maker.protections()) == (0, [])
            assert (await maker.rate_limits())["matching"]["remaining"] > 0

    with served() as (_, url):
        run(story(url))


def test_orders_are_canceled_by_label():
    async def story(url):
        async with AsyncClient(url, MAKER_KEY) as maker:
            for label in ("a", "a", "b"):
                await maker.buy(CALL_NAME, 1, 900, label=label)
            assert await maker.cancel_by_label("a") == 2
            assert [order.label for order in await maker.open_orders()] == ["b"]

    with served() as (_, url):
        run(story(url))


def test_cancel_on_disconnect_holds_on_the_next_connection_too():
    """The line breaks twice: each time what came by it is canceled."""

    async def story(world, url):
        async with AsyncClient(url, MAKER_KEY) as maker:
            await maker.cancel_on_disconnect()
            for _ in range(2):
                await maker.buy(CALL_NAME, 1, 900)
                await maker._transport._socket.close()
                while await maker.open_orders():  # noqa: ASYNC110  a venue tells nobody
                    await asyncio.sleep(0.01)
            await maker.cancel_on_disconnect(on=False)
            enabled = await maker.call("private/get_cancel_on_disconnect")
            assert enabled["enabled"] is False
            await maker.buy(CALL_NAME, 1, 900)
            await maker._transport._socket.close()
            assert len(await maker.open_orders()) == 1

    with served() as (world, url):
        run(story(world, url))
        assert world.venue.position(MAKER_ID) == 0
