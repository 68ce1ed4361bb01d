"""The epoch of marks that the chain was shown last, and the band that it leaves for every fill.

Only looks. The chain proves each fill's price against the published epoch of its batch, so nothing
may trade outside the band around it, whatever the marks in force say.
"""

from collections.abc import Iterable

from exchange.commands import PublicationParameters
from exchange.engine.state import NEVER_NS, Venue
from exchange.fixed import RATIO_SCALE, mul_div_down, to_nanoseconds
from exchange.margin.marks import MarksBook
from exchange.model import Kind, index_id

Band = tuple[int, int]  # the lowest and the highest price


def is_published(venue: Venue, instrument_id: int) -> bool:
    """Whether the chain knows a mark of this instrument, or of all legs of a combo."""
    assert venue.parameters is not None
    if venue.parameters.publication is None:
        return True
    if venue.published is None:
        return False
    prices = venue.published.prices
    return all(number in prices for number in legs_of(venue, instrument_id))


def is_stale(venue: Venue) -> bool:
    """Whether the published epoch is too old for the chain to take a fill by it."""
    return venue.time_ns > published_until_ns(venue)


def published_until_ns(venue: Venue) -> int:
    """Until when the chain takes a fill by the published epoch."""
    assert venue.parameters is not None
    rules, known = venue.parameters.publication, venue.published
    if rules is None:
        return NEVER_NS
    if known is None:
        return -1
    age_max_ns = rules.age_max_ns
    if venue.access.bands:
        age_max_ns = min(age_max_ns, to_nanoseconds(venue.access.bands[-1][2]))
    return known.time_ns + age_max_ns


def published_band(venue: Venue, instrument_id: int) -> Band | None:
    """The lowest and the highest price that the chain takes; None where nothing is published."""
    assert venue.parameters is not None
    rules = venue.parameters.publication
    if rules is None or venue.published is None:
        return None
    instrument = venue.instruments[instrument_id]
    prices = venue.published.prices
    mark = prices.get(instrument_id)
    if mark is None:
        return None
    option_rate, linear_rate = _rates(venue, rules)
    rate = option_rate if instrument.kind is Kind.OPTION else linear_rate
    band = mul_div_down(rate, prices[index_id(instrument.underlying_id)], RATIO_SCALE)
    return mark - band, mark + band


def narrowed(bounds: Band | None, band: Band) -> Band:
    """What the published band leaves of a band; its nearest edge where that is nothing."""
    if bounds is None:
        return band
    lowest, highest = bounds
    return min(max(band[0], lowest), highest), max(min(band[1], highest), lowest)


def overlaps(bounds: Band | None, band: Band) -> bool:
    """Whether the published band leaves anything of a band."""
    return bounds is None or (band[0] <= bounds[1] and bounds[0] <= band[1])


def allows(venue: Venue, instrument_id: int, price: int) -> bool:
    """Whether the chain takes a fill at this price."""
    bounds = published_band(venue, instrument_id)
    return bounds is None or bounds[0] <= price <= bounds[1]


def allows_index(venue: Venue, underlying_id: int) -> bool:
    """Whether the chain takes a token at the index in force: as near as a linear price."""
    assert venue.parameters is not None
    rules = venue.parameters.publication
    if rules is None:
        return True
    known = venue.published.prices.get(index_id(underlying_id), 0) if venue.published else 0
    moved = abs(venue.marks.index_price(underlying_id) - known)
    return moved * RATIO_SCALE <= _rates(venue, rules)[1] * known


def _rates(venue: Venue, rules: PublicationParameters) -> tuple[int, int]:
    """Of options and of the rest: the venue's own, or what governance set on chain below them."""
    option_rate, linear_rate = rules.band_rate, rules.linear_band_rate
    if venue.access.bands:
        option_most, linear_most, _ = venue.access.bands[-1]
        return min(option_rate, option_most), min(linear_rate, linear_most)
    return option_rate, linear_rate


def legs_of(venue: Venue, instrument_id: int) -> Iterable[int]:
    """The instruments in which an order trades: its own, or the legs of a combo."""
    legs = venue.instruments[instrument_id].legs
    return (leg.instrument_id for leg in legs) if legs else (instrument_id,)


def prices_in_force(marks: MarksBook) -> dict[int, int]:
    """Index and mark prices of the epoch in force by the ids that the chain keeps them under."""
    prices = {row.instrument_id: row.mark_price for row in marks.rows().values()}
    for underlying_id in {row.underlying_id for row in marks.rows().values()}:
        prices[index_id(underlying_id)] = marks.underlying_risk(underlying_id).index_price
    return prices
