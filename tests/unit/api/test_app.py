"""The listener: sizes, shapes, connections, slow readers; over real sockets where it matters."""

import contextlib
import hmac
import json
import time

import httpx
import msgspec
import pytest
from tests.unit.api.world import (
    CALL_NAME,
    MAKER_KEY,
    TAKER_KEY,
    World,
    api_key,
    serving,
    session_of,
)
from tests.venue import C
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from exchange.api.app import PREFIX, DirectCalls, create_app


@pytest.fixture(scope="module")
def world():
    return World(connections_per_address_max=4)


@pytest.fixture(scope="module")
def url(world):
    with serving(world.app) as url:
        yield url


def http(url, method, path, **options):
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        return client.request(method, path, **options)


def socket(url, **options):
    return connect("ws" + url[4:] + "/ws/api/v2", compression=None, proxy=None, **options)


def ask(client, method, params=None, number=1):
    request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}}
    client.send(json.dumps(request))
    while True:
        reply = json.loads(client.recv(timeout=5))
        if reply.get("id") == number:
            return reply


# -- HTTP -----------------------------------------------------------------------------------------


def test_one_method_three_ways(url):
    params = {"instrument_name": CALL_NAME, "depth": 5}
    envelope = {"jsonrpc": "2.0", "id": 3, "method": "public/get_order_book", "params": params}
    replies = [
        http(url, "GET", "/api/v2/public/get_order_book", params=params),
        http(url, "POST", "/api/v2/public/get_order_book", json=params),
        http(url, "POST", "/api/v2/public/get_order_book", json=envelope),
        http(url, "POST", "/api/v2", json=envelope),
    ]
    with socket(url) as client:
        results = [ask(client, "public/get_order_book", params)["result"]]
    for reply in replies:
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "application/json"
        results.append(reply.json()["result"])
    assert results.count(results[0]) == len(results)


def test_a_signed_order_over_a_query_and_over_a_body(url, world):
    query = world.order("buy", price="990.5", amount="0.5")
    body = world.order("buy", price="990.5", amount="0.5")
    for reply in (
        http(url, "GET", "/api/v2/private/buy", params=query),
        http(url, "POST", "/api/v2/private/buy", json=body),
    ):
        assert reply.status_code == 200, reply.text
        assert b'"price":990.5,' in reply.content


def test_a_bearer_token_is_a_session(url, world):
    token = session_of(world).access_token
    path = "/api/v2/private/get_subaccounts"
    assert http(url, "GET", path).status_code == 401
    good = http(url, "GET", path, headers={"Authorization": f"Bearer {token}"})
    assert good.json()["result"][0]["id"] == 3
    for header in ("Bearer nonsense", "Digest abc", token):
        reply = http(url, "GET", path, headers={"Authorization": header})
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, 13009)


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("GET", "/api/v2/public/nothing", {}, 404, -32601),
        ("GET", "/nothing", {}, 404, -32601),
        ("DELETE", "/api/v2/public/get_time", {}, 404, -32601),
        ("GET", "/api/v2", {}, 404, -32601),
        ("POST", "/api/v2", {"content": b"{"}, 400, -32700),
        ("POST", "/api/v2", {"content": b""}, 400, -32700),
        ("POST", "/api/v2", {"content": b"x" * 20_000}, 413, 11050),
        ("POST", "/api/v2/public/ticker", {"content": b"[1]"}, 400, -32602),
        ("POST", "/api/v2/public/ticker", {"content": b'{"a":1,"a":2}'}, 400, -32602),
        ("POST", "/api/v2/public/ticker", {"content": b"\xff"}, 400, -32700),
        ("GET", "/api/v2/public/ticker", {}, 400, -32602),
        ("GET", "/api/v2/public/ticker?instrument_name=a&instrument_name=b", {}, 400, -32602),
        ("GET", "/api/v2/public/ticker?x=" + "y" * 20_000, {}, 413, 11050),
        ("GET", "/api/v2/public/get_order_book?instrument_name=X&depth=five", {}, 400, -32602),
        ("GET", "/api/v2/public/get_order_book?instrument_name=%00%ff", {}, 400, 10020),
    ],
)
def test_bad_requests_answer_in_deribits_shape(url, method, path, options, status, code):
    reply = http(url, method, path, **options)
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert error["code"] == code, error
    assert error["data"]["reason"]


@pytest.mark.parametrize(
    ("verb", "path", "reason"),
    [
        ("GET", "/api/v2/public/nothing", "no method public/nothing"),
        ("DELETE", "/api/v2/public/get_time", "no DELETE public/get_time"),
        ("GET", "/api/v2", "no GET /api/v2"),
    ],
)
def test_a_wrong_verb_is_told_from_an_unknown_method(url, verb, path, reason):
    error = http(url, verb, path).json()["error"]
    assert (error["code"], error["data"]["reason"]) == (-32601, reason)


def test_a_body_without_an_end_is_cut(url):
    def endless():
        while True:
            yield b" " * 8_192

    with contextlib.suppress(httpx.HTTPError):
        assert http(url, "POST", "/api/v2", content=endless()).status_code == 413
    assert http(url, "GET", "/api/v2/public/test").status_code == 200


def test_the_document_is_served(url):
    document = http(url, "GET", "/api/v2/openapi.json").json()
    assert "/api/v2/private/buy" in document["paths"]
    assert "Error" in document["components"]["schemas"]


def test_every_call_that_is_described_has_a_direct_way(world):
    """The router serves the same endpoints, so nobody else would notice one that is missing."""
    (direct,) = (one.kwargs for one in world.app.user_middleware if one.cls is DirectCalls)
    described = {
        (verb.upper(), path)
        for path, verbs in world.app.openapi()["paths"].items()
        for verb in verbs
        if path.startswith(PREFIX) and not path.endswith(".csv")
    }
    assert set(direct["endpoints"]) == described


# -- WebSocket ------------------------------------------------------------------------------------


def test_garbage_on_a_socket_is_answered_and_the_socket_lives(url):
    with socket(url) as client:
        for text in ("", "{", "[]", "null", '{"method":7}', "\x00", '{"id":1,"method":"x"}'):
            client.send(text)
            assert "error" in json.loads(client.recv(timeout=5))
        client.send(b'{"id":5,"method":"public/test"}')
        assert json.loads(client.recv(timeout=5))["id"] == 5


def test_a_message_too_big_closes_with_1009(url):
    with socket(url) as client:
        client.send("x" * 20_000)
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(timeout=5)
        assert caught.value.rcvd.code == 1009


def test_pipelined_requests_are_all_answered(url):
    with socket(url) as client:
        for number in range(300):
            client.send(f'{{"id":{number},"method":"public/get_time"}}')
        found = {json.loads(client.recv(timeout=5))["id"] for _ in range(300)}
    assert found == set(range(300))


def test_a_session_belongs_to_its_socket(url, world):
    from tests.unit.api.world import TAKER, hexed, sign_in_text

    from exchange.api.auth import personal_digest
    from exchange.signing import sign_digest

    with socket(url) as client, socket(url) as other:
        nonce = ask(client, "public/get_sign_in_nonce")["result"]["nonce"]
        text = sign_in_text(world, TAKER, nonce)
        signature = hexed(sign_digest(personal_digest(text), TAKER_KEY))
        sign_in = {"grant_type": "eip4361", "message": text, "signature": signature}
        assert "result" in ask(client, "public/auth", sign_in)
        assert ask(client, "private/get_subaccounts")["result"][0]["id"] == 3
        assert ask(other, "private/get_subaccounts")["error"]["code"] == 13009


def test_the_reply_comes_before_the_first_data(url):
    with socket(url) as client:
        channels = ["deribit_price_index.btc_usdc", f"book.{CALL_NAME}.raw"]
        client.send(
            json.dumps({"id": 1, "method": "public/subscribe", "params": {"channels": channels}})
        )
        assert json.loads(client.recv(timeout=5))["result"] == channels
        heard = {json.loads(client.recv(timeout=5))["params"]["channel"] for _ in channels}
        assert heard == set(channels)


def test_ticks_reach_the_socket(url):
    with socket(url) as client:
        ask(client, "public/subscribe", {"channels": [f"book.{CALL_NAME}.100ms"]})
        assert json.loads(client.recv(timeout=5))["params"]["data"]["type"] == "snapshot"


def test_too_many_connections_are_refused(url):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket(url)) for _ in range(4)]
        for client in clients:
            assert "result" in ask(client, "public/test")
        extra = stack.enter_context(socket(url))
        assert json.loads(extra.recv(timeout=5))["error"]["code"] == 10028
        with pytest.raises(ConnectionClosed) as caught:
            extra.recv(timeout=5)
        assert caught.value.rcvd.code == 1013


def test_a_closed_socket_leaves_nothing_behind(url, world):
    with socket(url) as client:
        ask(client, "public/subscribe", {"channels": ["deribit_price_index.btc_usdc"]})
    deadline = time.monotonic() + 5
    while world.gateway.connections and time.monotonic() < deadline:
        time.sleep(0.01)
    assert world.gateway.connections == set()
    assert world.gateway.channels.count() == 0


def test_a_client_that_does_not_read_is_let_go_with_1013():
    world = World(outbox_messages_max=50, outbox_bytes_max=200_000)
    with serving(world.app) as url, socket(url, max_queue=1) as slow, socket(url) as quick:
        for client in (slow, quick):
            ask(client, "public/subscribe", {"channels": ["trades.any.any.raw"]})
        gateway = world.gateway
        message = msgspec.json.encode({"x": "y" * 50_000})
        stuck = next(iter(gateway.connections))
        loop = stuck.outbox._send.__self__._loop
        loop.call_soon_threadsafe(lambda: [stuck.outbox.put(message) for _ in range(400)])
        deadline = time.monotonic() + 10
        while not gateway.counters.disconnected and time.monotonic() < deadline:
            time.sleep(0.01)
        assert gateway.counters.disconnected == 1
        survivors = 0
        for client in (slow, quick):
            try:
                while True:
                    reply = json.loads(client.recv(timeout=1))
                    if "x" not in reply:
                        break
            except TimeoutError:
                survivors += "result" in ask(client, "public/test", number=9)
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else 1013
                assert code == 1013
        assert survivors == 1


def test_heartbeats_are_asked_for(url):
    with socket(url) as client:
        assert ask(client, "public/set_heartbeat", {"interval": 10})["result"] == "ok"
        assert ask(client, "public/disable_heartbeat")["result"] == "ok"


# -- construction ---------------------------------------------------------------------------------


def test_an_application_starts_from_the_journals_history():
    source = World()
    source.do(lambda venue: venue.sell(2, 1, 1_000))
    app = create_app(source.sequencer, source.settings, source.sequencer.entries())
    assert app.state.gateway.view.books[C].levels(1) == [(1_000 * 10**6, 10_000)]
    app.state.gateway.stop()
    source.gateway.stop()


def test_orders_over_sockets_settle_in_the_book(url, world):
    before = len(world.gateway.view.trades)
    with socket(url) as client:
        sell = ask(client, "private/sell", world.order("sell", key=MAKER_KEY, price="1010"))
        buy = ask(client, "private/buy", world.order("buy", price="1010"))
    assert sell["result"]["order"]["order_state"] == "open"
    assert buy["result"]["order"]["order_state"] == "filled"
    assert len(world.gateway.view.trades) == before + 1


def signed_header(key, world, method, target, body=""):
    ts = str(world.gateway.now_ms())
    text = f"{ts}\nn\n{method}\n{target}\n{body}\n"
    sig = hmac.digest(key.client_secret.encode(), text.encode(), "sha256").hex()
    return {"Authorization": f"deri-hmac-sha256 id={key.client_id},ts={ts},sig={sig},nonce=n"}


def test_a_request_signed_with_a_secret_needs_no_token(url, world):
    """GET as stock clients sign it, POST with its body; each once, and nothing may be changed."""
    key = api_key(world)
    target = "/api/v2/private/buy?instrument_name=BTC_USDC-25DEC26-100000-C&amount=0.1&price=900"
    header = signed_header(key, world, "GET", target)
    assert http(url, "GET", target + "1", headers=header).json()["error"]["code"] == 13004
    placed = http(url, "GET", target, headers=header).json()["result"]["order"]
    assert placed["order_state"] == "open"
    assert http(url, "GET", target, headers=header).json()["error"]["code"] == 13004

    body = '{"jsonrpc":"2.0","id":1,"method":"private/cancel_all","params":{}}'
    header = signed_header(key, world, "POST", "/api/v2", body)
    reply = http(url, "POST", "/api/v2", content=body + " ", headers=header)
    assert reply.json()["error"]["code"] == 13004
    assert http(url, "POST", "/api/v2", content=body, headers=header).json()["result"] >= 1


def test_a_key_for_another_network_opens_nothing_here(url, world):
    key = api_key(world, ip_whitelist=("10.0.0.0/8",))
    target = "/api/v2/private/get_positions"
    header = signed_header(key, world, "GET", target)
    assert http(url, "GET", target, headers=header).json()["error"]["code"] == 13004
    token = world.gateway.sessions.open(key).access_token  # given elsewhere
    bearer = {"Authorization": f"Bearer {token}"}
    assert http(url, "GET", target, headers=bearer).json()["error"]["code"] == 13009
