"""What every test shares: Hypothesis profiles, and the rule that nothing skips in integration."""

import os

import pytest
from hypothesis import HealthCheck, settings

from exchange.bootstrap.compiled import outdated

settings.register_profile(
    "dev", max_examples=50, stateful_step_count=30, deadline=None, print_blob=True
)
settings.register_profile(
    "ci",
    max_examples=300,
    stateful_step_count=60,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "night", max_examples=5_000, stateful_step_count=200, deadline=None, print_blob=True
)
settings.load_profile("dev")


def pytest_configure(config: pytest.Config) -> None:
    """What was compiled before its source changed would be tested in its place."""
    if os.environ.get("EXCHANGE_LONG") == "1":
        config.pluginmanager.import_plugin("tests.long_run")
    source = outdated()
    if source is not None:
        pytest.exit(f"{source} changed since it was compiled: run scripts/compile", 1)


def skipped_tests(config: pytest.Config) -> list[str]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return [report.nodeid for report in reporter.stats.get("skipped", [])] if reporter else []


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skip is a hole where the tools were promised: EXCHANGE_NO_SKIPS=1 makes it a failure."""
    if os.environ.get("EXCHANGE_NO_SKIPS") == "1" and skipped_tests(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = skipped_tests(terminalreporter.config)
    if os.environ.get("EXCHANGE_NO_SKIPS") == "1" and skipped:
        terminalreporter.line(f"FAILED: {len(skipped)} skipped, and EXCHANGE_NO_SKIPS=1", red=True)
