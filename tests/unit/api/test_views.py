"""The view equals the engine, whatever happens, and says what each entry touched."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine_flow import Flow
from tests.liquidation_world import liquidating_venue
from tests.unit.api.world import FakeSequencer
from tests.unit.engine.test_acts import auctioned, refuse
from tests.unit.engine.test_remedies import novate, novated
from tests.venue import CHAIN, EXPIRY_S, FEE_ID, FEES, NS, C, P, Venue

from exchange.api.views import VenueView
from exchange.commands import (
    BatchSeen,
    CutBatch,
    ExpireInstruments,
    ListCombo,
    ReleaseOrders,
    SessionKeySeen,
    SetSpeedBump,
    SubaccountSeen,
)
from exchange.events import Traded
from exchange.model import Leg, OrderStatus, PriceSource, Side, TimeInForce, Trigger, TriggerKind
from exchange.signing import trigger_hash

MAKER, TAKER, KEY = ("0x" + digit * 40 for digit in "123")
ACTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("order"),
            st.sampled_from(Side),
            st.integers(1, 5),
            st.integers(996, 1_004),
            st.fixed_dictionaries(
                {
                    "time_in_force": st.sampled_from([*TimeInForce]),
                    "post_only": st.booleans(),
                    "reduce_only": st.booleans(),
                    "subaccount": st.integers(2, 3),
                    "lifetime": st.integers(1, 100),
                }
            ),
        ),
        st.tuples(st.just("amend"), st.integers(0, 20), st.integers(1, 5), st.integers(996, 1_004)),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
        st.tuples(st.just("wait"), st.integers(1, 25)),
    ),
    max_size=40,
)


def market():
    venue = Venue(fees=FEES)
    venue.checking = False
    venue.index()
    venue.list_instruments(*CHAIN)
    venue.mark(dict.fromkeys(CHAIN, 1_000))
    venue.fund(MAKER)
    venue.fund(TAKER)
    return venue


def perform(venue, action, placed):
    match action:
        case ("order", side, quantity, price, options):
            fields = dict(options)
            deadline = venue.now_s + fields.pop("lifetime")
            terms = venue.terms(
                fields.pop("subaccount"),
                side,
                quantity,
                price,
                deadline=deadline,
                reduce_only=fields.pop("reduce_only"),
            )
            if fields["time_in_force"] in (TimeInForce.IOC, TimeInForce.FOK):
                fields["post_only"] = False
            events = venue.place(terms, **fields)
            if (terms.subaccount_id, terms.nonce) in venue.signed:
                placed.append(events)
        case ("amend", which, quantity, price) if placed:
            venue.amend(
                placed[which % len(placed)],
                quantity=quantity * 10_000,
                limit_price=price * 10**6,
                deadline=venue.now_s + 50,
            )
        case ("cancel", which) if placed:
            venue.cancel(placed[which % len(placed)])
        case ("wait", seconds):
            venue.wait(seconds)
            venue.index()


def assert_equal(view, engine):
    for instrument_id in CHAIN:
        for side in Side:
            assert view.books[instrument_id].levels(side) == engine.levels(instrument_id, side, 0)
    for subaccount_id in (2, 3):
        ours = view.open_orders.get(subaccount_id, {})
        theirs = {order.order_id: order for order in engine.open_orders(subaccount_id)}
        assert ours.keys() == theirs.keys()
        for order_id, order in theirs.items():
            assert ours[order_id].filled_quantity == order.filled_quantity
            assert ours[order_id].version == order.version
            assert ours[order_id].deadline == order.deadline
        held = view.positions.get(subaccount_id, {})
        assert {k: p.quantity for k, p in held.items() if p.quantity} == engine.positions(
            subaccount_id
        )
    for order_id, record in view.orders.items():
        order = engine.order(order_id)
        if order is not None:
            assert record.status == order.status


@given(ACTIONS)
def test_the_view_follows_the_engine(actions):
    venue, view, placed = market(), VenueView(), []
    sequencer = FakeSequencer(venue)
    for action in [None, *actions]:
        if action:
            perform(venue, action, placed)
        for entry in sequencer.entries()[view.seq :]:
            view.apply(entry)
        view.check()
        assert_equal(view, venue.engine)
    interest = sum(max(0, p.quantity) for held in view.positions.values() for p in held.values())
    assert view.open_interest.get(C, 0) == interest


def followed(venue):
    view = VenueView()
    for entry in FakeSequencer(venue).entries():
        touched = view.apply(entry)
    return view, touched


def test_an_entry_says_what_it_touched():
    venue = market()
    venue.sell(2, 2, 1_000)
    venue.buy(3, 1, 1_000)
    _, touched = followed(venue)
    assert [trade.quantity for trade in touched.trades] == [10_000]
    assert touched.subaccounts == {2, 3}
    assert {order.status for order in touched.orders.values()} == {
        OrderStatus.OPEN,
        OrderStatus.FILLED,
    }
    ((instrument_id, delta),) = touched.books
    assert instrument_id == C
    assert delta.asks == [("change", 1_000 * 10**6, 10_000)]


def test_a_deadline_expires_an_order_in_the_view():
    venue = market()
    placed = venue.buy(2, 1, 1_000, deadline=venue.now_s + 5)
    venue.wait(6)
    venue.index()
    _, touched = followed(venue)
    (record,) = touched.orders.values()
    assert record.status is OrderStatus.EXPIRED
    assert record.cancel_reason == "deadline"
    assert venue.view(placed).status is OrderStatus.EXPIRED


def test_session_keys_open_the_owners_subaccounts_until_their_deadline():
    venue = market()
    venue.observe(SessionKeySeen(owner=MAKER, key=KEY, deadline=venue.now_s + 10))
    view, _ = followed(venue)
    assert view.subaccounts_of(KEY, venue.time_ns) == [2]
    assert view.may_access(2, KEY, venue.time_ns)
    assert not view.may_access(3, KEY, venue.time_ns)
    assert not view.may_access(99, KEY, venue.time_ns)
    later = venue.time_ns + 10 * NS
    assert view.subaccounts_of(KEY, later) == []
    assert not view.may_access(2, KEY, later)


def test_a_trade_is_sequenced_then_batched_then_confirmed():
    venue = market()
    venue.sell(2, 1, 1_000)
    venue.buy(3, 1, 1_000)
    seq = len(venue.entries)
    assert followed(venue)[0].batch_of(seq) is None
    venue.send(CutBatch())
    batch = followed(venue)[0].batch_of(seq)
    assert (batch.number, batch.confirmed) == (1, False)
    venue.observe(BatchSeen(number=1, batch_hash=bytes(32), block=9, transaction="0xaa"))
    batch = followed(venue)[0].batch_of(seq)
    assert (batch.block, batch.transaction, batch.confirmed) == (9, "0xaa", True)


def test_expiry_pays_positions_off_and_closes_the_instruments():
    venue = market()
    venue.sell(2, 1, 1_000)
    venue.buy(3, 1, 1_000)
    venue.wait_until(EXPIRY_S - 1_800)
    for _ in range(61):
        venue.index(103_000)
        venue.wait(30)
    venue.send(ExpireInstruments(underlying_id=1, expiry=EXPIRY_S))
    view, _ = followed(venue)
    assert C in view.expired
    assert P in view.expired
    position = view.positions[3][C]
    assert (position.quantity, position.cost) == (0, 0)
    assert position.realized == 2_000 * 10**6  # 3,000 of payoff for 1,000
    assert view.open_interest[C] == 0
    assert view.deliveries[0].price == 103_000 * 10**6


@pytest.mark.parametrize("seed", range(3))
def test_halts_auctions_icebergs_and_protection_leave_the_books_equal(seed):
    """The engine's own random flow; hidden quantity stays hidden."""
    rng = random.Random(seed)
    flow = Flow(rng.randint)
    flow.venue.checking = False
    view, sequencer = VenueView(), FakeSequencer(flow.venue)
    for _ in range(250):
        flow.step()
        for entry in sequencer.entries()[view.seq :]:
            view.apply(entry)
        view.check()
        for instrument_id, book in view.books.items():
            assert view.statuses[instrument_id] == flow.venue.engine.status(instrument_id)
            for side in Side:
                assert book.levels(side) == flow.venue.engine.levels(instrument_id, side, 0)


def test_orders_that_wait_enter_the_book_when_triggered():
    venue = market()
    trigger = Trigger(
        kind=TriggerKind.STOP, source=PriceSource.INDEX, trigger_price=101_000 * 10**6
    )
    terms = venue.terms(3, Side.BUY, 1, 1_000, trigger_hash=trigger_hash(trigger))
    venue.place(terms, trigger=trigger)
    view, touched = followed(venue)
    (order,) = touched.orders.values()
    assert order.status is OrderStatus.UNTRIGGERED
    assert view.books[C].levels(Side.BUY) == []
    view.check()
    venue.index(102_000)
    view, touched = followed(venue)
    (order,) = touched.orders.values()
    assert order.status is OrderStatus.OPEN
    assert view.books[C].levels(Side.BUY) == [(1_000 * 10**6, 10_000)]
    view.check()


def test_a_novation_moves_positions_to_the_venue():
    """As the engine has it: one side is flat again, the venue holds what it had."""
    venue = market()
    view = VenueView()
    venue.observe(SubaccountSeen(subaccount_id=FEE_ID, owner="house"))
    venue.sell(2, 1, 1_000)
    (trade,) = [event for event in venue.buy(3, 1, 1_000) if isinstance(event, Traded)]
    venue.send(CutBatch())
    fill = novated(venue, trade, maker=True)
    assert fill.subaccount_id == 2
    novate(venue, fill)
    sequencer = FakeSequencer(venue)
    for entry in sequencer.entries():
        view.apply(entry)
    for subaccount_id in (FEE_ID, 2, 3):
        held = {key: one.quantity for key, one in view.positions[subaccount_id].items()}
        assert {key: n for key, n in held.items() if n} == venue.engine.positions(subaccount_id)


@pytest.mark.parametrize("fund", [0, FEE_ID])
def test_a_refused_act_moves_positions_back(fund):
    """Or on to the fund; as the engine has it."""
    venue = liquidating_venue()
    seller, keeper, sold, _ = auctioned(venue)
    refuse(venue, sold, fund=fund)
    view, _ = followed(venue)
    for subaccount_id in (FEE_ID, seller, keeper):
        held = {key: one.quantity for key, one in view.positions.get(subaccount_id, {}).items()}
        assert {key: n for key, n in held.items() if n} == venue.engine.positions(subaccount_id)


def test_an_order_that_waits_in_a_combo_stays_open():
    """The bump of a leg holds back what it takes there, not the order."""
    venue = market()
    combo = venue.send(ListCombo(legs=(Leg(C, 1), Leg(P, 1))))[-1]
    venue.send(SetSpeedBump(instrument_id=C, delay_ns=20))
    for instrument_id in (C, P):
        venue.sell(2, 1, 1_000 if instrument_id == C else 1_001, instrument_id=instrument_id)
    hashed = venue.engine.instruments[combo.instrument_id].legs_hash
    venue.order(3, Side.BUY, 1, 2_000, combo.instrument_id, legs_hash=hashed)
    venue.time_ns += 20
    venue.send(ReleaseOrders())
    events = venue.sell(2, 1, 1_000, instrument_id=P)
    assert type(events[-1]).__name__ == "OrderDelayed"
    view, _ = followed(venue)
    assert view.books[combo.instrument_id].levels(Side.BUY) != []
    assert view.orders[events[-1].order_id].status is OrderStatus.OPEN
    view.check()
