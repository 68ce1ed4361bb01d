"""What replacing fills makes of linear positions: all that follows changes cost and funding.

Pure. Folds the journal twice, as it is and with the fills replaced, and names the differences; the
engine takes them only where its own positions are those of the first fold.
"""

from collections.abc import Callable, Iterable

from exchange.commands import NovatedFill, RebuiltPosition
from exchange.events import InstrumentExpired
from exchange.journal import Entry
from exchange.model import FEE_SUBACCOUNT_ID, Kind, unpack_instrument_id
from exchange.settlement.holdings import Held, Holdings, expected_holdings

Entries = Callable[[], Iterable[Entry]]


def rebuilt_positions(
    entries: Entries, last_seq: int, fills: tuple[NovatedFill, ...]
) -> tuple[RebuiltPosition, ...]:
    """Of each subaccount and live linear instrument of these fills, the venue's own included."""
    linear = {
        fill.terms.instrument_id
        for fill in fills
        if unpack_instrument_id(fill.terms.instrument_id).kind is not Kind.OPTION
    }
    if linear:
        linear -= _expired(entries())
    found: list[RebuiltPosition] = []
    for instrument_id in sorted(linear):
        of_it = [fill for fill in fills if fill.terms.instrument_id == instrument_id]
        found += _of_instrument(entries, last_seq, of_it)
    return tuple(found)


def _expired(entries: Iterable[Entry]) -> set[int]:
    return {
        event.instrument_id
        for entry in entries
        for event in entry.events
        if isinstance(event, InstrumentExpired)
    }


def _of_instrument(
    entries: Entries, last_seq: int, fills: list[NovatedFill]
) -> list[RebuiltPosition]:
    instrument_id = fills[0].terms.instrument_id
    keys = {fill.key for fill in fills}
    before, after = (
        expected_holdings(entries(), settled_seq=last_seq, observed_seq=last_seq, novated=novated)
        for novated in ((), keys)
    )
    fees = dict.fromkeys((fill.subaccount_id for fill in fills), 0)
    for fill in fills:
        fees[fill.subaccount_id] += fill.fee
    fees[FEE_SUBACCOUNT_ID] = -sum(fees.values())
    return [
        RebuiltPosition(
            subaccount_id=subaccount_id,
            instrument_id=instrument_id,
            before=_held(before, subaccount_id, instrument_id),
            after=_held(after, subaccount_id, instrument_id),
            cash=after.cash.get(subaccount_id, 0) - before.cash.get(subaccount_id, 0) - fee,
        )
        for subaccount_id, fee in sorted(fees.items())
    ]


def _held(holdings: Holdings, subaccount_id: int, instrument_id: int) -> tuple[int, int, int]:
    held = holdings.positions.get((subaccount_id, instrument_id), Held(0))
    return (held.quantity, held.cost, held.funding_index) if held.quantity else (0, 0, 0)
