"""The insurance fund of depositors on a real Anvil: dollars in, a loss, what is left out."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from tests.integration.test_liquidation_settlement import (
    DeceivedDesk,
    LiquidationDesk,
    gap,
    of_kind,
    opened,
    strangle,
)
from tests.settlement_world import World

from exchange.commands import DepositSeen, ObserveBlocks, SubaccountSeen
from exchange.events import (
    AnyEvent,
    FeesShared,
    InsuranceUsed,
    LiquidationEnded,
    LossSocialised,
    PortfolioTransferred,
    Traded,
    Withdrawn,
)
from exchange.fixed import CASH_SCALE, RATIO_SCALE
from exchange.journal.outbox import JobKind
from exchange.model import FEE_SUBACCOUNT_ID, LiquidationStage, Side
from exchange.observations import ExitSeen
from exchange.settlement.insurance import Closed, InsuranceFund
from exchange.settlement.reconcile import reconcile
from exchange.settlement.wallet import OwnerWallet
from exchange.signing import address_of

pytestmark = pytest.mark.integration

CAROL_KEY, DAVE_KEY, KEEPER_KEY = b"\x41" * 32, b"\x42" * 32, b"\x43" * 32
OF_CAROL, OF_DAVE = 400_000 * CASH_SCALE, 100_000 * CASH_SCALE


class FundWorld(World):
    """Its fund takes deposits; a round lasts a second. Its chain is its own."""

    insurance_notice_s: ClassVar[int] = 1

    def _copy_first(self) -> bool:
        return False

    def _keep_first(self) -> None:
        """Nobody else begins with it."""


class FundDesk(LiquidationDesk):
    """An engine that follows the fund's deposits and exits on chain."""

    def fill_fund(self, fund_id: int) -> None:
        chain = self.world.chain
        self.fund_id = fund_id
        for key in (CAROL_KEY, DAVE_KEY, KEEPER_KEY):
            chain.rpc("anvil_setBalance", address_of(key), hex(10**20))
        self.venue.observe(SubaccountSeen(subaccount_id=fund_id, owner=chain.deployment.insurance))
        self.followed = chain.head()

    def follow(self) -> tuple[AnyEvent, ...]:
        """Show the engine the deposits and exits of all blocks that it has not seen."""
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
                    seen for seen in found if isinstance(seen, DepositSeen | ExitSeen)
                ),
            )
        )

    def settle(self) -> list[JobKind]:
        """The chain's clock is not behind the engine's."""
        chain = self.world.chain
        chain.advance_time(max(chain.block_time(), self.venue.now_s))
        return super().settle()

    def bankrupt(self) -> int:
        """The seller is ruined, a keeper buys what it holds, the fund pays; how much it lost."""
        before = self.venue.cash(self.fund_id)
        strangle(self, 4_400)
        self.settle()
        gap(self, 29_000, 100)
        self.sweep()
        assert self.settle().count(JobKind.PROOF) == 1
        self.watch()
        events: list[AnyEvent] = []
        for _ in range(60):
            events += self.sweep()
            running = self.venue.engine.liquidations()
            if running and running[0].stage is LiquidationStage.INSOLVENT:
                events += self.bid(10**18)
            if of_kind(events, LiquidationEnded):
                break
        [sold] = of_kind(events, PortfolioTransferred)
        assert sold.taker_subaccount_id == self.keeper.subaccount_id
        assert of_kind(events, InsuranceUsed)
        assert not of_kind(events, LossSocialised)
        self.settle()
        self.same_as_the_chain()
        return before - self.venue.cash(self.fund_id)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[FundDesk]:
    yield from opened(FundDesk, FundWorld(tmp_path))


def pay_round(desk: FundDesk, keeper: InsuranceFund) -> None:
    """The notice is over: asked of the venue, paid by the engine in a batch, paid to the round."""
    chain = desk.world.chain
    chain.advance_time(chain.block_time() + 2)
    assert keeper.step().startswith("draw ")
    assert keeper.step() == "", "nothing arrived yet"
    paid = of_kind(desk.follow(), Withdrawn)
    assert [one.subaccount_id for one in paid] == [desk.fund_id]
    desk.settle()
    assert keeper.step().startswith("pay ")
    desk.follow()  # what was too much goes back into the fund


def test_depositors_bear_what_the_fund_loses(desk: FundDesk) -> None:
    """In, a loss covered, out at the lower price after the notice: every unit is somewhere."""
    chain = desk.world.chain
    funds = [InsuranceFund(chain, key) for key in (CAROL_KEY, DAVE_KEY, KEEPER_KEY)]
    carol, dave, keeper = funds
    for fund, key, amount in ((carol, CAROL_KEY, OF_CAROL), (dave, DAVE_KEY, OF_DAVE)):
        OwnerWallet(chain, key).mint(amount)
        fund.deposit(amount)
    desk.follow()
    assert desk.venue.cash(desk.fund_id) == OF_CAROL + OF_DAVE, "the engine's fund has it"
    assert chain.call(chain.clearing, "fundId") == desk.fund_id
    now = carol.status()
    assert (now.closed, now.worth, now.assets) == (Closed.NOT, OF_CAROL, OF_CAROL + OF_DAVE)
    assert 0 < now.deposit_max < OF_CAROL

    carol.request(now.shares)
    assert carol.status().asked == now.shares
    lost = desk.bankrupt()
    left = OF_CAROL + OF_DAVE - lost
    assert 0 < lost < OF_CAROL + OF_DAVE
    assert carol.status().assets == left

    assert carol.claim() == 0
    pay_round(desk, keeper)
    price = left * OF_CAROL // (OF_CAROL + OF_DAVE)
    got = carol.claim()
    assert got in (price - 1, price), "four fifths of what is left"
    assert chain.usdc_balance(carol.address) == got
    assert carol.status().claimable == carol.claim() == 0

    dave.request(dave.status().shares)
    pay_round(desk, keeper)
    got += dave.claim()
    assert chain.usdc_balance(carol.address) + chain.usdc_balance(dave.address) == got
    assert desk.venue.cash(desk.fund_id) == left - got <= 2, "rounded against who leaves"
    desk.settle()
    assert reconcile(desk.world.reader, chain).differences == ()


TENTH, HOUR_S = RATIO_SCALE // 10, 3_600


class SharingDesk(FundDesk):
    """Shares a tenth of its fees with the fund."""

    fee_share: ClassVar[int] = TENTH

    def an_hour_later(self) -> list[FeesShared]:
        """What the fund gets with the first prices."""
        self.venue.wait(HOUR_S)
        before = len(self.venue.entries)
        self.remark()
        later = self.venue.entries[before:]
        return [one for *_, events in later for one in of_kind(events, FeesShared)]

    @property
    def fees(self) -> int:
        """All that were charged so far."""
        traded = [one for *_, events in self.venue.entries for one in of_kind(events, Traded)]
        return sum(one.maker_fee + one.taker_fee for one in traded)


@pytest.fixture
def sharing(tmp_path: Path) -> Iterator[SharingDesk]:
    yield from opened(SharingDesk, FundWorld(tmp_path))


def test_depositors_get_the_funds_share_of_fees(sharing: SharingDesk) -> None:
    """Traded, paid an hour later, settled: chain, engine and the price of shares agree."""
    desk, world, chain = sharing, sharing.world, sharing.world.chain
    carol = InsuranceFund(chain, CAROL_KEY)
    OwnerWallet(chain, CAROL_KEY).mint(OF_CAROL)
    carol.deposit(OF_CAROL)
    desk.follow()
    for price in (2_500, 2_503, 2_507):
        desk.trade(Side.SELL, desk.call, 117, price)
    desk.settle()
    assert (desk.venue.cash(FEE_SUBACCOUNT_ID), carol.status().assets) == (desk.fees, OF_CAROL)

    share = desk.fees // 10
    [paid] = desk.an_hour_later()
    assert (paid.fund_subaccount_id, paid.amount) == (desk.fund_id, share)
    assert share > 0
    desk.settle()
    desk.same_as_the_chain()
    assert desk.venue.cash(desk.fund_id) == OF_CAROL + share
    assert desk.venue.cash(FEE_SUBACCOUNT_ID) == desk.fees - share
    now = carol.status()
    assert now.assets == OF_CAROL + share
    assert 0 <= OF_CAROL + share - now.worth <= 2
    assert reconcile(world.reader, chain).differences == ()


class DeceivedSharingDesk(DeceivedDesk, SharingDesk):
    """Its relayer may sign for the venue."""


@pytest.fixture
def deceived(tmp_path: Path) -> Iterator[DeceivedSharingDesk]:
    yield from opened(DeceivedSharingDesk, FundWorld(tmp_path))


def test_a_share_that_the_chain_refuses_stops_nothing(deceived: DeceivedSharingDesk) -> None:
    """The venue took a side of a fill, so it holds a position: the share of fees is owed again."""
    desk, world = deceived, deceived.world
    key = desk.seller.key
    desk.seller.key = b"\x66" * 32
    desk.trade(Side.SELL, desk.call, 100, 2_500)
    desk.seller.key = key
    [paid] = desk.an_hour_later()
    world.chain.advance_time(desk.venue.now_s)
    fill, act = desk.correct()
    assert [one.subaccount_id for one in fill.fills] == [desk.seller.subaccount_id]
    assert desk.acts_of(act) == [paid]
    assert desk.venue.engine.positions(FEE_SUBACCOUNT_ID)
    assert desk.venue.cash(desk.fund_id) == 0
    assert desk.an_hour_later() == []
