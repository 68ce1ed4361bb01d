"""What follows from a command once its own effects are done: links, protection, triggers.

Each step may cause others, so they are taken one at a time until nothing is left: first what fills
and ends mean to linked orders, then makers that protection froze, then who holds
all that one may, then new prices in the order in
which they came, then a resting order in a combo whose legs changed, then one order whose wait is
over. It ends: an order becomes ready once, a combo's order only takes from the books, and a full
settlement batch leaves the others to the next command.
"""

from exchange.engine.armed import meet_price, next_ready
from exchange.engine.booking import end_wait
from exchange.engine.bump import delay, must_wait
from exchange.engine.checks import check_order
from exchange.engine.combo_trading import follow_legs, may_follow, note_legs
from exchange.engine.entry import has_room, match_order
from exchange.engine.full_accounts import enforce_positions_max
from exchange.engine.linked import follow_links
from exchange.engine.records import Order
from exchange.engine.shield import enforce_protection
from exchange.engine.state import Venue
from exchange.events import CancelReason


def follow_up(venue: Venue) -> None:
    """Take every step that the last ones ask for."""
    while True:
        note_legs(venue)
        if venue.link_news:
            follow_links(venue)
        elif venue.tripped:
            enforce_protection(venue)
        elif venue.filled_up:
            enforce_positions_max(venue)
        elif venue.new_prices:
            meet_price(venue)
        elif may_follow(venue) and has_room(venue):
            follow_legs(venue)
        elif venue.ready and has_room(venue) and (order := next_ready(venue)) is not None:
            _enter_ready(venue, order)
        else:
            return


def _enter_ready(venue: Venue, order: Order) -> None:
    """An order whose wait is over meets the checks of a new one; refused, it is canceled."""
    subaccount = venue.subaccounts[order.terms.subaccount_id]
    refusal = check_order(venue, subaccount, order, more=0)
    if refusal is None and must_wait(venue, order):
        delay(venue, order)
        return
    if refusal is None:
        refusal = match_order(venue, subaccount, order)
    if refusal is not None:
        end_wait(venue, order, CancelReason.REFUSED, refusal[0])
