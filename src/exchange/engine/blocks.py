"""Blocks: two signed orders that meet outside the book, at the maker's price, whole or not at all.

What a request for quote ends in. Each side passes every check of an order that enters by itself, so
a block is no way around margin, bands, halts or fees; what it skips is the queue of the book.
Nothing is remembered of a refused block: neither signature is used up by the other side's fault.
"""

from exchange.commands import PlaceOrder, TradeBlock
from exchange.engine.booking import limit_reduce_only, margin_order, placed_event, remember
from exchange.engine.checks import Refusal, check_authority, check_order, enterable_quantity
from exchange.engine.combo_trading import leg_prices, trade_units
from exchange.engine.entry import new_order, reject, repeat
from exchange.engine.fills import after_fill, book_fill
from exchange.engine.records import Order
from exchange.engine.state import Subaccount, Venue
from exchange.events import RejectReason
from exchange.model import OrderStatus, TimeInForce


def trade_block(venue: Venue, command: TradeBlock) -> None:
    """Trade two orders with each other; a refusal names the side by its subaccount and nonce."""
    words = _misfit(command)
    if words:
        venue.refuse(RejectReason.BAD_BLOCK, words)
        return
    sides = (command.maker, command.taker)
    subaccounts = []
    for item in sides:
        subaccount = check_authority(venue, item.terms)
        if subaccount is None:
            return
        subaccounts.append(subaccount)
    maker, taker = subaccounts
    if maker.owner_key == taker.owner_key:
        venue.refuse(RejectReason.BAD_BLOCK, "a block is between two owners")
        return
    if _known(venue, subaccounts, sides):
        return
    orders = [new_order(venue, item, place) for place, item in enumerate(sides)]
    for subaccount, order in zip(subaccounts, orders, strict=True):
        refusal = check_order(venue, subaccount, order) or _check_block(venue, subaccount, order)
        if refusal is not None:
            reject(venue, order.terms, *refusal)
            return
    _carry_out(venue, subaccounts, orders)


def _misfit(command: TradeBlock) -> str:
    """Why these two cannot meet, in words; empty if they can."""
    maker, taker = command.maker.terms, command.taker.terms
    if any(_is_special(item) for item in (command.maker, command.taker)):
        return "both are plain limit orders, fill or kill"
    if (maker.instrument_id, maker.quantity) != (taker.instrument_id, taker.quantity):
        return "both are for the same amount of the same instrument"
    if maker.side is taker.side:
        return "one buys and one sells"
    if taker.side.sign * (maker.limit_price - taker.limit_price) > 0:
        return "the maker's price is beyond the taker's limit"
    return ""


def _is_special(item: PlaceOrder) -> bool:
    return (
        item.time_in_force is not TimeInForce.FOK
        or item.trigger is not None
        or item.post_only
        or item.market
        or item.volatility > 0
        or item.max_show > 0
    )


def _known(venue: Venue, subaccounts: list[Subaccount], sides: tuple[PlaceOrder, ...]) -> bool:
    """Whether a nonce is known: a block with the same content gives the first outcome again."""
    known = [
        subaccount.orders.get(item.terms.nonce)
        for subaccount, item in zip(subaccounts, sides, strict=True)
    ]
    same = [
        order
        for order, item in zip(known, sides, strict=True)
        if order is not None and order.terms == item.terms
    ]
    if len(same) == len(sides):
        for order in same:
            repeat(venue, order)
        return True
    for first, subaccount, item in zip(known, subaccounts, sides, strict=True):
        if first is not None or item.terms.nonce in subaccount.used_nonces:
            words = f"nonce {item.terms.nonce} is taken"
            reject(venue, item.terms, RejectReason.NONCE_USED, words)
            return True
    return False


def _check_block(venue: Venue, subaccount: Subaccount, order: Order) -> Refusal | None:
    assert venue.parameters is not None
    terms = order.terms
    combo = venue.instruments[terms.instrument_id]
    largest = terms.quantity * max((abs(leg.ratio) for leg in combo.legs), default=1)
    if largest < venue.parameters.limits.block_quantity_min:
        return RejectReason.BLOCK_TOO_SMALL, "smaller trades belong into the book"
    if enterable_quantity(subaccount, order) < terms.quantity:
        return RejectReason.REDUCE_ONLY_INCREASES, "a block is traded whole"
    if combo.legs and leg_prices(venue, combo.legs, terms.limit_price) is None:
        return RejectReason.PRICE_OUTSIDE_BAND, "no prices within the legs' bands add up to it"
    return None


def _carry_out(venue: Venue, subaccounts: list[Subaccount], orders: list[Order]) -> None:
    maker, taker = orders
    for subaccount, order in zip(subaccounts, orders, strict=True):
        remember(venue, subaccount, order)
        order.status = OrderStatus.OPEN
        subaccount.open(order)
        venue.emit(placed_event(order, order.terms.limit_price))
        subaccount.account.place_order(
            order.order_id, margin_order(order.terms, order.terms.quantity)
        )
    price, quantity = maker.terms.limit_price, maker.terms.quantity
    combo = venue.instruments[maker.terms.instrument_id]
    if combo.legs:
        trade_units(venue, taker, maker, price, quantity)
    else:
        book_fill(venue, taker, maker.order_id, price, quantity)
    after_fill(venue, taker)
    touched = [leg.instrument_id for leg in combo.legs] or [combo.instrument_id]
    for subaccount in subaccounts:
        for instrument_id in touched:
            limit_reduce_only(venue, subaccount, instrument_id)
