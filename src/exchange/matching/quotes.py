"""A sheet of quotes: many two-sided quotes under one signature, replaced in one command.

Pure functions. It must never know signatures, accounts or the book: it is given what stands and
what is wanted, it gives a plan. What the owner signs is in `signing.py`.

A new sheet replaces the standing one as a whole. Whatever only shrinks keeps its priority; whatever
grows or moves is canceled and placed anew. Cancels and reductions come before every placement, so
that a maker is never exposed to both sheets at once, nor stopped by an old quote of his own.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from exchange.model import OrderTerms, Quote, Side

QUOTES_MAX: Final = 512  # two-sided quotes in one sheet


class StandingQuote(NamedTuple):
    """What rests of an earlier sheet's order."""

    order_id: int
    instrument_id: int
    side: Side
    price: int
    remaining_quantity: int


class Kept(NamedTuple):
    """A standing order that goes on, with its priority, under a new order's signature."""

    order_id: int
    quantity: int  # what remains from now on
    leaf: int  # its number among the sheet's orders, and in the tree


class SheetPlan(NamedTuple):
    """What a new sheet does, in this order of effects; each part in a fixed order."""

    cancel: tuple[int, ...]  # order_ids, as they stand
    reduce: tuple[Kept, ...]  # in the sheet's order
    keep: tuple[Kept, ...]
    place: tuple[int, ...]  # leaves


class SheetFault(StrEnum):
    """What is wrong with a sheet, in the order of the checks."""

    TOO_MANY_QUOTES = "too_many_quotes"  # more lines than QUOTES_MAX
    REPEATED_INSTRUMENT = "repeated_instrument"  # an instrument has one line
    NEGATIVE_QUANTITY = "negative_quantity"  # a quantity is at least 0
    CROSSED_QUOTE = "crossed_quote"  # a bid is below its own ask
    EMPTY_SHEET = "empty_sheet"  # to withdraw all quotes, cancel them


def check_sheet(quotes: Sequence[Quote]) -> SheetFault | None:
    """The first thing wrong with the form of a sheet; ticks and lots are the engine's business."""
    if len(quotes) > QUOTES_MAX:
        return SheetFault.TOO_MANY_QUOTES
    if len({quote.instrument_id for quote in quotes}) < len(quotes):
        return SheetFault.REPEATED_INSTRUMENT
    fault: SheetFault | None = SheetFault.EMPTY_SHEET
    crossed = False
    for _, bid_price, bid_quantity, ask_price, ask_quantity in quotes:
        if bid_quantity < 0 or ask_quantity < 0:
            return SheetFault.NEGATIVE_QUANTITY
        if bid_quantity and ask_quantity and bid_price >= ask_price:
            crossed = True
        if bid_quantity or ask_quantity:
            fault = None
    return SheetFault.CROSSED_QUOTE if crossed else fault


def plan_sheet(standing: Sequence[StandingQuote], orders: Sequence[OrderTerms]) -> SheetPlan:
    """How to get from what stands to the orders of a new sheet. Complexity: O(standing + orders).

    A standing order goes on if the new one has its price and no more than its remaining quantity.
    """
    before = {(quote.instrument_id, quote.side): quote for quote in standing}
    assert len(before) == len(standing), "a sheet has one order for each instrument and side"
    reduce: list[Kept] = []
    keep: list[Kept] = []
    place: list[int] = []
    kept: set[int] = set()
    for leaf, order in enumerate(orders):
        old = before.get((order.instrument_id, order.side))
        if old is None or old.price != order.limit_price or old.remaining_quantity < order.quantity:
            place.append(leaf)
            continue
        kept.add(old.order_id)
        changed = reduce if order.quantity < old.remaining_quantity else keep
        changed.append(Kept(old.order_id, order.quantity, leaf))
    cancel = tuple(quote.order_id for quote in standing if quote.order_id not in kept)
    return SheetPlan(cancel, tuple(reduce), tuple(keep), tuple(place))
