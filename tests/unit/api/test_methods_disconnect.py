"""Cancel-on-disconnect, over real sockets."""

import asyncio
import json
import socket
import struct
import time

import pytest
from tests.unit.api.test_methods_quotes import line, sheet
from tests.unit.api.world import (
    TAKER,
    TAKER_ID,
    TAKER_KEY,
    World,
    call,
    serving,
    session_of,
    sign_in_text,
)
from websockets.sync.client import connect

from exchange.api import gateway as module
from exchange.api.connection import ORDERS_KEPT, Connection
from exchange.api.gateway import Caller
from exchange.sdk import Wallet
from exchange.sequencer import OutcomeUnknown, SequencerUnreachable

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


def test_a_connection_takes_its_own_orders_along_only(stage):
    """Those of another line stay; so does what came over HTTP."""
    world, url = stage
    with connect(url, compression=None, proxy=None) as other:
        rest_one(world, other)
        with connect(url, compression=None, proxy=None) as client:
            sign_in(world, client)
            ask(client, "private/enable_cancel_on_disconnect")
            rest_one(world, client)
            rest_one(world, client)
            assert open_count(world) == 3
        assert left_after(world, 1) == 1


def test_an_account_takes_all_along(stage):
    world, url = stage
    with connect(url, compression=None, proxy=None) as other:
        rest_one(world, other)
        with connect(url, compression=None, proxy=None) as client:
            sign_in(world, client)
            ask(client, "private/enable_cancel_on_disconnect", {"scope": "account"})
        assert left_after(world, 0) == 0


def test_a_line_that_breaks_without_a_word_counts(stage):
    """The socket is reset: no close frame, no goodbye."""
    world, url = stage
    with connect(url, compression=None, proxy=None) as client:
        sign_in(world, client)
        ask(client, "private/enable_cancel_on_disconnect")
        rest_one(world, client)
        linger = struct.pack("ii", 1, 0)  # close sends a reset
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        client.socket.close()
        assert left_after(world, 0) == 0


def test_a_missed_heartbeat_counts(stage, monkeypatch):
    """The client lives, but says nothing."""
    world, url = stage
    plain = Connection.set_heartbeat
    monkeypatch.setattr(
        Connection, "set_heartbeat", lambda self, seconds: plain(self, seconds / 99)
    )
    with connect(url, compression=None, proxy=None) as client:
        sign_in(world, client)
        ask(client, "private/enable_cancel_on_disconnect")
        rest_one(world, client)
        ask(client, "public/set_heartbeat", {"interval": 10})
        assert left_after(world, 0) == 0


def test_quotes_that_came_by_it_are_canceled(stage):
    world, url = stage
    with connect(url, compression=None, proxy=None) as client:
        sign_in(world, client)
        ask(client, "private/enable_cancel_on_disconnect")
        own = {"subaccount_id": TAKER_ID, "signer": TAKER, "key": TAKER_KEY}
        params = sheet(world, 1, line(bid=("10", "1")), **own)
        assert ask(client, "private/mass_quote", params)["placed"] == 2
        assert open_count(world) == 2
    assert left_after(world, 0) == 0


@pytest.mark.parametrize("asked_before", [True, False])
def test_a_call_under_way_at_the_end_leaves_nothing_behind(asked_before):
    """Its order comes after the first cancel; the second one takes it, late as the wish may be."""
    world = World()

    async def play():
        connection = Connection("test", world.settings, lambda *_: None)
        connection.session = session_of(world).session
        connection.cancel_on_disconnect = asked_before
        caller = Caller(address="test", connection=connection)
        text = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "private/buy", "params": order})

        async def late():
            await asyncio.sleep(0.02)
            connection.cancel_on_disconnect = True
            await world.dispatcher.call_text(text.encode(), caller)

        task = asyncio.create_task(late())
        connection.calls[1] = task
        task.add_done_callback(lambda _: connection.ended(1))
        await world.gateway.cancel_after(connection)
        assert connection.order_ids

    order = world.order("buy", price="10")
    asyncio.run(play())
    assert open_count(world) == 0
    world.gateway.stop()


@pytest.mark.parametrize("failure", [SequencerUnreachable("away"), OutcomeUnknown("ask")])
def test_a_cancel_waits_for_the_way_to_the_engine(monkeypatch, failure):
    """Nobody is left who could ask again; it gives up with a line in the log when it must."""
    monkeypatch.setattr(module, "CANCEL_RETRY_S", 0.01)
    world = World()

    async def play():
        connection = Connection("test", world.settings, lambda *_: None)
        connection.session, connection.cancel_on_disconnect = session_of(world).session, True
        caller = Caller(address="test", connection=connection)
        text = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "private/buy", "params": order})
        await world.dispatcher.call_text(text.encode(), caller)
        assert open_count(world) == 1
        world.sequencer.failure = failure
        canceling = asyncio.create_task(world.gateway.cancel_after(connection))
        await asyncio.sleep(0.05)
        assert open_count(world) == 1
        world.sequencer.failure = None
        await canceling

    order = world.order("buy", price="10")
    asyncio.run(play())
    assert open_count(world) == 0
    world.gateway.stop()


def test_a_late_cancel_leaves_what_came_after_the_end(monkeypatch):
    """Its owner is back on another line by then, and has placed anew."""
    monkeypatch.setattr(module, "CANCEL_RETRY_S", 0.01)
    world = World()

    async def play():
        connection = Connection("test", world.settings, lambda *_: None)
        connection.session = session_of(world).session
        world.gateway.account_cancels.add(connection.session.account)
        await call(world, "private/buy", before)
        world.sequencer.failure = OutcomeUnknown("ask")
        canceling = asyncio.create_task(world.gateway.cancel_after(connection))
        await asyncio.sleep(0.05)
        world.sequencer.failure = None
        kept = await call(world, "private/buy", after)
        await canceling
        return kept["result"]["order"]["order_id"]

    before, after = world.order("buy", price="10"), world.order("buy", price="11")
    kept = asyncio.run(play())
    assert [str(one) for one in world.gateway.view.open_orders[TAKER_ID]] == [kept]
    world.gateway.stop()


def test_orders_that_are_over_are_forgotten():
    connection = Connection("test", World().settings, lambda *_: None)
    connection.note_orders(range(1, ORDERS_KEPT), lambda _: False)
    assert len(connection.order_ids) == ORDERS_KEPT - 1
    connection.note_orders([ORDERS_KEPT], lambda order_id: order_id == 5)
    assert connection.order_ids == {5}


def test_it_needs_a_session(stage):
    _, url = stage
    with connect(url, compression=None, proxy=None) as client:
        assert ask(client, "private/enable_cancel_on_disconnect")["code"] == 13009
