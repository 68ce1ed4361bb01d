"""Withdrawals that wait on a real Anvil: who has positions proves margin, and money arrives."""

from pathlib import Path

import msgspec
import pytest
from tests.integration.test_linear_settlement import settle
from tests.integration.test_proving import MarginDesk
from tests.settlement_world import DEPLOYER_KEY, World
from tests.venue import usdc

from exchange.commands import CutBatch, DepositSeen, Withdraw
from exchange.model import Side
from exchange.settlement.batch import encode_call
from exchange.settlement.deploy import furnish_margin
from exchange.settlement.errors import Reverted
from exchange.settlement.proving import margin_proof
from exchange.settlement.releases import QueuedWithdrawal, queued_withdrawals, release, take_back
from exchange.signing import sign_digest, withdrawal_digest

pytestmark = pytest.mark.integration
DELAY_S = 60


@pytest.fixture
def desk(world: World) -> MarginDesk:
    desk = MarginDesk(world)
    assert furnish_margin(world.chain, DEPLOYER_KEY, desk.configured)
    data = encode_call("setWithdrawalDelay", ("uint64",), (DELAY_S,))
    world.chain.transact(DEPLOYER_KEY, world.chain.deployment.clearing, data)
    return desk


def withdraw(world: World, desk: MarginDesk, amount: int, path: Path) -> QueuedWithdrawal:
    """The taker's signed withdrawal, from the engine to the chain's queue."""
    taker = world.script.taker
    asked = desk.venue.withdrawal(
        taker.subaccount_id,
        0,
        token=world.chain.deployment.usdc,
        recipient=taker.address,
        signer=taker.address,
    )
    terms = msgspec.structs.replace(asked.terms, amount=amount)
    signature = sign_digest(withdrawal_digest(desk.domain, terms), taker.key)
    events = desk.venue.send(Withdraw(terms=terms, signature=signature))
    assert [type(event).__name__ for event in events] == ["Withdrawn"]
    desk.remark()
    desk.venue.send(CutBatch())
    settle(world, desk, path)
    (queued,) = queued_withdrawals(world.chain, taker.subaccount_id)
    assert (queued.amount, queued.recipient) == (amount, taker.address)
    assert queued_withdrawals(world.chain, taker.subaccount_id + 1) == []
    return queued


def test_a_trader_with_positions_gets_paid_by_a_proof(
    world: World, desk: MarginDesk, tmp_path: Path
) -> None:
    """Not before it is mature; anybody may pay the gas, once."""
    chain, taker = world.chain, world.script.taker
    desk.trade(Side.SELL, desk.ids[2], 100, 2_500)
    queued = withdraw(world, desk, usdc(1_000), tmp_path / "settled.db")
    before = chain.usdc_balance(taker.address)
    desk.journal(tmp_path / "observed.db")
    with pytest.raises(Reverted, match="NotMature"):
        release(chain, DEPLOYER_KEY, queued, world.reader)
    chain.advance_time(queued.matures_at)
    release(chain, DEPLOYER_KEY, queued, world.reader)
    assert chain.usdc_balance(taker.address) - before == usdc(1_000)
    assert queued_withdrawals(chain) == []
    with pytest.raises(Reverted, match="NotQueued"):
        release(chain, DEPLOYER_KEY, queued, world.reader)


def test_without_positions_no_proof_is_needed_and_owners_may_change_their_minds(
    world: World, desk: MarginDesk, tmp_path: Path
) -> None:
    """What is taken back is a deposit to the engine, and both sides agree again."""
    chain, taker = world.chain, world.script.taker
    queued = withdraw(world, desk, usdc(1_000), tmp_path / "settled.db")
    cash, _ = chain.cash_and_positions(taker.subaccount_id, [])
    with pytest.raises(Reverted, match="NotOwner"):
        take_back(chain, DEPLOYER_KEY, queued)
    receipt = take_back(chain, taker.key, queued)
    seen = [one for _, one in chain.observations(receipt.block, receipt.block)]
    assert seen == [DepositSeen(subaccount_id=taker.subaccount_id, amount=usdc(1_000))]
    assert chain.cash_and_positions(taker.subaccount_id, [])[0] == cash + usdc(1_000)
    chain.advance_time(queued.matures_at)
    with pytest.raises(Reverted, match="NotQueued"):
        release(chain, DEPLOYER_KEY, queued, world.reader)


def test_a_healthy_account_halts_nobody(world: World, desk: MarginDesk, tmp_path: Path) -> None:
    """The proof that pays out is the proof that halts; its figure decides."""
    chain, taker = world.chain, world.script.taker
    desk.trade(Side.SELL, desk.ids[2], 100, 2_500)
    withdraw(world, desk, usdc(1_000), tmp_path / "settled.db")
    desk.journal(tmp_path / "observed.db")
    proof = margin_proof(world.reader, chain, taker.subaccount_id)
    data = chain.calldata(chain.clearing, "halt", taker.subaccount_id, proof)
    with pytest.raises(Reverted, match="NotNegative"):
        chain.transact(DEPLOYER_KEY, chain.deployment.clearing, data)
