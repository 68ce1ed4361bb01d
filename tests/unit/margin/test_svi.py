"""SVI slices, their arbitrage, and the surface between them."""

import math

import numpy as np
import pytest

from exchange.margin.svi import (
    SviSlice,
    SviSurface,
    calendar_shortfall,
    flat_slice,
    natural_slice,
    surface_faults,
)

GRID = np.linspace(-1.5, 1.5, 61)
DAY = 86_400
NEAR, FAR = 100 * DAY, 300 * DAY
SMILE = SviSlice(tau=0.5, a=0.02, b=0.2, rho=-0.4, m=0.05, sigma=0.2)
# Gatheral's example of a smile that looks fine and has a butterfly below zero (Vogt).
VOGT = SviSlice(tau=1.0, a=-0.0410, b=0.1331, rho=0.3060, m=0.3586, sigma=0.4153)


def test_a_slice_is_its_formula():
    k = 0.3
    root = math.sqrt((k - 0.05) ** 2 + 0.04)
    expected = 0.02 + 0.2 * (-0.4 * (k - 0.05) + root)
    assert SMILE.variance(np.array([k])) == pytest.approx([expected])
    assert SMILE.volatility(np.array([k])) == pytest.approx([math.sqrt(expected / 0.5)])


def test_durrlemans_function_is_that_of_finite_differences():
    step = 1e-4
    w, up, down = (SMILE.variance(GRID + shift) for shift in (0.0, step, -step))
    slope, bend = (up - down) / (2 * step), (up - 2 * w + down) / step**2
    expected = (1 - GRID * slope / (2 * w)) ** 2 - slope**2 / 4 * (1 / w + 0.25) + bend / 2
    assert SMILE.butterfly(GRID) == pytest.approx(expected, abs=1e-5)


def test_a_known_butterfly_is_found():
    assert not VOGT.free_of_butterflies(GRID)
    assert SMILE.free_of_butterflies(GRID)


@pytest.mark.parametrize("changes", [{"a": -0.2}, {"b": 1.9, "rho": 0.9}])
def test_negative_variance_and_steep_wings_are_arbitrage(changes):
    fields = {"tau": 0.5, "a": 0.02, "b": 0.2, "rho": -0.4, "m": 0.05, "sigma": 0.2}
    assert not SviSlice(**(fields | changes)).free_of_butterflies(GRID)


def test_ssvi_in_raw_parameters_keeps_its_level_at_the_money():
    one = natural_slice(1.0, 0.09, -0.3, 2.0)
    assert one.variance(np.array([0.0])) == pytest.approx([0.09])
    assert one.free_of_butterflies(GRID)


def test_a_surface_reads_its_slices():
    surface = SviSurface({FAR: SMILE, NEAR: flat_slice(0.25, 0.5)})
    strikes = 100.0 * np.exp(GRID)
    assert list(surface.slices) == [NEAR, FAR]
    assert surface.volatilities(FAR, 100.0, strikes) == pytest.approx(SMILE.volatility(GRID))
    assert surface.volatilities(NEAR, 100.0, strikes) == pytest.approx(np.full(61, 0.5))


def test_between_expiries_total_variance_is_linear_in_time():
    surface = SviSurface({NEAR: flat_slice(0.2, 0.5), FAR: flat_slice(0.6, 0.7)})
    found = surface.volatilities(200 * DAY, 100.0, np.array([80.0]))
    expected = math.sqrt((0.2 * 0.25 + 0.6 * 0.49) / 2 / 0.4)
    assert found == pytest.approx([expected])


def test_outside_a_smile_scales_with_the_root_of_time():
    surface = SviSurface({NEAR: SMILE})
    early = surface.volatilities(NEAR - 91 * DAY, 100.0, np.array([100.0 * math.exp(0.1)]))
    tau = 0.5 - 91 / 365
    assert early == pytest.approx(SMILE.volatility(np.array([0.1 * math.sqrt(0.5 / tau)])))
    late = surface.volatilities(FAR, 100.0, np.array([100.0]))
    assert late == pytest.approx(SMILE.volatility(np.array([0.0])))


def test_a_surface_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one slice"):
        SviSurface({})


def test_faults_are_named_in_order():
    high, low = flat_slice(0.5, 0.9), flat_slice(1.0, 0.3)
    assert calendar_shortfall(high, low, GRID) == pytest.approx(0.405 - 0.09)
    assert surface_faults([high, low, VOGT], GRID) == [
        "slice 1 lies below the one before it",
        "slice 2 has a butterfly below zero",
        "slice 2 lies below the one before it",
    ]
    lifted = low.lifted(calendar_shortfall(high, low, GRID) + 1e-12)
    assert surface_faults([high, lifted], GRID) == []
