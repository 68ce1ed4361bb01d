"""How much of a settlement transaction proofs of margin take, where governance asks for them.

The chain then wants the margin of everybody whose risk grew in a batch, which costs gas by what
they hold. So each of them counts in its batch, once, as the items that would cost as much; and one
command may fill fewer orders, because it is never split between two batches. Who takes over part of
an account is not counted: that ends the batch.
"""

from typing import Final

from exchange.commands import BatchMarginSeen
from exchange.engine.state import Venue
from exchange.events import BatchMarginChanged
from exchange.fixed import div_down, div_up

FILLS_MAX: Final = 50  # of one arriving order: a command's fills are never split between batches
_FILLS_PROVEN_MAX: Final = 15
_LEGS_PER_ITEM: Final = 10  # an item is about 100,000 gas, a leg of a proof at most a tenth of it


def obey_batch_margin(venue: Venue, seen: BatchMarginSeen) -> None:
    """Governance asks for proofs, or no longer."""
    venue.batches.levels.append(seen.level)
    _change(venue)


def take_back_batch_margin(venue: Venue) -> None:
    """The chain lost its latest decision."""
    venue.batches.levels.pop()
    _change(venue)


def fills_max(venue: Venue) -> int:
    """How many fills one arriving order may have."""
    return _FILLS_PROVEN_MAX if venue.batches.margin_level else FILLS_MAX


def auction_fills_max(venue: Venue, room: int) -> int:
    """How many fills of an auction one command may book: each may bring two accounts to prove."""
    return min(room, div_down(_FILLS_PROVEN_MAX, 2)) if venue.batches.margin_level else room


def count_proof(venue: Venue, subaccount_id: int) -> None:
    """The risk of this account grew, for the first time in its batch or again."""
    batches = venue.batches
    if not batches.margin_level or subaccount_id in batches.takers:
        return
    batches.takers.add(subaccount_id)
    legs = len(venue.subaccounts[subaccount_id].account.positions)
    batches.pending += 1 + div_up(legs, _LEGS_PER_ITEM)


def _change(venue: Venue) -> None:
    batches = venue.batches
    if not batches.margin_level:
        batches.takers.clear()
    most = fills_max(venue)
    for instrument_id, book in venue.books.items():
        book.fills_max = div_down(most, len(venue.instruments[instrument_id].legs) or 1)
    venue.emit(BatchMarginChanged(level=batches.margin_level))
