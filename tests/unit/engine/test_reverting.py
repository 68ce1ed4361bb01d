"""A reorganisation deeper than its confirmations: what the chain took back, the engine does too."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine_flow import Flow
from tests.venue import (
    COLLATERALS,
    NS,
    C,
    canceled,
    contracts,
    names,
    open_venue,
    refusals,
    tokens,
    usdc,
)

from exchange.commands import (
    BatchSeen,
    CutBatch,
    DepositSeen,
    NonceFloorSeen,
    SessionKeySeen,
    SubaccountSeen,
)
from exchange.events import CancelReason, RejectReason, SessionKeySet, WithdrawalsHeld
from exchange.reversals import (
    BatchReverted,
    BlocksReverted,
    DepositReverted,
    NonceFloorReverted,
    SubaccountReverted,
)

R = RejectReason
WETH = COLLATERALS[0].token


def kept(events, kind):
    return [event for event in events if isinstance(event, kind)]


def test_a_deposit_that_never_was_is_debited_and_nothing_may_leave(venue, ann):
    """The account keeps its orders and positions, may owe cash, and is held."""
    before = venue.block()
    venue.observe(DepositSeen(subaccount_id=ann, amount=usdc(500)))
    venue.observe()
    events = venue.revert(before)
    assert events == (
        DepositReverted(subaccount_id=ann, amount=usdc(500)),
        WithdrawalsHeld(
            subaccount_id=ann, held=True, detail="the chain lost a deposit in a reorganisation"
        ),
        BlocksReverted(last_block=before[0], lost_block=before[0] + 2),
    )
    assert venue.cash(ann) == usdc(1_000_000)
    assert venue.engine.last_block == before[0]
    assert refusals(venue.withdraw(ann, 1)) == [R.WITHDRAWALS_HELD]
    venue.observe(DepositSeen(subaccount_id=ann, amount=usdc(500)))
    assert venue.cash(ann) == usdc(1_000_500)


def test_cash_that_was_spent_becomes_a_debt(venue, ann):
    """What the deposit paid for stands: the account falls below margin."""
    before = venue.block()
    poor = venue.fund("poor", 6_000)
    checkpoint = venue.block()
    venue.sell(ann, 1, 2_500)
    venue.buy(poor, 1, 2_500)
    venue.observe(DepositSeen(subaccount_id=poor, amount=usdc(1)))
    venue.revert(checkpoint)
    assert venue.engine.positions(poor) == {C: contracts(1)}
    venue.revert(before)
    assert venue.cash(poor) < 0
    assert venue.engine.positions(poor) == {C: contracts(1)}
    assert venue.engine.margin(poor).maintenance_excess < 0


def test_blocks_that_are_not_remembered_are_refused(venue, ann):
    """The newest one, one that never was, one with another hash."""
    before = venue.block()
    assert refusals(venue.revert(before)) == [R.UNKNOWN_BLOCK]
    venue.observe()
    for block, block_hash in ((before[0], "0x00"), (before[0] + 9, before[1]), (0, "")):
        assert refusals(venue.revert((block, block_hash))) == [R.UNKNOWN_BLOCK]
    assert refusals(venue.revert(before)) == []


def test_keys_and_floors_are_as_before(venue, ann):
    """A lost grant ends the key and its orders; a lost revocation and a lost floor never were."""
    venue.observe(SessionKeySeen(owner="ann", key="old", deadline=venue.now_s + 900))
    before = venue.block()
    venue.observe(
        SessionKeySeen(owner="ann", key="new", deadline=venue.now_s + 900),
        SessionKeySeen(owner="ann", key="old", deadline=0),
        NonceFloorSeen(subaccount_id=ann, floor=10),
    )
    by_new = venue.sell(ann, 1, 2_600, signer="new", nonce=50, deadline=venue.now_s + 60)
    mine = venue.sell(ann, 1, 2_610, nonce=51)
    events = venue.revert(before)
    assert kept(events, NonceFloorReverted) == [NonceFloorReverted(subaccount_id=ann, floor=0)]
    assert kept(events, SessionKeySet) == [
        SessionKeySet(owner="ann", key="old", deadline=venue.now_s + 900),
        SessionKeySet(owner="ann", key="new", deadline=0),
    ]
    assert [reason for _, reason in canceled(events)] == [CancelReason.SESSION_KEY]
    assert venue.view(by_new).status.name == "CANCELED"
    assert venue.view(mine).status.name == "OPEN"
    old = venue.sell(ann, 1, 2_620, signer="old", nonce=3, deadline=venue.now_s + 60)
    assert refusals(old) == []


def test_a_subaccount_that_never_was_opened_is_nobodys(venue, ann):
    """Its orders end, nobody may sign for it; when the chain opens it again, all is as before."""
    before = venue.block()
    cat = venue.fund("cat", 100)
    resting = venue.buy(cat, 1, 10)
    assert "OrderPlaced" in names(resting)
    events = venue.revert(before)
    assert canceled(events) == [(contracts(1), CancelReason.REVERTED)]
    assert kept(events, SubaccountReverted) == [SubaccountReverted(subaccount_id=cat, owner="cat")]
    assert venue.engine.subaccounts_of("cat") == []
    assert refusals(venue.buy(cat, 1, 10, signer="cat")) == [R.UNAUTHORIZED_SIGNER]
    venue.observe(
        SubaccountSeen(subaccount_id=cat, owner="cat"),
        DepositSeen(subaccount_id=cat, amount=usdc(100)),
    )
    assert venue.engine.subaccounts_of("cat") == [cat]
    assert venue.cash(cat) == usdc(100)


def test_its_number_may_go_to_another_owner_once_it_is_empty(venue, ann, bob):
    """While the lost one holds something, the blocks that give it away are refused."""
    before = venue.block()
    cat = venue.fund("cat", 50_000)
    venue.sell(ann, 1, 2_500)
    venue.buy(cat, 1, 2_500)
    venue.revert(before)
    taken = SubaccountSeen(subaccount_id=cat, owner="dog")
    assert refusals(venue.observe(taken)) == [R.SUBACCOUNT_TAKEN]
    assert venue.engine.subaccounts_of("dog") == []
    other = open_venue()
    other.observe()
    before = other.block()
    cat = other.fund("cat", 50_000)
    other.revert(before)
    assert refusals(other.observe(SubaccountSeen(subaccount_id=cat, owner="dog"))) == []
    assert other.engine.subaccounts_of("dog") == [cat]


def test_a_batch_that_was_final_is_not(venue, ann, bob):
    """It may be novated again, and what was novated of it is remembered again."""
    venue.sell(ann, 1, 2_500)
    venue.buy(bob, 1, 2_500)
    venue.send(CutBatch())
    before = venue.block()
    batches = venue.engine._venue.batches
    batches.novated[7, True] = 1
    venue.observe(BatchSeen(number=1, batch_hash=bytes(32), block=9, transaction="0x"))
    assert (venue.engine.confirmed_batch, batches.novated) == (1, {})
    events = venue.revert(before)
    assert BatchReverted(number=1) in events
    assert (venue.engine.confirmed_batch, batches.novated) == (0, {(7, True): 1})


@pytest.mark.parametrize("left", [0, 2, 5])
def test_tokens_that_are_gone_are_missing_until_the_next_deposit(left):
    """What is there is taken, idle or not; the rest is paid by the next tokens that arrive."""
    venue = open_venue(collaterals=COLLATERALS)
    venue.observe()
    ann = venue.fund("ann", 10)
    before = venue.block()
    venue.give(ann, 1, 5)
    account = venue.engine.subaccounts[ann].account
    taken = tokens(5 - left)
    account.add_collateral(1, -taken)
    venue.engine._venue.treasury.counted[1] -= taken
    venue.external[WETH] -= taken
    [lost] = kept(venue.revert(before), DepositReverted)
    assert lost == DepositReverted(
        subaccount_id=ann, amount=tokens(5), token=WETH, missing=tokens(5 - left)
    )
    assert venue.engine.tokens(ann) == {}
    venue.give(ann, 1, 3)
    assert venue.engine.tokens(ann).get(WETH, 0) == max(0, tokens(3) - tokens(5 - left))
    venue.give(ann, 1, 4)
    assert venue.engine.tokens(ann)[WETH] == tokens(7) - tokens(5 - left)


@given(st.data())
def test_what_comes_again_leaves_no_trace(data):
    """Observations are lost and come again after random commands: all have what they had."""
    flow = Flow(lambda low, high: data.draw(st.integers(low, high)))
    venue = flow.venue
    marks = [venue.block()]
    for _ in range(30):
        flow.step()
        if venue.block() != marks[-1]:
            marks.append(venue.block())
    cash = {number: venue.cash(number) for number in venue.engine.subaccounts}
    keys, confirmed = dict(venue.engine._venue.access.keys), venue.engine.confirmed_batch
    floors = {n: one.nonce_floor for n, one in venue.engine.subaccounts.items()}
    to = data.draw(st.sampled_from(marks))
    spans = [span for span in venue.engine._venue.chain.spans if span.last_block > to[0]]
    events = venue.revert(to)
    if to == marks[-1]:
        assert refusals(events) == [R.UNKNOWN_BLOCK]
        return
    for span in spans:
        assert refusals(venue.observe(*(undo.seen for undo in span.undos))) == []
    assert {number: venue.cash(number) for number in venue.engine.subaccounts} == cash
    assert venue.engine._venue.access.keys == keys
    assert venue.engine.confirmed_batch == confirmed
    assert {n: one.nonce_floor for n, one in venue.engine.subaccounts.items()} == floors
    assert venue.twin().state_hash() == venue.engine.state_hash()
    assert venue.time_ns >= NS
