"""The whole exchange from seeds: as many as the minutes of a run of all tests allow, or 100,000.

Each run is checked as it goes and compared at its end; what fails names its seed and the command
that repeats it. `scripts/test --long` goes on to the seeds of the long figure (`soak.py`), for as
long as `EXCHANGE_SIMULATION_S` allows, and writes what it did to `results/`.
"""

import os
import re
import sys
import time
from typing import Final

import pytest
from tests.long_run import LONG
from tests.simulation.soak import STEPS, soak

from exchange.bootstrap.simulate_command import Tally, quiet_logs
from exchange.simulation import SimulationFailed, simulate
from exchange.simulation.checks import CheckedEngine

SEEDS: Final = 100_000 if LONG else 2_000
BUDGET_S: Final = float(os.environ.get("EXCHANGE_SIMULATION_S") or (6 * 3_600 if LONG else 90))
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
    whole, events, told = (_soak if LONG else _some)()
    with capsys.disabled():
        print(f"\nsimulation: {told}, 0 failures", file=sys.stderr)
    assert whole > 0
    if whole >= 25:
        assert not NEEDED - events


def _some() -> tuple[int, set[str], str]:
    """As many seeds as the time allows; how many of all steps, and what was seen in them."""
    tally, began = Tally(), time.process_time()
    with quiet_logs():
        while tally.runs < SEEDS and time.process_time() - began < BUDGET_S:
            tally.add(simulate(tally.runs, steps=STEPS))
    assert tally.steps >= tally.runs * STEPS
    told = (
        f"{tally.runs} of {SEEDS} seeds, {tally.steps} steps of {SEEDS * STEPS}, "
        f"{tally.seconds // 3_600} venue hours, {time.process_time() - began:.0f} s"
    )
    return tally.runs, set(tally.events), told


def _soak() -> tuple[int, set[str], str]:
    """The same, of hours on every core."""
    total = soak(SEEDS, BUDGET_S)
    whole = total["seeds_of_2000_steps"]
    told = (
        f"{total['seeds']} of {SEEDS} seeds, {whole} of them of {STEPS} steps, "
        f"{total['steps']} steps, {total['venue_hours']:.0f} venue hours, {total['spent_s']:.0f} s"
    )
    return whole, set(total["events"]), told


def test_an_hour_comes_to_rest() -> None:
    """Longer than the venue remembers orders, on slow blocks that are often reorganised."""
    with quiet_logs():
        outcome = simulate(1, hours=1.0)
    assert outcome.seconds >= 3_600
    assert outcome.counts["batches"] > 300
    assert outcome.events["BlocksReverted"] > 10
    assert outcome.events["BatchReverted"] > 1


def test_a_failure_says_how_to_repeat_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seed, the step and the one command."""

    def broken(*_: object) -> None:
        raise AssertionError("planted")

    monkeypatch.setattr(CheckedEngine, "_follow_chain", broken, raising=False)
    with quiet_logs(), pytest.raises(SimulationFailed) as found:
        simulate(11, steps=100, check_every=7)
    assert re.match(r"seed 11, step \d+: AssertionError: planted\n", str(found.value))
    assert "exchange simulate --seed 11 --steps 100 --check-every 7" in str(found.value)
