"""Funding: what longs and shorts of a perpetual pay each other to hold its price at the index.

The rate is fixed with each epoch of marks and accrues by the nanosecond; the funding index moves in
whole quanta of 0.01 USDC a contract, so that what holders pay is exact and sums to zero. Time for
which the index is stale does not count: nobody pays by a price that nobody knows.
"""

from collections.abc import Callable, Iterable
from typing import Final

from exchange.engine.custody import cut_pending
from exchange.engine.state import Funding, Venue
from exchange.events import FundingAccrued
from exchange.fixed import PRICE_QUANTUM, RATIO_SCALE, div_down
from exchange.margin.linear import funding_rate

PERIOD_NS: Final = 8 * 3600 * 10**9  # that a rate is quoted for
QUANTUM: Final = RATIO_SCALE * PERIOD_NS * PRICE_QUANTUM  # rate * index * time of one quantum


def accumulate(venue: Venue, underlying_id: int = 0) -> None:
    """Let funding accrue up to now: before anything that it depends on changes (0: all)."""
    for instrument_id, funding in _fundings(venue, underlying_id):
        assert venue.parameters is not None
        of = venue.instruments[instrument_id].underlying_id
        oldest_ns = venue.parameters.limits.index_age_ns_max
        until_ns = min(venue.time_ns, venue.index_times_ns.get(of, 0) + oldest_ns)
        elapsed_ns = max(0, until_ns - funding.since_ns)
        funding.remainder += funding.rate * funding.index_price * elapsed_ns
        funding.since_ns = venue.time_ns


def set_rates(venue: Venue) -> None:
    """Take the rates that marks and parameters ask for; `accumulate` came before."""
    assert venue.parameters is not None
    parameters = venue.parameters.funding
    for instrument_id, funding in _fundings(venue):
        funding.rate = funding.index_price = 0
        if parameters is None or not venue.marks.has(instrument_id):
            continue
        row = venue.marks.row(instrument_id)
        index_price = venue.marks.underlying_risk(row.underlying_id).index_price
        if index_price > 0:
            funding.index_price = index_price
            funding.rate = funding_rate(parameters, row.mark_price, index_price)


def accrue_funding(venue: Venue, state_hash: Callable[[], bytes]) -> None:
    """Move each funding index by the whole quanta that accrued.

    The pending settlement batch ends first, so that all fills of a batch see one index.
    """
    accumulate(venue)
    moved = [event for one in _fundings(venue) if (event := _move(venue, *one)) is not None]
    if moved:
        cut_pending(venue, state_hash)
    for event in moved:
        venue.emit(event)


def _fundings(venue: Venue, underlying_id: int = 0) -> Iterable[tuple[int, Funding]]:
    for instrument_id in sorted(venue.fundings):
        if underlying_id in (0, venue.instruments[instrument_id].underlying_id):
            yield instrument_id, venue.fundings[instrument_id]


def _move(venue: Venue, instrument_id: int, funding: Funding) -> FundingAccrued | None:
    quanta = div_down(abs(funding.remainder), QUANTUM)
    if quanta == 0:
        return None
    quanta = quanta if funding.remainder > 0 else -quanta
    funding.remainder -= quanta * QUANTUM
    funding.ordinal += 1
    index = venue.marks.funding_index(instrument_id) + quanta * PRICE_QUANTUM
    venue.marks.set_funding(instrument_id, index)
    return FundingAccrued(
        instrument_id=instrument_id,
        ordinal=funding.ordinal,
        index=index,
        rate=funding.rate,
        index_price=funding.index_price,
    )
