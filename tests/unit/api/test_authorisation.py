"""The authorisation matrix: every method behind every wrong credential, and every foreign account.

Counts are those of the method table, so a new method is in the matrix the day it is added.
"""

import asyncio
import time
from itertools import product
from typing import Any

import httpx
import msgspec
import pytest
from tests.unit.api.test_channels import Listener
from tests.unit.api.world import (
    CALL_NAME,
    MAKER,
    MAKER_ID,
    MAKER_KEY,
    PUT_NAME,
    STRANGER,
    STRANGER_KEY,
    TAKER,
    TAKER_ID,
    TAKER_KEY,
    World,
    allow,
    api_key,
    call,
    serving,
    session_of,
)

from exchange.api.api_keys import AREAS, allows
from exchange.api.app import METHODS
from exchange.api.channel_names import FAMILIES, PARTS
from exchange.api.methods_private import SIGNED

PRIVATE = [method for method in METHODS if method.private]
NEEDS_SESSION = [method.name for method in PRIVATE if method.name not in SIGNED]
REFUSED = {13004, 13009, 13021}
NOBODY_KEY = bytes(31) + b"\x04"
LEVELS = ("none", "read", "read_write")


@pytest.fixture(scope="module")
def world():
    made = made_world()
    yield made
    made.gateway.stop()


def made_world() -> World:
    """Both parties have an order, a position and a request for quote to be found by strangers."""
    world = World()
    for side, key in (("sell", MAKER_KEY), ("buy", TAKER_KEY)):
        asyncio.run(call(world, f"private/{side}", world.order(side, key=key)))
    world.resting = asyncio.run(
        call(world, "private/sell", world.order("sell", key=MAKER_KEY, price="1100"))
    )["result"]["order"]["order_id"]
    world.bot, world.revoked, world.disabled, world.removed = (opened(world) for _ in range(4))
    second = world.do(lambda venue: venue.fund(TAKER))
    world.bound = opened(world, subaccount_id=second)
    allow(world, world.revoked.key.signer, 0)
    world.gateway.keys.change(world.disabled.key, enabled=False)
    world.gateway.keys.remove(world.removed.key)
    world.held = world.gateway.sessions.open(api_key(world, STRANGER_KEY)).session
    allow(world, STRANGER, world.venue.now_s + 3600, MAKER)  # the wallet acts, not its API key
    world.do(lambda venue: venue.fund(STRANGER))
    maker = session_of(world, MAKER_KEY).session
    request = {"legs": [{"instrument_name": CALL_NAME, "amount": 1}], "amount": 2}
    rfq = asyncio.run(call(world, "private/create_block_rfq", request, session=maker))["result"]
    other = {"legs": request["legs"], "amount": 2}
    asked = asyncio.run(call(world, "private/create_block_rfq", other, session=world.bot))["result"]
    bot = world.gateway.sessions.open(api_key(world, MAKER_KEY)).session
    quote = {"block_rfq_id": asked["block_rfq_id"], "direction": "sell", "price": "1000"}
    made = asyncio.run(call(world, "private/add_block_rfq_quote", quote, session=bot))["result"]
    world.ids = {
        "order_id": world.resting,
        "block_rfq_id": rfq["block_rfq_id"],
        "block_rfq_quote_id": made["block_rfq_quote_id"],
        "id": bot.key.id,
    }
    return world


def params_of(world: World, name: str, **changes: Any) -> dict[str, Any]:
    """Enough of every method's parameters that only the credential is wrong."""
    fields = {
        "instrument_name": CALL_NAME,
        "currency": "BTC",
        "label": "x",
        "ids": [world.resting],
        "subaccount_id": MAKER_ID,
        "nonce": 1,
        "channels": ["user.trades.any.any.raw"],
        "index_name": "btc_usdc",
        "interval": 0,
        "amount": "1",
        "price": "1000",
        "legs": [{"instrument_name": name, "amount": 1} for name in (CALL_NAME, PUT_NAME)],
        "trades": [{"instrument_name": CALL_NAME, "amount": 1}] * 2,
        "direction": "buy",
    } | {**world.ids, **changes}
    if name == "private/close_position":
        fields["type"] = "market"
    method = next(method for method in METHODS if method.name == name)
    known = set(method.params.__struct_fields__)
    return {field: value for field, value in fields.items() if field in known}


def wrong_headers(world: World) -> dict[str, str]:
    """Credentials that must open nothing, each wrong in its own way."""
    ended = session_of(world)
    world.gateway.sessions.end(ended.session)
    expired = session_of(world)
    expired.session.ends_s = 0.0
    key = api_key(world)
    revoked = world.gateway.sessions.open(key).access_token
    world.gateway.keys.change(key, enabled=False)
    elsewhere = api_key(world, ip_whitelist=("10.0.0.0/8",))
    away = world.gateway.sessions.open(elsewhere).access_token
    now = str(world.gateway.now_ms())
    refresh = session_of(world).refresh_token
    return {
        "nothing": "",
        "no token": "Bearer",
        "unknown token": "Bearer " + "x" * 43,
        "ended token": f"Bearer {ended.access_token}",
        "expired token": f"Bearer {expired.access_token}",
        "refresh token": f"Bearer {refresh}",
        "disabled key's token": f"Bearer {revoked}",
        "token from elsewhere": f"Bearer {away}",
        "another scheme": f"Digest {ended.access_token}",
        "wrong secret": "Basic " + "eDp5",
        "unsigned": f"deri-hmac-sha256 id={elsewhere.client_id},ts={now},sig={'0' * 64},nonce=n",
        "stale": f"deri-hmac-sha256 id={elsewhere.client_id},ts=1,sig={'0' * 64},nonce=n",
    }


def test_no_wrong_credential_opens_any_method():
    """Every private method with every wrong credential, over HTTP: none is accepted."""
    world = made_world()  # its own: a listener that ends stops its gateway
    headers = wrong_headers(world)
    accepted, tried, started = [], 0, time.monotonic()
    state = world.venue.engine.state_hash()
    with (
        serving(world.app) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=60) as client,
    ):
        for name in NEEDS_SESSION:
            for kind, header in headers.items():
                tried += 1
                reply = client.post(
                    f"/api/v2/{name}",
                    json=params_of(world, name),
                    headers={"Authorization": header} if header else {},
                ).json()
                if reply.get("error", {}).get("code") not in REFUSED:
                    accepted.append((name, kind, reply))
    assert accepted == []
    assert tried == len(NEEDS_SESSION) * len(headers) >= 600, time.monotonic() - started
    assert world.venue.engine.state_hash() == state


@pytest.mark.parametrize(
    "name",
    [
        method.name
        for method in PRIVATE
        if "subaccount_id" in method.params.__struct_fields__ and method.name not in SIGNED
    ],
)
def test_no_session_reaches_a_subaccount_that_is_not_its_own(world, name):
    """By wallet and by API keys: it is forbidden, and nothing happens.

    One key is bound to another subaccount of its owner, and the session key of one was revoked.
    """
    wallet = session_of(world).session
    journaled = len(world.venue.entries)
    state = world.venue.engine.state_hash()
    own = {"subaccount_id": TAKER_ID}
    for session, changes in (
        (wallet, {}),
        (world.bot, {}),
        (world.held, {}),
        (world.bound, own),
        (world.revoked, own),
    ):
        params = params_of(world, name, **changes)
        reply = asyncio.run(call(world, name, params, session=session))
        code = reply.get("error", {}).get("code")
        assert code in FOREIGN.get(name, ()) or code == 13021, (session.key, reply)
    assert len(world.venue.entries) == journaled
    assert world.venue.engine.state_hash() == state


FOREIGN = {  # how these say it: there is no such thing; a wallet has no key to sign with
    "private/get_settlement_status": (13020,),
    "private/create_api_key": (-32602,),
    "private/accept_block_rfq": (13020,),
    "private/add_block_rfq_quote": (-32602,),
}


def opened(world: World, **terms: Any) -> Any:
    """A session of the taker's API key."""
    return world.gateway.sessions.open(api_key(world, **terms)).session


@pytest.mark.parametrize("method", PRIVATE, ids=lambda method: method.name)
def test_no_session_does_what_its_scope_lacks(world, method):
    """Every method with every scope that is too small, signed methods too."""
    known = session_of(world).session
    scopes = [f"account:{a} trade:{t} wallet:{w}" for a, t, w in product(LEVELS, repeat=3)]
    small = [scope for scope in scopes if method.scope and not allows(scope, method.scope)]
    assert len(small) == {"": 0, "read": 9, "read_write": 18}[method.scope.partition(":")[2]]
    journaled = len(world.venue.entries)
    for scope in small:
        session = msgspec.structs.replace(known, scope=scope)
        params = params_of(world, method.name, subaccount_id=TAKER_ID)
        reply = asyncio.run(call(world, method.name, params, session=session))
        assert reply.get("error", {}).get("code") == 13021, (scope, reply)
    assert len(world.venue.entries) == journaled


@pytest.mark.parametrize("name", NEEDS_SESSION)
def test_a_websocket_without_a_live_session_reaches_nothing(world, name):
    """None; one that was ended; one whose time is up; those of keys that were disabled, removed."""
    ended, expired = session_of(world).session, session_of(world).session
    world.gateway.sessions.end(ended)
    expired.ends_s = 0.0
    journaled = len(world.venue.entries)
    for session in (None, ended, expired, world.disabled, world.removed):
        client = Listener(world)
        client.connection.session = session
        error = client.ask(name, **params_of(world, name, subaccount_id=TAKER_ID))
        assert error["code"] in REFUSED, (session, error)
        assert client.connection.channels == set()
    assert len(world.venue.entries) == journaled


NAMED = ("order_id", "ids", "block_rfq_id", "block_rfq_quote_id", "id")  # things that have an owner
MISSING = {10004, 13020}


@pytest.mark.parametrize(
    "name",
    [
        method.name
        for method in PRIVATE
        if set(NAMED) & set(method.params.__struct_fields__)
        and method.name not in {*SIGNED, "private/add_block_rfq_quote"}  # the latter is for others
    ],
)
def test_anothers_things_do_not_exist(world, name):
    """Orders, requests, quotes and API keys of the maker, asked for by the taker."""
    session = session_of(world).session
    params = params_of(world, name)
    reply = asyncio.run(call(world, name, params, session=session))
    assert reply.get("error", {}).get("code") in MISSING, reply
    mine = asyncio.run(call(world, name, params, session=session_of(world, MAKER_KEY).session))
    assert mine.get("error", {}).get("code") not in MISSING, mine  # its owner finds it


def private_channels() -> list[tuple[str, str]]:
    """Each private channel, with the scope that it needs."""
    parts = {name: part.example or part.values[0] for name, part in PARTS.items()}
    parts |= {"kind": "any", "currency": "any", "instrument": CALL_NAME}
    families = [family for family in FAMILIES if family.scope]
    return [(a.format(**parts), family.scope) for family in families for a in family.addresses]


def test_nobody_hears_anothers_channels(world):
    """Strangers, ended sessions and small scopes, by both methods; the owner hears all of it."""
    channels = dict(private_channels())
    assert {name.split(".")[0] for name in channels} == {"user", "block_rfq"}
    live = session_of(world, NOBODY_KEY).session
    for channel, scope in channels.items():
        area = scope.partition(":")[0]
        small = " ".join(f"{one}:read_write" for one in AREAS if one != area)
        ended = session_of(world, NOBODY_KEY).session
        ended.ends_s = 0.0
        for session in (None, ended, msgspec.structs.replace(live, scope=small)):
            for method in ("public/subscribe", "private/subscribe"):
                client = Listener(world)
                client.connection.session = session
                assert client.ask(method, channels=[channel])["code"] in REFUSED, channel
                assert client.connection.channels == set()
    stranger, owner, late = (Listener(world, key) for key in (NOBODY_KEY, MAKER_KEY, MAKER_KEY))
    for client in (stranger, owner, late):
        assert client.ask("private/subscribe", channels=list(channels)) == list(channels)
        client.heard()
    late.connection.session.ends_s = 0.0
    trade_and_ask(world, owner)
    world.gateway.channels.tick()
    asyncio.run(world.gateway._send_portfolios())
    assert stranger.heard() == late.heard() == []
    spoken = {channel for channel, _ in owner.heard()}
    silent = {"user.mmp_trigger.btc_usdc", "user.liquidations", "block_rfq.maker.any"}
    assert spoken == set(channels) - silent


def trade_and_ask(world: World, owner: Listener) -> None:
    """A fill of the maker's order, and a request for quote that only the taker may answer."""
    for side, key in (("sell", MAKER_KEY), ("buy", TAKER_KEY)):
        asyncio.run(call(world, f"private/{side}", world.order(side, key=key, price="1090")))
    request = {"legs": [{"instrument_name": CALL_NAME, "amount": 1}], "amount": 2}
    assert "state" in owner.ask("private/create_block_rfq", **request, makers=[TAKER])


@pytest.mark.parametrize(
    "name",
    [
        method.name
        for method in PRIVATE
        if (method.name not in SIGNED and "get_" in method.name) or "list_" in method.name
    ],
)
def test_no_answer_names_the_other_party(world, name):
    """Whatever a session may ask of its own, the counterparty's address is not in the answer."""
    session = session_of(world).session
    mine = params_of(world, name, subaccount_id=TAKER_ID)
    reply = asyncio.run(call(world, name, mine, session=session))
    assert MAKER.lower() not in str(reply).lower()
    assert f"'subaccount_id': {MAKER_ID}" not in str(reply)
