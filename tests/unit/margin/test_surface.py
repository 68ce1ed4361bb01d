"""Volatility by expiry and strike."""

import numpy as np
import pytest

from exchange.margin.surface import FlatSurface, MarkPoint, MarkSurface

STRIKES = np.array([50.0, 100.0, 150.0, 400.0])
POINTS = [
    MarkPoint(1000, 100.0, 50.0, 0.9),
    MarkPoint(1000, 100.0, 100.0, 0.5),
    MarkPoint(1000, 100.0, 100.0, 0.7),
    MarkPoint(1000, 100.0, 150.0, 0.8),
    MarkPoint(9000, 110.0, 110.0, 0.4),
]


def test_a_flat_surface_is_the_same_everywhere():
    assert FlatSurface(0.65).volatilities(1, 100.0, STRIKES).tolist() == [0.65] * 4


def test_given_volatilities_come_back_at_their_strikes():
    """A call and a put of one strike are averaged; beyond the outermost strike it is flat."""
    found = MarkSurface(POINTS).volatilities(1000, 100.0, STRIKES)
    assert found == pytest.approx([0.9, 0.6, 0.8, 0.8])


def test_between_strikes_volatility_is_linear_in_log_moneyness():
    middle = np.array([np.sqrt(50.0 * 100.0)])
    assert MarkSurface(POINTS).volatilities(1000, 100.0, middle) == pytest.approx([0.75])


def test_a_smile_moves_with_its_forward():
    moved = MarkSurface(POINTS).volatilities(1000, 200.0, 2 * STRIKES)
    assert moved == pytest.approx([0.9, 0.6, 0.8, 0.8])


@pytest.mark.parametrize(("expiry", "expected"), [(0, 0.6), (4999, 0.6), (5001, 0.4), (10**6, 0.4)])
def test_an_expiry_without_points_takes_the_nearest(expiry, expected):
    found = MarkSurface(POINTS).volatilities(expiry, 100.0, np.array([100.0]))
    assert found == pytest.approx([expected])


def test_a_surface_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one point"):
        MarkSurface([])
