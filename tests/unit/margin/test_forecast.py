"""Forecasts of volatility, and the back-test that chooses between them."""

import math

import numpy as np
import pytest

from exchange.margin.forecast import (
    HOURS_PER_DAY,
    MODELS,
    VolatilityTracker,
    backtest,
    daily_variances,
    ewma,
    har,
    read_prices,
    yearly,
)


def hourly(volatility, days, seed=1):
    """A driftless walk whose yearly volatility is given, one number a day or one for all."""
    rng = np.random.default_rng(seed)
    levels = np.broadcast_to(volatility, days).repeat(HOURS_PER_DAY)
    moves = rng.standard_normal(days * HOURS_PER_DAY) * levels / math.sqrt(365 * 24)
    return [100_000.0, *(100_000.0 * np.exp(np.cumsum(moves))).tolist()]


def clustered(days=400, seed=2):
    """Volatility that wanders slowly: yesterday says much of today."""
    rng = np.random.default_rng(seed)
    excess = np.zeros(days)
    for day in range(1, days):
        excess[day] = 0.95 * excess[day - 1] + 0.15 * rng.standard_normal()
    return 0.6 * np.exp(excess)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_finds_a_constant_volatility(name):
    """60 % a year, from 200 days."""
    variances = daily_variances(hourly(0.6, 200))
    assert yearly(MODELS[name](variances)) == pytest.approx(0.6, rel=0.15)


@pytest.mark.parametrize("name", ["ewma 0.94", "har"])
def test_a_forecast_follows_a_market_that_wakes(name):
    """Ten days at twice the volatility move it most of the way; the plain mean hardly."""
    levels = np.array([0.4] * 150 + [0.8] * 10)
    variances = daily_variances(hourly(levels, 160))
    assert yearly(MODELS[name](variances)) > 0.55
    assert yearly(MODELS["mean"](variances)) < 0.5


def test_har_is_ewma_until_it_has_history():
    """A regression on a month of months would be noise."""
    variances = daily_variances(hourly(0.6, 80))
    assert har(variances) == ewma(0.94)(variances)


def test_the_backtest_prefers_what_follows_clusters():
    """Where volatility clusters, forgetting beats remembering everything."""
    scores = backtest(hourly(clustered(), 400))
    order = [score.model for score in scores]
    assert order[-1] == "mean"
    assert order == sorted(order, key=lambda name: next(s.qlike for s in scores if s.model == name))
    assert {score.days for score in scores} == {400 - 90}
    assert all(0 <= score.exceeded < 0.2 for score in scores)


def test_no_forecast_sees_the_day_that_it_is_judged_by():
    """Another last day changes no forecast, so the errors of all other days stay."""
    prices = hourly(0.6, 120)
    wild = prices[:-HOURS_PER_DAY] + [price * 2 for price in prices[-HOURS_PER_DAY:]]
    mine = {score.model: score for score in backtest(prices)}
    for score in backtest(wild):
        assert score.error > mine[score.model].error
    shorter = prices[:-HOURS_PER_DAY]
    assert {s.days for s in backtest(shorter)} == {29}
    with pytest.raises(ValueError, match="more than 90 days"):
        backtest(hourly(0.6, 90))


def test_prices_are_read_by_the_hour():
    """The last of an hour counts, a gap repeats, a heading is skipped."""
    text = "time,price\n0,100\n3599,101\n7200,102\n1970-01-01T03:30:00+00:00,103\n"
    assert read_prices(text) == [101.0, 101.0, 102.0, 103.0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no prices"),
        ("0,100\nx,1\n", "row 2: expected"),
        ("0,100\n1\n", "row 2: expected"),
        ("0,nan\n", "no price"),
        ("0,100\n3600,-1\n", "row 2: -1.0 is no price"),
        ("7200,100\n0,100\n", "times go back"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(text, words):
    with pytest.raises(ValueError, match=words):
        read_prices(text)


def test_a_tracker_begins_with_its_prior_and_follows_the_market():
    """Six hours are enough for a first opinion, a day for a forecast."""
    tracker = VolatilityTracker(0.55)
    assert tracker.forecast() == tracker.realised(0.55) == 0.55
    prices = hourly(0.9, 40)
    for hour, price in enumerate(prices[:5]):
        tracker.note(hour * 3600, price)
    assert tracker.forecast() == 0.55
    for hour, price in enumerate(prices):
        tracker.note(hour * 3600, price * 1.5)
        tracker.note(hour * 3600 + 3599, price)  # the last of the hour counts
    assert tracker.forecast() == pytest.approx(0.9, rel=0.25)
    assert tracker.realised(0.1, 24 * 40) == pytest.approx(0.9, rel=0.1)


def test_a_gap_is_no_move_and_no_memory_is_endless():
    """A leap of the clock repeats the price; the tracker keeps 400 days."""
    tracker = VolatilityTracker(0.55)
    tracker.note(0, 100.0)
    tracker.note(10 * 3600, 100.0)
    assert tracker.realised(0.1) == 0.0
    tracker.note(10**9, 101.0)
    assert len(tracker._prices) == 400 * 24


def test_too_few_prices_make_no_day():
    assert daily_variances([100.0] * 24).tolist() == []
    assert daily_variances([100.0] * 25).tolist() == [1e-8]
