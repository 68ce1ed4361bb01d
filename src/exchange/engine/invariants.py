"""What must hold after every command. Slow: tests and night runs call it, production does not."""

from collections import Counter

from exchange.engine.state import Subaccount, Venue
from exchange.model import InstrumentStatus, OrderStatus


def check_venue(venue: Venue) -> None:
    """Assert every invariant that ties the parts of the state together."""
    for book in venue.books.values():
        book.check()
    net: Counter[int] = Counter()
    for subaccount in venue.subaccounts.values():
        _check_subaccount(venue, subaccount)
        net.update(subaccount.account.positions)
    assert not any(net.values()), f"positions do not net to zero: {net}"
    resting = sum(len(book) for book in venue.books.values())
    opened = sum(len(sub.open_orders) for sub in venue.subaccounts.values())
    assert resting == opened, "books and subaccounts disagree on what is open"


def _check_subaccount(venue: Venue, subaccount: Subaccount) -> None:
    account = subaccount.account
    account.check()
    assert set(account.orders) == set(subaccount.open_orders)
    for order_id, order in subaccount.open_orders.items():
        assert order.status is OrderStatus.OPEN
        assert venue.orders[order_id] is order
        assert subaccount.orders[order.terms.nonce] is order
        assert order.terms.nonce >= subaccount.nonce_floor
        resting = venue.books[order.terms.instrument_id].get(order_id)
        assert resting is not None
        assert resting.remaining_quantity == order.remaining_quantity > 0
        assert account.orders[order_id].quantity == order.remaining_quantity
    for instrument_id in account.positions:
        assert venue.statuses[instrument_id] is not InstrumentStatus.EXPIRED
    _check_reduce_only(subaccount)


def _check_reduce_only(subaccount: Subaccount) -> None:
    for order in subaccount.open_orders.values():
        if order.terms.reduce_only:
            position = subaccount.account.position(order.terms.instrument_id)
            assert order.remaining_quantity <= max(0, -order.terms.side.sign * position)
