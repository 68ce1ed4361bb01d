"""A halt loses no order, whatever halts, and whatever stood before."""

import random

import pytest
from tests.engine_flow import Flow

from exchange.commands import Halt, UpdateIndex, UpdateMarks
from exchange.events import CancelReason, InstrumentStatusChanged, OrderCanceled, Traded
from exchange.model import InstrumentStatus

# What time, or trades of other instruments, may end in the same command; the halt ends none.
OF_OTHERS = {CancelReason.DEADLINE, CancelReason.LINKED, CancelReason.PROTECTION}


def open_orders(flow):
    """Every open order with what remains of it, and each book in priority order."""
    venue = flow.venue.engine._venue
    orders = {
        order_id: (order.status, order.remaining_quantity)
        for subaccount in venue.subaccounts.values()
        for order_id, order in subaccount.open_orders.items()
    }
    books = {key: [book.orders(side) for side in (0, 1)] for key, book in venue.books.items()}
    return orders, books


def halted(events):
    return {
        event.instrument_id
        for event in events
        if isinstance(event, InstrumentStatusChanged) and event.status is InstrumentStatus.HALTED
    }


@pytest.mark.parametrize("seed", range(12))
def test_a_halt_changes_no_order(seed):
    """An operator's at the same instant as the last command: nothing at all may change."""
    flow = Flow(random.Random(seed).randint)
    flow.venue.checking = False
    halts = 0
    for step in range(120):
        flow.step()
        if step % 10:
            continue
        flow.venue.send(Halt())  # whatever is left to sweep at this time is swept
        before = open_orders(flow)
        instrument_id = flow.pick(sorted(flow.venue.engine._venue.books))
        for scope in ({"instrument_id": instrument_id}, {"underlying_id": 1}, {}):
            halts += len(halted(flow.venue.send(Halt(**scope))))
            assert open_orders(flow) == before
        flow.venue.engine.check()
        flow.resume()
    assert flow.seen["OrderPlaced"]


def test_a_price_that_halts_takes_no_order_of_what_it_halts():
    """Neither an index nor a mark: no cancel of its own, and no trade once it is halted."""
    found = 0
    for seed in range(30):
        flow = Flow(random.Random(seed).randint)
        flow.venue.checking = False
        for _ in range(120):
            flow.step()
        for _, _, command, events in flow.venue.entries:
            stopped = halted(events)
            if not isinstance(command, UpdateIndex | UpdateMarks) or not stopped:
                continue
            found += 1
            at = min(
                place
                for place, event in enumerate(events)
                if isinstance(event, InstrumentStatusChanged)
                and event.instrument_id in stopped
                and event.status is InstrumentStatus.HALTED
            )
            for event in events[at:]:
                if getattr(event, "instrument_id", 0) in stopped:
                    assert not isinstance(event, Traded)
                    assert not isinstance(event, OrderCanceled) or event.reason in OF_OTHERS
    assert found > 10
