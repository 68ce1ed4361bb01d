"""Forward and discount rate of an expiry, from what options cost: put-call parity.

A call less its put is worth D * (F - K): a line in the strike, whose slope is the discount and
whose root is the forward. Floats and pure; knows no source.
"""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

_STRIKES_MIN: Final = 3
_TAU_MIN: Final = 2.0 / 365.0  # nearer, a cent of price is percents of rate
_RATE_MAX: Final = 0.5  # a year, either way
_RESIDUAL_MAX: Final = 0.002  # of the forward: farther off the line, prices are not of one moment


class ParityFit(NamedTuple):
    """What an expiry's pairs of calls and puts say."""

    forward_price: float
    rate: float | None  # a year; None so near the expiry that prices do not tell


def fit_parity(
    calls: Mapping[float, float], puts: Mapping[float, float], tau: float
) -> ParityFit | None:
    """The line through calls less puts (prices by strike); None where they lie on none."""
    strikes = sorted(calls.keys() & puts.keys())
    if len(strikes) < _STRIKES_MIN or tau <= 0.0:
        return None
    gaps = np.array([calls[strike] - puts[strike] for strike in strikes])
    slope, intercept = np.polyfit(strikes, gaps, 1)
    if not slope < 0.0:
        return None
    discount, forward = -float(slope), float(-intercept / slope)
    residual = float(np.max(np.abs(gaps - (intercept + slope * np.array(strikes)))))
    if not forward > 0.0 or residual > _RESIDUAL_MAX * forward:
        return None
    if tau < _TAU_MIN:
        return ParityFit(forward, None)
    rate = -math.log(discount) / tau
    return ParityFit(forward, rate) if abs(rate) <= _RATE_MAX else None
