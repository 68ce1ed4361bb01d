"""Put-call parity gives back the forward and the rate that made the prices."""

import numpy as np
import pytest

from exchange.margin.pricing import price
from exchange.oracle.curves import fit_parity

FORWARD, TAU = 101_234.5, 0.25
STRIKES = np.arange(60_000.0, 160_000.0, 10_000.0)


def sides(rate, tau=TAU, strikes=STRIKES, noise=0.0):
    """Calls and puts at a smile; `noise` is a share of the forward, up and down by turns."""
    volatilities = 0.6 + 0.2 * np.log(strikes / FORWARD) ** 2
    found = []
    for is_put in (False, True):
        prices = price(FORWARD, strikes, tau, volatilities, is_put, rate)
        if is_put:
            prices = prices + noise * FORWARD * (-1.0) ** np.arange(len(strikes))
        found.append(dict(zip(strikes.tolist(), prices.tolist(), strict=True)))
    return found


@pytest.mark.parametrize("rate", [-0.1, 0.0, 0.05, 0.3])
def test_the_line_finds_forward_and_rate(rate):
    found = fit_parity(*sides(rate), TAU)
    assert found.forward_price == pytest.approx(FORWARD, rel=1e-9)
    assert found.rate == pytest.approx(rate, abs=1e-9)


def test_near_the_expiry_only_the_forward_is_believed():
    tau = 1 / 365
    found = fit_parity(*sides(0.05, tau), tau)
    assert found.forward_price == pytest.approx(FORWARD, rel=1e-9)
    assert found.rate is None


def test_what_lies_on_no_line_says_nothing():
    """Two strikes; prices of different moments; a rate beyond belief; calls that rise; no time."""
    assert fit_parity(*sides(0.05, strikes=STRIKES[:2]), TAU) is None
    assert fit_parity(*sides(0.05, noise=0.01), TAU) is None
    assert fit_parity(*sides(0.9), TAU) is None
    calls, puts = sides(0.05)
    assert fit_parity(puts, calls, TAU) is None
    assert fit_parity(calls, puts, 0.0) is None
    assert fit_parity(calls, {}, TAU) is None
    dear = {strike: one + 2 * FORWARD for strike, one in puts.items()}
    assert fit_parity(calls, dear, TAU) is None, "a forward below zero"
