"""Restart from a snapshot is restart from genesis: same events, same state, in any process.

Random lives of a venue, frozen anywhere; what comes after is applied to the thawed engine in
batches of any size, by a process with another hash seed too.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.engine_flow import Flow
from tests.lives import ending, lived, write_life

from exchange.api.view_snapshot import frozen_view, thawed_view
from exchange.api.views import VenueView
from exchange.engine import Engine
from exchange.journal import Journal
from exchange.sequencer import replayed

ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("ENGINE_SEED", 20261121))
STEPS = 250
GROUPS = (1, 7, 64)


def live(seed: int, path: Path, group: int) -> Flow:
    """A venue after a random life, which a journal has in groups."""
    flow = lived(seed, STEPS)
    write_life(flow, path, group)
    return flow


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("seed", range(3))
def test_a_snapshot_anywhere_leads_to_the_same_end(tmp_path, seed, group):
    """Taken of an engine that replayed; its bytes are the same again, twice over."""
    path = tmp_path / "journal.db"
    flow = live(SEED + seed, path, group)
    end = flow.venue.engine.state_hash()
    draw = random.Random(seed)
    engine, view = Engine(), VenueView()
    cuts = {draw.randrange(1, len(flow.venue.entries)) for _ in range(4)}
    with Journal(str(path)) as journal:
        for entry in journal.reader.entries():
            hashed_from, believed_to = draw.choice((0, 1 << 60)), draw.choice((0, 1 << 60))
            list(replayed((entry,), engine, hashed_from=hashed_from, believed_to=believed_to))
            view.apply(entry)
            if entry.seq in cuts:
                data = engine.snapshot()
                engine = Engine.restored(data)
                assert engine.snapshot() == data
                engine.check()
                pictured = frozen_view(view)
                view = thawed_view(pictured)
                assert frozen_view(view) == pictured
    assert engine.state_hash() == end
    whole = VenueView()
    with Journal(str(path)) as journal:
        for entry in journal.reader.entries():
            whole.apply(entry)
    assert frozen_view(view) == frozen_view(whole)


IN_A_PROCESS = """
import sys
from exchange.engine import Engine
from tests.lives import ending
journal, frozen = sys.argv[1:]
print(ending(journal, Engine.restored(open(frozen, "rb").read())))
"""


def test_another_hash_seed_goes_on_the_same_way(tmp_path):
    """What one process froze another thaws: neither sets nor texts leak their order."""
    path = tmp_path / "journal.db"
    flow = live(SEED + 9, path, 7)
    engine = Engine()
    middle = len(flow.venue.entries) // 2
    for entry in flow.venue.entries[:middle]:
        engine.replay(*entry)
    frozen = tmp_path / "frozen"
    frozen.write_bytes(engine.snapshot())
    here = ending(str(path), Engine.restored(frozen.read_bytes()))
    assert here.split()[1] == flow.venue.engine.state_hash().hex()
    for hash_seed in ("0", "4242"):
        environment = {**os.environ, "PYTHONPATH": ".:src", "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", IN_A_PROCESS, str(path), str(frozen)]
        found = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        assert found.stdout.strip() == here
