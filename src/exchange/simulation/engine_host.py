"""The exchange's own process: sequencer, engine, clockwork, liquidator and oracle, and its deaths.

What dies loses its memory, the calls under way and what was not durable; what starts again has a
snapshot or nothing, and the journal. Everything in here is the real thing but the store, the clock
and the prices.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from exchange.clockwork import Clockwork
from exchange.commands import AnyCommand
from exchange.engine import Engine
from exchange.journal import JournalUnavailable
from exchange.journal.snapshots import Snapshot
from exchange.liquidator import Liquidator
from exchange.model import InstrumentStatus
from exchange.sequencer import Reply, Sequencer, SequencerStopped
from exchange.simulation.checks import Broken, CheckedEngine, Witness
from exchange.simulation.loop import VirtualLoop
from exchange.simulation.market import Epoch, Market, marks
from exchange.simulation.parameters import NS, START_S, Faults, Plan
from exchange.simulation.store import Store, StoreJournal, StoreReader

T = TypeVar("T")
TICK_S: Final = 0.5  # of the clockwork: a twentieth of its own pace, or most steps would be it
INDEX_S: Final = 2.5
EPOCH_OF: Final = 3  # every so many samples come marks


class EngineHost:
    """Starts, dies and starts again; clients reach it through `submit` and `read`."""

    def __init__(self, plan: Plan, store: Store, witness: Witness, market: Market) -> None:
        self.plan = plan
        self.faults: Faults = plan.faults
        self.deaths = self.restarts_by_snapshot = self.snapshots_taken = self.disk_failures = 0
        self._store = store
        self._witness = witness
        self._market = market
        self._draw = random.Random(f"engine {plan.seed}")
        self._tasks: list[asyncio.Task[None]] = []
        self._sequencer: Sequencer | None = None
        self._snapshot: Snapshot | None = None
        self._skew_ns = 0
        self.is_priced = True
        self.engine = CheckedEngine()
        self.failed: Callable[[BaseException], None] = lambda _: None

    # ---- what clients use

    @property
    def alive(self) -> bool:
        """Whether somebody leads."""
        return self._sequencer is not None and not self._sequencer.stopped

    async def submit(self, command: AnyCommand) -> Reply:
        """Submit; the reply is out as soon as this returns."""
        if self._sequencer is None:
            raise SequencerStopped("nobody leads")
        reply = await self._sequencer.submit(command)
        self._witness.hear(reply)
        return reply

    async def read(self, query: Callable[[Engine], T]) -> T:
        """Ask for durable state."""
        if self._sequencer is None:
            raise SequencerStopped("nobody leads")
        return await self._sequencer.read(query)

    # ---- life

    def start(self) -> None:
        """Recover and lead: from the snapshot if there is one, else from the first command."""
        engine = self._restored()
        journal = StoreJournal(self._store)
        behind = self._store.durable_seq - engine.seq
        self._sequencer = Sequencer(engine, journal, machine_clock=self._machine_ns)
        assert engine.seq == self._store.durable_seq, f"{behind} commands were not replayed"
        self.engine = engine
        self._witness.catch_up()
        engine.look(self._witness.cash)
        self._sequencer.subscribe(self._witness.follow)
        self._market.restart()
        clockwork = Clockwork(self._sequencer, batch_interval_s=self.plan.batch_s, tick_s=TICK_S)
        self._spawn(self._sequencer.run())
        self._spawn(clockwork.run())
        self._spawn(Liquidator(self._sequencer).run())
        self._spawn(self._watch_prices())

    def _restored(self) -> CheckedEngine:
        engine, snapshot = CheckedEngine(), self._snapshot
        if snapshot is None or self._draw.random() < 0.3:
            return engine
        known = StoreReader(self._store).entry(snapshot.seq)
        if known.chain_hash != snapshot.chain_hash:
            raise Broken(f"the snapshot at seq {snapshot.seq} is of another journal")
        engine = CheckedEngine.restored(snapshot.sections["engine"])
        if engine.state_hash() != snapshot.state_hash:
            raise Broken(f"the snapshot at seq {snapshot.seq} restores to another state")
        self.restarts_by_snapshot += 1
        return engine

    def _machine_ns(self) -> int:
        loop = asyncio.get_running_loop()
        return START_S * NS + int(loop.time() * NS) + self._skew_ns

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A part ended by itself: of a bad disk it is right, of anything else a bug."""
        if task.cancelled() or task not in self._tasks:
            return
        error = task.exception()
        if isinstance(error, SequencerStopped):
            return  # the sequencer's own end says why
        if isinstance(error, JournalUnavailable):
            self.disk_failures += 1
            return
        self.failed(error or Broken("a part of the engine's process ended"))

    async def die(self) -> None:
        """End at once, wherever everything is; then the machine loses what was not durable."""
        self.deaths += 1
        self._sequencer = None
        tasks, self._tasks = self._tasks, []
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        for task in tasks:
            task.cancel()
        loop.abandon(happens=lambda: self._draw.random() < 0.5)
        await asyncio.gather(*tasks, return_exceptions=True)
        self._store.crash()
        self._witness.after_crash()
        if self._draw.random() < self.faults.clock:
            self._skew_ns = -self._draw.randint(0, 20) * NS

    async def take_snapshot(self) -> None:
        """Keep the state as of now, between two commits."""
        if not self.alive:
            return
        try:
            self._snapshot = await self.read(self._photograph)
        except SequencerStopped:  # it died in the commit that this waited for
            return
        self.snapshots_taken += 1

    def replay_base(self) -> Engine:
        """Where a replay begins that has to end as this engine did: often at the snapshot."""
        if self._snapshot is None or self.plan.seed % 3 == 0:
            return Engine()
        return Engine.restored(self._snapshot.sections["engine"])

    def _photograph(self, engine: Engine) -> Snapshot:
        chain_hash = StoreReader(self._store).entry(engine.seq).chain_hash
        return Snapshot(
            shard=0,
            seq=engine.seq,
            chain_hash=chain_hash,
            state_hash=engine.state_hash(),
            sections={"engine": engine.snapshot()},
        )

    # ---- prices

    async def _watch_prices(self) -> None:
        """Index samples of every underlying, and epochs of marks."""
        count = 0
        while True:
            if self.is_priced:
                await self._price(with_marks=count % EPOCH_OF == 0)
            count += 1
            await asyncio.sleep(INDEX_S)

    async def _price(self, *, with_marks: bool) -> None:
        self._market.step(INDEX_S)
        for underlying_id in self._market.prices:
            update = self._market.index(underlying_id, self._now_ns())
            if update is not None:
                await self.submit(update)
        if with_marks:
            await self._publish()

    async def _publish(self) -> None:
        assert self._sequencer is not None
        epoch = await self._sequencer.read(self._next_epoch)
        if all(epoch.indices.values()):
            await self.submit(marks(epoch, self._now_ns() // NS))

    def _next_epoch(self, engine: Engine) -> Epoch:
        parameters, ended = engine.parameters, InstrumentStatus.EXPIRED
        underlyings = parameters.underlyings if parameters else ()
        return Epoch(
            number=engine.epoch + 1,
            indices={
                one.underlying_id: engine.index_price(one.underlying_id) for one in underlyings
            },
            live=[one for one in engine.instruments if engine.status(one) is not ended],
            premium=self._market.premium,
        )

    def _now_ns(self) -> int:
        assert self._sequencer is not None
        return self._sequencer.now_ns()
