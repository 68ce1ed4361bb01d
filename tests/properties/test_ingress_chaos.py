"""Leaders, gateways and the stream's server die at random: each command is done once or not at all.

The answer decides: what was acknowledged stands in the journal where the answer said, what was
refused does not stand there, and nothing stands there twice. Real servers, one process, a seed.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest
from tests.ingress_world import GatewaySide, Leader, World, labeled, tell
from tests.valkey import valkey

from exchange.ingress import replica as module
from exchange.sequencer import (
    OutcomeUnknown,
    SequencerBusy,
    SequencerStopped,
    SequencerUnreachable,
)

SEED = int(os.environ.get("EXCHANGE_SEED", "0")) or random.SystemRandom().randrange(2**32)
FAULTS = 40
CLIENTS = 8  # of each gateway
EXPIRY_MS = 400


class Ledger:
    """What clients were told, by label."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, int] = {}  # the seq
        self.refused: set[str] = set()  # nothing was done, and nothing will be
        self.unknown: set[str] = set()
        self.labels = 0

    async def client(self, side: GatewaySide, over: asyncio.Event) -> None:
        while not over.is_set():
            self.labels += 1
            command = labeled(self.labels)
            label = command.label or ""
            try:
                self.acknowledged[label] = (await side.replica.submit(command)).seq
            except (SequencerUnreachable, SequencerBusy):
                self.refused.add(label)
                await asyncio.sleep(0.01)
            except OutcomeUnknown:
                self.unknown.add(label)
            except SequencerStopped:  # its gateway died, and says nothing of what it had sent
                self.unknown.add(label)
                return


class Chaos:
    def __init__(self, world: World, rng: random.Random) -> None:
        self.world = world
        self.rng = rng
        self.ledger = Ledger()
        self.over = asyncio.Event()
        self.clients: list[asyncio.Task[None]] = []
        self.sides: list[GatewaySide] = []
        self.leader: Leader | None = None
        self.faults: Counter[str] = Counter()

    async def begin(self) -> None:
        self.leader = self.world.leader(expiry_ms=EXPIRY_MS)
        for _ in range(2):
            await self.add_gateway()

    async def add_gateway(self) -> None:
        side = await self.world.gateway()
        self.sides.append(side)
        self.clients += [
            asyncio.create_task(self.ledger.client(side, self.over)) for _ in range(CLIENTS)
        ]

    async def fault(self) -> None:
        kind = self.rng.choice(["leader", "leader", "takeover", "redis", "frozen", "gateway"])
        self.faults[kind] += 1
        away_s = self.rng.choice([0.0, 0.1, 0.3, 0.8])
        match kind:
            case "leader":
                assert self.leader is not None
                await self.leader.die()
                await asyncio.sleep(away_s)
                self.leader = self.world.leader(expiry_ms=EXPIRY_MS)
            case "takeover":  # the old one does not know yet
                old, self.leader = self.leader, self.world.leader(expiry_ms=EXPIRY_MS)
                await asyncio.sleep(away_s)
                assert old is not None
                await old.die()
            case "redis":
                await asyncio.to_thread(self.world.server.kill)
                await asyncio.sleep(away_s)
                await asyncio.to_thread(self.world.server.start)
            case "frozen":
                self.world.server.signal(signal.SIGSTOP)
                await asyncio.sleep(away_s)
                self.world.server.signal(signal.SIGCONT)
            case "gateway":
                await self.sides.pop(self.rng.randrange(len(self.sides))).die()
                await self.add_gateway()

    async def end(self) -> None:
        await asyncio.sleep(0.5)
        self.over.set()
        await asyncio.gather(*self.clients)


@pytest.mark.integration
def test_each_command_is_done_once_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the answer says which, where there is one."""
    print(f"seed {SEED}: EXCHANGE_SEED repeats the faults")
    monkeypatch.setattr(module, "ANSWER_S", 1.5)
    rng = random.Random(SEED)

    async def told(world: World) -> None:
        chaos = Chaos(world, rng)
        await chaos.begin()
        for _ in range(FAULTS):
            await asyncio.sleep(rng.uniform(0.02, 0.3))
            await chaos.fault()
        await chaos.end()
        stood = Counter(world.labels())
        seqs = {label: seq for seq, label in enumerate(world.labels(), 1)}
        ledger = chaos.ledger
        assert [label for label, times in stood.items() if times > 1] == []
        assert {label: seqs.get(label) for label in ledger.acknowledged} == ledger.acknowledged
        assert ledger.refused & stood.keys() == set()
        assert stood.keys() <= ledger.acknowledged.keys() | ledger.unknown
        assert len(ledger.acknowledged) > 20 * FAULTS
        print(
            f"{dict(chaos.faults)}: {len(ledger.acknowledged)} acknowledged, "
            f"{len(ledger.refused)} refused, {len(ledger.unknown)} unknown, of which "
            f"{len(ledger.unknown & stood.keys())} were done"
        )

    with valkey() as server:
        tell(told, tmp_path / "journal.db", server)
