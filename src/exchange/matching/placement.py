"""What goes into a book and what comes out: instruction word, outcome, placement, resting order."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from exchange.model import SelfTradePrevention, TimeInForce

# An instruction word, low to high: time in force 2 bits, post-only 2, self-trade prevention 2,
# rest without matching 1. One int, because each argument costs on the hot path.
POST_ONLY_SHIFT: Final = 2
PREVENTION_SHIFT: Final = 4
NO_MATCH: Final = 1 << 6
FIELD: Final = 3

IOC: Final = 2
FOK: Final = 3
POST_ONLY_REJECT: Final = 1
CANCEL_TAKER: Final = 0
CANCEL_MAKER: Final = 1
CANCEL_BOTH: Final = 2

# `Outcome` as plain ints, which compile to C ints.
RESTING: Final = 0
FILLED: Final = 1
SELF_TRADE_CANCELED: Final = 2
UNFILLED: Final = 3
FOK_REFUSED: Final = 4
POST_ONLY_REFUSED: Final = 5
CUT_SHORT: Final = 6


class PostOnly(IntEnum):
    """What an order does that may only make."""

    OFF = 0
    REJECT = 1  # refused if it would trade
    REPRICE = 2  # moved one tick away from the best opposite price if it would trade


class Outcome(IntEnum):
    """What became of a placed order, first match wins."""

    RESTING = 0  # some or all of it rests
    FILLED = 1  # all of it traded
    SELF_TRADE_CANCELED = 2  # the rest, or part of it, fell to self-trade prevention
    UNFILLED = 3  # IOC: the rest found no counterparty within its price
    FOK_REFUSED = 4  # nothing changed
    POST_ONLY_REFUSED = 5  # nothing changed
    CUT_SHORT = 6  # it had all the fills that one order may have; the rest is canceled


def instruction_word(
    time_in_force: TimeInForce = TimeInForce.GTC,
    post_only: PostOnly = PostOnly.OFF,
    prevention: SelfTradePrevention = SelfTradePrevention.CANCEL_TAKER,
    *,
    matching: bool = True,
) -> int:
    """The word that `place` and `amend` take; `matching` is False while an auction collects."""
    word = time_in_force | post_only << POST_ONLY_SHIFT | prevention << PREVENTION_SHIFT
    return word if matching else word | NO_MATCH


class Order(NamedTuple):
    """A resting order as it is now."""

    order_id: int
    subaccount_id: int
    owner_key: int
    side: int
    price: int
    remaining_quantity: int
    displayed_quantity: int
    max_show: int


class Placement:
    """What a placed or amended order did.

    `quantity in = sum of fills + resting_quantity + canceled_quantity`, refusals included. `fills`
    are (maker order_id, price, quantity) in priority order. `prevented` are makers that self-trade
    prevention touched: (order_id, quantity removed, quantity that still rests).
    """

    __slots__ = ("canceled_quantity", "fills", "outcome", "prevented", "price", "resting_quantity")

    outcome: int
    price: int  # differs from the limit only after a post-only reprice
    resting_quantity: int
    canceled_quantity: int
    fills: Sequence[tuple[int, int, int]]
    prevented: Sequence[tuple[int, int, int]]
