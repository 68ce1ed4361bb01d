"""Batches that prove margin, from the engine to an Anvil: governance asks, the relayer brings."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.test_linear_settlement import PERPETUAL, settle
from tests.integration.test_proving import MarginDesk
from tests.settlement_world import DEPLOYER_KEY, FUNDS, World
from tests.venue import INDEX

from exchange.audit import BatchAudit, Replay
from exchange.commands import CutBatch, DepositSeen
from exchange.journal.outbox import JobKind
from exchange.model import Side
from exchange.settlement.batch import SETTLE_SELECTOR, encode_call
from exchange.settlement.deploy import furnish_bands, furnish_margin
from exchange.settlement.errors import BatchRefused
from exchange.settlement.reconcile import reconcile
from exchange.settlement.solvency import SETTLE_PROVEN_SELECTOR

pytestmark = pytest.mark.integration

MAINTENANCE, INITIAL = 1, 2


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


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
