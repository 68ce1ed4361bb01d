"""Decimals of an order as text, and which of them is signed."""

from decimal import Decimal

import pytest

from exchange.sdk import BadArgument
from exchange.sdk.order_fields import decimal_options, price_fields


def test_options_become_exact_text():
    options = {"max_show": 0.1, "trigger_price": Decimal("1.50"), "label": "x"}
    assert decimal_options(options) == {"max_show": "0.1", "trigger_price": "1.5", "label": "x"}


def test_a_price_is_signed_and_a_volatility_is_not():
    assert price_fields("1000.5", None, None) == (1_000_500_000, {"price": "1000.5"})
    assert price_fields(65, "implv", "1200") == (
        1_200_000_000,
        {"price": "65", "limit_price": "1200", "advanced": "implv"},
    )


@pytest.mark.parametrize(("advanced", "limit_price"), [("implv", None), (None, 5)])
def test_a_volatility_and_a_worst_price_come_together(advanced, limit_price):
    with pytest.raises(BadArgument, match="limit_price"):
        price_fields(65, advanced, limit_price)
