"""The journal: commits and commands a second, bytes a command, by group size; and replay.

`exchange bench journal`. Figures depend on the disk's fsync; ratios between group sizes within one
run are what to compare.
"""

import asyncio
import os
import platform
import tempfile
import time
from pathlib import Path

from tests.signed_venue import MAKER, TAKER, place_signed
from tests.venue import Venue, open_venue

from exchange.commands import PlaceOrder
from exchange.engine import Engine
from exchange.journal import EntryEncoder, Journal, JournalReader
from exchange.model import Side
from exchange.sequencer import Sequencer, replay

GROUPS = (1, 7, 64, 512)
COMMITS = 200
ORDERS = 3_000


def machine() -> dict[str, object]:
    return {"name": platform.node(), "cpu": platform.processor(), "cores": os.cpu_count()}


def trading_venue(orders: int) -> Venue:
    """Two people who trade back and forth, without a check after each order."""
    venue = open_venue()
    people = venue.fund(MAKER, 50_000_000), venue.fund(TAKER, 50_000_000)
    venue.checking = False
    for number in range(orders):
        side = Side(number // 2 % 2)
        who = people[number % 2]
        side = side if number % 2 == 0 else side.opposite
        place_signed(venue, venue.terms(who, side, 1, 2_500))
    return venue


def appends(venue: Venue, folder: Path) -> dict[str, float]:
    """Time of durable appends at each group size."""
    figures: dict[str, float] = {}
    commands = [entry for entry in venue.entries if isinstance(entry[2], PlaceOrder)]
    for group in GROUPS:
        path = folder / f"group-{group}.db"
        encoder = EntryEncoder()
        with Journal(str(path)) as journal:
            start = time.perf_counter()
            for number in range(COMMITS):
                batch = [commands[(number * group + n) % len(commands)] for n in range(group)]
                stamped = [encoder.stamp(at, command, events) for _, at, command, events in batch]
                journal.append([e for e, _ in stamped], [record for _, record in stamped])
            seconds = time.perf_counter() - start
        figures[f"commits_per_s_{group}"] = COMMITS / seconds
        figures[f"commands_per_s_{group}"] = COMMITS * group / seconds
        stored = sum(file.stat().st_size for file in folder.glob(f"{path.name}*"))  # with its log
        figures[f"bytes_per_command_{group}"] = stored / (COMMITS * group)
    return figures


async def live(venue: Venue, path: Path) -> float:
    """Commands a second through a real sequencer, all submitted at once."""
    clock = [0]
    with Journal(str(path)) as journal:
        sequencer = Sequencer(Engine(), journal, machine_clock=lambda: clock[0])
        running = asyncio.create_task(sequencer.run())
        start = time.perf_counter()
        clock[0] = venue.entries[0][1]
        for at in range(0, len(venue.entries), 512):
            await asyncio.gather(
                *(sequencer.submit(command) for _, _, command, _ in venue.entries[at : at + 512])
            )
        seconds = time.perf_counter() - start
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return len(venue.entries) / seconds


def run() -> dict[str, object]:
    """Every figure of `exchange bench journal`."""
    venue = trading_venue(ORDERS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = appends(venue, folder)
        path = folder / "live.db"
        figures["live_commands_per_s"] = asyncio.run(live(venue, path))
        start = time.perf_counter()
        replay(JournalReader(str(path)).entries(), Engine())
        figures["replay_commands_per_s"] = len(venue.entries) / (time.perf_counter() - start)
    return {"machine": machine(), "figures": figures}
