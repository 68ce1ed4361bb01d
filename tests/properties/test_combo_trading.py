"""Orders in combos and legs do what the naive venue does: trades, books, positions, priority."""

from collections import Counter
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.naive_combos import NaiveVenue, Resting
from tests.venue import C, P, Venue, call, open_venue, placed_in, usdc

from exchange.commands import CancelOrder, ListCombo
from exchange.events import ComboTraded, OrderPlaced
from exchange.model import Leg, OrderStatus, Side, TimeInForce

HIGH = call(110_000)
LOT = 100
STRUCTURES = ({C: 1, HIGH: -1}, {C: 1, HIGH: -2}, {C: 1, P: 1}, {C: 1, P: -1, HIGH: -1})
WALLETS = ["0x" + digit * 40 for digit in "123"]
STEPS = st.tuples(
    st.sampled_from(("leg", "leg", "leg", "combo", "combo", "cancel", "amend")),
    st.integers(0, 2),  # who
    st.integers(0, 3),  # which
    st.sampled_from(Side),
    st.integers(-3, 3),  # ticks from the mark
    st.integers(1, 4),  # lots
    st.sampled_from((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)),
)
TICK = usdc(10)


class Twins:
    """The engine and the naive venue, side by side."""

    def __init__(self) -> None:
        self.venue: Venue = open_venue()
        self.who = [self.venue.fund(owner, 10_000_000) for owner in WALLETS]
        self.combos: list[int] = []
        for legs in STRUCTURES:
            given_legs = tuple(Leg(*leg) for leg in legs.items())
            self.combos.append(self.venue.send(ListCombo(legs=given_legs))[-1].instrument_id)
        listed = {
            number: dict(self.venue.engine.instruments[number].legs) for number in self.combos
        }
        self.naive = NaiveVenue(listed, LOT)
        self.placed: list[tuple[Any, str | int, Resting]] = []
        self.asked: Counter[int] = Counter()

    def step(self, kind: str, who: int, which: int, side: Side, at: int, lots: int, tif: Any):
        if kind in ("cancel", "amend"):
            return self.change(kind, which + 4 * who, at, lots)
        if kind == "leg":
            name, mark = (C, HIGH, P, C)[which], 2_500 * 10**6
            hashed = b""
        else:
            name = self.combos[which]
            mark = self.venue.engine.mark(name).mark_price
            hashed = self.venue.engine.instruments[name].legs_hash
        return self.enter(who, side, lots, mark + at * TICK, name, hashed, tif)

    def enter(self, who, side, lots, price, name, hashed, tif):
        terms = self.venue.terms(self.who[who], side, 1, 1, name, legs_hash=hashed)
        terms = msgspec.structs.replace(terms, quantity=lots * LOT, limit_price=price)
        events = self.venue.place(terms, time_in_force=tif)
        if not any(isinstance(event, OrderPlaced) for event in events):
            assert tif is TimeInForce.FOK, events
            return
        order = Resting(placed_in(events).order_id, who, int(side), price, lots * LOT)
        place = self.naive.place_combo if hashed else self.naive.place_leg
        place(name, order, rests=tif is TimeInForce.GTC)
        self.placed.append((events, name, order))
        self.compare(events)

    def change(self, kind, which, at, lots):
        standing = [one for one in self.placed if one[2] in self.naive.books[one[1]]]
        if not standing:
            return
        events, name, order = standing[which % len(standing)]
        combo = name in self.combos
        if kind == "cancel":
            self.naive.books[name].remove(order)
            self.naive.follow()
            found = self.venue.send(
                CancelOrder(subaccount_id=self.who[order.owner], order_id=order.order_id)
            )
        else:
            view = self.venue.view(events)
            price, quantity = order.price + at * TICK, view.filled_quantity + lots * LOT
            found = self.venue.amend(events, limit_price=price, quantity=quantity)
            if price == order.price and lots * LOT <= order.left:
                order.left = lots * LOT
                self.naive.follow()
            else:
                self.naive.books[name].remove(order)
                order.price, order.left = price, lots * LOT
                (self.naive.place_combo if combo else self.naive.place_leg)(name, order)
        self.compare(found)

    def compare(self, events):
        """The same trades of combos lot by lot; then the same books and positions."""
        trades = [
            (event.instrument_id, event.maker_order_id, event.value / event.quantity * 10**4)
            for event in events
            if isinstance(event, ComboTraded)
            for _ in range(event.quantity // LOT)
        ]
        assert trades == self.naive.trades
        self.naive.trades.clear()
        for name, orders in self.naive.books.items():
            book = self.venue.engine._venue.books[name]
            for side in (0, 1):
                expected = [(one.order_id, one.left) for one in orders if one.side == side]
                found = [(one.order_id, one.remaining_quantity) for one in book.orders(side)]
                assert found == expected
        for (owner, leg), held in self.naive.held.items():
            assert self.venue.position(self.who[owner], leg) == held


@given(st.lists(STEPS, max_size=30))
def test_the_engine_does_what_the_naive_venue_does(steps):
    """`check()` runs after each command: no resting order in a combo could still trade."""
    twins = Twins()
    for step in steps:
        twins.step(*step)


@given(st.lists(STEPS, max_size=20))
def test_quantity_is_conserved_and_replay_agrees(steps):
    """What was asked for rests, traded or was canceled; cash only moved between accounts."""
    twins = Twins()
    for step in steps:
        twins.step(*step)
    engine = twins.venue.engine
    for events, name, _ in twins.placed:
        view = twins.venue.view(events)
        order = engine._venue.orders[view.order_id]
        resting = engine._venue.books[name].get(view.order_id)
        left = resting.remaining_quantity if resting else 0
        assert order.filled_quantity + order.canceled_quantity + left == order.quantity
        assert (view.status is OrderStatus.OPEN) is (left > 0)
    assert twins.venue.twin().state_hash() == engine.state_hash()
