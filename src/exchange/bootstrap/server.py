"""A listener of a process that has several parts."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from ipaddress import ip_network

import uvicorn
from starlette.types import ASGIApp

from exchange.api.app import server_config
from exchange.bootstrap.processes import StartFailed
from exchange.config import Settings


class Server(uvicorn.Server):
    """A listener that leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: the process handles signals for all its parts."""
        yield


def listeners(settings: Settings, public: ASGIApp, admin: ASGIApp) -> list[Server]:
    """Where people come, and where operators do."""
    try:
        proxies = tuple(ip_network(one.strip()) for one in settings.proxies.split(",") if one)
    except ValueError as error:
        raise StartFailed(f"EXCHANGE_PROXIES: {error}") from None
    return [
        Server(server_config(public, settings.host, settings.port, proxies)),
        Server(server_config(admin, settings.host, settings.admin_port)),
    ]


async def serve_until(
    stop: asyncio.Event, servers: Sequence[Server], tasks: asyncio.TaskGroup
) -> None:
    """Listen until told to stop, and let calls that are under way finish."""
    serving = [tasks.create_task(server.serve()) for server in servers]
    await stop.wait()
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*serving)
