"""Seeds by the hundred thousand, on every core, kept as they are done.

Every fiftieth runs the 2,000 commands of a CI run. The others end soon after the venue opened: they
are there for their plans, each another mix of blocks, confirmations, faults and people, which a
longer run of the same seed does not change; and each is checked and compared like a long one.
"""

import hashlib
import json
import multiprocessing
import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

from exchange.bootstrap.simulate_command import Tally, quiet_logs
from exchange.simulation import SimulationFailed, simulate

STEPS: Final = 2_000
SHORT: Final = 50  # and the commands of the opening and of coming to rest: about a hundred
CHUNK: Final = 50  # seeds; the first of each runs all steps
RESULTS: Final = Path(__file__).parent / "results" / "long.json"


def soak(seeds: int, budget_s: float) -> dict[str, Any]:
    """Seeds from where the kept result ends (from 0 where it is whole) up to `seeds`.

    Stops after so many seconds. Raises AssertionError with the command that repeats a failure.
    """
    total = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if total.get("of_seeds") != seeds or total["seeds"] >= seeds:
        total = _nothing(seeds)
    began = time.monotonic()
    # Spawned: what runs in this process beside, such as a test's threads, is not copied half-done.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        try:
            for done in pool.map(_run_chunk, range(total["seeds"], seeds, CHUNK)):
                assert not isinstance(done, str), done
                _add(total, done)
                RESULTS.write_text(json.dumps(total, indent=2) + "\n")  # hours: what is done counts
                if time.monotonic() - began > budget_s:
                    break
        finally:
            pool.shutdown(cancel_futures=True)
    return total


def _run_chunk(first: int) -> dict[str, Any] | str:
    """The sums of some seeds, or how one failed: its error does not pass between processes."""
    tally, began = Tally(), time.process_time()
    with quiet_logs():
        for seed in range(first, first + CHUNK):
            try:
                tally.add(simulate(seed, steps=SHORT if seed % CHUNK else STEPS))
            except SimulationFailed as failed:
                return str(failed)
    return tally.document(time.process_time() - began)


def _nothing(seeds: int) -> dict[str, Any]:
    return {
        "machine": {"machine": platform.machine(), "cores": os.cpu_count()},
        "failures": 0,
        "of_seeds": seeds,
        "seeds": 0,
        "seeds_of_2000_steps": 0,
        "steps": 0,
        "venue_hours": 0.0,
        "spent_s": 0.0,  # of the processor
        "counts": {},
        "events": {},
        "journal_hashes": "",  # of all chunks, in order
    }


def _add(total: dict[str, Any], done: dict[str, Any]) -> None:
    for name in ("seeds", "steps", "venue_hours", "spent_s"):
        total[name] = round(total[name] + done[name], 2)
    total["seeds_of_2000_steps"] += 1
    for name in ("counts", "events"):
        sums = {key: total[name].get(key, 0) + count for key, count in done[name].items()}
        total[name] = dict(sorted((total[name] | sums).items()))
    both = total["journal_hashes"] + done["journal_hashes"]
    total["journal_hashes"] = hashlib.sha256(both.encode()).hexdigest()
