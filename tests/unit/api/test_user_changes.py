"""Who sees which changes, and that combos have no position of their own."""

import asyncio

import msgspec
from tests.unit.api.test_channels import trade
from tests.unit.api.world import CALL_NAME, MAKER_ID, PUT_NAME, TAKER_ID, World, call, session_of

from exchange.api.user_changes import changes_of


def test_one_object_for_each_side_of_a_trade_that_may_be_seen():
    world = World()
    trade(world)
    view = world.gateway.view
    things = [*view.trades.values(), *view.orders.values()]
    both = list(changes_of(view, things, lambda _: True))
    assert [one["positions"][0]["subaccount_id"] for one in both] == [MAKER_ID, TAKER_ID]
    assert [bytes(one["positions"][0]["size"]) for one in both] == [b"-1", b"1"]
    (mine,) = changes_of(view, things, lambda number: number == TAKER_ID)
    assert [row["liquidity"] for row in mine["trades"]] == ["T"]
    (orders,) = changes_of(view, list(view.orders.values())[:1], lambda _: True)
    assert (orders["trades"], orders["positions"]) == ([], [])
    world.gateway.stop()


def test_a_combo_has_no_position():
    world = World()
    legs = [{"instrument_name": name, "amount": 1} for name in (CALL_NAME, PUT_NAME)]
    session = session_of(world).session
    asyncio.run(call(world, "private/create_combo", {"trades": legs}, session=session))
    view = world.gateway.view
    combo = next(one for one in view.instruments.values() if one.legs)
    trade(world)
    (first, *_) = view.trades.values()
    of_combo = msgspec.structs.replace(first, instrument_id=combo.instrument_id)
    found = list(changes_of(view, [of_combo], lambda _: True))
    assert [one["positions"] for one in found] == [[], []]
    world.gateway.stop()
