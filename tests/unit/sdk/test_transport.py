"""Calls, time-outs and a connection that comes back."""

import asyncio
import contextlib

import pytest
from tests.unit.api.world import free_port
from websockets.asyncio.server import serve

from exchange.sdk import transport
from exchange.sdk.errors import ApiError, ConnectionLost
from exchange.sdk.transport import HttpTransport, VenueClock, WebSocketTransport, result_of


async def nothing(*_):
    return None


class Venue:
    """A WebSocket server that answers with the method's name, or does what a test tells it."""

    def __init__(self):
        self.port = free_port()
        self.calls = []
        self.sockets = []

    async def handle(self, socket):
        self.sockets.append(socket)
        with contextlib.suppress(Exception):
            async for text in socket:
                await self.answer(socket, text)

    async def answer(self, socket, text):
        import json

        request = json.loads(text)
        self.calls.append(request["method"])
        match request["method"]:
            case "silent":
                return
            case "drop":
                await socket.close()
            case "fail":
                error = {"code": 1, "message": "m", "data": {"reason": "r", "param": "p"}}
                await socket.send(json.dumps({"id": request["id"], "error": error}))
            case "notify":
                data = {"channel": "c", "data": 1.5}
                await socket.send(json.dumps({"method": "subscription", "params": data}))
                await socket.send(json.dumps({"id": request["id"], "result": 1}))
            case "heartbeat":
                beat = {"method": "heartbeat", "params": {"type": "test_request"}}
                await socket.send(json.dumps(beat))
                await socket.send(json.dumps({"id": request["id"], "result": 1}))
            case method:
                reply = {"id": request["id"], "result": method, "usOut": 5_000_000}
                await socket.send(json.dumps(reply))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


def scenario(steps, on_connect=nothing, on_message=lambda *_: None):
    """Run `steps(venue, client)` against a fresh venue."""

    async def run():
        venue = Venue()
        async with serve(venue.handle, "127.0.0.1", venue.port):
            client = WebSocketTransport(venue.url, on_connect, on_message)
            await client.start()
            try:
                return await asyncio.wait_for(steps(venue, client), 20)
            finally:
                await client.stop()

    return asyncio.run(run())


def test_a_call_has_its_reply_and_teaches_the_venues_time():
    async def steps(_, client):
        return await client.call("public/x", {}), client.clock.now_s()

    assert scenario(steps) == ("public/x", 5)


def test_an_error_is_raised():
    async def steps(_, client):
        with pytest.raises(ApiError) as caught:
            await client.call("fail", {})
        return caught.value.param

    assert scenario(steps) == "p"


def test_notifications_arrive_exactly():
    heard = []

    async def steps(_, client):
        await client.call("notify", {})

    scenario(steps, on_message=lambda channel, data: heard.append((channel, str(data))))
    assert heard == [("c", "1.5")]


def test_heartbeats_are_answered():
    async def steps(venue, client):
        await client.call("heartbeat", {})
        while "public/test" not in venue.calls:
            await client.call("public/x", {})

    scenario(steps)


def test_a_call_without_reply_is_lost(monkeypatch):
    monkeypatch.setattr(transport, "CALL_TIMEOUT_S", 0.05)

    async def steps(_, client):
        with pytest.raises(ConnectionLost, match="no reply"):
            await client.call("silent", {})

    scenario(steps)


def test_a_broken_connection_fails_waiting_calls_and_comes_back():
    connected = []

    async def steps(venue, client):
        waiting = asyncio.create_task(client.call("silent", {}))
        with pytest.raises(ConnectionLost):
            await client.call("drop", {})
        with pytest.raises(ConnectionLost):
            await waiting
        result = await client.call("public/again", {})
        return result, client.connections, len(venue.sockets)

    async def on_connect():
        connected.append(1)

    assert scenario(steps, on_connect) == ("public/again", 2, 2)
    assert len(connected) == 2


def test_it_keeps_trying_until_signing_in_works(monkeypatch):
    monkeypatch.setattr(transport, "RETRY_FIRST_S", 0.001)
    attempts = []

    async def steps(_, client):
        await client._socket.close()
        return await client.call("public/again", {})

    async def on_connect():
        attempts.append(1)
        if len(attempts) in (2, 3):
            raise ApiError(1, "not yet")

    assert scenario(steps, on_connect) == "public/again"
    assert len(attempts) == 4


def test_nobody_there_is_a_lost_connection():
    async def run():
        url = f"http://127.0.0.1:{free_port()}"
        with pytest.raises(ConnectionLost):
            await WebSocketTransport(url, nothing, nothing).start()
        client = HttpTransport(url)
        await client.start()
        with pytest.raises(ConnectionLost):
            await client.call("public/test", {})
        await client.stop()

    asyncio.run(run())


def test_a_proxys_page_is_told_by_its_status():
    """Where no gateway answers, the proxy does, and not in JSON."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        page = b"<html><body><h1>503 Service Unavailable</h1></body></html>"
        writer.write(b"HTTP/1.0 503 Service Unavailable\r\nConnection: close\r\n\r\n" + page)
        writer.close()

    async def run():
        port = free_port()
        async with await asyncio.start_server(answer, "127.0.0.1", port):
            client = HttpTransport(f"http://127.0.0.1:{port}")
            with pytest.raises(ConnectionLost, match="public/test: HTTP 503 and no JSON"):
                await client.call("public/test", {})
            await client.stop()

    asyncio.run(run())


def test_a_stopped_client_fails_its_calls():
    async def steps(_, client):
        waiting = asyncio.create_task(client.call("silent", {}))
        await asyncio.sleep(0.05)
        await client.stop()
        with pytest.raises(ConnectionLost):
            await waiting

    scenario(steps)


def test_the_clock_needs_a_reply():
    clock = VenueClock()
    clock.learn({})
    with pytest.raises(AssertionError):
        clock.now_s()


def test_a_result_may_be_nothing():
    assert result_of({"result": None}) is None
