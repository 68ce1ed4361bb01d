"""Scenarios are scaled by journaled steps, inside bounds and no faster than allowed."""

import pytest
from tests.venue import NS, Venue, configuration, open_venue, refusals

from exchange.commands import AdjustRisk, RiskBounds
from exchange.engine import RiskScale
from exchange.events import Refused, RejectReason, RiskAdjusted
from exchange.fixed import RATIO_SCALE

R = RejectReason
PERCENT = RATIO_SCALE // 100
BOUNDS = RiskBounds(
    scan_min=RATIO_SCALE,
    scan_max=160 * PERCENT,
    volatility_min=80 * PERCENT,
    volatility_max=200 * PERCENT,
    rise_max=20 * PERCENT,
    fall_max=5 * PERCENT,
    interval_ns=60 * NS,
)


@pytest.fixture
def venue() -> Venue:
    return open_venue(risk_bounds=BOUNDS)


def adjust(venue: Venue, version: int, scan: int, volatility: int = 100, underlying_id: int = 1):
    """One step, in percent."""
    return venue.send(
        AdjustRisk(
            version=version,
            underlying_id=underlying_id,
            scan=scan * PERCENT,
            volatility=volatility * PERCENT,
            reason="test",
        )
    )


def test_a_step_is_remembered_with_its_reason(venue):
    """The event carries all of it; the other underlying is left alone."""
    assert adjust(venue, 1, 115, 95) == (
        RiskAdjusted(
            underlying_id=1,
            version=1,
            scan=115 * PERCENT,
            volatility=95 * PERCENT,
            reason="test",
        ),
    )
    scale = venue.engine.risk_scale(1)
    assert (scale.version, scale.scan, scale.volatility) == (1, 115 * PERCENT, 95 * PERCENT)
    assert venue.engine.risk_scale(2) == RiskScale()
    assert venue.twin().state_hash() == venue.engine.state_hash()


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ((2, 110), R.STALE_VERSION),
        ((0, 110), R.STALE_VERSION),
        ((1, 110, 100, 3), R.UNKNOWN_INSTRUMENT),
        ((1, 99), R.RISK_OUT_OF_BOUNDS),
        ((1, 161), R.RISK_OUT_OF_BOUNDS),
        ((1, 100, 79), R.RISK_OUT_OF_BOUNDS),
        ((1, 100, 201), R.RISK_OUT_OF_BOUNDS),
        ((1, 121), R.RISK_TOO_FAST),
        ((1, 100, 94), R.RISK_TOO_FAST),
    ],
)
def test_a_wrong_step_changes_nothing(venue, step, reason):
    """Bounds and pace are the engine's business: no model can argue with it."""
    assert refusals(adjust(venue, *step)) == [reason]
    assert venue.engine.risk_scale(1) == RiskScale()


def test_steps_need_time_between_them(venue):
    """A minute, to the nanosecond; each underlying has a minute of its own."""
    adjust(venue, 1, 120)
    venue.time_ns += 60 * NS - 1
    assert refusals(adjust(venue, 2, 130)) == [R.RISK_TOO_FAST]
    assert refusals(adjust(venue, 1, 105, underlying_id=2)) == []
    venue.time_ns += 1
    assert refusals(adjust(venue, 2, 130)) == []


def test_ranges_rise_faster_than_they_fall(venue):
    """Up 20 points in a step, down 5."""
    adjust(venue, 1, 120)
    venue.wait(60)
    (refused,) = adjust(venue, 2, 110)
    assert isinstance(refused, Refused)
    assert refused.detail == "a step may fall by 0.05"
    assert refusals(adjust(venue, 2, 115)) == []


def test_without_bounds_nobody_adjusts():
    """Bounds are governance's; until they are set the preset stands as it is."""
    venue = open_venue()
    assert refusals(adjust(venue, 1, 100)) == [R.RISK_OUT_OF_BOUNDS]


def test_new_bounds_bring_what_lies_outside_to_their_edge(venue):
    """At once and journaled: bounds are hard. Dropped bounds end every adjustment."""
    adjust(venue, 1, 120, 120)
    narrow = RiskBounds(
        scan_min=RATIO_SCALE,
        scan_max=110 * PERCENT,
        volatility_min=RATIO_SCALE,
        volatility_max=200 * PERCENT,
        rise_max=PERCENT,
        fall_max=PERCENT,
        interval_ns=0,
    )
    events = venue.send(configuration(version=2, risk_bounds=narrow))
    (moved,) = [event for event in events if isinstance(event, RiskAdjusted)]
    assert (moved.version, moved.scan, moved.volatility) == (2, 110 * PERCENT, 120 * PERCENT)
    assert not any(
        isinstance(event, RiskAdjusted)
        for event in venue.send(configuration(version=3, risk_bounds=narrow))
    )
    venue.send(configuration(version=4))
    scale = venue.engine.risk_scale(1)
    assert (scale.version, scale.scan, scale.volatility) == (3, RATIO_SCALE, RATIO_SCALE)
    venue.twin()
