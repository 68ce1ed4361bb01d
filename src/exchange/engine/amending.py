"""New terms and new prices for orders that stand: signed amends, and volatility orders repriced.

In the book priority stays if only the quantity falls; all else is a cancel and a new arrival, which
may trade. A volatility order never rests beyond its signed worst price, nor outside the band,
whatever its volatility is worth.
"""

import heapq

from exchange.commands import AmendOrder, PricedOrder, Reprice
from exchange.engine.booking import margin_order
from exchange.engine.bump import delay_again, takes_late, withdraw
from exchange.engine.checks import (
    bounded_price,
    check_amend,
    check_authority,
    check_repriced,
    reducible_quantity,
)
from exchange.engine.combo_trading import plan_entry, settle_combo
from exchange.engine.entry import (
    give_up_excess,
    has_room,
    iceberg_slice,
    phase_word,
    refused_by_book,
    reject,
    repeat,
    settle_placement,
)
from exchange.engine.gates import index_is_stale, marks_are_stale
from exchange.engine.records import Order
from exchange.engine.state import Subaccount, Venue
from exchange.events import OrderAmended, OrderRepriced
from exchange.matching.book import OrderBook
from exchange.model import InstrumentStatus, OrderStatus, Side


def amend_order(venue: Venue, command: AmendOrder) -> None:
    """Give an open order new terms."""
    terms = command.terms
    subaccount = check_authority(venue, terms)
    if subaccount is None:
        return
    order = subaccount.orders.get(terms.nonce)
    if order is not None and order.terms == terms:
        repeat(venue, order)
        return
    refusal = check_amend(venue, subaccount, order, command)
    if refusal is not None:
        if order is not None:  # or it could come as a new order once this one is forgotten
            order.deadline_max = max(order.deadline_max, terms.deadline)
            venue.ended.touch(order)
        reject(venue, terms, *refusal)
        return
    assert order is not None
    if order.status is OrderStatus.UNTRIGGERED:
        order.price = command.worth if command.volatility else terms.limit_price
        _take_terms(venue, order, command)
        delay_again(venue, order)
    elif terms.legs_hash:
        _amend_combo(venue, subaccount, order, command)
    else:
        _amend_book(venue, subaccount, order, command)


def _amend_book(venue: Venue, subaccount: Subaccount, order: Order, command: AmendOrder) -> None:
    terms = command.terms
    book = venue.books[terms.instrument_id]
    price = terms.limit_price
    if order.volatility:
        price = bounded_price(venue, terms, command.worth)
    if takes_late(venue, order, price):
        order.price = command.worth if order.volatility else price
        _take_terms(venue, order, command)
        withdraw(venue, order)
        return
    remaining = reducible_quantity(subaccount, terms, order.filled_quantity)
    resting = book.get(order.order_id)
    assert resting is not None
    in_place = (
        command.max_show in (None, order.max_show)
        and price == resting.price
        and remaining <= resting.remaining_quantity
    )
    max_show = order.max_show if command.max_show is None else command.max_show
    lot_size = venue.instruments[terms.instrument_id].lot_size
    shown = iceberg_slice(max_show, remaining, lot_size)
    if in_place:
        shown = min(remaining, resting.max_show)
    placement = book.amend(order.order_id, price, remaining, phase_word(venue, order), shown)
    refusal = refused_by_book(placement)
    if refusal is not None:
        reject(venue, terms, *refusal)
        return
    subaccount.account.remove_order(order.order_id)
    order.price = placement.price
    _take_terms(venue, order, command, shown, in_place=in_place)
    give_up_excess(venue, order, remaining)
    settle_placement(venue, subaccount, order, placement)


def _amend_combo(venue: Venue, subaccount: Subaccount, order: Order, command: AmendOrder) -> None:
    terms = command.terms
    book = venue.books[terms.instrument_id]
    remaining = terms.quantity - order.filled_quantity
    if terms.limit_price == order.price and remaining <= order.remaining_quantity:
        book.reduce(order.order_id, remaining)
        subaccount.account.remove_order(order.order_id)
        _take_terms(venue, order, command, in_place=True)
        subaccount.account.place_order(order.order_id, margin_order(terms, remaining))
        return
    if takes_late(venue, order, terms.limit_price):
        order.price = terms.limit_price
        _take_terms(venue, order, command)
        withdraw(venue, order)
        return
    entry = plan_entry(venue, order, terms, remaining)
    if entry.refusal is not None:
        reject(venue, terms, *entry.refusal)
        return
    book.cancel(order.order_id)
    subaccount.account.remove_order(order.order_id)
    order.price = entry.price
    _take_terms(venue, order, command)
    settle_combo(venue, subaccount, order, entry.plan)


def _take_terms(
    venue: Venue, order: Order, command: AmendOrder, shown: int = 0, *, in_place: bool = False
) -> None:
    terms = command.terms
    if terms.deadline != order.terms.deadline:  # or amends alone would fill the memory
        heapq.heappush(venue.deadlines, (terms.deadline, order.order_id))
    order.terms = terms
    order.volatility = command.volatility
    if command.max_show is not None:
        order.max_show = command.max_show
    order.deadline_max = max(order.deadline_max, terms.deadline)
    order.signed_seq = venue.seq
    order.canceled_quantity = 0
    order.updated_ns = venue.time_ns
    venue.emit(
        OrderAmended(
            order_id=order.order_id,
            subaccount_id=terms.subaccount_id,
            instrument_id=terms.instrument_id,
            quantity=terms.quantity,
            limit_price=order.price,
            version=terms.version,
            max_show=shown,
            in_place=in_place,
        )
    )


def reprice(venue: Venue, command: Reprice) -> None:
    """Move volatility orders; one that is over since they were priced is passed over.

    A halted instrument and one without a fresh index keep theirs where they are. A settlement batch
    that is full leaves the rest to the next prices.
    """
    refusal = check_repriced(venue, command)
    if refusal is not None:
        venue.refuse(*refusal)
        return
    for priced in command.orders:
        order = venue.orders[priced.order_id]
        if order.status is OrderStatus.OPEN and has_room(venue) and not _rests_on(venue, order):
            _move(venue, order, priced)


def _rests_on(venue: Venue, order: Order) -> bool:
    """Whether the market of an order is not one to move in."""
    halted = venue.statuses[order.terms.instrument_id] is InstrumentStatus.HALTED
    return halted or index_is_stale(venue, order.terms.instrument_id) or marks_are_stale(venue)


def _clear_of(book: OrderBook, order: Order, price: int) -> int:
    """Where a post-only order would rest that asks for `price`; any other gets what it asks."""
    best = book.best_ask if order.terms.side is Side.BUY else book.best_bid
    if not order.post_only or best is None:
        return price
    sign = order.terms.side.sign
    return sign * min(sign * price, sign * best - book.tick_size)


def _move(venue: Venue, order: Order, priced: PricedOrder) -> None:
    terms = order.terms
    book = venue.books[terms.instrument_id]
    price = bounded_price(venue, terms, priced.price)
    if order.price in (price, _clear_of(book, order, price)) or price == 0:
        return
    if takes_late(venue, order, price):
        order.price = price
        _tell_moved(venue, order)
        withdraw(venue, order)
        return
    resting = book.get(order.order_id)
    assert resting is not None
    remaining = order.remaining_quantity
    shown = min(remaining, resting.max_show)
    placement = book.amend(order.order_id, price, remaining, phase_word(venue, order), shown)
    if refused_by_book(placement) is not None:
        return
    subaccount = venue.subaccounts[terms.subaccount_id]
    subaccount.account.remove_order(order.order_id)
    order.price = placement.price
    _tell_moved(venue, order)
    settle_placement(venue, subaccount, order, placement)


def _tell_moved(venue: Venue, order: Order) -> None:
    order.updated_ns = venue.time_ns
    venue.emit(
        OrderRepriced(
            order_id=order.order_id,
            subaccount_id=order.terms.subaccount_id,
            instrument_id=order.terms.instrument_id,
            limit_price=order.price,
        )
    )
