"""Risk that moves first: scenarios scaled by journaled steps inside configured bounds.

The venue only judges and remembers a scale; the marks loop draws the next epoch by it. Raising is
quick and lowering slow, so that a calm hour after a crash does not undo what the crash taught.
"""

from exchange.commands import AdjustRisk, RiskBounds
from exchange.engine.records import RiskScale
from exchange.engine.state import Venue
from exchange.events import RejectReason, RiskAdjusted
from exchange.fixed import RATIO_SCALE, format_decimal


def adjust_risk(venue: Venue, command: AdjustRisk) -> None:
    """Put a scale in force for the epochs to come."""
    assert venue.parameters is not None
    refusal = _check(venue, command)
    if refusal is not None:
        venue.refuse(*refusal)
        return
    _put(venue, command)


def keep_in_bounds(venue: Venue) -> None:
    """After a `Configure`: whatever lies outside the new bounds moves to the nearest one."""
    assert venue.parameters is not None
    bounds = venue.parameters.risk_bounds
    for underlying_id in sorted(venue.risk_scales):
        known = venue.risk_scales[underlying_id]
        scan, volatility = RATIO_SCALE, RATIO_SCALE  # without bounds the preset as it is
        if bounds is not None:
            scan = min(max(known.scan, bounds.scan_min), bounds.scan_max)
            volatility = min(max(known.volatility, bounds.volatility_min), bounds.volatility_max)
        if (scan, volatility) != (known.scan, known.volatility):
            _put(
                venue,
                AdjustRisk(
                    version=known.version + 1,
                    underlying_id=underlying_id,
                    scan=scan,
                    volatility=volatility,
                    reason="new bounds",
                ),
            )


def _put(venue: Venue, command: AdjustRisk) -> None:
    venue.risk_scales[command.underlying_id] = RiskScale(
        version=command.version,
        scan=command.scan,
        volatility=command.volatility,
        time_ns=venue.time_ns,
    )
    venue.emit(
        RiskAdjusted(
            underlying_id=command.underlying_id,
            version=command.version,
            scan=command.scan,
            volatility=command.volatility,
            reason=command.reason,
        )
    )


def _check(venue: Venue, command: AdjustRisk) -> tuple[RejectReason, str] | None:
    assert venue.parameters is not None
    known = venue.risk_scales.get(command.underlying_id, RiskScale())
    if command.version != known.version + 1:
        return RejectReason.STALE_VERSION, f"the last version is {known.version}"
    if all(item.underlying_id != command.underlying_id for item in venue.parameters.underlyings):
        return RejectReason.UNKNOWN_INSTRUMENT, f"underlying {command.underlying_id}"
    bounds = venue.parameters.risk_bounds
    if bounds is None:
        return RejectReason.RISK_OUT_OF_BOUNDS, "no adjustment is allowed"
    return _check_bounds(bounds, command) or _check_pace(venue, bounds, known, command)


def _check_bounds(bounds: RiskBounds, command: AdjustRisk) -> tuple[RejectReason, str] | None:
    for name, value, least, most in (
        ("scan", command.scan, bounds.scan_min, bounds.scan_max),
        ("volatility", command.volatility, bounds.volatility_min, bounds.volatility_max),
    ):
        if not least <= value <= most:
            between = f"{_text(least)} and {_text(most)}"
            return RejectReason.RISK_OUT_OF_BOUNDS, f"{name} must lie between {between}"
    return None


def _check_pace(
    venue: Venue, bounds: RiskBounds, known: RiskScale, command: AdjustRisk
) -> tuple[RejectReason, str] | None:
    if known.version and venue.time_ns - known.time_ns < bounds.interval_ns:
        return RejectReason.RISK_TOO_FAST, "the last step is too recent"
    steps = (command.scan - known.scan, command.volatility - known.volatility)
    if max(steps) > bounds.rise_max:
        return RejectReason.RISK_TOO_FAST, f"a step may rise by {_text(bounds.rise_max)}"
    if min(steps) < -bounds.fall_max:
        return RejectReason.RISK_TOO_FAST, f"a step may fall by {_text(bounds.fall_max)}"
    return None


def _text(ratio: int) -> str:
    return format_decimal(ratio, RATIO_SCALE)
