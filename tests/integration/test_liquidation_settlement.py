"""A liquidation from the engine to a real Anvil: proof, slices, a bid, the fund, a shared loss."""

import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec
import pytest
from tests.integration.test_linear_settlement import PERPETUAL
from tests.integration.test_proving import MarginDesk
from tests.liquidation_world import rules
from tests.settlement_world import DEPLOYER_KEY, RELAYER_KEY, World
from tests.venue import call, limits, refusals, usdc

from exchange.bootstrap.parameters import LIMITS
from exchange.commands import (
    AccrueFunding,
    BatchSeen,
    BidLiquidation,
    CutBatch,
    DepositSeen,
    ForceSeen,
    Novate,
    ObserveBlocks,
    SubaccountSeen,
    SweepLiquidations,
)
from exchange.events import (
    AnyEvent,
    ForceGranted,
    InsuranceUsed,
    LiquidationAuctionStarted,
    LiquidationEnded,
    LiquidationStarted,
    LossSocialised,
    PortfolioTransferred,
    Refused,
    RejectReason,
    Traded,
)
from exchange.fixed import CASH_SCALE, notional
from exchange.journal.outbox import JobKind, JobState
from exchange.model import FEE_SUBACCOUNT_ID, BidTerms, LiquidationStage, Side, seq_and_place
from exchange.settlement.auctions import ChainAuctions, Offer
from exchange.settlement.batch import encode_call
from exchange.settlement.deploy import furnish_bands, furnish_margin
from exchange.settlement.errors import Reverted
from exchange.settlement.holdings import expected_holdings
from exchange.settlement.novator import Novator
from exchange.settlement.prover import Prover
from exchange.settlement.proving import margin_proof
from exchange.settlement.reconcile import reconcile
from exchange.settlement.relayer import Relayer
from exchange.settlement.wallet import OwnerWallet
from exchange.settlement.watcher import ExchangeUnavailable
from exchange.signing import address_of, bid_digest, sign_digest

pytestmark = pytest.mark.integration

FUND = 20_000 * CASH_SCALE
D = TypeVar("D", bound="LiquidationDesk")


class LiquidationDesk(MarginDesk):
    """Liquidates, but nobody whom the chain has not seen below maintenance."""

    fee_share: ClassVar[int] = 0

    def __init__(self, world: World, **parameters: Any) -> None:
        fund_id = world.chain.deployment.fund_subaccount_id
        liquidation = rules(needs_proof=True, fund_subaccount_id=fund_id, fee_share=self.fee_share)
        super().__init__(world, liquidation=liquidation, **parameters)
        furnish_margin(world.chain, DEPLOYER_KEY, self.configured)
        furnish_bands(world.chain, DEPLOYER_KEY, self.configured)
        self.fill_fund(fund_id)
        self.keeper, self.seller = self.traders
        self.call, self.put = self.ids[3], self.ids[4]
        self.journals = 0

    def fill_fund(self, fund_id: int) -> None:
        OwnerWallet(self.world.chain, DEPLOYER_KEY).fund(fund_id, FUND)
        self.venue.observe(DepositSeen(subaccount_id=fund_id, amount=FUND))

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

    def bid(self, fraction: int, signer: str = "") -> tuple[AnyEvent, ...]:
        [running] = self.venue.engine.liquidations()
        terms = BidTerms(
            subaccount_id=self.keeper.subaccount_id,
            liquidated_id=self.seller.subaccount_id,
            fraction=fraction,
            price_limit=usdc(10_000_000),
            expected_step=running.step,
            nonce=self.venue.next_nonce,
            deadline=self.venue.now_s + 60,
            signer=signer or self.keeper.address,
        )
        self.venue.next_nonce += 1
        signature = sign_digest(bid_digest(self.domain, terms), self.keeper.key)
        return self.venue.send(BidLiquidation(terms=terms, signature=signature))


def opened(desk_of: type[D], world: World) -> Iterator[D]:
    """For a fixture: its world is closed after the test."""
    yield desk_of(world)
    world.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[LiquidationDesk]:
    yield from opened(LiquidationDesk, World(tmp_path))


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


BIDDER_KEY = b"\x3b" * 32


class AuctionDesk(LiquidationDesk):
    """An operator that settles and posts, and liquidates nobody: no proof ever reaches it."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        chain = world.chain
        chain.rpc("anvil_setBalance", address_of(BIDDER_KEY), hex(10**20))
        self.auctions = ChainAuctions(chain, self.prove, address_of(BIDDER_KEY))
        self.do(
            "setAuctionRules", ("(uint64,uint64,uint64,uint64)",), (3600, 600, 25 * 10**16, 100)
        )
        self.followed = chain.head()

    def do(self, name: str, types: tuple[str, ...], *words: object) -> None:
        clearing = self.world.chain.deployment.clearing
        self.world.chain.transact(DEPLOYER_KEY, clearing, encode_call(name, types, words))

    def prove(self, subaccount_id: int) -> tuple[object, ...]:
        return margin_proof(self.world.reader, self.world.chain, subaccount_id)

    def step(self, name: str) -> None:
        found = self.auctions.step(self.seller.subaccount_id)
        assert found is not None
        assert found.name == name
        self.world.chain.transact(BIDDER_KEY, found.to, found.data)

    def later(self, second: int) -> None:
        """Chain and venue come to this second; marks and funding go on, and all of it settles."""
        self.venue.wait_until(second)
        self.world.chain.rpc("evm_setNextBlockTimestamp", second)
        self.world.chain.rpc("evm_mine")
        self.remark()
        self.venue.send(AccrueFunding())
        self.settle()

    def follow(self) -> tuple[AnyEvent, ...]:
        """Show the engine the auctions of all blocks that it has not seen."""
        chain, venue = self.world.chain, self.venue
        chain.rpc("evm_mine")  # a block that the journal has not observed
        head = chain.head()
        found = [seen for _, seen in chain.observations(self.followed + 1, head)]
        self.followed = head
        return venue.send(
            ObserveBlocks(
                first_block=venue.engine.last_block + 1,
                last_block=head,
                last_hash=chain.block_hash(head) or "",
                observations=tuple(
                    seen for seen in found if not isinstance(seen, BatchSeen | ForceSeen)
                ),
            )
        )


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[AuctionDesk]:
    yield from opened(AuctionDesk, World(tmp_path))


def buy(idle: AuctionDesk) -> Offer:
    """A stranger with dollars in its wallet takes what is offered."""
    bidder = OwnerWallet(idle.world.chain, BIDDER_KEY)
    offer = idle.auctions.offer(idle.seller.subaccount_id)
    assert offer is not None
    assert offer.discount > 0
    bidder.mint(offer.deposit)
    bidder.approve(offer.deposit)
    bid = idle.auctions.bid(offer)
    idle.world.chain.transact(BIDDER_KEY, bid.to, bid.data)
    return offer


def give_back(idle: AuctionDesk) -> None:
    """The seller recovers: a stranger proves it and ends the auction, and the seller trades."""
    chain, seller = idle.world.chain, idle.seller.subaccount_id
    gap(idle, 2_500, 2_500)
    idle.settle()
    healthy = idle.auctions.lapse(seller)
    chain.transact(BIDDER_KEY, healthy.to, healthy.data)
    idle.step("endAuction")
    assert of_kind(idle.follow(), LiquidationEnded)
    idle.trade(Side.BUY, idle.call, 100, 2_500)
    idle.settle()
    idle.same_as_the_chain()


def test_an_auction_without_the_operator(idle: AuctionDesk) -> None:
    """Announced, started, sold and ended by a stranger; the engine has what the chain has."""
    chain, seller = idle.world.chain, idle.seller.subaccount_id
    strangle(idle, 4_400)
    idle.trade(Side.SELL, PERPETUAL, 100, idle.prices[PERPETUAL])
    idle.settle()
    gap(idle, 14_000, 100)
    assert of_kind(idle.sweep(), LiquidationStarted)
    assert idle.settle().count(JobKind.PROOF) == 1
    assert idle.auctions.flagged() == [seller]
    idle.step("announceAuction")
    assert idle.auctions.step(seller) is None, "the operator has its notice"

    idle.later(idle.auctions.standing(seller).starts_at + 1)
    idle.step("startAuction")
    [frozen] = of_kind(idle.follow(), LiquidationAuctionStarted)
    assert frozen.stage is LiquidationStage.ON_CHAIN
    assert not idle.sweep()
    assert idle.auctions.offer(seller) is None, "a batch may be under way yet"

    idle.later(idle.auctions.standing(seller).bids_from + 300)
    offer = buy(idle)
    idle.venue.send(AccrueFunding())  # the journal goes on before it sees the sale
    [sold] = of_kind(idle.follow(), PortfolioTransferred)
    worth = sum(notional(leg.price, leg.quantity) for leg in sold.legs)
    assert sold.on_chain
    assert PERPETUAL in {leg.instrument_id for leg in sold.legs}
    assert worth - sold.discount <= offer.price, "never dearer than the offer"
    owner, _ = chain.call(chain.clearing, "account", sold.taker_subaccount_id)
    assert owner == address_of(BIDDER_KEY)
    idle.settle()
    idle.same_as_the_chain()

    give_back(idle)


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


class DeceivedDesk(LiquidationDesk):
    """Was told of proofs that the chain has not seen; its relayer may sign for the venue."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.commands: list[Novate] = []
        owner = address_of(DEPLOYER_KEY)
        self.venue.observe(SubaccountSeen(subaccount_id=FEE_SUBACCOUNT_ID, owner=owner))

    def novate(self, command: Novate) -> None:
        self.commands.append(command)
        assert not of_kind(self.venue.send(command), Refused)
        raise ExchangeUnavailable("the journal is written anew")

    def believe(self) -> None:
        """A proof that nobody posted."""
        proof = ForceSeen(
            subaccount_id=self.seller.subaccount_id,
            until=self.venue.now_s + 3_000,
            contracts=10**6,
            budget=usdc(10**6),
        )
        self.venue.observe(proof)

    def correct(self) -> list[Novate]:
        """Settle what was cut, each refused part replaced; what was replaced."""
        self.commands.clear()
        self.venue.send(CutBatch())
        for _ in range(30):
            self._write()
            feed, _, outbox = self.world.relayer()
            house = Novator(
                feed, self.world.chain, self, key=DEPLOYER_KEY, sender=address_of(RELAYER_KEY)
            )
            relayer = Relayer(feed, outbox, self.world.chain, self.world.options(), house)
            with suppress(ExchangeUnavailable):
                self._drain(relayer)
            states = {job.state for job in outbox.jobs()}
            outbox.close()
            if states == {JobState.CONFIRMED}:
                break
        assert states == {JobState.CONFIRMED}
        assert reconcile(self.world.reader, self.world.chain).differences == ()
        self.same_as_the_chain()
        return self.commands

    def acts_of(self, command: Novate) -> list[AnyEvent]:
        """What it says did not happen."""
        places = [seq_and_place(act.act_id) for act in command.acts]
        return [self.venue.entries[seq - 1][3][place] for seq, place in places]

    def settle_truly(self) -> None:
        """A proof that the chain has; the engine sees it."""
        assert self.settle().count(JobKind.PROOF) == 1
        self.watch()


@pytest.fixture
def deceived(tmp_path: Path) -> Iterator[DeceivedDesk]:
    yield from opened(DeceivedDesk, World(tmp_path))


def test_whatever_the_chain_refuses_of_a_liquidation_stops_nothing(deceived: DeceivedDesk) -> None:
    """A slice, a takeover with a perpetual in it, what the fund took and paid, and a shared loss.

    The innocent keep what they traded; each figure is the chain's in the end.
    """
    desk = deceived
    strangle(desk, 4_400)
    desk.trade(Side.SELL, PERPETUAL, 100, desk.prices[PERPETUAL])
    gap(desk, 14_000, 100)
    assert of_kind(desk.sweep(), LiquidationStarted)
    desk.place_offer(desk.put, 500, 14_000)
    desk.believe()
    assert [event for _ in range(5) for event in of_kind(desk.sweep(), Traded)]
    [command] = desk.correct()
    assert {(fill.subaccount_id, fill.maker) for fill in command.fills} == {
        (desk.seller.subaccount_id, False)
    }

    desk.believe()
    for _ in range(8):
        desk.sweep()
    [sold] = of_kind(desk.bid(10**17), PortfolioTransferred)
    assert PERPETUAL in {leg.instrument_id for leg in sold.legs}
    [command] = desk.correct()
    assert desk.acts_of(command) == [sold]
    assert desk.venue.engine.held == [desk.seller.subaccount_id]

    desk.believe()
    gap(desk, 40_000, 50)
    taken = [event for _ in range(70) for event in desk.sweep()]
    kinds = (PortfolioTransferred, InsuranceUsed, LossSocialised)
    acts = [event for event in taken if isinstance(event, kinds)]
    assert {type(event) for event in acts} == set(kinds)
    assert [event for command in desk.correct() for event in desk.acts_of(command)] == acts


def test_the_fund_takes_the_place_of_a_keeper_whose_bid_is_void(deceived: DeceivedDesk) -> None:
    """The chain saw the proof, and no valid signature of the keeper."""
    desk = deceived
    strangle(desk, 4_400)
    desk.settle()
    gap(desk, 14_000, 100)
    desk.sweep()
    desk.settle_truly()
    for _ in range(12):
        desk.sweep()
    desk.keeper.key, key = b"\x66" * 32, desk.keeper.key
    address = address_of(key)
    [sold] = of_kind(desk.bid(10**17, signer=address), PortfolioTransferred)
    desk.keeper.key = key
    [command] = desk.correct()
    assert desk.acts_of(command) == [sold]
    fund_id = desk.world.chain.deployment.fund_subaccount_id
    assert command.acts[0].fund_subaccount_id == fund_id
    held = desk.venue.engine.positions(fund_id)
    assert held == {leg.instrument_id: leg.quantity for leg in sold.legs}


LIMIT = RejectReason.POSITION_LIMIT
GAS_MAX = 2**24  # of one transaction, EIP-7825
GAS_OF_FILL = 55_000  # docs/settlement.md


def test_all_that_one_subaccount_may_hold_is_taken_over_in_one_transaction(tmp_path: Path) -> None:
    """As many instruments as the venue allows, every slot of the fund's fresh.

    With as many fills as its batch could hold besides, and the relayer's margin on an estimate, it
    stays below what one transaction may use; so does the proof.
    """
    world = World(tmp_path)
    most, full = LIMITS.positions_max, LIMITS.batch_items_max
    desk = LiquidationDesk(world, limits=limits(positions_max=most, batch_items_max=full))
    strikes = range(120_000, 120_000 + 500 * most, 500)
    calls = [call(strike, expiry=desk.expiry) for strike in strikes]
    desk.venue.list_instruments(*calls)
    desk.ids += calls
    desk.prices |= dict.fromkeys(calls, 100)
    desk.remark()
    for number in calls:
        desk.trade(Side.SELL, number, 50, 100)
    seller = desk.seller.subaccount_id
    assert len(desk.venue.engine.positions(seller)) == most
    assert refusals(desk.venue.buy(seller, 1, 2_500, instrument_id=desk.put)) == [LIMIT]
    desk.settle()
    desk.prices |= dict.fromkeys(calls, 12_500)
    assert of_kind(desk.sweep(), LiquidationStarted)
    assert desk.settle().count(JobKind.PROOF) == 1
    desk.watch()
    taken: list[AnyEvent] = []
    while not of_kind(taken, PortfolioTransferred):
        assert len(taken) < 400, "nobody took over"
        taken = [*taken, *desk.sweep(5)]
    [moved] = of_kind(taken, PortfolioTransferred)
    assert len(moved.legs) == most
    desk.settle()
    desk.same_as_the_chain()
    outbox = world.relayer()[2]
    largest = max(job.gas_used for job in outbox.jobs() if job.kind is JobKind.PROOF)
    last = [job for job in outbox.jobs() if job.kind is JobKind.BATCH][-1]
    outbox.close()
    world.close()
    assert largest * 5 // 4 < GAS_MAX
    assert (last.gas_used + full * GAS_OF_FILL) * 5 // 4 < GAS_MAX, last.gas_used
