"""Order entry: place, cancel, and what each match does to both sides.

The checks stand in the order of `RejectReason`. Every function either refuses and changes nothing,
or does all of it. The order of effects of a match: funding, cash and position of the maker, of the
taker, the venue's fees, then `Traded`; afterwards reduce-only orders shrink to what is left to
reduce.
"""

import heapq
from typing import Final

from exchange.commands import CancelAll, CancelOrder, PlaceOrder
from exchange.engine.armed import arm, disarm, note_price
from exchange.engine.checks import (
    Refusal,
    check_authority,
    check_order,
    check_waiting,
    entry_price,
    reducible_quantity,
)
from exchange.engine.fees import fee_limit, schedule_fee
from exchange.engine.positions import move_position
from exchange.engine.state import LinkNews, Order, Subaccount, Venue
from exchange.events import (
    CancelReason,
    OrderArmed,
    OrderCanceled,
    OrderPlaced,
    OrderRepeated,
    RejectReason,
    Traded,
)
from exchange.fixed import (
    div_up,
    notional,
)
from exchange.margin.account import MarginOrder
from exchange.matching.book import (
    ICEBERG_SLICES_MAX,
    Outcome,
    Placement,
    PostOnly,
    instruction_word,
)
from exchange.matching.protection import ProtectedTrade
from exchange.model import (
    FEE_SUBACCOUNT_ID,
    InstrumentStatus,
    OrderStatus,
    OrderTerms,
    PriceSource,
    Side,
    TimeInForce,
    numbered,
)

MEMORY_AFTER_DEADLINE_S: Final = 3600  # how long a dead order still answers queries
FILLS_MAX: Final = 50  # of one arriving order: a command's fills are never split between batches

_UNMATCHED: Final = instruction_word(matching=False)
_REFUSED_BY_BOOK: Final = {
    Outcome.FOK_REFUSED: RejectReason.FOK_NOT_FILLABLE,
    Outcome.POST_ONLY_REFUSED: RejectReason.POST_ONLY_WOULD_TRADE,
}
_CANCELED_BY_BOOK: Final = {
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
    if order.trigger is None:
        refusal = check_order(venue, subaccount, order) or match_order(venue, subaccount, order)
    else:
        refusal = check_waiting(venue, subaccount, order)
    if refusal is not None:
        remember_rejected(venue, subaccount, order, refusal[0])
        reject(venue, terms, *refusal)
    elif order.trigger is not None:
        wait(venue, subaccount, order)
        arm(venue, order)


def new_order(venue: Venue, command: PlaceOrder, place: int = 0) -> Order:
    """The order that a command asks for, at this place among its orders."""
    post_only = PostOnly.OFF
    if command.post_only:
        post_only = PostOnly.REJECT if command.reject_post_only else PostOnly.REPRICE
    word = instruction_word(command.time_in_force, post_only, command.self_trade_prevention)
    return Order(
        order_id=numbered(venue.seq, place),
        terms=command.terms,
        signed_seq=numbered(venue.seq, place),
        status=OrderStatus.UNTRIGGERED,
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
    _remember(venue, subaccount, order)
    subaccount.open_orders[order.order_id] = order
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


def _remember(venue: Venue, subaccount: Subaccount, order: Order) -> None:
    subaccount.orders[order.terms.nonce] = order
    venue.orders[order.order_id] = order
    heapq.heappush(venue.deadlines, (order.terms.deadline, order.order_id))


def remember_rejected(
    venue: Venue, subaccount: Subaccount, order: Order, reason: RejectReason
) -> None:
    """Keep a refused order, so that the same content is refused again."""
    order.status = OrderStatus.REJECTED
    order.reject_reason = reason
    _remember(venue, subaccount, order)


def match_order(venue: Venue, subaccount: Subaccount, order: Order) -> Refusal | None:
    """Put an order into the book, with all that follows; or the book's refusal, nothing changed."""
    terms = order.terms
    if order.post_only and order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
        return RejectReason.POST_ONLY_WOULD_TRADE, "a post-only order must be able to rest"
    quantity = reducible_quantity(subaccount, terms, 0)
    shown = iceberg_slice(order.max_show, quantity)
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
        _remember(venue, subaccount, order)
    order.status = OrderStatus.OPEN
    order.updated_ns = venue.time_ns
    venue.emit(placed_event(order, placement.price, shown))
    if order.volatility:
        venue.volatility_orders[order.order_id] = None
    subaccount.open_orders[order.order_id] = order
    give_up_excess(venue, order, quantity)
    settle_placement(venue, subaccount, order, placement)
    return None


def refused_by_book(placement: Placement) -> Refusal | None:
    """Why the book took nothing of an order, if it did not."""
    reason = _REFUSED_BY_BOOK.get(Outcome(placement.outcome))
    return None if reason is None else (reason, "the book as it stands")


def placed_event(order: Order, price: int, max_show: int = 0) -> OrderPlaced:
    """That an order entered the book; `price` is where it rests."""
    terms = order.terms
    return OrderPlaced(
        order_id=order.order_id,
        subaccount_id=terms.subaccount_id,
        instrument_id=terms.instrument_id,
        side=terms.side,
        quantity=terms.quantity,
        limit_price=price,
        nonce=terms.nonce,
        time_in_force=order.time_in_force,
        post_only=order.post_only,
        reduce_only=terms.reduce_only,
        label=order.label,
        max_show=max_show,
    )


def phase_word(venue: Venue, order: Order) -> int:
    """The book's instructions for an order now: while an auction collects, it rests unmatched."""
    if venue.statuses[order.terms.instrument_id] is InstrumentStatus.AUCTION:
        return order.word | _UNMATCHED
    return order.word


def iceberg_slice(max_show: int, quantity: int) -> int:
    """What an iceberg of `quantity` displays: as asked, within the book's bounds; 0 shows all."""
    if max_show == 0:
        return 0
    return min(quantity, max(max_show, div_up(quantity, ICEBERG_SLICES_MAX)))


def give_up_excess(venue: Venue, order: Order, quantity: int) -> None:
    """What a reduce-only order asks for beyond the position is canceled at once."""
    if quantity < order.remaining_quantity:
        _take_away(venue, order, order.remaining_quantity - quantity, CancelReason.REDUCE_ONLY)


def settle_placement(
    venue: Venue, subaccount: Subaccount, order: Order, placement: Placement
) -> None:
    """Book the fills, the makers that self-trade prevention touched, and what rests."""
    order.price = placement.price
    touched = {order.terms.subaccount_id}
    for maker_order_id, price, quantity in placement.fills:
        touched.add(book_fill(venue, order, maker_order_id, price, quantity))
    for maker_order_id, removed, resting in placement.prevented:
        shrink(venue, venue.orders[maker_order_id], removed, resting, CancelReason.SELF_TRADE)
    if placement.resting_quantity:
        subaccount.account.place_order(
            order.order_id, margin_order(order.terms, placement.resting_quantity)
        )
    else:
        subaccount.open_orders.pop(order.order_id, None)
    if placement.canceled_quantity:
        outcome = Outcome(placement.outcome)
        reason = _CANCELED_BY_BOOK.get(outcome, CancelReason.SELF_TRADE)
        _take_away(venue, order, placement.canceled_quantity, reason)
    if not placement.resting_quantity:
        order.status = OrderStatus.CANCELED if order.canceled_quantity else OrderStatus.FILLED
    for subaccount_id in sorted(touched):
        limit_reduce_only(venue, venue.subaccounts[subaccount_id], order.terms.instrument_id)


def margin_order(terms: OrderTerms, quantity: int) -> MarginOrder:
    """What margin sees of an order with `quantity` left."""
    return MarginOrder(
        terms.instrument_id, terms.side.sign, quantity, terms.limit_price, terms.max_fee
    )


def book_auction_fill(venue: Venue, maker: Order, taker: Order, price: int, quantity: int) -> None:
    """One match of two resting orders at an auction's price; the younger one is the taker."""
    book = venue.books[maker.terms.instrument_id]
    book_fill(venue, taker, maker.order_id, price, quantity, auction=True)
    _after_maker_fill(venue, taker)
    for order in (maker, taker):
        book.reduce(order.order_id, order.remaining_quantity)


def book_fill(
    venue: Venue, taker: Order, maker_id: int, price: int, quantity: int, *, auction: bool = False
) -> int:
    """One match: cash, positions, fees, orders; returns the maker's subaccount."""
    maker = venue.orders[maker_id]
    instrument = venue.instruments[taker.terms.instrument_id]
    value = notional(price, quantity)
    fees = []
    for order, is_maker in ((maker, True), (taker, False)):
        fee = schedule_fee(venue, instrument, price, quantity, maker=is_maker)
        fee = min(fee, fee_limit(order.terms, quantity))
        signed = order.terms.side.sign * quantity
        move_position(venue, order.terms.subaccount_id, instrument, signed, price)
        venue.subaccounts[order.terms.subaccount_id].account.add_cash(-fee)
        order.filled_quantity += quantity
        order.fill_value += value
        order.updated_ns = venue.time_ns
        fees.append(fee)
        _tell_links(venue, order)
        if order.mmp:
            _count_protected(venue, order, quantity)
    venue.subaccounts[FEE_SUBACCOUNT_ID].account.add_cash(sum(fees))
    _after_maker_fill(venue, maker)
    venue.last_trade_id += 1
    venue.last_prices[instrument.instrument_id] = price
    note_price(venue, PriceSource.LAST, instrument.instrument_id, price)
    venue.batches.pending += 1
    venue.emit(
        Traded(
            trade_id=venue.last_trade_id,
            instrument_id=instrument.instrument_id,
            price=price,
            quantity=quantity,
            taker_side=taker.terms.side,
            maker_order_id=maker.order_id,
            taker_order_id=taker.order_id,
            maker_subaccount_id=maker.terms.subaccount_id,
            taker_subaccount_id=taker.terms.subaccount_id,
            maker_signed_seq=maker.signed_seq,
            taker_signed_seq=taker.signed_seq,
            maker_fee=fees[0],
            taker_fee=fees[1],
            auction=auction,
            liquidation=taker.signed_seq == 0,
        )
    )
    return maker.terms.subaccount_id


def _tell_links(venue: Venue, order: Order) -> None:
    """Let linked orders hear of a fill; `engine.linked` acts on it."""
    if len(venue.links):
        filled = order.remaining_quantity == 0
        news = LinkNews.FILLED if filled else LinkNews.PARTLY_FILLED
        venue.link_news.append((order.order_id, news))


def _count_protected(venue: Venue, order: Order, quantity: int) -> None:
    """Let market-maker protection see a fill; `engine.shield` acts on what it trips."""
    instrument_id = order.terms.instrument_id
    key = (order.terms.subaccount_id, venue.instruments[instrument_id].underlying_id)
    trade = ProtectedTrade(
        time_ns=venue.time_ns,
        signed_quantity=order.terms.side.sign * quantity,
        delta=venue.marks.delta(instrument_id),
        vega=venue.marks.vega(instrument_id),
    )
    if venue.protection.on_trade(key, trade):
        venue.tripped.append(key)


def _after_maker_fill(venue: Venue, maker: Order) -> None:
    subaccount = venue.subaccounts[maker.terms.subaccount_id]
    remaining = maker.remaining_quantity
    subaccount.account.reduce_order(maker.order_id, remaining)
    if remaining == 0:
        maker.status = OrderStatus.CANCELED if maker.canceled_quantity else OrderStatus.FILLED
        subaccount.open_orders.pop(maker.order_id)


def shrink(venue: Venue, order: Order, removed: int, resting: int, reason: CancelReason) -> None:
    """Account for `removed` that the book took from a resting order, of which `resting` stays."""
    subaccount = venue.subaccounts[order.terms.subaccount_id]
    subaccount.account.reduce_order(order.order_id, resting)
    _take_away(venue, order, removed, reason)
    if resting == 0:
        order.status = OrderStatus.CANCELED
        subaccount.open_orders.pop(order.order_id)


def _take_away(
    venue: Venue,
    order: Order,
    quantity: int,
    reason: CancelReason,
    reject_reason: RejectReason | None = None,
) -> None:
    order.canceled_quantity += quantity
    order.updated_ns = venue.time_ns
    if order.remaining_quantity == 0 and len(venue.links):
        venue.link_news.append((order.order_id, LinkNews.GONE))
    venue.emit(
        OrderCanceled(
            order_id=order.order_id,
            subaccount_id=order.terms.subaccount_id,
            instrument_id=order.terms.instrument_id,
            canceled_quantity=quantity,
            remaining_quantity=order.remaining_quantity,
            reason=reason,
            reject_reason=reject_reason,
        )
    )


def cancel(venue: Venue, order: Order, reason: CancelReason) -> None:
    """End an open order: take all that remains of it out of the book, or end its wait."""
    if order.status is OrderStatus.UNTRIGGERED:
        end_wait(venue, order, reason)
    else:
        removed = venue.books[order.terms.instrument_id].cancel(order.order_id)
        assert removed == order.remaining_quantity > 0
        shrink(venue, order, removed, 0, reason)
    if reason is CancelReason.DEADLINE:
        order.status = OrderStatus.EXPIRED


def end_wait(
    venue: Venue, order: Order, reason: CancelReason, reject_reason: RejectReason | None = None
) -> None:
    """Cancel an order that waits."""
    disarm(venue, order)
    order.status = OrderStatus.CANCELED
    venue.subaccounts[order.terms.subaccount_id].open_orders.pop(order.order_id)
    _take_away(venue, order, order.remaining_quantity, reason, reject_reason)


def limit_reduce_only(venue: Venue, subaccount: Subaccount, instrument_id: int) -> None:
    """Shrink reduce-only orders so that no sequence of fills can turn the position.

    A taker may sweep several orders of one owner at once, best price first. So the position is
    shared out in that order; at one price other orders count before reduce-only ones.
    """
    if not any(order.terms.reduce_only for order in subaccount.open_orders.values()):
        return
    position = subaccount.account.position(instrument_id)
    for side in (Side.BUY, Side.SELL):
        left = max(0, -side.sign * position)
        resting = [
            order
            for order in subaccount.open_orders.values()
            if (order.terms.instrument_id, order.terms.side) == (instrument_id, side)
            and order.status is OrderStatus.OPEN
        ]
        resting.sort(
            key=lambda order: (-order.terms.side.sign * order.price, order.terms.reduce_only)
        )
        for order in resting:
            keep = min(order.remaining_quantity, left)
            if order.terms.reduce_only and keep < order.remaining_quantity:
                removed = venue.books[instrument_id].reduce(order.order_id, keep)
                shrink(venue, order, removed, keep, CancelReason.REDUCE_ONLY)
            left -= keep


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
    for order in list(subaccount.open_orders.values()):
        if _matches(venue, order, command):
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
    del subaccount.orders[order.terms.nonce]
    # The chain remembers the fills of this nonce, so must we.
    if order.filled_quantity > order.filled_before:
        subaccount.used_nonces.add(order.terms.nonce)
