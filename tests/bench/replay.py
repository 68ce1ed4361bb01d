"""Replay and restart: commands a second, and how restart time and memory grow with the journal.

`exchange bench replay`. `REPLAY_COMMANDS` (100,000) is the longest journal; a tenth of it is
measured beside it. A restart is that of the engine's process without its listeners: engine and
gateway's view, by replay alone and from a snapshot that is a tenth of the journal old.
"""

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from tests.bench.journal import live, machine
from tests.signed_venue import MAKER, TAKER
from tests.venue import Venue, open_venue

from exchange.bootstrap.recovery import recover, take_snapshot
from exchange.commands import CutBatch, PlaceOrder
from exchange.config import Settings
from exchange.engine import Engine
from exchange.journal import EntryEncoder, Journal, JournalReader
from exchange.model import Side
from exchange.sequencer import Sequencer, replay

COMMANDS = int(os.environ.get("REPLAY_COMMANDS", "100000"))
LIVE_MAX = 10_000
GROUP = 64
ORDERS_A_BATCH = 150  # two hundred items at most are in one batch


def traded(commands: int) -> Venue:
    """Two people who trade back and forth; every so often a settlement batch is cut."""
    venue = open_venue()
    people = venue.fund(MAKER, 50_000_000), venue.fund(TAKER, 50_000_000)
    venue.checking = False
    number = 0
    while len(venue.entries) < commands:
        side = Side(number // 2 % 2)
        side = side if number % 2 == 0 else side.opposite
        terms = venue.terms(people[number % 2], side, 1, 2_500)
        venue.send(PlaceOrder(terms=terms, signature=bytes(65)))
        number += 1
        if number % ORDERS_A_BATCH == 0:
            venue.send(CutBatch())
    return venue


def write(venue: Venue, settings: Settings, start: int, end: int) -> None:
    """Journal some of a venue's entries in groups."""
    with Journal(settings.journal_location) as journal:
        encoder = EntryEncoder(journal.last_seq, journal.chain_hash)
        for at in range(start, end, GROUP):
            part = venue.entries[at : min(at + GROUP, end)]
            stamped = [encoder.stamp(*entry[1:]) for entry in part]
            hashes = {
                entry.seq: event.state_hash
                for entry, _ in stamped
                for event in entry.events
                if type(event).__name__ == "BatchCut"
            }
            journal.append([one for one, _ in stamped], [record for _, record in stamped], hashes)


def restart(settings: Settings) -> None:
    """What a restart does before it listens; prints its seconds and its memory."""
    start = time.perf_counter()
    with Journal(settings.journal_location) as journal:
        found = recover(settings, journal.reader)
        Sequencer(found.engine, journal)
        for entry in journal.reader.entries(found.view.seq):
            found.view.apply(entry)
    seconds = time.perf_counter() - start
    sys.stdout.write(f"{seconds} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}")


def restarted(settings: Settings) -> tuple[float, float]:
    """(seconds, MB at the most) of a restart in a process of its own."""
    script = (
        "from exchange.config import Settings; from tests.bench.replay import restart; "
        f"restart(Settings(state_dir={settings.state_dir!r}))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    seconds, megabytes = found.stdout.split()
    return float(seconds), float(megabytes)


def growth(venue: Venue, commands: int, folder: Path) -> dict[str, float]:
    """Restart of a journal of so many commands, without and with a snapshot."""
    settings = Settings(state_dir=str(folder / str(commands)))
    settings.state.mkdir()
    write(venue, settings, 0, commands * 9 // 10)
    start = time.perf_counter()
    take_snapshot(settings)
    figures = {f"snapshot_s_{commands}": time.perf_counter() - start}
    write(venue, settings, commands * 9 // 10, commands)
    (path,) = settings.snapshot_dir.iterdir()
    figures[f"snapshot_bytes_{commands}"] = path.stat().st_size
    figures[f"restart_s_{commands}"], figures[f"restart_mb_{commands}"] = restarted(settings)
    path.unlink()
    seconds, megabytes = restarted(settings)
    figures |= {f"restart_by_replay_s_{commands}": seconds}
    figures |= {f"restart_by_replay_mb_{commands}": megabytes}
    return figures


def run() -> dict[str, object]:
    """Every figure of `exchange bench replay`."""
    venue = traded(COMMANDS)
    short = Venue.__new__(Venue)
    short.entries = venue.entries[: min(COMMANDS, LIVE_MAX)]
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "live.db"
        figures["live_commands_per_s"] = asyncio.run(live(short, path))
        for key, hashed in (("replay", False), ("replay_hashed", True)):
            with closing(JournalReader(str(path))) as reader:
                hashed_from = 0 if hashed else reader.last_checkpoint()
                start = time.perf_counter()
                replay(reader.entries(), Engine(), hashed_from=hashed_from)
                seconds = time.perf_counter() - start
            figures[f"{key}_commands_per_s"] = len(short.entries) / seconds
        for commands in (COMMANDS // 10, COMMANDS):
            figures |= growth(venue, commands, Path(name))
    return {"machine": machine(), "figures": figures}
