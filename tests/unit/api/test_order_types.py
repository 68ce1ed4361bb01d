"""Orders that wait, in Deribit's words: what is signed, what is shown, what contradicts itself."""

import asyncio

import msgspec
import pytest
from tests.unit.api.world import (
    CALL_NAME,
    MAKER_KEY,
    TAKER_KEY,
    call,
    session_of,
    sign_order,
)
from tests.venue import C, contracts, usdc

from exchange.api.order_types import TypeParams, is_market, trigger_of
from exchange.model import PriceSource, Side, Trigger, TriggerKind

STOP = {"type": "stop_limit", "trigger": "mark_price", "trigger_price": "900"}


def ask(world, method, params, key=None):
    session = session_of(world, key).session if key else None
    return asyncio.run(call(world, f"private/{method}", params, session=session))


def params(**fields):
    return msgspec.json.decode(msgspec.json.encode({"price": 1} | fields), type=TypeParams)


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


def test_a_trailing_stop_shows_where_it_would_fire_now(world):
    """It follows the best mark since its entry, and never turns back."""
    trail = {"type": "trailing_stop", "trigger": "mark_price", "trigger_offset": "20"}
    placed = ask(world, "sell", world.order("sell", **trail))["result"]["order"]
    assert placed["trigger_price"] == 980
    asked = {"order_id": placed["order_id"]}
    for mark in (1_100, 1_090):
        world.do(lambda venue, mark=mark: venue.mark({C: mark}))
        assert ask(world, "get_order_state", asked, TAKER_KEY)["result"]["trigger_price"] == 1080
    (listed,) = ask(world, "get_open_orders", {}, TAKER_KEY)["result"]
    by_nonce = {"subaccount_id": listed["subaccount_id"], "nonce": listed["nonce"]}
    assert ask(world, "get_order_state_by_nonce", by_nonce, TAKER_KEY)["result"] == listed
    world.do(lambda venue: venue.mark({C: 1_080}))
    fired = ask(world, "get_order_state", asked, TAKER_KEY)["result"]
    assert (fired["order_state"], "trigger_price" in fired) == ("cancelled", False)


def test_a_market_order_takes_what_it_finds(world):
    """Immediate or cancel, at its worst price or better, under its own name."""
    ask(world, "sell", world.order("sell", key=MAKER_KEY, price="990", amount="0.5"))
    placed = ask(world, "buy", world.order("buy", type="market", price="500000"))["result"]
    assert [trade["price"] for trade in placed["trades"]] == [990]
    assert placed["trades"][0]["order_type"] == "market"
    order = placed["order"]
    assert (order["order_type"], order["order_state"]) == ("market", "cancelled")
    assert order["time_in_force"] == "immediate_or_cancel"
    assert order["price"] == 11_000  # the band's end: the mark and a tenth of the index


def test_filters_by_type(world):
    """Lists and cancels name limit, market, stop, take and trailing orders."""
    trigger = {"trigger": "mark_price"}
    given = {
        "limit": {},
        "stop_limit": {**trigger, "trigger_price": "900"},
        "stop_market": {**trigger, "trigger_price": "900"},
        "take_limit": {**trigger, "trigger_price": "1100"},
        "take_market": {**trigger, "trigger_price": "1100"},
        "trailing_stop": {**trigger, "trigger_offset": "20"},
    }
    for name, fields in given.items():
        ask(world, "sell", world.order("sell", type=name, **fields))

    def listed(wanted):
        rows = ask(world, "get_open_orders", {"type": wanted}, TAKER_KEY)["result"]
        return [row["order_type"] for row in rows]

    assert listed("all") == list(given)
    assert listed("market") == []
    assert listed("trigger_all") == list(given)[1:]
    assert listed("stop_all") == ["stop_limit", "stop_market"]
    assert listed("take_all") == ["take_limit", "take_market"]
    assert listed("trailing_all") == ["trailing_stop"]
    for name in given:
        assert listed(name) == [name]
    by_currency = {"currency": "BTC", "type": "stop_market"}
    rows = ask(world, "get_open_orders_by_currency", by_currency, TAKER_KEY)["result"]
    assert len(rows) == 1
    assert ask(world, "cancel_all_by_currency", by_currency, TAKER_KEY)["result"] == 1
    by_name = {"instrument_name": CALL_NAME, "type": "take_all"}
    assert ask(world, "cancel_all_by_instrument", by_name, TAKER_KEY)["result"] == 2
    assert listed("all") == ["limit", "stop_limit", "trailing_stop"]


@pytest.mark.parametrize("name", ["max_show", "display_amount"])
def test_an_iceberg_shows_a_slice_and_refreshes_it(world, name):
    """The public book sees the slice, also after it was traded away."""
    order = world.order("sell", amount="5") | {name: "2"}
    placed = ask(world, "sell", order)["result"]["order"]
    assert (placed["max_show"], placed["display_amount"], placed["refresh_amount"]) == (2, 2, 2)
    book = world.gateway.view.books[C]
    assert book.levels(Side.SELL) == [(usdc(1_000), 20_000)]
    for taken, shown in (("0.5", 1.5), ("1.5", 2), ("2", 1)):
        ask(world, "buy", world.order("buy", key=MAKER_KEY, amount=taken))
        asked = {"order_id": placed["order_id"]}
        found = ask(world, "get_order_state", asked, TAKER_KEY)["result"]
        assert found["display_amount"] == shown
        assert book.levels(Side.SELL) == [(usdc(1_000), contracts(str(shown)))]
        assert world.venue.engine.levels(C, Side.SELL, 0) == book.levels(Side.SELL)
    world.gateway.view.check()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_show": "1", "display_amount": "2"}, "display_amount"),
        ({"max_show": "0"}, "max_show"),
        ({"display_amount": "-1"}, "display_amount"),
    ],
)
def test_a_slice_is_named_once_and_shows_something(world, fields, param):
    error = ask(world, "sell", world.order("sell") | fields)["error"]
    assert error["data"]["param"] == param


def test_both_names_of_a_slice_may_say_the_same(world):
    order = world.order("sell", amount="5") | {"max_show": "2", "display_amount": "2.0"}
    assert ask(world, "sell", order)["result"]["order"]["max_show"] == 2
