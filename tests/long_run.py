"""What long runs (`EXCHANGE_LONG=1`, `scripts/test --long`) did, kept in `results/long.json`.

A plugin of such runs alone. A test whose mark is `long_run(what, **counts)` adds there what it
was asked to do, when it passes; a later run replaces that. Simulations keep more of theirs, beside
themselves.
"""

import json
import os
import platform
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

LONG: Final = os.environ.get("EXCHANGE_LONG") == "1"
RESULTS: Final = Path(__file__).parent / "results" / "long.json"
_KEY: Final = "long_run"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a report carry the counts of its test."""
    report = yield
    mark = item.get_closest_marker(_KEY)
    if mark is not None and report.when == "call":
        report.user_properties.append((_KEY, {"what": mark.args[0], **mark.kwargs}))
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the counts of a test that passed: workers send theirs to whoever started them."""
    counts = dict(report.user_properties).get(_KEY)
    if report.passed and isinstance(counts, dict) and "PYTEST_XDIST_WORKER" not in os.environ:
        keep(report.nodeid.rpartition("::")[2], counts, report.duration)


def keep(test: str, counts: dict[str, Any], seconds: float) -> None:
    """Add or replace one test's line."""
    document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"tests": {}}
    document["machine"] = {"machine": platform.machine(), "cores": os.cpu_count()}
    document["tests"][test] = {**counts, "seconds": round(seconds, 1)}
    document["tests"] = dict(sorted(document["tests"].items()))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
