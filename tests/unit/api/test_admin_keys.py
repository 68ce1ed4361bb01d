"""Roles: every route by every role and every wrong credential; and that actions are explained."""

import asyncio

import httpx
import pytest
from structlog.testing import capture_logs
from tests.unit.api.test_admin import ROUTES, TOKEN
from tests.unit.api.world import World

from exchange.api.admin import create_admin_app
from exchange.api.admin_keys import ACTIONS, AdminKey, Role, key_of, parse_admin_keys

KEYS = parse_admin_keys(",".join(f"{role.value}-1:{role.value}:{role.value * 16}" for role in Role))
ACTING = [path for verb, path in ROUTES if verb == "POST"]


@pytest.fixture(scope="module")
def world():
    world = World()
    world.admin = create_admin_app(world.sequencer, token=TOKEN, keys=KEYS)
    yield world
    world.gateway.stop()


def ask(world, verb, path, token, **headers):
    async def scenario():
        transport = httpx.ASGITransport(app=world.admin)
        async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
            given = {"Authorization": f"Bearer {token}".encode()} | headers
            return await client.request(verb, path, headers=given, content=b"{")

    return asyncio.run(scenario())


def test_every_route_belongs_to_a_role():
    named = {f"/admin/{action}" for actions in ACTIONS.values() for action in actions}
    assert named == set(ACTING) - {"/admin/advance_clock"}  # that is for the admin alone


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.role.value)
def test_a_role_reaches_its_routes_and_no_others(world, key):
    """What is reached complains of the body; what is not changes nothing either."""
    before = world.sequencer.last_seq
    for verb, path in ROUTES:
        status = ask(world, verb, path, key.token, **{"X-Reason": "a drill"}).status_code
        action = path.removeprefix("/admin/")
        reached = verb == "GET" or key.role is Role.ADMIN or action in ACTIONS[key.role]
        assert (status != 403) is reached, (key.role, path, status)
        assert status != 401
    # Of all these cut_batch alone has no body to be wrong: it is journaled, and refused.
    cuts = key.role is Role.ADMIN or "cut_batch" in ACTIONS[key.role]
    assert world.sequencer.last_seq == before + cuts


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.role.value)
def test_a_key_with_a_byte_more_or_less_opens_nothing(world, key):
    for verb, path in ROUTES:
        for token in (key.token[:-1], key.token + "x", key.name, "", "\xff"):
            assert ask(world, verb, path, token).status_code == 401


def test_people_say_why_and_the_relayer_need_not(world):
    for key in KEYS:
        for path in ACTIONS.get(key.role, ()):
            status = ask(world, "POST", f"/admin/{path}", key.token).json()["error"]
            assert ("X-Reason" in str(status)) is (key.role is not Role.RELAYER)
    long = {"X-Reason": "x" * 201}
    assert ask(world, "POST", "/admin/halt", KEYS[1].token, **long).status_code == 400


def test_who_and_why_are_journaled_and_logged_with_the_request(world):
    async def halt():
        transport = httpx.ASGITransport(app=world.admin)
        headers = {
            "Authorization": f"Bearer {KEYS[1].token}",
            "X-Reason": "index looks wrong",
            "X-Request-Id": "ticket-7",
        }
        async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
            body = {"underlying_id": 1, "reason": "drill"}
            return await client.post("/admin/halt", headers=headers, json=body)

    with capture_logs() as logs:
        reply = asyncio.run(halt())
    assert reply.headers["x-request-id"] == "ticket-7"
    command = world.venue.entries[-1][2]
    assert command.reason == "operator-1: index looks wrong; drill"
    (line,) = [one for one in logs if one["event"] == "an operator acted"]
    assert (line["who"], line["why"], line["request_id"]) == (
        "operator-1",
        "index looks wrong",
        "ticket-7",
    )
    assert (line["action"], line["status"]) == ("/admin/halt", 200)


def test_a_request_without_an_id_is_given_one(world):
    ids = {ask(world, "GET", "/health", "").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
    odd = ask(world, "GET", "/health", "", **{"X-Request-Id": "a b"})
    assert odd.headers["x-request-id"] != "a b"


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "a:operator",
        "a:king:" + "t" * 16,
        "A:risk:" + "t" * 16,
        "a:risk:short",
        ":risk:" + "t" * 16,
    ],
)
def test_a_wrong_form_is_refused(text):
    with pytest.raises(ValueError, match="NAME:ROLE:TOKEN"):
        parse_admin_keys(text)


def test_names_are_unique_and_no_keys_are_no_keys():
    one = "a:risk:" + "t" * 16
    with pytest.raises(ValueError, match="two admin keys"):
        parse_admin_keys(f"{one},{one}")
    assert parse_admin_keys("") == ()
    assert key_of("Bearer " + "t" * 16, parse_admin_keys(one)) == AdminKey(
        name="a", role=Role.RISK, token="t" * 16
    )
