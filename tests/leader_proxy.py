"""A proxy before several engines that sends traffic to whoever says on `/ready` that it leads.

What a load balancer does in production (docs/runbook.md): connections to one that no longer leads
are cut, and without a leader nobody is let in.
"""

import asyncio
import contextlib
import threading
from collections.abc import Mapping
from typing import Final

import httpx

POLL_S: Final = 0.2
PATIENCE_S: Final = 1.0  # a frozen engine takes connections and never answers


class LeaderProxy:
    """Listens on `ports`: each is given with the port of every engine behind it, by name."""

    def __init__(self, admin_ports: Mapping[str, int], ports: Mapping[int, Mapping[str, int]]):
        self.leader = ""  # empty: nobody leads
        self._admin_ports, self._ports = admin_ports, ports
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._thread.start()
        assert self._listening.wait(10), "the proxy does not listen"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._loop.close()

    async def _run(self) -> None:
        servers = [
            await asyncio.start_server(self._serve_for(behind), "127.0.0.1", port)
            for port, behind in self._ports.items()
        ]
        self._listening.set()
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            while not self._over.is_set():
                await self._look(client)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._over.wait(), POLL_S)
        for server in servers:
            server.close()
        self._cut()
        await asyncio.sleep(POLL_S)  # connections take note

    async def _look(self, client: httpx.AsyncClient) -> None:
        """The one that leads is asked first, so that it stays while it answers."""
        for name in sorted(self._admin_ports, key=lambda one: one != self.leader):
            with contextlib.suppress(httpx.HTTPError):
                reply = await client.get(f"http://127.0.0.1:{self._admin_ports[name]}/ready")
                if "role" not in reply.json():  # it leads, if perhaps without fresh prices
                    if name != self.leader:
                        self._cut()
                        self.leader = name
                    return
        self._cut()
        self.leader = ""

    def _cut(self) -> None:
        for writer in self._open:
            writer.close()
        self._open.clear()

    def _serve_for(self, behind: Mapping[str, int]):
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                if self.leader:
                    port = behind[self.leader]
                    inner, outer = await asyncio.open_connection("127.0.0.1", port)
                    self._open |= {writer, outer}
                    await asyncio.gather(_pump(reader, outer), _pump(inner, writer))
                    self._open -= {writer, outer}
            writer.close()

        return serve


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until either side ends; then both do."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()
    writer.close()
