"""The operator's listener: a token, figures, and commands."""

import asyncio
import base64

import httpx
import msgspec
import pytest
from tests.liquidation_world import short_call, sweep
from tests.unit.api.world import MAKER, MAKER_KEY, STRANGER, call, session_of
from tests.unit.settlement.test_status import StillChain, batch, read
from tests.venue import C, listing, put

from exchange.api.admin import AdminHooks, create_admin_app
from exchange.commands import DepositSeen, ObserveBlocks, SubaccountSeen
from exchange.journal.outbox import JobState, Outbox, Outcome
from exchange.settlement.status import RelayerMetrics

TOKEN = "a" * 32


def ask(world, method, path, *, token=TOKEN, gateway=True, hooks=None, **options):
    app = create_admin_app(
        world.sequencer,
        token=TOKEN,
        gateway=world.gateway if gateway else None,
        hooks=hooks,
    )

    async def scenario():
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            return await client.request(method, path, headers=headers, **options)

    return asyncio.run(scenario())


ROUTES = [
    ("GET", "/metrics"),
    ("GET", "/admin/status"),
    ("GET", "/admin/liquidations"),
    ("GET", "/admin/accounts/2"),
    ("GET", "/admin/markets"),
    ("GET", "/admin/parameters"),
    ("GET", "/admin/fees"),
    ("GET", "/admin/limits"),
    ("GET", "/admin/replays"),
    ("POST", "/admin/list_instruments"),
    ("POST", "/admin/observe_blocks"),
    ("POST", "/admin/novate"),
    ("POST", "/admin/hold_withdrawals"),
    ("POST", "/admin/suspend_trading"),
    ("POST", "/admin/advance_clock"),
    ("POST", "/admin/cut_batch"),
    ("POST", "/admin/halt"),
    ("POST", "/admin/set_speed_bump"),
    ("POST", "/admin/resume"),
    ("POST", "/admin/reset_index"),
    ("POST", "/admin/relayer"),
    ("POST", "/admin/pending_posts"),
    ("POST", "/admin/revert_blocks"),
    ("POST", "/admin/parameters/preview"),
    ("POST", "/admin/parameters/apply"),
    ("POST", "/admin/fees"),
    ("POST", "/admin/limits"),
    ("POST", "/admin/replays"),
    ("GET", "/nothing"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "a", "é"])
def test_everything_but_health_needs_the_token(world, method, path, token):
    before = world.sequencer.last_seq
    headers = {"Authorization": f"Bearer {token}".encode()} if token else {}
    app = create_admin_app(world.sequencer, token=TOKEN)

    async def scenario():
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
            return await client.request(method, path, headers=headers)

    assert asyncio.run(scenario()).status_code == 401
    assert world.sequencer.last_seq == before


def test_health_and_readiness_are_open(world):
    assert ask(world, "GET", "/health", token="").json() == {"healthy": True, "shard": 0}
    assert ask(world, "GET", "/ready", token="").json() == {
        "ready": True,
        "shard": 0,
        "reasons": {},
    }
    world.sequencer.stopped = True
    assert ask(world, "GET", "/health", token="").status_code == 503
    assert ask(world, "GET", "/ready", token="").status_code == 503


def test_the_status_tells_where_the_venue_stands(world):
    found = ask(world, "GET", "/admin/status").json()
    assert found["seq"] == world.sequencer.last_seq
    assert found["last_block"] == world.sequencer.engine.last_block


def test_operators_see_liquidations_with_all_figures(world):
    """While slices trade too, when keepers see none."""
    assert ask(world, "GET", "/admin/liquidations").json() == []
    seller, _ = short_call(world.venue, cash=17_000, price=1_000)
    world.venue.mark({C: 5_000})
    sweep(world.venue)
    (row,) = ask(world, "GET", "/admin/liquidations").json()
    assert (row["subaccount_id"], row["positions"]) == (seller, {str(C): -40_000})
    assert row["equity"] == world.venue.engine.margin(seller).equity


def reported(world, figures):
    """What the listener shows of a relayer's report, and what it says to one that is none."""
    app = create_admin_app(world.sequencer, token=TOKEN)

    async def scenario():
        transport = httpx.ASGITransport(app=app)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://admin", headers=headers
        ) as client:
            report = await client.post("/admin/relayer", json=figures)
            refused = await client.post("/admin/relayer", json=[3])
            return report, refused, await client.get("/admin/status")

    return asyncio.run(scenario())


def test_the_relayer_is_shown_as_it_reported(world):
    assert ask(world, "GET", "/admin/status").json()["relayer"] is None
    report, refused, status = reported(world, {"pending_batches": 3})
    assert refused.status_code == 400
    assert status.json()["relayer"] == report.json() | {"figures": {"pending_batches": 3}}


def test_operators_read_the_same_of_settlement_in_both_places(world, tmp_path):
    """Every figure of the relayer's picture, here and for Prometheus."""
    outbox = Outbox(str(tmp_path / "relayer.db"))
    outbox.add([batch(1, fills=3), batch(2, fills=4)])
    mined = Outcome(tx_hash="0xab", block=5, gas_used=100)
    first = outbox.move(outbox.jobs()[0], JobState.MINED, mined)
    outbox.move(first, JobState.CONFIRMED, final_s=1_006)
    metrics = RelayerMetrics()
    metrics.status = read(outbox, StillChain())
    outbox.close()
    *_, status = reported(world, msgspec.to_builtins(metrics.status))
    here = status.json()["relayer"]["figures"]
    there = {
        sample.name.removeprefix("exchange_relayer_").removesuffix("_total"): sample.value
        for family in metrics.collect()
        for sample in family.samples
        if not sample.labels
    }
    assert there == {name: here[name] for name in there}
    wanted = {"pending_batches", "oldest_pending_s", "gas_per_fill", "confirmation_lag_s"}
    assert there.keys() >= wanted | {"head", "balance", "gas_used"}
    figures = [there[name] for name in ("pending_batches", "gas_per_fill", "confirmation_lag_s")]
    assert figures == [1, 34, 6]


def test_metrics_are_prometheus_text(world):
    asyncio.run(call(world, "public/get_time"))
    asyncio.run(call(world, "public/nothing"))
    text = ask(world, "GET", "/metrics").text
    for line in (
        f"exchange_seq {float(world.sequencer.last_seq)}",
        "exchange_gateway_healthy 1.0",
        'exchange_requests_total{method="public/get_time"} 1.0',
        'exchange_errors_total{error="MethodNotFound"} 1.0',
    ):
        assert line in text
    assert "gateway_healthy" not in ask(world, "GET", "/metrics", gateway=False).text


def test_instruments_are_listed(world):
    body = {"listings": [msgspec.to_builtins(listing(put(80_000)))]}
    reply = ask(world, "POST", "/admin/list_instruments", json=body)
    assert reply.json()["events"][0]["type"] == "InstrumentListed"
    assert "BTC_USDC-25DEC26-80000-P" in world.gateway.view.instrument_ids


def test_blocks_are_observed(world):
    block = world.sequencer.engine.last_block + 1
    command = ObserveBlocks(
        first_block=block,
        last_block=block,
        last_hash="0x",
        observations=(
            SubaccountSeen(subaccount_id=4, owner=STRANGER),
            DepositSeen(subaccount_id=4, amount=5),
        ),
    )
    reply = ask(world, "POST", "/admin/observe_blocks", content=msgspec.json.encode(command))
    assert reply.status_code == 200, reply.text
    assert reply.json()["seq"] == world.sequencer.last_seq
    assert world.gateway.view.owners[4] == STRANGER
    gap = ask(world, "POST", "/admin/observe_blocks", content=msgspec.json.encode(command))
    assert (gap.status_code, gap.json()["error"]["data"]["reject_reason"]) == (409, "block_gap")


def test_lost_blocks_are_undone(world):
    """The deposit is debited, the subaccount is nobody's; an unknown block is refused."""
    first = world.sequencer.engine.last_block + 1
    for block, seen in ((first, ()), (first + 1, (SubaccountSeen(subaccount_id=4, owner="0x4"),))):
        command = ObserveBlocks(
            first_block=block, last_block=block, last_hash=f"0x{block}", observations=seen
        )
        ask(world, "POST", "/admin/observe_blocks", content=msgspec.json.encode(command))
    assert world.gateway.view.owners[4] == "0x4"
    body = {"last_block": first, "last_hash": f"0x{first}"}
    reply = ask(world, "POST", "/admin/revert_blocks", json=body)
    assert [event["type"] for event in reply.json()["events"]] == [
        "SubaccountReverted",
        "BlocksReverted",
    ]
    assert world.gateway.view.owners[4] == ""
    assert ask(world, "GET", "/admin/status").json()["last_block"] == first
    again = ask(world, "POST", "/admin/revert_blocks", json=body)
    assert again.json()["error"]["data"]["reject_reason"] == "unknown_block"


def test_withdrawals_are_held_and_released(world):
    """The status names the subaccounts; a novation of nothing is refused."""
    for held, shown in ((True, [2]), (False, [])):
        body = {"subaccount_id": 2, "held": held, "detail": "cash should be 1"}
        reply = ask(world, "POST", "/admin/hold_withdrawals", json=body)
        assert reply.json()["events"][0] == {"type": "WithdrawalsHeld"} | body
        assert ask(world, "GET", "/admin/status").json()["withdrawals_held"] == shown
    refused = ask(world, "POST", "/admin/novate", json={"batch": 1, "fills": []})
    assert refused.json()["error"]["data"]["reject_reason"] == "not_novatable"


def test_an_account_is_suspended_and_reinstated(world):
    """The operator sees it, and so does the owner, whose orders are refused by name."""
    own = world.order("sell", key=MAKER_KEY)
    asyncio.run(call(world, "private/sell", own))
    session = session_of(world, MAKER_KEY).session
    for suspended, shown in ((True, [2]), (False, [])):
        body = {"subaccount_id": 2, "suspended": suspended, "detail": "a stolen key"}
        events = ask(world, "POST", "/admin/suspend_trading", json=body).json()["events"]
        assert events[0] == {"type": "TradingSuspended"} | body
        assert [event["reason"] for event in events[1:]] == ["trading_suspended"] * suspended
        assert ask(world, "GET", "/admin/status").json()["trading_suspended"] == shown
        account = ask(world, "GET", "/admin/accounts/2").json()
        assert (account["trading_suspended"], account["orders"]) == (suspended, [])
        summary = asyncio.run(call(world, "private/get_account_summary", {}, session=session))
        assert summary["result"]["trading_suspended"] is suspended
        reply = asyncio.run(call(world, "private/sell", world.order("sell", key=MAKER_KEY)))
        error = reply.get("error", {}).get("data", {}).get("reject_reason")
        assert error == ("trading_suspended" if suspended else None)


def test_bytes_travel_as_base64(world):
    block = world.sequencer.engine.last_block + 1
    body = {
        "first_block": block,
        "last_block": block,
        "last_hash": "0x",
        "observations": [
            {
                "type": "BatchSeen",
                "number": 1,
                "batch_hash": base64.b64encode(bytes(32)).decode(),
                "block": block,
                "transaction": "0xaa",
            }
        ],
    }
    assert ask(world, "POST", "/admin/observe_blocks", json=body).status_code == 200


def test_the_clock_moves_and_prices_follow_before_the_reply(world):
    followed = []

    async def after_clock():
        followed.append(world.sequencer.last_seq)

    hooks = AdminHooks(after_clock=after_clock)
    reply = ask(world, "POST", "/admin/advance_clock", json={"seconds": 60}, hooks=hooks)
    assert reply.json()["events"][-1] == {"type": "ClockAdvanced", "offset_ns": 60 * 10**9}
    assert followed == [world.sequencer.last_seq]


def test_an_operator_halts_and_resumes(world):
    halted = ask(world, "POST", "/admin/halt", json={"underlying_id": 1, "reason": "a drill"})
    assert {e["status"] for e in halted.json()["events"]} == {1}
    refused = asyncio.run(call(world, "private/buy", world.order("buy")))
    assert refused["error"]["data"]["reject_reason"] == "instrument_halted"
    resumed = ask(world, "POST", "/admin/resume", json={"underlying_id": 1})
    assert {e["status"] for e in resumed.json()["events"]} == {2}
    assert ask(world, "POST", "/admin/halt", json={"underlying_id": 9}).status_code == 409


def test_an_operator_vouches_for_an_index(world):
    vouched = []
    hooks = AdminHooks(reset_index=vouched.append)
    reply = ask(world, "POST", "/admin/reset_index", json={"underlying_id": 2}, hooks=hooks)
    assert (reply.status_code, vouched) == (200, [2])
    assert ask(world, "POST", "/admin/reset_index", json={"underlying_id": 2}).status_code == 404


def test_a_process_that_reads_no_journal_is_not_healthy(world):
    """Its writer is well, so that is not among the reasons."""
    hooks = AdminHooks(follows=lambda: False, reasons=lambda: {"journal": "away"})
    assert ask(world, "GET", "/health", hooks=hooks).status_code == 503
    assert ask(world, "GET", "/ready", hooks=hooks).json()["reasons"] == {"journal": "away"}


def test_a_gateway_that_lost_its_view_is_not_healthy(world):
    assert ask(world, "GET", "/health").status_code == 200
    world.gateway._broken = True
    assert ask(world, "GET", "/health").status_code == 503
    assert ask(world, "GET", "/ready").status_code == 503


def test_batches_are_cut(world):
    assert ask(world, "POST", "/admin/cut_batch").status_code == 409
    asyncio.run(call(world, "private/sell", world.order("sell", key=MAKER_KEY)))
    asyncio.run(call(world, "private/buy", world.order("buy")))
    assert ask(world, "POST", "/admin/cut_batch").json()["events"][0]["type"] == "BatchCut"


@pytest.mark.parametrize(
    ("path", "content", "code"),
    [
        ("advance_clock", b"{", -32700),
        ("advance_clock", b'{"seconds":0}', -32602),
        ("advance_clock", b'{"seconds":1.5}', -32602),
        ("advance_clock", b'{"seconds":1,"seconds":2}', -32602),
        ("advance_clock", b'{"minutes":1}', -32602),
        ("list_instruments", b'{"listings":7}', -32602),
        ("list_instruments", b'{"type":"Withdraw","listings":[]}', -32602),
        ("nothing", b"{}", -32601),
    ],
)
def test_bad_bodies_are_named(world, path, content, code):
    before = world.sequencer.last_seq
    reply = ask(world, "POST", f"/admin/{path}", content=content)
    assert reply.json()["error"]["code"] == code
    assert world.sequencer.last_seq == before


def test_a_short_token_keeps_nobody_out_and_is_not_taken(world):
    with pytest.raises(AssertionError):
        create_admin_app(world.sequencer, token="short")


def test_an_operator_sets_a_speed_bump(world):
    """In one instrument or in an underlying's; shown with the instrument."""
    path = "/admin/set_speed_bump"
    answer = ask(world, "POST", path, json={"underlying_id": 1, "delay_ms": 20})
    assert {event["delay_ns"] for event in answer.json()["events"]} == {20_000_000}
    assert world.gateway.view.speed_bumps[C] == 20_000_000
    one = {"instrument_id": C, "delay_ms": 0}
    assert len(ask(world, "POST", path, json=one).json()["events"]) == 1
    for body in ({"delay_ms": 5}, {"delay_ms": 5, "underlying_id": 1, "instrument_id": C}):
        assert ask(world, "POST", path, json=body).status_code == 400
    for delay in (-1, 1_001):
        body = {"underlying_id": 1, "delay_ms": delay}
        assert ask(world, "POST", path, json=body).status_code == 400


def test_one_account_is_shown_whole(world):
    """What the owner may see, and what only operators do: floors, keys, holds."""
    asyncio.run(call(world, "private/sell", world.order("sell", key=MAKER_KEY)))
    held = {"subaccount_id": 2, "held": True, "detail": "looks odd"}
    ask(world, "POST", "/admin/hold_withdrawals", json=held)
    found = ask(world, "GET", "/admin/accounts/2").json()
    assert (found["owner"], found["withdrawals_held"]) == (MAKER, True)
    assert found["margin"]["equity"] == world.sequencer.engine.margin(2).equity
    assert [order["instrument_id"] for order in found["orders"]] == [C]
    assert ask(world, "GET", "/admin/accounts/99").status_code == 404


@pytest.mark.parametrize(
    ("section", "path", "value"),
    [
        ("fees", ("fees", "taker_rate"), 4 * 10**14),
        ("limits", ("limits", "open_orders_max"), 17),
        ("limits", ("position_limits",), []),
    ],
)
def test_fees_and_limits_are_read_and_changed(world, section, path, value):
    """As parameters are: a version more, refused where the number of liquidations is another."""
    before = ask(world, "GET", f"/admin/{section}").json()
    assert before["version"] == world.sequencer.engine.parameters.version
    change = value
    for name in reversed(path):
        change = {name: change}
    wrong = ask(world, "POST", f"/admin/{section}", json={"change": change, "confirm": 3})
    assert "confirmed are 3" in wrong.json()["error"]["data"]["reason"]
    made = ask(world, "POST", f"/admin/{section}", json={"change": change})
    assert made.json()["liquidated"] == []
    found = ask(world, "GET", f"/admin/{section}").json()
    assert found["version"] == before["version"] + 1
    for name in path:
        found = found[name]
    assert found == value


@pytest.mark.parametrize(
    ("section", "change"),
    [("fees", {"limits": {}}), ("limits", {"fees": {}}), ("fees", {"nothing": 1})],
)
def test_a_section_changes_nothing_else(world, section, change):
    before = world.sequencer.last_seq
    reply = ask(world, "POST", f"/admin/{section}", json={"change": change})
    assert reply.status_code == 400
    assert world.sequencer.last_seq == before


def test_the_journal_is_replayed_on_demand(world):
    """The answer comes at once, the figures when they are there; what lies ahead is refused."""
    asked = []

    async def replay(until_seq):
        asked.append(until_seq)
        return {"commands": until_seq, "state_hash": "ab"}

    hooks = AdminHooks(replay=replay)
    app = create_admin_app(world.sequencer, token=TOKEN, hooks=hooks)

    async def scenario():
        headers = {"Authorization": f"Bearer {TOKEN}"}
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://admin", headers=headers
        ) as client:
            started = await client.post("/admin/replays", json={"until_seq": 3})
            rows = (await client.get("/admin/replays")).json()
            while rows[0]["state"] == "running":
                rows = (await client.get("/admin/replays")).json()
            newest = await client.post("/admin/replays", json={})
            return started.json(), rows, newest.json()

    started, rows, newest = asyncio.run(scenario())
    assert (started["number"], started["until_seq"]) == (1, 3)
    assert rows[0]["figures"] == {"commands": 3, "state_hash": "ab"}
    assert newest["until_seq"] == world.sequencer.last_seq
    assert asked == [3, world.sequencer.last_seq]
    ahead = {"until_seq": world.sequencer.last_seq + 1}
    assert ask(world, "POST", "/admin/replays", json=ahead, hooks=hooks).status_code == 400
    assert ask(world, "POST", "/admin/replays", json={}).status_code == 404
    assert ask(world, "GET", "/admin/replays").json() == []


def test_beside_an_engine_nobody_acts(world):
    """Questions are answered there, actions belong to the engine's own listener."""
    app = create_admin_app(world.sequencer, token=TOKEN, gateway=world.gateway, acts=False)
    verbs = {verb for route in app.routes for verb in route.methods or ()}
    assert verbs == {"GET", "HEAD"}
    assert "/admin/status" in {route.path for route in app.routes}


def test_markets_come_from_the_gateways_view_and_parameters_from_the_engine(world):
    """A process without a gateway knows no markets; the parameters are the journal's own."""
    rows = ask(world, "GET", "/admin/markets").json()
    assert [row["name"] for row in rows] == ["BTC", "ETH"]
    assert ask(world, "GET", "/admin/markets", gateway=False).status_code == 404
    found = ask(world, "GET", "/admin/parameters").json()
    assert found["version"] == ask(world, "GET", "/admin/fees").json()["version"]
    assert [one["name"] for one in found["underlyings"]] == ["BTC", "ETH"]
