"""The server that `bench wire` loads: one engine with a journal on disk, one gateway, no chain.

Run as a process of its own: `python -m tests.bench.wire_server PORT FOLDER`. Its clock starts when
the tests' venue does, so the orders of a bench never depend on the day.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Final

import uvicorn
from tests.unit.api.world import MAKER_ID, MAKER_KEY, TAKER_KEY
from tests.venue import CHAIN, FEES, NS, START_S, Venue, call, limits, put

from exchange.api.app import create_app, server_config
from exchange.api.settings import SIGNATURE_WORKERS, GatewaySettings
from exchange.bootstrap.engine_process import tune_process
from exchange.bootstrap.memory import rest_collector
from exchange.commands import UpdateIndex
from exchange.engine import Engine
from exchange.fixed import RATIO_SCALE
from exchange.journal import Journal
from exchange.sequencer import Sequencer
from exchange.signing import address_of

QUOTERS: Final = [bytes(31) + bytes([number]) for number in range(11, 23)]  # makers with sheets
RECEIPT_KEY: Final = bytes(31) + b"\x09"
OWNERS: Final = [address_of(key) for key in (MAKER_KEY, TAKER_KEY, *QUOTERS)]
QUOTER_ID: Final = MAKER_ID + 2  # of the first of them
INDEX_INTERVAL_S: Final = 5.0
QUOTED: Final = [  # what makers' sheets quote: a hundred instruments
    make(strike) for strike in range(60_500, 110_500, 1_000) for make in (call, put)
]


def start_commands() -> list[object]:
    """A listed, marked and funded venue."""
    venue = Venue(
        fees=FEES,
        limits=limits(open_orders_max=10**6, index_age_ns_max=3600 * NS, batch_items_max=10**9),
    )
    venue.index()
    venue.list_instruments(*CHAIN, *QUOTED)
    venue.mark(dict.fromkeys([*CHAIN, *QUOTED], 1_000))
    for owner in OWNERS:
        venue.fund(owner, 10**10)
    return [command for _, _, command, _ in venue.entries]


async def serve(port: int, folder: Path) -> None:
    started_ns = time.monotonic_ns()
    with Journal(str(folder / "journal.db")) as journal:
        sequencer = Sequencer(
            Engine(),
            journal,
            machine_clock=lambda: START_S * NS + time.monotonic_ns() - started_ns,
            in_loop=journal.is_local,
        )
        writing = asyncio.create_task(sequencer.run())
        for command in start_commands():
            await sequencer.submit(command)
        unlimited = GatewaySettings(
            requests_per_s=1e9, requests_burst=1e9, orders_per_s=1e9, orders_burst=1e9,
            connections_per_address_max=2_000, signature_workers=SIGNATURE_WORKERS,
            receipt_key=RECEIPT_KEY,
        )  # fmt: skip
        app = create_app(sequencer, unlimited, journal.reader.entries())
        server = uvicorn.Server(server_config(app, "127.0.0.1", port))
        index = asyncio.create_task(keep_index(sequencer))
        rest_collector()
        tune_process()
        await server.serve()
        index.cancel()
        writing.cancel()


async def keep_index(sequencer: Sequencer) -> None:
    while True:
        await asyncio.sleep(INDEX_INTERVAL_S)
        await sequencer.submit(
            UpdateIndex(underlying_id=1, index_price=100_000 * 10**6, confidence=RATIO_SCALE)
        )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=__import__("uvloop").new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
