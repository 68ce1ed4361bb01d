"""Black-76 against QuantLib, and at the edges where formulas break."""

import itertools

import numpy as np
import pytest
import QuantLib

from exchange.margin.pricing import greeks, implied_volatility, price

FORWARD = 100_000.0
STRIKES = [1_000.0, 20_000.0, 60_000.0, 95_000.0, 100_000.0, 104_000.0, 150_000.0, 600_000.0]
TAUS = [1 / (365 * 24 * 60), 1 / 365, 0.1, 1.0, 5.0]
VOLATILITIES = [0.01, 0.2, 0.65, 1.5, 4.0]
RATES = [-0.02, 0.0, 0.07]
CASES = list(itertools.product(STRIKES, TAUS, VOLATILITIES, RATES, [False, True]))
COLUMNS = [np.array(column) for column in zip(*CASES, strict=True)]


def close(found, expected, scale):
    """1e-10 relative, or 1e-12 of `scale` where the option is nearly worthless."""
    return np.allclose(found, expected, rtol=1e-10, atol=1e-12 * scale)


def calculator(strike, tau, volatility, rate, put):
    kind = QuantLib.Option.Put if put else QuantLib.Option.Call
    payoff = QuantLib.PlainVanillaPayoff(kind, strike)
    deviation = float(volatility * np.sqrt(tau))
    return QuantLib.BlackCalculator(payoff, FORWARD, deviation, float(np.exp(-rate * tau)))


def test_prices_equal_those_of_quantlib():
    strikes, taus, volatilities, rates, puts = COLUMNS
    found = price(FORWARD, strikes, taus, volatilities, puts, rates)
    expected = [calculator(*case).value() for case in CASES]
    assert close(found, expected, FORWARD)


def test_greeks_equal_those_of_quantlib():
    """QuantLib's theta and rho hold the spot; ours hold the forward, so those are differenced."""
    strikes, taus, volatilities, rates, puts = COLUMNS
    found = greeks(FORWARD, strikes, taus, volatilities, puts, rates)
    known = [calculator(*case) for case in CASES]
    assert close(found.delta, [one.deltaForward() for one in known], 1.0)
    assert close(found.gamma, [one.gammaForward() for one in known], 1 / FORWARD)
    vegas = [one.vega(float(tau)) for one, tau in zip(known, taus, strict=True)]
    assert close(found.vega, vegas, FORWARD)


def test_theta_and_rho_are_the_slopes_of_the_price():
    strikes, taus, volatilities, rates, puts = COLUMNS
    found = greeks(FORWARD, strikes, taus, volatilities, puts, rates)
    step = 1e-4 * taus
    ahead = price(FORWARD, strikes, taus - step, volatilities, puts, rates)
    behind = price(FORWARD, strikes, taus + step, volatilities, puts, rates)
    scale = np.maximum(np.abs(found.theta), FORWARD)
    assert np.all(np.abs(found.theta - (ahead - behind) / (2 * step)) <= 1e-4 * scale)
    up = price(FORWARD, strikes, taus, volatilities, puts, rates + 1e-5)
    down = price(FORWARD, strikes, taus, volatilities, puts, rates - 1e-5)
    assert np.allclose(found.rho, (up - down) / 2e-5, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize(("tau", "volatility"), [(0.0, 0.5), (0.5, 0.0), (0.0, 0.0), (-1.0, 0.5)])
def test_without_uncertainty_an_option_is_its_intrinsic_value(tau, volatility):
    found = price(100.0, [90.0, 100.0, 110.0], tau, volatility, [False, False, True])
    assert found.tolist() == [10.0, 0.0, 10.0]
    sensitivities = greeks(100.0, [90.0, 100.0, 110.0], max(tau, 0.0), volatility, [False] * 3)
    assert sensitivities.delta.tolist() == [1.0, 0.5, 0.0]
    for silent in (sensitivities.gamma, sensitivities.vega, sensitivities.theta):
        assert silent.tolist() == [0.0, 0.0, 0.0]


def test_put_call_parity_holds_to_the_last_digits():
    strikes, taus, volatilities, rates, _ = COLUMNS
    call = price(FORWARD, strikes, taus, volatilities, False, rates)
    put = price(FORWARD, strikes, taus, volatilities, True, rates)
    forward_value = np.exp(-rates * taus) * (FORWARD - strikes)
    assert close(call - put, forward_value, FORWARD)


def test_implied_volatility_inverts_to_the_price():
    """Within a billionth of a tick of 0.01, wherever the price holds any time value."""
    strikes, taus, volatilities, rates, puts = COLUMNS
    target = price(FORWARD, strikes, taus, volatilities, puts, rates)
    found = implied_volatility(target, FORWARD, strikes, taus, puts, rates)
    again = price(FORWARD, strikes, taus, found, puts, rates)
    assert np.allclose(again, target, rtol=1e-11, atol=1e-7)


def test_implied_volatility_is_recovered_where_the_price_determines_it():
    strikes, taus, volatilities, rates, puts = COLUMNS
    target = price(FORWARD, strikes, taus, volatilities, puts, rates)
    found = implied_volatility(target, FORWARD, strikes, taus, puts, rates)
    vega = greeks(FORWARD, strikes, taus, volatilities, puts, rates).vega
    clear = vega > 1.0
    assert clear.sum() > 300
    assert np.allclose(found[clear], volatilities[clear], rtol=1e-7)


def test_tiny_out_of_the_money_prices_invert_too():
    """A call worth 1e-30 has a volatility like any other."""
    target = price(100.0, 200.0, 0.1, 0.2, False)
    assert 0 < target < 1e-20
    assert implied_volatility(target, 100.0, 200.0, 0.1, False) == pytest.approx(0.2, rel=1e-9)


@pytest.mark.parametrize(
    ("target", "expected"),
    [(10.0, 0.0), (9.0, 0.0), (100.0, np.nan), (150.0, np.nan), (-1.0, np.nan)],
)
def test_prices_outside_the_bounds_have_no_volatility(target, expected):
    found = implied_volatility(target, 100.0, 90.0, 0.5, False)
    assert np.array_equal(found, expected, equal_nan=True)


def test_at_expiry_there_is_no_volatility_to_find():
    assert implied_volatility(10.0, 100.0, 90.0, 0.0, False) == 0.0
    assert np.isnan(implied_volatility(11.0, 100.0, 90.0, 0.0, False))


def test_arguments_broadcast():
    grid = price([[90.0], [110.0]], [80.0, 100.0, 120.0], 0.5, 0.4, [False, True, True])
    assert grid.shape == (2, 3)
