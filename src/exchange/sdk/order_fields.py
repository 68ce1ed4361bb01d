"""Decimals on the wire, of orders and withdrawals, and what of them the owner signs."""

from typing import Any

from exchange.fixed import ASSET_SCALE, format_decimal
from exchange.model import OrderTerms, WithdrawalTerms
from exchange.sdk.errors import BadArgument
from exchange.sdk.types import SigningDomain
from exchange.sdk.wallet import Number, price_text, quantity_text, scaled, to_price, to_quantity

_PRICES = ("trigger_price", "trigger_offset")
_QUANTITIES = ("max_show", "display_amount")


def decimal_options(options: dict[str, Any]) -> dict[str, Any]:
    """The same options with their decimals as exact text."""
    texts = {name: price_text(to_price(options[name])) for name in _PRICES if name in options}
    texts |= {
        name: quantity_text(to_quantity(options[name])) for name in _QUANTITIES if name in options
    }
    return options | texts


def price_fields(
    price: Number, advanced: str | None, limit_price: Number | None
) -> tuple[int, dict[str, str]]:
    """What is signed in micro-USDC, and the fields that say it.

    The price itself; or, where that is a volatility in percent, the worst price.
    """
    if (advanced is None) is not (limit_price is None):
        raise BadArgument("limit_price, the worst price, comes with advanced='implv'")
    if advanced is None or limit_price is None:
        signed = to_price(price)
        return signed, {"price": price_text(signed)}
    signed = to_price(limit_price, "limit_price")
    percent = price_text(to_price(price, "volatility"))
    return signed, {"price": percent, "limit_price": price_text(signed), "advanced": advanced}


def signed_fields(terms: OrderTerms) -> dict[str, Any]:
    """Signed terms that every request to place or edit carries."""
    return {
        "amount": quantity_text(terms.quantity),
        "max_fee": price_text(terms.max_fee),
        "deadline": terms.deadline,
        "signer": terms.signer,
    }


def token_amount(domain: SigningDomain, currency: str, amount: Number) -> tuple[str, int]:
    """The address of a token by its name, and so much of it in ledger units."""
    name = currency.upper()
    if name == "USDC":
        return domain.collateral, to_price(amount, "amount")
    if name not in domain.collaterals:
        raise BadArgument(f"this venue holds no {name}")
    return domain.collaterals[name], scaled(amount, ASSET_SCALE, "amount")


def withdrawal_fields(terms: WithdrawalTerms, currency: str) -> dict[str, Any]:
    """Signed terms of `private/withdraw`."""
    is_cash = currency.upper() == "USDC"
    return {
        "currency": currency,
        "amount": price_text(terms.amount)
        if is_cash
        else format_decimal(terms.amount, ASSET_SCALE),
        "address": terms.recipient,
        "subaccount_id": terms.subaccount_id,
        "nonce": terms.nonce,
        "deadline": terms.deadline,
        "signer": terms.signer,
    }
