"""Who holds as many instruments as one may keeps only the orders in these.

So a maker may quote all that is listed. One fill of a combo may pass the limit, by its legs.
"""

from exchange.engine.booking import cancel
from exchange.engine.limits import instruments_of, is_full
from exchange.engine.state import Venue
from exchange.events import CancelReason
from exchange.model import OrderStatus


def enforce_positions_max(venue: Venue) -> None:
    """Cancel what would open another instrument, of all that are full now.

    Orders that wait for a trigger or at a speed bump are checked again when they enter.
    """
    for subaccount_id in sorted(set(venue.filled_up)):
        subaccount = venue.subaccounts[subaccount_id]
        if not is_full(venue, subaccount.account):
            continue
        held = subaccount.account.positions
        for order in list(subaccount.open_orders.values()):
            wanted = instruments_of(venue, order.terms.instrument_id)
            if order.status is OrderStatus.OPEN and any(one not in held for one in wanted):
                cancel(venue, order, CancelReason.POSITION_LIMIT)
    venue.filled_up.clear()
