"""A journal replays to what its venue lived through, whoever replays it and from wherever.

From the beginning and from snapshots, with hashes computed and trusted, with accepted orders
checked again and believed, in whatever groups it was committed, in processes with other hash seeds,
compiled and interpreted, and in other Pythons: `EXCHANGE_PYTHONS` names their programs. What counts
is every command that is replayed.
"""

import itertools
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.lives import ending, lived, write_life
from tests.long_run import LONG

from exchange.engine import Engine
from exchange.journal import JournalReader
from exchange.sequencer import replay

ROOT = Path(__file__).parents[2]
COUNT = 20_000_000 if LONG else 1_000_000 if "CI" in os.environ else 20_000
SEED = int(os.environ.get("REPLAY_SEED", 20261122))
SHARDS = 4
STEPS = 1_500  # of a life: some two thousand commands
LIVES = 8 if LONG or "CI" in os.environ else 1  # that other processes replay at once
GROUPS = (1, 7, 64)
PYTHONS = (sys.executable, *filter(None, os.environ.get("EXCHANGE_PYTHONS", "").split(":")))
HASH_SEEDS = ("0", "4242")

IN_A_PROCESS = """
import sys
from exchange.engine import Engine
from tests.lives import ending
for path in sys.argv[1:]:
    print(ending(path, Engine()))
"""


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory):
    """The sources, and nothing that `scripts/compile` made of them."""
    copy = tmp_path_factory.mktemp("interpreted") / "src"
    made = shutil.ignore_patterns("*.so", "build", "__pycache__")
    return shutil.copytree(ROOT / "src", copy, ignore=made)


@pytest.mark.long_run("commands replayed to the same events and state", commands=COUNT // SHARDS)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_whoever_replays_a_journal_ends_where_its_venue_did(tmp_path, interpreted, shard):
    """Everything that it says is the same to the byte, and so is its state."""
    first = SEED + 1_000_000 * shard
    print(f"replays: seeds from {first}, {COUNT // SHARDS} commands")
    replayed = 0
    for start in itertools.count(first, LIVES):
        ends = {}
        for seed in range(start, start + LIVES):
            path = tmp_path / f"{seed}.db"
            ends[path], commands = replayed_here(seed, path)
            replayed += commands
        for python in PYTHONS:
            for hash_seed, sources in zip(HASH_SEEDS, ("src", interpreted), strict=True):
                replayed += replayed_elsewhere(python, hash_seed, sources, ends)
        for path in ends:
            path.unlink()
        if replayed >= COUNT // SHARDS:
            break


def replayed_here(seed, path):
    """How a life ended, and how many commands of it were replayed to that end."""
    flow = lived(seed, STEPS, checking=False)
    write_life(flow, path, GROUPS[seed % len(GROUPS)])
    entries = flow.venue.entries
    end = ending(str(path), Engine())
    assert end.split()[1:] == [flow.venue.engine.state_hash().hex(), str(len(entries))], seed
    for to in (0, 1 << 60):
        assert ending(str(path), Engine(), hashed_from=1 << 60, believed_to=to) == end, seed
    rng, engine, replayed = random.Random(seed), Engine(), 3 * len(entries)
    reader = JournalReader(str(path))
    for cut in sorted(rng.sample(range(1, len(entries)), 2)):
        for entry in itertools.islice(reader.entries(engine.seq), cut - engine.seq):
            replay((entry,), engine)
        engine = Engine.restored(engine.snapshot())
        rest = Engine.restored(engine.snapshot())
        assert ending(str(path), rest).split()[1:] == end.split()[1:], (seed, cut)
        replayed += len(entries) - cut
    reader.close()
    return end, replayed


def replayed_elsewhere(python, hash_seed, sources, ends):
    """Another process says the same of all of them; how many commands it replayed."""
    environment = {**os.environ, "PYTHONPATH": f".:{sources}", "PYTHONHASHSEED": hash_seed}
    command = [python, "-c", IN_A_PROCESS, *map(str, ends)]
    found = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines() == list(ends.values()), (python, hash_seed, sources)
    return sum(int(end.split()[2]) for end in ends.values())
