"""A sheet's form, its tree, and the way from what stands to what it wants."""

import pytest
from eth_hash.auto import keccak

from exchange.matching.quotes import (
    QUOTES_MAX,
    Kept,
    Quote,
    QuoteOrder,
    SheetFault,
    StandingQuote,
    check_sheet,
    is_in_sheet,
    plan_sheet,
    sheet_orders,
    sheet_proof,
    sheet_root,
)
from exchange.model import Side

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


def test_orders_stand_in_the_order_of_the_lines_bid_first():
    quotes = [Quote(7, 10, 5, 12, 6), Quote(3, 1, 0, 9, 4), Quote(5, 8, 2, 0, 0)]
    assert sheet_orders(quotes) == (
        QuoteOrder(0, 7, BUY, 10, 5),
        QuoteOrder(1, 7, SELL, 12, 6),
        QuoteOrder(2, 3, SELL, 9, 4),
        QuoteOrder(3, 5, BUY, 8, 2),
    )


def test_what_shrinks_stays_in_place_and_the_rest_is_replaced():
    standing = [
        StandingQuote(11, 1, BUY, 10, 5),
        StandingQuote(12, 1, SELL, 20, 5),
        StandingQuote(13, 2, BUY, 10, 5),
        StandingQuote(14, 2, SELL, 20, 5),
        StandingQuote(15, 3, BUY, 10, 5),
    ]
    plan = plan_sheet(
        standing, [Quote(2, 10, 6, 21, 5), Quote(1, 10, 5, 20, 4), Quote(4, 1, 1, 2, 0)]
    )
    assert plan.cancel == (13, 14, 15)
    assert plan.reduce == (Kept(12, 4, 3),)
    assert plan.keep == (Kept(11, 5, 2),)
    assert plan.place == (
        QuoteOrder(0, 2, BUY, 10, 6),
        QuoteOrder(1, 2, SELL, 21, 5),
        QuoteOrder(4, 4, BUY, 1, 1),
    )


def test_a_plan_needs_a_sound_sheet_and_one_order_a_side():
    with pytest.raises(AssertionError):
        plan_sheet([], [])
    twice = [StandingQuote(1, 1, BUY, 10, 5), StandingQuote(2, 1, BUY, 9, 5)]
    with pytest.raises(AssertionError):
        plan_sheet(twice, [Quote(1, 10, 5, 0, 0)])


def leaves(count):
    return [keccak(bytes([at])) for at in range(count)]


def test_the_root_hashes_sorted_pairs_and_an_odd_leaf_rises():
    a, b, c = leaves(3)
    inner = keccak(min(a, b) + max(a, b))
    assert sheet_root([a]) == a
    assert sheet_root([a, b]) == sheet_root([b, a]) == inner
    assert sheet_root([a, b, c]) == keccak(min(inner, c) + max(inner, c))
    assert sheet_proof([a, b, c], 2) == (inner,)
    assert sheet_proof([a, b, c], 1) == (a, c)


def test_a_proof_serves_its_own_leaf_only():
    tree = leaves(5)
    root = sheet_root(tree)
    assert is_in_sheet(root, tree[3], sheet_proof(tree, 3))
    assert not is_in_sheet(root, tree[2], sheet_proof(tree, 3))
    assert not is_in_sheet(root, keccak(b"another"), ())


@pytest.mark.parametrize("tree", [[], [b"short"], leaves(1) * (2 * QUOTES_MAX + 1)])
def test_a_tree_has_between_one_and_all_leaves_of_full_length(tree):
    with pytest.raises(AssertionError):
        sheet_root(tree)


@pytest.mark.parametrize("at", [-1, 2])
def test_a_proof_is_of_a_leaf_that_exists(at):
    with pytest.raises(AssertionError):
        sheet_proof(leaves(2), at)
