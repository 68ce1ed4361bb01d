"""What a maker writes is what is signed and what is sent."""

from decimal import Decimal

import pytest
from tests.venue import C

from exchange.model import Quote
from exchange.sdk import BadArgument, TwoSided


def test_a_line_is_signed_in_units_and_sent_as_text():
    line = TwoSided("X", bid=(1_000, "0.5"), ask=(Decimal("1001.25"), 2))
    assert line.signed(C) == Quote(C, 1_000_000_000, 5_000, 1_001_250_000, 20_000)
    assert line.fields() == {
        "instrument_name": "X",
        "bid": {"price": "1000", "amount": "0.5"},
        "ask": {"price": "1001.25", "amount": "2"},
    }


def test_a_side_that_is_left_out_is_not_quoted():
    line = TwoSided("X", ask=(5, 1))
    assert line.signed(C) == Quote(C, 0, 0, 5_000_000, 10_000)
    assert line.fields() == {"instrument_name": "X", "ask": {"price": "5", "amount": "1"}}


def test_inexact_numbers_are_refused():
    with pytest.raises(BadArgument):
        TwoSided("X", bid=("1.0000001", 1)).signed(C)
