"""The relayer's process: it settles, dies anywhere, and goes on from its outbox."""

import asyncio
import random

import pytest

from exchange.commands import CutBatch, ObserveBlocks
from exchange.events import Refused
from exchange.observations import DepositSeen, SubaccountSeen
from exchange.reasons import RejectReason
from exchange.sequencer import Reply, SequencerStopped
from exchange.settlement.errors import BatchRefused
from exchange.settlement.watcher import CommandRefused, ExchangeUnavailable
from exchange.simulation.loop import VirtualLoop, blocking, run
from exchange.simulation.parameters import Faults
from exchange.simulation.relayer_host import EngineSink
from exchange.simulation.world import World, plan_of

BLOCKS = ObserveBlocks(first_block=1, last_block=1, last_hash="0x1")


class Edge:
    def __init__(self, *events: Refused) -> None:
        self.events = events
        self.dead = False
        self.got = 0

    async def submit(self, command):
        if self.dead:
            raise SequencerStopped("nobody leads")
        self.got += 1
        return Reply(seq=1, time_ns=1, events=self.events, chain_hash=b"")

    async def read(self, query):
        raise NotImplementedError


def post(edge: Edge, **faults: float) -> None:
    sink = EngineSink(edge, random.Random(1), Faults(**faults))
    run(VirtualLoop(), blocking(lambda: sink.post(BLOCKS)))


def test_a_sink_delivers_or_says_why_not() -> None:
    """Refused, unreachable and lost are different errors, as of the admin listener."""
    post(Edge())
    with pytest.raises(CommandRefused, match="block_gap"):
        post(Edge(Refused(reason=RejectReason.BLOCK_GAP)))
    dead = Edge()
    dead.dead = True
    with pytest.raises(ExchangeUnavailable, match="nobody leads"):
        post(dead)
    lost = Edge()
    with pytest.raises(ExchangeUnavailable, match="was lost"):
        post(lost, message_lost=1.0)
    assert lost.got == 0


def test_what_is_cut_is_settled_though_it_dies_again_and_again() -> None:
    """Each batch once; deposits arrive; the outbox is in order."""
    loop = VirtualLoop(lambda: 0.01)
    world = World(plan_of(3, faults=False), loop)

    async def main() -> None:
        await world._open()
        blocks = loop.create_task(world._blocks())
        world.chain.send(
            SubaccountSeen(subaccount_id=40, owner="ann"),
            DepositSeen(subaccount_id=40, amount=7),
        )
        for _ in range(12):
            await asyncio.sleep(random.Random(_).uniform(3.0, 9.0))
            await world.host.submit(CutBatch())
            await world.relayer.die()
            world.relayer.start()
        await asyncio.sleep(120.0)
        engine = world.host.engine
        assert engine.subaccounts[40].cash == 7
        assert engine.confirmed_batch == engine.batch_number
        world.relayer.outbox.check()
        await world.relayer.die()
        await world.host.die()
        blocks.cancel()

    run(loop, main())
    assert world.relayer.deaths == 13
    world.relayer.close()


def test_a_refused_batch_ends_a_run() -> None:
    """Nobody is there to look at it: the run fails with what the chain said."""
    loop = VirtualLoop(lambda: 0.01)
    world = World(plan_of(3, faults=False), loop)

    def refuse(*_: object, **__: object) -> int:
        raise BatchRefused("batch:1 cannot be settled")

    async def main() -> None:
        await world._open()
        assert world.relayer.parts is not None
        world.relayer.parts.relayer.step = refuse
        await world._pause(60.0)

    with pytest.raises(BatchRefused, match="batch:1 cannot be settled"):
        run(loop, main())
    world.relayer.close()
