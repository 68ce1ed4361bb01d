"""What binds the engine to the chain: blocks, keys, floors, cash in and out, batches, clock."""

import msgspec
import pytest
from tests.venue import (
    CLEARING,
    EXPIRY_S,
    FEE_ID,
    FEES,
    NS,
    START_S,
    USDC_TOKEN,
    WALLET,
    C,
    canceled,
    configuration,
    fills,
    limits,
    names,
    open_venue,
    placed_in,
    refusals,
    usdc,
)

from exchange.commands import (
    AdvanceClock,
    BatchSeen,
    CutBatch,
    DepositSeen,
    NonceFloorSeen,
    ObserveBlocks,
    SessionKeySeen,
    SubaccountSeen,
)
from exchange.engine import Engine
from exchange.events import (
    BatchConfirmed,
    BatchCut,
    BlocksObserved,
    CancelReason,
    ClockAdvanced,
    Deposited,
    NonceFloorRaised,
    RejectReason,
    SessionKeySet,
    SubaccountOpened,
    Withdrawn,
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


# --- session keys and floors ---


def test_a_session_key_trades_until_revoked(venue, ann):
    """Revoking cancels what the key signed, and the key signs no more."""
    deadline = venue.now_s + 7_200
    (granted, _) = venue.observe(SessionKeySeen(owner="ann", key="key", deadline=deadline))
    assert granted == SessionKeySet(owner="ann", key="key", deadline=deadline)
    by_key = venue.sell(ann, 1, 2_500, signer="key")
    by_owner = venue.sell(ann, 1, 2_510)
    events = venue.observe(SessionKeySeen(owner="ann", key="key", deadline=0))
    assert canceled(events) == [(10_000, CancelReason.SESSION_KEY)]
    assert [o.order_id for o in venue.engine.open_orders(ann)] == [placed_in(by_owner).order_id]
    assert venue.view(by_key).status.name == "CANCELED"
    assert refusals(venue.sell(ann, 1, 2_500, signer="key")) == [R.UNAUTHORIZED_SIGNER]


def test_a_shorter_grant_cancels_what_outlives_it(venue, ann):
    """Orders whose deadline the key still covers stay."""
    now = venue.now_s
    venue.observe(SessionKeySeen(owner="ann", key="key", deadline=now + 7_200))
    venue.sell(ann, 1, 2_500, signer="key", deadline=now + 600)
    venue.sell(ann, 2, 2_500, signer="key", deadline=now + 601)
    events = venue.observe(SessionKeySeen(owner="ann", key="key", deadline=now + 600))
    assert canceled(events) == [(20_000, CancelReason.SESSION_KEY)]


def test_revoking_touches_all_subaccounts_of_the_owner_only(venue, ann, bob):
    """Keys belong to owners: bob's grant of the same key is his."""
    also_ann = venue.fund("ann")
    for owner in ("ann", "bob"):
        venue.observe(SessionKeySeen(owner=owner, key="key", deadline=venue.now_s + 7_200))
    for who in (ann, also_ann, bob):
        venue.sell(who, 1, 2_500, signer="key")
    events = venue.observe(SessionKeySeen(owner="ann", key="key", deadline=0))
    assert len(canceled(events)) == 2
    assert len(venue.engine.open_orders(bob)) == 1


def test_revoking_an_unknown_key_is_a_fact_too(venue, ann):
    """The chain allows it, so it changes nothing and stops nothing."""
    events = venue.observe(SessionKeySeen(owner="ann", key="none", deadline=0))
    assert names(events) == ["SessionKeySet", "BlocksObserved"]


def test_a_nonce_floor_voids_orders_below_it(venue, ann):
    """Resting ones are canceled, new ones refused; at the floor all is well."""
    venue.sell(ann, 1, 2_500, nonce=10)
    venue.sell(ann, 2, 2_500, nonce=20)
    events = venue.observe(NonceFloorSeen(subaccount_id=ann, floor=20))
    assert NonceFloorRaised(subaccount_id=ann, floor=20) in events
    assert canceled(events) == [(10_000, CancelReason.NONCE_FLOOR)]
    assert refusals(venue.sell(ann, 1, 2_500, nonce=19)) == [R.STALE_NONCE]
    assert refusals(venue.sell(ann, 1, 2_500, nonce=21)) == []


def test_a_nonce_floor_never_falls(venue, ann):
    """An older log cannot lower it."""
    venue.observe(NonceFloorSeen(subaccount_id=ann, floor=20))
    events = venue.observe(NonceFloorSeen(subaccount_id=ann, floor=5))
    assert NonceFloorRaised(subaccount_id=ann, floor=20) in events


# --- withdrawals ---


def test_a_withdrawal_debits_at_once(venue, ann):
    """The cash is gone from the engine before the chain pays it."""
    events = venue.withdraw(ann, 400_000, nonce=9)
    expected = Withdrawn(subaccount_id=ann, amount=usdc(400_000), recipient=WALLET, nonce=9)
    assert events == (expected,)
    assert venue.cash(ann) == usdc(600_000)
    assert venue.engine.pending == 1


def test_everything_may_leave_an_idle_subaccount(venue, ann):
    """The last micro-USDC, and then nothing more."""
    assert refusals(venue.withdraw(ann, 1_000_000)) == []
    assert refusals(venue.withdraw(ann, "0.000001")) == [R.INSUFFICIENT_CASH]


WITHDRAWAL_FAULTS = [
    (R.UNKNOWN_SUBACCOUNT, {"subaccount_id": 99}),
    (R.UNAUTHORIZED_SIGNER, {"signer": "key"}),
    (R.UNAUTHORIZED_SIGNER, {"signer": "mallory"}),
    (R.DEADLINE_PASSED, {"deadline": START_S}),
    (R.DEADLINE_TOO_FAR, {"deadline": START_S + 30 * 86_400 + 1}),
    (R.STALE_NONCE, {"nonce": 99}),
    (R.NONCE_USED, {"nonce": 100}),
    (R.NONCE_USED, {"nonce": 101}),
    (R.QUANTITY_NOT_POSITIVE, {"amount": 0}),
    (R.QUANTITY_NOT_POSITIVE, {"amount": -1}),
    (R.INSUFFICIENT_CASH, {"amount": usdc(2_000_000)}),
    (R.BAD_RECIPIENT, {"recipient": ZERO}),
    (R.BAD_RECIPIENT, {"recipient": CLEARING}),
    (R.BAD_RECIPIENT, {"recipient": CLEARING.upper().replace("X", "x")}),
    (R.BAD_RECIPIENT, {"token": CLEARING}),
]


def withdrawing(*changes: dict) -> list[RejectReason]:
    """The refusals of a withdrawal with these faults; a session key is granted, nonces used."""
    venue = open_venue()
    ann = venue.fund("ann")
    venue.observe(
        SessionKeySeen(owner="ann", key="key", deadline=venue.now_s + 7_200),
        NonceFloorSeen(subaccount_id=ann, floor=100),
    )
    venue.withdraw(ann, 1, nonce=100)
    venue.sell(ann, 1, 2_500, nonce=101)
    command = venue.withdrawal(ann, 10, nonce=102)
    fields = {key: value for change in changes for key, value in change.items()}
    terms = msgspec.structs.replace(command.terms, **fields)
    return refusals(venue.send(msgspec.structs.replace(command, terms=terms)))


@pytest.mark.parametrize(("reason", "change"), WITHDRAWAL_FAULTS)
def test_each_reason_to_refuse_a_withdrawal(reason, change):
    """One fault, its reason."""
    assert withdrawing(change) == [reason]


def test_the_first_fault_of_a_withdrawal_is_named():
    """Every two faults in different fields: the earlier check answers."""
    for at, (reason, change) in enumerate(WITHDRAWAL_FAULTS):
        for _, later in WITHDRAWAL_FAULTS[at + 1 :]:
            if not set(change) & set(later):
                assert withdrawing(change, later) == [reason], (change, later)


def test_margin_holds_cash_back(venue, ann, bob):
    """What open positions and orders need cannot leave; the rest can, to the last unit."""
    venue.buy(bob, 10, 2_500)
    venue.sell(ann, 10, 2_500)
    venue.sell(ann, 1, 2_500)
    free = venue.engine.margin(ann).initial_excess
    assert free < venue.cash(ann)
    over = venue.withdrawal(ann, 0)
    terms = msgspec.structs.replace(over.terms, amount=free + 1)
    assert refusals(venue.send(msgspec.structs.replace(over, terms=terms))) == [R.INSUFFICIENT_CASH]
    terms = msgspec.structs.replace(over.terms, amount=free)
    assert refusals(venue.send(msgspec.structs.replace(over, terms=terms))) == []
    assert venue.engine.margin(ann).initial_excess == 0


def test_unpaid_gains_cannot_leave(venue, ann, bob):
    """Options that rose are worth something, but they are not cash."""
    venue.sell(bob, 10, 2_500)
    venue.buy(ann, 10, 2_500)
    venue.withdraw(ann, 900_000)
    venue.mark({C: 20_000})
    assert venue.engine.margin(ann).initial_excess > venue.cash(ann)
    assert refusals(venue.withdraw(ann, 75_001)) == [R.INSUFFICIENT_CASH]
    assert refusals(venue.withdraw(ann, 75_000)) == []


def test_positions_need_a_fresh_index_to_let_cash_go(venue, ann, bob):
    """Without one nobody knows what is free; idle subaccounts are not held up."""
    venue.buy(bob, 1, 2_500)
    venue.sell(ann, 1, 2_500)
    carol = venue.fund("carol")
    venue.wait(31)
    assert refusals(venue.withdraw(ann, 1)) == [R.STALE_INDEX]
    assert refusals(venue.withdraw(carol, 1)) == []
    venue.index()
    assert refusals(venue.withdraw(ann, 1)) == []


def test_positions_need_fresh_marks_to_let_cash_go():
    """Nobody withdraws against marks that are too old; without positions nothing is marked."""
    venue = open_venue(limits=limits(marks_age_ns_max=60 * NS))
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.sell(ann, 1, 2_500)
    venue.buy(bob, 1, 2_500)
    carol = venue.fund("carol")
    venue.wait(61)
    venue.index()
    assert refusals(venue.withdraw(ann, 1)) == [R.STALE_MARKS]
    assert refusals(venue.withdraw(carol, 1)) == []
    venue.mark({})
    assert refusals(venue.withdraw(ann, 1)) == []


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


def test_cash_follows_the_trades_into_the_wallet(venue, ann, bob):
    """Premium received may leave at once, margin permitting."""
    venue.buy(bob, 1, 2_500)
    assert fills(venue.sell(ann, 1, 2_500)) == [(usdc(2_500), 10_000)]
    assert refusals(venue.withdraw(ann, 990_000, token=USDC_TOKEN)) == []
    assert venue.now_s < EXPIRY_S


def test_the_treasury_takes_the_venues_fees_out():
    """Once the chain has named it; before that nobody is the owner."""
    venue = open_venue(fees=FEES)
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.sell(ann, 1, 2_500)
    venue.buy(bob, 1, 2_500)
    earned = venue.cash(FEE_ID)
    assert earned > 0
    assert refusals(venue.withdraw(FEE_ID, "0.01", signer="thief")) == [R.UNAUTHORIZED_SIGNER]
    venue.observe(SubaccountSeen(subaccount_id=FEE_ID, owner="treasury"))
    assert refusals(venue.withdraw(FEE_ID, "0.01")) == []
    assert venue.cash(FEE_ID) == earned - 10_000


def test_a_leap_of_the_clock_ends_the_pending_batch_first():
    """Fills of both sides of the leap must not share a batch."""
    venue = open_venue()
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.sell(ann, 1, 2_500)
    venue.buy(bob, 1, 2_500)
    events = venue.send(AdvanceClock(by_ns=10 * 86_400 * NS))
    assert names(events) == ["BatchCut", "ClockAdvanced"]
    assert names(venue.send(AdvanceClock(by_ns=1))) == ["ClockAdvanced"]
