"""The same seed is the same run: in this process again, and in others whatever they hash by."""

import json
import os
import subprocess
import sys
from pathlib import Path

from exchange.bootstrap.simulate_command import quiet_logs
from exchange.simulation import simulate

SEED = 5
STEPS = 1_200


def elsewhere(folder: Path, hash_seed: str) -> str:
    """The hash of journal and state in a process of its own."""
    result = folder / f"{hash_seed}.json"
    command = [sys.executable, "-m", "exchange", "simulate", "--seed", str(SEED)]
    command += ["--steps", str(STEPS), "--json", str(result)]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return str(json.loads(result.read_text())["journal_hashes"])


def test_processes_with_other_hash_seeds_agree(tmp_path: Path) -> None:
    """No set's order, no clock of the machine and no thread has a say."""
    assert elsewhere(tmp_path, "1") == elsewhere(tmp_path, "4242")


def test_a_run_again_in_one_process_is_the_same() -> None:
    """Nothing is left over from the run before."""
    with quiet_logs():
        first, again = (simulate(SEED, steps=STEPS) for _ in range(2))
    assert first == again


def test_another_seed_is_another_run() -> None:
    """A journal's hash is not the same whatever happens."""
    with quiet_logs():
        hashes = {simulate(seed, steps=200).journal_hash for seed in range(3)}
    assert len(hashes) == 3
