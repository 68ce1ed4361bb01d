"""Payoffs against figures that anybody can work out by hand."""

import numpy as np
import pytest

from exchange.trade.payoff import POINTS, YEAR_MS, PayoffLeg, crossings, payoff

EXPIRY_MS = YEAR_MS // 4


def leg(kind="call", size=1.0, entry=1_000.0, strike=100_000.0, **changes):
    terms = {
        "instrument_name": kind, "kind": kind, "size": size, "entry": entry, "strike": strike,
        "forward": 100_000.0, "expiry_ms": EXPIRY_MS, "volatility": 0.5,
    }  # fmt: skip
    return PayoffLeg(**terms | changes)


def curves(*legs, **options):
    return payoff("BTC", legs, index_price=100_000.0, now_ms=0, **options)


def at(found, price):
    return found.at_expiry[int(np.argmin(np.abs(np.array(found.prices) - price)))]


def test_a_call_loses_its_premium_and_gains_above():
    found = curves(leg())
    assert len(found.prices) == POINTS
    assert (found.prices[0], found.prices[-1]) == (70_000, 130_000)
    assert min(found.at_expiry) == -1_000
    assert at(found, 120_000) == 19_000
    assert found.breakevens == [101_000]
    assert found.expiry_ms == EXPIRY_MS
    assert all(now > later for now, later in zip(found.now, found.at_expiry, strict=True))


def test_a_condor_gains_inside_and_loses_no_more_than_its_width():
    found = curves(
        leg("put", 1, 300, 85_000), leg("put", -1, 800, 90_000),
        leg("call", -1, 800, 110_000), leg("call", 1, 300, 115_000),
    )  # fmt: skip
    assert max(found.at_expiry) == 1_000
    assert min(found.at_expiry) == -4_000
    assert found.breakevens == [89_000, 111_000]


def test_a_perpetual_is_a_straight_line_and_never_expires():
    found = curves(leg("linear", -2, 99_000, expiry_ms=0, forward=100_000.0))
    assert found.expiry_ms == 0
    assert found.now == found.at_expiry
    assert found.breakevens == [99_000]
    assert at(found, 70_000) == 58_000


def test_what_expires_later_keeps_its_time_value_at_the_first_expiry():
    """A calendar: at the near expiry the far call is worth more than its intrinsic value."""
    near, far = leg(size=-1), leg(expiry_ms=2 * EXPIRY_MS, entry=1_000.0)
    found = curves(near, far)
    assert found.expiry_ms == EXPIRY_MS
    assert max(found.at_expiry) == at(found, 100_000) > 5_000


def test_forwards_keep_their_distance_and_meet_the_index_at_expiry():
    future = leg("linear", 1, 102_000, forward=102_000.0)
    found = curves(future)
    middle = POINTS // 2
    assert found.now[middle] == 0
    assert found.at_expiry[middle] == -2_000


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([-1, 1], [5]),
        ([1, 1], []),
        ([0, 0], []),
        ([-1, 0, 1], [10]),
        ([0, 1], []),
        ([2, -6], [2.5]),
    ],
)
def test_where_a_curve_meets_zero(values, found):
    prices = np.arange(len(values)) * 10.0
    assert crossings(prices, np.array(values, float)) == found
