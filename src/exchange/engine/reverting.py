"""Undoes what lost blocks brought: the chain was reorganised deeper than its confirmations.

Nothing acknowledged is rewritten: orders and trades stand, only what the chain itself had shown is
taken back, the newest first. A deposit that never was may leave debts; then nothing may leave.
"""

from exchange.commands import (
    BatchMarginSeen,
    BatchSeen,
    DepositSeen,
    ForceSeen,
    GovernanceSeen,
    ObserveBlocks,
    PriceBandsSeen,
    RevertBlocks,
    SubaccountSeen,
)
from exchange.engine.bands import take_back_governance
from exchange.engine.booking import cancel
from exchange.engine.chain_auctions import go_back
from exchange.engine.chain_memory import Undo
from exchange.engine.checks import Refusal
from exchange.engine.controls import take_back as take_back_control
from exchange.engine.exits import revert_exit
from exchange.engine.forces import revoke_force
from exchange.engine.state import Subaccount, Venue
from exchange.engine.treasury import take_back
from exchange.events import CancelReason, RejectReason, WithdrawalsHeld
from exchange.observations import (
    AuctionEndedSeen,
    AuctionStartedSeen,
    AuctionTakenSeen,
    EscapeSeen,
    ExitSeen,
    ExitServedSeen,
)
from exchange.reversals import (
    BatchReverted,
    BlocksReverted,
    DepositReverted,
    SubaccountReverted,
)


def revert_blocks(venue: Venue, command: RevertBlocks) -> None:
    """Go back to a block that was observed and is still there."""
    lost = venue.chain.lost_after(command.last_block, command.last_hash)
    if lost is None:
        venue.refuse(
            RejectReason.UNKNOWN_BLOCK,
            f"block {command.last_block} is not among the last that were observed, or the newest",
        )
        return
    lost_block = venue.chain.last_block
    for span in lost:
        venue.chain.spans.pop()
        for undo in reversed(span.undos):
            _undo(venue, undo)
    venue.emit(BlocksReverted(last_block=command.last_block, lost_block=lost_block))


def check_reopened(venue: Venue, command: ObserveBlocks) -> Refusal | None:
    """A subaccount that the chain lost may come to another owner only when it is empty."""
    for seen in command.observations:
        if not isinstance(seen, SubaccountSeen):
            continue
        former = venue.chain.orphans.get(seen.subaccount_id, seen.owner)
        if former != seen.owner and not _is_empty(venue, seen.subaccount_id):
            text = f"subaccount {seen.subaccount_id} was {former}'s and still holds something"
            return RejectReason.SUBACCOUNT_TAKEN, text
    return None


def _is_empty(venue: Venue, subaccount_id: int) -> bool:
    account = venue.subaccounts[subaccount_id].account
    holders = {holder for _, holder in (*venue.treasury.idle, *venue.chain.missing)}
    holds = account.cash or account.positions or account.collateral
    return not holds and subaccount_id not in holders


def _undo(venue: Venue, undo: Undo) -> None:
    seen = undo.seen
    match seen:
        case SubaccountSeen():
            _disown(venue, venue.subaccounts[seen.subaccount_id])
        case DepositSeen():
            _take_deposit(venue, seen)
        case ForceSeen():
            revoke_force(venue, seen.subaccount_id)
        case BatchSeen():
            venue.batches.confirmed = undo.before
            venue.batches.novated |= {(trade, maker): at for trade, maker, at in undo.novated}
            venue.batches.moves |= dict(undo.moves)
            venue.emit(BatchReverted(number=seen.number))
        case ExitSeen() | ExitServedSeen():
            revert_exit(venue, seen)
        case EscapeSeen():
            venue.exits.escaped = False
        case PriceBandsSeen() | BatchMarginSeen() | GovernanceSeen():
            take_back_governance(venue, seen)
        case AuctionStartedSeen() | AuctionEndedSeen() | AuctionTakenSeen():
            go_back(venue, seen, undo.before)
        case _:
            take_back_control(venue, seen, undo.before)


def _take_deposit(venue: Venue, seen: DepositSeen) -> None:
    subaccount_id = seen.subaccount_id
    missing = take_back(venue, venue.subaccounts[subaccount_id], seen.token, seen.amount)
    venue.emit(
        DepositReverted(
            subaccount_id=subaccount_id, amount=seen.amount, token=seen.token, missing=missing
        )
    )
    venue.treasury.held.add(subaccount_id)
    detail = "the chain lost a deposit in a reorganisation"
    venue.emit(WithdrawalsHeld(subaccount_id=subaccount_id, held=True, detail=detail))


def _disown(venue: Venue, subaccount: Subaccount) -> None:
    """Its orders could not settle; its positions are for novations, batch by batch."""
    for order in list(subaccount.open_orders.values()):
        cancel(venue, order, CancelReason.REVERTED)
    subaccount_id, owner = subaccount.subaccount_id, subaccount.owner
    venue.chain.orphans[subaccount_id] = owner
    venue.owned[owner].discard(subaccount_id)
    subaccount.owner = ""
    subaccount.owner_key = venue.owner_key("")
    venue.emit(SubaccountReverted(subaccount_id=subaccount_id, owner=owner))
