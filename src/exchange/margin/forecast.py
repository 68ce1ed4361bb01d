"""Volatility forecasts that scale scan ranges: EWMA and HAR, and the back-test that chooses.

Floats above the sequencer. A forecast is a yearly volatility for the next day, made from hourly
prices; what it may do to margin is bounded elsewhere (`AdjustRisk`).
"""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from exchange.margin.pricing import FloatArray

HOURS_PER_DAY: Final = 24
_HOURS_PER_YEAR: Final = 365 * HOURS_PER_DAY
_DAYS: Final = (1, 7, 30)  # the horizons of HAR: how long different traders look back
_FIT_MIN: Final = 60  # days of history before HAR is fitted
_VARIANCE_MIN: Final = 1e-8  # of a day; a market that stood still is no reason to divide by zero

Model = Callable[[FloatArray], float]  # daily variances, oldest first, to the next day's


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How one model did over the days that it forecast; lower losses are better."""

    model: str
    days: int
    qlike: float  # variance ratio less its logarithm less 1: punishes forecasts that are too low
    error: float  # root mean square, in yearly volatility
    exceeded: float  # share of days whose move was beyond two forecast deviations


def daily_variances(prices: Sequence[float]) -> FloatArray:
    """Realised variance of each whole day, from hourly prices, the oldest first."""
    if len(prices) <= HOURS_PER_DAY:
        return np.zeros(0)
    moves = np.diff(np.log(np.asarray(prices, dtype=np.float64)))
    days = len(moves) // HOURS_PER_DAY
    recent = moves[len(moves) - days * HOURS_PER_DAY :]
    sums = (recent.reshape(days, HOURS_PER_DAY) ** 2).sum(axis=1)
    return np.asarray(np.maximum(sums, _VARIANCE_MIN), dtype=np.float64)


def ewma(decay: float) -> Model:
    """Each day counts `decay` times the next; needs one day."""

    def forecast(variances: FloatArray) -> float:
        ages = np.arange(len(variances) - 1, -1, -1)
        weights = decay**ages
        return float((weights * variances).sum() / weights.sum())

    return forecast


def har(variances: FloatArray) -> float:
    """Corsi's regression on the last day, week and month, in logarithms; EWMA while too short.

    Logarithms keep a forecast positive and one wild day from bending the fit.
    """
    longest = _DAYS[-1]
    if len(variances) < longest + _FIT_MIN:
        return ewma(0.94)(variances)
    logs = np.log(variances)
    sums = np.concatenate([[0.0], np.cumsum(logs)])
    ends = np.arange(longest, len(logs) + 1)
    columns = [(sums[ends] - sums[ends - span]) / span for span in _DAYS]
    design = np.column_stack([np.ones(len(ends)), *columns])
    goal = logs[longest:]
    fit, *_ = np.linalg.lstsq(design[:-1], goal, rcond=None)
    spread = float(np.var(goal - design[:-1] @ fit))
    return float(np.exp(design[-1] @ fit + spread / 2))


MODELS: Final[dict[str, Model]] = {
    "ewma 0.94": ewma(0.94),
    "ewma 0.97": ewma(0.97),
    "har": har,
    "mean": ewma(1.0),
}


def yearly(variance: float) -> float:
    """Yearly volatility of a day's variance."""
    return math.sqrt(variance * 365)


def backtest(prices: Sequence[float]) -> list[Score]:
    """Every model over every day that has enough behind it, the best first.

    Each forecast sees only the days before it. Raises `ValueError` where there are too few.
    """
    variances = daily_variances(prices)
    first = _DAYS[-1] + _FIT_MIN
    if len(variances) <= first:
        raise ValueError(f"needs hourly prices of more than {first} days, has {len(variances)}")
    logs = np.log(np.asarray(prices, dtype=np.float64))
    closes = logs[len(logs) - 1 - len(variances) * HOURS_PER_DAY :: HOURS_PER_DAY]
    actual, moves = variances[first:], np.diff(closes)[first:]
    scores = []
    for name, model in MODELS.items():
        forecasts = np.array([model(variances[:day]) for day in range(first, len(variances))])
        ratio = actual / forecasts
        off = np.sqrt(forecasts * 365) - np.sqrt(actual * 365)
        scores.append(
            Score(
                model=name,
                days=len(actual),
                qlike=float(np.mean(ratio - np.log(ratio) - 1.0)),
                error=float(np.sqrt(np.mean(off**2))),
                exceeded=float(np.mean(np.abs(moves) > 2 * np.sqrt(forecasts))),
            )
        )
    return sorted(scores, key=lambda score: score.qlike)


def read_prices(text: str) -> list[float]:
    """Hourly prices from `time,price` rows: UTC seconds or ISO times, ascending, a heading allowed.

    The last price of an hour is its price; an hour without one keeps the price before.
    """
    hours: dict[int, float] = {}
    for number, row in enumerate(csv.reader(io.StringIO(text)), start=1):
        try:
            time_s, price = _time_s(row[0]), float(row[1])
        except (ValueError, IndexError):
            if number == 1:
                continue  # a heading
            raise ValueError(f"row {number}: expected time,price, got {row}") from None
        if not 0.0 < price < math.inf:
            raise ValueError(f"row {number}: {price} is no price")
        hour = time_s // 3600
        if hours and hour < max(hours):
            raise ValueError(f"row {number}: times go back")
        hours[hour] = price
    if not hours:
        raise ValueError("there are no prices")
    prices, known = [], 0.0
    for hour in range(min(hours), max(hours) + 1):
        known = hours.get(hour, known)
        prices.append(known)
    return prices


def _time_s(text: str) -> int:
    try:
        return int(float(text))
    except ValueError:
        return int(datetime.fromisoformat(text).timestamp())


class VolatilityTracker:
    """Hourly prices of one underlying, and what they forecast for the next day.

    Until a day of them is known the forecast is `prior`, a yearly volatility.
    """

    _HOURS_KEPT: Final = 400 * HOURS_PER_DAY

    def __init__(self, prior: float, model: Model = har) -> None:
        assert prior > 0.0
        self._prior = prior
        self._model = model
        self._prices: list[float] = []
        self._hour = 0

    def note(self, time_s: int, price: float) -> None:
        """Take a price; the last one of an hour counts. A gap repeats the price before it."""
        hour = time_s // 3600
        if self._prices and hour <= self._hour:
            self._prices[-1] = price
            return
        gap = min(hour - self._hour, self._HOURS_KEPT) if self._prices else 1
        self._prices += [self._prices[-1]] * (gap - 1) if self._prices else []
        self._prices.append(price)
        self._hour = hour
        del self._prices[: -self._HOURS_KEPT]

    @property
    def hours(self) -> tuple[int, list[float]]:
        """The hour of the newest price, and the prices: all that it knows."""
        return self._hour, list(self._prices)

    @hours.setter
    def hours(self, known: tuple[int, list[float]]) -> None:
        self._hour, self._prices = known[0], list(known[1])

    def realised(self, unknown: float, hours: int = HOURS_PER_DAY) -> float:
        """Yearly volatility of the last hours; `unknown` while there are fewer than six."""
        moves = np.diff(np.log(self._prices[-hours - 1 :]))
        if len(moves) < 6:
            return unknown
        return math.sqrt(float(np.mean(moves**2)) * _HOURS_PER_YEAR)

    def forecast(self) -> float:
        """Yearly volatility expected of the next day."""
        variances = daily_variances(self._prices)
        return yearly(self._model(variances)) if len(variances) else self.realised(self._prior)
