"""Sockets that say little, nothing or too much must not keep others out."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from ipaddress import ip_network

import httpx
import pytest
import uvicorn
from tests.unit.api.world import free_port
from websockets.sync.client import connect

from exchange.api.app import server_config
from exchange.api.listener import (
    GATHERED_MAX,
    BoundedProtocol,
    GatheredWrites,
    bounded_protocol,
)


async def app(scope, receive, send):
    """Answers every request once its body is there; accepts every WebSocket."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})


@contextmanager
def listening(**bounds) -> Iterator[tuple[int, type[BoundedProtocol]]]:
    """A listener with these bounds; yields its port and its protocol."""
    protocol, port = bounded_protocol(**bounds), free_port()
    config = uvicorn.Config(
        app,
        port=port,
        http=protocol,
        ws="websockets-sansio",
        lifespan="off",
        log_level="critical",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield port, protocol
    finally:
        server.should_exit = True
        thread.join(10)


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", trust_env=False, timeout=60).text == "here"
    except httpx.HTTPError:
        return False


def is_closed(client: socket.socket, within_s: float = 5.0) -> bool:
    client.settimeout(within_s)
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


STARTS = [
    b"",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: ",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf",
]


@pytest.mark.parametrize("start", STARTS)
def test_a_request_that_does_not_come_to_an_end_is_let_go(start):
    """Whether it stops before, within or after its headers."""
    with listening(request_s=0.2) as (port, _), dial(port) as client:
        client.sendall(start)
        assert is_closed(client)
        assert answers(port)


def test_dripping_bytes_wins_no_time():
    """The clock runs from the first byte to the last, not between two of them."""
    with listening(request_s=0.3) as (port, _), dial(port) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        started, closed = time.monotonic(), False
        client.settimeout(0.05)
        while not closed and time.monotonic() - started < 5:
            try:
                client.sendall(b"x")
                closed = client.recv(1) == b""
            except TimeoutError:
                pass
            except ConnectionError:
                closed = True
        assert closed


def test_a_whole_request_after_another_is_answered():
    """A connection that is kept alive gets fresh time for each request."""
    with listening(request_s=0.5) as (port, _):
        client = HTTPConnection("127.0.0.1", port, timeout=5)
        for _ in range(3):
            client.request("GET", "/")
            assert client.getresponse().read() == b"here"
            time.sleep(0.25)
        client.close()


def test_an_address_holds_so_many_sockets_and_no_more():
    """One more is closed at once; room comes back when one closes."""
    with listening(sockets_per_address_max=3) as (port, protocol):
        held = [dial(port) for _ in range(3)]
        with dial(port) as late:
            assert is_closed(late)
        assert not answers(port)
        for client in held:
            client.close()
        while protocol.open_by_address:
            time.sleep(0.01)
        assert answers(port)


def test_a_trusted_proxy_holds_as_many_as_it_has_clients():
    trusted = (ip_network("127.0.0.0/8"),)
    with listening(sockets_per_address_max=1, trusted=trusted) as (port, _):
        held = [dial(port) for _ in range(3)]
        assert answers(port)
        for client in held:
            client.close()


@pytest.mark.parametrize(
    ("proxies", "client"), [((), "127.0.0.1"), ((ip_network("127.0.0.1/32"),), "203.0.113.9")]
)
def test_only_a_trusted_proxy_says_who_its_clients_are(proxies, client):
    async def told(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["client"][0].encode()})

    async def asked():
        config = server_config(told, "127.0.0.1", free_port(), proxies)
        config.load()
        transport = httpx.ASGITransport(config.loaded_app, client=("127.0.0.1", 9))
        async with httpx.AsyncClient(transport=transport, base_url="http://venue") as asking:
            return (await asking.get("/", headers={"X-Forwarded-For": "203.0.113.9"})).text

    assert asyncio.run(asked()) == client


def test_the_listener_holds_so_many_sockets_and_no_more():
    """Whatever addresses they come from."""
    with listening(sockets_max=2) as (port, _):
        held = [dial(port) for _ in range(2)]
        time.sleep(0.1)
        with dial(port) as late:
            assert is_closed(late)
        for client in held:
            client.close()


def test_a_websocket_outlives_the_time_for_a_request():
    """It counts among the sockets, but no longer among its address's."""
    with (
        listening(request_s=0.2) as (port, protocol),
        connect(f"ws://127.0.0.1:{port}/", proxy=None) as client,
    ):
        time.sleep(0.5)
        assert not protocol.open_by_address
        client.ping().wait(5)
        assert client.state.name == "OPEN"


def test_both_listeners_are_bounded_each_by_its_own_count():
    """The public one's crowd must not lock the operator out."""
    first, second = (server_config(app, "127.0.0.1", 0).http for _ in range(2))
    assert issubclass(first, BoundedProtocol)
    assert first.open_by_address is not second.open_by_address


class Written:
    """A transport that remembers."""

    def __init__(self):
        self.writes = []
        self.closed = False

    def write(self, data):
        assert not self.closed
        self.writes.append(data)

    def close(self):
        self.closed = True

    def get_extra_info(self, name):
        return name


def gathering(scenario):
    async def whole():
        written = Written()
        await scenario(GatheredWrites(written, asyncio.get_running_loop()))
        return written

    return asyncio.run(whole())


def test_what_a_turn_of_the_loop_sends_leaves_in_one_write():
    async def scenario(transport):
        assert transport.get_extra_info("peername") == "peername"
        for part in (b"a", b"b", b"c"):
            transport.write(part)
        await asyncio.sleep(0)
        transport.write(b"d")
        await asyncio.sleep(0)

    assert gathering(scenario).writes == [b"abc", b"d"]


def test_many_bytes_do_not_wait_for_the_end_of_the_turn():
    half = bytes(GATHERED_MAX // 2)

    async def scenario(transport):
        for part in (half, half, b"rest"):
            transport.write(part)
        assert transport._transport.writes == [half + half]
        await asyncio.sleep(0)

    assert gathering(scenario).writes == [half + half, b"rest"]


def test_what_waits_leaves_before_the_line_is_closed():
    async def scenario(transport):
        transport.write(b"last")
        transport.close()
        await asyncio.sleep(0)

    written = gathering(scenario)
    assert (written.writes, written.closed) == ([b"last"], True)
