"""Every refusal of an order has a test that provokes it, and every pair a test of what comes first.

A fault changes terms, instructions or the venue so that one check fails. Alone it gives its reason;
with any later fault beside it, it still does: the order of `RejectReason` is the order of checks.
"""

from itertools import combinations
from typing import Any, NamedTuple

import msgspec
import pytest
from tests.venue import (
    EXPIRY_S,
    FEES,
    NS,
    START_S,
    C,
    call,
    contracts,
    limits,
    listing,
    open_venue,
    placed_in,
    put,
    refusals,
    usdc,
)

from exchange.commands import (
    AmendOrder,
    CancelAll,
    DepositSeen,
    ListInstruments,
    NonceFloorSeen,
    PlaceOrder,
    SessionKeySeen,
)
from exchange.engine import Engine
from exchange.events import Refused, RejectReason
from exchange.model import OrderTerms, Side, TimeInForce

SOON = START_S + 3600
UNMARKED = call(95_000)
COARSE = call(105_000)  # at least 2 contracts
PASSED = call(100_000, expiry=SOON)
FLOOR = 100
USED = 150


class Fault(NamedTuple):
    """One thing wrong: changed fields, or something that happens first (a method of `Stage`)."""

    reason: RejectReason
    terms: dict[str, Any]
    options: dict[str, Any] = {}  # noqa: RUF012 -- read only
    happens: str = ""


class Stage:
    """Bob offers 1 at 2,500; ann, with little money, is about to bid 1 for 2,400."""

    def __init__(self) -> None:
        self.venue = open_venue(
            fees=FEES,
            limits=limits(
                open_orders_max=2, deadline_seconds_max=40 * 86_400, marks_age_ns_max=3610 * NS
            ),
        )
        venue = self.venue
        venue.send(
            ListInstruments(
                listings=(listing(UNMARKED), listing(PASSED), listing(COARSE, min_quantity=20_000))
            )
        )
        venue.mark({PASSED: 2_500, COARSE: 2_500})
        self.ann = venue.fund("ann", 8_000)
        self.bob = venue.fund("bob")
        venue.observe(NonceFloorSeen(subaccount_id=self.ann, floor=FLOOR))
        venue.cancel(venue.buy(self.ann, 1, 2_400, nonce=USED))
        self.order = venue.buy(self.ann, 1, 2_300, nonce=USED + 1, deadline=SOON + 60)
        venue.sell(self.bob, 1, 2_500, deadline=SOON + 60)
        venue.wait_until(SOON)  # the short expiry is over, the index is fresh
        venue.index()
        venue.checking = False
        self.terms = venue.terms(self.ann, Side.BUY, 1, 2_400, nonce=USED + 2)

    def many_orders(self) -> None:
        self.venue.buy(self.ann, "0.01", 10, nonce=USED + 3)

    def silence(self) -> None:
        self.venue.wait(31)

    def old_marks(self) -> None:
        self.venue.wait(11)
        self.venue.index()

    def gone(self) -> None:
        self.venue.cancel(self.order)


R = RejectReason
PLACE_FAULTS = [
    Fault(R.UNKNOWN_SUBACCOUNT, {"subaccount_id": 99}),
    Fault(R.UNAUTHORIZED_SIGNER, {"signer": "mallory"}),
    Fault(R.DEADLINE_PASSED, {"deadline": SOON}),
    Fault(R.DEADLINE_TOO_FAR, {"deadline": SOON + 40 * 86_400 + 60}),
    Fault(R.STALE_NONCE, {"nonce": FLOOR - 1}),
    Fault(R.NONCE_USED, {"nonce": USED}),
    Fault(R.UNKNOWN_INSTRUMENT, {"instrument_id": call(120_000)}),
    Fault(R.INSTRUMENT_EXPIRED, {"instrument_id": PASSED}),
    Fault(R.QUANTITY_NOT_POSITIVE, {"quantity": -50}),
    Fault(R.QUANTITY_OFF_LOT, {"quantity": 50}),
    Fault(R.QUANTITY_TOO_SMALL, {"quantity": 10_000, "instrument_id": COARSE}),
    Fault(R.QUANTITY_TOO_LARGE, {"quantity": contracts("1000.01")}),
    Fault(R.PRICE_NOT_POSITIVE, {"limit_price": -1}),
    Fault(R.PRICE_OFF_TICK, {"limit_price": usdc(2_400) + 1}),
    Fault(R.MAX_FEE_TOO_LOW, {"max_fee": 0}),
    Fault(R.STALE_INDEX, {}, {}, "silence"),
    Fault(R.NO_MARK, {"instrument_id": UNMARKED}),
    Fault(R.STALE_MARKS, {}, {}, "old_marks"),
    Fault(R.PRICE_OUTSIDE_BAND, {"limit_price": usdc("12500.01")}),
    Fault(R.TOO_MANY_ORDERS, {}, {}, "many_orders"),
    Fault(R.REDUCE_ONLY_INCREASES, {"reduce_only": True}),
    Fault(R.INSUFFICIENT_MARGIN, {"quantity": contracts(900)}),
    Fault(R.POST_ONLY_WOULD_TRADE, {"side": Side.BUY, "limit_price": usdc(2_500)}, {
        "post_only": True, "reject_post_only": True,
    }),
    Fault(R.FOK_NOT_FILLABLE, {}, {"time_in_force": TimeInForce.FOK}),
]  # fmt: skip
AMEND_FAULTS = [
    Fault(R.UNKNOWN_SUBACCOUNT, {"subaccount_id": 99}),
    Fault(R.UNAUTHORIZED_SIGNER, {"signer": "mallory"}),
    Fault(R.DEADLINE_PASSED, {"deadline": SOON}),
    Fault(R.STALE_NONCE, {"nonce": FLOOR - 1}),
    Fault(R.NONCE_USED, {"version": 0, "deadline": SOON + 61}),
    Fault(R.UNKNOWN_INSTRUMENT, {"instrument_id": call(120_000)}),
    Fault(R.INSTRUMENT_EXPIRED, {"instrument_id": PASSED}),
    Fault(R.UNKNOWN_ORDER, {}, {}, "gone"),
    Fault(R.UNKNOWN_ORDER, {"nonce": 10**6, "version": 1}),
    Fault(R.NOT_AMENDABLE, {"side": Side.SELL}),
    Fault(R.NOT_AMENDABLE, {"reduce_only": True}),
    Fault(R.NOT_AMENDABLE, {"trigger_hash": b"\x01" * 32}),
    Fault(R.NOT_AMENDABLE, {"instrument_id": put(100_000)}),
    Fault(R.QUANTITY_NOT_POSITIVE, {"quantity": 0}),
    Fault(R.QUANTITY_OFF_LOT, {"quantity": 50}),
    Fault(R.QUANTITY_TOO_LARGE, {"quantity": contracts("1000.01")}),
    Fault(R.PRICE_NOT_POSITIVE, {"limit_price": 0}),
    Fault(R.PRICE_OFF_TICK, {"limit_price": usdc(2_400) + 1}),
    Fault(R.MAX_FEE_TOO_LOW, {"max_fee": 0}),
    Fault(R.STALE_INDEX, {}, {}, "silence"),
    Fault(R.PRICE_OUTSIDE_BAND, {"limit_price": usdc("12500.01")}),
    Fault(R.INSUFFICIENT_MARGIN, {"quantity": contracts(900)}),
]


def compatible(one: Fault, other: Fault) -> bool:
    """Whether two faults touch different things."""
    happen = not (one.happens and other.happens)
    return happen and not (
        set(one.terms) & set(other.terms) or set(one.options) & set(other.options)
    )


def pairs(faults: list[Fault]) -> list[Any]:
    found = [(one, other) for one, other in combinations(faults, 2) if compatible(one, other)]
    return [
        pytest.param(one, other, id=f"{faults.index(one)}-{one.reason}-{other.reason}-{at}")
        for at, (one, other) in enumerate(found)
    ]


def reason_of(*faults: Fault, amend: bool = False) -> RejectReason:
    """What the engine says to a command with these faults; it must have changed nothing."""
    stage = Stage()
    venue = stage.venue
    base: OrderTerms = venue.terms_of(stage.order) if amend else stage.terms
    changes: dict[str, Any] = {"version": 1} if amend else {}
    options: dict[str, Any] = {}
    for fault in faults:
        if fault.happens:
            getattr(stage, fault.happens)()
        changes |= fault.terms
        options |= fault.options
    terms = msgspec.structs.replace(base, **changes)
    before = visible(venue.engine, stage)
    command = AmendOrder(terms=terms, signature=b"") if amend else PlaceOrder(
        terms=terms, signature=b"", **options
    )  # fmt: skip
    (refused,) = venue.send(command)
    assert isinstance(refused, Refused)
    assert (refused.subaccount_id, refused.nonce) == (terms.subaccount_id, terms.nonce)
    assert refused.detail
    assert visible(venue.engine, stage) == before
    venue.engine.check()
    return refused.reason


def visible(engine: Engine, stage: Stage) -> list[Any]:
    """Everything that a trader could see."""
    return [
        (engine.open_orders(who), engine.positions(who), engine.margin(who))
        for who in (stage.ann, stage.bob)
    ] + [stage.venue.book(instrument_id) for instrument_id in engine.instruments]


@pytest.mark.parametrize("fault", PLACE_FAULTS, ids=lambda fault: fault.reason.value)
def test_each_reason_to_refuse_an_order(fault):
    """One fault, its reason, and nothing changed."""
    assert reason_of(fault) is fault.reason


@pytest.mark.parametrize(("first", "second"), pairs(PLACE_FAULTS))
def test_the_first_fault_of_an_order_is_named(first, second):
    """Of two faults the one that stands first in `RejectReason` is the answer."""
    assert reason_of(first, second) is first.reason


@pytest.mark.parametrize(
    "fault", [pytest.param(f, id=f"{i}-{f.reason}") for i, f in enumerate(AMEND_FAULTS)]
)
def test_each_reason_to_refuse_an_amend(fault):
    """One fault, its reason, and the standing order as it was."""
    assert reason_of(fault, amend=True) is fault.reason


@pytest.mark.parametrize(("first", "second"), pairs(AMEND_FAULTS))
def test_the_first_fault_of_an_amend_is_named(first, second):
    """An amend is checked in the same order as a new order."""
    assert reason_of(first, second, amend=True) is first.reason


@pytest.mark.parametrize("faults", [PLACE_FAULTS, AMEND_FAULTS], ids=["place", "amend"])
def test_faults_stand_in_the_order_of_reasons(faults):
    """The tables above are themselves in the documented order."""
    order = list(RejectReason)
    places = [order.index(fault.reason) for fault in faults]
    assert places == sorted(places)


def test_the_stage_is_sound():
    """Without a fault both commands pass, so that each refusal is due to its fault."""
    stage = Stage()
    assert refusals(stage.venue.place(stage.terms)) == []
    assert refusals(stage.venue.amend(stage.order, limit_price=usdc(2_310))) == []


# --- bounds, exactly ---


def test_a_deadline_may_reach_as_far_as_allowed(venue, ann):
    """The farthest second is allowed, the next one is not; the present one is over."""
    farthest = venue.now_s + 30 * 86_400
    assert refusals(venue.sell(ann, 1, 2_500, deadline=farthest)) == []
    assert refusals(venue.sell(ann, 1, 2_500, deadline=farthest + 1)) == [R.DEADLINE_TOO_FAR]
    assert refusals(venue.sell(ann, 1, 2_500, deadline=venue.now_s + 1)) == []
    assert refusals(venue.sell(ann, 1, 2_500, deadline=venue.now_s)) == [R.DEADLINE_PASSED]


def test_a_session_key_must_outlive_the_order(venue, ann):
    """A key signs deadlines up to its own; for all subaccounts of the owner, for no other owner."""
    last = venue.now_s + 600
    venue.observe(SessionKeySeen(owner="ann", key="key", deadline=last))
    bob = venue.fund("bob")
    assert refusals(venue.sell(ann, 1, 2_500, signer="key", deadline=last)) == []
    late = venue.sell(ann, 1, 2_500, signer="key", deadline=last + 1)
    assert refusals(late) == [R.UNAUTHORIZED_SIGNER]
    assert refusals(venue.sell(bob, 1, 2_500, signer="key", deadline=last)) == [
        R.UNAUTHORIZED_SIGNER
    ]


BANDS = [
    (Side.BUY, "12500", []),
    (Side.BUY, "12500.01", [R.PRICE_OUTSIDE_BAND]),
    (Side.BUY, "0.01", []),
    (Side.SELL, "90000", []),
]


@pytest.mark.parametrize(("side", "price", "reasons"), BANDS)
def test_the_band_binds_on_the_dear_side(venue, ann, side, price, reasons):
    """A bid at most 10 % of the index above the mark; far and harmless prices are free."""
    assert refusals(venue.order(ann, side, 1, price)) == reasons


def test_the_band_binds_offers_below_the_mark(venue, ann):
    """An offer at least 10 % of the index below the mark."""
    venue.mark({C: 20_000})
    assert refusals(venue.sell(ann, 1, 10_000)) == []
    assert refusals(venue.sell(ann, 1, "9999.99")) == [R.PRICE_OUTSIDE_BAND]


def test_an_index_may_age_to_the_last_nanosecond(venue, ann):
    """30 seconds are fresh, one nanosecond more is not."""
    venue.wait(30)
    assert refusals(venue.sell(ann, 1, 2_500)) == []
    venue.time_ns += 1
    assert refusals(venue.sell(ann, 1, 2_500)) == [R.STALE_INDEX]


def test_marks_may_age_to_the_last_nanosecond():
    """Stale marks refuse new risk and keep what rests; a new epoch lets orders in again."""
    venue = open_venue(limits=limits(marks_age_ns_max=60 * NS))
    ann = venue.fund("ann")
    venue.wait(60)
    venue.index()
    assert refusals(venue.sell(ann, 1, 2_500)) == []
    venue.time_ns += 1
    assert refusals(venue.sell(ann, 1, 2_500)) == [R.STALE_MARKS]
    assert len(venue.engine.open_orders(ann)) == 1
    venue.mark({})
    assert refusals(venue.sell(ann, 1, 2_500)) == []


def test_quantities_at_their_bounds(venue, ann):
    """The smallest and the largest order pass."""
    assert refusals(venue.buy(ann, "0.01", 1)) == []
    assert refusals(venue.buy(ann, 1_000, 1)) == []


def test_an_expiry_ends_trading_before_it_is_delivered(venue, ann):
    """At the second of expiry orders are refused, whether or not a delivery price exists."""
    venue.wait_until(EXPIRY_S - 1)
    venue.index()
    order = venue.buy(ann, 1, 2_500)
    assert refusals(order) == []
    venue.wait(1)
    assert refusals(venue.buy(ann, 1, 2_500)) == [R.INSTRUMENT_EXPIRED]
    assert refusals(venue.amend(order, limit_price=usdc(2_510))) == [R.INSTRUMENT_EXPIRED]
    venue.index()
    assert placed_in(order).order_id in {o.order_id for o in venue.engine.open_orders(ann)}


def test_a_reduce_only_fok_must_fit_the_position(venue, ann, bob):
    """Fill-or-kill cannot give up what exceeds the position, so it is refused."""
    venue.sell(bob, 2, 2_500)
    venue.buy(ann, 2, 2_500)
    venue.buy(bob, 9, 2_400)
    much = venue.sell(ann, 3, 2_400, reduce_only=True, time_in_force=TimeInForce.FOK)
    assert refusals(much) == [R.REDUCE_ONLY_INCREASES]
    fits = venue.sell(ann, 2, 2_400, reduce_only=True, time_in_force=TimeInForce.FOK)
    assert refusals(fits) == []
    assert venue.position(ann) == 0


@pytest.mark.parametrize("time_in_force", [TimeInForce.IOC, TimeInForce.FOK])
def test_post_only_needs_an_order_that_can_rest(venue, ann, time_in_force):
    """An order that may only take cannot only make."""
    events = venue.sell(ann, 1, 2_500, post_only=True, time_in_force=time_in_force)
    assert refusals(events) == [R.POST_ONLY_WOULD_TRADE]


def test_margin_to_the_last_micro(venue):
    """With a micro-USDC less than the requirement the order is refused; with it, accepted."""
    probe = venue.fund("probe", 100_000)
    venue.sell(probe, 1, 2_500)
    summary = venue.engine.margin(probe)
    need = summary.cash - summary.initial_excess
    assert need > 0
    exact = venue.fund("exact", 0)
    venue.observe(DepositSeen(subaccount_id=exact, amount=need - 1))
    events = venue.sell(exact, 1, 2_500)
    assert refusals(events) == [R.INSUFFICIENT_MARGIN]
    assert "0.000001 USDC" in events[0].detail
    venue.observe(DepositSeen(subaccount_id=exact, amount=1))
    assert refusals(venue.sell(exact, 1, 2_500)) == []


def test_margin_never_stops_an_order_that_only_reduces(venue, bob):
    """Below initial margin, closing is still allowed; opening is not."""
    ann = venue.fund("ann", 8_000)
    venue.buy(bob, 1, 2_500)
    venue.sell(ann, 1, 2_500)
    venue.mark({C: 7_000})
    assert venue.engine.margin(ann).initial_excess < 0
    venue.sell(bob, 1, 7_000)
    opening = venue.buy(ann, 1, 7_000, max_fee=0)
    assert refusals(opening) == [R.INSUFFICIENT_MARGIN]
    closing = venue.buy(ann, 1, 7_000, reduce_only=True, max_fee=0)
    assert refusals(closing) == []
    assert venue.position(ann) == 0


def test_canceling_needs_a_subaccount(venue):
    """Orders of nobody cannot be canceled."""
    (refused,) = venue.send(CancelAll(subaccount_id=99))
    assert (refused.reason, refused.subaccount_id) == (R.UNKNOWN_SUBACCOUNT, 99)
