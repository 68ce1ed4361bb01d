"""Moments as people write and read them: UTC."""

from datetime import UTC, datetime

from exchange.sdk.errors import BadArgument


def moment(time_ms: int) -> str:
    """A UTC time of milliseconds, to the second."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def milliseconds(text: str) -> int:
    """The UTC milliseconds of an ISO date or time; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadArgument(f"{text}: a time is 2026-12-25 or 2026-12-25T08:00") from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return int(found.timestamp() * 1000)
