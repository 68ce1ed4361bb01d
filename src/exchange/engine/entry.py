"""Order entry: place and cancel.

The checks stand in the order of `RejectReason`. Every function either refuses and changes nothing,
or does all of it.
"""

import heapq
from functools import lru_cache
from typing import Final

from exchange.commands import CancelAll, CancelOrder, PlaceOrder
from exchange.engine.armed import arm
from exchange.engine.booking import (
    cancel,
    limit_reduce_only,
    margin_order,
    placed_event,
    remember,
    shrink,
    take_away,
)
from exchange.engine.bump import delay, must_wait
from exchange.engine.checks import (
    Refusal,
    check_authority,
    check_order,
    check_waiting,
    enterable_quantity,
    entry_price,
)
from exchange.engine.combo_trading import match_combo
from exchange.engine.fills import book_fill
from exchange.engine.records import Order
from exchange.engine.state import Subaccount, Venue
from exchange.events import (
    CancelReason,
    OrderArmed,
    OrderRepeated,
    RejectReason,
)
from exchange.fixed import (
    div_up,
)
from exchange.matching.book import (
    ICEBERG_SLICES_MAX,
    Outcome,
    PostOnly,
    instruction_word,
)
from exchange.matching.placement import Placement  # the compiled book does not hand it on
from exchange.model import (
    InstrumentStatus,
    OrderStatus,
    OrderTerms,
    TimeInForce,
    numbered,
)

MEMORY_AFTER_DEADLINE_S: Final = 3600  # how long a dead order still answers queries

# Looking a member up costs as much as a call.
_AUCTION: Final = InstrumentStatus.AUCTION
_UNTRIGGERED: Final = OrderStatus.UNTRIGGERED
_OPEN: Final = OrderStatus.OPEN
_FILLED: Final = OrderStatus.FILLED
_OFF: Final = PostOnly.OFF
_word: Final = lru_cache(maxsize=None)(instruction_word)  # few words, asked for by every order
_UNMATCHED: Final = instruction_word(matching=False)
_REFUSED_BY_BOOK: Final[dict[int, RejectReason]] = {  # the book says it as a number
    Outcome.FOK_REFUSED: RejectReason.FOK_NOT_FILLABLE,
    Outcome.POST_ONLY_REFUSED: RejectReason.POST_ONLY_WOULD_TRADE,
}
_CANCELED_BY_BOOK: Final[dict[int, CancelReason]] = {
    Outcome.UNFILLED: CancelReason.IMMEDIATE_OR_CANCEL,
    Outcome.SELF_TRADE_CANCELED: CancelReason.SELF_TRADE,
    Outcome.CUT_SHORT: CancelReason.TOO_MANY_FILLS,
}


def place_order(venue: Venue, command: PlaceOrder) -> None:
    """Enter a signed order; the same content again returns the first outcome."""
    terms = command.terms
    subaccount = check_authority(venue, terms)
    if subaccount is None:
        return
    known = subaccount.orders.get(terms.nonce)
    if known is not None and known.terms == terms:
        repeat(venue, known)
        return
    if known is not None or terms.nonce in subaccount.used_nonces:
        reject(venue, terms, RejectReason.NONCE_USED, f"nonce {terms.nonce} is taken")
        return
    order = new_order(venue, command)
    refusal = _enter(venue, subaccount, order)
    if refusal is not None:
        remember_rejected(venue, subaccount, order, refusal[0])
        reject(venue, terms, *refusal)


def _enter(venue: Venue, subaccount: Subaccount, order: Order) -> Refusal | None:
    """Match a new order, or let it wait for its trigger or at a speed bump; or why not."""
    if order.trigger is not None:
        refusal = check_waiting(venue, subaccount, order)
        if refusal is None:
            wait(venue, subaccount, order)
            arm(venue, order)
        return refusal
    refusal = check_order(venue, subaccount, order)
    if refusal is None and must_wait(venue, order):
        wait(venue, subaccount, order)
        delay(venue, order)
        return None
    return refusal or match_order(venue, subaccount, order)


def new_order(venue: Venue, command: PlaceOrder, place: int = 0) -> Order:
    """The order that a command asks for, at this place among its orders."""
    post_only = _OFF
    if command.post_only:
        post_only = PostOnly.REJECT if command.reject_post_only else PostOnly.REPRICE
    word = _word(command.time_in_force, post_only, command.self_trade_prevention)
    return Order(
        order_id=numbered(venue.seq, place),
        terms=command.terms,
        signed_seq=numbered(venue.seq, place),
        status=_UNTRIGGERED,
        time_in_force=command.time_in_force,
        post_only=command.post_only,
        word=word,
        max_show=command.max_show,
        label=command.label,
        mmp=command.mmp,
        placed_ns=venue.time_ns,
        updated_ns=venue.time_ns,
        price=command.worth if command.volatility else command.terms.limit_price,
        deadline_max=command.terms.deadline,
        trigger=command.trigger,
        market=command.market,
        volatility=command.volatility,
    )


def wait(venue: Venue, subaccount: Subaccount, order: Order) -> None:
    """Accept an order that does not enter the book yet."""
    terms = order.terms
    remember(venue, subaccount, order)
    subaccount.open(order)
    venue.emit(
        OrderArmed(
            order_id=order.order_id,
            subaccount_id=terms.subaccount_id,
            instrument_id=terms.instrument_id,
            side=terms.side,
            quantity=terms.quantity,
            limit_price=terms.limit_price,
            nonce=terms.nonce,
            time_in_force=order.time_in_force,
            post_only=order.post_only,
            reduce_only=terms.reduce_only,
            label=order.label,
            trigger=order.trigger,
        )
    )


def repeat(venue: Venue, order: Order) -> None:
    """The same signed content came again: its first outcome stands."""
    if order.reject_reason is not None:
        reject(venue, order.terms, order.reject_reason, "refused before with the same content")
        return
    venue.emit(OrderRepeated(order_id=order.order_id, subaccount_id=order.terms.subaccount_id))


def reject(venue: Venue, terms: OrderTerms, reason: RejectReason, detail: str) -> None:
    """Refuse, and name the order."""
    venue.refuse(reason, detail, subaccount_id=terms.subaccount_id, nonce=terms.nonce)


def remember_rejected(
    venue: Venue, subaccount: Subaccount, order: Order, reason: RejectReason
) -> None:
    """Keep a refused order, so that the same content is refused again."""
    order.status = OrderStatus.REJECTED
    order.reject_reason = reason
    remember(venue, subaccount, order)


def match_order(venue: Venue, subaccount: Subaccount, order: Order) -> Refusal | None:
    """Put an order into the book, with all that follows; or the book's refusal, nothing changed."""
    terms = order.terms
    if order.post_only and order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
        return RejectReason.POST_ONLY_WOULD_TRADE, "a post-only order must be able to rest"
    if terms.legs_hash:
        return match_combo(venue, subaccount, order)
    quantity = enterable_quantity(subaccount, order)
    lot_size = venue.instruments[terms.instrument_id].lot_size
    shown = iceberg_slice(order.max_show, quantity, lot_size)
    placement = venue.books[terms.instrument_id].place(
        order.order_id,
        terms.subaccount_id,
        subaccount.owner_key,
        terms.side,
        entry_price(venue, order),
        quantity,
        phase_word(venue, order),
        shown,
    )
    refusal = refused_by_book(placement)
    if refusal is not None:
        return refusal
    if order.order_id not in venue.orders:
        remember(venue, subaccount, order)
    order.status = _OPEN
    order.updated_ns = venue.time_ns
    venue.emit(placed_event(order, placement.price, shown))
    if order.volatility:
        venue.volatility_orders[order.order_id] = None
    subaccount.open(order)
    if terms.reduce_only:
        give_up_excess(venue, order, quantity)
    settle_placement(venue, subaccount, order, placement)
    return None


def refused_by_book(placement: Placement) -> Refusal | None:
    """Why the book took nothing of an order, if it did not."""
    reason = _REFUSED_BY_BOOK.get(placement.outcome)
    return None if reason is None else (reason, "the book as it stands")


def phase_word(venue: Venue, order: Order) -> int:
    """The book's instructions for an order now: while an auction collects, it rests unmatched."""
    if venue.statuses[order.terms.instrument_id] is _AUCTION:
        return order.word | _UNMATCHED
    return order.word


def iceberg_slice(max_show: int, quantity: int, lot_size: int) -> int:
    """What an iceberg of `quantity` displays: as asked, within the book's bounds; 0 shows all.

    In lots, as everything that trades: a fill of less would leave positions that nobody can close.
    """
    if max_show == 0:
        return 0
    least = div_up(quantity, ICEBERG_SLICES_MAX * lot_size) * lot_size
    return min(quantity, max(max_show, least))


def give_up_excess(venue: Venue, order: Order, quantity: int) -> None:
    """What a reduce-only order asks for beyond the position is canceled at once."""
    if quantity < order.remaining_quantity:
        take_away(venue, order, order.remaining_quantity - quantity, CancelReason.REDUCE_ONLY)


def settle_placement(
    venue: Venue, subaccount: Subaccount, order: Order, placement: Placement
) -> None:
    """Book the fills, the makers that self-trade prevention touched, and what rests."""
    terms, resting_quantity = order.terms, placement.resting_quantity
    order.price = placement.price
    touched = {terms.subaccount_id}
    for maker_order_id, price, quantity in placement.fills:
        touched.add(book_fill(venue, order, maker_order_id, price, quantity))
    for maker_order_id, removed, resting in placement.prevented:
        shrink(venue, venue.orders[maker_order_id], removed, resting, CancelReason.SELF_TRADE)
    if resting_quantity:
        subaccount.account.place_order(order.order_id, margin_order(terms, resting_quantity))
    else:
        venue.close_order(order)
    if placement.canceled_quantity:
        reason = _CANCELED_BY_BOOK.get(placement.outcome, CancelReason.SELF_TRADE)
        take_away(venue, order, placement.canceled_quantity, reason)
    if not resting_quantity:
        order.status = OrderStatus.CANCELED if order.canceled_quantity else _FILLED
    for subaccount_id in sorted(touched):
        limit_reduce_only(venue, venue.subaccounts[subaccount_id], terms.instrument_id)


def cancel_order(venue: Venue, command: CancelOrder) -> None:
    """Cancel one open order of a subaccount."""
    order = venue.orders.get(command.order_id)
    if order is None or order.terms.subaccount_id != command.subaccount_id or order.is_over:
        venue.refuse(
            RejectReason.UNKNOWN_ORDER,
            f"order {command.order_id} is not open",
            subaccount_id=command.subaccount_id,
        )
        return
    cancel(venue, order, CancelReason.BY_OWNER)


def cancel_all(venue: Venue, command: CancelAll) -> None:
    """Cancel the open orders of a subaccount that match every filter."""
    subaccount = venue.subaccounts.get(command.subaccount_id)
    if subaccount is None:
        venue.refuse(
            RejectReason.UNKNOWN_SUBACCOUNT,
            f"subaccount {command.subaccount_id}",
            subaccount_id=command.subaccount_id,
        )
        return
    wanted = frozenset(command.order_ids)
    for order in list(subaccount.open_orders.values()):
        if (not wanted or order.order_id in wanted) and _matches(venue, order, command):
            cancel(venue, order, CancelReason.BY_OWNER)


def _matches(venue: Venue, order: Order, command: CancelAll) -> bool:
    instrument = venue.instruments[order.terms.instrument_id]
    return (
        command.instrument_id in (0, instrument.instrument_id)
        and command.underlying_id in (0, instrument.underlying_id)
        and command.kind in (None, instrument.kind)
        and command.label in ("", order.label)
        and (command.nonce_below == 0 or order.terms.nonce < command.nonce_below)
        and (order.is_quote or not command.quotes_only)
    )


def has_room(venue: Venue) -> bool:
    """Whether more may trade now: a batch that is full, or was cut just now, takes no more."""
    batches, parameters = venue.batches, venue.parameters
    if parameters is None or batches.last_seq == venue.seq:
        return False
    return batches.pending < parameters.limits.batch_items_max


def sweep_deadlines(venue: Venue, now_s: int) -> None:
    """Cancel orders whose deadline came, and forget those that nobody can ask for any more."""
    while venue.deadlines and venue.deadlines[0][0] <= now_s:
        _, order_id = heapq.heappop(venue.deadlines)
        order = venue.orders.get(order_id)
        if order is None:
            continue
        if not order.is_over and order.terms.deadline <= now_s:
            cancel(venue, order, CancelReason.DEADLINE)
        forget_s = order.deadline_max + MEMORY_AFTER_DEADLINE_S
        if forget_s > now_s:
            heapq.heappush(venue.deadlines, (forget_s, order_id))
            continue
        forget(venue, order)


def forget(venue: Venue, order: Order) -> None:
    """Drop an order that is over."""
    subaccount = venue.subaccounts[order.terms.subaccount_id]
    del venue.orders[order.order_id]
    venue.ended.forget(order)
    del subaccount.orders[order.terms.nonce]
    # The chain remembers the fills of this nonce, so must we.
    if order.filled_quantity > order.filled_before:
        subaccount.used_nonces.add(order.terms.nonce)
