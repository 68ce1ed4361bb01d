"""Black-76: price, greeks and implied volatility of European options, vectorised.

Floats in, floats out; every argument broadcasts. `tau` is in years, `volatility` a plain number
(0.65), prices in units of the quote currency per unit of the underlying. Never knows an
instrument, a scenario or a rounding.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

FloatArray = NDArray[np.float64]

_SQRT_TWO_PI: Final = float(np.sqrt(2.0 * np.pi))
_VOLATILITY_MAX: Final = 100.0  # no price needs more; the bracket of the inversion
_ITERATIONS: Final = 100  # bisection alone needs 53 for the last bit; Newton usually needs 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeks:
    """Per contract, with the forward held.

    Delta and gamma are to the forward, vega per 1.0 of volatility, theta per year that passes, rho
    per 1.0 of the discount rate.
    """

    delta: FloatArray
    gamma: FloatArray
    vega: FloatArray
    theta: FloatArray
    rho: FloatArray


def price(
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    volatility: ArrayLike,
    is_put: ArrayLike,
    rate: ArrayLike = 0.0,
) -> FloatArray:
    """Discounted Black-76 price; the discounted intrinsic value where nothing is uncertain."""
    forward, strike, deviation, sign = _prepare(forward, strike, tau, volatility, is_put)
    first, second = _moneyness(forward, strike, deviation)
    value = sign * (forward * ndtr(sign * first) - strike * ndtr(sign * second))
    discount = np.exp(-np.asarray(rate, dtype=np.float64) * np.asarray(tau, dtype=np.float64))
    return np.asarray(np.maximum(value, 0.0) * discount, dtype=np.float64)


def greeks(
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    volatility: ArrayLike,
    is_put: ArrayLike,
    rate: ArrayLike = 0.0,
) -> Greeks:
    """All first-order greeks and gamma; zero or one-sided where nothing is uncertain."""
    tau = np.asarray(tau, dtype=np.float64)
    volatility = np.asarray(volatility, dtype=np.float64)
    rate = np.asarray(rate, dtype=np.float64)
    forward, strike, deviation, sign = _prepare(forward, strike, tau, volatility, is_put)
    first, second = _moneyness(forward, strike, deviation)
    discount = np.exp(-rate * tau)
    density = np.exp(-0.5 * first * first) / _SQRT_TWO_PI
    value = discount * np.maximum(
        sign * (forward * ndtr(sign * first) - strike * ndtr(sign * second)), 0.0
    )
    uncertain = deviation > 0.0
    safe_deviation = np.where(uncertain, deviation, 1.0)
    safe_tau = np.where(tau > 0.0, tau, 1.0)
    gamma = np.where(uncertain, discount * density / (forward * safe_deviation), 0.0)
    vega = np.where(uncertain, discount * forward * density * np.sqrt(tau), 0.0)
    decay = np.where(
        uncertain, discount * forward * density * volatility / 2 / np.sqrt(safe_tau), 0
    )
    return Greeks(
        delta=np.asarray(discount * sign * ndtr(sign * first), dtype=np.float64),
        gamma=np.asarray(gamma, dtype=np.float64),
        vega=np.asarray(vega, dtype=np.float64),
        theta=np.asarray(rate * value - decay, dtype=np.float64),
        rho=np.asarray(-tau * value, dtype=np.float64),
    )


def implied_volatility(
    target: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    is_put: ArrayLike,
    rate: ArrayLike = 0.0,
) -> FloatArray:
    """Volatility whose price is `target`: 0 at or below intrinsic, NaN where none exists.

    Newton inside a shrinking bracket, so that it converges wherever a root exists, however
    little the option is worth. Works on the out-of-the-money twin, whose digits are all time value.
    """
    target, forward, strike, tau, is_put, rate = np.broadcast_arrays(
        *(np.asarray(value, dtype=np.float64) for value in (target, forward, strike, tau)),
        np.asarray(is_put, dtype=bool),
        np.asarray(rate, dtype=np.float64),
    )
    sign = np.where(is_put, -1.0, 1.0)
    undiscounted = target * np.exp(rate * tau)
    time_value = undiscounted - np.maximum(sign * (forward - strike), 0.0)
    out_is_put = forward > strike  # the twin with no intrinsic value, by put-call parity
    ceiling = np.where(out_is_put, strike, forward)
    solvable = (time_value > 0.0) & (time_value < ceiling) & (tau > 0.0)
    goal = np.where(solvable, time_value, 0.5 * ceiling)
    safe_tau = np.where(tau > 0.0, tau, 1.0)
    found = _solve(goal, forward, strike, safe_tau, out_is_put)
    nothing = np.where((time_value <= 0.0) & (undiscounted >= 0.0), 0.0, np.nan)
    return np.asarray(np.where(solvable, found, nothing), dtype=np.float64)


def _solve(
    goal: FloatArray, forward: FloatArray, strike: FloatArray, tau: FloatArray, is_put: ArrayLike
) -> FloatArray:
    low = np.zeros_like(goal)
    high = np.full_like(goal, _VOLATILITY_MAX)
    # The inflection point of price in volatility: Newton from here never overshoots a far wing.
    guess = np.clip(np.sqrt(2.0 * np.abs(np.log(forward / strike)) / tau), 0.05, 10.0)
    for _ in range(_ITERATIONS):
        error = price(forward, strike, tau, guess, is_put) - goal
        high = np.where(error > 0.0, guess, high)
        low = np.where(error > 0.0, low, guess)
        deviation = guess * np.sqrt(tau)
        first = np.log(forward / strike) / deviation + 0.5 * deviation
        slope = forward * np.exp(-0.5 * first * first) / _SQRT_TWO_PI * np.sqrt(tau)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            # Newton on the logarithm where the price is tiny: its curve is straight out there.
            logarithm = np.log1p(error / goal) * goal * (1.0 + error / goal)
            step = guess - np.where(error < 0.0, logarithm, error) / slope
        inside = (step > low) & (step < high)  # also false for NaN
        moved = np.where(inside, step, 0.5 * (low + high))
        if np.all(np.abs(moved - guess) <= 1e-15 * guess):
            break
        guess = moved
    return guess


def _prepare(
    forward: ArrayLike, strike: ArrayLike, tau: ArrayLike, volatility: ArrayLike, is_put: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    forward = np.asarray(forward, dtype=np.float64)
    strike = np.asarray(strike, dtype=np.float64)
    tau = np.asarray(tau, dtype=np.float64)
    volatility = np.asarray(volatility, dtype=np.float64)
    deviation = volatility * np.sqrt(np.maximum(tau, 0.0))
    sign = np.where(np.asarray(is_put, dtype=bool), -1.0, 1.0)
    return forward, strike, deviation, sign


def _moneyness(
    forward: FloatArray, strike: FloatArray, deviation: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """d1 and d2; without deviation both are infinite on the side where the option ends."""
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.log(forward / strike)
        scaled = np.where(
            deviation > 0.0,
            distance / deviation,
            np.where(distance == 0.0, 0.0, np.copysign(np.inf, distance)),
        )
    return scaled + 0.5 * deviation, scaled - 0.5 * deviation
