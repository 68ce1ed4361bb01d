"""A change of parameters is looked at on live accounts, and made only as confirmed."""

import asyncio
import json

import httpx
import pytest
from tests.unit.api.world import MAKER_ID, TAKER_ID, World
from tests.venue import configuration, usdc

from exchange.api.admin import AdminHooks, create_admin_app
from exchange.commands import AdjustRisk, Configure, RiskBounds
from exchange.fixed import RATIO_SCALE

TOKEN = "a" * 32
HARD = {"configure": {"margin": {"maintenance_factor": 18 * RATIO_SCALE}}}
SOFT = {"configure": {"margin": {"maintenance_factor": RATIO_SCALE // 2}}}
BOUNDS = RiskBounds(
    scan_min=RATIO_SCALE,
    scan_max=2 * RATIO_SCALE,
    volatility_min=RATIO_SCALE,
    volatility_max=2 * RATIO_SCALE,
    rise_max=RATIO_SCALE,
    fall_max=RATIO_SCALE,
    interval_ns=0,
)


@pytest.fixture
def world():
    """The maker is short many calls, the taker long."""
    world = World()
    world.venue.sell(MAKER_ID, 150, 1_000)
    world.venue.buy(TAKER_ID, 150, 1_000)
    world.venue.send(configuration(version=2, risk_bounds=BOUNDS))
    yield world
    world.gateway.stop()


def post(world, action, body, draw_marks=None):
    app = create_admin_app(world.sequencer, token=TOKEN, hooks=AdminHooks(draw_marks=draw_marks))

    async def scenario():
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            path = f"/admin/parameters/{action}"
            return await client.post(path, headers=headers, content=json.dumps(body))

    return asyncio.run(scenario())


def test_a_preview_names_accounts_and_changes_nothing(world):
    """Both ends would fall below maintenance; it says by how much."""
    before = world.sequencer.last_seq
    report = post(world, "preview", HARD).json()
    assert [row["subaccount_id"] for row in report["liquidated"]] == [MAKER_ID, TAKER_ID]
    for row in report["liquidated"]:
        assert row["maintenance_before"] > 0 > row["maintenance_after"]
    assert report["restricted"] == []
    assert report["accounts"] == len(world.venue.engine.subaccounts)
    assert post(world, "preview", SOFT).json()["liquidated"] == []
    assert world.sequencer.last_seq == before


def test_harder_initial_margin_restricts_but_liquidates_nobody(world):
    """Restricted accounts keep what they have."""
    change = {"configure": {"margin": {"initial_factor": 18 * RATIO_SCALE}}}
    report = post(world, "preview", change).json()
    assert [row["subaccount_id"] for row in report["restricted"]] == [MAKER_ID, TAKER_ID]
    assert report["liquidated"] == []


def test_a_change_is_made_with_the_next_version(world):
    """Nested fields are merged; what is not named stays."""
    reply = post(world, "apply", {"change": SOFT})
    assert reply.status_code == 200
    parameters = world.venue.engine.parameters
    assert (parameters.version, parameters.margin.maintenance_factor) == (3, RATIO_SCALE // 2)
    assert parameters.risk_bounds == BOUNDS
    assert reply.json()["seqs"] == [world.sequencer.last_seq]


@pytest.mark.parametrize(("confirm", "status"), [(0, 400), (1, 400), (2, 200)])
def test_liquidations_must_be_confirmed_by_their_number(world, confirm, status):
    """Too few is a surprise, too many a misunderstanding."""
    reply = post(world, "apply", {"change": HARD, "confirm": confirm})
    assert reply.status_code == status
    assert (world.venue.engine.parameters.version == 3) is (status == 200)
    if status == 400:
        assert "would liquidate 2 accounts" in reply.json()["error"]["data"]["reason"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"configure": {"margins": {}}}, "margins: no such parameter"),
        ({"configure": {"margin": {"factor": 1}}}, "factor: no such parameter"),
        ({"configure": {"risk_bounds": {"scan": 1}}}, "scan: no such parameter"),
        ({"configure": {"breaker": {"speed": 1}}}, "missing required field"),
        ({"configure": {"clearing": "0x"}}, "bound to the chain"),
        ({"configure": {"delivery_window_s": "1"}}, "Expected `int`"),
        ({"configure": {"margin": {"concentration": {"x": 1}}}}, "missing required field"),
        ({"configure": {"margin": {"weights": [1], "absolute": [False]}}}, "number of scenarios"),
        ({"adjust_risk": [{"underlying_id": 1, "scan": 1.2}]}, "no oracle"),
        ({"adjust_risk": [{"underlying_id": 1, "scan": 0}]}, "> 0.0"),
    ],
)
def test_a_wrong_change_is_refused_with_what_is_wrong(world, change, words):
    """Before anything is journaled."""
    before = world.sequencer.last_seq
    reply = post(world, "preview", change)
    assert reply.status_code == 400
    assert words in reply.json()["error"]["data"]["reason"]
    assert world.sequencer.last_seq == before


def test_a_field_that_does_not_exist_inside_a_new_object_is_found(world):
    """An object that was not there before has no names to compare with."""
    breaker = {"move_rate": 1, "window_ns": 1, "cool_off_ns": 1, "auction_ns": 1, "more": 1}
    reply = post(world, "preview", {"configure": {"breaker": breaker}})
    assert "a field does not exist" in reply.json()["error"]["data"]["reason"]


def test_scales_are_previewed_on_the_epoch_that_would_follow(world):
    """And applied as a journaled step with its reason."""
    asked = []

    async def draw(scales):
        asked.append(scales)
        world.venue.marks |= dict.fromkeys(world.venue.marks, usdc(150_000))
        return world.venue.marks_update()

    async def nothing(_):
        return None

    change = {"adjust_risk": [{"underlying_id": 1, "scan": 1.25, "reason": "storm"}]}
    assert len(post(world, "preview", change, draw).json()["liquidated"]) == 1
    assert asked == [{1: (1.25, 1.0)}]
    assert "not fresh" in post(world, "preview", change, nothing).text
    reply = post(world, "apply", {"change": change, "confirm": 1}, draw)
    assert reply.status_code == 200
    command = world.venue.entries[-1][2]
    assert command == AdjustRisk(
        version=1,
        underlying_id=1,
        scan=RATIO_SCALE * 5 // 4,
        volatility=RATIO_SCALE,
        reason="storm",
    )


def test_an_empty_venue_has_no_parameters_to_change():
    """Its first command configures it."""

    class Empty:
        async def read(self, query):
            class State:
                parameters: Configure | None = None

            return query(State())

    class Bare:
        sequencer = Empty()

    assert "no parameters yet" in _plan_error(Bare.sequencer)


def _plan_error(sequencer):
    from exchange.api.errors import BadRequest
    from exchange.api.parameters import ChangeBody, plan

    with pytest.raises(BadRequest) as caught:
        asyncio.run(plan(sequencer, ChangeBody(), None))
    return str(caught.value)
