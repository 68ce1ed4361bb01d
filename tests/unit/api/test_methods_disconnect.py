"""Cancel-on-disconnect, over real sockets."""

import json
import time

import pytest
from tests.unit.api.world import TAKER_ID, TAKER_KEY, World, serving, sign_in_text
from websockets.sync.client import connect

from exchange.sdk import Wallet

WAIT_S = 5.0


@pytest.fixture
def stage():
    world = World()
    with serving(world.app) as url:
        yield world, "ws" + url[4:] + "/ws/api/v2"


def ask(client, method, params=None):
    client.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}))
    while True:
        reply = json.loads(client.recv(timeout=WAIT_S))
        if reply.get("id") == 1:
            return reply.get("result", reply.get("error"))


def sign_in(world, client):
    nonce = ask(client, "public/get_sign_in_nonce")["nonce"]
    wallet = Wallet(TAKER_KEY)
    text = sign_in_text(world, wallet.address, nonce)
    params = {"grant_type": "eip4361", "message": text, "signature": wallet.sign_text(text)}
    assert "access_token" in ask(client, "public/auth", params)


def open_count(world):
    return len(world.venue.engine.open_orders(TAKER_ID))


def left_after(world, expected):
    """Open orders once the gateway had time to act on a closed socket."""
    deadline = time.monotonic() + WAIT_S
    while open_count(world) != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    return open_count(world)


def rest_one(world, client):
    order = world.order("buy", price="10")
    assert ask(client, "private/buy", order)["order"]["order_state"] == "open"


def test_a_broken_line_cancels_what_rests(stage):
    world, url = stage
    with connect(url, compression=None, proxy=None) as client:
        sign_in(world, client)
        assert ask(client, "private/enable_cancel_on_disconnect") == "ok"
        assert ask(client, "private/get_cancel_on_disconnect")["enabled"] is True
        rest_one(world, client)
        assert open_count(world) == 1
    assert left_after(world, 0) == 0


def test_without_it_orders_stay(stage):
    world, url = stage
    with connect(url, compression=None, proxy=None) as client:
        sign_in(world, client)
        assert ask(client, "private/enable_cancel_on_disconnect") == "ok"
        assert ask(client, "private/disable_cancel_on_disconnect") == "ok"
        rest_one(world, client)
    with connect(url, compression=None, proxy=None) as client:
        assert ask(client, "public/test")["version"]  # the close was handled before this call
    assert open_count(world) == 1


def test_a_logout_is_no_accident(stage):
    world, url = stage
    with connect(url, compression=None, proxy=None) as client:
        sign_in(world, client)
        ask(client, "private/enable_cancel_on_disconnect")
        rest_one(world, client)
        assert ask(client, "private/logout") == "ok"
    with connect(url, compression=None, proxy=None) as client:
        assert ask(client, "public/test")["version"]
    assert open_count(world) == 1


def test_the_account_scope_covers_later_connections(stage):
    world, url = stage
    scope = {"scope": "account"}
    with connect(url, compression=None, proxy=None) as client:
        sign_in(world, client)
        assert ask(client, "private/enable_cancel_on_disconnect", scope) == "ok"
        assert ask(client, "private/get_cancel_on_disconnect")["enabled"] is False
        assert ask(client, "private/get_cancel_on_disconnect", scope)["enabled"] is True
    with connect(url, compression=None, proxy=None) as client:
        sign_in(world, client)
        rest_one(world, client)
    assert left_after(world, 0) == 0
    with connect(url, compression=None, proxy=None) as client:
        sign_in(world, client)
        assert ask(client, "private/disable_cancel_on_disconnect", scope) == "ok"
        assert ask(client, "private/get_cancel_on_disconnect", scope)["enabled"] is False


def test_it_needs_a_session(stage):
    _, url = stage
    with connect(url, compression=None, proxy=None) as client:
        assert ask(client, "private/enable_cancel_on_disconnect")["code"] == 13009
