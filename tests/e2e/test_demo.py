"""The main job end to end, as a user starts it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

SYNTHETIC = Path(__file__).parents[1] / "data" / "synthetic_chain.csv"
STEPS = [
    "fund",
    "list",
    "quote",
    "trade",
    "refuse",
    "combo",
    "implv",
    "collateral",
    "perpetual",
    "settle",
    "crash",
    "expire",
    "withdraw",
    "audit",
]
TIMEOUT_S = 600


def run_demo(tmp_path: Path, *arguments: str) -> dict[str, object]:
    report = tmp_path / "demo.json"
    finished = subprocess.run(
        [sys.executable, "-m", "exchange", "demo", "--json", str(report), *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    document: dict[str, object] = json.loads(report.read_text())
    return document


def steps_of(document: dict[str, object]) -> list[str]:
    rows = document["rows"]
    assert isinstance(rows, list)
    return list(dict.fromkeys(row["step"] for row in rows))


def test_every_step_of_the_main_job_is_verified(tmp_path: Path) -> None:
    """Deposit to audit, with a double kill in the middle, exit code 0."""
    document = run_demo(tmp_path)
    assert document["passed"] is True
    assert steps_of(document) == STEPS


def test_a_recorded_chain_seeds_the_book(tmp_path: Path) -> None:
    """The committed synthetic file: its rows are reported and its levels rest as signed orders."""
    document = run_demo(tmp_path, "--chain-data", str(SYNTHETIC))
    assert "seed" in steps_of(document)
    rows = document["rows"]
    assert isinstance(rows, list)
    assert any("repeated" in row["figure"] for row in rows if row["checked"] == "dropped")


def test_a_real_recorded_chain_seeds_the_book(tmp_path: Path) -> None:
    """The real file, where the machine has it."""
    file = os.environ.get("EXCHANGE_CHAIN_DATA", "")
    if not file:
        pytest.skip("EXCHANGE_CHAIN_DATA names no recorded chain")
    document = run_demo(tmp_path, "--chain-data", file)
    assert "seed" in steps_of(document)
