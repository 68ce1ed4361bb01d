"""What stress asks for, and the step that the engine allows."""

import msgspec
import pytest

from exchange.commands import RiskBounds
from exchange.fixed import RATIO_SCALE
from exchange.oracle.stress import Conditions, StressRules, next_step, stress_parts, target

RULES = StressRules(base_volatility=0.5)
CALM = Conditions(
    forecast=0.5, realised=0.5, implied=0.5, depth=1.0, largest_share=0.1, liquidations=0
)
PERCENT = RATIO_SCALE // 100
BOUNDS = RiskBounds(
    scan_min=RATIO_SCALE,
    scan_max=160 * PERCENT,
    volatility_min=RATIO_SCALE,
    volatility_max=200 * PERCENT,
    rise_max=10 * PERCENT,
    fall_max=PERCENT,
    interval_ns=0,
)
START = (0, RATIO_SCALE, RATIO_SCALE)


def when(**changes):
    return msgspec.structs.replace(CALM, **changes)


def test_a_calm_market_asks_for_the_preset():
    wanted = target(RULES, CALM)
    assert (wanted.scan, wanted.volatility, wanted.stress) == (1.0, 1.0, 0.0)
    assert next_step(BOUNDS, START, 1, wanted) is None


@pytest.mark.parametrize(
    ("changes", "part", "value"),
    [
        ({"realised": 0.75}, "realised", 0.5),
        ({"realised": 5.0}, "realised", 1.0),
        ({"depth": 0.6}, "depth", 0.5),
        ({"depth": 0.0}, "depth", 1.0),
        ({"depth": 3.0}, "depth", 0.0),
        ({"largest_share": 0.75}, "concentration", 0.5),
        ({"liquidations": 3}, "liquidations", 0.6),
        ({"liquidations": 50}, "liquidations", 1.0),
    ],
)
def test_each_signal_grows_from_calm_to_full(changes, part, value):
    """And moves no other."""
    parts = stress_parts(RULES, when(**changes))
    assert parts.pop(part) == pytest.approx(value)
    assert set(parts.values()) == {0.0}


def test_two_signals_make_full_stress_and_one_makes_half():
    """One alone may be an accident."""
    assert target(RULES, when(depth=0.0)).stress == 0.5
    both = target(RULES, when(depth=0.0, liquidations=5))
    assert (both.stress, both.scan, both.volatility) == (1.0, 1.3, 1.5)
    assert target(RULES, when(depth=0.0, liquidations=5, largest_share=1.0)).stress == 1.0


def test_the_wider_of_forecast_and_stress_counts():
    """A forecast of twice the volatility stretches the grid to twice."""
    assert target(RULES, when(forecast=1.0, depth=0.0)).scan == 2.0
    assert target(RULES, when(forecast=0.2)).scan == 1.0
    assert "forecast 100% stress 0.50 (realised 0.00 depth 1.00" in (
        target(RULES, when(forecast=1.0, depth=0.0)).reason
    )


def test_steps_rise_fast_and_fall_slowly_inside_bounds():
    """Up a tenth, down a hundredth, never beyond."""
    storm = target(RULES, when(forecast=5.0))
    up = next_step(BOUNDS, START, 1, storm)
    assert (up.version, up.scan) == (1, 110 * PERCENT)
    last = next_step(BOUNDS, (5, 155 * PERCENT, RATIO_SCALE), 1, storm)
    assert last.scan == 160 * PERCENT
    assert next_step(BOUNDS, (6, 160 * PERCENT, RATIO_SCALE), 1, storm) is None
    down = next_step(BOUNDS, (6, 160 * PERCENT, 140 * PERCENT), 1, target(RULES, CALM))
    assert (down.scan, down.volatility) == (159 * PERCENT, 139 * PERCENT)


def test_small_moves_are_noise():
    """Half a hundredth is left alone."""
    assert next_step(BOUNDS, START, 1, target(RULES, when(forecast=0.5025))) is None
    assert next_step(BOUNDS, START, 1, target(RULES, when(forecast=0.505))) is not None
