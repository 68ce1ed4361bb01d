"""Stages, discounts, fractions and shares, each against its words."""

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.liquidation_world import PERCENT, rules
from tests.margin_world import WETH, account, marks_book, option, perpetual

from exchange.fixed import QUANTITY_SCALE, RATIO_SCALE
from exchange.margin import liquidation as rule
from exchange.margin.liquidation import MOVES, Cause, Leg
from exchange.model import LiquidationStage as Stage

NS = 10**9
SECOND_OF_FAST = (30 - 5) * PERCENT // 20  # discount a second in the fast part


def test_the_stages_are_a_table_without_dead_ends():
    """Every stage can be reached, and can be left for good."""
    reached, left = {None}, {None}
    for _ in Stage:
        reached |= {to for (stage, _), to in MOVES.items() if stage in reached}
        left |= {stage for (stage, _), to in MOVES.items() if to in left}
    assert reached == left == {None, *Stage}
    assert all(stage is not to for (stage, _), to in MOVES.items())


@pytest.mark.parametrize(
    ("stage", "cash", "contracts", "cause"),
    [
        (Stage.SLICING, -1, 0, Cause.BANKRUPT),
        (Stage.AUCTION, -1, 0, Cause.BANKRUPT),
        (Stage.INSOLVENT, -1, 0, None),
        (Stage.SLICING, 0, 0, Cause.RESTORED),
        (Stage.INSOLVENT, 0, 0, Cause.RESTORED),
        (Stage.SLICING, 5_000, -1, None),
        (Stage.AUCTION, 5_000, -1, None),
        (Stage.INSOLVENT, 5_000, -1, Cause.SOLVENT),
        (Stage.AUCTION, 500_000, -1, Cause.RESTORED),
    ],
)
def test_what_an_accounts_figures_ask_for(stage, cash, contracts, cause):
    held = account({option(100_000, "C"): contracts} if contracts else {}, cash + 8_000)
    held.add_cash(-8_000 * 10**6 if not contracts else 0)
    assert rule.cause_now(rules(), stage, held) == cause
    assert cause is None or (stage, cause) in MOVES


def test_the_discount_grows_in_two_parts_and_stops():
    def rate(stage, seconds):
        return rule.discount_rate(rules(), stage, seconds * NS)

    auction = [rate(Stage.AUCTION, seconds) for seconds in (0, 1, 20, 40, 60, 600)]
    assert auction == [
        5 * PERCENT,
        5 * PERCENT + SECOND_OF_FAST,
        30 * PERCENT,
        65 * PERCENT,
        RATIO_SCALE,
        RATIO_SCALE,
    ]
    insolvent = [rate(Stage.INSOLVENT, seconds) for seconds in (0, 5, 20, 600)]
    assert insolvent == [0, RATIO_SCALE // 4, RATIO_SCALE, RATIO_SCALE]
    assert rule.auction_time_ns(rules(), Stage.AUCTION) == 60 * NS
    assert rule.auction_time_ns(rules(), Stage.INSOLVENT) == 20 * NS


def test_the_fraction_for_sale_restores_the_buffer_and_no_more():
    """Equity 900 against 1,000 at 5 % off: 250 short of 1,150, and all sold would gain 1,105."""
    fraction = rule.offered_fraction(rules(), 5 * PERCENT, 900_000_000, 1_000_000_000)
    assert fraction == 2_263 * 10**14
    assert Fraction(fraction, RATIO_SCALE) - Fraction(250, 1105) < Fraction(1, 10_000)


@given(
    rate=st.integers(0, RATIO_SCALE),
    equity=st.integers(-(10**12), 10**12),
    requirement=st.integers(0, 10**12),
)
def test_selling_the_fraction_restores(rate, equity, requirement):
    """Whatever the figures: after the sale equity covers the buffer, or everything is sold."""
    fraction = rule.offered_fraction(rules(), rate, equity, requirement)
    assert 0 <= fraction <= RATIO_SCALE
    if fraction == RATIO_SCALE:
        return
    left = Fraction(RATIO_SCALE - fraction, RATIO_SCALE)
    paid = Fraction(rate * fraction * equity, RATIO_SCALE**2)
    assert equity - paid >= Fraction(115, 100) * requirement * left - 1


def test_a_discount_larger_than_equity_sells_everything():
    assert rule.offered_fraction(rules(), RATIO_SCALE, 2_000, 1_000) == RATIO_SCALE


def test_legs_are_whole_lots_at_marks_that_favour_the_seller():
    marks = marks_book()
    call, put = option(100_000, "C"), option(90_000, "P")
    positions = {call: -25_000, put: 150}
    legs = rule.legs_of(positions, 10 * PERCENT, {call: 100, put: 100}, marks)
    assert [(leg.instrument_id, leg.quantity) for leg in legs] == sorted(
        [(call, -2_500), (put, 100)]
    )
    prices = {leg.instrument_id: leg.price for leg in legs}
    assert all(price % 10_000 == 0 for price in prices.values())
    assert 0 <= marks.mark_price(call) - prices[call] < 10_000
    assert 0 <= prices[put] - marks.mark_price(put) < 10_000
    everything = rule.legs_of(positions, RATIO_SCALE, {call: 100, put: 100}, marks)
    assert {leg.instrument_id: leg.quantity for leg in everything} == positions
    assert rule.legs_of(positions, 0, {call: 100, put: 100}, marks) == ()


def test_what_legs_are_worth():
    legs = (Leg(1, 5_000, 10**9), Leg(2, -2_500, 2 * 10**9))
    part = rule.Part(legs, (rule.Token(1, 7, 30),))
    assert part.value == 30
    assert part.quantities(-1) == {1: -5_000, 2: 2_500}
    assert part.amounts(-1) == {1: -7}


def test_half_of_a_book_releases_half_of_its_requirement():
    call = option(100_000, "C")
    held = account({call: -2}, 50_000)
    before = held.state(), held.maintenance_margin()
    mark = -(-held._marks.mark_price(call) // 10_000) * 10_000
    released = rule.released_requirement(held, rule.Part((Leg(call, -QUANTITY_SCALE, mark),), ()))
    assert (held.state(), held.maintenance_margin()) == before
    held.check()
    assert abs(2 * released - before[1]) < 20_000  # the mark in whole cents


@pytest.mark.parametrize(
    ("rate", "fraction", "equity", "released", "expected"),
    [
        (10 * PERCENT, 50 * PERCENT, 1_000, 10**6, 50),
        (10 * PERCENT, 50 * PERCENT, 1_001, 10**6, 51),  # up: against who is liquidated
        (RATIO_SCALE, RATIO_SCALE, 1_000, 400, 400),  # never more than was released
        (RATIO_SCALE, RATIO_SCALE, 1_000, -5, 0),
        (50 * PERCENT, RATIO_SCALE, 0, 400, 0),  # of no equity nothing
        (50 * PERCENT, RATIO_SCALE, -1, 401, 200),  # the fund's: down
        (50 * PERCENT, RATIO_SCALE, -1, -401, 0),
    ],
)
def test_discounts(rate, fraction, equity, released, expected):
    assert rule.discount(rate, fraction, equity, released) == expected


@given(
    loss=st.integers(0, 10**13),
    equities=st.lists(st.integers(-(10**12), 10**12), max_size=30),
)
def test_shares_of_a_loss_are_exact(loss, equities):
    """They add up to the loss, each is pro rata within a unit, none exceeds its equity."""
    pairs = list(enumerate(equities, 1))
    shares = dict(rule.share_loss(loss, reversed(pairs)))
    total = sum(equity for equity in equities if equity > 0)
    assert sum(shares.values()) == min(loss, total)
    for subaccount_id, equity in pairs:
        share = shares.get(subaccount_id, 0)
        exact = Fraction(min(loss, total) * max(0, equity), max(1, total))
        assert abs(share - exact) < 1
        assert 0 <= share <= max(0, equity)


@given(
    quantities=st.lists(st.integers(-30, 30), min_size=4, max_size=4),
    cash=st.integers(-50_000, 200_000),
    fraction=st.integers(1, 10_000),
    rate=st.integers(0, 100),
)
def test_no_transfer_lowers_the_excess(quantities, cash, fraction, rate):
    """The discount never exceeds what the legs release: the seller's excess does not fall."""
    marks = marks_book()
    instruments = (option(100_000, "C"), option(90_000, "P"), option(110_000, "C"), perpetual())
    positions = dict(zip(instruments, quantities, strict=True))
    held = account({key: lots / 10 for key, lots in positions.items() if lots}, cash, marks)
    legs = rule.legs_of(held.positions, fraction * 10**14, dict.fromkeys(instruments, 1_000), marks)
    assume(legs)
    part = rule.Part(legs, ())
    released = rule.released_requirement(held, part)
    assume(released >= 0)
    before = held.maintenance_excess()
    cost = rule.discount(rate * PERCENT, fraction * 10**14, max(0, held.equity()), released)
    assert held.maintenance_excess_with(part.quantities(-1)) + part.value - cost >= before


def test_tokens_without_a_price_stay_where_they_are():
    marks = marks_book()
    assert rule.tokens_of({99: 10**8}, RATIO_SCALE, marks) == ()
    known = rule.tokens_of({WETH: 10**8, 99: 5}, RATIO_SCALE // 2, marks)
    index_price = marks.asset_price(marks.collaterals[WETH])
    assert known == (rule.Token(WETH, 10**8 // 2, -(-index_price // 2)),)
