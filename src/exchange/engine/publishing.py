"""When an epoch of marks goes on chain, and what that means for the books.

The journal decides, so that any relayer posts the same epochs: on a heartbeat, when a price moved,
and for instruments that the chain does not know yet. The pending settlement batch ends first, so
that all fills of a batch keep to one epoch.
"""

from collections.abc import Callable
from typing import Final

from exchange.engine.custody import cut_pending
from exchange.engine.forces import waiting_for_proofs
from exchange.engine.published import prices_in_force
from exchange.engine.state import Published, Venue
from exchange.fixed import RATIO_SCALE
from exchange.model import index_id

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
    venue.gates.clear()
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
