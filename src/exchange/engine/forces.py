"""What the chain allows a liquidation to do: nothing before somebody proved there what is wrong.

A venue that settles (`LiquidationParameters.needs_proof`) touches nobody whom the chain has not
seen below maintenance: `ForceSeen` says until when, how large a hedge may be, and what takers may
get off in all. Whatever stays within is settled; so nothing that is released is refused.
"""

from typing import Final

from exchange.commands import ForceSeen
from exchange.engine.liquidated import Force
from exchange.engine.state import Venue
from exchange.events import ForceGranted
from exchange.fixed import to_seconds_down
from exchange.model import LiquidationStage

# Nothing is forced there.
_NEVER_PROVEN: Final = (LiquidationStage.UNWINDING, LiquidationStage.ON_CHAIN)


def observe_force(venue: Venue, seen: ForceSeen) -> None:
    """Take in a proof; the first one of a liquidation starts its time in the book."""
    known = venue.forces.get(seen.subaccount_id)
    venue.forces[seen.subaccount_id] = Force(
        until=seen.until,
        contracts=seen.contracts,
        budget=seen.budget,
        spent=known.spent if known else 0,
    )
    running = venue.liquidations.get(seen.subaccount_id)
    if running is not None and running.stage is LiquidationStage.SLICING and not running.step:
        running.started_ns = venue.time_ns
    venue.emit(
        ForceGranted(
            subaccount_id=seen.subaccount_id,
            until=seen.until,
            contracts=seen.contracts,
            budget=seen.budget,
        )
    )


def revoke_force(venue: Venue, subaccount_id: int) -> None:
    """The chain lost a proof: nothing is forced until another comes; what was spent stays spent."""
    force = venue.forces[subaccount_id]
    force.until = 0
    venue.emit(
        ForceGranted(
            subaccount_id=subaccount_id, until=0, contracts=force.contracts, budget=force.budget
        )
    )


def needs_proof(venue: Venue) -> bool:
    """Whether this venue forces nobody without one."""
    assert venue.parameters is not None
    return venue.parameters.liquidation is not None and venue.parameters.liquidation.needs_proof


def why_unproven(venue: Venue, subaccount_id: int) -> str:
    """Why the chain would take no forced fill of a subaccount now; empty if it would."""
    if not needs_proof(venue):
        return ""
    force = venue.forces.get(subaccount_id)
    if force is None or force.until < to_seconds_down(venue.time_ns):
        return "the chain has seen no proof yet"
    return ""


def waiting_for_proofs(venue: Venue) -> list[int]:
    """When the liquidations began that wait for a proof, in nanoseconds."""
    return [
        one.started_ns
        for one in venue.liquidations.values()
        if one.stage not in _NEVER_PROVEN and why_unproven(venue, one.subaccount_id)
    ]


def within_budget(venue: Venue, subaccount_id: int, discount: int) -> int:
    """A discount, or what the chain still allows of it.

    A newer budget may lie below what was spent: the chain knows of that when its batch settled.
    """
    if not needs_proof(venue):
        return discount
    force = venue.forces[subaccount_id]
    return min(discount, max(0, force.budget - force.spent))


def spend(venue: Venue, subaccount_id: int, discount: int) -> None:
    """Take a discount from the budget."""
    if needs_proof(venue):
        force = venue.forces[subaccount_id]
        force.spent += discount
        assert not discount or force.spent <= force.budget, "a discount that the chain refuses"


def hedged(venue: Venue, subaccount_id: int, held: int, change: int) -> int:
    """What of a forced `change` of a perpetual, both signed, the chain takes: no large hedge.

    Of the fund it takes none.
    """
    if not needs_proof(venue):
        return change
    force = venue.forces.get(subaccount_id) if why_unproven(venue, subaccount_id) == "" else None
    most = max(abs(held), force.contracts if force else 0)
    return max(-most, min(most, held + change)) - held
