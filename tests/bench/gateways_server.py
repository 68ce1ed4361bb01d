"""One process of `bench gateways`: `alone` (engine and gateway), `leader`, or `gateway`.

Run as `python -m tests.bench.gateways_server ROLE PORT ORIGIN_NS DATABASE REDIS`. All share one
clock, the machine's monotonic one, which starts with the tests' venue at ORIGIN_NS.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Final

import msgspec
import uvicorn
from fastapi import FastAPI
from tests.bench.wire_server import keep_index, start_commands
from tests.ingress_world import until
from tests.venue import NS, START_S

from exchange.api.app import create_app, server_config
from exchange.api.settings import GatewaySettings
from exchange.bootstrap.engine_process import tune_process
from exchange.bootstrap.memory import rest_collector
from exchange.engine import Engine
from exchange.ingress.intake import Intake
from exchange.ingress.messages import Seal
from exchange.ingress.replica import Replica
from exchange.ingress.stream import Stream
from exchange.journal import Journal, JournalTail, create_tables
from exchange.sequencer import Sequencer

SEAL: Final = Seal("bench")
UNLIMITED: Final = GatewaySettings(
    requests_per_s=1e9, requests_burst=1e9, orders_per_s=1e9, orders_burst=1e9, signature_workers=1
)  # fmt: skip


class Place(msgspec.Struct, frozen=True):
    """Where everything is."""

    port: int
    origin_ns: int
    database: str
    redis: str

    def clock(self) -> Callable[[], int]:
        return lambda: START_S * NS + time.monotonic_ns() - self.origin_ns


async def lead(place: Place, *, alone: bool) -> None:
    with Journal(place.database) as journal:
        sequencer = Sequencer(
            Engine(), journal, machine_clock=place.clock(), in_loop=journal.is_local
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sequencer.run())
            for command in start_commands():
                await sequencer.submit(command)
            tasks.create_task(keep_index(sequencer))
            # As `exchange engine` has it: with a gateway inside, whether it has clients or not.
            tasks.create_task(
                listen(place, create_app(sequencer, UNLIMITED, journal.reader.entries()))
            )
            if not alone:
                tasks.create_task(Intake(sequencer, journal, Stream(place.redis), SEAL).run())


async def follow(place: Place) -> None:
    create_tables(place.database)
    replica = Replica(
        Engine(),
        JournalTail(place.database),
        Stream(place.redis),
        SEAL,
        machine_clock=place.clock(),
    )
    async with asyncio.TaskGroup() as tasks:
        app = create_app(replica, UNLIMITED)
        tasks.create_task(replica.run())
        await until(lambda: replica.connected and replica.last_seq, "the leader")
        tasks.create_task(listen(place, app))


async def listen(place: Place, app: FastAPI) -> None:
    rest_collector()
    tune_process()
    await uvicorn.Server(server_config(app, "127.0.0.1", place.port)).serve()


if __name__ == "__main__":
    role, port, origin_ns, *urls = sys.argv[1:]
    here = Place(int(port), int(origin_ns), *urls)
    with asyncio.Runner(loop_factory=__import__("uvloop").new_event_loop) as runner:
        runner.run(follow(here) if role == "gateway" else lead(here, alone=role == "alone"))
