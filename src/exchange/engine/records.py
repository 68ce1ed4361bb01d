"""What the engine keeps of orders and sheets: plain records, which nothing compiles.

They are msgspec structs, whose options mypyc does not see; what holds them lies in `state`.
"""

from enum import IntEnum
from typing import Final, NamedTuple

import msgspec

from exchange.events import RejectReason
from exchange.fixed import RATIO_SCALE
from exchange.model import (
    OrderStatus,
    OrderTerms,
    Quote,
    SheetTerms,
    TimeInForce,
    Trigger,
)

_UNTRIGGERED: Final = OrderStatus.UNTRIGGERED  # looking a member up costs as much as a call
_OPEN: Final = OrderStatus.OPEN


class LinkNews(IntEnum):
    """What befell an order that may be linked to others."""

    PARTLY_FILLED = 1
    FILLED = 2
    GONE = 3


class Order(msgspec.Struct, kw_only=True, gc=False):
    """An order from acceptance to the end of its memory. `order_id` is `model.numbered`."""

    order_id: int
    terms: OrderTerms  # those in force: an amend replaces them
    signed_seq: int  # `model.numbered`: the command that carries the signature of these terms
    status: OrderStatus
    time_in_force: TimeInForce
    post_only: bool
    word: int  # the book's instruction word
    max_show: int
    label: str
    mmp: bool
    placed_ns: int
    updated_ns: int
    price: int  # where it rests: differs from the limit after a post-only reprice
    deadline_max: int  # the latest deadline ever signed for its nonce: until then it is remembered
    filled_quantity: int = 0
    fill_value: int = 0  # micro-USDC paid or received for the fills, fees apart
    canceled_quantity: int = 0
    reject_reason: RejectReason | None = None
    trigger: Trigger | None = None
    is_quote: bool = False  # a leaf of its subaccount's newest sheet
    filled_before: int = 0  # of a quote, under nonces of earlier sheets
    market: bool = False
    volatility: int = 0  # 1e-6; 0: the limit price is the price
    waited: bool = False  # at a speed bump

    @property
    def is_over(self) -> bool:
        """Whether the order neither waits nor rests any more."""
        return self.status is not _OPEN and self.status is not _UNTRIGGERED

    @property
    def remaining_quantity(self) -> int:
        """What of an accepted order may still trade, in 1e-4 contracts."""
        whole = self.terms.quantity + self.filled_before
        return whole - self.filled_quantity - self.canceled_quantity

    @property
    def quantity(self) -> int:
        """What was asked for over the order's whole life, in 1e-4 contracts."""
        return self.terms.quantity + self.filled_before


class Sheet(msgspec.Struct, kw_only=True):
    """The newest sheet of a subaccount, also when none of its quotes stands any more."""

    terms: SheetTerms
    quotes: tuple[Quote, ...]
    order_ids: list[int] = []  # its quotes that were accepted, until the next sheet


class LegWait(NamedTuple):
    """What a resting order in a combo will take from its legs, when the speed bump lets it."""

    due_ns: int
    quantity: int
    version: int  # of the order: with other terms it waits anew


class RiskScale(msgspec.Struct, frozen=True, kw_only=True):
    """How an underlying's scenarios are scaled; ratios in 1e-18."""

    version: int = 0
    scan: int = RATIO_SCALE
    volatility: int = RATIO_SCALE
    time_ns: int = 0
