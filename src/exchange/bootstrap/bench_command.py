"""`exchange bench NAME`: runs `tests/bench/NAME.py` of this checkout and shows its figures.

A benchmark is a module with `run() -> {"machine": {...}, "figures": {name: number}}`. Results are
compared as ratios within one run, never asserted.
"""

import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from exchange.bootstrap.processes import StartFailed
from exchange.settlement.deploy import REPOSITORY


def available() -> list[str]:
    """Names of the benchmarks in this checkout."""
    folder = REPOSITORY / "tests" / "bench"
    return sorted(
        file.stem
        for file in folder.glob("*.py")
        if "\ndef run(" in file.read_text() and "_" not in file.stem
    )


def run_bench(name: str, json_file: Path | None, fills: int = 0) -> None:
    """Run one benchmark; a table, and JSON where asked for. `fills` is how long a day's is."""
    names = available()
    if name not in names:
        raise StartFailed(f"no benchmark {name}: there are {', '.join(names) or 'none'}")
    sys.path.insert(0, str(REPOSITORY))
    run = importlib.import_module(f"tests.bench.{name}").run
    if fills and "fills" not in inspect.signature(run).parameters:
        raise StartFailed(f"the benchmark {name} settles no fills")
    result: dict[str, Any] = run(fills) if fills else run()
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    table = Table(title=f"bench {name}", show_header=False)
    for key, value in result["figures"].items():
        table.add_row(key, f"{value:,.3f}" if isinstance(value, float) else f"{value:,}")
    Console().print(table)
