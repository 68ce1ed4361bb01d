"""Novations and holds: nothing acknowledged changes for the innocent, and no cash is made."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine_flow import Flow
from tests.venue import EXPIRY_S, FEE_ID, C, contracts, refusals, usdc

from exchange.commands import (
    BatchSeen,
    CutBatch,
    DepositSeen,
    HoldWithdrawals,
    Novate,
    NovatedFill,
    SessionKeySeen,
    SubaccountSeen,
)
from exchange.events import FillNovated, OrderCanceled, RejectReason, Traded, WithdrawalsHeld
from exchange.model import Kind, OrderTerms, unpack_instrument_id

R = RejectReason
HOUSE = "house"


@pytest.fixture
def traded(venue, ann, bob):
    """Ann sold three calls to Bob; the batch is cut."""
    appoint(venue)
    venue.sell(ann, 3, 2_500)
    events = venue.buy(bob, 3, 2_500)
    venue.send(CutBatch())
    return next(event for event in events if isinstance(event, Traded))


def appoint(venue):
    """The venue's own subaccount has an owner."""
    venue.observe(SubaccountSeen(subaccount_id=FEE_ID, owner=HOUSE))


def novated(venue, trade, *, maker, nonce=1, **changes):
    side = trade.taker_side.opposite if maker else trade.taker_side
    terms = OrderTerms(
        subaccount_id=FEE_ID,
        instrument_id=trade.instrument_id,
        side=side,
        quantity=trade.quantity,
        limit_price=trade.price,
        max_fee=0,
        nonce=nonce,
        deadline=venue.now_s + 60,
        signer=HOUSE,
    )
    return NovatedFill(
        trade_id=trade.trade_id,
        maker=maker,
        subaccount_id=trade.maker_subaccount_id if maker else trade.taker_subaccount_id,
        fee=trade.maker_fee if maker else trade.taker_fee,
        terms=msgspec.structs.replace(terms, **changes),
        signature=bytes(65),
    )


def novate(venue, *fills, batch=1):
    return venue.send(Novate(batch=batch, fills=fills))


@pytest.mark.parametrize("maker", [True, False])
def test_the_venue_takes_the_failing_side(venue, ann, bob, traded, maker):
    """One side is as before its trade, the other keeps it, the venue has what is missing."""
    failing, innocent, sign = (ann, bob, -1) if maker else (bob, ann, 1)
    before = venue.cash(innocent)
    fee = traded.maker_fee if maker else traded.taker_fee
    earned = traded.maker_fee + traded.taker_fee - fee
    assert novate(venue, novated(venue, traded, maker=maker)) == (
        FillNovated(
            batch=1,
            trade_id=traded.trade_id,
            maker=maker,
            subaccount_id=failing,
            house_subaccount_id=FEE_ID,
            instrument_id=C,
            quantity=sign * contracts(3),
            price=usdc(2_500),
            fee=fee,
        ),
    )
    assert (venue.cash(failing), venue.engine.positions(failing)) == (usdc(1_000_000), {})
    assert venue.cash(innocent) == before
    assert venue.engine.positions(innocent) == {C: -sign * contracts(3)}
    assert venue.cash(FEE_ID) == earned - sign * usdc(7_500)
    assert venue.engine.positions(FEE_ID) == {C: sign * contracts(3)}


def test_both_sides_may_fail(venue, ann, bob, traded):
    """Then the trade is void, and the venue holds nothing."""
    fills = [novated(venue, traded, maker=maker, nonce=1 + maker) for maker in (True, False)]
    assert refusals(novate(venue, *fills)) == []
    assert venue.cash(ann) == venue.cash(bob) == usdc(1_000_000)
    assert venue.cash(FEE_ID) == 0
    assert not any(map(venue.engine.positions, (ann, bob, FEE_ID)))


def test_a_side_is_replaced_once(venue, traded):
    """Again, in another command or in the same one, it is refused; and so is the used nonce."""
    fill = novated(venue, traded, maker=True)
    assert refusals(novate(venue, fill, fill)) == [R.NOT_NOVATABLE]
    assert refusals(novate(venue, fill)) == []
    assert refusals(novate(venue, fill)) == [R.NOT_NOVATABLE]
    assert refusals(novate(venue, novated(venue, traded, maker=False))) == [R.NONCE_USED]


def test_a_final_batch_stays(venue, traded):
    """And so does one that is not cut, or nothing."""
    fill = novated(venue, traded, maker=True)
    assert refusals(novate(venue, fill, batch=2)) == [R.NOT_NOVATABLE]
    assert refusals(novate(venue)) == [R.NOT_NOVATABLE]
    assert refusals(novate(venue, fill)) == []
    held = venue.engine.state_hash()
    venue.observe(BatchSeen(number=1, batch_hash=bytes(32), block=1, transaction=""))
    assert refusals(novate(venue, novated(venue, traded, maker=False))) == [R.NOT_NOVATABLE]
    assert venue.engine.state_hash() != held


TERMS_FAULTS = [
    (R.NOT_NOVATABLE, {"subaccount_id": 2}),
    (R.NOT_NOVATABLE, {"quantity": 0}),
    (R.NOT_NOVATABLE, {"max_fee": 1}),
    (R.NOT_NOVATABLE, {"reduce_only": True}),
    (R.NOT_NOVATABLE, {"trigger_hash": bytes(range(32))}),
    (R.NOT_NOVATABLE, {"instrument_id": 99}),
    (R.DEADLINE_PASSED, {"deadline": 1}),
    (R.UNAUTHORIZED_SIGNER, {"signer": "mallory"}),
    (R.STALE_NONCE, {"nonce": 0}),
]


@pytest.mark.parametrize(("reason", "changes"), TERMS_FAULTS)
def test_the_contract_would_take_the_venues_order(venue, traded, reason, changes):
    """What it would refuse is refused here, and nothing changed."""
    venue.engine.subaccounts[FEE_ID].nonce_floor = 1
    before = venue.engine.total_cash(), venue.engine.positions(FEE_ID)
    assert refusals(novate(venue, novated(venue, traded, maker=True, **changes))) == [reason]
    assert (venue.engine.total_cash(), venue.engine.positions(FEE_ID)) == before


FILL_FAULTS = [
    (R.NOT_NOVATABLE, {"trade_id": 77}),
    (R.UNKNOWN_SUBACCOUNT, {"subaccount_id": 77}),
    (R.UNKNOWN_SUBACCOUNT, {"subaccount_id": FEE_ID}),
]


@pytest.mark.parametrize(("reason", "changes"), FILL_FAULTS)
def test_the_trade_is_one_of_a_trader(venue, traded, reason, changes):
    """Not the venue's own, not one that never was."""
    fill = msgspec.structs.replace(novated(venue, traded, maker=True), **changes)
    assert refusals(novate(venue, fill)) == [reason]


def test_a_session_key_signs_for_the_venue(venue, traded):
    """While it is live."""
    fill = novated(venue, traded, maker=True, signer="key")
    assert refusals(novate(venue, fill)) == [R.UNAUTHORIZED_SIGNER]
    venue.observe(SessionKeySeen(owner=HOUSE, key="key", deadline=venue.now_s + 9))
    assert refusals(novate(venue, fill)) == []


def test_an_expired_instrument_is_too_late(venue, traded):
    """Its payoffs are settled by another batch."""
    fill = novated(venue, traded, maker=True, deadline=2**40 - 1)
    for second in range(EXPIRY_S - 1_800, EXPIRY_S + 1, 30):
        venue.wait_until(second)
        venue.index()
    assert refusals(venue.expire()) == []
    assert refusals(novate(venue, fill)) == [R.NOT_NOVATABLE]


def test_reduce_only_orders_shrink_with_the_position(venue, ann, bob, traded):
    """What they were to reduce is gone."""
    venue.sell(bob, 3, 2_600, reduce_only=True)
    events = novate(venue, novated(venue, traded, maker=False))
    assert [event.subaccount_id for event in events if isinstance(event, OrderCanceled)] == [bob]


def test_held_withdrawals_wait_for_a_release(venue, ann, bob):
    """Neither withdrawals nor transfers leave; deposits and others go on; a release ends it."""
    other = venue.fund("ann", 5)
    events = venue.send(HoldWithdrawals(subaccount_id=ann, held=True, detail="cash"))
    assert events == (WithdrawalsHeld(subaccount_id=ann, held=True, detail="cash"),)
    assert venue.engine.held == [ann]
    assert refusals(venue.withdraw(ann, 1)) == [R.WITHDRAWALS_HELD]
    assert refusals(venue.move(ann, other, 1)) == [R.WITHDRAWALS_HELD]
    assert refusals(venue.withdraw(bob, 1)) == []
    venue.observe(DepositSeen(subaccount_id=ann, amount=5))
    venue.send(HoldWithdrawals(subaccount_id=ann, held=False, detail="looked at"))
    assert venue.engine.held == []
    assert refusals(venue.withdraw(ann, 1)) == []
    again = HoldWithdrawals(subaccount_id=99, held=True, detail="")
    assert refusals(venue.send(again)) == [R.UNKNOWN_SUBACCOUNT]


@given(st.data())
def test_any_trade_of_options_can_be_replaced(data):
    """After random commands: cash is conserved, positions net to zero, the other side stands."""
    flow = Flow(lambda low, high: data.draw(st.integers(low, high)))
    venue = flow.venue
    appoint(venue)
    for _ in range(40):
        flow.step()
    venue.send(CutBatch())
    live = venue.engine.instruments
    trades = [
        event
        for *_, events in venue.entries
        for event in events
        if isinstance(event, Traded)
        and unpack_instrument_id(event.instrument_id).kind is Kind.OPTION
        and event.instrument_id in live
    ]
    trade, maker = data.draw(st.sampled_from(trades)), data.draw(st.booleans())
    other = trade.taker_subaccount_id if maker else trade.maker_subaccount_id
    before, stands = venue.engine.total_cash(), venue.engine.positions(other)
    events = novate(
        venue,
        novated(venue, trade, maker=maker, nonce=10**15),
        batch=max(1, venue.engine.batch_number),
    )
    assert venue.engine.total_cash() == before
    venue.engine.check()
    failing = trade.maker_subaccount_id if maker else trade.taker_subaccount_id
    if not refusals(events) and failing != other:
        assert venue.engine.positions(other) == stands
