"""Roles: every route by every role and every wrong credential; and that actions are explained."""

import asyncio

import httpx
import msgspec
import pytest
from structlog.testing import capture_logs
from tests.unit.api.test_admin import ROUTES, TOKEN
from tests.unit.api.world import World

from exchange.api.admin import AdminHooks, create_admin_app
from exchange.api.admin_keys import ACTIONS, AdminKey, Role, key_of, parse_admin_keys
from exchange.commands import HoldWithdrawals, NoteAction

KEYS = parse_admin_keys(",".join(f"{role.value}-1:{role.value}:{role.value * 16}" for role in Role))
ACTING = [path for verb, path in ROUTES if verb == "POST"]


@pytest.fixture(scope="module")
def world():
    world = World()

    async def replay(until_seq):
        return {"commands": until_seq}

    hooks = AdminHooks(reset_index=lambda _: None, replay=replay)
    world.admin = create_admin_app(world.sequencer, token=TOKEN, keys=KEYS, hooks=hooks)
    yield world
    world.gateway.stop()


def ask(world, verb, path, token, body=None, **headers):
    async def scenario():
        transport = httpx.ASGITransport(app=world.admin)
        async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
            given = {"Authorization": f"Bearer {token}".encode()} | headers
            content = b"{" if body is None else msgspec.json.encode(body)
            return await client.request(verb, path, headers=given, content=content)

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
    # Of all these cut_batch alone has no body to be wrong: it is journaled, noted and refused.
    cuts = key.role is Role.ADMIN or "cut_batch" in ACTIONS[key.role]
    assert world.sequencer.last_seq == before + 2 * cuts


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


def bodies(world):
    """A valid body of every action; the engine may refuse it, which is journaled too."""
    block = world.sequencer.engine.last_block
    return {
        "/admin/list_instruments": {"listings": []},
        "/admin/observe_blocks": {
            "first_block": block + 1,
            "last_block": block + 1,
            "last_hash": f"0x{block + 1}",
        },
        "/admin/revert_blocks": {"last_block": 0, "last_hash": "0x"},
        "/admin/novate": {"batch": 1, "fills": []},
        "/admin/hold_withdrawals": {"subaccount_id": 2, "held": True, "detail": "d"},
        "/admin/suspend_trading": {"subaccount_id": 2, "suspended": True, "detail": "d"},
        "/admin/advance_clock": {"seconds": 1},
        "/admin/cut_batch": {},
        "/admin/halt": {"underlying_id": 1},
        "/admin/resume": {"underlying_id": 1},
        "/admin/set_speed_bump": {"underlying_id": 1, "delay_ms": 0},
        "/admin/reset_index": {"underlying_id": 1},
        "/admin/relayer": {"pending_batches": 0},
        "/admin/pending_posts": {"posts": []},
        "/admin/parameters/preview": {"configure": {}},
        "/admin/parameters/apply": {"change": {"configure": {"withdrawal_min": 1}}},
        "/admin/fees": {"change": {"fees": {"maker_rate": 0}}},
        "/admin/limits": {"change": {"limits": {"open_orders_max": 500}}},
        "/admin/replays": {},
    }


ALONE = {  # no command follows the note: they change nothing that replays
    "/admin/reset_index",
    "/admin/relayer",
    "/admin/pending_posts",
    "/admin/parameters/preview",
    "/admin/replays",
}


def test_who_and_why_are_journaled_before_every_action_and_logged(world):
    """Every action by every role that reaches it, with the request's id."""
    assert set(bodies(world)) == set(ACTING)
    tried = 0
    for key in KEYS:
        for path in ACTING:
            if not key.may("POST", path):
                continue
            tried += 1
            before = len(world.venue.entries)
            given = {"X-Reason": "a drill", "X-Request-Id": f"ticket-{tried}"}
            with capture_logs() as logs:
                reply = ask(world, "POST", path, key.token, body=bodies(world)[path], **given)
            assert reply.status_code in (200, 409), (path, reply.text)
            assert reply.headers["x-request-id"] == f"ticket-{tried}"
            action = path.removeprefix("/admin/")
            note, *commands = (entry[2] for entry in world.venue.entries[before:])
            assert note == NoteAction(
                who=key.name, action=action, why="a drill", request_id=f"ticket-{tried}"
            )
            assert len(commands) == (path not in ALONE), (path, commands)
            (line,) = [one for one in logs if one["event"] == "an operator acted"]
            assert (line["who"], line["why"], line["action"]) == (key.name, "a drill", path)
            assert (line["request_id"], line["status"]) == (f"ticket-{tried}", reply.status_code)
    assert tried == len(ACTING) + sum(map(len, ACTIONS.values()))


def test_a_program_that_gives_no_reason_leaves_no_note(world):
    """The relayer reports every few seconds; what it decides are commands of their own."""
    before = len(world.venue.entries)
    for token in (TOKEN, KEYS[3].token):
        assert ask(world, "POST", "/admin/relayer", token, body={}).status_code == 200
        body = bodies(world)["/admin/hold_withdrawals"]
        assert ask(world, "POST", "/admin/hold_withdrawals", token, body=body).status_code == 200
    assert [type(entry[2]) for entry in world.venue.entries[before:]] == [HoldWithdrawals] * 2


def level_of(world, path, token, body, **headers):
    """At which level an action is logged."""
    with capture_logs() as logs:
        ask(world, "POST", path, token, body=body, **headers)
    (line,) = [one for one in logs if one["event"] == "an operator acted"]
    return line["log_level"]


def test_rounds_of_programs_are_logged_for_debugging_alone(world):
    """The relayer's polls without a reason; what changes the venue, and people, stay in the log."""
    relayer, body = KEYS[3].token, bodies(world)
    for path in ("/admin/relayer", "/admin/pending_posts", "/admin/observe_blocks"):
        for token in (TOKEN, relayer):
            assert level_of(world, path, token, bodies(world)[path]) == "debug", path
        assert level_of(world, path, TOKEN, body[path], **{"X-Reason": "a drill"}) == "info"
        assert level_of(world, path, relayer, "nonsense") == "info", "a refusal is worth a line"
    for path in ("/admin/hold_withdrawals", "/admin/cut_batch", "/admin/novate"):
        assert level_of(world, path, relayer, body[path]) == "info", path


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
