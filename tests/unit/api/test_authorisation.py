"""The authorisation matrix: every method behind every wrong credential, and every foreign account.

Counts are those of the method table, so a new method is in the matrix the day it is added.
"""

import asyncio
import time
from typing import Any

import httpx
import pytest
from tests.unit.api.world import (
    CALL_NAME,
    MAKER,
    MAKER_ID,
    MAKER_KEY,
    PUT_NAME,
    TAKER_ID,
    World,
    api_key,
    call,
    serving,
    session_of,
)

from exchange.api.app import METHODS
from exchange.api.methods_private import SIGNED
from exchange.api.schemas import SubaccountParams

PRIVATE = [method for method in METHODS if method.private]
NEEDS_SESSION = [method.name for method in PRIVATE if method.name not in SIGNED]
REFUSED = {13004, 13009, 13021}


@pytest.fixture(scope="module")
def world():
    """Both parties have an order, a position and a request for quote to be found by strangers."""
    world = World()
    for side, key in (("sell", MAKER_KEY), ("buy", bytes(31) + b"\x02")):
        asyncio.run(call(world, f"private/{side}", world.order(side, key=key)))
    world.resting = asyncio.run(
        call(world, "private/sell", world.order("sell", key=MAKER_KEY, price="1100"))
    )["result"]["order"]["order_id"]
    world.bot = world.gateway.sessions.open(api_key(world)).session
    yield world
    world.gateway.stop()


def params_of(world: World, name: str, **changes: Any) -> dict[str, Any]:
    """Enough of every method's parameters that only the credential is wrong."""
    fields = {
        "instrument_name": CALL_NAME,
        "order_id": world.resting,
        "currency": "BTC",
        "label": "x",
        "subaccount_id": MAKER_ID,
        "nonce": 1,
        "channels": ["user.trades.any.any.raw"],
        "index_name": "btc_usdc",
        "interval": 0,
        "id": 1,
        "amount": "1",
        "price": "1000",
        "legs": [{"instrument_name": name, "amount": 1} for name in (CALL_NAME, PUT_NAME)],
        "trades": [{"instrument_name": CALL_NAME, "amount": 1}] * 2,
        "block_rfq_id": 1,
        "block_rfq_quote_id": 1,
        "direction": "buy",
    } | changes
    if name == "private/close_position":
        fields["type"] = "market"
    method = next(method for method in METHODS if method.name == name)
    known = set(method.params.__struct_fields__)
    return {field: value for field, value in fields.items() if field in known}


def wrong_headers(world: World) -> dict[str, str]:
    """Credentials that must open nothing, each wrong in its own way."""
    ended = session_of(world)
    world.gateway.sessions.end(ended.session)
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
        "refresh token": f"Bearer {refresh}",
        "disabled key's token": f"Bearer {revoked}",
        "token from elsewhere": f"Bearer {away}",
        "another scheme": f"Digest {ended.access_token}",
        "wrong secret": "Basic " + "eDp5",
        "unsigned": f"deri-hmac-sha256 id={elsewhere.client_id},ts={now},sig={'0' * 64},nonce=n",
        "stale": f"deri-hmac-sha256 id={elsewhere.client_id},ts=1,sig={'0' * 64},nonce=n",
    }


def test_no_wrong_credential_opens_any_method(world):
    """Every private method with every wrong credential, over HTTP: none is accepted."""
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
        if issubclass(method.params, SubaccountParams) and method.name not in SIGNED
    ],
)
def test_no_session_reaches_anothers_subaccount(world, name):
    """By wallet and by API key: what names a foreign subaccount is forbidden, and does nothing."""
    wallet = session_of(world).session
    journaled = len(world.venue.entries)
    state = world.venue.engine.state_hash()
    for session in (wallet, world.bot):
        reply = asyncio.run(call(world, name, params_of(world, name), session=session))
        assert reply.get("error", {}).get("code") == 13021, reply
    assert len(world.venue.entries) == journaled
    assert world.venue.engine.state_hash() == state


@pytest.mark.parametrize(
    "name", ["private/cancel", "private/get_order_state", "private/get_user_trades_by_order"]
)
def test_anothers_order_does_not_exist(world, name):
    session = session_of(world).session
    reply = asyncio.run(call(world, name, params_of(world, name), session=session))
    assert reply["error"]["code"] == 10004


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
