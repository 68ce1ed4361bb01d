"""The engine's process: what it recovers from, and what its death leaves."""

import asyncio
import random

import msgspec
import pytest

from exchange.commands import CutBatch, Halt
from exchange.sequencer import SequencerStopped
from exchange.simulation.checks import Broken, Witness
from exchange.simulation.engine_host import EngineHost
from exchange.simulation.loop import VirtualLoop, run
from exchange.simulation.market import Market
from exchange.simulation.parameters import plan_of
from exchange.simulation.store import Store


class Site:
    """A host with its surroundings."""

    def __init__(self, seed: int = 1) -> None:
        plan = plan_of(seed, faults=False)
        self.plan = plan
        self.store = Store()
        self.witness = Witness(self.store, {})
        market = Market(random.Random(1), plan.faults)
        self.host = EngineHost(plan, self.store, self.witness, market)
        self.errors: list[BaseException] = []
        self.host.failed = self.errors.append

    async def open(self) -> None:
        self.host.start()
        for command in (self.plan.configure, self.plan.listings):
            await self.host.submit(command)

    def run(self, story) -> None:
        async def main() -> None:
            await self.open()
            await story()
            await self.host.die()

        run(VirtualLoop(lambda: 0.01), main())


def test_prices_and_marks_come_by_themselves() -> None:
    """Every few seconds, and the clockwork goes."""
    site = Site()

    async def story() -> None:
        await asyncio.sleep(30.0)
        assert site.host.alive
        assert site.host.engine.epoch >= 3
        assert site.witness.seen["IndexUpdated"] > 15

    site.run(story)
    assert site.errors == []


@pytest.mark.parametrize("by_snapshot", [True, False])
def test_a_death_leaves_what_was_acknowledged(*, by_snapshot: bool) -> None:
    """By snapshot and replay, or by replay alone: the same state."""
    site = Site()

    async def story() -> None:
        await asyncio.sleep(10.0)
        if by_snapshot:
            await site.host.take_snapshot()
        await asyncio.sleep(10.0)
        reply = await site.host.submit(Halt(underlying_id=1))
        before = site.host.engine
        await site.host.die()
        assert not site.host.alive
        with pytest.raises(SequencerStopped):
            await site.host.submit(CutBatch())
        while site.host.restarts_by_snapshot < by_snapshot or not site.host.alive:
            site.host.start()
            if site.host.restarts_by_snapshot < by_snapshot:
                await site.host.die()
        assert site.host.engine.seq >= reply.seq
        if site.host.engine.seq == before.seq:
            assert site.host.engine.state_hash() == before.state_hash()

    site.run(story)
    assert site.errors == []


def test_a_full_disk_ends_the_process_and_no_more() -> None:
    """Whoever waited hears nothing; the next start finds a journal without the group."""
    site = Site()

    async def story() -> None:
        seq = site.store.durable_seq
        site.store.failure = "the disk is full"
        with pytest.raises(SequencerStopped):
            await site.host.submit(Halt(underlying_id=1))
        await asyncio.sleep(0.1)
        assert site.host.disk_failures == 1
        assert not site.host.alive
        assert site.store.durable_seq == seq
        await site.host.die()
        site.host.start()
        await site.host.submit(Halt(underlying_id=1))

    site.run(story)
    assert site.errors == []


def test_a_snapshot_of_another_journal_is_refused() -> None:
    """Whatever state it holds."""
    site = Site()

    async def story() -> None:
        await site.host.take_snapshot()
        snapshot = site.host._snapshot
        assert snapshot is not None
        site.host._snapshot = msgspec.structs.replace(snapshot, chain_hash=b"\x01" * 32)
        site.host._draw = random.Random(2)  # whose first draw asks for the snapshot
        with pytest.raises(Broken, match="another journal"):
            site.host._restored()
        site.host._snapshot = msgspec.structs.replace(snapshot, state_hash=b"\x01" * 32)
        site.host._draw = random.Random(2)
        with pytest.raises(Broken, match="another state"):
            site.host._restored()

    site.run(story)
    assert site.errors == []
