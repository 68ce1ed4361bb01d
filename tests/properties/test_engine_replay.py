"""The same commands give the same events and state: in another process, whatever the hash seed."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import msgspec
from tests.engine_flow import Flow
from tests.lives import lived, write_life

from exchange.engine import Engine
from exchange.journal import Journal

ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("ENGINE_SEED", 20261121))
STEPS = 300

STORY = """
from tests.lives import lived
from tests.properties.test_engine_replay import SEED, STEPS, digest
print(digest(lived(SEED, STEPS)))
"""


def digest(flow: Flow) -> str:
    """Everything that the venue ever said, and its state."""
    said = msgspec.msgpack.encode([entry[3] for entry in flow.venue.entries])
    return hashlib.sha256(said + flow.venue.engine.state_hash()).hexdigest()


def in_a_process(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONPATH": ".:src", "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", STORY]
    found = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


def test_two_processes_with_other_hash_seeds_agree():
    """No set or dict order leaks into events or state."""
    here = digest(lived(SEED, STEPS))
    assert [in_a_process(seed) for seed in ("0", "4242")] == [here, here]


def test_a_journaled_life_replays_to_the_same_state(tmp_path):
    """Through bytes and back: what the journal holds is all that an engine needs."""
    flow = lived(SEED + 1, STEPS)
    write_life(flow, tmp_path / "journal.db", 64)
    with Journal(str(tmp_path / "journal.db")) as journal:
        engine = Engine()
        for entry in journal.reader.entries():
            assert engine.apply(entry.seq, entry.time_ns, entry.command) == entry.events
    assert engine.state_hash() == flow.venue.engine.state_hash()


def test_a_cut_hash_is_the_state_of_a_replay_up_to_it():
    """An audit that stops at a batch finds the hash that the batch recorded."""
    flow = lived(SEED + 2, STEPS)
    engine, cuts = Engine(), 0
    for seq, time_ns, command, events in flow.venue.entries:
        engine.apply(seq, time_ns, command)
        for event in events:
            if type(event).__name__ == "BatchCut":
                assert event.state_hash == engine.state_hash()
                cuts += 1
    assert cuts > 0
