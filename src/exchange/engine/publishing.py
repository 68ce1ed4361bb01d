"""When an epoch of marks goes on chain, and what that means for the books.

The journal decides, so that any relayer posts the same epochs: on a heartbeat, when a price moved,
and for instruments that the chain does not know yet. The pending settlement batch ends first, so
that all fills of a batch keep to one epoch.
"""

from collections.abc import Callable
from itertools import takewhile
from typing import Final

from exchange.engine.booking import cancel
from exchange.engine.custody import cut_pending
from exchange.engine.forces import waiting_for_proofs
from exchange.engine.published import prices_in_force, published_band
from exchange.engine.state import Published, Venue
from exchange.events import CancelReason
from exchange.fixed import RATIO_SCALE
from exchange.matching.book import OrderBook
from exchange.model import Side, index_id

_PROOFS_NS: Final = 30 * 10**9  # while somebody waits to be proven below maintenance


def publish_if_due(venue: Venue, state_hash: Callable[[], bytes]) -> bool:
    """Make the epoch that just came into force the published one if it is time; whether it is."""
    assert venue.parameters is not None
    if venue.parameters.publication is None:
        return False
    prices = prices_in_force(venue.marks)
    if not _is_due(venue, prices):
        return False
    cut_pending(venue, state_hash)
    venue.published = Published(venue.marks.epoch, venue.marks.root, venue.seq, venue.time_ns)
    venue.published.prices = prices
    return True


def _is_due(venue: Venue, prices: dict[int, int]) -> bool:
    assert venue.parameters is not None
    rules, known = venue.parameters.publication, venue.published
    assert rules is not None
    if known is None or venue.time_ns - known.time_ns >= rules.heartbeat_ns:
        return True
    waiting = waiting_for_proofs(venue)  # the chain must see what the engine saw
    if waiting and (max(waiting) > known.time_ns or venue.time_ns - known.time_ns >= _PROOFS_NS):
        return True
    for row in venue.marks.rows().values():
        index = index_id(row.underlying_id)
        if row.instrument_id not in known.prices or index not in known.prices:
            return True
        most = rules.move_rate * known.prices[index]
        for key in (row.instrument_id, index):
            if abs(prices[key] - known.prices[key]) * RATIO_SCALE > most:
                return True
    return False


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
