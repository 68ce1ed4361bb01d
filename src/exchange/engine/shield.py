"""Market-maker protection: too many fills too fast take a maker's protected orders off.

Fills of one command all count before anything is canceled: a taker's sweep is one instant. Only
orders that asked for it (`mmp`) are counted and canceled.
"""

from exchange.commands import ProtectionParameters, ResetProtection, SetProtection
from exchange.engine.booking import cancel
from exchange.engine.state import Venue
from exchange.events import (
    CancelReason,
    ProtectionLifted,
    ProtectionSet,
    ProtectionTripped,
    RejectReason,
)
from exchange.matching.protection import UNTIL_RESET, ProtectionLimits


def set_protection(venue: Venue, command: SetProtection) -> None:
    """Set or remove a maker's limits; a freeze in force stands until removed or reset."""
    key = (command.subaccount_id, command.underlying_id)
    if not _is_known(venue, *key):
        return
    limits = command.limits
    venue.protection.set_limits(key, _limits(limits) if limits else None)
    venue.emit(
        ProtectionSet(
            subaccount_id=command.subaccount_id,
            underlying_id=command.underlying_id,
            active=limits is not None,
        )
    )


def _limits(given: ProtectionParameters) -> ProtectionLimits:
    return ProtectionLimits(
        interval_ns=given.interval_ns,
        frozen_ns=given.frozen_ns,
        quantity_limit=given.quantity_limit,
        delta_limit=given.delta_limit,
        vega_limit=given.vega_limit,
    )


def reset_protection(venue: Venue, command: ResetProtection) -> None:
    """Lift a maker's freeze."""
    key = (command.subaccount_id, command.underlying_id)
    if not _is_known(venue, *key):
        return
    venue.protection.reset(key)
    venue.emit(ProtectionLifted(subaccount_id=key[0], underlying_id=key[1]))


def _is_known(venue: Venue, subaccount_id: int, underlying_id: int) -> bool:
    if subaccount_id not in venue.subaccounts:
        venue.refuse(
            RejectReason.UNKNOWN_SUBACCOUNT,
            f"subaccount {subaccount_id}",
            subaccount_id=subaccount_id,
        )
        return False
    if underlying_id not in venue.index_breakers:
        venue.refuse(
            RejectReason.UNKNOWN_INSTRUMENT,
            f"underlying {underlying_id}",
            subaccount_id=subaccount_id,
        )
        return False
    return True


def enforce_protection(venue: Venue) -> None:
    """Cancel the protected orders of every maker that this command froze."""
    for subaccount_id, underlying_id in sorted(set(venue.tripped)):
        until_ns = venue.protection.frozen_until_ns((subaccount_id, underlying_id), venue.time_ns)
        venue.emit(
            ProtectionTripped(
                subaccount_id=subaccount_id,
                underlying_id=underlying_id,
                frozen_until_ns=0 if until_ns == UNTIL_RESET else until_ns,
            )
        )
        for order in list(venue.subaccounts[subaccount_id].open_orders.values()):
            instrument = venue.instruments[order.terms.instrument_id]
            if order.mmp and instrument.underlying_id == underlying_id:
                cancel(venue, order, CancelReason.PROTECTION)
    venue.tripped.clear()
