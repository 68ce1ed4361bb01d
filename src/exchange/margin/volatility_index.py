"""The volatility index: what options say of the next thirty days, free of any pricing model.

The value of a strip of out-of-the-money options is the variance that a swap would pay. Floats and
pure; for display alone: nothing margins by it. Knows prices, not where they come from.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

HORIZON_DAYS: Final = 30.0
_YEAR_DAYS: Final = 365.0
_STRIKES_MIN: Final = 3


class Strip(NamedTuple):
    """The options of one expiry: (strike, price) of calls and puts, all in one unit of money."""

    days: float  # to the expiry
    forward_price: float
    calls: Sequence[tuple[float, float]]
    puts: Sequence[tuple[float, float]]


def volatility_index(strips: Sequence[Strip]) -> float | None:
    """Yearly volatility over thirty days, total variance linear between the expiries around them.

    Where all expiries lie on one side, that of the nearest; None where no strip has enough strikes.
    """
    known = sorted(
        (strip.days, variance)
        for strip in strips
        if (variance := strip_variance(strip)) is not None
    )
    if not known:
        return None
    before = [one for one in known if one[0] <= HORIZON_DAYS]
    after = [one for one in known if one[0] > HORIZON_DAYS]
    if not before or not after:
        _, variance = after[0] if after else before[-1]
        return math.sqrt(variance)
    (near, near_variance), (far, far_variance) = before[-1], after[0]
    share = (HORIZON_DAYS - near) / (far - near)
    total = near * near_variance * (1.0 - share) + far * far_variance * share
    return math.sqrt(total / HORIZON_DAYS)


def strip_variance(strip: Strip) -> float | None:
    """Variance a year that the strip pays for; None with fewer than three strikes or no time left.

    2 / T of the sum of width / strike^2 * price, less the gap between the forward and the strike
    below it.
    """
    tau = strip.days / _YEAR_DAYS
    below = [strike for strike, _ in strip.calls if strike <= strip.forward_price]
    if tau <= 0.0 or not below:
        return None
    middle = max(below)
    prices = {strike: price for strike, price in strip.puts if strike < middle}
    prices |= {strike: price for strike, price in strip.calls if strike > middle}
    at = [price for strike, price in (*strip.calls, *strip.puts) if strike == middle]
    prices[middle] = sum(at) / len(at)
    if len(prices) < _STRIKES_MIN:
        return None
    strikes = sorted(prices)
    value = sum(
        _width(strikes, place) / strike**2 * prices[strike] for place, strike in enumerate(strikes)
    )
    gap = strip.forward_price / middle - 1.0
    return max(0.0, (2.0 * value - gap**2) / tau)


def _width(strikes: Sequence[float], place: int) -> float:
    """Half the way to both neighbours; the whole way to the only one."""
    low, high = max(0, place - 1), min(len(strikes) - 1, place + 1)
    return (strikes[high] - strikes[low]) / (high - low)
