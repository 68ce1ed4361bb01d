"""Requests for quote on the wire: asked, answered, taken; and who sees what."""

import asyncio

import msgspec
import pytest
from tests.unit.api.world import (
    CALL_NAME,
    MAKER,
    MAKER_ID,
    MAKER_KEY,
    PERPETUAL_NAME,
    PUT_NAME,
    STRANGER,
    STRANGER_KEY,
    TAKER,
    TAKER_ID,
    World,
    api_key,
    call,
    session_of,
)
from tests.venue import PERP, limits
from tests.venue import call as call_of

from exchange.commands import CancelAll
from exchange.events import Traded

STRADDLE = [
    {"instrument_name": CALL_NAME, "amount": 1, "direction": "buy"},
    {"instrument_name": PUT_NAME, "amount": 1, "direction": "buy"},
]
SINGLE = [{"instrument_name": CALL_NAME, "amount": 1, "direction": "buy"}]


@pytest.fixture
def world():
    world = World()
    world.do(lambda venue: venue.fund(STRANGER))
    yield world
    world.gateway.stop()


def ask(world, method, params=None, session=None):
    reply = asyncio.run(call(world, f"private/{method}", params, session=session))
    assert "result" in reply, reply
    return reply["result"]


def refused(world, method, params=None, session=None):
    return asyncio.run(call(world, f"private/{method}", params, session=session))["error"]


def bot(world, key):
    """A session whose API key signs."""
    return world.gateway.sessions.open(api_key(world, key)).session


@pytest.fixture
def taker(world):
    return bot(world, b"\x00" * 31 + b"\x02")


@pytest.fixture
def maker(world):
    return bot(world, MAKER_KEY)


@pytest.fixture
def other(world):
    return bot(world, STRANGER_KEY)


def request(world, taker, legs=STRADDLE, **changes):
    return ask(world, "create_block_rfq", {"legs": legs, "amount": 2} | changes, taker)


def quote(world, maker, rfq, price, direction="sell"):
    params = {"block_rfq_id": rfq["block_rfq_id"], "direction": direction, "price": price}
    return ask(world, "add_block_rfq_quote", params, maker)


def accept(rfq, price, direction="buy"):
    return {"block_rfq_id": rfq["block_rfq_id"], "direction": direction, "price": price}


def test_the_best_quote_trades_all_legs_at_once(world, taker, maker, other):
    rfq = request(world, taker)
    quote(world, maker, rfq, 2_020)
    best = quote(world, other, rfq, 2_010)
    (shown,) = ask(world, "get_block_rfqs", {"role": "taker"}, taker)
    assert [row["price"] for row in shown["asks"]] == [2_010, 2_020]
    done = ask(world, "accept_block_rfq", accept(rfq, 2_050), taker)
    assert done["state"] == "filled"
    assert {row["instrument_name"] for row in done["trades"]} == {CALL_NAME, PUT_NAME}
    assert sum(row["price"] for row in done["trades"]) == best["price"]
    assert all(row["block_trade_id"] == f"BLOCK-{done['seq']}" for row in done["trades"])
    assert world.venue.position(TAKER_ID) == 20_000
    for session in (maker, other):
        assert ask(world, "get_block_rfq_quotes", {}, session) == []


def test_a_single_instrument_and_the_other_direction(world, taker, maker):
    rfq = request(world, taker, SINGLE, direction="sell")
    quote(world, maker, rfq, 990, "buy")
    done = ask(world, "accept_block_rfq", accept(rfq, 980, "sell"), taker)
    assert [row["price"] for row in done["trades"]] == [990]
    assert world.venue.position(TAKER_ID) == -20_000


def test_a_wallet_signs_its_quote_and_its_acceptance(world):
    taker, maker = session_of(world).session, session_of(world, MAKER_KEY).session
    rfq = request(world, taker, SINGLE)

    def signed(side, key, price):
        order = world.order(side, key=key, amount="2", price=str(price))
        names = ("subaccount_id", "nonce", "deadline", "max_fee", "signer", "signature", "price")
        fields = {name: order[name] for name in names}
        return fields | {"block_rfq_id": rfq["block_rfq_id"], "direction": side}

    ask(world, "add_block_rfq_quote", signed("sell", MAKER_KEY, 1_000), maker)
    forged = signed("buy", b"\x00" * 31 + b"\x02", 1_000) | {"price": "1001"}
    assert refused(world, "accept_block_rfq", forged, taker)["code"] == 13004
    good = signed("buy", b"\x00" * 31 + b"\x02", 1_000)
    assert ask(world, "accept_block_rfq", good, taker)["state"] == "filled"


def test_a_limit_that_no_quote_meets_trades_nothing(world, taker, maker):
    rfq = request(world, taker)
    assert refused(world, "accept_block_rfq", accept(rfq, 2_000), taker)["code"] == 11050
    quote(world, maker, rfq, 2_020)
    assert refused(world, "accept_block_rfq", accept(rfq, 2_000), taker)["code"] == 11050
    assert ask(world, "get_block_rfqs", {}, taker)[0]["state"] == "open"


def test_a_maker_who_cannot_keep_its_word_makes_room_for_the_next(world, taker, maker, other):
    """The best maker's money is gone when the taker comes; the second quote trades."""
    rfq = request(world, taker, SINGLE)
    quote(world, maker, rfq, 1_000)
    quote(world, other, rfq, 1_010)
    world.do(lambda venue: venue.withdraw(MAKER_ID, 999_990))
    done = ask(world, "accept_block_rfq", accept(rfq, 1_020), taker)
    assert [row["price"] for row in done["trades"]] == [1_010]


def test_a_taker_who_cannot_pay_learns_why_and_the_quotes_stand(world, taker, maker):
    rfq = request(world, taker, SINGLE)
    quote(world, maker, rfq, 1_000)
    world.do(lambda venue: venue.withdraw(TAKER_ID, 999_990))
    error = refused(world, "accept_block_rfq", accept(rfq, 1_000), taker)
    assert error["data"]["reject_reason"] == "insufficient_margin"
    assert len(ask(world, "get_block_rfq_quotes", {}, maker)) == 1


def test_sixteen_legs_and_a_hedge_trade_as_one_block(world, taker, maker):
    """Ten of a strip with 2.5 perpetuals sold against it: all seventeen legs, or none."""
    strikes = [call_of(strike) for strike in range(101_000, 117_000, 1_000)]

    def list_strip(venue):
        venue.list_instruments(*strikes, PERP)
        venue.mark(dict.fromkeys(strikes, 1_000) | {PERP: 100_000})

    world.do(list_strip)
    names = [world.gateway.view.instruments[number].name for number in strikes]
    legs = [{"instrument_name": name, "amount": 1} for name in names]
    hedge = {"instrument_name": PERPETUAL_NAME, "amount": "2.5", "direction": "sell"}
    asked = {"hedge": hedge, "direction": "buy"}
    rfq = request(world, taker, legs, amount=10, **asked)
    assert (len(rfq["legs"]), rfq["amount"]) == (17, 2.5)
    sells = rfq["taker_direction"] == "sell"  # the canonical form may be turned around
    turned = {"buy": "sell", "sell": "buy"}
    direction = turned["sell"] if sells else "sell"
    shown = {"instrument_name": PERPETUAL_NAME, "direction": direction, "amount": 2.5}
    assert rfq["hedge"] == shown
    net = 16 * 4 * 1_000 - 100_000
    price, way = (-net, "buy") if sells else (net, "sell")
    quote(world, maker, rfq, price, way)
    done = ask(world, "accept_block_rfq", accept(rfq, price, turned[way]), taker)
    assert done["state"] == "filled"
    traded = {row["instrument_name"]: (row["direction"], row["amount"]) for row in done["trades"]}
    assert traded == dict.fromkeys(names, ("buy", 10)) | {PERPETUAL_NAME: ("sell", 2.5)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"amount": "0.00011"}, "plain decimal"),
        ({"amount": "0.0001"}, "units of"),
        ({"amount": 0}, "into the book"),
        ({"hedge": {"instrument_name": PERPETUAL_NAME, "amount": 0}}, "each leg needs"),
        ({"hedge": {"instrument_name": PERPETUAL_NAME, "amount": "0.001"}}, "wrong ratio"),
        ({"hedge": {"instrument_name": CALL_NAME, "amount": 2}}, "repeated leg"),
    ],
)
def test_a_request_that_could_never_trade_is_refused(world, taker, changes, words):
    world.do(lambda venue: venue.list_instruments(PERP))
    params = {"legs": STRADDLE, "amount": 2} | changes
    assert words in refused(world, "create_block_rfq", params, taker)["data"]["reason"]


def test_takers_are_anonymous_unless_disclosed(world, taker, maker):
    request(world, taker)
    (hidden,) = ask(world, "get_block_rfqs", {"role": "maker"}, maker)
    assert TAKER not in str(hidden)
    assert "asks" not in hidden
    request(world, taker, disclosed=True)
    shown = ask(world, "get_block_rfqs", {"role": "maker"}, maker)[1]
    assert shown["taker"] == TAKER


def test_makers_see_their_own_quotes_alone(world, taker, maker, other):
    rfq = request(world, taker)
    mine = quote(world, maker, rfq, 2_020)
    assert ask(world, "get_block_rfq_quotes", {}, other) == []
    wanted = {"block_rfq_quote_id": mine["block_rfq_quote_id"]}
    assert refused(world, "cancel_block_rfq_quote", wanted, other)["code"] == 13020
    for method, params in (
        ("cancel_block_rfq", {"block_rfq_id": rfq["block_rfq_id"]}),
        ("accept_block_rfq", accept(rfq, 2_050)),
    ):
        assert refused(world, method, params, maker)["code"] == 13020
    assert ask(world, "cancel_block_rfq_quote", wanted, maker) == "ok"
    assert ask(world, "get_block_rfqs", {}, taker)[0]["asks"] == []


def test_only_those_asked_may_answer(world, taker, maker, other):
    rfq = request(world, taker, makers=[MAKER])
    quote(world, maker, rfq, 2_020)
    params = accept(rfq, 2_010, "sell")
    assert refused(world, "add_block_rfq_quote", params, other)["code"] == 13021
    assert refused(world, "add_block_rfq_quote", params, taker)["code"] == 13021
    assert ask(world, "get_block_rfqs", {}, other) == []


def test_a_one_sided_request_takes_no_quote_on_its_own_side(world, taker, maker):
    rfq = request(world, taker, SINGLE, direction="buy")
    assert refused(world, "add_block_rfq_quote", accept(rfq, 990, "buy"), maker)["code"] == 11050


def test_a_canceled_or_late_request_is_over(world, taker, maker):
    rfq = request(world, taker)
    gone = {"block_rfq_id": rfq["block_rfq_id"]}
    assert ask(world, "cancel_block_rfq", gone, taker)["state"] == "cancelled"
    assert refused(world, "cancel_block_rfq", gone, taker)["code"] == 11050
    late = request(world, taker, expires_in=5)
    world.venue.wait(6)
    params = accept(late, 2_010, "sell")
    assert refused(world, "add_block_rfq_quote", params, maker)["code"] == 11050
    states = {"open": 0, "expired": 1, "cancelled": 1}
    for state, count in states.items():
        assert len(ask(world, "get_block_rfqs", {"state": state}, taker)) == count


def test_small_requests_are_refused(taker, world):
    changed = limits(block_quantity_min=30_000)
    world.gateway.view.parameters = msgspec.structs.replace(
        world.gateway.view.parameters, limits=changed
    )
    params = {"legs": SINGLE, "amount": 2}
    assert refused(world, "create_block_rfq", params, taker)["code"] == 11050


def test_an_acceptance_is_never_doubled(world, taker, maker, other):
    """Two at once: one trades, the other is told so, though a second quote stands."""
    rfq = request(world, taker, SINGLE)
    quote(world, maker, rfq, 1_000)
    quote(world, other, rfq, 1_001)
    submit = world.sequencer.submit

    async def slow(command, **more):
        await asyncio.sleep(0)
        return await submit(command, **more)

    world.sequencer.submit = slow

    async def both():
        calls = [
            call(world, "private/accept_block_rfq", accept(rfq, 1_010), session=taker)
            for _ in range(2)
        ]
        return await asyncio.gather(*calls)

    replies = asyncio.run(both())
    assert sorted("result" in reply for reply in replies) == [False, True]
    traded = [event for row in world.venue.entries for event in row[3] if isinstance(event, Traded)]
    assert len(traded) == 1


def test_a_chain_of_events_that_cancels_quotes_elsewhere_leaves_requests_alone(world, taker, maker):
    rfq = request(world, taker, SINGLE)
    quote(world, maker, rfq, 1_000)
    world.do(lambda venue: venue.send(CancelAll(subaccount_id=MAKER_ID)))
    assert ask(world, "accept_block_rfq", accept(rfq, 1_000), taker)["state"] == "filled"


def test_the_channels_tell_each_its_part(world, taker, maker):
    from exchange.api.connection import Connection

    async def heard():
        lines = {}
        for name, session in (("taker", taker), ("maker", maker)):
            line = Connection("a", world.settings, lambda *_: None)
            line.session = session
            world.gateway.channels.join([f"block_rfq.{name}.BTC"], line, 10)
            lines[name] = line
        rfq = (
            await call(
                world, "private/create_block_rfq", {"legs": SINGLE, "amount": 2}, session=taker
            )
        )["result"]
        await call(world, "private/add_block_rfq_quote", accept(rfq, 1_000, "sell"), session=maker)
        told = {}
        for name, line in lines.items():
            told[name] = list(iter(line.outbox.pop, None))
        return told

    told = asyncio.run(heard())
    assert len(told["maker"]) == 1
    assert TAKER.encode() not in told["maker"][0]
    assert len(told["taker"]) == 2
    assert b'"asks":[{' in told["taker"][1]
