"""Entry cost and funding of one linear position: exact, against the account, never lost."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.commands import FundingParameters
from exchange.fixed import CASH_SCALE, PRICE_QUANTUM, QUANTITY_SCALE, RATIO_SCALE
from exchange.margin.linear import LinearPosition, funding_rate

FLAT = LinearPosition(0, 0, 0)
PERCENT = RATIO_SCALE // 100


def usdc(amount):
    return amount * CASH_SCALE


def contracts(quantity):
    return quantity * QUANTITY_SCALE


FILLS = [  # quantity held and its cost, quantity and price of the fill, cost after, cash
    (0, 0, 2, 100, 200, 0),
    (2, 200, 3, 110, 530, 0),
    (5, 530, -5, 120, 0, 70),
    (5, 500, -2, 90, 300, -20),
    (-4, -400, 1, 90, -300, 10),
    (2, 200, -3, 110, -110, 20),
    (-2, -200, 5, 90, 270, 20),
]


@pytest.mark.parametrize(("held", "cost", "change", "price", "cost_after", "cash"), FILLS)
def test_a_fill_opens_closes_or_turns(held, cost, change, price, cost_after, cash):
    """Only what closes realises cash, at the average price of entry."""
    before = LinearPosition(contracts(held), usdc(cost), 0)
    after, moved = before.filled(contracts(change), usdc(price))
    assert after == LinearPosition(contracts(held + change), usdc(cost_after), 0)
    assert moved == usdc(cash)


def test_a_released_part_rounds_against_the_account():
    """A third of a cost of 1.000000 is taken as 0.333334, of a credit as 0.333333."""
    assert LinearPosition(3, CASH_SCALE, 0).filled(-1, 0) == (
        LinearPosition(2, 666_666, 0),
        -333_334,
    )
    assert LinearPosition(-3, -CASH_SCALE, 0).filled(1, 0) == (
        LinearPosition(-2, -666_667, 0),
        333_333,
    )


def test_funding_is_what_the_index_moved():
    """A long pays when it rises, a short is paid."""
    assert LinearPosition(contracts(3), 0, 20_000).funding_due(50_000) == 90_000
    assert LinearPosition(-5_000, 0, 20_000).funding_due(50_000) == -15_000
    assert LinearPosition(-5_000, 0, 20_000).funding_due(-10_000) == 15_000


@pytest.mark.parametrize(
    ("mark", "rate"),
    [
        (100_000, 0),
        (100_250, 0),
        (99_750, 0),
        (100_300, PERCENT // 20),
        (99_700, -PERCENT // 20),
        (102_000, PERCENT),
        (98_000, -PERCENT),
    ],
)
def test_a_premium_beyond_the_damping_is_paid_up_to_the_cap(mark, rate):
    """A quarter of a percent is free either way; nobody pays more than one."""
    terms = FundingParameters(damping_rate=PERCENT // 4, rate_max=PERCENT, interval_ns=1)
    assert funding_rate(terms, usdc(mark), usdc(100_000)) == rate


def test_a_premium_is_rounded_down():
    """A third of the index: up to 0.333..., down to -0.333...4."""
    terms = FundingParameters(damping_rate=0, rate_max=RATIO_SCALE, interval_ns=1)
    assert funding_rate(terms, 4, 3) == RATIO_SCALE // 3
    assert funding_rate(terms, 2, 3) == -(RATIO_SCALE // 3) - 1


@given(
    st.lists(
        st.tuples(st.integers(-(10**9), 10**9).filter(bool), st.integers(1, 10**8)),
        min_size=1,
        max_size=30,
    )
)
def test_cash_less_cost_moves_by_the_value_of_each_fill(fills):
    """However fills are cut and whichever way they turn; a flat position remembers nothing."""
    position, cash, value = FLAT, 0, Fraction(0)
    for change, cents in fills:
        position, moved = position.filled(change, cents * PRICE_QUANTUM)
        cash += moved
        value += Fraction(change * cents * PRICE_QUANTUM, QUANTITY_SCALE)
        assert cash - position.cost == -value
        assert position.quantity or position.cost == 0
        assert position.quantity * position.cost >= 0


@given(
    cost=st.integers(0, 10**15),
    held=st.integers(1, 10**9),
    parts=st.lists(st.integers(1, 10**9), max_size=20),
)
def test_closing_in_parts_never_gains_until_the_last(cost, held, parts):
    """Each part releases at least its share; all parts together exactly the whole."""
    position, released = LinearPosition(held, cost, 0), 0
    for part in [*parts, held]:
        if position.quantity:
            position, cash = position.filled(-min(part, position.quantity), 0)
            released -= cash
            assert released >= Fraction(cost * (held - position.quantity), held)
    assert (position, released) == (FLAT, cost)
