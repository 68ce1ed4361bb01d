"""Quote sheets: a maker's two-sided quotes, replaced as a whole in one command.

A fault of form or authority refuses the sheet and changes nothing. Otherwise the old sheet is over:
what is not wanted is canceled, then what stays is reduced and goes on under the new signature, then
the rest is placed. The market refuses each order by itself: such a quote does not stand, the others
do. A quote that stays keeps its order_id and priority; its terms become those of the new leaf, so
that every quote that stands is signed by the newest sheet, the only one that the chain must accept.
"""

import heapq
from typing import Final

from exchange.commands import MassQuote
from exchange.engine.booking import (
    cancel,
    know,
    limit_reduce_only,
    margin_order,
    placed_event,
    shrink,
)
from exchange.engine.checks import Refusal, check_authority, check_kept, check_order
from exchange.engine.entry import forget, phase_word, reject
from exchange.engine.records import Order, Sheet
from exchange.engine.state import Subaccount, Venue
from exchange.events import (
    CancelReason,
    QuoteRefused,
    QuotesRepeated,
    QuotesReplaced,
    RejectReason,
)
from exchange.matching.book import Outcome, PostOnly, instruction_word
from exchange.matching.quotes import StandingQuote, check_sheet, plan_sheet
from exchange.model import (
    OrderStatus,
    OrderTerms,
    SheetTerms,
    TimeInForce,
    numbered,
    sheet_orders,
)

_WORD: Final = instruction_word(post_only=PostOnly.REJECT)
# Looking a member up costs as much as a call.
_POST_ONLY_REFUSED: Final = Outcome.POST_ONLY_REFUSED
_OPEN: Final = OrderStatus.OPEN  # as all quotes that stand: none waits
_GTC: Final = TimeInForce.GTC


def mass_quote(venue: Venue, command: MassQuote) -> None:
    """Replace a subaccount's sheet; the same content again returns the first outcome."""
    terms = command.terms
    fault = check_sheet(command.quotes)
    if fault is not None:
        venue.refuse(
            RejectReason.BAD_SHEET,
            fault.value.replace("_", " "),
            subaccount_id=terms.subaccount_id,
            nonce=terms.first_nonce,
        )
        return
    orders = sheet_orders(terms, command.quotes)
    subaccount = check_authority(venue, orders[0])
    if subaccount is None:
        return
    old = subaccount.sheet
    if old is not None and (old.terms, old.quotes) == (terms, command.quotes):
        venue.emit(QuotesRepeated(subaccount_id=terms.subaccount_id, sheet_nonce=terms.sheet_nonce))
        return
    refusal = _check_nonces(subaccount, terms, len(orders))
    if refusal is not None:
        reject(venue, orders[0], *refusal)
        return
    _replace(venue, subaccount, command, orders)


def _check_nonces(subaccount: Subaccount, terms: SheetTerms, count: int) -> Refusal | None:
    newest = subaccount.sheet.terms.sheet_nonce if subaccount.sheet else 0
    if terms.sheet_nonce < subaccount.sheet_floor:
        return RejectReason.STALE_SHEET, f"sheets below {subaccount.sheet_floor} are void on chain"
    if terms.sheet_nonce < max(1, newest):
        return RejectReason.STALE_SHEET, f"sheet {terms.sheet_nonce} came after sheet {newest}"
    if terms.sheet_nonce == newest:
        return RejectReason.NONCE_USED, f"sheet {newest} had other content"
    for nonce in range(terms.first_nonce, terms.first_nonce + count):
        if nonce in subaccount.orders or nonce in subaccount.used_nonces:
            return RejectReason.NONCE_USED, f"nonce {nonce} is taken"
    return None


def _replace(
    venue: Venue, subaccount: Subaccount, command: MassQuote, orders: tuple[OrderTerms, ...]
) -> None:
    before = _members(venue, subaccount)
    standing = [_standing(order) for order in before if order.status is _OPEN]
    plan = plan_sheet(standing, orders)
    sheet = Sheet(terms=command.terms, quotes=command.quotes)
    subaccount.sheet = sheet
    heapq.heappush(venue.sheet_deadlines, (sheet.terms.deadline, sheet.terms.subaccount_id))
    for order_id in plan.cancel:
        cancel(venue, venue.orders[order_id], CancelReason.REPLACED)
    for kept in (*plan.reduce, *plan.keep):
        _keep(venue, subaccount, command, venue.orders[kept.order_id], orders[kept.leaf])
    stayed = len(sheet.order_ids)
    for leaf in plan.place:
        _place(venue, subaccount, command, numbered(venue.seq, leaf), orders[leaf])
    for order in before:
        if order.status is not _OPEN:
            _release(venue, order)
    if subaccount.reducing:
        for instrument_id in sorted({order.instrument_id for order in orders}):
            limit_reduce_only(venue, subaccount, instrument_id)
    venue.emit(
        QuotesReplaced(
            subaccount_id=sheet.terms.subaccount_id,
            sheet_nonce=sheet.terms.sheet_nonce,
            canceled=len(standing) - stayed,
            kept=stayed,
            placed=len(sheet.order_ids) - stayed,
            refused=len(orders) - len(sheet.order_ids),
        )
    )


def _members(venue: Venue, subaccount: Subaccount) -> list[Order]:
    if subaccount.sheet is None:
        return []
    return [venue.orders[order_id] for order_id in subaccount.sheet.order_ids]


def _standing(order: Order) -> StandingQuote:
    terms = order.terms
    return StandingQuote(
        order.order_id, terms.instrument_id, terms.side, order.price, order.remaining_quantity
    )


def _keep(
    venue: Venue, subaccount: Subaccount, command: MassQuote, order: Order, terms: OrderTerms
) -> None:
    """Let a standing quote go on under new terms, which ask for no more than what remains of it."""
    order.mmp, order.label = command.mmp, command.label
    refusal = check_kept(venue, subaccount, order, terms)
    if refusal is not None:
        cancel(venue, order, CancelReason.REPLACED)
        _refuse(venue, terms, refusal)
        return
    removed = venue.books[terms.instrument_id].reduce(order.order_id, terms.quantity)
    if removed:
        shrink(venue, order, removed, terms.quantity, CancelReason.REPLACED)
    assert subaccount.sheet is not None
    subaccount.sheet.order_ids.append(order.order_id)
    subaccount.account.remove_order(order.order_id)
    subaccount.account.place_order(order.order_id, margin_order(terms, terms.quantity))
    _sign_anew(venue, subaccount, order, terms)


def _sign_anew(venue: Venue, subaccount: Subaccount, order: Order, terms: OrderTerms) -> None:
    """The chain counts fills by nonce: those under the old one are behind the order now."""
    del subaccount.orders[order.terms.nonce]
    if order.filled_quantity > order.filled_before:
        subaccount.used_nonces.add(order.terms.nonce)
    subaccount.orders[terms.nonce] = order
    assert subaccount.sheet is not None
    leaf = terms.nonce - subaccount.sheet.terms.first_nonce
    order.signed_seq = numbered(venue.seq, leaf)
    order.terms = terms
    order.filled_before = order.filled_quantity
    order.canceled_quantity = 0
    order.deadline_max = max(order.deadline_max, terms.deadline)
    order.updated_ns = venue.time_ns


def _place(
    venue: Venue, subaccount: Subaccount, command: MassQuote, order_id: int, terms: OrderTerms
) -> None:
    order = Order(
        order_id=order_id,
        terms=terms,
        signed_seq=order_id,
        status=_OPEN,
        time_in_force=_GTC,
        post_only=True,
        word=_WORD,
        max_show=0,
        label=command.label,
        mmp=command.mmp,
        placed_ns=venue.time_ns,
        updated_ns=venue.time_ns,
        price=terms.limit_price,
        deadline_max=terms.deadline,
        is_quote=True,
    )
    refusal = check_order(venue, subaccount, order) or _rest(venue, subaccount, order)
    if refusal is not None:
        _refuse(venue, terms, refusal)


def _rest(venue: Venue, subaccount: Subaccount, order: Order) -> Refusal | None:
    """Put a quote into the book: it never trades on arrival, so there is nothing to settle."""
    terms = order.terms
    placement = venue.books[terms.instrument_id].place(
        order.order_id,
        terms.subaccount_id,
        subaccount.owner_key,
        terms.side,
        terms.limit_price,
        terms.quantity,
        phase_word(venue, order),
    )
    if placement.outcome == _POST_ONLY_REFUSED:
        return RejectReason.POST_ONLY_WOULD_TRADE, "the book as it stands"
    assert subaccount.sheet is not None
    subaccount.sheet.order_ids.append(order.order_id)
    know(venue, subaccount, order)
    subaccount.open(order)
    subaccount.account.place_order(order.order_id, margin_order(terms, terms.quantity))
    venue.emit(placed_event(order, terms.limit_price))
    return None


def _refuse(venue: Venue, terms: OrderTerms, refusal: Refusal) -> None:
    reason, detail = refusal
    venue.emit(
        QuoteRefused(
            subaccount_id=terms.subaccount_id,
            instrument_id=terms.instrument_id,
            side=terms.side,
            reason=reason,
            detail=detail,
        )
    )


def _release(venue: Venue, order: Order) -> None:
    """Forget a quote that is over; at once if nobody traded with it: makers requote all day."""
    if order.filled_quantity:
        heapq.heappush(venue.deadlines, (order.terms.deadline, order.order_id))
    else:
        forget(venue, order)


def sweep_sheets(venue: Venue, now_s: int) -> None:
    """Cancel the quotes of sheets whose deadline came."""
    while venue.sheet_deadlines and venue.sheet_deadlines[0][0] <= now_s:
        _, subaccount_id = heapq.heappop(venue.sheet_deadlines)
        subaccount = venue.subaccounts[subaccount_id]
        sheet = subaccount.sheet
        assert sheet is not None
        if sheet.terms.deadline > now_s:
            continue  # a newer sheet took its place
        for order in _members(venue, subaccount):
            if not order.is_over:
                cancel(venue, order, CancelReason.DEADLINE)
            _release(venue, order)
        sheet.order_ids.clear()
