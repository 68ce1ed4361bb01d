"""Where a speed bump is on, a maker's cancel or reduction always wins within the window."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine_flow import TRADED, Flow
from tests.venue import C, call, contracts, limits, open_venue

from exchange.commands import ListCombo, ReleaseOrders, SetSpeedBump, TradeBlock
from exchange.events import OrderDelayed, OrderPlaced, Traded
from exchange.model import Leg, OrderStatus, Side, TimeInForce

DELAY = 20


def arrivals(entries):
    """Of each order the time at which it last asked to take: what the bump counts from."""
    asked = {}
    for _, time_ns, command, events in entries:
        if isinstance(command, TradeBlock):
            continue  # agreed beforehand: nobody arrives at a book
        for event in events:
            if isinstance(event, OrderDelayed):
                asked[event.order_id] = (time_ns, event.until_ns)
        yield time_ns, events, asked


@pytest.mark.parametrize("seed", range(10))
def test_no_taker_trades_before_its_time(seed):
    """In the engine's own random flow: amends, triggers, links, new prices and halts included."""
    flow = Flow(random.Random(seed).randint)
    flow.venue.checking = False
    for instrument_id in TRADED:
        flow.venue.send(SetSpeedBump(instrument_id=instrument_id, delay_ns=DELAY))
    first = len(flow.venue.entries)
    flow.bump = flow.place  # nobody turns it off
    for _ in range(150):
        flow.step()
        if flow.draw(0, 1):
            flow.venue.time_ns += flow.draw(1, DELAY)
    flow.venue.engine.check()
    flow.finish()
    for time_ns, events, asked in arrivals(flow.venue.entries[first:]):
        for event in events:
            if isinstance(event, Traded) and not event.auction:
                came, until = asked[event.taker_order_id]
                assert until - came == DELAY
                assert time_ns >= until


class NaiveQueue:
    """Quotes at one price as [quantity, filled], takers as (due, quantity), each in order."""

    def __init__(self):
        self.quotes, self.takers = [], []

    def release(self, now):
        while self.takers and self.takers[0][0] <= now:
            _, left = self.takers.pop(0)
            for quote in self.quotes:
                traded = min(left, quote[0] - quote[1])
                quote[1] += traded
                left -= traded

    def take(self, now, quantity):
        if any(quantity > filled for quantity, filled in self.quotes):
            self.takers.append((now + DELAY, quantity))

    def leave(self, which, quantity):
        """Let a quote be worth `quantity` in all; no less than what it traded, and never more."""
        quote = self.quotes[which]
        if quote[1] < quote[0] and (quantity == 0 or quote[1] < quantity):
            quote[0] = max(quote[1], min(quote[0], quantity))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("quote", "take", "take", "cancel", "reduce", "tick")),
        st.integers(0, 12),  # nanoseconds that pass before
        st.integers(0, 30),  # which quote
        st.integers(1, 3),
    ),
    max_size=40,
)


@given(STEPS)
def test_what_a_maker_took_back_in_the_window_is_not_traded(steps):
    """Every quote fills as in the naive queue, where takers come `DELAY` later than they came."""
    venue = open_venue(limits=limits(open_orders_max=100))
    ann, bob = venue.fund("ann", 10**7), venue.fund("bob", 10**7)
    venue.send(SetSpeedBump(instrument_id=C, delay_ns=DELAY))
    venue.checking = False
    naive, quotes = NaiveQueue(), []
    for what, pause, which, amount in steps:
        venue.time_ns += pause
        naive.release(venue.time_ns)
        if what == "quote":
            events = venue.sell(ann, amount, 2_500)
            quotes.append([e for e in events if getattr(e, "nonce", 0) == venue.next_nonce - 1])
            naive.quotes.append([amount, 0])
        elif what == "take":
            naive.take(venue.time_ns, amount)
            venue.buy(bob, amount, 2_500, time_in_force=TimeInForce.IOC)
        elif what == "tick" or not quotes:
            venue.send(ReleaseOrders())
        elif what == "cancel":
            naive.leave(which % len(quotes), 0)
            venue.cancel(quotes[which % len(quotes)])
        else:
            order = quotes[which % len(quotes)]
            if contracts(1) < venue.terms_of(order).quantity:
                naive.leave(which % len(quotes), 1)
                venue.amend(order, quantity=contracts(1))
            else:
                venue.send(ReleaseOrders())  # the engine sees time pass by commands alone
    venue.engine.check()
    filled = [venue.view(quote).filled_quantity for quote in quotes]
    assert filled == [contracts(done) for _, done in naive.quotes]
    assert venue.twin().state_hash() == venue.engine.state_hash()


HIGH = call(110_000)
MOVES = st.lists(
    st.tuples(
        st.sampled_from(("combo", "combo", "bumped", "bumped", "free", "free", "cancel", "mark")),
        st.integers(0, 12),  # nanoseconds that pass before
        st.sampled_from(Side),
        st.integers(-3, 3),  # ticks of 10 from the mark
        st.integers(1, 3),
        st.integers(0, 30),  # which order
    ),
    max_size=40,
)


class Spreads:
    """A call spread whose lower leg has a bump, and three who trade in all the books at random."""

    def __init__(self):
        self.venue = venue = open_venue(limits=limits(open_orders_max=100))
        self.who = [venue.fund("0x" + digit * 40, 10**7) for digit in "123"]
        venue.mark({C: 2_500, HIGH: 1_500})
        listed = venue.send(ListCombo(legs=(Leg(C, 1), Leg(HIGH, -1))))[-1]
        self.combo = venue.engine.instruments[listed.instrument_id]
        venue.send(SetSpeedBump(instrument_id=C, delay_ns=DELAY))
        self.placed = []
        self.allowed = {}  # of each order: [(from when on, how much)] that it may still take

    def move(self, what, side, at, quantity, which):
        venue = self.venue
        if what == "mark":
            return venue.mark({C: 2_500 + 3_000 * at})  # away from everybody's band, or back
        if what == "cancel":
            standing = [one for one in self.placed if venue.view(one).status is OrderStatus.OPEN]
            return venue.cancel(standing[which % len(standing)]) if standing else ()
        leg = {"bumped": C, "free": HIGH}.get(what)
        price = {C: 2_500, HIGH: 1_500}.get(leg, 1_000) + 10 * at
        hashed = {} if leg else {"legs_hash": self.combo.legs_hash}
        number = leg or self.combo.instrument_id
        who = self.who[("bumped", "free", "combo").index(what)]
        events = venue.order(who, side, quantity, price, number, **hashed)
        nonce = venue.next_nonce - 1
        self.placed += [[e] for e in events if isinstance(e, OrderPlaced) and e.nonce == nonce]
        return events

    def account(self, events):
        """Each delay allows so much, from its time on; each trade must have been allowed."""
        for event in events:
            if isinstance(event, OrderDelayed):
                assert event.until_ns == self.venue.time_ns + DELAY
                quantity = event.quantity or contracts(100)
                self.allowed[event.order_id] = (event.until_ns, quantity)
            elif isinstance(event, Traded) and event.instrument_id == C and not event.maker_combo:
                until_ns, quantity = self.allowed[event.taker_order_id]
                assert self.venue.time_ns >= until_ns
                assert event.quantity <= quantity
                self.allowed[event.taker_order_id] = (until_ns, quantity - event.quantity)


@given(MOVES)
def test_a_resting_combo_takes_from_a_bumped_leg_only_what_waited(moves):
    """Whatever moved it there; `check()` sees that each one that could take is waiting."""
    spreads = Spreads()
    for what, pause, *rest in moves:
        spreads.venue.time_ns += pause
        spreads.account(spreads.move(what, *rest))
    for _ in range(3):
        spreads.venue.time_ns += DELAY
        spreads.account(spreads.venue.send(ReleaseOrders()))
    assert spreads.venue.twin().state_hash() == spreads.venue.engine.state_hash()
    book = spreads.venue.engine._venue.books[C]
    assert book.best_bid is None or book.best_ask is None or book.best_bid < book.best_ask


def test_the_random_moves_do_let_resting_combos_take():
    """Or the property above would say nothing."""
    rng = random.Random(5)
    delayed = taken = 0
    for _ in range(20):
        spreads = Spreads()
        for _ in range(40):
            spreads.venue.time_ns += rng.randint(0, 12)
            what = rng.choice(("combo", "bumped", "bumped", "free", "free", "cancel"))
            events = spreads.move(
                what,
                rng.choice(list(Side)),
                rng.randint(-3, 3),
                rng.randint(1, 3),
                rng.randrange(9),
            )
            spreads.account(events)
            waiting = {e.order_id for e in events if isinstance(e, OrderDelayed) and e.quantity}
            delayed += len(waiting)
            taken += sum(isinstance(e, Traded) and e.instrument_id == C for e in events)
    assert delayed > 10
    assert taken > 10
