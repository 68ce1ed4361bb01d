"""The main job without a person: every step verified, or exit code 1.

A client of the whole: it starts a local stack of its own in a temporary folder, on free ports, and
believes nothing that it has not compared with the journal or the chain.
"""

import asyncio
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from rich.console import Console

from exchange.audit import Difference
from exchange.bootstrap.dev import Stack
from exchange.bootstrap.logs import configure_logs
from exchange.bootstrap.processes import StartFailed
from exchange.config import Settings
from exchange.demo import closing, crash, market, products
from exchange.demo.report import CheckFailed, Report
from exchange.demo.world import World
from exchange.sdk import SdkError
from exchange.settlement.errors import ChainError

STEPS: Final[tuple[Callable[[World, Report], Awaitable[None]], ...]] = (
    market.fund,
    market.list_chains,
    market.quote,
    market.trade,
    market.refuse,
    products.combo,
    products.volatility,
    products.collateral,
    products.perpetual,
    market.settle,
    crash.crash,
    closing.expire,
    closing.withdraw,
    closing.prove,
)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def run_demo(json_file: Path | None, chain_data: Path | None) -> int:
    """Run all steps; print a table; 0 only if every step held. Keeps its folder on failure."""
    configure_logs("warning")
    console = Console()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # children are stopped on the way out
    report = Report(console)
    folder = Path(tempfile.mkdtemp(prefix="exchange-demo-"))
    port, admin_port, chain_port = _free_ports(3)
    settings = Settings(
        state_dir=str(folder),
        port=port,
        admin_port=admin_port,
        chain_port=chain_port,
        batch_interval_s=0.5,
        seed_chain=str(chain_data.absolute()) if chain_data else "",
    )
    try:
        with Stack(settings) as stack:
            stack.start_chain()
            stack.start("engine")
            stack.start("relayer")
            asyncio.run(_play(World(stack), report))
    except (CheckFailed, StartFailed, Difference, ChainError, SdkError) as error:
        report.failure = str(error)
    except Exception as error:
        report.failure = f"{type(error).__name__}: {error}"
        raise
    finally:
        report.print_table()
        if json_file is not None:
            report.write_json(json_file)
        if report.failure:
            console.print(
                f"[red]failed:[/] {report.failure}\nlogs and journal: {folder}", highlight=False
            )
        else:
            shutil.rmtree(folder)
    return 1 if report.failure else 0


async def _play(world: World, report: Report) -> None:
    try:
        for step in STEPS:
            await step(world, report)
    finally:
        await world.disconnect()
