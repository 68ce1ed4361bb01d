"""What governance changes on chain, above all the bands that fills keep in: what rests beyond.

Governance binds the contract at once, and the engine as soon as its blocks are observed; what is
released in between may be refused, and is novated. Other changes of the contracts are only told.
"""

from itertools import takewhile

from exchange.commands import BatchMarginSeen, GovernanceSeen, PriceBandsSeen
from exchange.engine.booking import cancel
from exchange.engine.proofs import obey_batch_margin, take_back_batch_margin
from exchange.engine.published import published_band
from exchange.engine.state import Venue
from exchange.events import CancelReason, GovernanceChanged, PriceBandsChanged
from exchange.matching.book import OrderBook
from exchange.model import Side

Change = PriceBandsSeen | BatchMarginSeen | GovernanceSeen


def obey_governance(venue: Venue, seen: Change) -> None:
    """Take in one change."""
    if isinstance(seen, BatchMarginSeen):
        obey_batch_margin(venue, seen)
        return
    if isinstance(seen, GovernanceSeen):
        venue.emit(GovernanceChanged(change=seen.change, detail=seen.detail))
        return
    venue.access.bands.append((seen.option_rate, seen.linear_rate, seen.age_max_s))
    _change_bands(venue)


def take_back_governance(venue: Venue, seen: Change) -> None:
    """Undo a change that the chain lost."""
    if isinstance(seen, BatchMarginSeen):
        take_back_batch_margin(venue)
        return
    if isinstance(seen, GovernanceSeen):
        venue.emit(GovernanceChanged(change=seen.change, detail=seen.detail, lost=True))
        return
    venue.access.bands.pop()
    _change_bands(venue)


def _change_bands(venue: Venue) -> None:
    """Those in force: what rests beyond them goes, as when an epoch is published."""
    venue.gates.clear()
    bands = venue.access.bands
    option_rate, linear_rate, age_max_s = bands[-1] if bands else (0, 0, 0)
    venue.emit(
        PriceBandsChanged(option_rate=option_rate, linear_rate=linear_rate, age_max_s=age_max_s)
    )
    keep_books_in_band(venue)


def keep_books_in_band(venue: Venue) -> None:
    """Cancel what rests where nobody may trade any more: far beyond the mark, on its wrong side.

    Who offers below the band, or bids above it, would trade at a price that the chain refuses.
    """
    for instrument_id, book in list(venue.books.items()):
        band = published_band(venue, instrument_id)
        if band is None:
            continue
        for side, edge in zip((Side.SELL, Side.BUY), band, strict=True):
            for order_id in _beyond(book, side, edge):
                cancel(venue, venue.orders[order_id], CancelReason.PRICE_BAND)


def _beyond(book: OrderBook, side: Side, edge: int) -> list[int]:
    """Offers below an edge, or bids above it, the best first."""
    best = book.best_ask if side is Side.SELL else book.best_bid
    if best is None or side.sign * (best - edge) <= 0:
        return []
    found = takewhile(lambda order: side.sign * (order.price - edge) > 0, book.orders(side))
    return [order.order_id for order in found]
