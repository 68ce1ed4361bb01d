"""How much one subaccount, and all together, may come to hold, and in how many instruments.

Contracts of an underlying are counted, whichever open orders fill: an option, a future and a
perpetual each count one, so that no delta exceeds the limit. What only reduces passes.

Instruments are counted where they are held: a maker may quote all that is listed, and whoever holds
as many as one may keeps only the orders in these (`full_accounts`).
"""

from collections.abc import Iterable, Mapping

from exchange.engine.state import Subaccount, Venue
from exchange.fixed import QUANTITY_SCALE, format_decimal
from exchange.margin.account import MarginAccount
from exchange.margin.order import MarginOrder
from exchange.reasons import RejectReason


def check_limits(
    venue: Venue, subaccount: Subaccount, order: MarginOrder
) -> tuple[RejectReason, str] | None:
    """Whether this order's fills could carry holdings beyond a limit of its underlying."""
    assert venue.parameters is not None
    instrument = venue.instruments[order.instrument_id]
    held, held_max = len(subaccount.account.positions), venue.parameters.limits.positions_max
    if held_max and held + (len(instrument.legs) or 1) > held_max:
        refusal = _check_count(venue, subaccount, instruments_of(venue, order.instrument_id))
        if refusal is not None:
            return refusal
    underlying_id = instrument.underlying_id
    for limit in venue.parameters.position_limits:
        if limit.underlying_id != underlying_id:
            continue
        growth = subaccount.account.growth_with(order)
        if growth <= 0:
            return None
        reached = subaccount.account.reach.totals.get(underlying_id, 0)
        if reached + growth > limit.contracts_max:
            most = format_decimal(limit.contracts_max, QUANTITY_SCALE)
            return (
                RejectReason.POSITION_LIMIT,
                f"positions and open orders may come to {most} contracts of this underlying",
            )
        if venue.open_interest.get(underlying_id, 0) + growth > limit.open_interest_max:
            most = format_decimal(limit.open_interest_max, QUANTITY_SCALE)
            return (
                RejectReason.OPEN_INTEREST_LIMIT,
                f"the open interest of this underlying may come to {most} contracts",
            )
    return None


def check_taken(
    venue: Venue, subaccount: Subaccount, moves: Mapping[int, int]
) -> tuple[RejectReason, str] | None:
    """Whether positions that are taken over, signed, carry holdings beyond a limit.

    They were held before, so the open interest is no larger.
    """
    assert venue.parameters is not None
    refusal = _check_count(venue, subaccount, moves)
    if refusal is not None:
        return refusal
    reach = subaccount.account.reach
    for limit in venue.parameters.position_limits:
        growth = sum(
            reach.growth(instrument_id, 1 if quantity > 0 else -1, abs(quantity))
            for instrument_id, quantity in moves.items()
            if venue.instruments[instrument_id].underlying_id == limit.underlying_id
        )
        held = reach.totals.get(limit.underlying_id, 0)
        if growth > 0 and held + growth > limit.contracts_max:
            most = format_decimal(limit.contracts_max, QUANTITY_SCALE)
            return RejectReason.POSITION_LIMIT, f"positions may come to {most} contracts; take less"
    return None


def is_full(venue: Venue, account: MarginAccount) -> bool:
    """Whether an account holds as many instruments as one may."""
    assert venue.parameters is not None
    return 0 < venue.parameters.limits.positions_max <= len(account.positions)


def instruments_of(venue: Venue, instrument_id: int) -> list[int]:
    """What a fill in an instrument changes positions in: of a combo its legs."""
    legs = venue.instruments[instrument_id].legs
    return [leg.instrument_id for leg in legs] if legs else [instrument_id]


def _check_count(
    venue: Venue, subaccount: Subaccount, instrument_ids: Iterable[int]
) -> tuple[RejectReason, str] | None:
    """A takeover names every position of its account, and must fit one transaction."""
    assert venue.parameters is not None
    most = venue.parameters.limits.positions_max
    held = subaccount.account.positions
    added = sum(1 for one in instrument_ids if one not in held) if most else 0
    if not added or len(held) + added <= most:
        return None
    text = f"positions may come to {most} instruments; use another subaccount"
    return RejectReason.POSITION_LIMIT, text
