"""An operator stops one subaccount's trading, and ends that: what rests goes, the money stays free.

New orders are refused in `access`, but for reduce-only ones: nobody is locked into what he holds
(ADR 0049).
"""

from exchange.commands import SuspendTrading
from exchange.engine.booking import cancel
from exchange.engine.state import Venue
from exchange.events import CancelReason, RejectReason, TradingSuspended


def suspend_trading(venue: Venue, command: SuspendTrading) -> None:
    """Suspend a subaccount or reinstate it; once more the same is fine, and cancels again."""
    subaccount_id, suspended = command.subaccount_id, venue.access.suspended
    subaccount = venue.subaccounts.get(subaccount_id)
    if subaccount is None:
        venue.refuse(RejectReason.UNKNOWN_SUBACCOUNT, f"subaccount {subaccount_id}")
        return
    if command.suspended:
        suspended.add(subaccount_id)
    else:
        suspended.discard(subaccount_id)
    venue.emit(
        TradingSuspended(
            subaccount_id=subaccount_id, suspended=command.suspended, detail=command.detail
        )
    )
    if command.suspended:
        for order in list(subaccount.open_orders.values()):
            cancel(venue, order, CancelReason.SUSPENDED)
