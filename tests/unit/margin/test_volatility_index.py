"""The volatility index finds the volatility that priced the options, without the model."""

import numpy as np
import pytest

from exchange.margin.pricing import price
from exchange.margin.volatility_index import Strip, strip_variance, volatility_index

FORWARD = 100_000.0
STRIKES = np.arange(30_000.0, 400_000.0, 1_000.0)


def strip(days, volatility, strikes=STRIKES):
    """Every strike priced at one volatility."""
    sides = []
    for is_put in (False, True):
        prices = price(FORWARD, strikes, days / 365, volatility, is_put)
        sides.append(list(zip(strikes.tolist(), prices.tolist(), strict=True)))
    return Strip(days, FORWARD, *sides)


@pytest.mark.parametrize("volatility", [0.3, 0.6, 1.2])
def test_one_volatility_everywhere_is_the_index(volatility):
    """With wide strikes; what lies beyond them is missing and counts little."""
    assert volatility_index([strip(30, volatility)]) == pytest.approx(volatility, rel=0.01)


def test_total_variance_is_linear_between_the_expiries_around_thirty_days():
    near, far = strip(20, 0.5), strip(50, 0.8)
    expected = ((20 * 0.25 * 20 / 30) + (50 * 0.64 * 10 / 30)) / 30
    assert volatility_index([far, near]) ** 2 == pytest.approx(expected, rel=0.02)
    others = [strip(5, 2.0), near, far, strip(200, 0.2)]
    assert volatility_index(others) == volatility_index([near, far])


def test_with_expiries_on_one_side_the_nearest_speaks():
    assert volatility_index([strip(60, 0.5), strip(90, 0.9)]) == pytest.approx(0.5, rel=0.01)
    assert volatility_index([strip(5, 0.9), strip(20, 0.5)]) == pytest.approx(0.5, rel=0.01)


def test_what_cannot_be_summed_has_no_variance():
    """Two strikes; none below the forward; an expiry that has come; nothing at all."""
    assert strip_variance(strip(30, 0.5, STRIKES[70:72])) is None
    assert strip_variance(strip(30, 0.5, STRIKES[STRIKES > FORWARD])) is None
    assert strip_variance(strip(30, 0.5)._replace(days=0)) is None
    assert volatility_index([]) is None


def test_worthless_options_pay_for_no_variance():
    """Never below zero, wherever the forward stands between two strikes."""
    free = Strip(30, FORWARD * 1.005, [(k, 0.0) for k in STRIKES], [(k, 0.0) for k in STRIKES])
    assert strip_variance(free) == 0.0
