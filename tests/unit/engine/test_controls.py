"""What owners and the guardian decide on chain: obeyed at once, with a reason for each order."""

import pytest
from tests.sheets import sheet
from tests.venue import (
    C,
    P,
    Venue,
    canceled,
    contracts,
    names,
    open_venue,
    placed_in,
    refusals,
)

from exchange.commands import (
    AccessSeen,
    KeyScopeSeen,
    MassQuote,
    NonceFloorSeen,
    NonceVoidSeen,
    PauseSeen,
    Resume,
    SessionKeySeen,
    SheetFloorSeen,
    WithdrawalVoidSeen,
)
from exchange.events import (
    AccessChanged,
    CancelReason,
    KeyScoped,
    NonceFloorRaised,
    NonceVoided,
    RejectReason,
    RiskPaused,
    SessionKeySet,
    SheetFloorRaised,
    WithdrawalVoided,
)
from exchange.model import InstrumentStatus, KeyLimit, KeyScope, Kind

R = RejectReason


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


def test_a_scope_is_told_before_its_key_is_granted(venue, ann):
    """Nobody sees the key live without its bounds."""
    scope = KeyScope(kinds=(Kind.OPTION,), limits=(KeyLimit(underlying_id=1, daily_quantity=1),))
    events = venue.observe(
        KeyScopeSeen(owner="ann", key="key", scope=scope),
        SessionKeySeen(owner="ann", key="key", deadline=venue.now_s + 60),
    )
    assert events[0] == KeyScoped(owner="ann", key="key", scope=scope)
    assert names(events[1:]) == ["SessionKeySet", "BlocksObserved"]
    venue.twin()


# --- single orders and sheets ---


def test_a_canceled_nonce_trades_no_more(venue, ann):
    """The resting order goes, the others stay, and the nonce never comes back."""
    gone = venue.sell(ann, 1, 2_500, nonce=10)
    venue.sell(ann, 2, 2_500, nonce=11)
    events = venue.observe(NonceVoidSeen(subaccount_id=ann, nonce=10))
    assert NonceVoided(subaccount_id=ann, nonce=10) in events
    assert canceled(events) == [(contracts(1), CancelReason.ON_CHAIN)]
    assert refusals(venue.amend(gone, quantity=contracts(3))) == [R.UNKNOWN_ORDER]
    assert [order.nonce for order in venue.engine.open_orders(ann)] == [11]


def test_a_nonce_may_be_canceled_before_it_was_seen(venue, ann):
    """An order or a withdrawal that comes later is refused, and the log may come twice."""
    for _ in range(2):
        venue.observe(NonceVoidSeen(subaccount_id=ann, nonce=10))
    assert refusals(venue.sell(ann, 1, 2_500, nonce=10)) == [R.NONCE_USED]
    assert refusals(venue.withdraw(ann, 1, nonce=10)) == [R.NONCE_USED]
    assert refusals(venue.sell(ann, 1, 2_500, nonce=9)) == []


def quote_sheet(venue: Venue, who: int, nonce: int) -> MassQuote:
    lines = [(instrument_id, 2_480, 5, 2_520, 5) for instrument_id in sorted((C, P))]
    return sheet(venue, who, nonce, *lines)


def test_a_canceled_sheet_goes_and_lower_ones_never_come(venue, ann):
    """Orders signed by themselves stay, and the next sheet quotes again."""
    venue.send(quote_sheet(venue, ann, 3))
    single = venue.sell(ann, 1, 2_600)
    events = venue.observe(SheetFloorSeen(subaccount_id=ann, floor=4))
    assert SheetFloorRaised(subaccount_id=ann, floor=4) in events
    assert canceled(events) == [(contracts(5), CancelReason.ON_CHAIN)] * 4
    assert [o.order_id for o in venue.engine.open_orders(ann)] == [placed_in(single).order_id]
    venue.observe(SheetFloorSeen(subaccount_id=ann, floor=10))
    assert refusals(venue.send(quote_sheet(venue, ann, 9))) == [R.STALE_SHEET]
    assert refusals(venue.send(quote_sheet(venue, ann, 10))) == []


def test_a_sheet_floor_never_falls_and_spares_newer_sheets(venue, ann):
    """Only what is below it is void."""
    venue.send(quote_sheet(venue, ann, 7))
    assert canceled(venue.observe(SheetFloorSeen(subaccount_id=ann, floor=7))) == []
    events = venue.observe(SheetFloorSeen(subaccount_id=ann, floor=2))
    assert SheetFloorRaised(subaccount_id=ann, floor=7) in events


def test_a_leaf_is_canceled_by_its_nonce(venue, ann):
    """The other quotes of its sheet stand."""
    venue.send(quote_sheet(venue, ann, 1))
    events = venue.observe(NonceVoidSeen(subaccount_id=ann, nonce=1_002))
    assert canceled(events) == [(contracts(5), CancelReason.ON_CHAIN)]
    assert len(venue.engine.open_orders(ann)) == 3


# --- passes and the pause ---


def test_a_pass_that_ends_takes_the_orders_that_need_it():
    """Reduce-only ones stay: nobody is locked into a position."""
    venue = open_venue(access_pass=True)
    ann, bob = venue.fund("ann"), venue.fund("bob")
    for owner in ("ann", "bob"):
        venue.observe(AccessSeen(owner=owner, until=venue.now_s + 7_200))
    venue.sell(ann, 2, 2_500)
    venue.buy(bob, 1, 2_500)
    closing = venue.buy(ann, 1, 2_400, reduce_only=True)
    events = venue.observe(AccessSeen(owner="ann", until=0))
    assert AccessChanged(owner="ann", until=0) in events
    assert canceled(events) == [(contracts(1), CancelReason.ACCESS)]
    assert [o.order_id for o in venue.engine.open_orders(ann)] == [placed_in(closing).order_id]
    venue.twin()


def test_passes_mean_nothing_to_a_venue_without_them(venue, ann):
    """The log is remembered, in case the venue asks for them later."""
    venue.sell(ann, 1, 2_500)
    assert canceled(venue.observe(AccessSeen(owner="ann", until=0))) == []


def test_a_pause_halts_and_no_operator_resumes_it(venue, ann, bob):
    """Cancels and withdrawals go on; when it is over an operator resumes."""
    resting = venue.sell(ann, 1, 2_500)
    until = venue.now_s + 600
    events = venue.observe(PauseSeen(until=until))
    assert RiskPaused(until=until) in events
    assert venue.engine.status(C) is InstrumentStatus.HALTED
    assert refusals(venue.buy(bob, 1, 2_500)) == [R.INSTRUMENT_HALTED]
    assert refusals(venue.send(Resume())) == [R.PAUSED]
    assert names(venue.withdraw(ann, 1)) == ["Withdrawn"]
    assert names(venue.cancel(resting)) == ["OrderCanceled"]
    venue.wait(600)
    assert refusals(venue.send(Resume())) == []
    assert venue.engine.status(C) is not InstrumentStatus.HALTED


def test_a_pause_that_was_lifted_may_be_resumed(venue):
    """Lifting it starts nothing by itself."""
    venue.observe(PauseSeen(until=venue.now_s + 600))
    venue.observe(PauseSeen(until=0))
    assert venue.engine.status(C) is InstrumentStatus.HALTED
    assert refusals(venue.send(Resume())) == []


@pytest.mark.parametrize("order", [1, -1])
def test_what_binds_enters_the_state(order):
    """Two venues that saw the same controls in another order are the same."""
    seen = [
        NonceVoidSeen(subaccount_id=2, nonce=5),
        SheetFloorSeen(subaccount_id=2, floor=3),
        AccessSeen(owner="ann", until=9),
        AccessSeen(owner="bob", until=9),
    ]
    venue = open_venue()
    venue.fund("ann")
    without = venue.engine.state_hash()
    venue.observe(*seen[::order])
    other = open_venue()
    other.fund("ann")
    other.observe(*seen)
    assert venue.engine.state_hash() != without
    assert venue.engine._venue.access.state() == other.engine._venue.access.state()
    assert venue.engine.subaccounts[2].state() == other.engine.subaccounts[2].state()


def test_what_the_chain_loses_is_as_before(venue, ann):
    """A nonce, a sheet floor, a scope, a pass and a pause that never were bind nobody."""
    scope = KeyScope(kinds=(Kind.OPTION,), limits=(KeyLimit(underlying_id=1, daily_quantity=1),))
    venue.observe(NonceVoidSeen(subaccount_id=ann, nonce=7), AccessSeen(owner="ann", until=5))
    before = venue.block()
    access = venue.engine._venue.access.state()
    venue.observe(
        KeyScopeSeen(owner="ann", key="key", scope=scope),
        SessionKeySeen(owner="ann", key="key", deadline=venue.now_s + 60),
        NonceVoidSeen(subaccount_id=ann, nonce=7),
        NonceVoidSeen(subaccount_id=ann, nonce=8),
        WithdrawalVoidSeen(subaccount_id=ann, nonce=5),
        SheetFloorSeen(subaccount_id=ann, floor=3),
        AccessSeen(owner="ann", until=9),
        AccessSeen(owner="bob", until=9),
        PauseSeen(until=venue.now_s + 600),
    )
    events = venue.revert(before)
    assert WithdrawalVoided(subaccount_id=ann, nonce=5, void=False) in events
    assert NonceVoided(subaccount_id=ann, nonce=8, void=False) in events
    assert NonceVoided(subaccount_id=ann, nonce=7) in events
    assert KeyScoped(owner="ann", key="key", scope=None) in events
    assert RiskPaused(until=0) in events
    assert venue.engine._venue.access.state() == access
    venue.send(Resume())
    venue.wait(120)
    venue.index()
    venue.mark({})
    assert refusals(venue.sell(ann, 1, 2_500, nonce=7)) == [R.NONCE_USED]
    assert refusals(venue.sell(ann, 1, 2_500, nonce=8)) == []
    assert refusals(venue.send(quote_sheet(venue, ann, 2))) == []


def test_a_scope_that_is_lost_forgets_what_its_key_used(venue, ann, bob):
    """Granted again, the key has its whole day."""
    limits = (KeyLimit(underlying_id=1, daily_quantity=contracts(2)),)
    seen = (
        KeyScopeSeen(owner="ann", key="key", scope=KeyScope(kinds=(Kind.OPTION,), limits=limits)),
        SessionKeySeen(owner="ann", key="key", deadline=venue.now_s + 10_000),
    )
    before = venue.block()
    venue.observe(*seen)
    venue.sell(ann, 2, 2_500, signer="key")
    venue.buy(bob, 2, 2_500)
    assert venue.engine._venue.access.used
    venue.revert(before)
    assert not venue.engine._venue.access.used
    venue.observe(*seen)
    assert refusals(venue.sell(ann, 2, 2_500, signer="key")) == []
