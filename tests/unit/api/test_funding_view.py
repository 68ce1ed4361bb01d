"""Interest between any two moments, from the moves of the index."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.api import funding_view
from exchange.api.funding_view import FundingView
from exchange.events import FundingAccrued
from exchange.fixed import CASH_SCALE, RATIO_SCALE

PRICE = 100_000 * CASH_SCALE


def view_of(moves):
    found, index = FundingView(), 0
    for ordinal, (time_ns, change) in enumerate(moves, 1):
        index += change
        event = FundingAccrued(
            instrument_id=1, ordinal=ordinal, index=index, rate=0, index_price=PRICE
        )
        found.note(time_ns, event, PRICE)
    return found


def test_before_any_move_there_is_nothing():
    found = FundingView()
    assert (found.index(1), found.interest(1, 0, 100), found.index_price(1, 5)) == (0, 0, 0)


def test_a_move_counts_after_the_start_and_up_to_the_end():
    found = view_of([(10, CASH_SCALE), (20, -3 * CASH_SCALE)])
    unit = RATIO_SCALE // 100_000
    assert found.interest(1, 9, 10) == unit
    assert found.interest(1, 10, 20) == -3 * unit
    assert found.interest(1, 0, 99) == -2 * unit
    assert found.index(1) == -2 * CASH_SCALE
    assert (found.index_price(1, 9), found.index_price(1, 10)) == (0, PRICE)


@given(
    st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=20),
    st.integers(0, 25),
    st.integers(0, 25),
)
def test_interest_adds_up(changes, first, second):
    """Two neighbouring periods are one, whatever moved in them."""
    found = view_of([(at, change * 10_000) for at, change in enumerate(changes, 1)])
    low, high = sorted((first, second))
    whole = found.interest(1, 0, 30)
    parts = found.interest(1, 0, low) + found.interest(1, low, high) + found.interest(1, high, 30)
    assert whole == parts


def test_old_moves_are_forgotten(monkeypatch: pytest.MonkeyPatch):
    """Memory is bounded; younger periods stay right."""
    monkeypatch.setattr(funding_view, "MOVES_KEPT", 5)
    found = view_of([(at, CASH_SCALE) for at in range(1, 101)])
    assert len(found._moves[1]) < 10
    assert found.interest(1, 97, 100) == 3 * RATIO_SCALE // 100_000
