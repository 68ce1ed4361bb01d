"""What binds the engine to the chain: confirmed blocks in, batches out.

The chain is a source of commands (docs/settlement.md): blocks arrive in order, without gap, each
once; their logs are facts, so nothing here refuses a log.
"""

from collections.abc import Callable

from exchange.commands import (
    AdvanceClock,
    AnyObservation,
    BatchMarginSeen,
    BatchSeen,
    DepositSeen,
    ForceSeen,
    GovernanceSeen,
    ObserveBlocks,
    PriceBandsSeen,
    SubaccountSeen,
)
from exchange.engine.bands import obey_governance
from exchange.engine.chain_auctions import follow
from exchange.engine.chain_memory import Moved, Novated, Span, Undo
from exchange.engine.controls import obey
from exchange.engine.exits import exit_served, pay_exits, request_exit, start_escape
from exchange.engine.forces import observe_force
from exchange.engine.reverting import check_reopened
from exchange.engine.state import Venue
from exchange.engine.treasury import deposit
from exchange.events import (
    BatchConfirmed,
    BatchCut,
    BlocksObserved,
    ClockAdvanced,
    RejectReason,
    SubaccountOpened,
)
from exchange.observations import (
    AuctionEndedSeen,
    AuctionStartedSeen,
    AuctionTakenSeen,
    EscapeSeen,
    ExitSeen,
    ExitServedSeen,
)

LOCAL_CHAIN_IDS = frozenset({1337, 31337})


def observe_blocks(venue: Venue, command: ObserveBlocks) -> None:
    """Take in confirmed blocks that follow the last ones."""
    known = venue.chain.last_block
    follows = known == 0 or command.first_block == known + 1
    if not follows or command.last_block < command.first_block:
        venue.refuse(
            RejectReason.BLOCK_GAP,
            f"blocks {command.first_block}..{command.last_block} do not follow {known}",
        )
        return
    refusal = check_reopened(venue, command)
    if refusal is not None:
        venue.refuse(*refusal)
        return
    undos = tuple(_observe(venue, seen) for seen in command.observations)
    venue.chain.spans.append(Span(command.last_block, command.last_hash, undos))
    pay_exits(venue)
    venue.emit(BlocksObserved(last_block=command.last_block))


def _observe(venue: Venue, seen: AnyObservation) -> Undo:
    """Act on an observation; what would undo it."""
    before = 0
    novated: Novated = ()
    moves: Moved = ()
    match seen:
        case SubaccountSeen():
            venue.chain.orphans.pop(seen.subaccount_id, None)
            venue.open_subaccount(seen.subaccount_id, seen.owner, standard=seen.standard)
            venue.emit(
                SubaccountOpened(
                    subaccount_id=seen.subaccount_id, owner=seen.owner, standard=seen.standard
                )
            )
        case DepositSeen():
            deposit(venue, venue.subaccounts[seen.subaccount_id], seen.token, seen.amount)
        case ForceSeen():
            observe_force(venue, seen)
        case BatchSeen():
            before = venue.batches.confirmed
            novated, moves = venue.batches.confirm(seen.number)
            venue.emit(
                BatchConfirmed(number=seen.number, block=seen.block, transaction=seen.transaction)
            )
        case ExitSeen():
            request_exit(venue, seen)
        case ExitServedSeen():
            exit_served(venue, seen)
        case EscapeSeen():
            start_escape(venue, seen)
        case PriceBandsSeen() | BatchMarginSeen() | GovernanceSeen():
            obey_governance(venue, seen)
        case AuctionStartedSeen() | AuctionEndedSeen() | AuctionTakenSeen():
            before = follow(venue, seen)
        case _:
            before = obey(venue, seen)
    return Undo(seen=seen, before=before, novated=novated, moves=moves)


def cut_batch(venue: Venue, state_hash: Callable[[], bytes]) -> None:
    """End a settlement batch at this command."""
    if venue.batches.pending == 0:
        venue.refuse(RejectReason.NOTHING_TO_SETTLE, "nothing happened since the last batch")
        return
    _cut(venue, state_hash)


def cut_full_batch(venue: Venue, state_hash: Callable[[], bytes]) -> None:
    """End the batch when it holds all that one transaction should carry."""
    assert venue.parameters is not None
    if venue.batches.pending >= venue.parameters.limits.batch_items_max:
        _cut(venue, state_hash)


def cut_pending(venue: Venue, state_hash: Callable[[], bytes]) -> None:
    """End the batch here if it holds anything."""
    if venue.batches.pending:
        _cut(venue, state_hash)


def _cut(venue: Venue, state_hash: Callable[[], bytes]) -> None:
    batches = venue.batches
    first_seq = batches.last_seq + 1
    batches.number += 1
    batches.last_seq = venue.seq
    batches.pending = 0
    batches.takers.clear()
    published = venue.published
    venue.emit(
        BatchCut(
            number=batches.number,
            first_seq=first_seq,
            last_seq=venue.seq,
            risk_epoch=published.epoch if published else venue.marks.epoch,
            state_hash=state_hash(),
            marks_seq=published.seq if published else 0,
        )
    )


def advance_clock(venue: Venue, command: AdvanceClock, state_hash: Callable[[], bytes]) -> None:
    """Move venue time forward on a local chain, for demonstrations of expiry.

    The pending batch ends first: one batch must not hold fills from both sides of a leap that is
    longer than the contract's batch age.
    """
    assert venue.parameters is not None
    if venue.parameters.chain_id not in LOCAL_CHAIN_IDS:
        venue.refuse(RejectReason.NOT_LOCAL, "the clock moves only on a local chain")
        return
    venue.clock_offset_ns += max(0, command.by_ns)  # first: the cut's hash is of the state after
    cut_pending(venue, state_hash)
    venue.emit(ClockAdvanced(offset_ns=venue.clock_offset_ns))
