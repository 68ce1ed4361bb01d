"""An order's decimals on the wire, and the one price among them that its owner signs."""

from typing import Any

from exchange.model import OrderTerms
from exchange.sdk.errors import BadArgument
from exchange.sdk.wallet import Number, price_text, quantity_text, to_price, to_quantity

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
