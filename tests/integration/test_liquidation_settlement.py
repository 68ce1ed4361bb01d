"""A liquidation from the engine to a real Anvil: proof, slices, a bid, the fund, a shared loss."""

import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.integration.test_proving import MarginDesk
from tests.liquidation_world import rules
from tests.settlement_world import DEPLOYER_KEY, RELAYER_KEY, World
from tests.venue import usdc

from exchange.commands import BidLiquidation, CutBatch, DepositSeen, ForceSeen, SweepLiquidations
from exchange.events import (
    AnyEvent,
    ForceGranted,
    InsuranceUsed,
    LiquidationStarted,
    LossSocialised,
    PortfolioTransferred,
    Refused,
    Traded,
)
from exchange.fixed import CASH_SCALE
from exchange.journal.outbox import JobKind, JobState
from exchange.model import FEE_SUBACCOUNT_ID, BidTerms, Side
from exchange.settlement.deploy import furnish_bands, furnish_margin
from exchange.settlement.errors import Reverted
from exchange.settlement.holdings import expected_holdings
from exchange.settlement.prover import Prover
from exchange.settlement.reconcile import reconcile
from exchange.settlement.wallet import OwnerWallet
from exchange.signing import address_of, bid_digest, sign_digest

pytestmark = pytest.mark.integration

FUND = 20_000 * CASH_SCALE


class LiquidationDesk(MarginDesk):
    """Liquidates, but nobody whom the chain has not seen below maintenance."""

    def __init__(self, world: World) -> None:
        super().__init__(world, liquidation=rules(needs_proof=True))
        furnish_margin(world.chain, DEPLOYER_KEY, self.configured)
        furnish_bands(world.chain, DEPLOYER_KEY, self.configured)
        OwnerWallet(world.chain, DEPLOYER_KEY).fund(FEE_SUBACCOUNT_ID, FUND)
        self.venue.observe(DepositSeen(subaccount_id=FEE_SUBACCOUNT_ID, amount=FUND))
        self.keeper, self.seller = self.traders
        self.call, self.put = self.ids[3], self.ids[4]
        self.journals = 0

    def sweep(self, seconds: int = 1) -> tuple[AnyEvent, ...]:
        self.venue.wait(seconds)
        self.remark()
        return self.venue.send(SweepLiquidations())

    def settle(self) -> list[JobKind]:
        """Write everything down, let a relayer settle it, and show who is below maintenance."""
        self.venue.send(CutBatch())
        self._write()
        _, relayer, outbox = self.world.relayer()
        self._drain(relayer)
        self._write()
        report = reconcile(self.world.reader, self.world.chain)
        assert (report.differences, report.parameters_differ) == ((), False)
        prover = Prover(self.world.chain, outbox, sender=address_of(RELAYER_KEY))
        entries = list(self.world.reader.entries())
        for entry in entries:
            prover.follow(entry)
        settled = self.world.chain.last_batch().last_seq
        holdings = expected_holdings(entries, settled_seq=settled, observed_seq=len(entries))
        if prover.step(holdings):
            self._drain(relayer)
        jobs = outbox.jobs()
        assert {job.state for job in jobs} == {JobState.CONFIRMED}
        outbox.close()
        return [job.kind for job in jobs]

    def _write(self) -> None:
        self.journals += 1
        self.journal(self.world.folder / f"journal-{self.journals}.db")

    def same_as_the_chain(self) -> None:
        """Cash and positions of everybody, the fund included."""
        for subaccount_id, subaccount in self.venue.engine.subaccounts.items():
            cash, held = self.world.chain.cash_and_positions(subaccount_id, self.ids)
            assert cash == subaccount.cash
            found = {number: one.quantity for number, one in held.items()}
            assert found == dict(subaccount.account.positions)

    @staticmethod
    def _drain(relayer) -> None:
        for _ in range(400):
            if not relayer.step():
                break

    def watch(self) -> tuple[AnyEvent, ...]:
        """Tell the engine of the newest proof on chain."""
        chain = self.world.chain
        seen = [item for _, item in chain.observations(1, chain.head())]
        *_, newest = [item for item in seen if isinstance(item, ForceSeen)]
        return self.venue.observe(newest)

    def place_offer(self, number: int, quantity: int, price: int) -> None:
        """The keeper offers what a slice may buy."""
        self._place(self.keeper, Side.SELL, number, quantity, price)

    def bid(self, fraction: int) -> tuple[AnyEvent, ...]:
        [running] = self.venue.engine.liquidations()
        terms = BidTerms(
            subaccount_id=self.keeper.subaccount_id,
            liquidated_id=self.seller.subaccount_id,
            fraction=fraction,
            price_limit=usdc(10_000_000),
            expected_step=running.step,
            nonce=self.venue.next_nonce,
            deadline=self.venue.now_s + 60,
            signer=self.keeper.address,
        )
        self.venue.next_nonce += 1
        signature = sign_digest(bid_digest(self.domain, terms), self.keeper.key)
        return self.venue.send(BidLiquidation(terms=terms, signature=signature))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[LiquidationDesk]:
    world = World(tmp_path)
    yield LiquidationDesk(world)
    world.close()


def of_kind(events, kind):
    return [event for event in events if isinstance(event, kind)]


def gap(desk: LiquidationDesk, put: int, call: int) -> None:
    """Options are marked anew."""
    desk.prices |= {desk.put: put, desk.call: call}
    desk.remark()


def strangle(desk: LiquidationDesk, contracts: int) -> None:
    """The seller is short of calls and puts, in hundredths of a contract."""
    for number in (desk.call, desk.put):
        desk.trade(Side.SELL, number, contracts, 2_500)


def test_a_short_strangle_through_a_gap(desk: LiquidationDesk) -> None:
    """Begun, proven, sliced, sold to a keeper, taken over, its loss shared: each on chain."""
    strangle(desk, 4_400)
    assert desk.settle().count(JobKind.PROOF) == 0
    gap(desk, 14_000, 100)
    events = desk.sweep()
    assert of_kind(events, LiquidationStarted), desk.venue.engine.margin(3)
    desk.place_offer(desk.put, 500, 14_000)
    for _ in range(3):
        assert not of_kind(desk.sweep(), Traded), "not before the chain saw it"
    assert desk.settle().count(JobKind.PROOF) == 1
    [granted] = of_kind(desk.watch(), ForceGranted)
    assert granted.subaccount_id == desk.seller.subaccount_id
    sliced = [event for _ in range(5) for event in of_kind(desk.sweep(), Traded)]
    assert sliced
    assert all(event.liquidation for event in sliced)
    desk.settle()
    desk.same_as_the_chain()

    for _ in range(8):
        desk.sweep()
    [sold] = of_kind(desk.bid(10**17), PortfolioTransferred)
    assert sold.taker_subaccount_id == desk.keeper.subaccount_id
    desk.settle()
    desk.same_as_the_chain()

    gap(desk, 40_000, 50)
    taken: list[AnyEvent] = []
    for _ in range(70):
        taken += desk.sweep()
    assert of_kind(taken, PortfolioTransferred)
    assert of_kind(taken, InsuranceUsed)
    assert of_kind(taken, LossSocialised)
    desk.settle()
    desk.same_as_the_chain()


def test_bids_hash_as_the_contract_hashes_them(desk: LiquidationDesk) -> None:
    """Two hundred random ones, each field over its whole width."""
    rng = random.Random(7)
    for _ in range(200):
        terms = BidTerms(
            subaccount_id=rng.getrandbits(64),
            liquidated_id=rng.getrandbits(64),
            fraction=rng.getrandbits(64),
            price_limit=rng.getrandbits(64) - 2**63,
            expected_step=rng.getrandbits(64),
            nonce=rng.getrandbits(64),
            deadline=rng.getrandbits(64),
            signer=address_of(rng.randbytes(32)),
        )
        chain = desk.world.chain
        hashed = chain.call(chain.clearing, "hashBid", msgspec.structs.astuple(terms))
        assert bytes(hashed) == bid_digest(desk.domain, terms)


def test_the_chain_refuses_a_proof_of_a_healthy_account(desk: LiquidationDesk) -> None:
    """The relayer does not even send it, and whoever does pays for nothing."""
    strangle(desk, 100)
    desk.settle()
    chain = desk.world.chain
    holdings = expected_holdings(desk.world.reader.entries(), settled_seq=10**9, observed_seq=10**9)
    prover = Prover(chain, desk.world.relayer()[2], sender=address_of(RELAYER_KEY))
    for entry in desk.world.reader.entries():
        prover.follow(entry)
    assert not prover.step(holdings)
    assert chain.force_until(desk.seller.subaccount_id) == 0
    assert not of_kind(desk.sweep(), Refused)
    with pytest.raises(Reverted):
        chain.transact(RELAYER_KEY, chain.deployment.liquidations, b"\x00" * 4)
