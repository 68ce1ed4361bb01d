"""From a market's state to scan ranges: a forecast and a stress index, before liquidations do.

Floats and pure: what the steward knows in, a target and the next allowed step out. Every number
that it weighs is in the reason that the journal keeps.
"""

from typing import Final

import msgspec

from exchange.commands import AdjustRisk, RiskBounds
from exchange.fixed import RATIO_SCALE
from exchange.margin.scenarios import to_ratio

_STEP_MIN: Final = RATIO_SCALE // 100  # smaller moves are noise
_DIGITS: Final = 3


class StressRules(msgspec.Struct, frozen=True, kw_only=True):
    """What counts as calm and as full stress, and what stress does."""

    base_volatility: float  # that the preset's own ranges were made for
    realised_full: float = 2.0  # realised over implied that is full stress; 1 is calm
    depth_full: float = 0.2  # share of its usual depth that is full stress; 1 is calm
    share_calm: float = 0.5  # of all that is held or on order, in one hand
    share_full: float = 1.0
    liquidations_full: int = 5  # started within ten minutes
    scan_span: float = 0.3  # added to scan at full stress
    volatility_span: float = 0.5


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """One underlying now; volatilities per year."""

    forecast: float
    realised: float
    implied: float
    depth: float  # over its usual
    largest_share: float  # of all that is held or on order
    liquidations: int


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where the scales should be, and why."""

    scan: float
    volatility: float
    stress: float
    reason: str


def stress_parts(rules: StressRules, now: Conditions) -> dict[str, float]:
    """Each signal from 0, calm, to 1, full stress."""
    span = rules.share_full - rules.share_calm
    return {
        "realised": _part((now.realised / now.implied - 1.0) / (rules.realised_full - 1.0)),
        "depth": _part((1.0 - now.depth) / (1.0 - rules.depth_full)),
        "concentration": _part((now.largest_share - rules.share_calm) / span),
        "liquidations": _part(now.liquidations / rules.liquidations_full),
    }


def target(rules: StressRules, now: Conditions) -> Target:
    """Scales that the conditions ask for, without bounds and pace.

    The index is the mean of its two strongest signals: one alone may be an accident, and four
    never come together before it is too late.
    """
    parts = stress_parts(rules, now)
    strongest = sorted(parts.values())[-2:]
    stress = sum(strongest) / 2
    scan = max(now.forecast / rules.base_volatility, 1.0 + stress * rules.scan_span)
    words = " ".join(f"{name} {value:.2f}" for name, value in parts.items())
    return Target(
        scan=scan,
        volatility=1.0 + stress * rules.volatility_span,
        stress=stress,
        reason=f"forecast {now.forecast:.0%} stress {stress:.2f} ({words})",
    )


def next_step(
    bounds: RiskBounds, known: tuple[int, int, int], underlying_id: int, wanted: Target
) -> AdjustRisk | None:
    """The step toward a target that the engine will take; None where it is too small to matter.

    `known` is (version, scan, volatility) in force.
    """
    version, scan, volatility = known
    scans = (bounds.scan_min, bounds.scan_max)
    volatilities = (bounds.volatility_min, bounds.volatility_max)
    after_scan = _approach(scan, wanted.scan, scans, bounds)
    after_volatility = _approach(volatility, wanted.volatility, volatilities, bounds)
    if max(abs(after_scan - scan), abs(after_volatility - volatility)) < _STEP_MIN:
        return None
    return AdjustRisk(
        version=version + 1,
        underlying_id=underlying_id,
        scan=after_scan,
        volatility=after_volatility,
        reason=wanted.reason,
    )


def _approach(known: int, wanted: float, limits: tuple[int, int], bounds: RiskBounds) -> int:
    low, high = limits
    goal = min(max(to_ratio(round(wanted, _DIGITS)), low), high)
    return min(max(goal, known - bounds.fall_max), known + bounds.rise_max)


def _part(value: float) -> float:
    return min(max(value, 0.0), 1.0)
