"""The whole exchange from seeds: as many as the minutes of a run of all tests allow, or 100,000.

Each run of 2,000 commands is checked as it goes and compared at its end; what fails names its seed
and the command that repeats it. `scripts/test --long` goes on to the seeds of the long figure, for
as long as `EXCHANGE_SIMULATION_S` allows, and writes what it did to `results/`.
"""

import json
import os
import platform
import re
import sys
import time
from pathlib import Path
from typing import Final

import pytest
from tests.long_run import LONG

from exchange.bootstrap.simulate_command import Tally, quiet_logs
from exchange.simulation import SimulationFailed, simulate
from exchange.simulation.checks import CheckedEngine

STEPS: Final = 2_000
SEEDS: Final = 100_000 if LONG else 2_000
BUDGET_S: Final = float(os.environ.get("EXCHANGE_SIMULATION_S") or (6 * 3_600 if LONG else 90))
RESULTS: Final = Path(__file__).parent / "results" / "long.json"
NEEDED: Final = {  # what no set of runs may lack, or it looks at nothing
    "Traded",
    "BatchConfirmed",
    "BatchReverted",
    "BlocksReverted",
    "DepositReverted",
    "FillNovated",
    "FundingPaid",
    "InterestPaid",
    "LiquidationStarted",
    "OrderRepeated",
    "PositionExpired",
    "Withdrawn",
}


def test_every_seed_comes_to_rest(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing acknowledged is lost, nothing counts twice, and at rest the chain is the engine."""
    tally, began = Tally(), time.process_time()
    with quiet_logs():
        while tally.runs < SEEDS and time.process_time() - began < BUDGET_S:
            tally.add(simulate(tally.runs, steps=STEPS))
            if LONG and tally.runs % 25 == 0:  # hours: what is done so far counts
                keep(tally, time.process_time() - began)
    spent_s = time.process_time() - began
    with capsys.disabled():
        print(
            f"\nsimulation: {tally.runs} of {SEEDS} seeds, {tally.steps} steps of "
            f"{SEEDS * STEPS}, {tally.seconds // 3_600} venue hours, 0 failures, {spent_s:.0f} s",
            file=sys.stderr,  # the output of a worker of several is not shown
        )
    assert tally.steps >= tally.runs * STEPS > 0
    if tally.runs >= 25:
        assert not NEEDED - tally.events.keys()
    if LONG:
        keep(tally, spent_s)


def test_an_hour_comes_to_rest() -> None:
    """Longer than the venue remembers orders, on slow blocks that are often reorganised."""
    with quiet_logs():
        outcome = simulate(1, hours=1.0)
    assert outcome.seconds >= 3_600
    assert outcome.counts["batches"] > 300
    assert outcome.events["BlocksReverted"] > 10
    assert outcome.events["BatchReverted"] > 1


def keep(tally: Tally, spent_s: float) -> None:
    """The last long result; a failure leaves what came before it."""
    machine = {"machine": platform.machine(), "cores": os.cpu_count()}
    document = {"machine": machine, "failures": 0, **tally.document(spent_s)}
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")


def test_a_failure_says_how_to_repeat_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seed, the step and the one command."""

    def broken(*_: object) -> None:
        raise AssertionError("planted")

    monkeypatch.setattr(CheckedEngine, "_follow_chain", broken, raising=False)
    with quiet_logs(), pytest.raises(SimulationFailed) as found:
        simulate(11, steps=100)
    assert re.match(r"seed 11, step \d+: AssertionError: planted\n", str(found.value))
    assert "exchange simulate --seed 11 --steps 100" in str(found.value)
