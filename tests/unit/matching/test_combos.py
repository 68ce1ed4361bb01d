"""What a combo is, what it is called, and how one trades against the books of its legs."""

import pytest

from exchange.matching.combos import (
    RATIO_MAX,
    ComboProblem,
    Leg,
    LegView,
    Structure,
    canonical,
    combo_problem,
    implied_plan,
    structure_of,
)
from exchange.model import InstrumentTerms, Kind, OptionKind, Side

CALL, PUT = OptionKind.CALL, OptionKind.PUT
SPREAD = (Leg(1, 1), Leg(2, -1))


@pytest.mark.parametrize(
    ("legs", "expected"),
    [
        (SPREAD, None),
        ((Leg(1, 1), Leg(2, 1), Leg(3, -1), Leg(4, -1)), None),
        ((Leg(1, 1),), ComboProblem.LEG_COUNT),
        (tuple(Leg(i, 1) for i in range(5)), ComboProblem.LEG_COUNT),
        ((Leg(1, 1), Leg(1, 2)), ComboProblem.DUPLICATE_LEG),
        ((Leg(1, 1), Leg(2, 0)), ComboProblem.RATIO),
        ((Leg(1, 1), Leg(2, -RATIO_MAX - 1)), ComboProblem.RATIO),
        ((Leg(1, 1), Leg(2, -RATIO_MAX)), None),
        ((Leg(2, 1), Leg(1, 1)), ComboProblem.NOT_CANONICAL),
        ((Leg(1, -1), Leg(2, 1)), ComboProblem.NOT_CANONICAL),
        ((Leg(1, 2), Leg(2, 4)), ComboProblem.NOT_CANONICAL),
    ],
)
def test_problem_of_a_combo(legs, expected):
    assert combo_problem(legs) is expected


@pytest.mark.parametrize(
    ("legs", "expected"),
    [
        (SPREAD, (SPREAD, 1)),
        ((Leg(2, 3), Leg(1, -3)), (SPREAD, -3)),
        ((Leg(2, 4), Leg(1, 6)), ((Leg(1, 3), Leg(2, 2)), 2)),
    ],
)
def test_every_structure_has_one_canonical_form(legs, expected):
    assert canonical(legs) == expected
    assert combo_problem(canonical(legs)[0]) is None


def option(strike, kind, ratio, expiry=100, underlying=1):
    return InstrumentTerms(Kind.OPTION, underlying, expiry, strike, kind), ratio


BOX = [option(1, CALL, 1), option(1, PUT, -1), option(2, CALL, -1), option(2, PUT, 1)]


@pytest.mark.parametrize(
    ("legs", "expected"),
    [
        ([option(1, CALL, 1), option(2, CALL, -1)], Structure.VERTICAL_SPREAD),
        ([option(1, CALL, 1), option(2, CALL, 1)], Structure.CUSTOM),
        ([option(1, PUT, 1, 5), option(1, PUT, -1, 9)], Structure.CALENDAR_SPREAD),
        ([option(1, PUT, 1, 5), option(2, PUT, -1, 9)], Structure.CUSTOM),
        ([option(1, CALL, 1), option(1, PUT, 1)], Structure.STRADDLE),
        ([option(1, PUT, 1), option(2, CALL, 1)], Structure.STRANGLE),
        ([option(1, PUT, 1), option(2, CALL, -1)], Structure.RISK_REVERSAL),
        ([option(1, CALL, 1), option(1, PUT, -1)], Structure.CUSTOM),
        (BOX, Structure.BOX),
        ([(terms, -ratio) for terms, ratio in BOX], Structure.BOX),
        ([*BOX[:3], option(2, PUT, -1)], Structure.CUSTOM),
        ([*BOX[:3], option(2, PUT, 1, 200)], Structure.CUSTOM),
        ([*BOX[:3], option(3, PUT, 1)], Structure.CUSTOM),
        ([*BOX[:2], option(1, CALL, -1, 200), option(1, PUT, 1, 200)], Structure.CUSTOM),
        (BOX[:3], Structure.CUSTOM),
        ([option(1, CALL, 1), option(2, CALL, -2)], Structure.CUSTOM),
        ([option(1, CALL, 1), option(2, CALL, -1, 100, 2)], Structure.CUSTOM),
        ([option(1, CALL, 1), (InstrumentTerms(Kind.PERPETUAL, 1), -1)], Structure.CUSTOM),
    ],
)
def test_structures_have_their_names(legs, expected):
    assert structure_of(legs) is expected


def view(*levels, low=0, high=1000):
    return LegView(levels, low, high)


def test_a_spread_is_bought_from_the_ask_of_one_leg_and_the_bid_of_the_other():
    plan = implied_plan(SPREAD, (view((100, 5)), view((60, 3))), Side.BUY, 10, 40, 1)
    assert plan == (3, 120, (((100, 3),), ((60, 3),)))


def test_a_unit_dearer_than_the_limit_is_not_taken():
    legs = (view((100, 2), (105, 9)), view((60, 9)))
    assert implied_plan(SPREAD, legs, Side.BUY, 10, 44, 1).quantity == 2
    assert implied_plan(SPREAD, legs, Side.BUY, 10, 45, 1).quantity == 9
    assert implied_plan(SPREAD, legs, Side.BUY, 10, 39, 1) == (0, 0, ((), ()))


def test_a_seller_receives_at_least_the_limit():
    legs = (view((100, 5)), view((60, 5)))
    assert implied_plan(SPREAD, legs, Side.SELL, 5, 40, 1) == (5, -200, (((100, 5),), ((60, 5),)))
    assert implied_plan(SPREAD, legs, Side.SELL, 5, 41, 1).quantity == 0


def test_a_leg_ends_at_its_band():
    legs = (view((100, 2), (105, 9), high=104), view((60, 9)))
    assert implied_plan(SPREAD, legs, Side.BUY, 10, 1000, 1).quantity == 2


def test_a_unit_may_straddle_levels_and_is_judged_as_a_whole():
    combo = (Leg(1, 2), Leg(2, 1))
    legs = (view((10, 3), (20, 9)), view((5, 9)))
    # Units cost 25, 10 + 20 + 5 = 35, 45.
    assert implied_plan(combo, legs, Side.BUY, 9, 34, 1).quantity == 1
    assert implied_plan(combo, legs, Side.BUY, 9, 35, 1) == (2, 60, (((10, 3), (20, 1)), ((5, 2),)))


def test_only_whole_lots_trade():
    legs = (view((100, 25)), view((60, 99)))
    assert implied_plan(SPREAD, legs, Side.BUY, 50, 1000, 10).quantity == 20


def test_an_empty_leg_gives_nothing():
    assert implied_plan(SPREAD, (view(), view((60, 3))), Side.BUY, 10, 40, 1).quantity == 0
