"""Chains of other venues: what counts, what is dropped, and what the rest say together."""

import math

import numpy as np
import pytest

from exchange.margin.pricing import price
from exchange.oracle.references import (
    ChainQuote,
    ChainSample,
    ChainVerdict,
    ReferenceRules,
    combine,
)

NS, DAY = 10**9, 86_400
NOW_NS = 1_795_271_000 * NS
INDEX = 100_000.0
NEAR, FAR = NOW_NS // NS + 30 * DAY, NOW_NS // NS + 120 * DAY
STRIKES = np.arange(70_000.0, 140_000.0, 10_000.0)
RULES = ReferenceRules()


def chain(volatility=0.6, *, carry=0.05, rate=0.03, age_s=0, priced=True, told=True, **changes):
    """A venue with one volatility, two expiries, and a forward curve."""
    quotes, forwards = [], {}
    for expiry in (NEAR, FAR):
        tau = (expiry - NOW_NS / NS) / (365 * DAY)
        forward = INDEX * math.exp(carry * tau)
        if told:
            forwards[expiry] = forward
        for strike in STRIKES.tolist():
            for is_put in (False, True):
                cost = float(price(forward, strike, tau, volatility, is_put, rate))
                quotes.append(ChainQuote(expiry, strike, is_put, volatility, cost * priced))
    fields = {"quotes": tuple(quotes), "forwards": forwards, "time_ns": NOW_NS - age_s * NS}
    return ChainSample(**fields | changes)


def look(**samples):
    return combine(samples, INDEX, NOW_NS, RULES)


def volatility(found, strike=100_000.0, expiry=NEAR):
    return float(found.model.surface.volatilities(expiry, INDEX, np.array([strike]))[0])


def test_the_curve_comes_from_parity():
    """Even where the venue states no forward, or another one."""
    for sample in (chain(), chain(told=False), chain(forwards={NEAR: 99_000.0})):
        found = look(alder=sample)
        assert found.verdicts == {"alder": ChainVerdict.ACCEPTED}
        for expiry in (NEAR, FAR):
            assert found.model.carry_at(expiry) == pytest.approx(0.05, abs=1e-6)
            assert found.model.rate_at(expiry) == pytest.approx(0.03, abs=1e-6)


def test_without_prices_what_is_stated_counts_and_then_the_index():
    stated = look(alder=chain(priced=False)).model
    assert stated.carry_at(FAR) == pytest.approx(0.05, abs=1e-6)
    assert stated.rate_at(FAR) == 0.0
    nothing = look(alder=chain(priced=False, told=False)).model
    assert (nothing.carry_at(FAR), nothing.rate_at(FAR)) == (0.0, 0.0)


def test_the_middle_of_three_is_the_reference():
    found = look(alder=chain(0.60), birch=chain(0.62), cedar=chain(0.66))
    assert volatility(found) == pytest.approx(0.62)
    assert volatility(found, expiry=FAR + DAY) == pytest.approx(0.62), "the nearest expiry speaks"


def test_one_lying_chain_of_three_moves_nothing_far():
    """Beyond a fifth of the middle it is dropped; within, the median holds it."""
    lie = look(alder=chain(0.6), birch=chain(0.6), cedar=chain(3.0))
    assert lie.verdicts["cedar"] is ChainVerdict.OUTLIER
    assert volatility(lie) == pytest.approx(0.6)
    half = look(alder=chain(0.6), birch=chain(0.6), cedar=chain(0.7))
    assert half.verdicts["cedar"] is ChainVerdict.ACCEPTED
    assert volatility(half) == pytest.approx(0.6)


def test_of_two_nobody_knows_who_lies():
    found = look(alder=chain(0.5), birch=chain(0.9))
    assert set(found.verdicts.values()) == {ChainVerdict.ACCEPTED}
    assert volatility(found) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("sample", "verdict"),
    [
        (None, ChainVerdict.SILENT),
        (chain(age_s=130), ChainVerdict.STALE),
        (chain(age_s=-5), ChainVerdict.STALE),
        (chain(0.0), ChainVerdict.THIN),
        (chain(math.nan, priced=False), ChainVerdict.THIN),
        (chain(60.0, priced=False), ChainVerdict.THIN),
        (chain(quotes=()), ChainVerdict.THIN),
        (
            chain(quotes=tuple(ChainQuote(1, 1e5, False, 0.6) for _ in range(9))),
            ChainVerdict.THIN,
        ),
        (chain(carry=-3.0), ChainVerdict.OFF_MARKET),
        (chain(priced=False, forwards={NEAR: 1e6, FAR: 1e6}), ChainVerdict.OFF_MARKET),
    ],
)
def test_what_cannot_be_true_is_dropped_and_shown(sample, verdict):
    """A dead, old or expired chain, percent for one, a forward with a shifted decimal."""
    found = look(alder=sample)
    assert found.verdicts == {"alder": verdict}
    assert found.model is None
    both = look(alder=sample, birch=chain())
    assert volatility(both) == pytest.approx(0.6)


def test_a_single_absurd_quote_is_left_out():
    sample = chain()
    wild = ChainQuote(NEAR, 100_000.0, False, math.inf, -1.0)
    found = look(alder=sample._replace(quotes=(*sample.quotes, wild)))
    assert volatility(found) == pytest.approx(0.6)
