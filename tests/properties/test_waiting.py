"""Orders that wait, in dense random life: every wait ends once, for a reason that the events show.

`Venue.send` checks the engine after each command. Here events alone tell what an order may do next.
"""

import os
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.venue import C, P, Venue, open_venue, usdc

from exchange.commands import CancelOrder, CutBatch, Halt, PlaceLinked, PlaceOrder, Resume
from exchange.events import (
    AnyEvent,
    OrderActivated,
    OrderArmed,
    OrderCanceled,
    OrderPlaced,
    OrdersLinked,
    OrderTriggered,
    Traded,
)
from exchange.matching.triggers import is_reached
from exchange.model import (
    HitCondition,
    LinkKind,
    PriceSource,
    Side,
    TimeInForce,
    Trigger,
    TriggerKind,
)

SEED = int(os.environ.get("ENGINE_SEED", 20261121))
STEPS = 400


class Watcher:
    """What each order waits for, told by events."""

    def __init__(self) -> None:
        self.armed: dict[int, OrderArmed] = {}  # waiting, or ready
        self.dormant: dict[int, int] = {}  # by order_id: the primary
        self.ready: set[int] = set()
        self.filled: set[int] = set()
        self.seen: Counter[str] = Counter()

    def see(self, events: tuple[AnyEvent, ...]) -> None:
        for event in events:
            self.seen[type(event).__name__] += 1
            self._see(event)

    def _see(self, event: AnyEvent) -> None:
        match event:
            case OrderArmed():
                self.armed[event.order_id] = event
            case OrdersLinked():
                if event.kind is not LinkKind.OCO:
                    self.dormant |= dict.fromkeys(event.order_ids[1:], event.order_ids[0])
            case OrderActivated():
                assert self.dormant.pop(event.order_id) in self.filled, "woken without a hit"
            case OrderTriggered():
                self._fire(event)
            case OrderPlaced() if event.order_id in self.armed:
                order = self.armed.pop(event.order_id)
                assert event.order_id not in self.dormant
                assert order.trigger is None or event.order_id in self.ready, "entered too early"
            case OrderCanceled():
                self.armed.pop(event.order_id, None)
                self.dormant.pop(event.order_id, None)
            case Traded():
                orders = {event.maker_order_id, event.taker_order_id}
                assert not orders & set(self.armed), "an order that waits has traded"
                self.filled |= orders
            case _:
                pass

    def _fire(self, event: OrderTriggered) -> None:
        order = self.armed[event.order_id]
        assert event.order_id not in self.ready, "fired twice"
        assert event.order_id not in self.dormant
        assert order.trigger is not None
        if order.trigger.kind is not TriggerKind.TRAILING:
            assert is_reached(order.trigger, order.side, event.price)
        self.ready.add(event.order_id)


class Life:
    """Three traders, mostly of orders that wait."""

    def __init__(self, draw) -> None:
        self.draw = draw
        self.venue: Venue = open_venue()
        self.accounts = [self.venue.fund(name, 10_000_000) for name in ("ann", "bob", "carl")]
        self.watcher = Watcher()

    def pick(self, choices):
        return choices[self.draw(0, len(choices) - 1)]

    def step(self) -> None:
        act = self.pick(
            (self.place,) * 6
            + (self.link,) * 4
            + (self.mark, self.index, self.cancel, self.amend, self.halt, self.cut)
        )
        self.watcher.see(act())

    def order(self, who: int) -> PlaceOrder:
        trigger = self.trigger() if self.draw(0, 2) == 0 else None
        return self.venue.sign(
            who,
            self.pick(list(Side)),
            self.draw(1, 4),
            2_400 + 10 * self.draw(0, 20),
            self.pick((C, C, C, P)),
            trigger=trigger,
            reduce_only=self.draw(0, 5) == 0,
            time_in_force=self.pick((TimeInForce.GTC, TimeInForce.GTC, *TimeInForce)),
            deadline=self.venue.now_s + self.pick((20, 3600, 86_400)),
        )

    def trigger(self) -> Trigger:
        kind = self.pick(list(TriggerKind))
        source = self.pick(list(PriceSource))
        if kind is TriggerKind.TRAILING:
            return Trigger(kind=kind, source=source, trail_offset=usdc(self.draw(1, 100)))
        near = 100_000 if source is PriceSource.INDEX else 2_500
        price = usdc(near + self.draw(-10, 10) * near // 250)
        return Trigger(kind=kind, source=source, trigger_price=price)

    def place(self):
        return self.venue.enter(self.order(self.pick(self.accounts)))

    def link(self):
        kind, who = self.pick(list(LinkKind)), self.pick(self.accounts)
        orders = tuple(self.order(who) for _ in range(3 if kind is LinkKind.OTOCO else 2))
        condition = self.pick(list(HitCondition))
        return self.venue.send(PlaceLinked(kind=kind, condition=condition, orders=orders))

    def mark(self):
        return self.venue.mark({self.pick((C, P)): 2_400 + 10 * self.draw(0, 20)})

    def index(self):
        self.venue.wait(self.draw(0, 10))
        return self.venue.index(96_000 + 400 * self.draw(0, 20))

    def cancel(self):
        orders = self.venue.engine.open_orders(self.pick(self.accounts))
        if not orders:
            return ()
        order = self.pick(orders)
        command = CancelOrder(subaccount_id=order.subaccount_id, order_id=order.order_id)
        return self.venue.send(command)

    def amend(self):
        waiting = [order for order in self.watcher.armed.values() if order.trigger is not None]
        known = [o for o in waiting if (o.subaccount_id, o.nonce) in self.venue.signed]
        if not known:
            return ()
        return self.venue.amend([self.pick(known)], quantity=10_000 * self.draw(1, 4))

    def halt(self):
        self.watcher.see(self.venue.send(Halt(instrument_id=C)))
        self.watcher.see(self.mark())
        self.watcher.see(self.venue.send(Resume(instrument_id=C)))
        self.venue.wait(120)
        return self.index()

    def cut(self):
        return self.venue.send(CutBatch())

    def finish(self) -> None:
        assert self.venue.twin().state_hash() == self.venue.engine.state_hash()


@pytest.mark.parametrize("shard", range(3))
def test_every_wait_ends_once_and_for_a_reason(shard):
    """And the life is dense enough to prove it."""
    seed = SEED + shard
    print(f"waiting: seed {seed}")
    rng = random.Random(seed)
    life = Life(rng.randint)
    for _ in range(STEPS):
        life.step()
    life.finish()
    seen = life.watcher.seen
    for name in ("OrderTriggered", "OrdersLinked", "OrderActivated", "Traded"):
        assert seen[name] > 5, seen


@settings(max_examples=20)
@given(st.data())
def test_short_lives_too(data):
    """Small ones, which Hypothesis can shrink."""
    life = Life(lambda low, high: data.draw(st.integers(low, high)))
    for _ in range(15):
        life.step()
    life.finish()
