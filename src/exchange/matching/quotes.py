"""A sheet of two-sided quotes against the one that stands: what to cancel, shrink, replace, place.

Pure comparison. What makes the maker's risk smaller comes first, so that a sheet that is cut short
by a refusal has taken risk off before it adds any.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from exchange.model import Side

QUOTES_MAX: Final = 512


class Quote(NamedTuple):
    """One instrument's bid and ask; quantity 0 leaves that side empty."""

    instrument_id: int
    bid_price: int
    bid_quantity: int
    ask_price: int
    ask_quantity: int


class Standing(NamedTuple):
    """A resting order of the previous sheet."""

    order_id: int
    price: int
    quantity: int  # what remains


class Cancel(NamedTuple):
    """The new sheet has nothing here."""

    order_id: int


class Reduce(NamedTuple):
    """Same price, less quantity: keeps its place in the queue."""

    order_id: int
    quantity: int


class Replace(NamedTuple):
    """Another price, or more quantity."""

    order_id: int
    price: int
    quantity: int


class Place(NamedTuple):
    """Nothing stood here."""

    instrument_id: int
    side: Side
    price: int
    quantity: int


Step = Cancel | Reduce | Replace | Place
Key = tuple[int, Side]


class SheetProblem(IntEnum):
    """Why a sheet is refused as a whole, in the order in which it is checked."""

    TOO_LONG = 0
    DUPLICATE_INSTRUMENT = 1
    NEGATIVE_QUANTITY = 2
    CROSSED = 3  # one quote's bid is at or above its ask


def sheet_problem(sheet: Sequence[Quote]) -> SheetProblem | None:
    """The first problem of a sheet, if any. Complexity: O(quotes)."""
    if len(sheet) > QUOTES_MAX:
        return SheetProblem.TOO_LONG
    if len({quote.instrument_id for quote in sheet}) < len(sheet):
        return SheetProblem.DUPLICATE_INSTRUMENT
    if any(min(quote.bid_quantity, quote.ask_quantity) < 0 for quote in sheet):
        return SheetProblem.NEGATIVE_QUANTITY
    for quote in sheet:
        if quote.bid_quantity and quote.ask_quantity and quote.bid_price >= quote.ask_price:
            return SheetProblem.CROSSED
    return None


def sheet_steps(standing: Mapping[Key, Standing], sheet: Sequence[Quote]) -> list[Step]:
    """Steps from what stands to the sheet; a side that is as it should be takes none.

    Cancels in the order of `standing`, then reductions, replacements and new orders, each in the
    order of the sheet, bid before ask. Complexity: O(standing + quotes).
    """
    wanted = _sides(sheet)
    cancels: list[Step] = [
        Cancel(order.order_id) for key, order in standing.items() if key not in wanted
    ]
    reductions: list[Step] = []
    replacements: list[Step] = []
    places: list[Step] = []
    for key, (price, quantity) in wanted.items():
        order = standing.get(key)
        if order is None:
            places.append(Place(*key, price, quantity))
        elif price != order.price or quantity > order.quantity:
            replacements.append(Replace(order.order_id, price, quantity))
        elif quantity < order.quantity:
            reductions.append(Reduce(order.order_id, quantity))
    return cancels + reductions + replacements + places


def _sides(sheet: Sequence[Quote]) -> dict[Key, tuple[int, int]]:
    wanted: dict[Key, tuple[int, int]] = {}
    for quote in sheet:
        if quote.bid_quantity:
            wanted[quote.instrument_id, Side.BUY] = (quote.bid_price, quote.bid_quantity)
        if quote.ask_quantity:
            wanted[quote.instrument_id, Side.SELL] = (quote.ask_price, quote.ask_quantity)
    return wanted
