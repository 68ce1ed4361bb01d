"""Heartbeats, overflows, and what ends a connection."""

import asyncio

import pytest

from exchange.api.connection import TEST_REQUEST, Connection
from exchange.api.settings import GatewaySettings
from exchange.api.signatures import Asked


def connection(end=lambda: None, **settings):
    return Connection("test", GatewaySettings(**settings), lambda *_: None, end)


def test_an_overflow_ends_the_connection_once_with_a_reason():
    ends = []
    client = connection(lambda: ends.append(client.close_reason), outbox_messages_max=1)
    client.outbox.put(b"one")
    assert ends == []
    client.outbox.put(b"two")
    client.outbox.put(b"three")
    assert ends == ["slow consumer: the queue to this client is full"]


def test_the_first_reason_stays():
    client = connection()
    client.end("one")
    client.end("two")
    assert client.close_reason == "one"


@pytest.mark.parametrize(("answers", "reason"), [(True, ""), (False, "heartbeat missed")])
def test_a_silent_client_is_asked_and_then_let_go(answers, reason):
    async def scenario():
        asked, ended = asyncio.Queue(), asyncio.Event()
        client = connection(ended.set)
        client.outbox.flow(asked.put_nowait)
        client.set_heartbeat(0.02)
        async with asyncio.timeout(5):
            for _ in range(3):
                assert await asked.get() == TEST_REQUEST
                if not answers:
                    await ended.wait()
                    break
                client.heard()
        client.set_heartbeat(0)
        return client.close_reason

    assert asyncio.run(scenario()) == reason


def test_one_that_speaks_all_the_time_is_asked_too():
    """An interval after the first word that the venue listened for."""

    async def scenario():
        asked = asyncio.Queue()
        client = connection()
        client.outbox.flow(asked.put_nowait)
        client.set_heartbeat(0.1)
        started = asyncio.get_running_loop().time()
        async with asyncio.timeout(5):
            while asked.empty():
                client.heard()
                await asyncio.sleep(0.005)
        client.set_heartbeat(0)
        return asyncio.get_running_loop().time() - started

    assert asyncio.run(scenario()) >= 0.1


def test_a_stopped_heartbeat_asks_no_more():
    async def scenario():
        asked = asyncio.Queue()
        client = connection()
        client.outbox.flow(asked.put_nowait)
        client.set_heartbeat(0.01)
        async with asyncio.timeout(5):
            await asked.get()
        client.set_heartbeat(0)
        client.heard()
        await asyncio.sleep(0.05)  # five intervals in which nothing may happen
        return client.close_reason, asked.qsize()

    assert asyncio.run(scenario()) == ("", 0)


@pytest.mark.parametrize("late", [False, True])
def test_what_follows_an_answered_request_lets_it_go_on_first(late):
    """An answer that came in this turn of the loop wakes whoever waits for it in the next."""

    async def scenario():
        read, went = asyncio.get_running_loop().create_future(), []

        async def order():
            went.append(await read)

        first = asyncio.create_task(order())
        await asyncio.sleep(0)
        asked = Asked(None, read.set_result)
        if not late:
            asked.tell(b"order")
        else:
            asyncio.get_running_loop().call_later(0.01, asked.tell, b"order")
        await connection().follow(asked)
        went.append(b"cancel")
        await first
        return went

    assert asyncio.run(scenario()) == [b"order", b"cancel"]


def test_all_who_wait_hear_that_no_call_is_under_way():
    """One of them going away keeps nobody else waiting."""

    async def scenario():
        client = connection()
        await client.idle()
        client.calls |= {1: "first", 2: "second"}
        waiting = [asyncio.create_task(client.idle()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting.pop().cancel()
        client.ended(1)
        await asyncio.sleep(0)
        assert not any(one.done() for one in waiting)
        client.ended(2)
        async with asyncio.timeout(5):
            await asyncio.gather(*waiting)

    asyncio.run(scenario())
