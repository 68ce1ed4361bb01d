"""`exchange simulate`: seeds one after another, progress while they run, and a closing table."""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from exchange.simulation import Outcome, SimulationFailed, simulate

_CRITICAL = 50
_SHOWN = (
    "Traded",
    "BatchConfirmed",
    "BlocksReverted",
    "FillNovated",
    "LiquidationStarted",
    "LossSocialised",
    "PositionExpired",
    "FundingPaid",
)


class Tally:
    """Sums over runs."""

    def __init__(self) -> None:
        self.runs = self.steps = self.seconds = 0
        self.counts: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.last: Outcome | None = None
        self.hashes = hashlib.sha256()

    def add(self, outcome: Outcome) -> None:
        """Count one run."""
        self.runs += 1
        self.steps += outcome.steps
        self.seconds += outcome.seconds
        self.counts.update(outcome.counts)
        self.events.update(outcome.events)
        self.last = outcome
        self.hashes.update(f"{outcome.journal_hash}{outcome.state_hash}".encode())

    def document(self, spent_s: float) -> dict[str, object]:
        """For machines."""
        return {
            "seeds": self.runs,
            "steps": self.steps,
            "venue_hours": round(self.seconds / 3_600, 2),
            "spent_s": round(spent_s, 1),
            "steps_per_s": round(self.steps / spent_s) if spent_s else 0,
            "counts": dict(sorted(self.counts.items())),
            "events": dict(sorted(self.events.items())),
            "journal_hashes": self.hashes.hexdigest(),  # of all runs, in order
        }


@contextmanager
def quiet_logs() -> Iterator[None]:
    """What the parts would log of every fault is not news here."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(_CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


def run_simulation(
    first: int, seeds: int, steps: int, hours: float, json_file: Path | None, check_every: int
) -> int:
    """Run seeds from `first` on; 0 if all of them hold, 1 with the one that does not."""
    console, tally = Console(), Tally()
    began = time.perf_counter()
    failure: SimulationFailed | None = None
    with quiet_logs(), _progress(console) as progress:
        task = progress.add_task("seeds", total=seeds, steps=0)
        for seed in range(first, first + seeds):
            try:
                tally.add(simulate(seed, steps=steps, hours=hours, check_every=check_every))
            except SimulationFailed as found:
                failure = found
                break
            progress.update(task, advance=1, steps=tally.steps)
    document = tally.document(time.perf_counter() - began)
    if json_file is not None:
        json_file.write_text(json.dumps(document, indent=2) + "\n")
    console.print(_table(tally, document))
    if failure is not None:
        console.print(str(failure), style="red", soft_wrap=True, markup=False)
        return 1
    console.print("nothing lost, nothing twice, chain = engine", style="green")
    return 0


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[steps]} steps"),
        TimeElapsedColumn(),
        console=console,
    )


def _table(tally: Tally, document: dict[str, object]) -> Table:
    table = Table(title="simulation", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name in ("seeds", "steps", "venue_hours", "spent_s", "steps_per_s"):
        table.add_row(name.replace("_", " "), str(document[name]))
    for name, count in tally.counts.items():
        table.add_row(name.replace("_", " "), str(count))
    for name in _SHOWN:
        table.add_row(name, str(tally.events[name]))
    if tally.runs == 1 and tally.last is not None:
        table.add_row("journal hash", tally.last.journal_hash)
        table.add_row("state hash", tally.last.state_hash)
    return table
