"""Decimals of an order as text, and which of them is signed."""

from decimal import Decimal

import pytest

from exchange.model import WithdrawalTerms
from exchange.sdk import BadArgument
from exchange.sdk.order_fields import (
    decimal_options,
    price_fields,
    token_amount,
    withdrawal_fields,
)
from exchange.sdk.types import SigningDomain


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


DOMAIN = SigningDomain(
    chain_id=1,
    verifying_contract="0x1",
    collateral="0x2",
    deadline_seconds_max=1,
    maker_rate=Decimal(0),
    taker_rate=Decimal(0),
    premium_cap=Decimal(0),
    collaterals={"WETH": "0x3"},
)


@pytest.mark.parametrize(
    ("currency", "amount", "expected"),
    [
        ("USDC", "1.25", ("0x2", 1_250_000)),
        ("usdc", 2, ("0x2", 2_000_000)),
        ("WETH", "0.00000001", ("0x3", 1)),
        ("weth", Decimal(2), ("0x3", 200_000_000)),
    ],
)
def test_a_token_has_an_address_and_units(currency, amount, expected):
    assert token_amount(DOMAIN, currency, amount) == expected
    token, units = expected
    terms = WithdrawalTerms(
        subaccount_id=4,
        token=token,
        amount=units,
        recipient="0x5",
        nonce=6,
        deadline=7,
        signer="0x8",
    )
    assert withdrawal_fields(terms, currency) == {
        "currency": currency,
        "amount": format(Decimal(amount), "f"),
        "address": "0x5",
        "subaccount_id": 4,
        "nonce": 6,
        "deadline": 7,
        "signer": "0x8",
    }


def test_what_is_no_collateral_is_named():
    with pytest.raises(BadArgument, match="this venue holds no DOGE"):
        token_amount(DOMAIN, "DOGE", 1)
