"""Which expiries, strikes and instruments a venue ought to list at a given time."""

import pytest

from exchange.fixed import CASH_SCALE
from exchange.matching.listing import (
    ListingRules,
    StrikeGrid,
    expiries,
    future_expiries,
    missing,
    strikes,
)
from exchange.model import InstrumentTerms, Kind, OptionKind, civil_date, expiry_code

# 1 November 2026 is a Sunday.
NOVEMBER_1 = 20_758 * 86_400
EIGHT = 8 * 3600
GRIDS = (StrikeGrid(2, 500 * CASH_SCALE, 2), StrikeGrid(10, 1000 * CASH_SCALE, 1))


def rules(**fields):
    terms = {"daily": 0, "weekly": 0, "monthly": 0, "quarterly": 0, "grids": GRIDS}
    return ListingRules(1, **(terms | fields))


def codes(found):
    return [expiry_code(expiry) for expiry in found]


def test_the_first_of_november_2026():
    assert civil_date(NOVEMBER_1 // 86_400) == (2026, 11, 1)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"daily": 3}, ["1NOV26", "2NOV26", "3NOV26"]),
        ({"weekly": 2}, ["6NOV26", "13NOV26"]),
        ({"monthly": 3}, ["27NOV26", "25DEC26", "29JAN27"]),
        ({"quarterly": 3}, ["25DEC26", "26MAR27", "25JUN27"]),
        # The last weekly is the first monthly, the second monthly the first quarterly.
        (
            {"weekly": 4, "monthly": 2, "quarterly": 1},
            ["6NOV26", "13NOV26", "20NOV26", "27NOV26", "25DEC26"],
        ),
        ({}, []),
    ],
)
def test_expiries_ahead(fields, expected):
    assert codes(expiries(rules(**fields), NOVEMBER_1)) == expected


def test_an_expiry_ends_at_eight():
    daily = rules(daily=1)
    assert codes(expiries(daily, NOVEMBER_1 + EIGHT - 1)) == ["1NOV26"]
    assert codes(expiries(daily, NOVEMBER_1 + EIGHT)) == ["2NOV26"]


def test_a_friday_counts_until_eight():
    friday = NOVEMBER_1 + 5 * 86_400
    assert codes(expiries(rules(weekly=1), friday + EIGHT - 1)) == ["6NOV26"]
    assert codes(expiries(rules(weekly=1), friday + EIGHT)) == ["13NOV26"]


def test_futures_stand_on_quarters():
    assert future_expiries(rules(quarterly=2), NOVEMBER_1) == []
    found = future_expiries(rules(quarterly=2, monthly=5, futures=True), NOVEMBER_1)
    assert codes(found) == ["25DEC26", "26MAR27"]


@pytest.mark.parametrize(
    ("days_ahead", "forward", "expected"),
    [
        (1, 100_100, [99_000, 99_500, 100_000, 100_500, 101_000]),
        (2, 100_300, [99_500, 100_000, 100_500, 101_000, 101_500]),
        (3, 100_100, [99_000, 100_000, 101_000]),
        (99, 100_100, [99_000, 100_000, 101_000]),
        (1, 600, [500, 1000, 1500]),
    ],
)
def test_strikes_stand_around_the_forward_in_steps_by_tenor(days_ahead, forward, expected):
    found = strikes(rules(), days_ahead, forward * CASH_SCALE)
    assert found == [strike * CASH_SCALE for strike in expected]


def test_a_strike_that_no_id_can_hold_is_left_out():
    fine = rules(grids=(StrikeGrid(9, 10_000, 1),))
    assert strikes(fine, 1, (2**20 + 4) * 10_000) == [(2**20 + 4) * 10_000]


def test_missing_instruments_in_order_and_only_once():
    wanted = rules(daily=1, quarterly=1, futures=True, perpetual=True)
    daily, quarter = expiries(wanted, NOVEMBER_1)
    found = missing(wanted, NOVEMBER_1, {daily: 100_000 * CASH_SCALE}, set())
    assert found[:2] == [
        InstrumentTerms(Kind.PERPETUAL, 1),
        InstrumentTerms(Kind.FUTURE, 1, quarter),
    ]
    low = 99_000 * CASH_SCALE
    assert found[2:4] == [
        InstrumentTerms(Kind.OPTION, 1, daily, low, OptionKind.CALL),
        InstrumentTerms(Kind.OPTION, 1, daily, low, OptionKind.PUT),
    ]
    assert len(found) == 2 + 2 * 5, "the quarter has no forward yet"
    assert missing(wanted, NOVEMBER_1, {daily: 100_000 * CASH_SCALE}, set(found)) == []


def test_new_strikes_come_as_the_forward_moves_and_none_goes():
    wanted = rules(daily=1)
    (expiry,) = expiries(wanted, NOVEMBER_1)
    listed = set(missing(wanted, NOVEMBER_1, {expiry: 100_000 * CASH_SCALE}, set()))
    new = missing(wanted, NOVEMBER_1, {expiry: 100_500 * CASH_SCALE}, listed)
    assert [terms.strike for terms in new] == [101_500 * CASH_SCALE] * 2
