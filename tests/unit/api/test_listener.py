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
from tests.unit.api.world import World, free_port
from websockets.sync.client import connect

from exchange.api.app import server_config
from exchange.api.listener import BoundedProtocol, bounded_protocol


async def app(scope, receive, send):
    """Answers every request once its body is there."""
    assert scope["type"] == "http"
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})


@contextmanager
def listening(app=app, trusted=(), **bounds) -> Iterator[tuple[int, type[BoundedProtocol]]]:
    """A listener with these bounds; yields its port and its protocol."""
    protocol, port = bounded_protocol(trusted=trusted, **bounds), free_port()
    config = server_config(app, "127.0.0.1", port, trusted)
    config.http = protocol
    config.timeout_graceful_shutdown = 1
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


@pytest.mark.parametrize(
    ("trusted", "said", "address"),
    [
        ((), ["203.0.113.9"], "127.0.0.1"),
        ((ip_network("127.0.0.0/8"),), ["203.0.113.9"], "203.0.113.9"),
        ((ip_network("127.0.0.0/8"),), ["198.51.100.1", "203.0.113.9:80"], "203.0.113.9"),
        ((ip_network("127.0.0.0/8"),), ["203.0.113.9, 127.0.0.7"], "203.0.113.9"),
        ((ip_network("127.0.0.0/8"),), [""], "127.0.0.1"),
        ((ip_network("127.0.0.0/8"),), [], "127.0.0.1"),
        ((ip_network("10.0.0.0/8"),), ["203.0.113.9"], "127.0.0.1"),
    ],
)
def test_a_websocket_has_the_address_that_a_trusted_proxy_tells(trusted, said, address):
    world = World()
    headers = [("X-Forwarded-For", one) for one in said]
    with (
        listening(world.app, trusted) as (port, _),
        connect(f"ws://127.0.0.1:{port}/ws/api/v2", proxy=None, additional_headers=headers) as line,
    ):
        line.send('{"jsonrpc": "2.0", "id": 1, "method": "public/test"}')
        line.recv(10)  # a handshake is answered before the gateway knows of the connection
        assert [one.address for one in world.gateway.connections] == [address]


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
        listening(World().app, request_s=0.2) as (port, protocol),
        connect(f"ws://127.0.0.1:{port}/ws/api/v2", proxy=None) as client,
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


LARGE = b"x" * 20_000_000
ASK = b"GET /ws/api/v2 HTTP/1.1\r\nHost: x\r\n"
UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


async def large_app(scope, receive, send):
    """Answers more than a socket takes."""
    await app(
        scope, receive, lambda said: send({**said, "body": LARGE} if "body" in said else said)
    )


def wait_until_nobody(protocol):
    deadline = time.monotonic() + 5
    while protocol.open_by_address:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_who_does_not_read_the_answer_is_let_go():
    with listening(large_app, read_s=0.2) as (port, protocol):
        client = dial(port)
        client.sendall(ASK + b"\r\n")
        time.sleep(0.1)
        assert protocol.open_by_address
        wait_until_nobody(protocol)
        client.close()


def test_who_reads_the_answer_slowly_is_kept():
    with listening(large_app, read_s=0.2) as (port, _):
        client, count = dial(port), 0
        client.sendall(ASK + b"Connection: close\r\n\r\n")
        while part := client.recv(1 << 20):
            count += len(part)
            time.sleep(0.03)
        assert count > len(LARGE)
        client.close()


def test_no_websocket_begins_behind_an_answer_that_nobody_reads():
    """It would not be told that the socket is full, and write without a bound."""
    world = World()

    async def both(scope, receive, send):
        await (large_app if scope["type"] == "http" else world.app)(scope, receive, send)

    with listening(both) as (port, protocol):
        client = dial(port)
        client.sendall(ASK + b"\r\n" + ASK + UPGRADE + b"\r\n")
        time.sleep(0.1)
        wait_until_nobody(protocol)
        assert not world.gateway.connections
        client.close()
