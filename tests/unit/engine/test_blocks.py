"""Blocks: two signed orders meet outside the book, whole, under every check of a single order."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine.test_combo_trading import ANNE, BOB, HIGH, Market
from tests.venue import (
    FEES,
    PERP,
    C,
    P,
    Venue,
    contracts,
    fills,
    limits,
    linear_venue,
    names,
    open_venue,
    refusals,
    usdc,
)

from exchange.commands import Halt, PlaceOrder, TradeBlock
from exchange.events import ComboTraded, OrderPlaced, OrderRepeated, RejectReason, Traded
from exchange.model import OrderStatus, PriceSource, Side, TimeInForce, Trigger, TriggerKind
from exchange.signing import trigger_hash

R = RejectReason
BUY, SELL = Side.BUY, Side.SELL
FOK = TimeInForce.FOK


@pytest.fixture
def stage() -> tuple[Venue, int, int]:
    venue = open_venue(fees=FEES)
    return venue, venue.fund(ANNE), venue.fund(BOB)


def block(venue: Venue, maker: PlaceOrder, taker: PlaceOrder) -> Any:
    return venue.send(TradeBlock(maker=maker, taker=taker))


def pair(venue: Venue, first: int, second: int, **changes: Any) -> tuple[PlaceOrder, PlaceOrder]:
    """The maker sells what the taker buys, unless `changes` of either say otherwise."""
    given = {"side": SELL, "quantity": 5, "price": 1_000, "time_in_force": FOK}
    makes = given | changes.get("maker", {})
    takes = given | {"side": BUY, "price": 1_010} | changes.get("taker", {})
    return signed(venue, first, makes), signed(venue, second, takes)


def signed(venue: Venue, who: int, fields: dict[str, Any]) -> PlaceOrder:
    fields = dict(fields)
    side, quantity, price = (fields.pop(name) for name in ("side", "quantity", "price"))
    return venue.sign(who, side, quantity, price, **fields)


def test_two_orders_trade_at_the_makers_price(stage):
    venue, anne, bob = stage
    events = block(venue, *pair(venue, anne, bob))
    assert fills(events) == [(usdc(1_000), contracts(5))]
    assert (venue.position(anne), venue.position(bob)) == (-contracts(5), contracts(5))
    assert [event.order_id for event in events if isinstance(event, OrderPlaced)]
    assert names(events) == ["OrderPlaced", "OrderPlaced", "Traded"]
    for who in (anne, bob):
        (order,) = venue.engine.subaccounts[who].orders.values()
        assert order.status is OrderStatus.FILLED
        assert venue.engine.subaccounts[who].open_orders == {}
    assert venue.book() == ([], [])


def test_a_block_leaves_the_book_alone(stage):
    """A better price rests in the book; the block passes it by, both sides having signed."""
    venue, anne, bob = stage
    resting = venue.fund("0x" + "7" * 40)
    venue.sell(resting, 1, 900)
    before = venue.book()
    assert fills(block(venue, *pair(venue, anne, bob))) == [(usdc(1_000), contracts(5))]
    assert venue.book() == before


def test_fees_are_those_of_a_match(stage):
    venue, anne, bob = stage
    (traded,) = (
        event for event in block(venue, *pair(venue, anne, bob)) if isinstance(event, Traded)
    )
    twin = open_venue(fees=FEES)
    one, two = twin.fund(ANNE), twin.fund(BOB)
    twin.sell(one, 5, 1_000)
    (usual,) = (event for event in twin.buy(two, 5, 1_000) if isinstance(event, Traded))
    assert (traded.maker_fee, traded.taker_fee) == (usual.maker_fee, usual.taker_fee)
    assert (venue.cash(anne), venue.cash(bob)) == (twin.cash(one), twin.cash(two))


def test_perpetuals_too():
    venue = linear_venue()
    venue.list_instruments(PERP)
    venue.mark({PERP: 100_000})
    anne, bob = venue.fund(ANNE), venue.fund(BOB)
    changes = {"instrument_id": PERP, "price": 100_000, "quantity": 1}
    orders = pair(venue, anne, bob, maker=changes, taker=changes)
    assert fills(block(venue, *orders)) == [(usdc(100_000), contracts(1))]


def test_combos_trade_all_legs_under_one_net_price():
    market = Market(fees=FEES)
    events = block(market.venue, *units(market, 2, 1_000, 1_100))
    (traded,) = (event for event in events if isinstance(event, ComboTraded))
    assert (traded.value, traded.quantity) == (usdc(2_000), contracts(2))
    legs = {event.instrument_id: event.price for event in events if isinstance(event, Traded)}
    assert legs[C] - legs[HIGH] == usdc(1_000)
    assert market.venue.position(market.bob, C) == contracts(2)
    assert market.venue.position(market.bob, HIGH) == -contracts(2)


def units(market: Market, quantity: int, price: int, limit: int) -> tuple[PlaceOrder, PlaceOrder]:
    """Anne sells units of the combo to Bob."""
    combo = {"instrument_id": market.combo.instrument_id, "legs_hash": market.combo.legs_hash}
    makes = combo | {"quantity": quantity, "price": price}
    takes = makes | {"price": limit}
    return pair(market.venue, market.anne, market.bob, maker=makes, taker=takes)


MISFITS = [
    {"maker": {"time_in_force": TimeInForce.GTC}},
    {"taker": {"time_in_force": TimeInForce.IOC}},
    {"maker": {"post_only": True}},
    {"maker": {"max_show": contracts(1)}},
    {"taker": {"market": True}},
    {"taker": {"instrument_id": P}},
    {"taker": {"quantity": 4}},
    {"taker": {"side": SELL}},
    {"taker": {"price": 999}},
    {"maker": {"side": BUY, "price": 999}, "taker": {"side": SELL, "price": 1_000}},
]


@pytest.mark.parametrize("changes", MISFITS)
def test_orders_that_do_not_fit_are_refused(stage, changes):
    venue, anne, bob = stage
    assert refusals(block(venue, *pair(venue, anne, bob, **changes))) == [R.BAD_BLOCK]


def test_a_waiting_order_is_no_side_of_a_block(stage):
    venue, anne, bob = stage
    trigger = Trigger(kind=TriggerKind.STOP, source=PriceSource.MARK, trigger_price=usdc(1))
    changes = {"trigger": trigger, "trigger_hash": trigger_hash(trigger)}
    assert refusals(block(venue, *pair(venue, anne, bob, maker=changes))) == [R.BAD_BLOCK]


def test_nobody_trades_a_block_with_oneself(stage):
    venue, anne, _ = stage
    second = venue.fund(ANNE)
    for other in (anne, second):
        assert refusals(block(venue, *pair(venue, anne, other))) == [R.BAD_BLOCK]


CHECKS = [
    ({"quantity": 50}, R.INSUFFICIENT_MARGIN),
    ({"deadline": 1}, R.DEADLINE_PASSED),
    ({"max_fee": 0}, R.MAX_FEE_TOO_LOW),
    ({"signer": "0x" + "9" * 40}, R.UNAUTHORIZED_SIGNER),
    ({"reduce_only": True}, R.REDUCE_ONLY_INCREASES),
]


@pytest.mark.parametrize("who", ["maker", "taker"])
@pytest.mark.parametrize(("changes", "reason"), CHECKS)
def test_each_side_passes_the_checks_of_an_order(stage, who, changes, reason):
    """And a refusal changes nothing: the same innocent signature trades later."""
    venue, anne, bob = stage
    both = {"quantity": changes.get("quantity", 5)}
    if "quantity" in changes:
        venue = open_venue(fees=FEES)
        rich, poor = venue.fund(ANNE, 10**7), venue.fund(BOB, 1_000)
        anne, bob = (poor, rich) if who == "maker" else (rich, poor)
    fields = {name: both | (changes if name == who else {}) for name in ("maker", "taker")}
    orders = pair(venue, anne, bob, **fields)
    events = block(venue, *orders)
    assert refusals(events) == [reason]
    assert events[0].subaccount_id == (anne if who == "maker" else bob)
    assert not any(venue.engine.subaccounts[number].orders for number in (anne, bob))
    assert venue.book() == ([], [])


@pytest.mark.parametrize(("who", "price"), [("maker", "1000.001"), ("taker", "1010.001")])
def test_prices_lie_on_the_grid(stage, who, price):
    venue, anne, bob = stage
    assert refusals(block(venue, *pair(venue, anne, bob, **{who: {"price": price}}))) == [
        R.PRICE_OFF_TICK
    ]


def test_an_innocent_signature_is_not_used_up(stage):
    venue, anne, bob = stage
    poor = venue.fund("0x" + "8" * 40, 1)
    maker, taker = pair(venue, anne, poor)
    assert refusals(block(venue, maker, taker)) == [R.INSUFFICIENT_MARGIN]
    _, other = pair(venue, anne, bob)
    assert fills(block(venue, maker, other)) == [(usdc(1_000), contracts(5))]


def test_the_same_block_again_answers_with_the_first_outcome(stage):
    venue, anne, bob = stage
    orders = pair(venue, anne, bob)
    block(venue, *orders)
    again = block(venue, *orders)
    assert [type(event) for event in again] == [OrderRepeated, OrderRepeated]
    assert venue.position(bob) == contracts(5)


def test_a_used_nonce_is_refused_on_either_side(stage):
    venue, anne, bob = stage
    carl = venue.fund("0x" + "7" * 40)
    maker, taker = pair(venue, anne, bob)
    block(venue, maker, taker)
    _, other = pair(venue, anne, carl)
    assert refusals(block(venue, maker, other)) == [R.NONCE_USED]
    fresh, _ = pair(venue, carl, bob)
    assert refusals(block(venue, fresh, taker)) == [R.NONCE_USED]


def test_small_blocks_belong_into_the_book():
    venue = open_venue(limits=limits(block_quantity_min=contracts(5)))
    anne, bob = venue.fund(ANNE), venue.fund(BOB)
    small = {"quantity": 4}
    orders = pair(venue, anne, bob, maker=small, taker=small)
    assert refusals(block(venue, *orders)) == [R.BLOCK_TOO_SMALL]
    assert fills(block(venue, *pair(venue, anne, bob)))


def test_a_block_is_as_large_as_its_largest_leg():
    """Two units of two calls against three are six contracts of the latter."""
    market = Market((C, 2), (HIGH, -3), limits=limits(block_quantity_min=contracts(6)))
    assert refusals(block(market.venue, *units(market, 1, 500, 500))) == [R.BLOCK_TOO_SMALL]
    assert fills(block(market.venue, *units(market, 2, 500, 500)))


def test_a_halted_instrument_trades_no_blocks(stage):
    venue, anne, bob = stage
    venue.send(Halt(instrument_id=C, reason="test"))
    assert refusals(block(venue, *pair(venue, anne, bob))) == [R.INSTRUMENT_HALTED]


def test_a_net_price_that_no_leg_prices_reach_is_refused():
    market = Market()
    events = block(market.venue, *units(market, 1, 60_000, 60_000))
    assert refusals(events) == [R.PRICE_OUTSIDE_BAND]


def test_a_block_closes_a_position_reduce_only(stage):
    venue, anne, bob = stage
    block(venue, *pair(venue, anne, bob))
    closing = {"side": BUY, "reduce_only": True}
    opening = {"side": SELL, "price": 1_000, "reduce_only": True}
    events = block(venue, *pair(venue, anne, bob, maker=closing, taker=opening))
    assert fills(events) == [(usdc(1_000), contracts(5))]
    assert (venue.position(anne), venue.position(bob)) == (0, 0)


@given(
    quantity=st.integers(1, 40),
    price=st.integers(950, 1_050),
    side=st.sampled_from(Side),
    gap=st.integers(0, 10),
)
def test_a_block_does_what_a_match_in_an_empty_book_does(quantity, price, side, gap):
    """The twin: the maker rests alone, the taker hits it; cash and positions are the same."""
    venue, twin = open_venue(fees=FEES), open_venue(fees=FEES)
    anne, bob = venue.fund(ANNE), venue.fund(BOB)
    assert (twin.fund(ANNE), twin.fund(BOB)) == (anne, bob)
    makes = {"side": side, "quantity": quantity, "price": price}
    takes = {"side": side.opposite, "quantity": quantity, "price": price - side.sign * gap}
    events = block(venue, *pair(venue, anne, bob, maker=makes, taker=takes))
    enter = {BUY: twin.buy, SELL: twin.sell}
    enter[side](anne, quantity, price)
    enter[side.opposite](bob, quantity, price - side.sign * gap, time_in_force=FOK)
    for who in (anne, bob):
        assert venue.cash(who) == twin.cash(who)
        assert venue.position(who) == twin.position(who)
    assert bool(fills(events)) is bool(venue.position(bob))
    assert venue.twin().state_hash() == venue.engine.state_hash()
