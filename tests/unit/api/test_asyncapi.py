"""The channels' document says what is really sent: every family is heard and held against it."""

import asyncio
import json

import httpx
import jsonschema_rs
import pytest
from tests.unit.api.test_channels import Listener, trade
from tests.unit.api.test_methods_liquidations import auction, bid
from tests.unit.api.test_methods_protection import LIMITS
from tests.unit.api.test_methods_rfq import SINGLE, accept
from tests.unit.api.world import (
    CALL_NAME,
    MAKER_KEY,
    PERPETUAL_NAME,
    TAKER_KEY,
    World,
    api_key,
    call,
    session_of,
)
from tests.venue import FUTURE, PERP, C

from exchange.api.asyncapi import document, payload
from exchange.api.channel_names import FAMILIES
from exchange.commands import Halt

EXAMPLES = {
    "instrument": CALL_NAME,
    "interval": "raw",
    "ticks": "100ms",
    "group": "10",
    "depth": "10",
    "resolution": "60",
    "kind": "any",
    "currency": "any",
    "index": "btc_usdc",
}


def channels(world, private):
    """One channel of each address, and the rarer forms of some."""
    names = [
        address.format(**EXAMPLES)
        for family in FAMILIES
        if bool(family.scope) is private
        for address in family.addresses
    ]
    found = [name.replace(CALL_NAME, PERPETUAL_NAME) if "perp" in name else name for name in names]
    more = [
        f"book.{CALL_NAME}.none.1.agg2",
        f"book.{CALL_NAME}.agg2",
        f"ticker.{PERPETUAL_NAME}.raw",
    ]
    return found if private else found + more


@pytest.fixture(scope="module")
def world():
    """Everything that a channel tells of happens while two clients listen to all of them."""
    world = World()
    world.do(lambda venue: venue.list_instruments(PERP))
    world.do(lambda venue: venue.mark({PERP: 100_000}))
    ears = [Listener(world, key) for key in (TAKER_KEY, MAKER_KEY)]
    for ear in ears:
        for private, area in ((False, "public"), (True, "private")):
            wanted = channels(world, private)
            assert ear.ask(f"{area}/subscribe", channels=wanted) == wanted
    asyncio.run(happen(world))
    seller = auction(world)
    asyncio.run(spread(world))
    asyncio.run(call(world, "private/liquidation_bid", bid(world, seller)))
    world.do(lambda venue: venue.list_instruments(FUTURE))
    world.do(lambda venue: venue.send(Halt(instrument_id=C, reason="test")))
    asyncio.run(spread(world))
    world.heard = [pair for ear in ears for pair in ear.heard()]
    yield world
    world.gateway.stop()


async def happen(world):
    trade(world)
    world.nonce = 100  # its nonces are the venue's own
    maker = session_of(world, MAKER_KEY).session
    await call(world, "private/set_mmp_config", LIMITS, session=maker)
    for price in ("1000", "1001"):
        resting = world.order("sell", key=MAKER_KEY, price=price, mmp=True)
        await call(world, "private/sell", resting)
    await call(world, "private/buy", world.order("buy", price="1001", amount="3"))
    waiting = {"type": "stop_limit", "trigger": "mark_price", "trigger_price": "5000"}
    await call(world, "private/buy", world.order("buy", **waiting))
    world.do(lambda venue: venue.index())
    world.do(lambda venue: venue.mark({C: 1_001}))
    taker, other = (world.gateway.sessions.open(api_key(world, key)).session for key in KEYS)
    asked = {"legs": SINGLE, "amount": 2, "disclosed": True}
    rfq = (await call(world, "private/create_block_rfq", asked, session=taker))["result"]
    await call(world, "private/add_block_rfq_quote", accept(rfq, 1_000, "sell"), session=other)
    await call(world, "private/accept_block_rfq", accept(rfq, 1_000), session=taker)
    await spread(world)


KEYS = (TAKER_KEY, MAKER_KEY)


async def spread(world):
    """What the ticks do."""
    world.gateway.channels.tick()
    world.gateway.channels.send_liquidations(await world.gateway.liquidations())
    await world.gateway._send_portfolios()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_what_is_sent_is_what_is_described(world, family):
    schema = jsonschema_rs.validator_for(payload(family))
    said = [(name, data) for name, data in world.heard if family.parts(name) is not None]
    assert said, "nothing was heard: this test proves nothing"
    for name, data in said:
        message = {"channel": name, "data": data}
        schema.validate({"jsonrpc": "2.0", "method": "subscription", "params": message})


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_message_with_a_field_more_or_less_does_not_pass(world, family):
    """So that the test above could fail: schemas are closed."""
    schema = jsonschema_rs.validator_for(payload(family))
    name, data = next((n, d) for n, d in world.heard if family.parts(n) is not None and d)
    row = data[0] if isinstance(data, list) else data
    for spoilt in (row | {"surprise": 1}, {"surprise": 1}):
        message = {"channel": name, "data": [spoilt] if isinstance(data, list) else spoilt}
        whole = {"jsonrpc": "2.0", "method": "subscription", "params": message}
        assert not schema.is_valid(whole)


def test_nothing_is_sent_that_has_no_family(world):
    families = [[f.name for f in FAMILIES if f.parts(name) is not None] for name, _ in world.heard]
    assert all(len(names) == 1 for names in families)


def test_the_document_is_served_and_whole(world):
    served = asyncio.run(get(world.app, "/api/v2/asyncapi.json"))
    assert served.status_code == httpx.codes.OK
    found = served.json()
    assert found == document(world.app.title, found["info"]["version"], "http://127.0.0.1:8080")
    addresses = [one["address"] for one in found["channels"].values()]
    assert addresses == [address for family in FAMILIES for address in family.addresses]
    for reference in _references(found):
        place = found
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]
    for one in found["channels"].values():
        assert set(one["parameters"]) == set(_braces(one["address"]))


async def get(app, path):
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://venue") as client:
        return await client.get(path)


def test_a_venue_behind_tls_is_reached_by_wss():
    server = document("x", "1", "https://venue.example")["servers"]["venue"]
    assert (server["protocol"], server["host"]) == ("wss", "venue.example")


def _references(found):
    text = json.dumps(found)
    return [part.split('"')[0] for part in text.split('"$ref": "')[1:]]


def _braces(address):
    return [part.split("}")[0] for part in address.split("{")[1:]]
