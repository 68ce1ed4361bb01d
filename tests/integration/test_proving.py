"""From the engine through the real relayer to `Margin`: the chain proves what the engine says."""

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integration.test_linear_settlement import PERPETUAL, Desk, settle
from tests.settlement_world import DEPLOYER_KEY, World
from tests.signed_venue import write_journal
from tests.venue import INDEX, NS, call, put

from exchange.commands import (
    AccrueFunding,
    Configure,
    CutBatch,
    ObserveBlocks,
    PublicationParameters,
)
from exchange.fixed import RATIO_SCALE
from exchange.journal import JournalReader
from exchange.journal.outbox import JobKind
from exchange.margin.merkle import update_root
from exchange.model import Side
from exchange.settlement.deploy import furnish_margin
from exchange.settlement.errors import ChainError, Reverted
from exchange.settlement.margin_proof import set_parameters_calldata
from exchange.settlement.proving import prove_margin
from exchange.settlement.reconcile import reconcile

pytestmark = pytest.mark.integration


EACH_EPOCH = PublicationParameters(
    heartbeat_ns=NS,
    move_rate=RATIO_SCALE,
    age_max_ns=600 * NS,
    band_rate=RATIO_SCALE // 10,
    linear_band_rate=RATIO_SCALE // 10,
)


class MarginDesk(Desk):
    """Options too, and marks under their true root."""

    def __init__(self, world: World, **parameters: Any) -> None:
        self.prices: dict[int, int] = {}
        super().__init__(world, publication=EACH_EPOCH, **parameters)
        self.world = world
        expiry = self.expiry
        options = [call(100_000, expiry=expiry), call(110_000, expiry=expiry)]
        options.append(put(90_000, expiry=expiry))
        self.venue.list_instruments(*options)
        self.ids += options
        self.prices |= dict.fromkeys(options, 2_500)
        self.remark()

    def price(self, mark: int) -> None:
        self.prices |= dict.fromkeys(self.ids, mark)
        self.remark()

    @property
    def configured(self) -> Configure:
        command = self.venue.entries[0][2]
        assert isinstance(command, Configure)
        return command

    def remark(self) -> None:
        """A fresh index, and an epoch on chain whose root leads to its rows."""
        self.venue.wait(1)
        self.venue.index()
        self.venue.marks |= {number: price * 10**6 for number, price in self.prices.items()}
        update = self.venue.marks_update()
        self.venue.send(msgspec.structs.replace(update, root=update_root(update)))

    def random_trades(self, rng: random.Random, count: int) -> None:
        for _ in range(count):
            number = rng.choice(self.ids)
            price = self.prices[number] + rng.randrange(-50, 50)
            side = rng.choice((Side.BUY, Side.SELL))
            self.trade(side, number, rng.randrange(1, 120), price)

    def journal(self, path: Path) -> None:
        """What happened so far, with every block of the chain observed."""
        chain = self.world.chain
        head = chain.head()
        self.venue.send(
            ObserveBlocks(
                first_block=self.venue.engine.last_block + 1,
                last_block=head,
                last_hash=chain.block_hash(head) or "",
            )
        )
        write_journal(self.venue, path)
        self.world.reader.close()
        self.world.reader = JournalReader(str(path))


@pytest.fixture
def desk(world: World) -> MarginDesk:
    desk = MarginDesk(world)
    assert furnish_margin(world.chain, DEPLOYER_KEY, desk.configured)
    assert not furnish_margin(world.chain, DEPLOYER_KEY, desk.configured)
    return desk


@pytest.mark.parametrize("seed", [1, 2])
def test_chain_and_engine_agree_on_every_account(
    world: World, desk: MarginDesk, tmp_path: Path, seed: int
) -> None:
    """Options, a perpetual that owes funding and a future; what is not settled does not count.

    One of them is a portfolio, the other margined position by position, as Clearing remembers.
    """
    rng = random.Random(seed)
    desk.random_trades(rng, 15)
    desk.venue.wait(25)
    desk.venue.index()
    desk.venue.send(AccrueFunding())
    desk.random_trades(rng, 5)
    desk.trade(Side.BUY, PERPETUAL, 7, INDEX)
    desk.remark()
    desk.venue.send(CutBatch())
    kinds = settle(world, desk, tmp_path / "settled.db")
    assert kinds.count(JobKind.ROOT) > 1
    desk.random_trades(rng, 5)  # ahead of the chain
    desk.journal(tmp_path / "observed.db")
    for trader in desk.traders:
        found = prove_margin(world.reader, world.chain, trader.subaccount_id)
        assert found.agrees, found
        assert found.epoch == desk.venue.epoch
        assert found.positions == 5
    assert prove_margin(world.reader, world.chain, 1).positions == 0


def test_the_figure_is_the_engines_own(world: World, desk: MarginDesk, tmp_path: Path) -> None:
    """With everything settled and no order open, it is what the live engine answers."""
    desk.random_trades(random.Random(3), 12)
    desk.remark()
    desk.venue.send(CutBatch())
    settle(world, desk, tmp_path / "settled.db")
    desk.journal(tmp_path / "observed.db")
    for trader in desk.traders:
        found = prove_margin(world.reader, world.chain, trader.subaccount_id)
        account = desk.venue.engine.subaccounts[trader.subaccount_id].account
        assert found.on_chain.initial == account.initial_excess()
        assert found.on_chain.maintenance == account.maintenance_excess()


def test_what_cannot_be_proven_says_why(world: World, desk: MarginDesk, tmp_path: Path) -> None:
    """No root; an unknown account; other parameters on chain; a root that is too old."""
    desk.journal(tmp_path / "early.db")
    with pytest.raises(ChainError, match="no risk root"):
        prove_margin(world.reader, world.chain, 2)
    desk.random_trades(random.Random(4), 3)
    desk.remark()
    desk.venue.send(CutBatch())
    settle(world, desk, tmp_path / "settled.db")
    desk.journal(tmp_path / "observed.db")
    with pytest.raises(ChainError, match="no subaccount 99"):
        prove_margin(world.reader, world.chain, 99)
    assert not reconcile(world.reader, world.chain).parameters_differ

    other = msgspec.structs.replace(desk.configured.margin, short_option_initial_rate=0)
    data = set_parameters_calldata(other, desk.configured.collaterals)
    world.chain.transact(DEPLOYER_KEY, world.chain.deployment.margin, data)
    desk.journal(tmp_path / "changed.db")
    with pytest.raises(ChainError, match="other parameters"):
        prove_margin(world.reader, world.chain, 2)
    assert reconcile(world.reader, world.chain).parameters_differ

    data = set_parameters_calldata(desk.configured.margin, desk.configured.collaterals)
    world.chain.transact(DEPLOYER_KEY, world.chain.deployment.margin, data)
    world.chain.advance_time(world.chain.block_time() + 3_600)
    desk.journal(tmp_path / "later.db")
    with pytest.raises(Reverted, match="RootTooOld"):
        prove_margin(world.reader, world.chain, 2)
