"""`check()` sees what is wrong: each broken invariant is noticed."""

from collections.abc import Callable

import pytest
from tests.venue import C, Venue, placed_in

from exchange.engine.invariants import check_venue
from exchange.engine.state import Venue as State
from exchange.model import InstrumentStatus, OrderStatus


@pytest.fixture
def state(venue: Venue, ann: int, bob: int) -> State:
    """Ann is long 2 and offers 1 to reduce; bob bids."""
    venue.sell(bob, 2, 2_500)
    venue.buy(ann, 2, 2_500)
    venue.sell(ann, 1, 2_600, reduce_only=True)
    venue.buy(bob, 1, 2_400)
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
