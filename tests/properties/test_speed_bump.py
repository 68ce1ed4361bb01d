"""Where a speed bump is on, a maker's cancel or reduction always wins within the window."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine_flow import TRADED, Flow
from tests.venue import C, contracts, limits, open_venue

from exchange.commands import ReleaseOrders, SetSpeedBump
from exchange.events import OrderDelayed, Traded
from exchange.model import TimeInForce

DELAY = 20


def arrivals(entries):
    """Of each order the time at which it last asked to take: what the bump counts from."""
    asked = {}
    for _, time_ns, _, events in entries:
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
    flow.bump = flow.place  # nobody turns it off
    for _ in range(150):
        flow.step()
        if flow.draw(0, 1):
            flow.venue.time_ns += flow.draw(1, DELAY)
    flow.venue.engine.check()
    flow.finish()
    for time_ns, events, asked in arrivals(flow.venue.entries):
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
    venue.engine.check()
    filled = [venue.view(quote).filled_quantity for quote in quotes]
    assert filled == [contracts(done) for _, done in naive.quotes]
    assert venue.twin().state_hash() == venue.engine.state_hash()
