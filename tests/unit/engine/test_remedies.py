"""Novations and holds: nothing acknowledged changes for the innocent, and no cash is made."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine_flow import Flow
from tests.venue import (
    COLLATERALS,
    EXPIRY_S,
    FEE_ID,
    FEES,
    FUNDING,
    C,
    contracts,
    linear_venue,
    open_venue,
    perpetual,
    refusals,
    tokens,
    usdc,
)

from exchange.commands import (
    AccrueFunding,
    BatchSeen,
    CutBatch,
    DepositSeen,
    HoldWithdrawals,
    Novate,
    NovatedFill,
    RefusedMove,
    SessionKeySeen,
    SubaccountSeen,
)
from exchange.events import (
    FillNovated,
    MoveRefused,
    OrderCanceled,
    PositionExpired,
    RejectReason,
    Traded,
    WithdrawalsHeld,
)
from exchange.journal import Entry
from exchange.model import Kind, OrderTerms, unpack_instrument_id
from exchange.settlement.holdings import Held, expected_holdings
from exchange.settlement.rebuilding import rebuilt_positions

R = RejectReason
HOUSE = "house"
PERP = perpetual()


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


def expire(venue, index=101_000):
    """The day comes, at this index; the delivery price is fixed and positions are paid off."""
    for second in range(EXPIRY_S - 1_800, EXPIRY_S + 1, 30):
        venue.wait_until(second)
        venue.index(index)
    assert refusals(venue.expire()) == []


@pytest.mark.parametrize("maker", [True, False])
def test_a_fill_of_an_option_that_expired_is_replaced_with_its_payoff(
    venue, ann, bob, traded, maker
):
    """Who failed never traded; the venue has premium and payoff, which its next batch pays."""
    failing, sign = (ann, -1) if maker else (bob, 1)
    fill = novated(venue, traded, maker=maker, deadline=2**40 - 1)
    expire(venue)
    house = venue.cash(FEE_ID)
    events = novate(venue, fill)
    assert refusals(events) == []
    [paid] = [event for event in events if isinstance(event, PositionExpired)]
    assert (paid.subaccount_id, paid.quantity) == (FEE_ID, sign * contracts(3))
    assert paid.payoff == sign * usdc(3_000)
    assert (venue.cash(failing), venue.engine.positions(failing)) == (usdc(1_000_000), {})
    assert venue.cash(FEE_ID) - house == sign * usdc(3_000 - 7_500) - fill.fee
    assert venue.engine.pending > 0, "its payoff is for the next batch"


@pytest.fixture
def linear():
    """A venue with a perpetual; Ann sold three to Bob, who closed one of them."""
    venue = linear_venue(fees=FEES, funding=FUNDING)
    appoint(venue)
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.sell(ann, 3, 100_000, instrument_id=PERP)
    events = venue.buy(bob, 3, 100_000, instrument_id=PERP)
    venue.send(CutBatch())
    trade = next(event for event in events if isinstance(event, Traded))
    venue.buy(ann, 1, 100_010, instrument_id=PERP)
    venue.sell(bob, 1, 100_010, instrument_id=PERP)
    venue.mark({PERP: 100_400})
    venue.wait(3_600)
    venue.index()
    venue.mark({PERP: 100_400})
    venue.send(AccrueFunding())
    return venue, trade, ann, bob


def entry_of(seq, time_ns, command, events):
    return Entry(seq=seq, time_ns=time_ns, command=command, events=events, chain_hash=bytes(32))


def rebuilt_for(venue, *fills):
    """As the relayer makes them of the journal."""
    entries = [entry_of(*one) for one in venue.entries]
    return rebuilt_positions(lambda: entries, len(entries), fills)


@pytest.mark.parametrize("maker", [True, False])
def test_a_fill_of_a_perpetual_is_replaced_as_if_it_had_never_been(linear, maker):
    """Cost, realised profit and funding are those of the fills that are left, to the last unit."""
    venue, trade, ann, bob = linear
    failing, innocent = (ann, bob) if maker else (bob, ann)
    fill = novated(venue, trade, maker=maker, deadline=2**40 - 1)
    rebuilt = rebuilt_for(venue, fill)
    stands = venue.cash(innocent), venue.engine.positions(innocent)
    total = venue.engine.total_cash()
    events = venue.send(Novate(batch=1, fills=(fill,), rebuilt=rebuilt))
    assert refusals(events) == []
    assert (venue.cash(innocent), venue.engine.positions(innocent)) == stands
    assert venue.engine.total_cash() == total
    sign = 1 if maker else -1
    assert venue.engine.positions(failing) == {PERP: sign * contracts(1)}
    assert venue.engine.positions(FEE_ID) == {PERP: -sign * contracts(3)}
    account = venue.engine.subaccounts[failing].account
    assert account.linear[PERP].cost == sign * usdc(100_010), "what it did afterwards, alone"
    entries = [entry_of(*one) for one in venue.entries]
    folded = expected_holdings(entries, settled_seq=len(entries), observed_seq=len(entries))
    for number in (FEE_ID, ann, bob):
        held = venue.engine.subaccounts[number].account.linear.get(PERP)
        assert folded.cash[number] == venue.cash(number)
        assert folded.positions_of(number).get(PERP) == (held and Held(*held))
    assert venue.twin().state_hash() == venue.engine.state_hash()


def test_positions_that_moved_meanwhile_are_built_again(linear):
    """So are such that were left out, or that would make money."""
    venue, trade, ann, bob = linear
    fill = novated(venue, trade, maker=True, deadline=2**40 - 1)
    rebuilt = rebuilt_for(venue, fill)
    house, failing = rebuilt
    richer = msgspec.structs.replace(failing, cash=failing.cash + 1)
    larger = msgspec.structs.replace(failing, after=(10**9, *failing.after[1:]))
    for wrong in ((), (house,), (house, richer), (house, larger), (house, failing, failing)):
        events = venue.send(Novate(batch=1, fills=(fill,), rebuilt=wrong))
        assert refusals(events) == [R.NOT_NOVATABLE]
    venue.mark({PERP: 100_000})
    venue.sell(ann, 1, 100_000, instrument_id=PERP)
    venue.buy(bob, 1, 100_000, instrument_id=PERP)
    events = venue.send(Novate(batch=1, fills=(fill,), rebuilt=rebuilt))
    assert refusals(events) == [R.NOT_NOVATABLE]
    again = rebuilt_for(venue, fill)
    assert refusals(venue.send(Novate(batch=1, fills=(fill,), rebuilt=again))) == []


def test_a_withdrawal_that_the_chain_refuses_comes_back_and_is_held(venue, ann):
    """Its nonce stays used; once more, or of another batch, it is refused."""
    before = venue.cash(ann)
    venue.withdraw(ann, 70, nonce=500)
    seq = len(venue.entries)
    venue.send(CutBatch())
    move = RefusedMove(seq=seq)
    for batch, moves in ((2, (move,)), (1, (move, move)), (1, (RefusedMove(seq=seq - 1),))):
        assert refusals(venue.send(Novate(batch=batch, fills=(), moves=moves))) == [R.NOT_NOVATABLE]
    events = venue.send(Novate(batch=1, fills=(), moves=(move,)))
    assert events[0] == MoveRefused(
        batch=1, seq=seq, subaccount_id=ann, to_subaccount_id=0, amount=usdc(70), nonce=500
    )
    assert (venue.cash(ann), venue.engine.held) == (before, [ann])
    assert refusals(venue.send(Novate(batch=1, fills=(), moves=(move,)))) == [R.NOT_NOVATABLE]
    venue.send(HoldWithdrawals(subaccount_id=ann, held=False, detail="looked at"))
    assert refusals(venue.withdraw(ann, 70, nonce=500)) == [R.NONCE_USED]


@pytest.mark.parametrize("token", ["", COLLATERALS[0].token])
def test_a_transfer_that_the_chain_refuses_is_undone(token):
    """Both ends are held; what of a token is not there any more is missing."""
    venue = open_venue(collaterals=COLLATERALS, transfers=True)
    ann, other = venue.fund("ann"), venue.fund("ann")
    venue.give(ann, 1, 5)
    amount = tokens(2) if token else usdc(30)
    venue.move(ann, other, amount, **({"token": token} if token else {}))
    seq = len(venue.entries)
    venue.send(CutBatch())
    held = venue.cash(ann), venue.cash(other)
    [undone, *_] = venue.send(Novate(batch=1, fills=(), moves=(RefusedMove(seq=seq),)))
    assert (undone.to_subaccount_id, undone.missing) == (other, 0)
    assert venue.engine.held == [ann, other]
    moved = 0 if token else amount
    assert (venue.cash(ann), venue.cash(other)) == (held[0] + moved, held[1] - moved)
    assert venue.engine.tokens(ann) == {COLLATERALS[0].token: tokens(5)}


def test_what_a_final_batch_moved_stays(venue, ann):
    """Unless the chain loses that batch again."""
    venue.observe()
    venue.withdraw(ann, 70)
    seq = len(venue.entries)
    venue.send(CutBatch())
    before = venue.block()
    venue.observe(BatchSeen(number=1, batch_hash=bytes(32), block=1, transaction="0x"))
    refused = Novate(batch=1, fills=(), moves=(RefusedMove(seq=seq),))
    assert refusals(venue.send(refused)) == [R.NOT_NOVATABLE]
    venue.revert(before)
    assert refusals(venue.send(refused)) == []


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
