"""What the market lets an instrument trade at now: fresh prices, the price band, and gates.

A gate is the sum of what an instrument asks of every plain limit order, found once and kept while
it holds. It only saves time: what fits it needs no look at each rule, what does not is looked at by
`checks` for the reason. Whoever changes a price, a phase or a parameter empties `Venue.gates`.
"""

from typing import NamedTuple

from exchange.engine.access import band_rate_of
from exchange.engine.fees import index_fee_per_contract
from exchange.engine.published import (
    Band,
    is_published,
    legs_of,
    narrowed,
    overlaps,
    published_band,
    published_until_ns,
)
from exchange.engine.records import Order
from exchange.engine.state import NEVER_NS, Venue
from exchange.fixed import RATIO_SCALE, is_multiple, mul_div_down, to_nanoseconds
from exchange.matching.implied import net_band
from exchange.model import NO_TRIGGER, InstrumentStatus, Kind, OrderTerms


class Gate(NamedTuple):
    """Prices and the fee in micro-USDC a contract, quantities in 1e-4 contracts."""

    until_ns: int  # something is stale, or over, after that
    tick_size: int
    lot_size: int
    quantity_min: int
    quantity_max: int
    fee: int  # no schedule asks for more, whatever the price
    price_min: int  # of an offer
    price_max: int  # of a bid


def fits(venue: Venue, order: Order) -> bool:
    """Whether this is a plain limit order that no rule up to the price band refuses."""
    terms = order.terms
    gate = venue.gates.get(terms.instrument_id)
    if gate is None or venue.time_ns > gate.until_ns:
        gate = find_gate(venue, terms.instrument_id)
        if gate is None:
            return False
        venue.gates[terms.instrument_id] = gate
    price, quantity = terms.limit_price, terms.quantity
    return (
        gate.quantity_min <= quantity <= gate.quantity_max
        and (gate.price_min <= price if terms.side else 0 < price <= gate.price_max)
        and terms.max_fee >= gate.fee
        and is_multiple(price, gate.tick_size)
        and is_multiple(quantity, gate.lot_size)
        and order.price == price
        and _is_plain(order)
        and not venue.access.scopes
    )


def _is_plain(order: Order) -> bool:
    """Whether an order gives no instruction that has rules of its own."""
    return not (
        order.max_show
        or order.market
        or order.volatility
        or order.trigger
        or order.terms.legs_hash
        or order.terms.trigger_hash != NO_TRIGGER
    )


def find_gate(venue: Venue, instrument_id: int) -> Gate | None:
    """What an instrument asks now; None where no order may enter, and of combos."""
    assert venue.parameters is not None
    limits, instrument = venue.parameters.limits, venue.instruments.get(instrument_id)
    if instrument is None or instrument.legs or not is_open(venue, instrument_id):
        return None
    until_ns = min(index_until_ns(venue, instrument_id), marks_until_ns(venue))
    if instrument.expiry:
        until_ns = min(until_ns, to_nanoseconds(instrument.expiry) - 1)
    if venue.time_ns > until_ns:
        return None
    band = band_now(venue, instrument_id)
    if band is None:
        return None
    return Gate(
        until_ns=until_ns,
        tick_size=instrument.tick_size,
        lot_size=instrument.lot_size,
        quantity_min=max(1, instrument.min_quantity),
        quantity_max=limits.quantity_max,
        fee=index_fee_per_contract(venue, instrument),
        price_min=max(1, band[0]),
        price_max=band[1],
    )


def is_open(venue: Venue, instrument_id: int) -> bool:
    """Whether an instrument is live and marked, for the chain too."""
    return (
        venue.statuses[instrument_id] is InstrumentStatus.LIVE
        and venue.marks.has(instrument_id)
        and is_published(venue, instrument_id)
    )


def index_until_ns(venue: Venue, instrument_id: int) -> int:
    """Until when the index is fresh enough to take new risk."""
    assert venue.parameters is not None
    underlying_id = venue.instruments[instrument_id].underlying_id
    known_ns = venue.index_times_ns.get(underlying_id, 0)
    return known_ns + venue.parameters.limits.index_age_ns_max


def index_is_stale(venue: Venue, instrument_id: int) -> bool:
    """Whether the index is too old to take new risk."""
    return venue.time_ns > index_until_ns(venue, instrument_id)


def marks_until_ns(venue: Venue) -> int:
    """Until when the risk arrays in force, and those that the chain knows, are fresh enough."""
    assert venue.parameters is not None
    oldest = venue.parameters.limits.marks_age_ns_max
    until_ns = venue.marks_time_ns + oldest if oldest else NEVER_NS
    return min(until_ns, published_until_ns(venue))


def marks_are_stale(venue: Venue) -> bool:
    """Whether the risk arrays in force, or those that the chain knows, are older than allowed."""
    return venue.time_ns > marks_until_ns(venue)


def price_band(venue: Venue, instrument_id: int, terms: OrderTerms | None = None) -> Band:
    """The lowest and the highest price at which an instrument may trade now.

    With terms, for their signer: a session key may be kept nearer to the mark.
    """
    instrument = venue.instruments[instrument_id]
    if instrument.legs:
        bands = [price_band(venue, leg.instrument_id, terms) for leg in instrument.legs]
        return net_band(instrument.legs, bands)
    bounds = published_band(venue, instrument_id)
    return narrowed(bounds, _live_band(venue, instrument_id, terms))


def band_now(venue: Venue, instrument_id: int, terms: OrderTerms | None = None) -> Band | None:
    """`price_band`; None where no price is in the band of the mark in force and of the published.

    That is asked of the venue's band; the order keeps to its signer's, which may be narrower.
    """
    bands = []
    for leg_id in legs_of(venue, instrument_id):
        live, bounds = _live_band(venue, leg_id), published_band(venue, leg_id)
        if not overlaps(bounds, live):
            return None
        if venue.access.scopes:
            live = _live_band(venue, leg_id, terms)
        bands.append(narrowed(bounds, live))
    legs = venue.instruments[instrument_id].legs
    return net_band(legs, bands) if legs else bands[0]


def _live_band(venue: Venue, instrument_id: int, terms: OrderTerms | None = None) -> Band:
    """The band around the mark in force."""
    assert venue.parameters is not None
    limits, instrument = venue.parameters.limits, venue.instruments[instrument_id]
    rate = limits.band_rate
    if instrument.kind is not Kind.OPTION and limits.linear_band_rate:
        rate = limits.linear_band_rate
    if terms is not None:
        rate = band_rate_of(venue, terms, rate)
    band = mul_div_down(rate, venue.marks.index_price(instrument.underlying_id), RATIO_SCALE)
    mark = venue.marks.mark_price(instrument_id)
    return mark - band, mark + band
