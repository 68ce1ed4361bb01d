"""Whether what `scripts/compile` made is what the sources say: old code must not run unseen."""

from pathlib import Path
from typing import Final

from exchange.bootstrap.processes import StartFailed

PACKAGE: Final = Path(__file__).resolve().parents[1]
FLOORS: Final = (".", "engine", "margin", "matching")  # compiled, or what that takes words from
ABOVE: Final = {"__main__.py", "clockwork.py", "config.py", "liquidator.py", "sequencer.py"}


def outdated(package: Path = PACKAGE) -> str | None:
    """A source that changed since all was compiled, or is gone; None if nothing was."""
    compiled = list(package.rglob("*.so"))
    if not compiled:
        return None
    since = min(path.stat().st_mtime for path in compiled)
    for made in compiled:
        source = made.with_name(made.name.split(".")[0] + ".py")
        if not source.exists():
            return source.name
    sources = (path for floor in FLOORS for path in sorted((package / floor).glob("*.py")))
    changed = (path for path in sources if path.stat().st_mtime > since)
    return next((path.name for path in changed if path.name not in ABOVE), None)


def require_current_code() -> None:
    """Refuse to start beside compiled code of other sources."""
    source = outdated()
    if source is not None:
        raise StartFailed(f"{source} changed since it was compiled: run scripts/compile")
