"""A connection signs in, renews its session, and signs in again when it has ended."""

import asyncio

import pytest
from tests.unit.api.world import STRANGER_KEY, TAKER_ID, TAKER_KEY, run, served

from exchange.sdk import AsyncClient, BadArgument
from exchange.sdk import session as module


@pytest.fixture(scope="module")
def venue():
    with served(session_s=3600) as found:
        yield found


def test_an_address_without_a_subaccount_is_told_to_deposit(venue):
    _, url = venue

    async def steps():
        async with AsyncClient(url, STRANGER_KEY) as client:
            with pytest.raises(BadArgument, match="deposit"):
                await client.account()

    run(steps())


def test_an_ended_session_is_opened_again(venue):
    world, url = venue

    async def steps(transport):
        async with AsyncClient(url, TAKER_KEY, transport=transport) as client:
            for table in (world.gateway.sessions._access,):
                for session in table.values():
                    session.ends_s = 0.0
            return await client.account()

    for transport in ("http", "websocket"):
        assert run(steps(transport)).subaccount_id == TAKER_ID


def test_a_websocket_session_is_renewed_before_it_ends(venue, monkeypatch):
    world, url = venue
    monkeypatch.setattr(module, "SESSION_REFRESH", 0.00001)
    before = world.gateway.counters.requests["public/auth"]

    async def steps():
        async with AsyncClient(url, TAKER_KEY):
            await asyncio.sleep(0.3)

    run(steps())
    assert world.gateway.counters.requests["public/auth"] > before + 1
