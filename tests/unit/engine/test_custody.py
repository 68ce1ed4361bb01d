"""What binds the engine to the chain: blocks, keys, floors, deposits, batches, clock."""

import pytest
from tests.venue import (
    FEE_ID,
    NS,
    START_S,
    configuration,
    limits,
    names,
    open_venue,
    refusals,
)

from exchange.commands import (
    AdvanceClock,
    BatchSeen,
    CutBatch,
    DepositSeen,
    ObserveBlocks,
    SubaccountSeen,
)
from exchange.engine import Engine
from exchange.events import (
    BatchConfirmed,
    BatchCut,
    BlocksObserved,
    ClockAdvanced,
    Deposited,
    RejectReason,
    SubaccountOpened,
)

R = RejectReason
ZERO = "0x" + "0" * 40


def blocks(first: int, last: int) -> ObserveBlocks:
    return ObserveBlocks(first_block=first, last_block=last, last_hash=f"hash of {last}")


# --- blocks ---


def test_the_first_blocks_may_begin_anywhere(venue):
    """A venue deployed at block 1000 need not read what came before."""
    assert venue.send(blocks(1_000, 1_003)) == (BlocksObserved(last_block=1_003),)
    assert venue.engine.last_block == 1_003


GAPS = [
    (12, 13, "a gap"),
    (10, 11, "a repetition"),
    (9, 12, "an overlap"),
    (11, 10, "an end before its begin"),
]


@pytest.mark.parametrize(("first", "last", "why"), GAPS)
def test_blocks_follow_one_another(venue, first, last, why):
    """Anything else is refused, so that no log is missed or counted twice."""
    venue.send(blocks(1, 10))
    assert refusals(venue.send(blocks(first, last))) == [R.BLOCK_GAP], why
    assert names(venue.send(blocks(11, 12))) == ["BlocksObserved"]


def test_first_blocks_are_in_order_too(venue):
    """An empty range is no range, even at the start."""
    assert refusals(venue.send(blocks(5, 4))) == [R.BLOCK_GAP]


def test_a_deposit_is_credited_once(venue):
    """The log of a block that was read is cash; the same block again is refused."""
    events = venue.observe(
        SubaccountSeen(subaccount_id=2, owner="ann"), DepositSeen(subaccount_id=2, amount=5)
    )
    assert events == (
        SubaccountOpened(subaccount_id=2, owner="ann"),
        Deposited(subaccount_id=2, amount=5),
        BlocksObserved(last_block=1),
    )
    assert venue.cash(2) == 5
    command = venue.entries[-1][2]
    assert refusals(venue.send(command)) == [R.BLOCK_GAP]
    assert venue.cash(2) == 5


def test_a_token_is_no_cash(venue):
    """The contract holds it; cash and its sum stay as they are."""
    venue.observe(
        SubaccountSeen(subaccount_id=2, owner="ann"),
        DepositSeen(subaccount_id=2, amount=5, token="0x" + "ee" * 20),
    )
    assert (venue.cash(2), venue.engine.total_cash()) == (0, 0)


def test_subaccounts_belong_to_owners(venue):
    """An owner may have several; the venue's own is named when its log comes."""
    ann, bob, also_ann = venue.fund("ann"), venue.fund("bob"), venue.fund("ann")
    assert venue.engine.subaccounts_of("ann") == [ann, also_ann]
    assert venue.engine.subaccounts_of("bob") == [bob]
    venue.observe(SubaccountSeen(subaccount_id=FEE_ID, owner="treasury"))
    assert venue.engine.subaccounts_of("treasury") == [FEE_ID]


def test_a_subaccount_never_changes_hands(venue, ann):
    """The contract cannot say so; if a log did, stopping is better than believing it."""
    with pytest.raises(AssertionError, match="changes hands"):
        venue.observe(SubaccountSeen(subaccount_id=ann, owner="mallory"))


# --- batches ---


def test_a_batch_holds_what_happened_since_the_last(venue, ann, bob):
    """First and last seq join without gap; trades and withdrawals are pending until cut."""
    assert refusals(venue.send(CutBatch())) == [R.NOTHING_TO_SETTLE]
    venue.sell(ann, 1, 2_500)
    venue.buy(bob, 1, 2_500)
    venue.withdraw(ann, 1)
    assert venue.engine.pending == 2
    (cut,) = venue.send(CutBatch())
    assert isinstance(cut, BatchCut)
    assert (cut.number, cut.first_seq, cut.last_seq) == (1, 1, len(venue.entries))
    assert cut.risk_epoch == 1
    assert refusals(venue.send(CutBatch())) == [R.NOTHING_TO_SETTLE]
    venue.withdraw(ann, 1)
    (second,) = venue.send(CutBatch())
    assert (second.number, second.first_seq) == (2, cut.last_seq + 1)
    assert venue.engine.batch_number == 2


def test_a_cut_records_the_state_after_it(venue, ann):
    """The hash in the event is that of the engine once the command is done."""
    venue.withdraw(ann, 1)
    (cut,) = venue.send(CutBatch())
    assert cut.state_hash == venue.engine.state_hash()
    assert venue.twin().state_hash() == cut.state_hash


def test_a_full_batch_ends_by_itself():
    """After the command that fills it, so that no transaction grows beyond its bound."""
    venue = open_venue(limits=limits(batch_items_max=3))
    ann, bob = venue.fund("ann"), venue.fund("bob")
    for price in (2_500, 2_501, 2_502, 2_503):
        venue.sell(ann, 1, price)
    assert names(venue.withdraw(ann, 1)) == ["Withdrawn"]
    events = venue.buy(bob, 3, 2_600)
    assert names(events) == ["OrderPlaced", "Traded", "Traded", "Traded", "BatchCut"]
    assert events[-1].state_hash == venue.engine.state_hash()
    assert venue.engine.pending == 0


def test_a_final_batch_is_told(venue):
    """Confirmations only grow."""
    seen = BatchSeen(number=3, batch_hash=bytes(32), block=7, transaction="0xaa")
    events = venue.observe(seen)
    assert BatchConfirmed(number=3, block=7, transaction="0xaa") in events
    venue.observe(BatchSeen(number=2, batch_hash=bytes(32), block=7, transaction="0xbb"))
    assert venue.engine.confirmed_batch == 3


# --- clock ---


def test_the_clock_moves_on_a_local_chain(venue):
    """Offsets add up, and never go back."""
    assert venue.send(AdvanceClock(by_ns=5)) == (ClockAdvanced(offset_ns=5),)
    assert venue.send(AdvanceClock(by_ns=7)) == (ClockAdvanced(offset_ns=12),)
    assert venue.send(AdvanceClock(by_ns=-100)) == (ClockAdvanced(offset_ns=12),)
    assert venue.engine.clock_offset_ns == 12


def test_the_clock_of_a_real_chain_stands():
    """Nobody moves time where money is real."""
    engine = Engine()
    engine.apply(1, START_S, configuration(chain_id=1))
    assert refusals(engine.apply(2, START_S, AdvanceClock(by_ns=5))) == [R.NOT_LOCAL]
    assert engine.clock_offset_ns == 0


def test_a_leap_of_the_clock_ends_the_pending_batch_first():
    """Fills of both sides of the leap must not share a batch."""
    venue = open_venue()
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.sell(ann, 1, 2_500)
    venue.buy(bob, 1, 2_500)
    events = venue.send(AdvanceClock(by_ns=10 * 86_400 * NS))
    assert names(events) == ["BatchCut", "ClockAdvanced"]
    assert names(venue.send(AdvanceClock(by_ns=1))) == ["ClockAdvanced"]
