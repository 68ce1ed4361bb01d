"""Commands survive the journal: each round-trips, and old records stay readable."""

import msgspec
import pytest
from hypothesis import given
from tests.structs import any_of
from tests.venue import C, configuration, listing

from exchange.commands import (
    AccrueFunding,
    AccrueInterest,
    AdvanceClock,
    AmendOrder,
    AnyCommand,
    AnyObservation,
    BatchSeen,
    CancelAll,
    CancelOrder,
    Command,
    CutBatch,
    DepositSeen,
    ExpireInstruments,
    ExpiryRisk,
    HoldWithdrawals,
    ListCombo,
    ListInstruments,
    NonceFloorSeen,
    Novate,
    NovatedFill,
    Observation,
    ObserveBlocks,
    PlaceLinked,
    PlaceOrder,
    SessionKeySeen,
    SubaccountSeen,
    SuspendTrading,
    TransferFunds,
    UnderlyingRisk,
    UpdateIndex,
    UpdateMarks,
    Withdraw,
    signed_commands,
)
from exchange.model import (
    HitCondition,
    Leg,
    LinkKind,
    OrderTerms,
    PriceSource,
    SelfTradePrevention,
    Side,
    TimeInForce,
    TransferTerms,
    Trigger,
    TriggerKind,
    WithdrawalTerms,
)

ADDRESS = "0x" + "1" * 40
TERMS = OrderTerms(
    subaccount_id=2,
    instrument_id=C,
    side=Side.SELL,
    quantity=2**48 - 1,
    limit_price=2**62,
    max_fee=2**63,
    reduce_only=True,
    trigger_hash=bytes(range(32)),
    nonce=2**64 - 1,
    version=2**16 - 1,
    deadline=2**40,
    signer=ADDRESS,
)
WITHDRAWAL = WithdrawalTerms(
    subaccount_id=2,
    token=ADDRESS,
    amount=2**63,
    recipient=ADDRESS,
    nonce=7,
    deadline=9,
    signer=ADDRESS,
)
COMMANDS: list[AnyCommand] = [
    configuration(),
    ListInstruments(listings=(listing(C),)),
    ListCombo(legs=(Leg(C, 1), Leg(C + 1, -(2**62)))),
    UpdateIndex(underlying_id=1, index_price=1, confidence=10**18),
    UpdateMarks(
        epoch=1,
        root=bytes(32),
        underlyings=(UnderlyingRisk(underlying_id=1, index_price=1, confidence=1),),
        expiries=(
            ExpiryRisk(
                underlying_id=1,
                expiry=60,
                forward_price=1,
                discount_long=1,
                discount_short=1,
                basis_weight=1,
            ),
        ),
        instrument_ids=(C,),
        rows=bytes(56),
    ),
    PlaceOrder(
        terms=TERMS,
        signature=bytes(65),
        time_in_force=TimeInForce.GTD,
        post_only=True,
        reject_post_only=True,
        self_trade_prevention=SelfTradePrevention.DECREMENT,
        max_show=3,
        label="ünï",
        trigger=Trigger(kind=TriggerKind.STOP, source=PriceSource.LAST, trigger_price=5),
    ),
    PlaceLinked(
        kind=LinkKind.OTO,
        condition=HitCondition.ANY_FILL,
        orders=(PlaceOrder(terms=TERMS, signature=b""), PlaceOrder(terms=TERMS, signature=b"")),
    ),
    AmendOrder(terms=TERMS, signature=bytes(65)),
    CancelOrder(subaccount_id=2, order_id=3),
    CancelAll(subaccount_id=2),
    Withdraw(terms=WITHDRAWAL, signature=bytes(65)),
    TransferFunds(
        terms=TransferTerms(
            subaccount_id=2,
            to_subaccount_id=3,
            token=ADDRESS,
            amount=5,
            nonce=1,
            deadline=2,
            signer=ADDRESS,
        ),
        signature=bytes(65),
    ),
    ExpireInstruments(underlying_id=1, expiry=60),
    AccrueFunding(),
    CutBatch(),
    AccrueInterest(),
    Novate(
        batch=3,
        fills=(
            NovatedFill(
                trade_id=1, maker=True, subaccount_id=2, fee=3, terms=TERMS, signature=bytes(65)
            ),
        ),
    ),
    HoldWithdrawals(subaccount_id=2, held=True, detail="cash"),
    SuspendTrading(subaccount_id=2, suspended=True, detail="stolen key"),
    AdvanceClock(by_ns=5),
    ObserveBlocks(
        first_block=1,
        last_block=2,
        last_hash="0x00",
        observations=(
            SubaccountSeen(subaccount_id=2, owner=ADDRESS),
            DepositSeen(subaccount_id=2, amount=5),
            SessionKeySeen(owner=ADDRESS, key=ADDRESS, deadline=0),
            NonceFloorSeen(subaccount_id=2, floor=3),
            BatchSeen(number=1, batch_hash=bytes(32), block=1, transaction="0x"),
        ),
    ),
]
BY_NAME = [pytest.param(command, id=type(command).__name__) for command in COMMANDS]


def test_every_command_is_in_the_union():
    """A command outside `AnyCommand` could be written but not read back."""
    assert set(AnyCommand.__args__) == set(Command.__subclasses__())
    assert set(AnyObservation.__args__) == set(Observation.__subclasses__())


@given(any_of(AnyCommand))
def test_any_command_round_trips(command):
    """Whatever its content, the journal gives it back."""
    packed = msgspec.msgpack.encode(command)
    assert msgspec.msgpack.decode(packed, type=AnyCommand) == command


@pytest.mark.parametrize("command", BY_NAME)
def test_extreme_commands_round_trip(command):
    """msgpack (journal) and JSON (internal endpoint) give the same command back."""
    packed = msgspec.msgpack.encode(command)
    assert msgspec.msgpack.decode(packed, type=AnyCommand) == command
    assert msgspec.msgpack.encode(msgspec.msgpack.decode(packed, type=AnyCommand)) == packed
    assert msgspec.json.decode(msgspec.json.encode(command), type=AnyCommand) == command


@pytest.mark.parametrize("command", BY_NAME)
def test_commands_are_frozen_and_hashable_by_value(command):
    """Nobody changes a command after it was made."""
    field = next(iter(command.__struct_fields__), None)
    if field is not None:
        with pytest.raises(AttributeError):
            setattr(command, field, None)


def test_signed_commands_are_found_where_they_are_carried():
    """Settlement and audit read orders by their place in a command."""
    (linked,) = [command for command in COMMANDS if isinstance(command, PlaceLinked)]
    plain = linked.orders[0]
    assert signed_commands(plain) == (plain,)
    assert signed_commands(linked) == linked.orders
    assert signed_commands(CutBatch()) == ()


def test_old_records_stay_readable():
    """A record from before a field was added takes the field's default."""
    record = {"type": "CancelAll", "subaccount_id": 4}
    assert msgspec.convert(record, AnyCommand) == CancelAll(subaccount_id=4, instrument_id=0)
    record = {"type": "PlaceOrder", "terms": msgspec.to_builtins(TERMS), "signature": ""}
    order = msgspec.convert(record, AnyCommand)
    assert (order.time_in_force, order.post_only, order.max_show) == (TimeInForce.GTC, False, 0)


@pytest.mark.parametrize(
    "record",
    [
        {"type": "Nothing"},
        {"type": "CancelAll"},
        {"type": "CancelAll", "subaccount_id": "4"},
        {"type": "CancelAll", "subaccount_id": 4.5},
    ],
)
def test_other_records_are_refused(record):
    """Unknown tags, missing fields and loose types do not become commands."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(record, AnyCommand)
