"""What replacing parts of a batch makes of linear positions: all that follows changes their cost.

Pure. Folds the journal twice, as it is and with the parts replaced, and names the differences; the
engine takes them only where its own positions are those of the first fold.
"""

from collections.abc import Callable, Iterable, Iterator

from exchange.commands import NovatedFill, RebuiltPosition, RefusedAct
from exchange.events import InstrumentExpired, PortfolioTransferred
from exchange.journal import Entry
from exchange.model import FEE_SUBACCOUNT_ID, Kind, unpack_instrument_id
from exchange.settlement.acts import numbered_events
from exchange.settlement.holdings import Held, Holdings, expected_holdings

Entries = Callable[[], Iterable[Entry]]


def rebuilt_positions(
    entries: Entries,
    last_seq: int,
    fills: tuple[NovatedFill, ...],
    acts: tuple[RefusedAct, ...] = (),
) -> tuple[RebuiltPosition, ...]:
    """Of each subaccount and live linear instrument of these, the venue's own included."""
    keys = set(_of_fills(fills))
    if acts:
        keys |= set(_of_acts(entries(), acts))
    keys = {key for key in keys if unpack_instrument_id(key[1]).kind is not Kind.OPTION}
    if keys:
        expired = _expired(entries())
        keys = {key for key in keys if key[1] not in expired}
    if not keys:
        return ()
    before = expected_holdings(entries(), settled_seq=last_seq, observed_seq=last_seq)
    after = expected_holdings(
        entries(),
        settled_seq=last_seq,
        observed_seq=last_seq,
        novated=[fill.key for fill in fills],
        acts={act.act_id: act.fund_subaccount_id for act in acts},
    )
    return tuple(
        RebuiltPosition(
            subaccount_id=subaccount_id,
            instrument_id=instrument_id,
            before=_held(before, subaccount_id, instrument_id),
            after=_held(after, subaccount_id, instrument_id),
            cash=after.linear_cash[subaccount_id, instrument_id]
            - before.linear_cash[subaccount_id, instrument_id],
        )
        for subaccount_id, instrument_id in sorted(keys, key=lambda key: (key[1], key[0]))
    )


def _of_fills(fills: tuple[NovatedFill, ...]) -> Iterator[tuple[int, int]]:
    for fill in fills:
        for subaccount_id in (fill.subaccount_id, FEE_SUBACCOUNT_ID):
            yield subaccount_id, fill.terms.instrument_id


def _of_acts(entries: Iterable[Entry], acts: tuple[RefusedAct, ...]) -> Iterator[tuple[int, int]]:
    funds = {act.act_id: act.fund_subaccount_id for act in acts}
    for event, act_id in (pair for entry in entries for pair in numbered_events(entry)):
        if isinstance(event, PortfolioTransferred) and act_id in funds:
            for leg in event.legs:
                yield event.taker_subaccount_id, leg.instrument_id
                yield funds[act_id] or event.subaccount_id, leg.instrument_id


def _expired(entries: Iterable[Entry]) -> set[int]:
    return {
        event.instrument_id
        for entry in entries
        for event in entry.events
        if isinstance(event, InstrumentExpired)
    }


def _held(holdings: Holdings, subaccount_id: int, instrument_id: int) -> tuple[int, int, int]:
    held = holdings.positions.get((subaccount_id, instrument_id), Held(0))
    return (held.quantity, held.cost, held.funding_index) if held.quantity else (0, 0, 0)
