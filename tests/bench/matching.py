"""`exchange bench matching`: our book and its peers on one flow, in one run, one process each.

Peers are installed into a venv of their own; one that does not run fails the bench. Figures are
operations per second of CPU time, medians over rounds in which the engines take turns, and
nanoseconds of wall time for single operations (the clock's own 50 ns or so included).
"""

import json
import os
import pickle
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.matching_flow import make_flow

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements-peers.txt"
VENV = HERE.parents[1] / ".venv" / "peers"
SEED = 20261121
OPERATIONS = 100_000
ROUNDS = 3
SLOW_NS = 4_000  # an engine this slow is no contender and is measured once
CASES = {
    (1, 1_000): "",
    (1, 100_000): "_100k",
    (500, 1_000): "_500x1k",
    (500, 100_000): "_500x100k",
}
GROWTH = (1_000, 10_000, 100_000, 1_000_000)
PEERS = (
    "cython-orderbook",
    "fastlob",
    "lightmatchingengine",
    "limit-order-book",
    "liquibook",
    "litebook",
    "matching-engine",
    "nautilus_trader",
    "order-matching",
    "pyorderbook",
)


class PeerFailed(RuntimeError):
    """A listed peer did not run: the bench has no result."""


def run(seed: int = SEED, operations: int = OPERATIONS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Measure everything: {"machine": ..., "figures": ..., "notes": ...}. Takes some minutes."""
    peers_python = install_peers()
    figures: dict[str, float] = {}
    notes: dict[str, str] = {}
    for (instruments, resting), suffix in CASES.items():
        say(f"{instruments} instruments, {resting} resting orders")
        results = run_case(seed, instruments, resting, operations, rounds, peers_python)
        for engine, measured in results.items():
            if "too_slow" in measured:
                notes[f"{engine}{suffix}"] = measured["too_slow"]
            else:
                figures |= named(engine, suffix, measured)
        peers = [f"peer_{figure_name(peer)}_ops_per_s{suffix}" for peer in PEERS]
        best = max(figures[name] for name in peers if name in figures)
        figures[f"best_python_peer_ops_per_s{suffix}"] = best
    figures |= growth(seed, operations)
    compiled = "compiled" if results["exchange"]["compiled"] else "interpreted"
    return {"machine": machine() | {"book": compiled}, "figures": figures, "notes": notes}


def run_case(
    seed: int, instruments: int, resting: int, operations: int, rounds: int, peers_python: str
) -> dict[str, dict[str, Any]]:
    """Medians of each engine; the engines take turns, so that a noisy minute hits all of them."""
    found: dict[str, list[dict[str, Any]]] = {engine: [] for engine in ("exchange", *PEERS)}
    with flow_file(seed, instruments, resting, operations) as path:
        for _ in range(rounds):
            for engine, measured in found.items():
                if not measured or measured[0].get("ns_per_operation", SLOW_NS) < SLOW_NS:
                    measured.append(run_engine(engine, path, peers_python))
    return {engine: middle(measured) for engine, measured in found.items()}


def run_engine(engine: str, flow: str, peers_python: str) -> dict[str, Any]:
    """One engine's figures from a process of its own."""
    python = sys.executable if engine == "exchange" else peers_python
    command = [python, str(HERE / "matching_engines.py"), engine, flow]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise PeerFailed(f"{engine} did not run: {done.stderr.strip()[-500:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def middle(measured: list[dict[str, Any]]) -> dict[str, Any]:
    """Field by field the median of the rounds."""
    first = measured[0]
    if "too_slow" in first:
        return first
    return {
        name: median(one[name] for one in measured) if isinstance(value, float | int) else value
        for name, value in first.items()
    }


def named(engine: str, suffix: str, measured: dict[str, Any]) -> dict[str, float]:
    """Figures under the names of the budget table."""
    prefix = "book" if engine == "exchange" else f"peer_{figure_name(engine)}"
    figures = {f"{prefix}_ops_per_s{suffix}": round(1e9 / measured["ns_per_operation"])}
    for field in ("p50_ns", "p99_ns", "p999_ns"):
        figures[f"{prefix}_{field}{suffix}"] = measured[field]
    if engine == "exchange":
        figures[f"book_bytes_per_resting_order{suffix}"] = round(measured["bytes_per_order"])
    return figures


def growth(seed: int, operations: int) -> dict[str, float]:
    """Our nanoseconds for each operation as the number of resting orders grows, one instrument."""
    figures: dict[str, float] = {}
    for resting in GROWTH:
        with flow_file(seed, 1, resting, operations) as path:
            measured = run_engine("exchange", path, sys.executable)
        figures[f"book_ns_per_op_{resting}_resting"] = round(measured["ns_per_operation"])
        figures[f"book_bytes_per_order_{resting}_resting"] = round(measured["bytes_per_order"])
    return figures


class flow_file:  # noqa: N801 -- used as a function
    """A temporary file with a pickled flow."""

    def __init__(self, seed: int, instruments: int, resting: int, operations: int) -> None:
        prefill, flow = make_flow(seed, instruments, resting, operations)
        self.content = (instruments, [tuple(o) for o in prefill], [tuple(o) for o in flow])
        self.folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> str:
        path = Path(self.folder.name) / "flow.pickle"
        path.write_bytes(pickle.dumps(self.content))
        return str(path)

    def __exit__(self, *_: object) -> None:
        self.folder.cleanup()


def say(message: str) -> None:
    """Tell who waits what happens."""
    print(f"bench: {message}", file=sys.stderr, flush=True)


def figure_name(engine: str) -> str:
    """An engine's name inside a figure's."""
    return engine.replace("-", "_")


def install_peers() -> str:
    """Python of a venv that holds the peers, made anew when their list changes."""
    python = VENV / "bin" / "python"
    stamp = VENV / ".stamp"
    wanted = REQUIREMENTS.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return str(python)
    shutil.rmtree(VENV, ignore_errors=True)
    base = next(python_3_12(), None)
    if base is None:
        raise PeerFailed("peers need Python 3.12 or 3.13; name one in EXCHANGE_PEERS_PYTHON")
    say(f"installing peers into {VENV}")
    subprocess.run([base, "-m", "venv", str(VENV)], check=True)
    install = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*install, "-r", str(REQUIREMENTS)], check=True)
    stamp.write_text(wanted)
    return str(python)


def python_3_12() -> Iterator[str]:
    """Interpreters that are 3.12 or 3.13, in the order in which they are tried."""
    candidates = [os.environ.get("EXCHANGE_PEERS_PYTHON", ""), "python3.12", "python3.13"]
    pyenv = Path.home() / ".pyenv" / "versions"
    candidates += sorted(str(path) for path in pyenv.glob("3.1[23]*/bin/python"))
    test = "import sys; sys.exit(sys.version_info[:2] not in ((3, 12), (3, 13)))"
    for candidate in candidates:
        if shutil.which(candidate):
            done = subprocess.run([candidate, "-c", test], capture_output=True, check=False)
            if done.returncode == 0:
                yield candidate


def machine() -> dict[str, Any]:
    """What it was measured on."""
    cpu = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
    return {
        "name": platform.node(),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_at_end": os.getloadavg()[0],
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
