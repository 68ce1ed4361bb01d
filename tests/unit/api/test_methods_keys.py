"""API keys on the wire: who may manage them, what they open, and how fast they close."""

import asyncio

import pytest
from tests.unit.api.world import (
    CALL_NAME,
    MAKER_ID,
    MAKER_KEY,
    TAKER,
    TAKER_ID,
    World,
    allow,
    api_key,
    call,
    session_of,
)

from exchange.api.errors import InvalidCredentials, Unauthorized

MANAGEMENT = (
    "private/create_api_key",
    "private/list_api_keys",
    "private/edit_api_key",
    "private/enable_api_key",
    "private/disable_api_key",
    "private/reset_api_key",
    "private/remove_api_key",
)


def ask(world, method, params=None, session=None):
    reply = asyncio.run(call(world, method, params, session=session))
    assert "result" in reply, reply
    return reply["result"]


def refused(world, method, params=None, session=None):
    return asyncio.run(call(world, method, params, session=session))["error"]["code"]


def owner(world, key=None):
    return session_of(world, *([key] if key else [])).session


def opened(world, key):
    return world.gateway.sessions.open(key).session


def test_an_owner_makes_a_key_and_the_chain_lets_it_trade(world):
    """Made, allowed on chain, signed in with its secret, and an order is entered: unsigned."""
    made = ask(world, "private/create_api_key", {"name": "bot"}, owner(world))
    assert made["session_key_deadline"] == 0
    credentials = {
        "grant_type": "client_credentials",
        "client_id": made["client_id"],
        "client_secret": made["client_secret"],
    }
    assert ask(world, "public/auth", credentials)["subaccount_ids"] == []

    allow(world, made["session_key"], world.venue.now_s + 60)
    grant = ask(world, "public/auth", credentials)
    assert grant["subaccount_ids"] == [TAKER_ID]
    assert grant["scope"] == "account:read trade:read_write"
    session = world.gateway.sessions.of_header(f"Bearer {grant['access_token']}")
    order = {"instrument_name": CALL_NAME, "amount": 1, "price": 900}
    entered = ask(world, "private/buy", order, session)["order"]
    assert (entered["order_state"], entered["subaccount_id"]) == ("open", TAKER_ID)


def test_secrets_are_shown_once(world):
    session = owner(world)
    made = ask(world, "private/create_api_key", {}, session)
    (listed,) = ask(world, "private/list_api_keys", {}, session)
    assert "client_secret" not in listed
    assert listed | {"client_secret": made["client_secret"]} == made
    key = world.gateway.keys.own(TAKER, made["id"])
    assert key.session_key.hex() not in str(made)
    again = ask(world, "private/reset_api_key", {"id": made["id"]}, session)
    assert again["client_secret"] != made["client_secret"]
    assert again["session_key"] == made["session_key"]


def test_owners_know_nothing_of_each_others_keys(world):
    key = api_key(world)
    other = owner(world, MAKER_KEY)
    assert ask(world, "private/list_api_keys", {}, other) == []
    for method in MANAGEMENT[2:]:
        assert refused(world, method, {"id": key.id}, other) == 13020
    assert world.gateway.keys.is_current(key)


@pytest.mark.parametrize("method", MANAGEMENT)
def test_no_key_manages_keys(world, method):
    session = opened(world, api_key(world))
    params = {"id": 1} if method in MANAGEMENT[2:] else {}
    assert refused(world, method, params, session) == 13021
    assert refused(world, method, params) == 13009


@pytest.mark.parametrize(
    "change",
    [
        ("private/disable_api_key", {}),
        ("private/remove_api_key", {}),
        ("private/reset_api_key", {}),
        ("private/edit_api_key", {"max_scope": "trade:read"}),
        ("private/edit_api_key", {"enabled": False}),
        ("private/edit_api_key", {"ip_whitelist": ["10.0.0.1"]}),
    ],
)
def test_every_change_ends_the_sessions_at_once(world, change):
    key = api_key(world)
    grant = world.gateway.sessions.open(key)
    assert ask(world, "private/get_open_orders", {}, grant.session) == []
    ask(world, change[0], {"id": key.id} | change[1], owner(world))
    assert refused(world, "private/get_open_orders", {}, grant.session) == 13009
    with pytest.raises(Unauthorized):
        world.gateway.sessions.of_header(f"Bearer {grant.access_token}")
    with pytest.raises(InvalidCredentials):
        world.gateway.sessions.refresh(grant.refresh_token)


def test_a_disabled_key_works_again_when_enabled(world):
    key = api_key(world)
    session = owner(world)
    assert not ask(world, "private/disable_api_key", {"id": key.id}, session)["enabled"]
    params = {
        "grant_type": "client_credentials",
        "client_id": key.client_id,
        "client_secret": key.client_secret,
    }
    assert refused(world, "public/auth", params) == 13004
    assert ask(world, "private/enable_api_key", {"id": key.id}, session)["enabled"]
    assert ask(world, "public/auth", params)["address"] == TAKER


def test_a_revocation_on_chain_closes_the_key_at_once(world):
    key = api_key(world)
    session = opened(world, key)
    order = {"instrument_name": CALL_NAME, "amount": 1, "price": 900}
    ask(world, "private/buy", order, session)
    allow(world, key.signer, 0)
    assert refused(world, "private/buy", order | {"subaccount_id": TAKER_ID}, session) == 13021
    assert ask(world, "private/get_open_orders", {}, session) == []
    assert refused(world, "private/cancel_all", {"subaccount_id": TAKER_ID}, session) == 13021


def test_a_key_ends_with_its_deadline(world):
    session = opened(world, api_key(world))
    assert world.gateway.subaccounts_of(session) == [TAKER_ID]
    world.venue.wait(3600)
    assert world.gateway.subaccounts_of(session) == []


def test_a_reading_key_needs_no_permission_on_chain_and_never_trades(world):
    key = world.gateway.keys.create(TAKER, "eye", "account:read trade:read", 0)
    session = opened(world, key)
    assert ask(world, "private/get_positions", {}, session) == []
    assert ask(world, "private/get_account_summary", {}, session)["owner"] == TAKER
    order = {"instrument_name": CALL_NAME, "amount": 1, "price": 900}
    assert refused(world, "private/buy", order, session) == 13021
    assert refused(world, "private/cancel_all", {}, session) == 13021
    assert refused(world, "private/buy", world.order("buy"), session) == 13021
    assert ask(world, "private/buy", world.order("buy"))["order"]["order_state"] == "open"


def test_a_key_of_one_subaccount_sees_no_other(world):
    second = world.do(lambda venue: venue.fund(TAKER))
    key = api_key(world, subaccount_id=second)
    session = opened(world, key)
    order = {"instrument_name": CALL_NAME, "amount": 1, "price": 900}
    assert ask(world, "private/buy", order, session)["order"]["subaccount_id"] == second
    for number in (TAKER_ID, MAKER_ID):
        chosen = order | {"subaccount_id": number}
        assert refused(world, "private/buy", chosen, session) == 13021
        assert refused(world, "private/get_positions", {"subaccount_id": number}, session) == 13021


def test_a_stranger_who_allows_the_key_opens_nothing_to_it(world):
    """Else a key's default subaccount could become somebody else's."""
    session = opened(world, api_key(world))
    key = session.key
    maker = session_of(world, MAKER_KEY).session.address
    allow(world, key.signer, world.venue.now_s + 3600, maker)
    assert world.gateway.subaccounts_of(session) == [TAKER_ID]
    chosen = {"instrument_name": CALL_NAME, "amount": 1, "price": 900, "subaccount_id": MAKER_ID}
    assert refused(world, "private/buy", chosen, session) == 13021


@pytest.mark.parametrize(
    "params",
    [
        {"max_scope": "wallet:read_write"},
        {"max_scope": "account:read_write"},
        {"max_scope": "anything"},
        {"name": "no spaces"},
        {"ip_whitelist": ["nowhere"]},
        {"subaccount_id": MAKER_ID},
    ],
)
def test_keys_that_nobody_gets(world, params):
    assert refused(world, "private/create_api_key", params, owner(world)) == -32602
    assert list(world.gateway.keys) == []


def test_an_api_key_cannot_withdraw(world):
    session = opened(world, api_key(world))
    assert refused(world, "private/withdraw", world.withdrawal(), session) == 13021


def test_changes_of_keys_cost_many_credits(world):
    world = World(requests_burst=120.0, requests_per_s=1e-9)
    session = owner(world)
    ask(world, "private/create_api_key", {}, session)
    ask(world, "private/create_api_key", {}, session)
    assert refused(world, "private/create_api_key", {}, session) == 10028
    world.gateway.stop()


def test_keys_of_one_owner_share_the_owners_credits(world):
    from exchange.api.gateway import Caller
    from exchange.api.limits import Payer

    first, second = (opened(world, api_key(world)) for _ in range(2))
    payers = {Caller(address="a", session=one).payer for one in (first, second, owner(world))}
    assert payers == {Payer(account=TAKER, network="a")}


def test_a_client_may_ask_for_less_than_its_key_has(world):
    key = api_key(world)
    params = {
        "grant_type": "client_credentials",
        "client_id": key.client_id,
        "client_secret": key.client_secret,
        "scope": "trade:read session:one",
    }
    grant = ask(world, "public/auth", params)
    assert grant["scope"] == "trade:read"
    renewed = ask(
        world,
        "public/auth",
        {"grant_type": "refresh_token", "refresh_token": grant["refresh_token"]},
    )
    assert renewed["scope"] == "trade:read"
