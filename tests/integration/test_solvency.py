"""Batches that prove margin, from the engine to an Anvil: governance asks, the relayer brings."""

import random
from pathlib import Path

import pytest
from tests.integration.test_linear_settlement import PERPETUAL, settle
from tests.integration.test_proving import MarginDesk
from tests.settlement_world import DEPLOYER_KEY, FUNDS, RELAYER_KEY, World
from tests.signed_venue import write_journal
from tests.venue import INDEX

from exchange.audit import BatchAudit, Replay
from exchange.commands import BatchMarginSeen, CutBatch, DepositSeen, Novate, SubaccountSeen
from exchange.events import Refused
from exchange.journal import JournalReader
from exchange.journal.outbox import JobKind
from exchange.model import FEE_SUBACCOUNT_ID, Side
from exchange.settlement.batch import SETTLE_SELECTOR, encode_call
from exchange.settlement.deploy import furnish_bands, furnish_margin
from exchange.settlement.errors import BatchRefused
from exchange.settlement.novation import novations_in
from exchange.settlement.novator import Novator
from exchange.settlement.reconcile import reconcile
from exchange.settlement.relayer import Relayer
from exchange.settlement.solvency import SETTLE_PROVEN_SELECTOR, SolvencyProver
from exchange.settlement.wallet import OwnerWallet
from exchange.signing import address_of

pytestmark = pytest.mark.integration

MAINTENANCE, INITIAL = 1, 2


def furnished(world: World) -> MarginDesk:
    """Margin's parameters, price bands and a withdrawal delay: what a batch margin needs."""
    desk = MarginDesk(world)
    furnish_margin(world.chain, DEPLOYER_KEY, desk.configured)
    furnish_bands(world.chain, DEPLOYER_KEY, desk.configured)
    govern(world, "setWithdrawalDelay", "uint64", 3_600)
    return desk


def govern(world: World, function: str, kind: str, value: int) -> None:
    data = encode_call(function, (kind,), (value,))
    world.chain.transact(DEPLOYER_KEY, world.chain.deployment.clearing, data)


def selectors(world: World) -> list[bytes]:
    """Of the transactions that settled, in their order."""
    found = []
    for settled in world.chain.all_settled():
        sent = world.chain.rpc("eth_getTransactionByHash", settled.tx_hash)
        found.append(bytes.fromhex(sent["input"][2:10]))
    return found


def test_honest_batches_prove_margin_and_settle(world: World, tmp_path: Path) -> None:
    """Governance asks for it between two batches; what the engine let through is proven.

    Portfolios and accounts margined position by position, options and linear positions, each batch
    under the root of its own epoch.
    """
    desk = furnished(world)
    rng = random.Random(1)
    desk.random_trades(rng, 6)
    desk.venue.send(CutBatch())
    settle(world, desk, tmp_path / "before.db")
    govern(world, "setBatchMargin", "uint8", INITIAL)
    asked = BatchMarginSeen(level=INITIAL)
    assert asked in [seen for _, seen in world.chain.observations(1, world.chain.head())]
    desk.venue.observe(asked)
    for _ in range(3):
        desk.random_trades(rng, 4)
        desk.trade(Side.BUY, PERPETUAL, 7, INDEX)
        desk.remark()
        desk.venue.send(CutBatch())
    kinds = settle(world, desk, tmp_path / "after.db")
    assert kinds.count(JobKind.BATCH) == world.chain.last_batch().number
    found = selectors(world)
    assert found[0] == SETTLE_SELECTOR
    assert set(found[1:]) == {SETTLE_PROVEN_SELECTOR}
    assert len(found) >= 4
    desk.journal(tmp_path / "observed.db")
    assert reconcile(world.reader, world.chain).differences == ()
    audit = BatchAudit()
    Replay(world.reader, witness=audit).run()
    assert audit.compare(world.chain.all_settled()) == len(found)  # hashes know no proofs


def test_an_operator_who_invents_money_cannot_settle(world: World, tmp_path: Path) -> None:
    """The engine believes in a deposit that nobody made; the chain counts what is there."""
    desk = furnished(world)
    govern(world, "setBatchMargin", "uint8", MAINTENANCE)
    desk.trade(Side.BUY, PERPETUAL, 10, INDEX)
    desk.remark()
    desk.venue.send(CutBatch())
    settle(world, desk, tmp_path / "honest.db")
    for trader in desk.traders:
        invented = DepositSeen(subaccount_id=trader.subaccount_id, amount=100 * FUNDS)
        desk.venue.observe(invented)
    contracts = 10 * FUNDS // (INDEX * 10**6) + 1
    desk.trade(Side.BUY, PERPETUAL, 100 * contracts, INDEX)
    desk.venue.send(CutBatch())
    with pytest.raises(BatchRefused, match="BelowMargin"):
        settle(world, desk, tmp_path / "invented.db")
    assert selectors(world) == [SETTLE_PROVEN_SELECTOR]


class House:
    """A relayer that may sign for the venue; after each novation it starts on the journal again."""

    def __init__(self, world: World, desk: MarginDesk, folder: Path) -> None:
        self.world, self.desk, self.folder = world, desk, folder
        self.novations: list[Novate] = []

    def novate(self, command: Novate) -> None:
        events = self.desk.venue.send(command)
        assert not any(isinstance(event, Refused) for event in events), events
        self.novations.append(command)

    def settle(self) -> None:
        """Until nothing moves any more."""
        while True:
            before = len(self.novations)
            path = self.folder / f"house-{before}.db"
            write_journal(self.desk.venue, path)
            self.world.reader.close()
            self.world.reader = JournalReader(str(path))
            feed, _, store = self.world.relayer()
            chain, sender = self.world.chain, address_of(RELAYER_KEY)
            solvency = SolvencyProver(self.world.reader, chain)
            novator = Novator(feed, chain, self, key=DEPLOYER_KEY, sender=sender, solvency=solvency)
            relayer = Relayer(feed, store, chain, self.world.options(), novator, solvency)
            while relayer.step() and len(self.novations) == before:
                pass
            store.close()
            if len(self.novations) == before:
                return


def test_the_venue_takes_a_fill_that_leaves_somebody_short(world: World, tmp_path: Path) -> None:
    """The taker's deposit is invented: its side is the venue's, who proves margin of its own."""
    desk = furnished(world)
    maker, taker = desk.traders
    rich = 60 * FUNDS
    owner = address_of(DEPLOYER_KEY)
    desk.venue.observe(SubaccountSeen(subaccount_id=FEE_SUBACCOUNT_ID, owner=owner))
    for key, number in ((maker.key, maker.subaccount_id), (DEPLOYER_KEY, FEE_SUBACCOUNT_ID)):
        OwnerWallet(world.chain, key).fund(number, rich)
        desk.venue.observe(DepositSeen(subaccount_id=number, amount=rich))
    desk.venue.observe(DepositSeen(subaccount_id=taker.subaccount_id, amount=rich))
    govern(world, "setBatchMargin", "uint8", MAINTENANCE)
    desk.trade(Side.BUY, PERPETUAL, 10, INDEX)
    desk.remark()
    contracts = 40 * FUNDS // (INDEX * 10**6)  # a standard account needs 6.5 % of them
    desk.trade(Side.BUY, PERPETUAL, 100 * contracts, INDEX)
    desk.trade(Side.BUY, PERPETUAL, 7, INDEX)
    desk.venue.send(CutBatch())
    desk.remark()
    desk.trade(Side.SELL, PERPETUAL, 3, INDEX)
    desk.venue.send(CutBatch())
    house = House(world, desk, tmp_path)
    house.settle()
    [command] = house.novations
    assert [fill.maker for fill in command.fills] == [False]
    assert set(selectors(world)) == {SETTLE_PROVEN_SELECTOR}
    held = {
        number: world.chain.cash_and_positions(number, [PERPETUAL])[1][PERPETUAL].quantity
        for number in (FEE_SUBACCOUNT_ID, maker.subaccount_id, taker.subaccount_id)
    }
    unit = 100  # hundredths of a contract in 1e-4
    assert held == {
        FEE_SUBACCOUNT_ID: 100 * contracts * unit,
        maker.subaccount_id: -(100 * contracts + 14) * unit,
        taker.subaccount_id: 14 * unit,
    }
    audit = BatchAudit(novations_in(world.reader.entries()))
    for entry in world.reader.entries():
        audit(entry)
    assert audit.compare(world.chain.all_settled()) == len(selectors(world)) >= 2
