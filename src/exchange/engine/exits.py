"""Forced exits: what owners ask for on chain, paid as far as margin allows; and the escape.

A request cancels the subaccount's orders, because the chain, where anybody may serve it later,
knows none. It is paid by batches for as long as `PAID_WITHIN_S`, and closed by the chain; until
then no other money leaves the subaccount. The logs are facts, so nothing here refuses one.
"""

from typing import Final

from exchange.engine.booking import cancel
from exchange.engine.exit_memory import ForcedExit
from exchange.engine.state import Venue
from exchange.engine.treasury import credit, leavable, take, take_back
from exchange.events import (
    CancelReason,
    EscapeStarted,
    ExitRequested,
    ExitServed,
    WithdrawalsHeld,
    Withdrawn,
)
from exchange.exits import PAID_WITHIN_S
from exchange.fixed import to_seconds_down
from exchange.observations import EscapeSeen, ExitSeen, ExitServedSeen

_PAID_AT_ONCE_MAX: Final = 20  # by one command: its batch must fit into a transaction
_PARTS_MAX: Final = 10  # later parts are more than this part of what is left: few batches each


def request_exit(venue: Venue, seen: ExitSeen) -> None:
    """Remember a request and take its subaccount's orders off; `pay_exits` pays."""
    subaccount = venue.subaccounts[seen.subaccount_id]
    venue.exits.requests[seen.subaccount_id] = ForcedExit(
        subaccount_id=seen.subaccount_id,
        ordinal=seen.ordinal,
        token=seen.token,
        left=seen.amount,
        recipient=seen.recipient,
        requested_s=seen.requested_s,
    )
    venue.emit(
        ExitRequested(
            subaccount_id=seen.subaccount_id,
            ordinal=seen.ordinal,
            amount=seen.amount,
            recipient=seen.recipient,
            token=_asset(venue, seen.token),
        )
    )
    for order in list(subaccount.open_orders.values()):
        cancel(venue, order, CancelReason.FORCED_EXIT)


def pay_exits(venue: Venue) -> None:
    """Pay open requests as far as margin allows, the oldest first."""
    now_s = to_seconds_down(venue.time_ns)
    paid = 0
    for request in list(venue.exits.requests.values()):
        if paid == _PAID_AT_ONCE_MAX:
            return
        if now_s <= request.requested_s + PAID_WITHIN_S:
            paid += _pay(venue, request)


def exit_served(venue: Venue, seen: ExitServedSeen) -> None:
    """The chain debited this already: it is gone, whatever it leaves."""
    venue.exits.requests.pop(seen.subaccount_id, None)
    token = _asset(venue, seen.token)
    take_back(venue, venue.subaccounts[seen.subaccount_id], token, seen.amount)
    _tell_served(venue, seen, seen.amount)


def revert_exit(venue: Venue, seen: ExitSeen | ExitServedSeen) -> None:
    """The chain lost a request, or the service of one.

    It may bring them again, and batches may have paid meanwhile: nothing leaves until an operator
    looked.
    """
    venue.exits.requests.pop(seen.subaccount_id, None)
    if isinstance(seen, ExitServedSeen):
        subaccount = venue.subaccounts[seen.subaccount_id]
        credit(venue, subaccount, _asset(venue, seen.token), seen.amount)
        _tell_served(venue, seen, -seen.amount)
    venue.treasury.held.add(seen.subaccount_id)
    detail = "the chain lost a forced exit in a reorganisation"
    venue.emit(WithdrawalsHeld(subaccount_id=seen.subaccount_id, held=True, detail=detail))


def _tell_served(venue: Venue, seen: ExitServedSeen, amount: int) -> None:
    venue.emit(
        ExitServed(
            subaccount_id=seen.subaccount_id,
            ordinal=seen.ordinal,
            amount=amount,
            token=_asset(venue, seen.token),
        )
    )


def start_escape(venue: Venue, seen: EscapeSeen) -> None:
    """The venue has ended; from here on only blocks are taken in."""
    venue.exits.escaped = True
    for subaccount_id in sorted(venue.subaccounts):
        for order in list(venue.subaccounts[subaccount_id].open_orders.values()):
            cancel(venue, order, CancelReason.ESCAPE)
    venue.emit(EscapeStarted(block=seen.block))


def _pay(venue: Venue, request: ForcedExit) -> bool:
    subaccount = venue.subaccounts[request.subaccount_id]
    token = _asset(venue, request.token)
    amount = leavable(venue, subaccount, token, request.left)
    small = request.paid and amount * _PARTS_MAX < request.left
    if amount == 0 or small:
        return False
    take(venue, subaccount, token, amount)
    venue.batches.pending += 1
    request.left -= amount
    request.paid = True
    venue.emit(
        Withdrawn(
            subaccount_id=request.subaccount_id,
            amount=amount,
            recipient=request.recipient,
            nonce=request.ordinal,
            token=token,
            exit_token=request.token,
        )
    )
    if request.left == 0:
        del venue.exits.requests[request.subaccount_id]
    return True


def _asset(venue: Venue, token: str) -> str:
    """None for cash."""
    assert venue.parameters is not None
    return "" if token == venue.parameters.collateral else token
