"""WebSockets over real sockets: frames, bounds, slow readers, and goodbyes."""

import asyncio
import contextlib
import json
import socket
import time
from base64 import b64encode

import pytest
from picows.picows import WSProtocol
from tests.unit.api.world import TAKER_KEY, World, served, serving, sign_in_text
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect

from exchange.api import websocket as module
from exchange.api.app import app_of
from exchange.api.dispatch import Outcome
from exchange.api.websocket import GATHERED_MAX, READ_MAX, Line, WebSocketEndpoint
from exchange.sdk import Wallet

TEST = b'{"id":1,"method":"public/test"}'
WAIT_S = 5.0


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def url(world):
    with serving(world.app) as url:
        yield url


def open_socket(url, **options):
    return connect("ws" + url[4:] + "/ws/api/v2", compression=None, proxy=None, **options)


def reply(client):
    return json.loads(client.recv(timeout=WAIT_S))


def ask(client, method, params):
    client.send(json.dumps({"id": 1, "method": method, "params": params}))
    return reply(client)["result"]


def send_too_much(client, message):
    """Send until the venue closes: the client may hear that before it has sent all."""
    with contextlib.suppress(ConnectionClosed):
        client.send(message)


def end_of(client):
    """The code and the reason by which the venue closes."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            client.recv(timeout=WAIT_S)
    return client.protocol.close_rcvd.code, client.protocol.close_rcvd.reason


def wait_until(condition):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def frame(opcode, data, *, fin=True):
    return Frame(opcode, data, fin).serialize(mask=True)


def beginning(first, data=TEST):
    """A whole text, but for its first byte."""
    return bytes([first]) + frame(Opcode.TEXT, data)[1:]


def handshake(url, headers, path="/ws/api/v2"):
    """A bare socket, and the first line of the answer to a request to upgrade."""
    host, port = url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)), timeout=WAIT_S)
    lines = [f"GET {path} HTTP/1.1", "Host: venue", *headers, "", ""]
    client.sendall("\r\n".join(lines).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(4_096)
    return client, answer.split(b"\r\n")[0].decode()


KEY = "Sec-WebSocket-Key: " + b64encode(bytes(16)).decode()
UPGRADE = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", KEY]


# -- the way in -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {1: "Connection: keep-alive, Upgrade"},  # as Firefox says it
        {0: "Upgrade: WebSocket"},
        {3: KEY + "\r\nSec-WebSocket-Extensions: permessage-deflate\r\nCookie: " + "x" * 9_000},
    ],
)
def test_browsers_say_it_in_many_ways(url, changes):
    headers = [changes.get(number, line) for number, line in enumerate(UPGRADE)]
    client, answer = handshake(url, headers, "/ws/api/v2?" + "y" * 5_000)
    assert answer == "HTTP/1.1 101 Switching Protocols"
    client.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (UPGRADE[:3], 400),  # no key
        ([*UPGRADE[:3], "Sec-WebSocket-Key: " + "x" * 9_000], 400),
        ([*UPGRADE[:2], "Sec-WebSocket-Version: 99", KEY], 400),
        (["Upgrade: h2c", *UPGRADE[1:]], 404),
        ([UPGRADE[0], *UPGRADE[2:]], 404),  # no wish to upgrade
    ],
)
def test_a_request_that_is_no_websockets_is_refused(url, headers, status):
    client, answer = handshake(url, headers)
    assert answer.split()[1] == str(status)
    client.close()


def test_there_is_one_path_only(url):
    with pytest.raises(InvalidStatus) as caught:
        connect("ws" + url[4:] + "/ws/api/v3", proxy=None)
    assert caught.value.response.status_code == 404


def test_nothing_is_compressed(url):
    with connect("ws" + url[4:] + "/ws/api/v2", proxy=None) as client:
        assert client.protocol.extensions == []


def test_an_application_without_an_endpoint_answers_by_http():
    async def plain(scope, receive, send):
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with serving(plain) as url:
        client, answer = handshake(url, UPGRADE)
        assert answer.split()[1] == "418"
        client.close()


# -- messages in ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [TEST.decode(), TEST], ids=["text", "binary"])
def test_a_message_may_come_in_pieces(url, pieces):
    with open_socket(url) as client:
        client.send(pieces[at : at + 7] for at in range(0, len(pieces), 7))
        assert "result" in reply(client)


def test_a_ping_between_pieces_is_answered(url):
    with open_socket(url) as client:
        client.socket.sendall(frame(Opcode.TEXT, TEST[:9], fin=False))
        assert client.ping(b"there?").wait(WAIT_S)
        client.socket.sendall(frame(Opcode.CONT, TEST[9:]))
        assert "result" in reply(client)


def test_pieces_too_big_together_close_before_they_end(url):
    with open_socket(url) as client:
        client.socket.sendall(frame(Opcode.TEXT, b"x" * 9_000, fin=False))
        client.socket.sendall(frame(Opcode.CONT, b"x" * 9_000, fin=False))
        assert end_of(client) == (1009, "message too big")


def test_a_frame_bigger_than_any_message_closes(url):
    with open_socket(url) as client:
        send_too_much(client, "x" * 150_000)
        assert end_of(client)[0] == 1009


def test_who_is_signed_in_may_send_sheets():
    with served() as (world, url), open_socket(url) as client:
        nonce = ask(client, "public/get_sign_in_nonce", {})["nonce"]
        wallet = Wallet(TAKER_KEY)
        text = sign_in_text(world, wallet.address, nonce, domain=url.removeprefix("http://"))
        params = {"grant_type": "eip4361", "message": text, "signature": wallet.sign_text(text)}
        assert "access_token" in ask(client, "public/auth", params)
        padding = b" " * (128 * 1024 - len(TEST))
        client.send(TEST + padding)
        assert "result" in reply(client)
        send_too_much(client, (padding[: 64 * 1024] for _ in range(3)))
        assert end_of(client) == (1009, "message too big")


def test_text_that_is_no_text_closes_with_1007(url):
    with open_socket(url) as client:
        client.send(b"\xff", text=True)
        assert end_of(client)[0] == 1007


def test_bytes_that_are_no_text_are_answered(url):
    with open_socket(url) as client:
        client.send(b"\xff")
        assert reply(client)["error"]["code"] == -32700
        client.send('{"id":1,"method":"public/tést"}')
        assert reply(client)["error"]["code"] == -32601


@pytest.mark.parametrize(
    "wire",
    [
        frame(Opcode.CONT, TEST),
        frame(Opcode.TEXT, b"{", fin=False) + frame(Opcode.TEXT, TEST),
        beginning(0xC1),  # compressed
        beginning(0x83),  # no such kind
        Frame(Opcode.TEXT, TEST).serialize(mask=False),
    ],
    ids=["nothing to continue", "begun twice", "compressed", "no such kind", "not masked"],
)
def test_frames_out_of_order_close_with_1002(url, wire):
    with open_socket(url) as client:
        client.socket.sendall(wire)
        assert end_of(client)[0] == 1002


def test_reading_stops_while_too_many_calls_are_under_way():
    """All are answered in the end, and one that asked to be closed is."""
    world = World(in_flight_per_connection_max=3)
    plain, gate, most = world.dispatcher.call_text, asyncio.Event(), []

    async def slow(text, caller, **unread):
        most.append(len(caller.connection.calls))
        await gate.wait()
        return await plain(text, caller, **unread)

    world.dispatcher.call_text = slow
    with serving(app_of(world.dispatcher)) as url, open_socket(url) as client:
        for number in range(500):
            client.send(f'{{"id":{number},"method":"public/test"}}')
        wait_until(lambda: len(most) == 3)
        (connection,) = world.gateway.connections
        line = connection.outbox._send.__self__
        wait_until(lambda: not line._tcp.is_reading())
        assert len(connection.calls) == 3
        line._loop.call_soon_threadsafe(gate.set)
        assert {reply(client)["id"] for _ in range(500)} == set(range(500))
        assert max(most) == 3
        client.close(4_000, "bye")
        assert client.protocol.close_rcvd.code == 4_000
        wait_until(lambda: not world.gateway.connections)


def test_a_bug_frees_the_place_of_its_call():
    """Else a line dies of a few of them, and its cancel on disconnect waits for ever."""
    world, begun = World(), []

    async def broken(text, caller, **unread):
        begun.append(text)
        raise ZeroDivisionError

    world.dispatcher.call_text = broken
    with serving(app_of(world.dispatcher)) as url, open_socket(url) as client:
        client.send('{"id":1,"method":"public/test"}')
        wait_until(lambda: begun)
        (connection,) = world.gateway.connections
        wait_until(lambda: not connection.calls)


def test_a_flood_fills_no_memory():
    """What a long turn of the loop lets pile up is read in parts."""
    world = World()

    async def silent(text, caller, **unread):
        return Outcome(body=b"")

    world.dispatcher.call_text = silent
    with serving(app_of(world.dispatcher)) as url:
        client, _ = handshake(url, UPGRADE)
        (connection,) = world.gateway.connections
        line = connection.outbox._send.__self__
        flood = frame(Opcode.BINARY, b"x" * 1_000) * 1_000
        for _ in range(10):
            line._loop.call_soon_threadsafe(time.sleep, 0.05)
            client.sendall(flood)
        assert len(WSProtocol.get_buffer(line._tcp.get_protocol(), -1)) <= 2 * READ_MAX
        client.close()
        wait_until(lambda: not world.gateway.connections)


# -- messages out ---------------------------------------------------------------------------------


class Written:
    """What a line writes to, without a network."""

    def __init__(self):
        self.writes = []
        self.left = 0
        self.is_close_frame_sent = False
        self.underlying_transport = self

    def write(self, data):
        assert not self.is_close_frame_sent
        self.writes.append(data)

    def send_close(self, code, reason):
        self.write((code, reason))
        self.is_close_frame_sent = True

    def get_write_buffer_size(self):
        return self.left

    def resume_reading(self):
        pass

    def disconnect(self):
        pass

    abort = disconnect


@contextlib.contextmanager
def line_on(world, written):
    line = Line(WebSocketEndpoint(world.dispatcher), "test", set())
    line.on_ws_connected(written)
    yield line
    line.on_ws_disconnected(written)


def test_what_a_turn_of_the_loop_sends_leaves_in_one_write(world):
    async def scenario():
        written = Written()
        with line_on(world, written) as line:
            for text in (b"a", b"b" * 200, b"c" * 70_000):
                line.connection.outbox.put(text)
            line.connection.outbox.put(b"d")
            line.connection.outbox.put(b"e")
            await asyncio.sleep(0)
        return written.writes

    first, second = asyncio.run(scenario())
    assert first.startswith(b"\x81\x01a\x81\x7e\x00\xc8bbb")
    assert b"b\x81\x7f" + (70_000).to_bytes(8, "big") + b"ccc" in first
    assert len(first) > GATHERED_MAX, "many bytes do not wait for the end of the turn"
    assert second == b"\x81\x01d\x81\x01e"


def test_what_waits_leaves_before_the_goodbye(world):
    async def scenario():
        written = Written()
        with line_on(world, written) as line:
            line.connection.outbox.put(b"last")
            line.shutdown()
            line.connection.outbox.put(b"too late")
            await asyncio.sleep(0)
        return written.writes

    assert asyncio.run(scenario()) == [b"\x81\x04last", (1012, "")]


def test_a_paused_line_keeps_messages_and_lets_them_go(world):
    async def scenario():
        written = Written()
        with line_on(world, written) as line:
            outbox = line.connection.outbox
            line.pause_writing()
            outbox.put_latest("ticker", b"old")
            outbox.put_latest("ticker", b"new")
            await asyncio.sleep(0)
            assert (written.writes, len(outbox)) == ([], 1)
            line.resume_writing()
            await asyncio.sleep(0)
        return written.writes

    assert asyncio.run(scenario()) == [b"\x81\x03new"]


@pytest.mark.parametrize(
    ("left", "reason"),
    [
        (range(99, 0, -1), ""),
        ([9, 8, 8], "slow consumer: nothing was read for 30 seconds"),
    ],
)
def test_a_client_that_reads_nothing_for_long_is_let_go(world, monkeypatch, left, reason):
    """One that reads slowly is not."""
    monkeypatch.setattr(module, "SEND_TIMEOUT_S", 0.02)

    async def scenario():
        written = Written()
        written.get_write_buffer_size = iter(left).__next__
        with line_on(world, written) as line:
            line.pause_writing()
            await asyncio.sleep(0.2)
            return line.connection.close_reason, written.writes

    expected = (reason, [(1013, reason)] if reason else [])
    assert asyncio.run(scenario()) == expected


def test_who_does_not_read_is_sent_no_pongs():
    """Each ping that floods in would wait for a reader otherwise."""
    world = World(outbox_bytes_max=10**9)
    with serving(world.app) as url:
        client, _ = handshake(url, UPGRADE)
        (connection,) = world.gateway.connections
        line = connection.outbox._send.__self__
        message = b"x" * 10**6
        line._loop.call_soon_threadsafe(lambda: [connection.outbox.put(message) for _ in range(20)])
        wait_until(lambda: line._is_paused)
        left = line._tcp.get_write_buffer_size()
        for _ in range(1_000):
            client.sendall(frame(Opcode.PING, b"x" * 100))
        client.sendall(frame(Opcode.TEXT, TEST))
        wait_until(lambda: len(connection.outbox) and not connection.calls)
        assert line._tcp.get_write_buffer_size() <= left
        client.close()
        wait_until(lambda: not world.gateway.connections)


# -- goodbyes -------------------------------------------------------------------------------------


def test_a_stopping_server_closes_with_1012():
    with contextlib.ExitStack() as serving_on:
        url = serving_on.enter_context(serving(World().app))
        with open_socket(url) as client:
            client.send(TEST)
            assert "result" in reply(client)
            serving_on.close()
            assert end_of(client)[0] == 1012


def test_a_client_that_answers_no_ping_is_let_go(monkeypatch):
    monkeypatch.setattr(module, "PING_S", 0.05)
    world = World()
    with serving(world.app) as url:
        with open_socket(url) as living:
            time.sleep(0.5)
            living.send(TEST)
            assert "result" in reply(living)
        client, _ = handshake(url, UPGRADE)
        heard = b""
        while part := client.recv(100):
            heard += part
        assert heard.startswith(b"\x89\x00\x88")  # a ping, a goodbye
        wait_until(lambda: not world.gateway.connections)
        client.close()


def test_a_goodbye_that_is_not_answered_ends_all_the_same(monkeypatch):
    monkeypatch.setattr(module, "CLOSE_TIMEOUT_S", 0.1)
    world = World()
    with serving(world.app) as url:
        client, _ = handshake(url, UPGRADE)
        client.sendall(frame(Opcode.TEXT, b"x" * 20_000))
        heard = b""
        with contextlib.suppress(ConnectionError):
            while part := client.recv(100):
                heard += part
        assert heard[:1] == b"\x88"
        assert world.gateway.counters.disconnected == 0, "that counts slow readers"
        client.close()


def test_frames_after_a_goodbye_are_not_read(url, world):
    before = dict(world.gateway.counters.requests)
    client, _ = handshake(url, UPGRADE)
    client.sendall(frame(Opcode.TEXT, b"x" * 20_000) + frame(Opcode.TEXT, TEST) * 3)
    assert client.recv(2) == b"\x88\x11"
    client.sendall(frame(Opcode.CLOSE, b"\x03\xf1"))
    while client.recv(100):
        pass
    client.close()
    assert world.gateway.counters.requests == before


def test_what_calls_under_way_at_the_end_joined_is_left():
    """They run to their end after a goodbye in the same breath."""
    world = World()
    asked = [
        ("public/subscribe", {"channels": ["instrument.state.any.any"]}),
        ("public/set_heartbeat", {"interval": 10}),
    ]
    texts = (json.dumps({"id": 1, "method": name, "params": params}) for name, params in asked)
    wire = b"".join(frame(Opcode.TEXT, text.encode()) for text in texts)
    with serving(world.app) as url:
        client, _ = handshake(url, UPGRADE)
        (connection,) = world.gateway.connections
        client.sendall(wire + frame(Opcode.CLOSE, b"\x03\xe8"))
        requests = world.gateway.counters.requests
        wait_until(lambda: len(requests) == len(asked) and not connection.calls)
        wait_until(lambda: not world.gateway.channels.count())
        assert connection._next_beat is None
        client.close()


def test_who_says_goodbye_and_reads_nothing_is_not_kept(monkeypatch):
    monkeypatch.setattr(module, "CLOSE_TIMEOUT_S", 0.1)
    world = World()
    with serving(world.app) as url:
        client, _ = handshake(url, UPGRADE)
        (connection,) = world.gateway.connections
        line = connection.outbox._send.__self__
        line._loop.call_soon_threadsafe(connection.outbox.put, b"x" * 20_000_000)
        wait_until(lambda: line._is_paused)
        client.sendall(frame(Opcode.CLOSE, b"\x03\xe8"))
        wait_until(lambda: line not in line._open_lines)
        client.close()
