"""The command line of keepers: common options for all, and each one's own."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.bootstrap import keeper_command, logs
from exchange.bootstrap.keeper_app import keeper

COMMON = [
    *("--url", "http://venue", "--rpc", "http://node", "--dry-run", "--rounds", "3"),
    *("--budget", "0.5", "--fee-cap", "9", "--json", "books.json"),
]
OWN = {
    "settle": ["--patience", "4"],
    "expire": ["--patience", "4", "--subaccount", "7"],
    "funding": [],
    "liquidate": ["--subaccount", "7", "--min-profit", "2.5", "--risk-rate", "0.1"],
    "force-exit": ["--subaccount", "7", "--amount", "55", "--coin", "WETH"],
    "serve-exits": ["--journal", "journal.db"],
    "strategy": ["unwind.toml"],
}
WORK = {"settle": "run_posts", "expire": "run_posts", "funding": "run_posts"}
DEFAULT_INTERVALS = dict(zip(OWN, (2.0, 30.0, 5.0, 1.0, 30.0, 30.0, 1.0), strict=True))


@pytest.mark.parametrize("name", OWN)
def test_every_keeper_takes_the_common_options(name: str, monkeypatch: Any) -> None:
    """Where, how often and for how much; each has an interval of its own."""
    given: list[Any] = []
    work = WORK.get(name, f"run_{name.replace('-', '_')}")
    monkeypatch.setattr(logs, "configure_logs", lambda _: None)  # the process's, not this test's
    monkeypatch.setattr(keeper_command, work, lambda *words: given.extend(words))
    found = CliRunner().invoke(keeper, [name, *OWN[name], *COMMON])
    assert found.exit_code == 0, found.output
    settings, *own = given
    limits = settings.limits
    assert (settings.url, settings.rpc_url) == ("http://venue", "http://node")
    assert (limits.dry_run, limits.rounds, limits.budget_wei) == (True, 3, 5 * 10**17)
    assert (settings.fee_cap_gwei, settings.json_file) == (9, Path("books.json"))
    assert limits.interval_s == DEFAULT_INTERVALS[name]
    assert settings.subaccount_id == (7 if "--subaccount" in OWN[name] else 0)
    assert str(limits.profit_min) == ("2.5" if name == "liquidate" else "0")
    wanted: dict[str, list[object]] = {
        "settle": ["settle", 4],
        "expire": ["expire", 4],
        "funding": ["funding", 30],
        "force-exit": [keeper_command.Leaving("WETH", 55), None],
        "serve-exits": ["journal.db", Path("var/deployment.json")],
        "strategy": [Path("unwind.toml")],
    }
    if name in wanted:
        assert own == wanted[name]


def test_a_missing_option_is_named() -> None:
    """What leaves must be said."""
    found = CliRunner().invoke(keeper, ["force-exit", "--subaccount", "7"])
    assert found.exit_code == 2
    assert "--amount" in found.output
