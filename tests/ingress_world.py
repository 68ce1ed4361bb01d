"""A leader and gateways around one journal and one Valkey, in one process, for tests of ingress."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.valkey import Valkey

from exchange.commands import CancelAll
from exchange.engine import Engine
from exchange.ingress.intake import Intake
from exchange.ingress.messages import Seal
from exchange.ingress.replica import Replica
from exchange.ingress.stream import Stream
from exchange.journal import Journal, JournalReader, JournalTail
from exchange.sequencer import Sequencer

WAIT_S = 30.0
SECRET = "what the processes of a venue share"


def labeled(number: int) -> CancelAll:
    """A command that is told from others; nobody has this subaccount, so it is refused."""
    return CancelAll(subaccount_id=1, label=str(number))


async def until(holds: Callable[[], Any], what: str) -> None:
    deadline = asyncio.get_running_loop().time() + WAIT_S
    while not holds():
        assert asyncio.get_running_loop().time() < deadline, what
        await asyncio.sleep(0.005)


class Parts:
    """Tasks that can be ended at any instant, as a process is by SIGKILL."""

    def __init__(self, *parts: Coroutine[Any, Any, None]) -> None:
        self.tasks = [asyncio.create_task(part) for part in parts]

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


class Leader:
    def __init__(self, world: "World", **options: Any) -> None:
        self.journal = Journal(world.path)
        self.sequencer = Sequencer(Engine(), self.journal)
        self.stream = Stream(world.server.url)
        self.intake = Intake(self.sequencer, self.journal, self.stream, Seal(SECRET), **options)
        self._parts = Parts(self.sequencer.run(), self.intake.run(), self._beat())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            await asyncio.to_thread(self.journal.beat)

    async def die(self) -> None:
        """At once: a commit under way goes on in its thread, as in a machine that is cut off."""
        await self._parts.end()

    async def end(self) -> None:
        await self.die()
        await self.stream.close()
        self.journal.close()


class GatewaySide:
    def __init__(self, world: "World", secret: str = SECRET) -> None:
        self.tail = JournalTail(world.path)
        self.stream = Stream(world.server.url)
        self.replica = Replica(Engine(), self.tail, self.stream, Seal(secret))
        self._parts = Parts(self.replica.run())

    async def outcome(self) -> None:
        """How it ended."""
        await self._parts.tasks[0]

    async def ready(self) -> "GatewaySide":
        await until(lambda: self.replica.connected, "the stream")
        return self

    async def die(self) -> None:
        await self._parts.end()

    async def end(self) -> None:
        await self.die()
        await self.stream.close()
        self.tail.close()


class World:
    """Ends whatever was made in it."""

    def __init__(self, path: Path, server: Valkey) -> None:
        self.path = str(path)
        self.server = server
        self._stack = contextlib.AsyncExitStack()
        Journal(self.path).close()

    def leader(self, **options: Any) -> Leader:
        leader = Leader(self, **options)
        self._stack.push_async_callback(leader.end)
        return leader

    async def gateway(self, **options: Any) -> GatewaySide:
        side = GatewaySide(self, **options)
        self._stack.push_async_callback(side.end)
        return await side.ready()

    def labels(self) -> list[str]:
        """Of all commands in the journal, in their order."""
        with contextlib.closing(JournalReader(self.path)) as reader:
            commands = [entry.command for entry in reader.entries()]
        return [one.label or "" for one in commands if isinstance(one, CancelAll)]

    async def __aenter__(self) -> "World":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


def tell(story: Callable[[World], Awaitable[None]], path: Path, server: Valkey) -> None:
    """Run a story in a world of its own."""

    async def main() -> None:
        async with asyncio.timeout(4 * WAIT_S), World(path, server) as world:
            await story(world)

    asyncio.run(main())
