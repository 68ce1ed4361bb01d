"""A relayer on a real Anvil that reorganises, drops, stalls, spikes, forgets and dies, by seed.

The counts are those of the reliability table; `scripts/test --long` runs the long ones. Each run
prints its seed, and a seed repeats it.
"""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import structlog
from tests.live_venue import eventually, whole_dump
from tests.long_run import LONG
from tests.reorganising import reorganise
from tests.settlement_world import RELAYER_KEY, World

from exchange.journal.outbox import JobState, Outbox
from exchange.settlement.chain import LOCAL_CHAIN_ID, Chain
from exchange.settlement.cursor import trail
from exchange.settlement.deploy import project_artifacts
from exchange.settlement.errors import ChainUnavailable, NodeRefused
from exchange.settlement.reconcile import reconcile
from exchange.settlement.relayer import Relayer
from exchange.settlement.watcher import Watcher, WatcherOptions
from exchange.signing import address_of

pytestmark = pytest.mark.integration

log = structlog.get_logger(__name__)

COUNT: Final = 500 if LONG else 20
DEPTH_MAX: Final = 64
RELAYER: Final = address_of(RELAYER_KEY)
# With 205 Anvil shows a receipt of a block that was reorganised away.
SEED: Final = int(os.environ.get("EXCHANGE_SEED", "205"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.watch()
    world.chain.rpc("anvil_mine", hex(DEPTH_MAX + 8))  # no reorganisation reaches the contracts
    yield world
    world.close()


@pytest.fixture
def dice() -> random.Random:
    log.info("EXCHANGE_SEED repeats it", seed=SEED)
    return random.Random(SEED)


class Rig:
    """A relayer, its outbox, and the batches that were cut."""

    def __init__(self, world: World, **options: float) -> None:
        self.world = world
        self.feed, _, self.outbox = world.relayer()
        self.relayer = self.restarted(**options)
        self.cut = 0

    def restarted(self, **options: float) -> Relayer:
        return Relayer(self.feed, self.outbox, self.world.chain, self.world.options(**options))

    def batch(self) -> None:
        """A trade and its cut; the venue's clock goes with the chain's."""
        now = self.world.chain.block_time()
        self.world.script.time_ns = max(self.world.script.time_ns, now * 10**9)
        self.world.script.trade()
        self.world.script.cut()
        self.cut += 1

    def steps(self, count: int = 3) -> None:
        """A few steps; a node that refuses or is away is tried again, as the process does."""
        for _ in range(count):
            try:
                self.relayer.step()
            except (ChainUnavailable, NodeRefused) as error:
                log.info("tried again", why=str(error))
                time.sleep(0.05)

    def finish(self) -> None:
        """Everything gets in and is final: each batch once, chain = journal."""
        for _ in range(4 * self.cut + 12):
            self.steps(1)
            if {job.state for job in self.outbox.jobs()} == {JobState.CONFIRMED}:
                break
            self.world.chain.rpc("anvil_mine", hex(DEPTH_MAX + 2))
        self.outbox.check()
        assert {job.state for job in self.outbox.jobs()} == {JobState.CONFIRMED}
        assert self.world.chain.last_batch().number == self.cut
        settled = [log.number for log in self.world.chain.all_settled()]
        # Anvil goes on showing logs of blocks that are gone, below those that hold.
        assert settled[-self.cut :] == list(range(1, self.cut + 1))
        self.world.watch()
        assert reconcile(self.world.reader, self.world.chain).differences == ()
        self.outbox.close()


@pytest.mark.long_run("reorganisations of 1 to 64 blocks while a batch is pending", faults=COUNT)
def test_reorganisations_of_any_depth_while_a_batch_is_pending(
    world: World, dice: random.Random
) -> None:
    """1 to 64 blocks, again and again, in the middle of whatever the relayer does."""
    rig = Rig(world, confirmations=DEPTH_MAX + 1)
    for _ in range(COUNT):
        rig.batch()
        rig.steps(dice.randrange(1, 4))
        if dice.random() < 0.3:
            world.chain.rpc("anvil_mine", hex(dice.randrange(1, 9)))
        reorganise(world.chain, dice.randrange(1, DEPTH_MAX + 1))
        rig.steps(dice.randrange(1, 4))
    rig.finish()


@pytest.mark.long_run("transactions that do not get in", faults=COUNT)
@pytest.mark.parametrize("fault", ["dropped", "stuck", "taken", "spike"])
def test_transactions_that_do_not_get_in(world: World, dice: random.Random, fault: str) -> None:
    """Each batch meets the fault, some of them twice; none is lost and none settles again."""
    chain = world.chain
    rig = Rig(world)
    for _ in range(COUNT):
        chain.rpc("anvil_setBalance", RELAYER, hex(10**24))  # spikes cost hundreds of ether each
        chain.rpc("evm_setAutomine", False)
        rig.batch()
        rig.steps(1)
        for _ in range(dice.randrange(1, 3)):
            attempt = rig.outbox.attempts(f"batch:{rig.cut}")[-1]
            match fault:
                case "dropped":
                    chain.rpc("anvil_dropTransaction", attempt.tx_hash)
                case "stuck":
                    rig.relayer = rig.restarted(stuck_after_s=0.0)
                case "taken":
                    chain.rpc("anvil_dropTransaction", attempt.tx_hash)
                    chain.rpc("evm_setAutomine", True)
                    chain.transact(RELAYER_KEY, RELAYER, b"")
                    chain.rpc("evm_setAutomine", False)
                case "spike":
                    spike = 2 * attempt.max_fee
                    chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(spike))
                    chain.rpc("evm_mine")
                    rig.relayer = rig.restarted(stuck_after_s=0.0, fee_cap=10**15)
            rig.steps(dice.randrange(1, 3))
        rig.relayer = rig.restarted()
        chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**9))
        chain.rpc("evm_mine")
        chain.rpc("evm_setAutomine", True)
        rig.steps(4)
    if fault == "stuck":
        assert rig.outbox.totals().attempts > COUNT, "nothing was replaced"
    rig.finish()


def test_paused_mining(world: World) -> None:
    """Batches pile up in the pool while no block comes, and the first one takes them in order."""
    rig = Rig(world)
    world.chain.rpc("evm_setAutomine", False)
    for _ in range(5):
        rig.batch()
        rig.steps(2)
    assert [job.state for job in rig.outbox.jobs()] == [JobState.SENT] * 5
    world.chain.rpc("evm_mine")
    world.chain.rpc("evm_setAutomine", True)
    rig.steps(8)
    rig.finish()


def test_a_base_fee_beyond_the_cap_is_waited_out(world: World) -> None:
    """Stuck at the cap, nothing is replaced; when the fee falls the batch gets in."""
    chain = world.chain
    rig = Rig(world, stuck_after_s=0.0, fee_cap=chain.suggested_fees().max_fee)
    chain.rpc("evm_setAutomine", False)
    rig.batch()
    rig.steps(1)
    chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**13))
    chain.rpc("evm_mine")
    rig.steps(3)
    assert len(rig.outbox.attempts("batch:1")) == 1
    chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**9))
    chain.rpc("evm_mine")
    chain.rpc("evm_setAutomine", True)
    rig.steps(4)
    rig.finish()


def go_back(world: World, rig: Rig) -> None:
    """What the process does where the chain has lost blocks: watch, then read the journal."""
    watcher = Watcher(
        world.chain,
        world.script,
        WatcherOptions(behind_s=0.0),
        lambda: trail(world.script.entries),
    )
    for _ in range(6):
        rig.feed.pull()
        watcher.step(rig.feed.cursor)


def test_a_chain_that_is_set_back_settles_again(world: World, dice: random.Random) -> None:
    """Snapshot, settle until final, revert: the journal goes back with it, and all settle once."""
    rig = Rig(world)
    for _ in range(max(3, COUNT // 5)):
        go_back(world, rig)
        snapshot = world.chain.rpc("evm_snapshot")
        for _ in range(dice.randrange(1, 4)):
            rig.batch()
            rig.steps(4)
            go_back(world, rig)
        assert world.chain.rpc("evm_revert", snapshot)
        go_back(world, rig)
        rig.steps(6)
    rig.finish()


def kill_node(world: World) -> None:
    """kill -9; Anvil does not replace its dump in one step, so a torn one is put right."""
    dump, since = world.folder / "anvil.json", trail(world.script.entries)[0].block
    kept = eventually(lambda: whole_dump(dump, since), "a dump of what the journal stands on")
    world.node.process.kill()
    world.node.process.wait()
    if not whole_dump(dump, since):
        dump.write_bytes(kept)


def test_a_node_that_dies_and_forgets_its_last_second(world: World, dice: random.Random) -> None:
    """kill -9 of Anvil: what its last dump does not hold is lost, and settles again."""
    assert world.chain.deployment.chain_id == LOCAL_CHAIN_ID
    rig = Rig(world)
    for _ in range(max(3, COUNT // 10)):
        for _ in range(dice.randrange(1, 4)):
            rig.batch()
            rig.steps(4)
            go_back(world, rig)
            time.sleep(dice.random() * 0.8)
        kill_node(world)
        rig.steps(1)  # nobody answers
        world.node = world._start_node()
        world.chain = Chain(world.node.url, world.chain.deployment, project_artifacts())
        world.chain.verify()
        rig.feed, _, store = world.relayer()
        rig.outbox.close()
        rig.outbox = Outbox(world.settings().outbox)
        store.close()
        rig.feed, rig.relayer, rig.outbox = world.relayer()
        go_back(world, rig)
        rig.steps(8)
    rig.finish()
