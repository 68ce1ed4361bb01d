"""The whole exchange in one process on virtual time: one seed, one run.

`simulate` builds it, lets people, prices, chain and faults at it for so many commands or hours,
ends the faults, and demands that everything comes to rest: queues empty, batches settled, no figure
different between journal, engine and chain, every order's fate known to its owner. The clock, the
store, the network, the prices and the chain are models; all between them is the real code.
"""

import asyncio
import gc
import random
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import msgspec
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.commands import AnyCommand, Halt, Resume
from exchange.engine import Engine
from exchange.model import FEE_SUBACCOUNT_ID, InstrumentStatus, OrderStatus
from exchange.observations import AnyObservation, DepositSeen, SubaccountSeen
from exchange.settlement.chain import Chain
from exchange.settlement.reconcile import reconcile
from exchange.signing import address_of, checksum_address
from exchange.simulation.chain import GWEI, ModelChain
from exchange.simulation.checks import Broken, CheckedEngine, Witness, replayed
from exchange.simulation.engine_host import EngineHost
from exchange.simulation.loop import VirtualLoop, run
from exchange.simulation.market import Market
from exchange.simulation.network import Heard, Network
from exchange.simulation.node import FaultyNode
from exchange.simulation.parameters import (
    FUND_ID,
    START_S,
    WETH,
    Faults,
    Plan,
    plan_of,
    usdc,
)
from exchange.simulation.people import Keeper, Maker, Person, Trader
from exchange.simulation.relayer_host import HOUSE_KEY, RelayerHost
from exchange.simulation.store import Store, StoreJournal, StoreReader

CALM_MAX_S: Final = 3_600.0  # after the faults: until then everything must be at rest
PRICED_S: Final = 1_800.0  # of them with prices, each of which is one more thing to post
REMEMBERED_S: Final = 3_600  # after its deadline: so long the API promises to tell of an order
CHECK_EVERY: Final = 25  # commands
DOWN_S: Final = 4.0  # that a dead process stays dead, at most
LOOKS_AFTER: Final = 50_000  # objects: Python's own 700 take a quarter of a run's time
HOUSE: Final = address_of(HOUSE_KEY)


class SimulationFailed(Exception):
    """A run broke something; says the seed, the step, and the command that repeats it."""

    def __init__(self, seed: int, step: int, cause: BaseException, options: str) -> None:
        super().__init__(
            f"seed {seed}, step {step}: {type(cause).__name__}: {cause}\n"
            f"repeat it: exchange simulate --seed {seed} {options}"
        )
        self.seed = seed
        self.step = step
        self.cause = cause


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one run was like; equal in every process."""

    seed: int
    steps: int  # journaled commands
    seconds: int  # of venue time
    journal_hash: str
    state_hash: str
    counts: dict[str, int]
    events: dict[str, int]


def simulate(
    seed: int,
    *,
    steps: int = 0,
    hours: float = 0.0,
    check_every: int = CHECK_EVERY,
    plan: Plan | None = None,
) -> Outcome:
    """Run a seed for so many commands, or hours of venue time; raises `SimulationFailed`."""
    assert steps or hours
    world: list[World] = []

    async def life() -> Outcome:
        world.append(World(plan or plan_of(seed), loop))
        try:
            return await world[0].live(steps, hours)
        finally:
            await _end_others()

    delays = random.Random(f"disk {seed}")
    loop = VirtualLoop(lambda: delays.random() * 0.03)
    before, CheckedEngine.every = CheckedEngine.every, check_every
    looks = gc.get_threshold()
    gc.set_threshold(LOOKS_AFTER, *looks[1:])
    try:
        return run(loop, life())
    except Exception as error:
        options = f"--steps {steps}" if steps else f"--hours {hours:g}"
        if check_every != CHECK_EVERY:
            options += f" --check-every {check_every}"
        step = world[0].steps if world else 0
        raise SimulationFailed(seed, step, error, options) from error
    finally:
        CheckedEngine.every = before
        gc.set_threshold(*looks)
        if world:
            world[0].relayer.close()


class World:
    """Everything, wired."""

    def __init__(self, plan: Plan, loop: VirtualLoop) -> None:
        self.plan = plan
        self.loop = loop
        self.store = Store()
        self.market = Market(self._random("market"), plan.faults)
        shows_pending = (
            plan.shows_pending or plan.block_s > 4.0
        )  # too few blocks for one batch each
        self.chain = ModelChain(self._random("chain"), START_S, shows_pending=shows_pending)
        self.witness = Witness(self.store, self.chain.parents)
        self.host = EngineHost(plan, self.store, self.witness, self.market)
        self.node = FaultyNode(self.chain, self._random("node"), plan.faults)
        self.relayer = RelayerHost(plan, self.store, self.node, self.host)
        self.network = Network(self.host, self._random("network"), plan.faults)
        self.people: list[Person] = []
        self._draw = self._random("world")
        self._failure: asyncio.Future[None] = loop.create_future()
        self.host.failed = self.relayer.failed = self._fail
        self._tasks: list[asyncio.Task[None]] = []
        self._live: list[int] = []
        self._opened = 0  # the last of the blocks in which the venue began: never lost

    def _random(self, name: str) -> random.Random:
        return random.Random(f"{name} {self.plan.seed}")

    def _fail(self, error: BaseException) -> None:
        if not self._failure.done():
            self._failure.set_exception(error)

    @property
    def steps(self) -> int:
        """Commands in the journal."""
        return self.store.durable_seq

    # ---- what people see

    def send(self, command: AnyCommand, heard: Heard) -> None:
        """Over the network."""
        self.network.send(command, heard)

    def act_on_chain(self, *seen: AnyObservation) -> None:
        """In the next block."""
        self.chain.send(*seen)

    def now_s(self) -> int:
        """UTC second."""
        return START_S + int(self.loop.now_s)

    def mark_price(self, instrument_id: int) -> int:
        """Of the newest epoch."""
        mark = self.host.engine.mark(instrument_id)
        return mark.mark_price if mark else 0

    def instruments(self) -> list[int]:
        """Live ones, in order."""
        engine = self.host.engine
        live = InstrumentStatus.LIVE
        return [one for one in engine.instruments if engine.status(one) is live]

    def auctions(self) -> list[tuple[int, int]]:
        """What keepers see."""
        return [
            (one.subaccount_id, one.step)
            for one in self.host.engine.liquidations()
            if one.for_sale is not None
        ]

    # ---- the run

    async def live(self, steps: int, hours: float) -> Outcome:
        """Open, run, calm down, compare."""
        await self._open()
        self._tasks = [
            self.loop.create_task(work)
            for work in (self._crowd(), self._blocks(), self._trouble(), self._wires())
        ]
        for task in self._tasks:
            task.add_done_callback(self._part_ended)
        while not (steps and self.steps >= steps) and not (
            hours and self.loop.now_s >= hours * 3_600
        ):
            await self._pause(1.0)
        await self._calm()
        return await self._compare()

    def _part_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._fail(error)

    async def _pause(self, seconds: float) -> None:
        """Wait, or end with whatever failed."""
        await asyncio.wait([self._failure], timeout=seconds)
        if self._failure.done():
            self._failure.result()

    async def _open(self) -> None:
        """Configure, list, and let people open subaccounts and pay in."""
        plan = self.plan
        fund = plan.configure.liquidation
        assert fund is not None
        self.chain.contract.ledger.put(("fund",), fund.fund_subaccount_id)
        self.host.start()
        for command in (plan.configure, plan.listings):
            await self.host.submit(command)
        self.chain.send(
            SubaccountSeen(subaccount_id=FEE_SUBACCOUNT_ID, owner=HOUSE),
            SubaccountSeen(subaccount_id=FUND_ID, owner=HOUSE),
            DepositSeen(subaccount_id=FEE_SUBACCOUNT_ID, amount=usdc(20_000)),
            DepositSeen(subaccount_id=FUND_ID, amount=usdc(20_000)),
        )
        self._invite()
        for _ in range(plan.confirmations):
            self.chain.mine(self.now_s())
        self._opened = self.chain.head()
        self.relayer.start()

    def _invite(self) -> None:
        number = FUND_ID
        for kind, count in ((Maker, self.plan.makers), (Trader, self.plan.traders), (Keeper, 1)):
            for index in range(count):
                owner = _address(f"{kind.__name__}{index}")
                each = 2 if kind is Trader else 1
                ids = list(range(number + 1, number + 1 + each))
                number += each
                draw = self._random(owner)
                self.people.append(kind(owner, ids, draw, self))
                for one in ids:
                    self.chain.send(*self._first_of(kind, owner, one, draw))

    def _first_of(
        self, kind: type[Person], owner: str, subaccount_id: int, draw: random.Random
    ) -> Sequence[AnyObservation]:
        standard = kind is Trader and draw.random() < 0.2
        poor = kind is Trader and draw.random() < self.plan.poor
        cash = draw.randint(1_000, 8_000) if poor else draw.randint(50_000, 400_000)
        seen: list[AnyObservation] = [
            SubaccountSeen(subaccount_id=subaccount_id, owner=owner, standard=standard),
            DepositSeen(subaccount_id=subaccount_id, amount=usdc(cash)),
        ]
        if draw.random() < 0.3:
            seen.append(DepositSeen(subaccount_id=subaccount_id, amount=3 * 10**8, token=WETH))
        return seen

    async def _crowd(self) -> None:
        """Somebody acts, again and again; keepers and makers are seldom the one."""
        draw = self._draw
        traders = [one for one in self.people if isinstance(one, Trader)]
        makers = [one for one in self.people if isinstance(one, Maker)]
        keepers = [one for one in self.people if isinstance(one, Keeper)]
        while True:
            await asyncio.sleep(draw.expovariate(1 / self.plan.pace_s))
            group = draw.choices((traders, makers, keepers), (10, 2, 1))[0]
            draw.choice(group).act()

    async def _blocks(self) -> None:
        """The chain goes on: blocks, congestion, dropped transactions, reorganisations."""
        draw = self._draw
        while True:
            await asyncio.sleep(self.plan.block_s * draw.uniform(0.5, 1.5))
            faults = self.node.faults
            if draw.random() < faults.reorganisations * self.plan.block_s / 3_600:
                self.node.surprise(self._reorganise)
            if draw.random() < faults.dropped and self.chain.pool:
                self.chain.pool.pop(draw.choice(sorted(self.chain.pool)))
            if draw.random() < faults.congestion:
                self.chain.base_fee = min(64 * GWEI, 2 * self.chain.base_fee)
            elif self.chain.base_fee > GWEI and draw.random() < 0.3:
                self.chain.base_fee //= 2
            self.chain.mine(self.now_s())

    def _reorganise(self) -> None:
        """Never the first that was observed: the exchange would have nowhere to go back to."""
        if not self.witness.first_block:
            return
        kept = max(self._opened, self.witness.first_block)
        deep = min(self._draw.randint(1, self.plan.faults.depth_max), self.chain.head() - kept)
        if deep > 0:
            self.chain.reorganise(deep, lose=0.2)

    async def _trouble(self) -> None:
        """Processes die and start again; disks fail; operators halt; snapshots are taken."""
        draw = self._draw
        while True:
            await asyncio.sleep(1.0)
            faults = self.host.faults
            if draw.random() < faults.disk * 2:
                self.store.failure = "the disk is full"
            if not self.host.alive or draw.random() < faults.deaths / 3_600:
                await self.host.die()
                await asyncio.sleep(draw.random() * DOWN_S)
                self.host.start()
            if draw.random() < faults.relayer_deaths / 3_600:
                await self.relayer.die()
                await asyncio.sleep(draw.random() * DOWN_S)
                self.relayer.start()
            if draw.random() < 0.008:
                await self.host.take_snapshot()
            if draw.random() < 0.006:
                halt = draw.random() < 0.5
                command = Halt(underlying_id=1) if halt else Resume(underlying_id=1)
                self.network.send(command, lambda _: None)

    async def _wires(self) -> None:
        """Now and then an owner disowns a signature: the chain refuses what the engine took."""
        while True:
            await asyncio.sleep(30.0)
            trader = self._draw.choice(self.people)
            if self.node.faults.refused and trader.sent and self._draw.random() < 0.3:
                terms = trader.sent[-1].command.terms
                self.chain.contract.unsigned.add((terms.subaccount_id, terms.nonce))

    # ---- at the end

    async def _calm(self) -> None:
        """No more faults and no more acts; wait until all that was begun is done.

        In the end no more prices: where blocks are slow one is always on its way to the chain.
        """
        quiet = Faults()
        for part in (self.network, self.node, self.market, self.host, self.relayer.sink):
            cast(Any, part).faults = quiet
        self.store.failure = ""
        self._tasks[0].cancel()
        self._tasks[3].cancel()
        began_s, begun = self.loop.now_s, self._last_job()
        while waits_for := await self._waits_for():
            calm_s = self.loop.now_s - began_s
            if calm_s > CALM_MAX_S:
                raise Broken(f"not at rest after {CALM_MAX_S:.0f} s: {waits_for}")
            if calm_s > PRICED_S and self.host.is_priced:
                self.host.is_priced = False
                if any(job.position <= begun for job in self.relayer.outbox.unfinished()):
                    raise Broken(f"not on chain after {PRICED_S:.0f} s: {waits_for}")
            await self._pause(5.0)

    def _last_job(self) -> int:
        """Where the newest of the relayer's jobs stands."""
        return max((job.position for job in self.relayer.outbox.unfinished()), default=0)

    async def _waits_for(self) -> str:
        """What is not done yet; empty at rest."""
        if not self.host.alive:
            return "the engine is down"
        if not self.network.quiet or self.chain.owners:
            return "messages are under way"
        engine = self.host.engine
        if engine.pending:
            return f"{engine.pending} items wait for a batch"
        unfinished = self.relayer.outbox.unfinished()
        if unfinished:
            job = unfinished[0]
            return f"{job.key} is {job.state.value} with {job.failures} failures"
        if engine.confirmed_batch != engine.batch_number:
            return f"batch {engine.confirmed_batch + 1} is not confirmed"
        if any(block.observations for block in self.chain.blocks[engine.last_block + 1 :]):
            return f"blocks after {engine.last_block} are not observed"
        return ""

    async def _compare(self) -> Outcome:
        """Journal, engine and chain tell the same."""
        parts = self.relayer.parts
        assert parts is not None
        await self.relayer.die()
        engine = self.host.engine
        reader = StoreReader(self.store)
        journal = StoreJournal(self.store)
        self.relayer.outbox.check()
        self.chain.contract.check()
        engine.check()
        await self._ask_for_orders()
        found = reconcile(reader, cast(Chain, cast(Any, self.chain)))
        if found.differences:
            raise Broken("; ".join(map(str, found.differences[:5])))
        self._compare_accounts(engine)
        if engine.total_cash() != self.witness.cash:
            raise Broken(f"{engine.total_cash()} of cash, {self.witness.cash} came from outside")
        twin = replayed(reader, self.host.replay_base(), self.store.state_hashes)
        if twin.state_hash() != engine.state_hash():
            raise Broken("a replay of the journal ends in another state")
        return Outcome(
            seed=self.plan.seed,
            steps=self.steps,
            seconds=int(self.loop.now_s),
            journal_hash=journal.chain_hash.hex(),
            state_hash=engine.state_hash().hex(),
            counts=self._counts(),
            events=dict(sorted(self.witness.seen.items())),
        )

    def _compare_accounts(self, engine: Engine) -> None:
        """The engine's own figures against the chain's."""
        for subaccount_id, subaccount in engine.subaccounts.items():
            positions = engine.positions(subaccount_id)
            cash, held = self.chain.cash_and_positions(subaccount_id, list(engine.instruments))
            on_chain = {key: one.quantity for key, one in held.items()}
            if (subaccount.cash, positions) != (cash, on_chain):
                raise Broken(
                    f"subaccount {subaccount_id}: the engine has {subaccount.cash} and {positions},"
                    f" the chain {cash} and {on_chain}"
                )

    async def _ask_for_orders(self) -> None:
        """Whoever sent an order learns what became of it, and that is what he was told before."""
        for person in self.people:
            for sent in person.sent:
                terms = sent.command.terms
                query = _order_of(terms.subaccount_id, terms.nonce)
                view = await self.host.read(query)
                if view is None and terms.deadline + REMEMBERED_S <= self.now_s():
                    continue  # nobody can trade under that signature, and nobody is told any more
                entered = self.witness.order_id(terms.subaccount_id, terms.nonce)
                if sent.order_id and (view is None or view.order_id != sent.order_id):
                    raise Broken(f"order {sent.order_id} was acknowledged and cannot be found")
                stands = view is not None and view.status is not OrderStatus.REJECTED
                if (view.order_id if view and stands else None) != entered:
                    raise Broken(f"nonce {terms.nonce}: asked {view}, the journal says {entered}")
                if view is not None and view.filled_quantity != self.witness.traded[view.order_id]:
                    raise Broken(f"order {view.order_id}: {view.filled_quantity} is not its trades")

    def _counts(self) -> dict[str, int]:
        jobs = self.relayer.outbox.totals()
        return {
            "replies": self.witness.acknowledged,
            "messages": self.network.sent,
            "messages_lost": self.network.lost,
            "messages_doubled": self.network.doubled,
            "timeouts": self.network.timeouts,
            "engine_deaths": self.host.deaths,
            "disk_failures": self.host.disk_failures,
            "snapshots": self.host.snapshots_taken,
            "restarts_by_snapshot": self.host.restarts_by_snapshot,
            "relayer_deaths": self.relayer.deaths,
            "blocks": self.chain.head(),
            "reorganisations": self.chain.reorganisations,
            "batches": jobs.last_final,
            "replaced_transactions": jobs.attempts - jobs.attempted_jobs,
            "source_faults": self.market.faulty,
            "index_withheld": self.market.withheld,
            "price_crashes": self.market.crashes,
        }


async def _end_others() -> None:
    """Nobody goes on when the run is over."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _order_of(subaccount_id: int, nonce: int) -> Callable[[Engine], Any]:
    return lambda engine: engine.order_by_nonce(subaccount_id, nonce)


def _address(name: str) -> str:
    return checksum_address(keccak(name.encode())[-20:])
