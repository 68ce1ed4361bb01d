"""Between clients and the gateway: messages that are late, overtaken, doubled or lost.

A client gets the reply to its command, or after a while nothing. What it cannot know then, it asks:
an order is (subaccount, nonce), so what became of one has an answer.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Protocol, TypeVar

from exchange.commands import AnyCommand
from exchange.engine import Engine
from exchange.sequencer import Reply, SequencerBusy, SequencerStopped
from exchange.simulation.parameters import Faults

T = TypeVar("T")
Heard = Callable[[Reply | None], None]
TIMEOUT_S = 3.0


class Gateway(Protocol):
    """The edge of the exchange, as messages reach it."""

    async def submit(self, command: AnyCommand) -> Reply:
        """Submit to whoever leads; `SequencerStopped` where nobody does."""

    async def read(self, query: Callable[[Engine], T]) -> T:
        """Ask whoever leads, likewise."""


class Network:
    """Carries messages; `faults` may change under way."""

    def __init__(self, gateway: Gateway, draw: random.Random, faults: Faults) -> None:
        self.faults = faults
        self.sent = self.lost = self.doubled = self.timeouts = 0
        self._gateway = gateway
        self._draw = draw
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def quiet(self) -> bool:
        """Whether nothing is under way."""
        return not self._tasks

    def send(self, command: AnyCommand, heard: Heard) -> None:
        """Send once; `heard` is called once, with the first reply or with None."""
        self.sent += 1
        copies = 2 if self._draw.random() < self.faults.message_doubled else 1
        self.doubled += copies - 1
        message = _Message(self, heard)
        for _ in range(copies):
            if self._draw.random() < self.faults.message_lost:
                self.lost += 1
                continue
            self._start(self._carry(command, message))
        asyncio.get_running_loop().call_later(TIMEOUT_S, message.give_up)

    def _start(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, command: AnyCommand, message: "_Message") -> None:
        await asyncio.sleep(self._delay_s())
        try:
            reply = await self._gateway.submit(command)
        except (SequencerStopped, SequencerBusy):
            return  # the connection breaks: the client's time runs out
        if self._draw.random() < self.faults.message_lost:
            self.lost += 1
            return
        await asyncio.sleep(self._delay_s())
        message.arrive(reply)

    def _delay_s(self) -> float:
        slow = self._draw.random() < self.faults.message_slow
        return self._draw.random() * (2.0 if slow else 0.02)


class _Message:
    """What the client waits for."""

    def __init__(self, network: Network, heard: Heard) -> None:
        self._network = network
        self._heard: Heard | None = heard

    def arrive(self, reply: Reply) -> None:
        """The first reply counts; a second copy's is dropped, as a client would."""
        heard, self._heard = self._heard, None
        if heard is not None:
            heard(reply)

    def give_up(self) -> None:
        """Time is over."""
        heard, self._heard = self._heard, None
        if heard is not None:
            self._network.timeouts += 1
            heard(None)
