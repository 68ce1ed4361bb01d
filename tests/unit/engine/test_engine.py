"""The engine's door: order of commands, what it answers, and that two of them never differ."""

from typing import Any

import msgspec
import pytest
from tests.venue import (
    CHAIN,
    EXPIRY_S,
    NS,
    START_S,
    C,
    Venue,
    call,
    configuration,
    names,
    open_venue,
    placed_in,
    put,
    refusals,
    usdc,
)

from exchange.commands import CancelAll, Configure, CutBatch, NonceFloorSeen, SessionKeySeen
from exchange.engine import Engine, MarginSummary, Mark
from exchange.engine.access import may_sign
from exchange.events import Configured, RejectReason
from exchange.model import Side, TimeInForce

NOW = START_S * NS


def test_nothing_happens_before_the_venue_is_configured():
    """Every other command is refused, and the next one may configure."""
    engine = Engine()
    assert engine.parameters is None
    assert engine.epoch == 0
    assert refusals(engine.apply(1, NOW, CutBatch())) == [RejectReason.NOT_CONFIGURED]
    assert refusals(engine.apply(2, NOW, CancelAll(subaccount_id=1))) == [
        RejectReason.NOT_CONFIGURED
    ]
    assert engine.apply(3, NOW, configuration()) == (Configured(version=1),)
    engine.check()


@pytest.mark.parametrize("seq", [0, 1, 3])
def test_seqs_follow_one_another(seq):
    """A gap or a repetition is a bug of the caller."""
    engine = Engine()
    engine.apply(1, NOW, configuration())
    with pytest.raises(AssertionError, match="expected seq 2"):
        engine.apply(seq, NOW, CutBatch())


def test_time_never_goes_back():
    """It may stand still."""
    engine = Engine()
    engine.apply(1, NOW, configuration())
    engine.apply(2, NOW, CutBatch())
    with pytest.raises(AssertionError, match="time went back"):
        engine.apply(3, NOW - 1, CutBatch())
    assert engine.time_ns == NOW


# --- questions ---


def test_who_may_sign(venue, ann):
    """The owner always, a session key until its deadline, and nobody else."""
    state, until = venue.engine._venue, venue.now_s + 60
    venue.observe(SessionKeySeen(owner="ann", key="key", deadline=until))
    subaccount = state.subaccounts[ann]
    assert may_sign(state, subaccount, "ann", 2**62)
    assert may_sign(state, subaccount, "key", until)
    assert not may_sign(state, subaccount, "key", until + 1)
    assert not may_sign(state, subaccount, "bob", 0)


def test_open_orders_are_listed_in_order_of_entry(venue, ann):
    """All, or those of one instrument."""
    first = placed_in(venue.sell(ann, 1, 2_600)).order_id
    second = placed_in(venue.sell(ann, 1, 2_500, instrument_id=put(100_000))).order_id
    third = placed_in(venue.sell(ann, 1, 2_500)).order_id
    engine = venue.engine
    assert [order.order_id for order in engine.open_orders(ann)] == [first, second, third]
    assert [order.order_id for order in engine.open_orders(ann, C)] == [first, third]


def test_an_order_is_found_by_id_and_by_nonce(venue, ann):
    """With everything that its owner signed and the venue knows."""
    placed = placed_in(
        venue.sell(
            ann,
            "0.5",
            2_600,
            nonce=42,
            deadline=venue.now_s + 99,
            max_fee=7,
            label="mine",
            time_in_force=TimeInForce.GTD,
            post_only=True,
        )
    )
    view = venue.engine.order(placed.order_id)
    assert view == venue.engine.order_by_nonce(ann, 42)
    assert (view.subaccount_id, view.instrument_id, view.side) == (ann, C, Side.SELL)
    assert (view.quantity, view.limit_price, view.max_fee) == (5_000, usdc(2_600), 7)
    assert (view.nonce, view.version, view.deadline) == (42, 0, venue.now_s + 99)
    assert (view.label, view.time_in_force, view.post_only) == ("mine", TimeInForce.GTD, True)
    assert (view.reduce_only, view.placed_ns, view.updated_ns) == (False, NOW, NOW)
    assert view.reject_reason is None


def test_unknown_orders_are_none(venue, ann):
    """By id, by nonce, and for subaccounts that do not exist."""
    assert venue.engine.order(10**9) is None
    assert venue.engine.order_by_nonce(ann, 5) is None
    assert venue.engine.order_by_nonce(99, 5) is None


def test_positions_are_copies(venue, ann, bob):
    """What a reader does with them changes nothing."""
    venue.sell(bob, 1, 2_500)
    venue.buy(ann, 1, 2_500)
    venue.engine.positions(ann).clear()
    assert venue.engine.positions(ann) == {C: 10_000}


def test_margin_of_a_short_call(venue, ann, bob):
    """By hand: 2,500 received, worst scenario 1,250 more, 1 % and 0.5 % of the index for shorts."""
    venue.buy(bob, 1, 2_500)
    venue.sell(ann, 1, 2_500)
    assert venue.engine.margin(ann) == MarginSummary(
        cash=usdc(1_002_500),
        mark_value=-usdc(2_500),
        equity=usdc(1_000_000),
        initial_margin=usdc(1_250 + 1_000 + 500),
        maintenance_margin=usdc(1_000 + 500),
        initial_excess=usdc(1_000_000 - 2_750),
        maintenance_excess=usdc(1_000_000 - 1_500),
    )


def test_marks_are_those_of_the_epoch(venue):
    """An instrument without a row has none."""
    assert venue.engine.mark(C) == Mark(
        mark_price=usdc(2_500), mark_iv=650_000, delta=500_000, vega=100_000_000
    )
    venue.list_instruments(call(120_000))
    assert venue.engine.mark(call(120_000)) is None


def test_levels_come_best_first(venue, ann):
    """As deep as asked; nothing for an instrument without a book."""
    for price in (2_500, 2_520, 2_510):
        venue.sell(ann, 1, price)
    levels = [(usdc(price), 10_000) for price in (2_500, 2_510, 2_520)]
    assert venue.engine.levels(C, Side.SELL, 2) == levels[:2]
    assert venue.engine.levels(C, Side.SELL, 0) == levels
    assert venue.engine.levels(C, Side.BUY, 5) == []
    assert venue.engine.levels(call(120_000), Side.BUY, 5) == []


def test_parameters_and_instruments_can_be_read(venue):
    """The newest configuration and every listed instrument."""
    assert isinstance(venue.engine.parameters, Configure)
    assert list(venue.engine.instruments) == list(CHAIN)
    assert venue.engine.confirmed_batch == venue.engine.batch_number == 0


# --- state hash ---


def content(venue: Venue) -> list[Any]:
    """What the state hash covers, without seq and time."""
    return msgspec.msgpack.decode(venue.engine._venue.encoded())[1:]


def test_the_state_hash_covers_everything():
    """Each thing that happens at a venue changes what is hashed, apart from seq and time."""
    venue = open_venue()
    ann, bob = venue.fund("ann"), venue.fund("bob")
    contents = [content(venue)]

    def note(events: Any) -> None:
        assert refusals(events) == []
        contents.append(content(venue))
        assert contents[-1] != contents[-2]

    note(venue.observe(SessionKeySeen(owner="ann", key="key", deadline=1)))
    before = contents[-1]
    floor = NonceFloorSeen(subaccount_id=ann, floor=1)
    note(venue.observe(floor))
    ours = [part for part in range(len(before)) if before[part] != contents[-1][part]]
    assert len(ours) == 2, "the floor, beside the block in which it was read"
    order = venue.sell(ann, 2, 2_500)
    note(order)
    note(venue.amend(order, quantity=10_000))
    note(venue.buy(bob, "0.5", 2_500))
    note(venue.cancel(order))
    note(venue.withdraw(ann, 1))
    note(venue.send(CutBatch()))
    note(venue.index(100_001))
    note(venue.mark({C: 2_501}))
    note(venue.list_instruments(call(120_000)))
    assert venue.twin().state_hash() == venue.engine.state_hash()


def test_equal_content_with_another_history_differs_by_seq_only_in_the_hash():
    """The hash names a place in the journal, not a picture: a refused command moves it on."""
    venue = open_venue()
    before = venue.engine.state_hash()
    venue.send(CutBatch())
    assert venue.engine.state_hash() != before


def test_an_expiry_enters_the_hash():
    """Delivery price, statuses and payoffs are part of the state."""
    venue = open_venue()
    venue.wait_until(EXPIRY_S + 3_600)
    before = venue.engine.state_hash()
    assert names(venue.expire())[0] == "DeliveryPriceFixed"
    assert venue.engine.state_hash() != before
    assert venue.twin().delivery_prices == {(1, EXPIRY_S): usdc(100_000)}
