"""Who is shown to the chain, when, and when again."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.fake_chain import CLEARING
from tests.liquidation_world import rules, short_call
from tests.signed_venue import write_journal
from tests.venue import COLLATERALS, FEES, NS, C, Venue, names, usdc

from exchange.commands import DepositSeen, ForceSeen, SweepLiquidations
from exchange.fixed import RATIO_SCALE
from exchange.journal import Entry, JournalReader
from exchange.journal.outbox import JobKind, Outbox
from exchange.margin.merkle import update_root
from exchange.publications import PublicationParameters
from exchange.settlement import prover as module
from exchange.settlement.deployment import Deployment
from exchange.settlement.errors import Reverted
from exchange.settlement.holdings import Holdings, expected_holdings
from exchange.settlement.margin_proof import EpochProver
from exchange.settlement.prover import FORCE_S, RENEW_S, Prover

LIQUIDATIONS = "0x" + "d0" * 20
SENDER = "0x" + "e0" * 20
SHOWN = PublicationParameters(
    heartbeat_ns=NS,
    move_rate=RATIO_SCALE,
    band_rate=RATIO_SCALE,
    linear_band_rate=RATIO_SCALE,
    age_max_ns=900 * NS,
)


class Asked:
    """Knows one epoch, and says what it would refuse."""

    def __init__(self, now_s: int) -> None:
        self.time_s = now_s
        self.epoch = 0
        self.refused: Reverted | None = None
        self.deployment = Deployment(
            chain_id=31_337,
            clearing=CLEARING,
            oracle=CLEARING,
            usdc=CLEARING,
            access_manager=CLEARING,
            genesis_hash="0x00",
            block=1,
            liquidations=LIQUIDATIONS,
        )

    def block_time(self) -> int:
        return self.time_s

    def risk_epoch(self, block: Any = "latest") -> int:
        return self.epoch

    def refusal(self, sender: str, to: str, data: bytes) -> Reverted | None:
        assert (sender, to) == (SENDER, LIQUIDATIONS)
        return self.refused


class World:
    """A seller below maintenance; `tell` shows the prover what the journal has by now."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_PAUSE_S", 0.0)
        self.folder = folder
        self.venue = Venue(
            fees=FEES,
            liquidation=rules(needs_proof=True),
            publication=SHOWN,
            collaterals=COLLATERALS,
        )
        self.venue.list_instruments(C)
        self.mark(2_500)
        self.seller, _ = short_call(self.venue)
        self.chain = Asked(self.venue.now_s)
        self.outbox = Outbox(str(folder / "relayer.db"))
        self.prover = Prover(self.chain, self.outbox, sender=SENDER)
        self.entries: list[Entry] = []
        self.told = 0

    def mark(self, price: int) -> None:
        self.venue.wait(2)
        self.venue.index()
        self.venue.marks |= {C: usdc(price)}
        update = self.venue.marks_update()
        self.venue.send(msgspec.structs.replace(update, root=update_root(update)))

    def begin(self) -> None:
        self.mark(5_000)
        assert names(self.venue.send(SweepLiquidations())) == ["LiquidationStarted"]
        self.chain.epoch = self.venue.engine.epoch
        self.tell()

    def tell(self) -> Holdings:
        self.told += 1
        path = self.folder / f"journal-{self.told}.db"
        write_journal(self.venue, path)
        reader = JournalReader(str(path))
        entries = list(reader.entries())
        reader.close()
        for entry in entries[len(self.entries) :]:
            self.prover.follow(entry)
        self.entries = entries
        return expected_holdings(entries, settled_seq=len(entries), observed_seq=len(entries))

    def proofs(self) -> list[int]:
        return [job.last_seq for job in self.outbox.jobs() if job.kind is JobKind.PROOF]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_who_is_liquidated_is_shown_once(world: World) -> None:
    """Nobody before, and nobody twice while the proof is under way."""
    assert not world.prover.step(world.tell())
    world.begin()
    assert world.prover.step(world.tell())
    assert not world.prover.step(world.tell())
    assert world.proofs() == [world.seller]
    [job] = world.outbox.jobs()
    now_s = world.chain.time_s
    assert (job.to, job.time_s, job.number, job.batch_hash) == (LIQUIDATIONS, now_s, now_s, b"")
    assert job.key == f"proof:{world.seller}:{world.chain.epoch}:{now_s}"
    venue = world.prover._venue
    assert venue is not None
    assert venue.collaterals == COLLATERALS
    update = world.prover._epochs[world.chain.epoch]
    prover = EpochProver(update, venue.margin, COLLATERALS)
    assert job.data == prover.calldata("flag", world.seller, [C])


def test_a_proof_is_renewed_before_it_runs_out(world: World) -> None:
    world.begin()
    until = world.venue.now_s + FORCE_S
    world.venue.observe(ForceSeen(subaccount_id=world.seller, until=until, contracts=1, budget=1))
    assert not world.prover.step(world.tell())
    world.chain.time_s = until - RENEW_S
    assert not world.prover.step(world.tell())
    world.chain.time_s += 1
    assert world.prover.step(world.tell())


def test_what_the_chain_would_refuse_is_not_sent(world: World) -> None:
    """It may have recovered there, or its last batch is under way."""
    world.begin()
    world.chain.refused = Reverted("Healthy", (1,))
    assert not world.prover.step(world.tell())
    world.chain.refused = None
    assert world.prover.step(world.tell())


def test_another_epoch_is_waited_for(world: World) -> None:
    """Proofs are of the root that was posted last."""
    world.begin()
    world.chain.epoch += 1
    assert not world.prover.step(world.tell())
    assert world.proofs() == []


def test_who_was_let_go_is_not_shown(world: World) -> None:
    world.begin()
    world.venue.observe(DepositSeen(subaccount_id=world.seller, amount=usdc(100_000)))
    assert names(world.venue.send(SweepLiquidations())) == ["LiquidationEnded"]
    assert not world.prover.step(world.tell())
