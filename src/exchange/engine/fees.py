"""What a match costs: a share of the index, for an option capped by its premium.

Rounded up, and never above what the owner signed. Looks at parameters and marks; changes nothing.
"""

from collections.abc import Iterator
from typing import Final

from exchange.engine.state import Venue
from exchange.fixed import QUANTITY_SCALE, RATIO_SCALE, mul_div_down, mul_div_up, notional
from exchange.margin.marks import PRICE_MAX
from exchange.model import FEE_SUBACCOUNT_ID, Instrument, Kind, Leg, OrderTerms

_OPTION: Final = Kind.OPTION  # looking a member up costs as much as a call


def schedule_fee_per_contract(venue: Venue, instrument: Instrument, price: int) -> int:
    """The most that the schedule asks for a contract, whichever side of a match it is on."""
    assert venue.parameters is not None
    fees = venue.parameters.fees
    if instrument.legs:  # of a unit; the premium of a leg is known when it trades, here its mark
        return sum(
            abs(leg.ratio)
            * schedule_fee_per_contract(venue, venue.instruments[leg.instrument_id], mark)
            for leg, mark in _marked(venue, instrument)
        )
    by_index = index_fee_per_contract(venue, instrument)
    if instrument.kind is not _OPTION:
        return by_index
    return min(by_index, mul_div_up(fees.premium_cap, price, RATIO_SCALE))


def index_fee_per_contract(venue: Venue, instrument: Instrument) -> int:
    """The same before the premium caps it: at any price."""
    assert venue.parameters is not None
    index_price = venue.marks.index_price(instrument.underlying_id)
    return mul_div_up(venue.parameters.fees.rate_max(instrument.kind), index_price, RATIO_SCALE)


def _marked(venue: Venue, combo: Instrument) -> Iterator[tuple[Leg, int]]:
    for leg in combo.legs:
        known = venue.marks.has(leg.instrument_id)
        yield leg, venue.marks.mark_price(leg.instrument_id) if known else PRICE_MAX


def schedule_fee(
    venue: Venue, instrument: Instrument, price: int, quantity: int, *, maker: bool
) -> int:
    """Fee of a fill in micro-USDC: a rate of the index, an option's capped by its premium."""
    assert venue.parameters is not None
    fees = venue.parameters.fees
    rate = fees.rate(instrument.kind, maker=maker)
    index_price = venue.marks.index_price(instrument.underlying_id)
    by_index = mul_div_up(rate * index_price, quantity, RATIO_SCALE * QUANTITY_SCALE)
    if instrument.kind is not _OPTION:
        return by_index
    by_premium = mul_div_up(fees.premium_cap, notional(price, quantity), RATIO_SCALE)
    return min(by_index, by_premium)


def fee_limit(terms: OrderTerms, quantity: int) -> int:
    """The most that `quantity` of this order may be charged; the contract checks the same."""
    return mul_div_down(terms.max_fee, quantity, QUANTITY_SCALE)


def fund_share(venue: Venue, fees: int) -> int:
    """What of fees is the insurance fund's, in 1e-18 micro-USDC; 0 where it is the venue's own."""
    assert venue.parameters is not None
    rules = venue.parameters.liquidation
    if rules is None or rules.fund_subaccount_id == FEE_SUBACCOUNT_ID:
        return 0
    return fees * rules.fee_share
