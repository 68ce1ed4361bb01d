"""The trigger book does what comparing every order with every price does."""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exchange.matching.triggers import ArmedOrder, TriggerBook
from exchange.model import PriceSource, Side, Trigger, TriggerKind


@dataclass
class Waiting:
    order: ArmedOrder
    extreme: int

    @property
    def trigger_price(self):
        trigger = self.order.trigger
        if trigger.kind is TriggerKind.TRAILING:
            return self.extreme + self.order.side.sign * trigger.trail_offset
        return trigger.trigger_price

    def passed(self, price):
        """How far the price is beyond the trigger; negative while it is short of it."""
        rises = self.order.side is Side.BUY
        if self.order.trigger.kind is TriggerKind.TAKE:
            rises = not rises
        return price - self.trigger_price if rises else self.trigger_price - price


class NaiveTriggers:
    def __init__(self):
        self.waiting = {}

    def add(self, order, price):
        self.waiting[order.order_id] = Waiting(order, price)

    def on_price(self, source, key, price):
        hit = []
        for order_id, waiting in self.waiting.items():
            order = waiting.order
            if (order.trigger.source, order.key) != (source, key):
                continue
            best = min if order.side is Side.BUY else max
            waiting.extreme = best(waiting.extreme, price)
            if waiting.passed(price) >= 0:
                hit.append((-waiting.passed(price), order.entry, order_id))
        for *_, order_id in hit:
            del self.waiting[order_id]
        return [order_id for *_, order_id in sorted(hit)]


PRICES = st.integers(-3, 12)
KEYS = st.integers(1, 2)
SOURCES = st.sampled_from((PriceSource.MARK, PriceSource.INDEX))


class TriggerMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.book, self.naive = TriggerBook(), NaiveTriggers()
        self.next_id = 0

    @rule(
        side=st.sampled_from(Side),
        kind=st.sampled_from(TriggerKind),
        source=SOURCES,
        key=KEYS,
        number=st.integers(1, 9),
        entry=st.integers(1, 3),
        price=PRICES,
    )
    def add(self, side, kind, source, key, number, entry, price):
        self.next_id += 1
        trails = kind is TriggerKind.TRAILING
        trigger = Trigger(
            kind=kind,
            source=source,
            trigger_price=0 if trails else number,
            trail_offset=number if trails else 0,
        )
        order = ArmedOrder(order_id=self.next_id, side=side, key=key, entry=entry, trigger=trigger)
        self.book.add(order, price)
        self.naive.add(order, price)

    @rule(order_id=st.integers(1, 30))
    def remove(self, order_id):
        expected = self.naive.waiting.pop(order_id, None) is not None
        assert self.book.remove(order_id) is expected

    @rule(source=SOURCES, key=KEYS, price=PRICES)
    def move(self, source, key, price):
        expected = self.naive.on_price(source, key, price)
        assert self.book.on_price(source, key, price) == expected

    @invariant()
    def same(self):
        self.book.check()
        assert len(self.book) == len(self.naive.waiting)
        for order_id, waiting in self.naive.waiting.items():
            assert self.book.trigger_price(order_id) == waiting.trigger_price


TestTriggers = TriggerMachine.TestCase
