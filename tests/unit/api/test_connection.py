"""Heartbeats, slow sockets, and what ends a connection."""

import asyncio

import pytest

from exchange.api import connection as module
from exchange.api.connection import Connection
from exchange.api.settings import GatewaySettings


def connection(**settings):
    return Connection("test", GatewaySettings(**settings), lambda *_: None)


async def sent_by(client, seconds):
    """What is sent within `seconds`."""
    sent = []

    async def send(text):
        sent.append(text)

    task = asyncio.create_task(client.send_all(send))
    await asyncio.sleep(seconds)
    task.cancel()
    return sent


def test_the_outbox_is_sent():
    async def scenario():
        client = connection()
        client.outbox.put(b"one")
        client.outbox.put(b"two")
        return await sent_by(client, 0.02)

    assert asyncio.run(scenario()) == ["one", "two"]


def test_an_overflow_ends_the_connection_with_a_reason():
    async def scenario():
        client = connection(outbox_messages_max=1)
        watching = asyncio.create_task(client.watch())
        client.outbox.put(b"one")
        client.outbox.put(b"two")
        await asyncio.wait_for(watching, 1)
        return client.close_reason

    assert asyncio.run(scenario()).startswith("slow consumer")


def test_a_socket_that_takes_nothing_ends_the_connection(monkeypatch):
    monkeypatch.setattr(module, "SEND_TIMEOUT_S", 0.01)

    async def scenario():
        client = connection()
        client.outbox.put(b"one")
        await asyncio.wait_for(client.send_all(lambda _: asyncio.sleep(60)), 1)
        return client.close_reason

    assert asyncio.run(scenario()).startswith("slow consumer")


@pytest.mark.parametrize(("answers", "reason"), [(True, ""), (False, "heartbeat missed")])
def test_a_silent_client_is_asked_and_then_let_go(answers, reason):
    async def scenario():
        client = connection()
        watching = asyncio.create_task(client.watch())
        client.set_heartbeat(0.02)
        for _ in range(3):
            async with asyncio.timeout(5):
                assert await client.outbox.take() == module.TEST_REQUEST
                if not answers:
                    await watching
                    break
            client.heard()
        watching.cancel()
        return client.close_reason

    assert asyncio.run(scenario()) == reason


def test_a_stopped_heartbeat_asks_no_more():
    async def scenario():
        client = connection()
        watching = asyncio.create_task(client.watch())
        client.set_heartbeat(0.01)
        async with asyncio.timeout(5):
            await client.outbox.take()
        client.set_heartbeat(0)
        await asyncio.sleep(0.05)  # five intervals in which nothing may happen
        watching.cancel()
        return client.close_reason, len(client.outbox)

    assert asyncio.run(scenario()) == ("", 0)


def test_a_socket_that_takes_one_at_a_time_is_served_on(monkeypatch):
    """The limit is on one message, not on all that wait."""
    monkeypatch.setattr(module, "SEND_TIMEOUT_S", 0.2)

    async def scenario():
        client, all_sent = connection(), asyncio.Event()
        for number in range(6):
            client.outbox.put(b"%d" % number)

        async def slowly(text):
            await asyncio.sleep(0.06)
            if text == "5":
                all_sent.set()

        sending = asyncio.create_task(client.send_all(slowly))
        async with asyncio.timeout(10):
            await all_sent.wait()
        sending.cancel()
        assert not client.close_reason

    asyncio.run(scenario())
