"""Legs as people type them."""

from decimal import Decimal

import pytest

from exchange.sdk import BadArgument
from exchange.trade.legs import asked, parse_legs


def test_amounts_are_signed_and_one_unless_given():
    legs = parse_legs(["A-1=2.5", "B-2=-1", "C-3"])
    assert legs == {"A-1": Decimal("2.5"), "B-2": Decimal(-1), "C-3": Decimal(1)}
    assert asked(legs) == [("A-1", Decimal("2.5"), "buy"), ("B-2", 1, "sell"), ("C-3", 1, "buy")]


@pytest.mark.parametrize("word", ["=1", "A=x", "A=0", "A=NaN", "A=Infinity"])
def test_what_is_no_leg_is_named(word):
    with pytest.raises(BadArgument, match="NAME=AMOUNT"):
        parse_legs([word])


def test_a_leg_counts_once():
    with pytest.raises(BadArgument, match="twice"):
        parse_legs(["A=1", "A=2"])
