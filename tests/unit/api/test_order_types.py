"""Orders that wait, in Deribit's words: what is signed, what is shown, what contradicts itself."""

import asyncio

import msgspec
import pytest
from tests.unit.api.world import MAKER_KEY, TAKER_KEY, World, call, session_of, sign_order
from tests.venue import C, usdc

from exchange.api.order_types import TypeParams, is_market, trigger_of
from exchange.model import PriceSource, Trigger, TriggerKind

STOP = {"type": "stop_limit", "trigger": "mark_price", "trigger_price": "900"}


@pytest.fixture
def world():
    world = World()
    yield world
    world.gateway.stop()


def ask(world, method, params, key=None):
    session = session_of(world, key).session if key else None
    return asyncio.run(call(world, f"private/{method}", params, session=session))


def params(**fields):
    return msgspec.json.decode(msgspec.json.encode(fields), type=TypeParams)


@pytest.mark.parametrize(
    ("name", "kind", "market"),
    [
        ("stop_limit", TriggerKind.STOP, False),
        ("stop_market", TriggerKind.STOP, True),
        ("take_limit", TriggerKind.TAKE, False),
        ("take_market", TriggerKind.TAKE, True),
    ],
)
@pytest.mark.parametrize(
    ("word", "source"),
    [
        ("index_price", PriceSource.INDEX),
        ("mark_price", PriceSource.MARK),
        ("last_price", PriceSource.LAST),
    ],
)
def test_words_become_a_trigger(name, kind, market, word, source):
    """Type and source each have one meaning."""
    given = params(type=name, trigger=word, trigger_price="1.5")
    assert trigger_of(given) == Trigger(kind=kind, source=source, trigger_price=1_500_000)
    assert is_market(given) is market


def test_a_trailing_stop_is_a_market_order_with_an_offset():
    given = params(type="trailing_stop", trigger="mark_price", trigger_offset=20)
    assert trigger_of(given) == Trigger(
        kind=TriggerKind.TRAILING, source=PriceSource.MARK, trail_offset=usdc(20)
    )
    assert is_market(given)


@pytest.mark.parametrize("name", ["limit", "market"])
def test_other_orders_do_not_wait(name):
    assert trigger_of(params(type=name)) is None


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"type": "limit"}, "trigger"),
        ({"trigger": None}, "trigger"),
        ({"trigger_price": None}, "trigger_price"),
        ({"trigger_offset": "1"}, "trigger_offset"),
        ({"type": "trailing_stop"}, "trigger_price"),
        ({"type": "trailing_stop", "trigger_price": None}, "trigger_offset"),
    ],
)
def test_fields_of_another_type_are_refused(world, changes, param):
    """Rather than ignored: the owner meant something by them."""
    fields = {k: v for k, v in (STOP | changes).items() if v is not None}
    order = world.order("sell", key=MAKER_KEY) | fields
    error = ask(world, "sell", order)["error"]
    assert (error["message"], error["data"]["param"]) == ("bad_request", param)


def test_an_order_waits_fires_and_shows_it(world):
    """Untriggered, then open, under one id; the signature covers the trigger."""
    order = world.order("sell", key=MAKER_KEY, price="890", **STOP)
    placed = ask(world, "sell", order)["result"]["order"]
    assert placed["order_state"] == "untriggered"
    assert (placed["order_type"], placed["trigger"], placed["trigger_price"]) == (
        "stop_limit",
        "mark_price",
        900,
    )
    (listed,) = ask(world, "get_open_orders", {}, MAKER_KEY)["result"]
    assert listed["order_id"] == placed["order_id"]
    world.do(lambda venue: venue.mark({C: 900}))
    shown = ask(world, "get_order_state", {"order_id": placed["order_id"]}, MAKER_KEY)["result"]
    assert (shown["order_state"], shown["price"]) == ("open", 890)
    assert ask(world, "sell", order)["result"]["order"]["order_id"] == placed["order_id"]
    other = order | {"trigger_price": "901"}
    assert ask(world, "sell", other)["error"]["data"]["reject_reason"] == "bad_signature"


def test_a_trailing_stop_shows_its_offset(world):
    trail = {"type": "trailing_stop", "trigger": "mark_price", "trigger_offset": "20"}
    placed = ask(world, "sell", world.order("sell", **trail))["result"]["order"]
    assert (placed["order_type"], placed["trigger_offset"]) == ("trailing_stop", 20)
    assert placed["time_in_force"] == "immediate_or_cancel"


def test_a_stop_market_order_shows_its_type(world):
    order = world.order("sell", **(STOP | {"type": "stop_market"}))
    assert ask(world, "sell", order)["result"]["order"]["order_type"] == "stop_market"


def test_an_untriggered_order_can_be_edited(world):
    """New numbers, the same trigger."""
    order = world.order("sell", **STOP)
    placed = ask(world, "sell", order)["result"]["order"]
    changed = order | {"amount": "2", "price": "880", "version": 1}
    fields = ("amount", "price", "version", "deadline", "max_fee", "signer")
    edit = {name: changed[name] for name in fields} | {
        "order_id": placed["order_id"],
        "signature": sign_order(changed, "sell", TAKER_KEY),
    }
    found = ask(world, "edit", edit)["result"]["order"]
    assert (found["order_state"], found["amount"], found["price"]) == ("untriggered", 2, 880)
