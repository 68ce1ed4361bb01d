"""Smiles from quotes, arbitrage-checked, falling back in the documented steps."""

import csv
import math
import os
from pathlib import Path

import numpy as np
import pytest

from exchange.margin.pricing import implied_volatility
from exchange.margin.svi import SviSlice, surface_faults
from exchange.margin.svi_fit import GRID, Method, Quote, fit_surface

TRUE = SviSlice(tau=0.25, a=0.01, b=0.12, rho=-0.35, m=0.02, sigma=0.18)
STRIKES = [60.0, 70.0, 80.0, 90.0, 95.0, 100.0, 105.0, 110.0, 125.0, 150.0]


def chain(one, expiry=1, strikes=STRIKES, noise=0.0, seed=3):
    rng = np.random.default_rng(seed)
    volatilities = one.volatility(np.log(np.array(strikes) / 100.0))
    volatilities = volatilities + noise * rng.standard_normal(len(strikes))
    return [
        Quote(expiry, one.tau, 100.0, strike, float(volatility))
        for strike, volatility in zip(strikes, volatilities, strict=True)
    ]


def test_a_smile_that_is_svi_is_found_again():
    found = fit_surface(chain(TRUE))
    (report,) = found.reports
    assert report.method is Method.SVI
    assert report.quotes == 10
    assert found.mean_absolute_error < 1e-6
    between = np.linspace(-0.5, 0.4, 40)
    fitted = found.surface.slices[1].volatility(between)
    assert fitted == pytest.approx(TRUE.volatility(between), abs=1e-4)


def test_noise_never_makes_arbitrage():
    for seed in range(20):
        found = fit_surface(chain(TRUE, noise=0.08, seed=seed))
        assert surface_faults(found.surface.slices.values(), GRID) == []
        assert found.mean_absolute_error < 0.15


@pytest.mark.parametrize(
    ("count", "method"),
    [(10, Method.SVI), (7, Method.SSVI), (3, Method.SSVI), (2, Method.FLAT), (1, Method.FLAT)],
)
def test_thin_quotes_fall_back_step_by_step(count, method):
    found = fit_surface(chain(TRUE, strikes=STRIKES[:count]))
    assert found.reports[0].method is method
    assert surface_faults(found.surface.slices.values(), GRID) == []


def test_a_smile_that_no_slice_can_follow_ends_flat(monkeypatch):
    """Where even the constrained slice fails its check, the level alone is kept."""
    monkeypatch.setattr(SviSlice, "free_of_butterflies", lambda self, distance: False)
    found = fit_surface(chain(TRUE))
    assert found.reports[0].method is Method.FLAT
    assert found.surface.slices[1].b == 0.0


def test_tight_quotes_count_more_than_wide_ones():
    quotes = [
        Quote(1, 0.1, 100.0, 100.0, 0.5, 0.0),
        Quote(1, 0.1, 100.0, 100.0, 0.9, 1.0),
    ]
    found = fit_surface(quotes).surface.volatilities(1, 100.0, np.array([100.0]))
    assert 0.5 <= found[0] < 0.51


def test_a_slice_below_its_predecessor_is_lifted():
    """A later expiry may not hold less total variance, at any strike."""
    low = SviSlice(tau=0.3, a=0.002, b=0.05, rho=0.0, m=0.0, sigma=0.1)
    found = fit_surface(chain(TRUE, expiry=1) + chain(low, expiry=2))
    assert [report.lifted > 0 for report in found.reports] == [False, True]
    assert surface_faults(found.surface.slices.values(), GRID) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"volatility": math.nan},
        {"volatility": 0.0},
        {"strike": -1.0},
        {"tau": 0.0},
        {"spread": -1.0},
    ],
)
def test_unsound_quotes_are_left_out(changes):
    bad = chain(TRUE)[0]._replace(**changes)
    found = fit_surface([bad, *chain(TRUE)])
    assert found.reports[0].quotes == 10
    with pytest.raises(ValueError, match="at least one slice"):
        fit_surface([bad])


def recorded_quotes(path):
    """Out-of-the-money options with two sides; coin prices become volatilities by our inversion."""
    with open(path, newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        bid, ask = float(row["best_bid_price"] or 0), float(row["best_ask_price"] or 0)
        forward, strike = float(row["underlying_price"]), float(row["strike"])
        is_put = row["option_type"] == "put"
        if bid <= 0 or ask <= 0 or (strike > forward) is is_put:
            continue
        tau = (int(row["expiration_timestamp"]) - int(row["timestamp"])) / 1000 / 86_400 / 365
        low, high = (
            float(implied_volatility(side * forward, forward, strike, tau, is_put))
            for side in (bid, ask)
        )
        expiry = int(row["expiration_timestamp"]) // 1000
        yield Quote(expiry, tau, forward, strike, (low + high) / 2, (high - low) / 2)


def check_recorded(path):
    found = fit_surface(recorded_quotes(path))
    for report in found.reports:
        print(report)
    print(f"mean absolute error {found.mean_absolute_error:.4f}")
    assert surface_faults(found.surface.slices.values(), GRID) == []
    assert found.mean_absolute_error < 0.015


def test_the_committed_chain_fits_within_a_volatility_point_and_a_half():
    check_recorded(Path(__file__).parents[2] / "data" / "synthetic_chain.csv")


def test_the_recorded_chain_fits_within_a_volatility_point_and_a_half():
    path = os.environ.get("EXCHANGE_CHAIN_DATA")
    if not path:
        pytest.skip("EXCHANGE_CHAIN_DATA names no recorded chain on this machine")
    check_recorded(path)
