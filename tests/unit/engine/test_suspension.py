"""Suspended accounts: orders go at once, risk only falls, money and liquidations go on."""

import msgspec
import pytest
from tests.liquidation_world import bid, liquidating_venue, short_call, sweep
from tests.sheets import sheet
from tests.venue import (
    USDC_TOKEN,
    WALLET,
    C,
    P,
    canceled,
    fills,
    open_venue,
    refusals,
    usdc,
)

from exchange.commands import (
    BatchSeen,
    CancelAll,
    CutBatch,
    PlaceLinked,
    SuspendTrading,
    TradeBlock,
)
from exchange.engine import Engine
from exchange.events import CancelReason, RejectReason, Traded, TradingSuspended, Withdrawn
from exchange.model import (
    HitCondition,
    LinkKind,
    PriceSource,
    Side,
    TimeInForce,
    Trigger,
    TriggerKind,
)
from exchange.observations import ExitSeen
from exchange.signing import trigger_hash

R = RejectReason
SUSPENDED = [R.TRADING_SUSPENDED]


def suspend(venue, who, *, suspended=True):
    return venue.send(SuspendTrading(subaccount_id=who, suspended=suspended, detail="why"))


def stop(price=2_000):
    trigger = Trigger(kind=TriggerKind.STOP, source=PriceSource.MARK, trigger_price=usdc(price))
    return {"trigger": trigger, "trigger_hash": trigger_hash(trigger)}


def test_everything_that_rests_or_waits_goes_at_once(venue, ann, bob):
    """Orders, quotes, stops, reduce-only ones too; another's orders stand."""
    venue.sell(ann, 1, 2_500)
    venue.buy(bob, 1, 2_500)
    venue.buy(ann, 1, 2_400, reduce_only=True)
    venue.sell(ann, 1, 2_600)
    venue.sell(ann, 1, 2_000, **stop())
    venue.send(sheet(venue, ann, 1, (P, 2_480, 5, 2_520, 5)))
    venue.sell(bob, 2, 2_700)
    events = suspend(venue, ann)
    assert events[0] == TradingSuspended(subaccount_id=ann, suspended=True, detail="why")
    assert [reason for _, reason in canceled(events)] == [CancelReason.SUSPENDED] * 5
    assert venue.engine.open_orders(ann) == []
    assert len(venue.engine.open_orders(bob)) == 1
    assert venue.engine.suspended == [ann]
    assert canceled(suspend(venue, ann)) == [], "once more the same is fine"


def orders_that_add_risk(venue, ann, bob):
    """One of every signed instruction that could."""
    linked = PlaceLinked(
        kind=LinkKind.OCO,
        condition=HitCondition.ANY_FILL,
        orders=(venue.sign(ann, Side.BUY, 1, 2_300), venue.sign(ann, Side.BUY, 1, 2_400)),
    )
    fok = {"time_in_force": TimeInForce.FOK}
    block = TradeBlock(
        maker=venue.sign(bob, Side.SELL, 5, 2_500, **fok),
        taker=venue.sign(ann, Side.BUY, 5, 2_500, **fok),
    )
    yield venue.sell(ann, 1, 2_500)
    yield venue.buy(ann, 1, 2_500, instrument_id=P)
    yield venue.sell(ann, 1, 2_000, **stop())
    yield venue.send(linked)
    yield venue.send(block)
    yield venue.send(sheet(venue, ann, 2, (P, 2_480, 5, 2_520, 5)))
    yield bid(venue, ann, bob)


def test_whatever_may_add_risk_is_refused(venue, ann, bob):
    """Until the account is reinstated; then the same is judged on its merits."""
    suspend(venue, ann)
    refused = [refusals(events) for events in orders_that_add_risk(venue, ann, bob)]
    assert refused == [SUSPENDED] * 7
    assert refusals(venue.sell(bob, 1, 2_500)) == []
    events = suspend(venue, ann, suspended=False)
    assert events == (TradingSuspended(subaccount_id=ann, suspended=False, detail="why"),)
    assert venue.engine.suspended == []
    allowed = [refusals(events) for events in orders_that_add_risk(venue, ann, bob)]
    assert allowed == [[]] * 6 + [[R.LIQUIDATION_OFF]]


def test_reduce_only_orders_are_placed_amended_and_filled(venue, ann, bob):
    """Nobody is locked into what he holds; beyond it nothing trades."""
    venue.sell(ann, 3, 2_500)
    venue.buy(bob, 3, 2_500)
    suspend(venue, ann)
    placed = venue.buy(ann, 2, 2_400, reduce_only=True)
    assert refusals(placed) == []
    assert refusals(venue.amend(placed, limit_price=usdc(2_450))) == []
    venue.sell(bob, 3, 2_450)
    assert venue.position(ann) == -10_000
    assert refusals(venue.sell(ann, 1, 2_450, reduce_only=True)) == [R.REDUCE_ONLY_INCREASES]
    venue.buy(ann, 1, 2_400, reduce_only=True)
    assert len(canceled(venue.send(CancelAll(subaccount_id=ann)))) == 1


def test_an_amend_that_reaches_back_is_refused(venue, ann):
    """The order that it names is gone, and its terms add risk."""
    placed = venue.sell(ann, 1, 2_600)
    suspend(venue, ann)
    assert refusals(venue.amend(placed, limit_price=usdc(2_700))) == SUSPENDED


def test_money_leaves_as_before():
    """Withdrawals, transfers between the owner's subaccounts, forced exits."""
    venue = open_venue(transfers=True)
    ann = venue.fund("ann")
    other = venue.fund("ann", 5)
    suspend(venue, ann)
    assert refusals(venue.withdraw(ann, 1_000)) == []
    assert refusals(venue.move(ann, other, 1_000)) == []
    exit_ = ExitSeen(
        subaccount_id=ann,
        ordinal=1,
        token=USDC_TOKEN,
        amount=usdc(500_000),
        recipient=WALLET,
        requested_s=venue.now_s,
    )
    paid = [event.amount for event in venue.observe(exit_) if isinstance(event, Withdrawn)]
    assert paid == [usdc(500_000)]


def test_a_suspended_account_is_liquidated_like_any_other():
    """Slices are the venue's orders; bids of others take the rest."""
    venue = liquidating_venue()
    seller, _ = short_call(venue)
    maker = venue.fund("carol")
    suspend(venue, seller)
    venue.mark({C: 5_000})
    venue.sell(maker, 4, 5_000)
    events = sweep(venue)
    traded = [event for event in events if isinstance(event, Traded)]
    assert traded, "a slice met the offer"
    assert {event.taker_subaccount_id for event in traded} == {seller}
    assert all(event.liquidation for event in traded)


def test_what_was_matched_before_settles(venue, ann, bob):
    venue.sell(ann, 1, 2_500)
    venue.buy(bob, 1, 2_500)
    suspend(venue, ann)
    venue.send(CutBatch())
    venue.observe(BatchSeen(number=1, batch_hash=bytes(32), block=1, transaction=""))
    assert venue.position(ann) == -10_000


def test_an_unknown_subaccount_is_refused(venue):
    assert refusals(suspend(venue, 99)) == [R.UNKNOWN_SUBACCOUNT]


def test_snapshots_and_replays_know_it(venue, ann):
    """The hash of the state differs while it lasts, and is the old one for who never was."""
    twin = venue.twin()
    before = venue.engine.state_hash()
    assert twin.state_hash() == before
    suspend(venue, ann)
    assert venue.twin().state_hash() == venue.engine.state_hash()
    restored = Engine.restored(venue.engine.snapshot())
    assert restored.suspended == [ann]
    assert restored.state_hash() == venue.engine.state_hash()


@pytest.mark.parametrize("other", [True, False])
def test_the_hash_names_who_is_suspended(venue, ann, bob, other):
    """Two venues that suspended different accounts are not the same."""
    twin = venue.twin()
    suspend(venue, ann)
    seq, time_ns = venue.engine.seq, venue.engine.time_ns
    command = SuspendTrading(subaccount_id=bob if other else ann, suspended=True, detail="why")
    twin.apply(seq, time_ns, command)
    assert (twin.state_hash() == venue.engine.state_hash()) is not other


def test_the_command_reads_back_from_a_journal():
    command = SuspendTrading(subaccount_id=2, suspended=True, detail="court order")
    packed = msgspec.msgpack.encode(command)
    assert msgspec.msgpack.decode(packed, type=SuspendTrading) == command


def test_a_fill_that_reduces_trades_at_once(venue, ann, bob):
    """A taker's reduce-only order meets the book."""
    venue.sell(ann, 2, 2_500)
    venue.buy(bob, 2, 2_500)
    suspend(venue, ann)
    venue.sell(bob, 2, 2_490)
    assert fills(venue.buy(ann, 5, 2_490, reduce_only=True)) == [(usdc(2_490), 20_000)]
