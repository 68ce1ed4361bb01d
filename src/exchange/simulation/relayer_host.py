"""The relayer's process: the real rounds of settlement, watcher and reconciliation, and its deaths.

It runs as blocking code in a greenlet, so that the chain moves between two of its questions. Its
outbox is the real one, in a file in memory; it survives the process, which dies between two of its
transactions.
"""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

from exchange.commands import AnyCommand, HoldWithdrawals, Novate, ObserveBlocks, RevertBlocks
from exchange.events import Refused
from exchange.journal.outbox import Outbox
from exchange.sequencer import Reply, SequencerBusy, SequencerStopped
from exchange.settlement.chain import Chain
from exchange.settlement.process import RelayerSettings, Rounds
from exchange.settlement.watcher import CommandRefused, ExchangeUnavailable
from exchange.simulation.loop import blocking, wait
from exchange.simulation.network import Gateway
from exchange.simulation.node import FaultyNode
from exchange.simulation.parameters import Faults, Plan
from exchange.simulation.store import Store, StoreReader

KEY: Final = b"\x32" * 32
HOUSE_KEY: Final = b"\x33" * 32
ORACLE_KEYS: Final = (b"\x35" * 32,)
PAUSE_S: Final = 5.0


class EngineSink:
    """The exchange's admin listener, as a relayer reaches it."""

    def __init__(self, gateway: Gateway, draw: random.Random, faults: Faults) -> None:
        self.faults = faults
        self._gateway = gateway
        self._draw = draw

    def post(self, command: ObserveBlocks) -> None:
        """Deliver blocks."""
        self._submit(command)

    def revert(self, command: RevertBlocks) -> None:
        """Undo lost blocks."""
        self._submit(command)

    def novate(self, command: Novate) -> None:
        """Let the venue take what the chain refuses."""
        self._submit(command)

    def hold_withdrawals(self, command: HoldWithdrawals) -> None:
        """Hold a subaccount's money."""
        self._submit(command)

    def _submit(self, command: AnyCommand) -> None:
        if self._draw.random() < self.faults.message_lost:
            raise ExchangeUnavailable("the request was lost")
        try:
            reply: Reply = wait(self._gateway.submit(command))
        except (SequencerStopped, SequencerBusy) as error:
            raise ExchangeUnavailable(str(error)) from error
        if self._draw.random() < self.faults.message_lost:
            raise ExchangeUnavailable("the answer was lost")
        refused = [event for event in reply.events if isinstance(event, Refused)]
        if refused:
            raise CommandRefused(f"{refused[0].reason.value}: {refused[0].detail}")


class RelayerHost:
    """Starts, dies and starts again."""

    def __init__(self, plan: Plan, store: Store, node: FaultyNode, gateway: Gateway) -> None:
        # Not in SQLite's own memory: there all connections are one, and a read ends a write.
        self._folder = TemporaryDirectory(prefix="simulation-", dir=_memory())
        self.outbox = Outbox(str(Path(self._folder.name) / "outbox.db"))
        self.sink = EngineSink(gateway, random.Random(f"sink {plan.seed}"), plan.faults)
        self.deaths = self.rounds = 0
        self.failed: Callable[[BaseException], None] = lambda _: None
        self._plan = plan
        self._node = node
        self._reader = StoreReader(store)
        self._task: asyncio.Task[None] | None = None
        self.parts: Rounds | None = None

    def start(self) -> None:
        """Wire the parts anew; they go on from outbox and journal."""
        settings = RelayerSettings(
            journal="",
            outbox="",
            admin_url="",
            admin_token="",
            key=KEY,
            oracle_keys=ORACLE_KEYS,
            house_key=HOUSE_KEY,
            confirmations=self._plan.confirmations,
            patience_s=3_600.0,
        )
        loop = asyncio.get_running_loop()
        # It has the methods that the parts use; one that is missing is an AttributeError.
        chain = cast(Chain, cast(Any, self._node))
        self.parts = Rounds(settings, chain, self._reader, self.outbox, self.sink, loop.time)
        self._task = loop.create_task(blocking(self._run))
        self._task.add_done_callback(self._ended)

    def _run(self) -> None:
        assert self.parts is not None
        while True:
            self.rounds += 1
            moved = self.parts.run()
            if self.parts.refusal is not None:  # nobody is here to look
                raise self.parts.refusal
            wait(asyncio.sleep(PAUSE_S / 5 if moved else PAUSE_S))

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task is self._task:
            self.failed(task.exception() or AssertionError("the relayer ended"))

    async def die(self) -> None:
        """End at once, wherever it is."""
        self.deaths += 1
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def close(self) -> None:
        """Release the outbox."""
        self.outbox.close()
        self._folder.cleanup()


def _memory() -> str | None:
    """A folder in memory, where there is one."""
    shared = Path("/dev/shm")  # noqa: S108  a folder of one's own is made in it
    return str(shared) if shared.is_dir() else None
