"""Legs as people type them: `NAME=AMOUNT`, negative to sell."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Literal

from exchange.sdk.errors import BadArgument

Direction = Literal["buy", "sell"]


def parse_legs(words: Sequence[str]) -> dict[str, Decimal]:
    """Signed contracts by instrument; a name without an amount counts once."""
    legs: dict[str, Decimal] = {}
    for word in words:
        name, _, text = word.partition("=")
        try:
            amount = Decimal(text or "1")
        except InvalidOperation:
            amount = Decimal(0)
        if not name or not amount.is_finite() or not amount:
            raise BadArgument(f"{word}: a leg is NAME=AMOUNT, such as BTC_USDC-PERPETUAL=-0.5")
        if name in legs:
            raise BadArgument(f"{name} is there twice")
        legs[name] = amount
    return legs


def asked(legs: dict[str, Decimal]) -> list[tuple[str, Decimal, Direction]]:
    """The same legs as combos and requests for quote take them: amount and direction."""
    return [(name, abs(amount), "buy" if amount > 0 else "sell") for name, amount in legs.items()]
