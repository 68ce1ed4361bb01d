"""Forced exits: what owners ask for on chain, paid as far as margin allows; and the escape.

A request cancels the subaccount's orders, because the chain, where anybody may serve it later,
knows none. It is paid by batches for as long as `PAID_WITHIN_S`, and closed by the chain; until
then no other money leaves the subaccount. The logs are facts, so nothing here refuses one.
"""

from typing import Final

from exchange.engine.booking import cancel
from exchange.engine.chain_auctions import is_frozen
from exchange.engine.exit_memory import ForcedExit
from exchange.engine.state import Venue
from exchange.engine.treasury import credit, leavable, ledger_token, take, take_back
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

# By one command: what is paid must fit into a batch, and what cannot be costs margins all the same.
_TRIED_AT_ONCE_MAX: Final = 20
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
            token=ledger_token(venue, seen.token),
        )
    )
    for order in list(subaccount.open_orders.values()):
        cancel(venue, order, CancelReason.FORCED_EXIT)


def pay_exits(venue: Venue) -> None:
    """Pay open requests as far as margin allows; what is left waits behind all others."""
    now_s = to_seconds_down(venue.time_ns)
    requests = venue.exits.requests
    waiting = [one for one in requests.values() if now_s <= one.requested_s + PAID_WITHIN_S]
    for request in waiting[:_TRIED_AT_ONCE_MAX]:
        _pay(venue, request)
        del requests[request.subaccount_id]
        if request.left:
            requests[request.subaccount_id] = request


def exit_served(venue: Venue, seen: ExitServedSeen) -> None:
    """The chain debited this already: it is gone, whatever it leaves."""
    venue.exits.requests.pop(seen.subaccount_id, None)
    token = ledger_token(venue, seen.token)
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
        credit(venue, subaccount, ledger_token(venue, seen.token), seen.amount)
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
            token=ledger_token(venue, seen.token),
        )
    )


def start_escape(venue: Venue, seen: EscapeSeen) -> None:
    """The venue has ended; from here on only blocks are taken in."""
    venue.exits.escaped = True
    for subaccount_id in sorted(venue.subaccounts):
        for order in list(venue.subaccounts[subaccount_id].open_orders.values()):
            cancel(venue, order, CancelReason.ESCAPE)
    venue.emit(EscapeStarted(block=seen.block))


def _pay(venue: Venue, request: ForcedExit) -> None:
    subaccount = venue.subaccounts[request.subaccount_id]
    if is_frozen(venue, request.subaccount_id):
        return
    token = ledger_token(venue, request.token)
    amount = leavable(venue, subaccount, token, request.left)
    small = request.paid and amount * _PARTS_MAX < request.left
    if amount == 0 or small:
        return
    take(venue, subaccount, token, amount)
    venue.batches.pending += 1
    request.left -= amount
    request.paid = True
    venue.emit_act(
        Withdrawn(
            subaccount_id=request.subaccount_id,
            amount=amount,
            recipient=request.recipient,
            nonce=request.ordinal,
            token=token,
            exit_token=request.token,
        )
    )
