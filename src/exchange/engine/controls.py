"""What owners and the guardian decide on chain: it binds here as soon as it is observed.

The contract obeys later (docs/contracts.md), so whatever was released before still settles. What
the chain takes back is as before, but the orders that it canceled stay canceled.
"""

from typing import assert_never

from exchange.commands import (
    AccessSeen,
    Halt,
    KeyScopeSeen,
    NonceFloorSeen,
    NonceVoidSeen,
    PauseSeen,
    SessionKeySeen,
    SheetFloorSeen,
    WithdrawalVoidSeen,
)
from exchange.engine.booking import cancel
from exchange.engine.phases import halt
from exchange.engine.records import Order
from exchange.engine.state import Subaccount, Venue
from exchange.events import (
    AccessChanged,
    CancelReason,
    KeyScoped,
    NonceFloorRaised,
    NonceVoided,
    RiskPaused,
    SessionKeySet,
    SheetFloorRaised,
    WithdrawalVoided,
)
from exchange.reversals import NonceFloorReverted

Control = (
    SessionKeySeen
    | KeyScopeSeen
    | NonceFloorSeen
    | NonceVoidSeen
    | WithdrawalVoidSeen
    | SheetFloorSeen
    | AccessSeen
    | PauseSeen
)


def obey(venue: Venue, seen: Control) -> int:
    """Take in one decision and cancel what it voids; what `take_back` needs to undo it."""
    access = venue.access
    match seen:
        case SessionKeySeen():
            before = access.keys.get((seen.owner, seen.key), 0)
            _set_session_key(venue, seen, seen.deadline)
            return before
        case KeyScopeSeen():
            access.scopes[seen.owner, seen.key] = seen.scope
            venue.emit(KeyScoped(owner=seen.owner, key=seen.key, scope=seen.scope))
            return 0
        case AccessSeen():
            before = access.passes.get(seen.owner, 0)
            _change_access(venue, seen, seen.until)
            return before
        case PauseSeen():
            before = access.paused_until
            _pause(venue, seen.until)
            return before
        case WithdrawalVoidSeen():
            _tell_void(venue, seen, void=True)
            return 0
        case _:
            return _void(venue, venue.subaccounts[seen.subaccount_id], seen)


def take_back(venue: Venue, seen: Control, before: int) -> None:
    """Undo a decision that the chain lost."""
    match seen:
        case SessionKeySeen():
            _set_session_key(venue, seen, before)
        case KeyScopeSeen():
            del venue.access.scopes[seen.owner, seen.key]
            for pair in [key for key in venue.access.used if key[:2] == (seen.owner, seen.key)]:
                del venue.access.used[pair]
            venue.emit(KeyScoped(owner=seen.owner, key=seen.key, scope=None))
        case AccessSeen():
            _change_access(venue, seen, before)
        case PauseSeen():
            _pause(venue, before)
        case WithdrawalVoidSeen():
            _tell_void(venue, seen, void=False)
        case NonceFloorSeen():
            venue.subaccounts[seen.subaccount_id].nonce_floor = before
            venue.emit(NonceFloorReverted(subaccount_id=seen.subaccount_id, floor=before))
        case NonceVoidSeen():
            _take_back_nonce(venue, seen, used=bool(before))
        case SheetFloorSeen():
            venue.subaccounts[seen.subaccount_id].sheet_floor = before
            venue.emit(SheetFloorRaised(subaccount_id=seen.subaccount_id, floor=before))
        case _:
            assert_never(seen)


def _take_back_nonce(venue: Venue, seen: NonceVoidSeen, *, used: bool) -> None:
    if not used:
        venue.subaccounts[seen.subaccount_id].used_nonces.discard(seen.nonce)
    venue.emit(NonceVoided(subaccount_id=seen.subaccount_id, nonce=seen.nonce, void=used))


def _tell_void(venue: Venue, seen: WithdrawalVoidSeen, *, void: bool) -> None:
    """The money itself comes back, or is lost again, as a deposit."""
    number = seen.subaccount_id
    venue.emit(WithdrawalVoided(subaccount_id=number, nonce=seen.nonce, void=void))


def _set_session_key(venue: Venue, seen: SessionKeySeen, deadline: int) -> None:
    """A grant that never was takes the key's orders along; a lost revocation brings none back."""
    pair = (seen.owner, seen.key)
    if deadline:
        venue.access.keys[pair] = deadline
    else:
        venue.access.keys.pop(pair, None)
    venue.emit(SessionKeySet(owner=seen.owner, key=seen.key, deadline=deadline))
    for order in _orders_of(venue, seen.owner):
        if order.terms.signer == seen.key and order.terms.deadline > deadline:
            cancel(venue, order, CancelReason.SESSION_KEY)


def _change_access(venue: Venue, seen: AccessSeen, until: int) -> None:
    if until:
        venue.access.passes[seen.owner] = until
    else:
        venue.access.passes.pop(seen.owner, None)
    venue.emit(AccessChanged(owner=seen.owner, until=until))
    assert venue.parameters is not None
    if not venue.parameters.access_pass:
        return
    for order in _orders_of(venue, seen.owner):
        if order.terms.deadline > until and not order.terms.reduce_only:
            cancel(venue, order, CancelReason.ACCESS)


def _pause(venue: Venue, until: int) -> None:
    venue.access.paused_until = until
    venue.emit(RiskPaused(until=until))
    if until:
        halt(venue, Halt(reason="paused on chain"))


def _orders_of(venue: Venue, owner: str) -> list[Order]:
    subaccounts = [venue.subaccounts[key] for key in sorted(venue.owned.get(owner, ()))]
    return [order for subaccount in subaccounts for order in subaccount.open_orders.values()]


def _void(
    venue: Venue, subaccount: Subaccount, seen: NonceFloorSeen | NonceVoidSeen | SheetFloorSeen
) -> int:
    number = subaccount.subaccount_id
    match seen:
        case NonceFloorSeen():
            before = subaccount.nonce_floor
            subaccount.nonce_floor = max(before, seen.floor)
            venue.emit(NonceFloorRaised(subaccount_id=number, floor=subaccount.nonce_floor))
            _cancel_void(venue, subaccount, CancelReason.NONCE_FLOOR)
        case NonceVoidSeen():
            before = int(seen.nonce in subaccount.used_nonces)
            subaccount.used_nonces.add(seen.nonce)
            venue.emit(NonceVoided(subaccount_id=number, nonce=seen.nonce))
            _cancel_void(venue, subaccount, CancelReason.ON_CHAIN)
        case SheetFloorSeen():
            before = subaccount.sheet_floor
            subaccount.sheet_floor = max(before, seen.floor)
            venue.emit(SheetFloorRaised(subaccount_id=number, floor=subaccount.sheet_floor))
            _cancel_void(venue, subaccount, CancelReason.ON_CHAIN)
        case _:
            assert_never(seen)
    return before


def _cancel_void(venue: Venue, subaccount: Subaccount, reason: CancelReason) -> None:
    sheet = subaccount.sheet
    quotes_void = sheet is not None and sheet.terms.sheet_nonce < subaccount.sheet_floor
    for order in list(subaccount.open_orders.values()):
        nonce = order.terms.nonce
        void = nonce < subaccount.nonce_floor or nonce in subaccount.used_nonces
        if void or (order.is_quote and quotes_void):
            cancel(venue, order, reason)
