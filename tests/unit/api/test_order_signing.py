"""Orders that an API key's session key signs: what is chosen where the client says nothing."""

import asyncio

import pytest
from tests.unit.api.world import (
    CALL_NAME,
    MAKER_KEY,
    PERPETUAL_NAME,
    TAKER,
    TAKER_ID,
    allow,
    api_key,
    call,
    session_of,
)
from tests.venue import PERP, C, configuration, usdc

from exchange.api.order_signing import price_edges, worst_price
from exchange.commands import FeeSchedule
from exchange.fixed import is_multiple
from exchange.model import Side
from exchange.observations import NonceFloorSeen
from exchange.signing import order_digest, recover_signer

ORDER = {"instrument_name": CALL_NAME, "amount": "1", "price": "900"}


@pytest.fixture
def session(world):
    return world.gateway.sessions.open(api_key(world)).session


def ask(world, method, params=None, session=None):
    reply = asyncio.run(call(world, method, params, session=session))
    assert "result" in reply, reply
    return reply["result"]


def refused(world, method, params=None, session=None):
    return asyncio.run(call(world, method, params, session=session))["error"]


def last_command(world):
    return world.venue.entries[-1][2]


def test_the_session_key_signs_what_the_engine_and_the_contract_check(world, session):
    ask(world, "private/buy", ORDER, session)
    command = last_command(world)
    digest = order_digest(world.gateway.domain(), command.terms)
    assert recover_signer(digest, command.signature) == session.key.signer
    assert command.terms.signer == session.key.signer
    assert command.terms.deadline == world.venue.now_s + 3600  # as long as the chain allows it
    assert command.terms.subaccount_id == TAKER_ID


def test_nonces_follow_one_another(world, session):
    for _ in range(3):
        ask(world, "private/buy", ORDER, session)
    nonces = [row[2].terms.nonce for row in world.venue.entries[-3:]]
    assert nonces == [nonces[0], nonces[0] + 1, nonces[0] + 2]
    assert nonces[0] == world.venue.time_ns // 1_000


def test_what_the_client_chooses_stays(world, session):
    chosen = {"nonce": 7, "max_fee": "50", "deadline": world.venue.now_s + 60}
    ask(world, "private/sell", ORDER | chosen | {"price": "1100"}, session)
    terms = last_command(world).terms
    assert (terms.nonce, terms.max_fee, terms.deadline) == (7, usdc(50), world.venue.now_s + 60)


def test_the_fee_limit_suffices_when_the_index_doubles(world, session):
    ask(world, "private/buy", ORDER, session)
    rate = world.gateway.configured().fees.taker_rate
    index = world.gateway.view.index_prices[1][0]
    fee = last_command(world).terms.max_fee
    assert is_multiple(fee, 10_000)
    assert 2 * index * rate <= fee * 10**18 < 2 * index * rate + 10_000 * 10**18


def test_a_market_order_signs_the_edge_of_the_band(world, session):
    ask(world, "private/sell", world.order("sell", key=MAKER_KEY))
    params = {"instrument_name": CALL_NAME, "amount": "1", "type": "market"}
    bought = ask(world, "private/buy", params, session)
    assert bought["order"]["order_state"] == "filled"
    instrument = world.gateway.instrument(CALL_NAME)
    parameters = world.gateway.configured()
    _, high = price_edges(world.gateway.view, parameters, instrument)
    assert last_command(world).terms.limit_price <= high
    assert high - last_command(world).terms.limit_price < instrument.tick_size


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
@pytest.mark.parametrize("name", [CALL_NAME, PERPETUAL_NAME])
@pytest.mark.parametrize("waits", [False, True])
def test_worst_prices_lie_on_the_grid(world, side, name, waits):
    if name == PERPETUAL_NAME:
        world.do(lambda venue: venue.list_instruments(PERP))
        world.do(lambda venue: venue.mark({C: 1_000, PERP: 100_000}))
    instrument = world.gateway.instrument(name)
    parameters = world.gateway.configured()
    price = worst_price(world.gateway.view, parameters, instrument, side, waits=waits)
    low, high = price_edges(world.gateway.view, parameters, instrument)
    assert price >= instrument.tick_size
    assert is_multiple(price, instrument.tick_size)
    if waits:
        assert price > high if side is Side.BUY else price < max(low, 2 * instrument.tick_size)
    else:
        assert low <= price <= high


def test_a_waiting_market_order_is_taken(world, session):
    params = {
        "instrument_name": CALL_NAME,
        "amount": "1",
        "type": "stop_market",
        "trigger": "mark_price",
        "trigger_price": "1500",
    }
    order = ask(world, "private/buy", params, session)["order"]
    assert order["order_state"] == "untriggered"


def test_a_market_order_in_a_combo_signs_the_legs_bands(world, session):
    trades = [
        {"instrument_name": CALL_NAME, "amount": 1, "direction": "buy"},
        {"instrument_name": CALL_NAME.replace("-C", "-P"), "amount": 1, "direction": "sell"},
    ]
    combo = ask(world, "private/create_combo", {"trades": trades}, session)["id"]
    for side in ("buy", "sell"):
        for waits in (False, True):
            price = worst_price(
                world.gateway.view,
                world.gateway.configured(),
                world.gateway.instrument(combo),
                Side[side.upper()],
                waits=waits,
            )
            assert (price > 0) is (side == "buy")
    order = ask(
        world, "private/buy", {"instrument_name": combo, "amount": 1, "type": "market"}, session
    )["order"]
    assert order["order_state"] == "cancelled"  # nothing to take, and it never rests


def test_the_fee_limit_of_a_combo_is_that_of_its_legs(world, session):
    """Whatever perpetuals cost: options are dearer here, and each contract counts."""
    dear = FeeSchedule(maker_rate=10**15, taker_rate=2 * 10**15, premium_cap=10**18)
    world.do(lambda venue: venue.send(configuration(version=2, fees=dear)))
    trades = [
        {"instrument_name": CALL_NAME, "amount": 2, "direction": "buy"},
        {"instrument_name": CALL_NAME.replace("-C", "-P"), "amount": 1, "direction": "sell"},
    ]
    combo = ask(world, "private/create_combo", {"trades": trades}, session)["id"]
    ask(world, "private/buy", {"instrument_name": combo, "amount": 1, "price": 900}, session)
    index = world.gateway.view.index_prices[1][0]
    assert last_command(world).terms.max_fee == 2 * 3 * index * 2 // 1_000


def test_an_edit_signs_the_next_version(world, session):
    order_id = ask(world, "private/buy", ORDER, session)["order"]["order_id"]
    edited = ask(world, "private/edit", {"order_id": order_id, "amount": 2}, session)["order"]
    assert (edited["amount"], edited["price"], edited["version"]) == (2, 900, 1)
    edited = ask(world, "private/edit", {"order_id": order_id, "amount": 2, "price": 950}, session)[
        "order"
    ]
    assert (edited["price"], edited["version"]) == (950, 2)
    assert edited["order_id"] == order_id


def test_a_key_edits_its_owners_orders_alone(world, session):
    other = ask(world, "private/buy", world.order("buy", key=MAKER_KEY))["order"]
    error = refused(world, "private/edit", {"order_id": other["order_id"], "amount": 2}, session)
    assert error["code"] == 10004


def test_linked_orders_are_signed_each(world, session):
    params = ORDER | {
        "linked_order_type": "one_cancels_other",
        "otoco_config": [ORDER | {"direction": "sell", "price": "1200"}],
    }
    receipt = ask(world, "private/buy", params, session)
    assert len(receipt["linked_order_ids"]) == 2


def test_an_unsigned_order_without_a_key_is_refused(world):
    assert refused(world, "private/buy", ORDER)["code"] == 13009
    wallet = session_of(world).session
    error = refused(world, "private/buy", ORDER, wallet)
    assert (error["code"], error["data"]["param"]) == (-32602, "signature")


def test_a_limit_order_needs_a_price(world, session):
    params = {k: ORDER[k] for k in ("instrument_name", "amount")}
    assert refused(world, "private/buy", params, session)["data"]["param"] == "price"


def test_without_a_mark_a_market_order_is_refused_by_the_engine(world, session):
    world.gateway.view.marks = None
    instrument = world.gateway.instrument(CALL_NAME)
    parameters = world.gateway.configured()
    assert price_edges(world.gateway.view, parameters, instrument) == (0, 0)
    price = worst_price(world.gateway.view, parameters, instrument, Side.BUY, waits=False)
    assert price == instrument.tick_size
    assert instrument.instrument_id == C


def test_a_key_that_ended_on_chain_signs_nothing(world, session):
    allow(world, session.key.signer, 0, TAKER)
    assert refused(world, "private/buy", ORDER, session)["code"] == -32602


def test_nonces_follow_what_the_owner_voided(world, session):
    ask(world, "private/buy", ORDER, session)
    floor = last_command(world).terms.nonce + 1_000
    world.do(lambda venue: venue.observe(NonceFloorSeen(subaccount_id=TAKER_ID, floor=floor)))
    ask(world, "private/buy", ORDER, session)
    assert last_command(world).terms.nonce == floor
