"""Replay and restart: commands a second, and how restart time and memory grow with the journal.

`exchange bench replay`. What a venue takes live are signed orders by WebSocket; what its sequencer
takes of commands that are there already stands beside it. Ten thousand commands take no second, so
what comes by wire and its replay are medians of five turns. `REPLAY_COMMANDS` (100,000) is the
longest journal; a tenth of it is measured on the way. A restart is that of the engine's process
without its listeners: engine and gateway's view, by replay alone and from a snapshot that is a
tenth of the journal old, 50,000 commands at most, as snapshots are taken by default. The journal is
that of a venue at 1,000 orders a second, whose orders live for a minute: what a longer one adds is
history, not open orders.
"""

import asyncio
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median

import uvloop
from rich.progress import track
from tests.bench.journal import live, machine
from tests.bench.wire import CONNECTIONS, Orders, peak, serving
from tests.signed_venue import MAKER, TAKER
from tests.venue import INDEX, Venue, open_venue, usdc

from exchange.bootstrap.memory import look_seldom
from exchange.bootstrap.recovery import recover, take_snapshot
from exchange.commands import AnyCommand, CutBatch, PlaceOrder, UpdateIndex
from exchange.config import Settings
from exchange.engine import Engine
from exchange.events import AnyEvent, BatchCut, Refused
from exchange.fixed import RATIO_SCALE
from exchange.journal import EntryEncoder, Journal, JournalReader
from exchange.model import Side
from exchange.sequencer import Sequencer, catch_up, replay

COMMANDS = int(os.environ.get("REPLAY_COMMANDS", "100000"))
LIVE_MAX = 10_000
ROUNDS = 5
GROUP = 64
ORDERS_A_BATCH = 150  # two hundred items at most are in one batch
ORDER_NS = 1_000_000
INDEX_ORDERS = 1_000  # a sample each second
MARKS_ORDERS = 5_000
DEADLINE_S = 60
SNAPSHOT_MAX = 50_000  # commands since the newest snapshot, by default

Told = tuple[int, int, AnyCommand, tuple[AnyEvent, ...]]


def trading() -> Iterator[Told]:
    """Two people who trade back and forth for ever; every so often a settlement batch is cut."""
    venue = open_venue()
    people = venue.fund(MAKER, 50_000_000), venue.fund(TAKER, 50_000_000)
    yield from venue.entries

    def told(command: AnyCommand) -> Told:
        seq = venue.engine.seq + 1
        return seq, venue.time_ns, command, venue.engine.apply(seq, venue.time_ns, command)

    for number in itertools.count():
        venue.time_ns += ORDER_NS
        if number % INDEX_ORDERS == 0:
            for underlying_id in (1, 2):
                yield told(
                    UpdateIndex(
                        underlying_id=underlying_id,
                        index_price=venue.engine.index_price(underlying_id) or usdc(INDEX),
                        confidence=RATIO_SCALE,
                    )
                )
        if number % MARKS_ORDERS == 0:
            yield told(venue.marks_update())
        side = Side(number // 2 % 2)
        side = side if number % 2 == 0 else side.opposite
        deadline = venue.now_s + DEADLINE_S
        terms = venue.terms(people[number % 2], side, 1, 2_500, deadline=deadline)
        one = told(PlaceOrder(terms=terms, signature=bytes(65)))
        assert not any(isinstance(event, Refused) for event in one[3]), one
        yield one
        if number % ORDERS_A_BATCH == 0:
            yield told(CutBatch())


def write(settings: Settings, part: Iterable[Told]) -> None:
    """Append entries to the journal in groups."""
    with Journal(settings.journal_location) as journal:
        encoder = EntryEncoder(journal.last_seq, journal.chain_hash)
        entries = iter(part)
        while group := list(itertools.islice(entries, GROUP)):
            stamped = [encoder.stamp(*entry[1:]) for entry in group]
            hashes = {
                entry.seq: event.state_hash
                for entry, _ in stamped
                for event in entry.events
                if isinstance(event, BatchCut)
            }
            journal.append([one for one, _ in stamped], [record for _, record in stamped], hashes)


def restart(settings: Settings) -> None:
    """What a restart does before it listens; prints its seconds, of the processor too, and MB."""
    look_seldom()  # as an engine's process does
    start, busy = time.perf_counter(), time.process_time()
    with Journal(settings.journal_location) as journal:
        found = recover(settings, journal.reader)
        deque(catch_up(journal.reader, found.engine, believed_to=journal.last_seq), maxlen=0)
        Sequencer(found.engine, journal)
        for entry in journal.reader.entries(found.view.seq):
            found.view.apply(entry)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    sys.stdout.write(f"{seconds} {busy} {peak_mb()}")


def peak_mb() -> float:
    """The most that this process held: `ru_maxrss` would begin with what its parent held."""
    status = Path("/proc/self/status").read_text()
    (line,) = [row for row in status.splitlines() if row.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def restarted(settings: Settings, key: str, commands: int) -> dict[str, float]:
    """Figures of a restart in a process of its own: seconds, of the processor too, MB at most."""
    script = (
        "from exchange.config import Settings; from tests.bench.replay import restart; "
        f"restart(Settings(state_dir={settings.state_dir!r}, journal={settings.journal!r}))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    units = ("s", "cpu_s", "mb")
    return {
        f"{key}_{unit}_{commands}": float(figure)
        for unit, figure in zip(units, found.stdout.split(), strict=True)
    }


def growth(commands: int, folder: Path, flow: Iterator[Told], written: int) -> dict[str, float]:
    """Go on to so many commands; a restart there, with a snapshot and by replay alone."""
    journal = str(folder / "journal.db")
    settings, bare = (
        Settings(state_dir=str(folder / name), journal=journal) for name in ("state", "bare")
    )
    late = min(SNAPSHOT_MAX, commands // 10)
    write(settings, itertools.islice(flow, commands - late - written))
    start = time.perf_counter()
    take_snapshot(settings)
    figures = {f"snapshot_s_{commands}": time.perf_counter() - start}
    write(settings, itertools.islice(flow, late))
    figures[f"snapshot_bytes_{commands}"] = max(settings.snapshot_dir.iterdir()).stat().st_size
    figures[f"journal_bytes_{commands}"] = Path(journal).stat().st_size
    figures |= restarted(settings, "restart", commands)
    return figures | restarted(bare, "restart_by_replay", commands)


def live_by_wire() -> float:
    """Signed orders a second to a durable answer, as `exchange bench wire` measures its peak."""
    orders = Orders()
    batches = [orders.texts(LIVE_MAX // CONNECTIONS) for _ in range(CONNECTIONS)]
    with serving() as host, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(peak(host, batches))


def replayed_s(journal: Path, *, hashed: bool) -> float:
    """Seconds that it takes to read a journal and replay it."""
    with closing(JournalReader(str(journal))) as reader:
        start = time.perf_counter()
        if hashed:
            replay(reader.entries(), Engine())
        else:
            deque(catch_up(reader, Engine(), believed_to=reader.last_seq()), maxlen=0)
        return time.perf_counter() - start


def in_turns(journal: Path, commands: int) -> dict[str, float]:
    """Live trading by wire and both ways to replay it: medians of `ROUNDS`."""
    lives, believed, hashed = [], [], []
    for _ in range(ROUNDS):
        lives.append(live_by_wire())
        believed.append(commands / replayed_s(journal, hashed=False))
        hashed.append(commands / replayed_s(journal, hashed=True))
    return {
        "live_commands_per_s": median(lives),
        "replay_commands_per_s": median(believed),
        "replay_hashed_commands_per_s": median(hashed),
        "replay_times_live": median(a / b for a, b in zip(believed, lives, strict=True)),
    }


def run() -> dict[str, object]:
    """Every figure of `exchange bench replay`."""
    look_seldom()  # as an engine's process does, live and at its start
    short = Venue.__new__(Venue)
    short.entries = list(itertools.islice(trading(), min(COMMANDS, LIVE_MAX)))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "live.db"
        sequenced = asyncio.run(live(short, path))
        figures = {"sequenced_commands_per_s": sequenced} | in_turns(path, len(short.entries))
        flow, written = trading(), 0
        for commands in track((COMMANDS // 10, COMMANDS), "growing"):
            figures |= growth(commands, Path(name), flow, written)
            written = commands
    load = round(os.getloadavg()[1] / (os.cpu_count() or 1), 1)
    figures["load_of_each_core"] = load  # of the last five minutes: seconds are long where above 1
    return {"machine": machine(), "figures": figures}
