"""`exchange bench gateways`: what it costs to put gateways beside the engine, as ratios in one run.

The same signed orders over WebSockets to a durable answer, on PostgreSQL each time: engine and
gateway in one process; a gateway beside the engine, through Redis Streams; and two of them. All
processes, the load and both servers share the cores, so on a small machine this shows the price of
the way, and not what more machines would bring. What a process takes of the processor for an order
does not depend on who else is there: the engine's share bounds all gateways together.
"""

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import uvloop
from tests.bench.margin import machine
from tests.bench.wire import Orders, paced, peak, say, wait_until_ready
from tests.ports import free_port
from tests.postgres import postgres
from tests.valkey import valkey

from exchange.settlement.deploy import REPOSITORY

ROUNDS: Final = 3  # of all shapes; the figures are medians
ORDERS: Final = 2_000
CONNECTIONS: Final = 4
PACED: Final = 200
PACED_PER_S: Final = 100.0  # the same for all shapes, below what the slowest can do
SHAPES: Final = {"one_process": ("alone",), "beside": ("gateway",), "two": ("gateway", "gateway")}


class Servers:
    """The processes of a shape: whoever leads comes first."""

    def __init__(self) -> None:
        self.pids: list[int] = []
        self.hosts: list[str] = []  # that clients connect to

    def cpu_s(self) -> list[float]:
        """Of the processor so far, by process, its workers not counted."""
        ticks = os.sysconf("SC_CLK_TCK")
        found = []
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found.append((int(fields[11]) + int(fields[12])) / ticks)
        return found


@contextlib.contextmanager
def serving(roles: tuple[str, ...]) -> Iterator[Servers]:
    with postgres() as database, valkey() as server, contextlib.ExitStack() as stack:
        origin_ns, servers = str(time.monotonic_ns()), Servers()
        for role in ("leader", *roles) if "gateway" in roles else roles:
            port = free_port()
            command = [
                sys.executable, "-m", "tests.bench.gateways_server",
                role, str(port), origin_ns, database, server.url,
            ]  # fmt: skip
            process = subprocess.Popen(command, cwd=REPOSITORY)
            stack.callback(process.wait, 30)
            stack.callback(process.kill)
            wait_until_ready(f"http://127.0.0.1:{port}", process)
            servers.pids.append(process.pid)
            if role != "leader":
                servers.hosts.append(f"127.0.0.1:{port}")
        yield servers


async def peaks(hosts: list[str], batches: list[list[bytes]]) -> float:
    """Answers a second, the connections spread over the hosts."""
    started = time.perf_counter()
    await asyncio.gather(*(peak(host, batches[at :: len(hosts)]) for at, host in enumerate(hosts)))
    return sum(map(len, batches)) / (time.perf_counter() - started)


def measured(roles: tuple[str, ...]) -> dict[str, float]:
    orders = Orders()
    share = ORDERS // CONNECTIONS
    with serving(roles) as servers, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        batches = [orders.texts(share) for _ in range(CONNECTIONS)]
        before_s = servers.cpu_s()
        per_s = runner.run(peaks(servers.hosts, batches))
        used_us = [
            (after_s - since_s) * 1e6 / ORDERS
            for after_s, since_s in zip(servers.cpu_s(), before_s, strict=True)
        ]
        delays = runner.run(paced(servers.hosts[0], orders.texts(PACED), PACED_PER_S))
    return {
        "orders_per_s": per_s,
        "engine_cpu_us": used_us[0],
        "gateways_cpu_us": sum(used_us[1:]),
        "ack_p50_ms": delays[len(delays) // 2] * 1e3,
        "ack_p99_ms": delays[len(delays) * 99 // 100] * 1e3,
    }


def run() -> dict[str, Any]:
    """Figures of each shape, and the ratios to one process."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in SHAPES}
    for number in range(ROUNDS):
        for name, roles in SHAPES.items():
            say(f"gateways: round {number + 1} of {ROUNDS}, {name}")
            found[name].append(measured(roles))
    figures: dict[str, float] = {"paced_per_s": PACED_PER_S, "rounds": ROUNDS}
    for name, rounds in found.items():
        for key in rounds[0]:
            figures[f"{name}_{key}"] = statistics.median(one[key] for one in rounds)
    for name in ("beside", "two"):
        figures[f"{name}_orders_ratio"] = (
            figures[f"{name}_orders_per_s"] / figures["one_process_orders_per_s"]
        )
    return {"machine": machine(), "figures": figures}
