"""A listener of a process that has several parts."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence

import uvicorn


class Server(uvicorn.Server):
    """A listener that leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: the process handles signals for all its parts."""
        yield


async def serve_until(
    stop: asyncio.Event, servers: Sequence[Server], tasks: asyncio.TaskGroup
) -> None:
    """Listen until told to stop, and let calls that are under way finish."""
    serving = [tasks.create_task(server.serve()) for server in servers]
    await stop.wait()
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*serving)
