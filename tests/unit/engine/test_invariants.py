"""`check()` sees what is wrong: each broken invariant is noticed."""

from collections.abc import Callable

import pytest
from tests.venue import C, Venue, placed_in

from exchange.engine.booking import margin_order
from exchange.engine.invariants import check_venue
from exchange.engine.records import LinkNews, Order
from exchange.engine.state import Venue as State
from exchange.model import (
    HitCondition,
    InstrumentStatus,
    LinkKind,
    OrderStatus,
    PriceSource,
    Trigger,
    TriggerKind,
)


@pytest.fixture
def state(venue: Venue, ann: int, bob: int) -> State:
    """Ann is long 2 and offers 1 to reduce; bob bids, and waits to sell."""
    venue.sell(bob, 2, 2_500)
    venue.buy(ann, 2, 2_500)
    venue.sell(ann, 1, 2_600, reduce_only=True)
    venue.buy(bob, 1, 2_400)
    stop = Trigger(kind=TriggerKind.STOP, source=PriceSource.INDEX, trigger_price=1)
    venue.sell(bob, 1, 2_700, trigger=stop)
    return venue.engine._venue


def first_order(state: State):
    return next(iter(state.subaccounts[2].open_orders.values()))


def cancel_behind_the_back(state: State) -> None:
    state.books[C].cancel(first_order(state).order_id)


def forget_an_order(state: State) -> None:
    del state.orders[first_order(state).order_id]


def close_an_open_order(state: State) -> None:
    first_order(state).status = OrderStatus.FILLED


def fill_without_the_book(state: State) -> None:
    first_order(state).filled_quantity += 1


def shrink_margin(state: State) -> None:
    state.subaccounts[2].account.reduce_order(first_order(state).order_id, 1)


def invent_a_position(state: State) -> None:
    state.subaccounts[2].account.apply_fill(C, 1)


def turn_a_position(state: State) -> None:
    state.subaccounts[2].account.apply_fill(C, -20_000)
    state.subaccounts[3].account.apply_fill(C, 20_000)


def expire_without_payoff(state: State) -> None:
    state.statuses[C] = InstrumentStatus.EXPIRED


def raise_a_floor(state: State) -> None:
    state.subaccounts[2].nonce_floor = 10**6


def lose_an_open_order(state: State) -> None:
    state.subaccounts[2].open_orders.clear()


def rest_without_an_owner(state: State) -> None:
    state.books[C].place(10**6, 2, 1, 0, 10_000, 1)


def shrink_the_book(state: State) -> None:
    state.books[C].reduce(first_order(state).order_id, 1)


def waiting(state: State) -> Order:
    return next(order for order in state.orders.values() if order.trigger is not None)


def forget_a_trigger(state: State) -> None:
    state.triggers.remove(waiting(state).order_id)


def wait_twice(state: State) -> None:
    state.links.link(
        LinkKind.OTO,
        HitCondition.ANY_FILL,
        (first_order(state).order_id, waiting(state).order_id),
    )


def keep_what_may_enter(state: State) -> None:
    order_id = waiting(state).order_id
    state.triggers.remove(order_id)
    state.ready.append(order_id)
    assert state.batches.last_seq < state.seq


def margin_one_that_waits(state: State) -> None:
    order = waiting(state)
    account = state.subaccounts[3].account
    account.place_order(order.order_id, margin_order(order.terms, 1))


def fill_one_that_waits(state: State) -> None:
    waiting(state).filled_quantity = 1


def link_one_that_is_over(state: State) -> None:
    over = next(order for order in state.orders.values() if order.is_over)
    state.links.link(LinkKind.OCO, HitCondition.ANY_FILL, (over.order_id, 10**6))


def read_no_news(state: State) -> None:
    state.link_news.append((1, LinkNews.GONE))


def miscount_open_interest(state: State) -> None:
    state.open_interest[1] += 1


BREAKS: list[Callable[[State], None]] = [
    cancel_behind_the_back,
    forget_an_order,
    close_an_open_order,
    fill_without_the_book,
    shrink_margin,
    invent_a_position,
    turn_a_position,
    expire_without_payoff,
    raise_a_floor,
    lose_an_open_order,
    rest_without_an_owner,
    shrink_the_book,
    forget_a_trigger,
    wait_twice,
    keep_what_may_enter,
    margin_one_that_waits,
    fill_one_that_waits,
    link_one_that_is_over,
    read_no_news,
    miscount_open_interest,
]


def test_a_sound_venue_passes(state):
    """As every test's venue does after every step."""
    check_venue(state)


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda function: function.__name__)
def test_every_break_is_noticed(state, break_it):
    """A check that cannot fail would prove nothing."""
    break_it(state)
    with pytest.raises((AssertionError, KeyError)):
        check_venue(state)


def test_positions_of_a_sound_venue_net_to_zero(venue, state):
    """What ann holds, bob owes."""
    assert venue.position(2) == -venue.position(3) == 20_000
    assert placed_in(venue.buy(2, 1, 2_300)).subaccount_id == 2
