"""Reconciliation that goes on: what changed, once a batch is final."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.fake_chain import WETH, FakeChain
from tests.settlement_world import PRICE, Script
from tests.venue import COLLATERALS, configuration

from exchange.commands import (
    AccrueInterest,
    BatchSeen,
    CutBatch,
    DepositSeen,
    HoldWithdrawals,
    Novate,
    ObserveBlocks,
    RefusedAct,
    RevertBlocks,
    SubaccountSeen,
)
from exchange.events import (
    ActRefused,
    BlocksObserved,
    Configured,
    GovernanceChanged,
    InterestPaid,
    LossSocialised,
    PortfolioTransferred,
    Refused,
    RejectReason,
    TransferredToken,
)
from exchange.fixed import CASH_SCALE
from exchange.journal import JournalReader
from exchange.reversals import BatchReverted, DepositReverted
from exchange.settlement import reconciler as module
from exchange.settlement.acts import numbered_events
from exchange.settlement.cursor import BlockCursor, follow_blocks
from exchange.settlement.holdings import Held
from exchange.settlement.margin_proof import parameters_hash
from exchange.settlement.reconciler import Reconciler
from exchange.settlement.watcher import ExchangeUnavailable, Watcher, WatcherOptions


class Settling(FakeChain):
    """Says what it holds, and who was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.positions: dict[int, dict[int, Held]] = {}
        self.instruments: dict[int, list[int]] = {}  # that were asked for last, by subaccount
        self.tokens: dict[int, int] = {}
        self.parameters = bytes(32)

    def cash_and_positions(self, subaccount_id, instrument_ids, block="latest"):
        self.asked.append(subaccount_id)
        assert block == self.head(), "the block that the journal observed"
        self.instruments[subaccount_id] = instrument_ids
        return self.cash.get(subaccount_id, 0), self.positions.get(subaccount_id, {})

    def parameters_hash(self):
        return self.parameters

    def token_held(self, subaccount_id, token, block="latest"):
        assert block == self.head()
        return self.tokens.get(subaccount_id, 0) if token == WETH else 0


class World:
    def __init__(self, folder: Path) -> None:
        self.script = Script(folder / "journal.db")
        self.reader = JournalReader(str(self.script.path))
        self.chain = Settling()
        self.holds: list[HoldWithdrawals] = []
        self.away = False
        self.reconciler = Reconciler(self.reader, self.chain, self)

    def hold_withdrawals(self, command: HoldWithdrawals) -> None:
        if self.away:
            raise ExchangeUnavailable("gone")
        self.holds.append(command)

    def observe(self, *seen) -> None:
        self.chain.observe(*seen)
        cursor = BlockCursor()
        for entry in self.script.entries:
            cursor = follow_blocks(cursor, entry)
        Watcher(self.chain, self.script, WatcherOptions()).step(cursor)

    def settle(self) -> None:
        """The batch is cut, and final in the next block."""
        cut = self.script.cut()
        self.observe(BatchSeen(number=cut.number, batch_hash=bytes(32), block=1, transaction=""))

    def compared(self) -> list[int]:
        """Who was asked for, until nothing is left to do."""
        self.chain.asked.clear()
        while self.reconciler.step():
            pass
        return self.chain.asked

    def close(self) -> None:
        self.script.close()
        self.reader.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.observe(
        *(SubaccountSeen(subaccount_id=n, owner="0x") for n in (2, 3, 4)),
        *(DepositSeen(subaccount_id=n, amount=100 * CASH_SCALE) for n in (2, 3, 4)),
        DepositSeen(subaccount_id=4, amount=5, token=WETH),
    )
    world.chain.cash = dict.fromkeys((2, 3, 4), 100 * CASH_SCALE)
    world.chain.tokens = {4: 5}
    yield world
    world.close()


def test_only_who_changed_is_asked_for(world: World) -> None:
    """All of them once, then those that the settled batch names, and the venue."""
    script = world.script
    assert world.compared() == []
    script.withdraw(script.taker, 10 * CASH_SCALE)
    world.settle()
    world.chain.cash[3] -= 10 * CASH_SCALE
    assert world.compared() == [1, 2, 3, 4]
    assert world.compared() == []
    script.withdraw(script.maker, 1)
    world.settle()
    world.chain.cash[2] -= 1
    script.withdraw(script.maker, 7)  # waits for the next batch
    assert world.compared() == [1, 2]
    assert (world.reconciler.count, world.holds) == (0, [])


def test_a_difference_holds_withdrawals_once(world: World) -> None:
    """And is asked for again with each batch, until it is gone."""
    script = world.script
    script.withdraw(script.taker, 10)
    world.settle()
    world.compared()
    assert world.reconciler.count == 1
    detail = f"subaccount 3: cash should be {100 * CASH_SCALE - 10}, the chain has 100000000"
    assert world.holds == [HoldWithdrawals(subaccount_id=3, held=True, detail=detail)]
    script.withdraw(script.maker, 10)
    world.settle()
    world.chain.cash[2] -= 10
    assert world.compared() == [1, 2, 3]
    assert len(world.holds) == 1
    world.chain.cash[3] -= 10
    script.withdraw(script.maker, 10)
    world.settle()
    world.chain.cash[2] -= 10
    world.compared()
    assert world.reconciler.differences == {}


def test_positions_are_compared_of_those_who_traded(world: World) -> None:
    """In what the subaccount ever traded, and nothing else; figures that differ hold it."""
    script, number = world.script, world.script.instrument_id
    script.trade()
    world.settle()
    world.chain.cash |= {
        1: 3 * CASH_SCALE,
        2: 99 * CASH_SCALE + PRICE,
        3: 98 * CASH_SCALE - PRICE,
    }
    world.chain.positions = {2: {number: Held(-10_000)}, 3: {number: Held(9_999)}}
    world.compared()
    assert world.chain.instruments == {1: [], 2: [number], 3: [number], 4: []}
    assert [hold.detail for hold in world.holds] == [
        f"subaccount 3: quantity in {number} should be 10000, the chain has 9999"
    ]


def test_tokens_are_compared_too(world: World) -> None:
    """By their name."""
    world.chain.tokens = {4: 6}
    world.script.withdraw(world.script.maker, 1)
    world.settle()
    world.chain.cash[2] -= 1
    world.compared()
    assert [hold.detail for hold in world.holds] == [
        "subaccount 4: WETH should be 5, the chain has 6"
    ]


def test_nobody_is_forgotten_while_the_exchange_is_away(world: World) -> None:
    """The comparison comes again."""
    world.script.withdraw(world.script.taker, 10)
    world.settle()
    world.away = True
    with pytest.raises(ExchangeUnavailable):
        world.compared()
    world.away = False
    world.compared()
    assert [hold.subaccount_id for hold in world.holds] == [3]


def test_a_long_journal_is_read_in_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is compared before it is read."""
    monkeypatch.setattr(module, "_ENTRIES_AT_ONCE", 1)
    world.script.withdraw(world.script.taker, 10)
    world.settle()
    assert world.reconciler.step()
    assert world.chain.asked == []
    assert 3 in world.compared()


def test_a_chain_that_is_reorganised_while_it_is_asked_holds_nobody(world: World) -> None:
    """Who differs then is nobody's fault; all are asked again once the blocks are known."""
    script, chain = world.script, world.chain
    script.withdraw(script.taker, 10)
    world.settle()
    hashes = iter([chain.block_hash(chain.head()), "0x" + "99" * 32])
    plain = chain.block_hash
    chain.block_hash = lambda block: next(hashes, None) or plain(block)
    assert world.compared()
    assert (world.holds, world.reconciler.count) == ([], 0)
    assert world.compared()
    assert [one.subaccount_id for one in world.holds] == [3]


def test_another_history_is_not_compared(world: World) -> None:
    """If the observed block is gone, the watcher tells."""
    world.script.withdraw(world.script.taker, 10)
    world.settle()
    world.chain.reorganise(1)
    assert world.compared() == []


def test_roles_that_change_on_a_chain_that_settles_are_noted(world: World) -> None:
    """Those named before the first batch are the venue's beginning; other changes are no roles."""
    reconciler, script = world.reconciler, world.script
    granted = GovernanceChanged(change="RoleGranted", detail="roleId=1 account=0x")
    script.add(CutBatch(), granted)
    world.compared()
    assert (reconciler.governance, reconciler.roles_changed_s) == (1, 0)
    script.withdraw(script.taker, 10)
    world.settle()
    script.add(CutBatch(), GovernanceChanged(change="MarginSet", detail=""))
    world.compared()
    assert (reconciler.governance, reconciler.roles_changed_s) == (2, 0)
    script.add(CutBatch(), granted)
    world.compared()
    assert (reconciler.governance, reconciler.roles_changed_s) == (3, script.time_ns // 10**9)


def test_every_entry_is_told_to_who_listens(world: World) -> None:
    """In order, whether it changes anything or not."""
    told: list[int] = []
    listening = Reconciler(
        world.reader,
        world.chain,
        world,
        lambda entry: told.append(entry.seq),
    )
    world.settle()
    assert listening.step(), "everybody was compared"
    assert not listening.step()
    assert told == [entry.seq for entry in world.script.entries]


def interest(world: World) -> int:
    """The maker is charged five; the number of that act."""
    paid = InterestPaid(subaccount_id=2, amount=5)
    [(_, act_id)] = numbered_events(world.script.add(AccrueInterest(), paid))
    return act_id


def test_everybody_whom_a_loss_touched_is_asked_for(world: World) -> None:
    """Who shares it, and the fund that is paid."""
    world.settle()
    world.compared()
    loss = LossSocialised(
        fund_subaccount_id=4, liquidated_id=2, amount=9, shares=((3, 9),), declared=9
    )
    world.script.add(AccrueInterest(), loss)
    world.settle()
    world.chain.cash |= {3: 100 * CASH_SCALE - 9, 4: 100 * CASH_SCALE + 9}
    assert world.compared() == [1, 3, 4]
    assert world.reconciler.differences == {}


def test_an_act_that_the_chain_refused_is_not_expected(world: World) -> None:
    """What the journal took of it the novation gave back, of this one and no other."""
    world.settle()
    world.compared()
    refused = interest(world)
    interest(world)
    act = InterestPaid(subaccount_id=2, amount=5)
    undone = ActRefused(batch=1, act_id=refused, act=act, subaccount_id=2, fund_subaccount_id=0)
    novation = Novate(batch=1, fills=(), acts=(RefusedAct(act_id=refused),))
    world.script.add(novation, undone)
    world.settle()
    world.chain.cash |= {1: 5, 2: 100 * CASH_SCALE - 5}
    assert world.compared() == [1, 2]
    assert world.reconciler.differences == {}


def test_whose_act_was_refused_is_asked_for(world: World) -> None:
    """Though nothing of it is left to settle."""
    world.settle()
    world.compared()
    act = InterestPaid(subaccount_id=3, amount=5)
    undone = ActRefused(batch=1, act_id=99, act=act, subaccount_id=1, fund_subaccount_id=0)
    world.script.add(Novate(batch=1, fills=(), acts=(RefusedAct(act_id=99),)), undone)
    world.settle()
    assert world.compared() == [1, 3]


def sold(world: World, amount: int) -> None:
    """The chain itself moved a token of subaccount 4 to subaccount 3."""
    token = TransferredToken(asset_id=1, amount=amount, value=0, token=WETH)
    event = PortfolioTransferred(
        subaccount_id=4,
        taker_subaccount_id=3,
        step=1,
        fraction=10**18,
        legs=(),
        tokens=(token,),
        discount=7,
        by_fund=False,
        on_chain=True,
    )
    world.chain.mine()
    head = world.chain.head()
    block_hash = world.chain.block_hash(head) or ""
    seen = ObserveBlocks(first_block=head, last_block=head, last_hash=block_hash)
    world.script.add(seen, event, BlocksObserved(last_block=head))


def test_what_the_chain_sold_is_expected_at_once(world: World) -> None:
    """Both sides are looked at with the next final batch; once, though batches are lost."""
    world.settle()
    world.compared()
    sold(world, 2)
    assert world.compared() == []
    assert world.reconciler.holdings.tokens == {(4, WETH): 3, (3, WETH): 2}
    kept = world.chain.head()
    world.settle()
    world.chain.tokens = {3: 2, 4: 3}
    world.chain.cash |= {3: 100 * CASH_SCALE + 7, 4: 100 * CASH_SCALE - 7}
    assert world.compared() == [1, 3, 4]
    assert world.reconciler.differences == {}
    world.chain.reorganise(1)
    back = RevertBlocks(last_block=kept, last_hash=world.chain.block_hash(kept) or "")
    world.script.revert(back, BatchReverted(number=2))
    world.compared()
    assert world.reconciler.holdings.tokens == {(4, WETH): 3, (3, WETH): 2}
    world.observe(BatchSeen(number=2, batch_hash=bytes(32), block=1, transaction=""))
    assert world.compared() == [1, 2, 3, 4]
    assert world.reconciler.differences == {}


def test_other_parameters_on_chain_raise_an_alarm(world: World) -> None:
    """With a `Configure`, and again with each final batch; no money is held for it."""
    reconciler, script, chain = world.reconciler, world.script, world.chain
    first = configuration()
    script.add(first, Configured(version=1))
    world.compared()
    assert not reconciler.parameters_differ, "a chain without Margin proves nothing"
    chain.deployment = msgspec.structs.replace(chain.deployment, margin=chain.deployment.oracle)
    other = msgspec.structs.replace(first, collaterals=COLLATERALS[:1])
    script.add(other, Configured(version=2))
    world.compared()
    assert reconciler.parameters_differ
    chain.parameters = parameters_hash(other.margin, other.collaterals)
    script.withdraw(script.taker, 10)
    world.settle()
    chain.cash[3] -= 10
    world.compared()
    assert not reconciler.parameters_differ, "governance followed"
    refused = Refused(reason=RejectReason.STALE_VERSION, detail="")
    script.add(first, refused)
    world.compared()
    assert not reconciler.parameters_differ, "what was refused is not in force"
    assert world.holds == []


def test_a_batch_that_is_lost_is_folded_again_when_it_is_final_again(world: World) -> None:
    """Until then it is as if it had not settled, and everybody is looked at once more."""
    world.script.withdraw(world.script.maker, 3)
    world.settle()
    world.chain.cash[2] -= 3
    kept = world.chain.head()
    world.script.withdraw(world.script.taker, 10)
    world.settle()
    world.chain.cash[3] -= 10
    world.compared()
    world.chain.reorganise(1)
    back = RevertBlocks(last_block=kept, last_hash=world.chain.block_hash(kept) or "")
    world.script.revert(back, BatchReverted(number=2))
    world.compared()
    holdings = world.reconciler._holdings
    assert (holdings.cash[2], holdings.cash[3]) == (100 * CASH_SCALE - 3, 100 * CASH_SCALE)
    world.observe(BatchSeen(number=2, batch_hash=bytes(32), block=1, transaction=""))
    assert world.compared() == [1, 2, 3, 4]
    assert holdings.cash[3] == 100 * CASH_SCALE - 10
    assert (world.reconciler.differences, world.holds) == ({}, [])


def test_a_deposit_that_was_lost_with_a_batch_stays_lost(world: World) -> None:
    """One entry takes back both: folding anew goes through that entry and no further."""
    kept = world.chain.head()
    world.script.withdraw(world.script.taker, 10)
    world.settle()
    world.chain.cash[3] -= 10
    world.compared()
    world.chain.reorganise(1)
    back = RevertBlocks(last_block=kept, last_hash=world.chain.block_hash(kept) or "")
    lost = DepositReverted(subaccount_id=4, amount=30)
    world.script.revert(back, BatchReverted(number=1), lost)
    world.observe(DepositSeen(subaccount_id=2, amount=7))
    world.compared()
    holdings = world.reconciler.holdings
    start = 100 * CASH_SCALE
    assert holdings.cash == {1: 0, 2: start + 7, 3: start, 4: start - 30}
