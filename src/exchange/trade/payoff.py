"""What a portfolio gains or loses as its index moves: now, and at its first expiry.

Pure floats, for display only: Black-76 at the mark volatilities that the venue publishes, forwards
moved in proportion to the index. Margin is never decided by these.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

YEAR_MS: Final = 365 * 86_400_000
POINTS: Final = 241

Floats = NDArray[np.float64]


class PayoffLeg(msgspec.Struct, frozen=True, kw_only=True):
    """A position as its curve needs it; `entry` is the price paid a contract."""

    instrument_name: str
    kind: Literal["call", "put", "linear"]
    size: float
    entry: float
    forward: float  # of an option, today; of a linear one its mark
    strike: float = 0.0
    expiry_ms: int = 0  # 0: a perpetual
    volatility: float = 0.0  # a plain number
    rate: float = 0.0


class Payoff(msgspec.Struct, frozen=True, kw_only=True):
    """Curves over index prices, and what a trader reads off them."""

    currency: str
    index_price: float
    expiry_ms: int  # of the second curve; 0: nothing expires
    prices: list[float]
    now: list[float]
    at_expiry: list[float]
    breakevens: list[float]  # of the second curve, inside the range
    legs: list[PayoffLeg]


def payoff(
    currency: str,
    legs: Sequence[PayoffLeg],
    *,
    index_price: float,
    now_ms: int,
    reach: float = 0.3,
) -> Payoff:
    """Curves from `reach` below to `reach` above the index."""
    expiries = [leg.expiry_ms for leg in legs if leg.expiry_ms]
    horizon_ms = min(expiries, default=0)
    prices = index_price * np.linspace(1 - reach, 1 + reach, POINTS)
    now = _profit(legs, prices, index_price, now_ms)
    later = _profit(legs, prices, index_price, horizon_ms or now_ms)
    return Payoff(
        currency=currency,
        index_price=index_price,
        expiry_ms=horizon_ms,
        prices=[round(price, 2) for price in prices.tolist()],
        now=[round(value, 2) for value in now.tolist()],
        at_expiry=[round(value, 2) for value in later.tolist()],
        breakevens=crossings(prices, later),
        legs=list(legs),
    )


def _profit(legs: Sequence[PayoffLeg], prices: Floats, index_price: float, at_ms: int) -> Floats:
    total = np.zeros_like(prices)
    for leg in legs:
        total += leg.size * (_worth(leg, prices, index_price, at_ms) - leg.entry)
    return total


def _worth(leg: PayoffLeg, prices: Floats, index_price: float, at_ms: int) -> Floats:
    """A contract's worth at each index price."""
    expired = 0 < leg.expiry_ms <= at_ms
    # At its expiry a forward is the index; before, it keeps its distance in proportion.
    forwards = prices if expired else prices * (leg.forward / index_price)
    if leg.kind == "linear":
        return forwards
    from exchange.margin import pricing  # scipy: slow to import, and not for every command

    tau = max(0, leg.expiry_ms - at_ms) / YEAR_MS
    return pricing.price(forwards, leg.strike, tau, leg.volatility, leg.kind == "put", leg.rate)


def crossings(prices: Floats, values: Floats) -> list[float]:
    """Where a curve meets zero, between two of its points by a straight line."""
    found = []
    for at in range(len(values) - 1):
        left, right = float(values[at]), float(values[at + 1])
        if left * right < 0:
            share = left / (left - right)
            found.append(round(float(prices[at] + share * (prices[at + 1] - prices[at])), 2))
        elif left == 0 and right != 0 and at and values[at - 1] != 0:
            found.append(round(float(prices[at]), 2))
    return found
