"""Volatility orders on the wire: priced on arrival, shown with their volatility, edited by it."""

import asyncio

import msgspec
import pytest
from tests.unit.api.world import MAKER_KEY, TAKER_KEY, World, call, session_of, sign_order
from tests.venue import C, usdc

from exchange.api.volatility import price_now
from exchange.commands import PricedOrder, Reprice
from exchange.fixed import VOL_SCALE
from exchange.margin.volatility_price import volatility_price
from exchange.model import Side

VOLATILITY = {"advanced": "implv", "price": "25.5", "limit_price": "4000"}


def ask(world, method, params, key=None):
    session = session_of(world, key).session if key else None
    return asyncio.run(call(world, f"private/{method}", params, session=session))


def bid(world, **changes):
    return ask(world, "buy", world.order("buy", **(VOLATILITY | changes)))


def worth(world, volatility, index=100_000):
    instrument = world.venue.engine.instruments[C]
    return volatility_price(instrument, Side.BUY, volatility, usdc(index), world.venue.time_ns)


def test_it_enters_at_what_its_volatility_is_worth_and_shows_all(world):
    order = bid(world)["result"]["order"]
    now = worth(world, 255 * VOL_SCALE // 1000)
    assert usdc(order["price"]) == usdc(order["usd"]) == now
    assert (order["advanced"], order["implv"], order["limit_price"]) == ("implv", 25.5, 4000)
    assert order["order_type"] == "limit"
    plain = ask(world, "buy", world.order("buy"))["result"]["order"]
    assert not {"advanced", "implv", "usd", "limit_price"} & plain.keys()


def test_the_forward_moves_with_the_index_since_the_epoch(world):
    world.do(lambda venue: venue.index(100_200))
    order = bid(world)["result"]["order"]
    assert usdc(order["price"]) == worth(world, 255 * VOL_SCALE // 1000, index=100_200)


def test_it_trades_on_arrival(world):
    ask(world, "sell", world.order("sell", key=MAKER_KEY, price="3000", amount="0.4"))
    receipt = bid(world)["result"]
    assert [trade["price"] for trade in receipt["trades"]] == [3000]
    assert receipt["order"]["filled_amount"] == 0.4


def test_new_prices_reach_the_public_book_and_the_order(world):
    order = bid(world)["result"]["order"]
    priced = PricedOrder(order_id=int(order["order_id"]), price=usdc(3_100))
    world.do(lambda venue: venue.send(Reprice(orders=(priced,))))
    assert world.gateway.view.books[C].levels(Side.BUY) == [(usdc(3_100), 10_000)]
    world.gateway.view.check()
    shown = ask(world, "get_order_state", {"order_id": order["order_id"]}, TAKER_KEY)["result"]
    assert (shown["price"], shown["usd"], shown["implv"]) == (3100, 3100, 25.5)


def edit(world, placed, **changes):
    changed = placed | changes
    names = ("amount", "price", "version", "deadline", "max_fee", "signer")
    names += tuple({"advanced", "limit_price", "max_show"} & changed.keys())
    fields = {name: changed[name] for name in names}
    signature = sign_order(changed, "buy", TAKER_KEY)
    order = ask(world, "get_open_orders", {}, TAKER_KEY)["result"][0]
    return ask(world, "edit", fields | {"order_id": order["order_id"], "signature": signature})


def test_an_edit_names_a_volatility_again(world):
    placed = world.order("buy", **VOLATILITY)
    ask(world, "buy", placed)
    order = edit(world, placed, price="30", limit_price="3600", version=1)["result"]["order"]
    assert (order["implv"], order["limit_price"]) == (30, 3600)
    assert usdc(order["price"]) == min(usdc(3600), worth(world, 30 * VOL_SCALE // 100))
    plain = {name: value for name, value in placed.items() if name in ("advanced", "limit_price")}
    assert plain
    bare = {name: value for name, value in placed.items() if name not in plain}
    refused = edit(world, bare, version=2)["error"]
    assert refused["data"]["param"] == "advanced"


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"limit_price": None}, "limit_price"),
        ({"advanced": None}, "limit_price"),
        ({"type": "market"}, "type"),
        ({"price": "0"}, "price"),
        ({"price": "-1"}, "price"),
        ({"price": "1000.0001"}, "price"),
        ({"price": "25.12345"}, "price"),
    ],
)
def test_contradictions_are_refused(world, changes, param):
    order = world.order("buy", **VOLATILITY)
    fields = {name: value for name, value in (order | changes).items() if value is not None}
    assert ask(world, "buy", fields)["error"]["data"]["param"] == param


def test_linked_orders_have_prices_of_their_own(world):
    other = world.order("sell", price="1010") | {"direction": "sell"}
    first = world.order("buy", **VOLATILITY)
    linked = {"linked_order_type": "one_cancels_other", "otoco_config": [other]}
    assert ask(world, "buy", first | linked)["error"]["data"]["param"] == "advanced"


def test_while_nothing_is_marked_it_would_rest_at_its_worst_price():
    """The engine refuses it then; the gateway needs a price all the same."""
    world = World()
    view, instrument = world.gateway.view, world.venue.engine.instruments[C]
    view.marks = None
    assert price_now(view, instrument, Side.BUY, VOL_SCALE, 7) == 7
    future = msgspec.structs.replace(instrument, kind=type(instrument.kind).FUTURE)
    with pytest.raises(Exception, match="only options"):
        price_now(view, future, Side.BUY, VOL_SCALE, 7)
    world.gateway.stop()
