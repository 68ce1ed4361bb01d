"""A sheet's form, and the way from what stands to what it wants."""

import pytest

from exchange.matching.quotes import (
    QUOTES_MAX,
    Kept,
    SheetFault,
    StandingQuote,
    check_sheet,
    plan_sheet,
)
from exchange.model import Quote, SheetTerms, Side, sheet_orders

BUY, SELL = Side.BUY, Side.SELL


@pytest.mark.parametrize(
    ("quotes", "fault"),
    [
        ([Quote(i, 1, 1, 2, 1) for i in range(QUOTES_MAX + 1)], SheetFault.TOO_MANY_QUOTES),
        ([Quote(1, 1, 1, 2, 1), Quote(1, 3, -1, 4, 1)], SheetFault.REPEATED_INSTRUMENT),
        ([Quote(1, 2, -1, 1, 1)], SheetFault.NEGATIVE_QUANTITY),
        ([Quote(1, 1, 1, 2, -1)], SheetFault.NEGATIVE_QUANTITY),
        ([Quote(1, 2, 1, 2, 1)], SheetFault.CROSSED_QUOTE),
        ([Quote(1, 2, 0, 1, 0)], SheetFault.EMPTY_SHEET),
        ([], SheetFault.EMPTY_SHEET),
        ([Quote(1, 2, 0, 1, 1)], None),
        ([Quote(1, 2, 1, 1, 0)], None),
        ([Quote(i, 1, 1, 2, 1) for i in range(QUOTES_MAX)], None),
    ],
)
def test_sheets_are_checked_in_order(quotes, fault):
    assert check_sheet(quotes) == fault


TERMS = SheetTerms(
    subaccount_id=7, sheet_nonce=1, first_nonce=50, max_fee=3, deadline=9, signer="maker"
)


def test_what_shrinks_stays_in_place_and_the_rest_is_replaced():
    standing = [
        StandingQuote(11, 1, BUY, 10, 5),
        StandingQuote(12, 1, SELL, 20, 5),
        StandingQuote(13, 2, BUY, 10, 5),
        StandingQuote(14, 2, SELL, 20, 5),
        StandingQuote(15, 3, BUY, 10, 5),
    ]
    lines = [Quote(2, 10, 6, 21, 5), Quote(1, 10, 5, 20, 4), Quote(4, 1, 1, 2, 0)]
    plan = plan_sheet(standing, sheet_orders(TERMS, lines))
    assert plan.cancel == (13, 14, 15)
    assert plan.reduce == (Kept(12, 4, 3),)
    assert plan.keep == (Kept(11, 5, 2),)
    assert plan.place == (0, 1, 4)


def test_a_plan_needs_one_order_a_side():
    twice = [StandingQuote(1, 1, BUY, 10, 5), StandingQuote(2, 1, BUY, 9, 5)]
    with pytest.raises(AssertionError):
        plan_sheet(twice, sheet_orders(TERMS, [Quote(1, 10, 5, 0, 0)]))
