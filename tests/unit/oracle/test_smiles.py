"""Smiles follow our own book, and never far from the reference."""

import math

import numpy as np
import pytest
from tests.venue import EXPIRY_S, START_S, call, put

from exchange.fixed import CASH_SCALE
from exchange.margin.pricing import price
from exchange.margin.surface import FlatSurface
from exchange.margin.svi import surface_faults
from exchange.margin.svi_fit import GRID
from exchange.model import (
    Instrument,
    instrument_name,
    unpack_instrument_id,
)
from exchange.oracle.smiles import REFERENCE, SMILE_SCALE, Observed, SmileRules, fit_smiles

NOW_NS = START_S * 10**9
FORWARD = 100_000.0
LATER_S = EXPIRY_S + 91 * 86_400
REFERENCE_IV = 0.60
RULES = SmileRules()
STRIKES = range(70_000, 140_000, 5_000)


def instrument(instrument_id):
    terms = unpack_instrument_id(instrument_id)
    return Instrument(
        instrument_id=instrument_id,
        name=instrument_name("BTC", terms),
        kind=terms.kind,
        underlying_id=1,
        expiry=terms.expiry,
        strike=terms.strike,
        option_kind=terms.option_kind,
        tick_size=10_000,
        lot_size=100,
        min_quantity=100,
    )


def smile(strike, level=0.62):
    distance = math.log(strike / FORWARD)
    return level - 0.05 * distance + 0.15 * distance**2


def worth(strike, is_put, volatility, expiry=EXPIRY_S):
    tau = (expiry - START_S) / (365 * 86_400)
    return round(float(price(FORWARD, strike, tau, volatility, is_put)) * CASH_SCALE)


def quoted(strike, level=0.62, half=0.005, expiry=EXPIRY_S):
    """The out-of-the-money option of a strike, quoted around a smile."""
    is_put = strike < FORWARD
    make = put if is_put else call
    bid, ask = (
        worth(strike, is_put, smile(strike, level) + side, expiry) for side in (-half, half)
    )
    return Observed(instrument(make(strike, expiry=expiry)), bid, ask)


def silent(strike, expiry=EXPIRY_S):
    return Observed(instrument(call(strike, expiry=expiry)), 0, 0)


def fit(chain, rules=RULES):
    forwards = {EXPIRY_S: FORWARD, LATER_S: FORWARD}
    return fit_smiles(FlatSurface(REFERENCE_IV), forwards, chain, NOW_NS, rules)


def marks(found, strikes=STRIKES, expiry=EXPIRY_S):
    return found.volatilities(expiry, FORWARD, np.array(strikes, dtype=float))


def test_prices_are_discounted_at_the_rate_of_their_expiry():
    """A book quoted at a rate of 30 % says the same volatilities as one quoted without."""
    plain = [quoted(strike) for strike in STRIKES]
    rate = 0.3
    discount = math.exp(-rate * (EXPIRY_S - START_S) / (365 * 86_400))
    cheaper = [
        one._replace(
            best_bid=round(one.best_bid * discount),
            best_ask=round(one.best_ask * discount),
            rate=rate,
        )
        for one in plain
    ]
    assert marks(fit(cheaper)) == pytest.approx(marks(fit(plain)), abs=1e-4)
    blind = [one._replace(rate=0.0) for one in cheaper]
    assert abs(marks(fit(blind)) - marks(fit(plain))).max() > 1e-3


def test_marks_lie_between_the_book_and_the_reference():
    """A full book pulls marks most of the way: its spread is tighter than the reference's."""
    found = fit([quoted(strike) for strike in STRIKES])
    book = np.array([smile(strike) for strike in STRIKES])
    assert np.all(np.abs(marks(found) - book) < np.abs(REFERENCE_IV - book) * 0.6 + 0.003)
    (note,) = found.notes
    assert (note.method, note.quotes) == ("svi", len(STRIKES))
    assert len(note.parameters) == 6
    assert note.distance <= 0.1 * REFERENCE_IV * 1e6


@pytest.mark.parametrize("level", [0.2, 0.45, 0.9, 3.0])
def test_no_book_moves_a_mark_out_of_the_corridor(level):
    """Whoever owns the whole book owns a tenth of the volatility, no more."""
    found = marks(fit([quoted(strike, level) for strike in STRIKES]))
    assert np.all(found >= REFERENCE_IV * 0.9 - 1e-9)
    assert np.all(found <= REFERENCE_IV * 1.1 + 1e-9)


def test_two_fitted_expiries_have_no_arbitrage():
    """Butterflies and calendars, on the whole grid, though the near book is far above."""
    chain = [quoted(strike, 0.66) for strike in STRIKES]
    chain += [quoted(strike, 0.56, expiry=LATER_S) for strike in STRIKES]
    found = fit(chain)
    slices = list(found._fitted.slices.values())
    assert len(slices) == 2
    assert surface_faults(slices, GRID) == []


def test_a_slice_that_is_lifted_stays_in_the_corridor_or_falls_back():
    """A near smile far above one a minute later: no calendar is bought with a wrong mark."""
    soon = START_S + 4 * 3600
    after = soon + 60
    chain = [quoted(strike, 0.66, expiry=soon) for strike in STRIKES]
    chain += [quoted(strike, 0.54, expiry=after) for strike in STRIKES]
    forwards = {soon: FORWARD, after: FORWARD}
    found = fit_smiles(
        FlatSurface(REFERENCE_IV), forwards, chain, NOW_NS, SmileRules(corridor=0.02)
    )
    assert np.all(np.abs(marks(found, expiry=after) - REFERENCE_IV) <= 0.012 + 1e-9)


@pytest.mark.parametrize(
    "chain",
    [
        [],
        [silent(strike) for strike in STRIKES],
        [quoted(70_000), quoted(75_000)],
        [quoted(strike, half=0.2) for strike in STRIKES],
        [quoted(strike)._replace(best_bid=0) for strike in STRIKES],
        [quoted(strike)._replace(best_bid=10**12, best_ask=10**12 + 1) for strike in STRIKES],
    ],
    ids=["nothing", "silent", "two strikes", "wide", "one-sided", "beyond any volatility"],
)
def test_a_thin_book_leaves_the_reference(chain):
    """Too few strikes, too wide, one side only, or no volatility at all."""
    found = fit(chain)
    assert marks(found).tolist() == [REFERENCE_IV] * len(STRIKES)
    assert all(note.method == REFERENCE for note in found.notes)
    assert len(found.notes) == bool(chain)


def test_options_in_the_money_say_nothing():
    """Their twin out of the money says the same with more digits."""
    chain = [
        Observed(instrument(call(strike)), worth(strike, False, 0.64), worth(strike, False, 0.66))
        for strike in STRIKES
        if strike < FORWARD
    ]
    assert fit(chain).notes[0].quotes == 0


def test_trades_count_while_they_are_recent():
    """A trade without a quote moves the smile for ten minutes."""
    traded = [
        silent(strike)._replace(last_price=worth(strike, False, 0.65), traded_ns=NOW_NS - age)
        for age in (10**9,)
        for strike in range(100_000, 140_000, 5_000)
    ]
    fresh = fit(traded)
    assert fresh.notes[0].quotes == len(traded)
    assert marks(fresh, [110_000])[0] > REFERENCE_IV + 0.005
    stale = [one._replace(traded_ns=NOW_NS - RULES.trade_age_ns - 1) for one in traded]
    assert fit(stale).notes[0].quotes == 0


def test_an_expiry_without_a_forward_is_left_out():
    """It is over, or its index is not known."""
    found = fit_smiles(
        FlatSurface(REFERENCE_IV), {}, [quoted(strike) for strike in STRIKES], NOW_NS, RULES
    )
    assert found.notes == ()


def test_parameters_are_those_of_the_slice():
    """Whoever reads the note computes the same volatility."""
    found = fit([quoted(strike) for strike in STRIKES])
    tau, a, b, rho, m, sigma = (value / SMILE_SCALE for value in found.notes[0].parameters)
    distance = math.log(110_000 / FORWARD) - m
    variance = a + b * (rho * distance + math.sqrt(distance**2 + sigma**2))
    assert math.sqrt(variance / tau) == pytest.approx(marks(found, [110_000])[0], rel=1e-6)
