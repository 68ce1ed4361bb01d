"""Combos: structures of up to four legs, and how one trades against the books of its legs.

Knows ratios, prices and what the leg books show; moves nothing. A plan says what a combo order
would trade in each leg, all or nothing for each unit (one lot of the combo): every leg inside its
band, and no unit dearer than the limit. The engine carries a whole plan out in one command.

Buying a combo buys the legs with positive ratio and sells the others; its price is the sum of ratio
times leg price, and may be negative.
"""

from collections.abc import Sequence
from enum import IntEnum
from math import gcd
from typing import Final, NamedTuple

from exchange.fixed import div_down, div_exact
from exchange.model import InstrumentTerms, Kind, OptionKind, Side

LEGS_MAX: Final = 4
RATIO_MAX: Final = 10


class Leg(NamedTuple):
    """One instrument of a combo; `ratio` is signed and not 0."""

    instrument_id: int
    ratio: int


Combo = tuple[Leg, ...]


class ComboProblem(IntEnum):
    """Why legs make no combo, in the order in which it is checked."""

    LEG_COUNT = 0
    DUPLICATE_LEG = 1
    RATIO = 2  # 0, or beyond RATIO_MAX
    NOT_CANONICAL = 3  # legs by instrument_id, ratios without common divisor, the first positive


def combo_problem(legs: Sequence[Leg]) -> ComboProblem | None:
    """The first problem of a combo's legs, if any. One structure has one canonical form."""
    ids = [leg.instrument_id for leg in legs]
    if not 2 <= len(legs) <= LEGS_MAX:
        return ComboProblem.LEG_COUNT
    if len(set(ids)) < len(ids):
        return ComboProblem.DUPLICATE_LEG
    if not all(0 < abs(leg.ratio) <= RATIO_MAX for leg in legs):
        return ComboProblem.RATIO
    if ids != sorted(ids) or legs[0].ratio < 0 or gcd(*(leg.ratio for leg in legs)) > 1:
        return ComboProblem.NOT_CANONICAL
    return None


def canonical(legs: Sequence[Leg]) -> tuple[Combo, int]:
    """(combo, factor): `legs` are `factor` times the combo; a negative factor swaps sides."""
    ordered = sorted(legs)
    divisor = gcd(*(leg.ratio for leg in ordered))
    sign = -1 if ordered[0].ratio < 0 else 1
    combo = tuple(Leg(leg.instrument_id, div_exact(sign * leg.ratio, divisor)) for leg in ordered)
    return combo, sign * divisor


class Structure(IntEnum):
    """What traders call a combo."""

    CUSTOM = 0
    VERTICAL_SPREAD = 1
    CALENDAR_SPREAD = 2
    STRADDLE = 3
    STRANGLE = 4
    RISK_REVERSAL = 5
    BOX = 6


class LegView(NamedTuple):
    """What a leg's book offers the combo: the side it would take, best first, hidden included.

    Prices outside [`price_min`, `price_max`], the leg's band, end what may be taken.
    """

    levels: Sequence[tuple[int, int]]  # (price, quantity)
    price_min: int
    price_max: int


class Plan(NamedTuple):
    """What to trade: `quantity` of the combo, `cost` = sum of signed price times quantity.

    `legs[i]` are (price, quantity) to take in leg i, best first. The cost divided by the quantity
    is the net price that a buyer pays; a seller's cost is negative where the price is positive.
    """

    quantity: int
    cost: int
    legs: tuple[tuple[tuple[int, int], ...], ...]


class _Cursor:
    """Walks down one leg's levels."""

    __slots__ = ("_levels", "_position", "left", "price", "ratio", "sign", "taken")

    def __init__(self, view: LegView, ratio: int, sign: int) -> None:
        self._levels = [
            level for level in view.levels if view.price_min <= level[0] <= view.price_max
        ]
        self._position = -1
        self.ratio = abs(ratio)
        self.sign = sign  # +1 buys, -1 sells
        self.price = 0
        self.left = 0  # of the current level
        self.taken: list[tuple[int, int]] = []
        self._advance()

    def _advance(self) -> None:
        self._position += 1
        if self._position < len(self._levels):
            self.price, self.left = self._levels[self._position]

    def cost(self, quantity: int) -> int | None:
        """Signed cost of `quantity` from here, None if there is not so much."""
        total = 0
        left, price, position = self.left, self.price, self._position
        while quantity > left:
            total += price * left
            quantity -= left
            position += 1
            if position >= len(self._levels):
                return None
            price, left = self._levels[position]
        return self.sign * (total + price * quantity)

    def take(self, quantity: int) -> None:
        """Move past a quantity that is there."""
        while quantity:
            part = min(quantity, self.left)
            self._note(part)
            quantity -= part
            self.left -= part
            if self.left == 0:
                self._advance()

    def _note(self, quantity: int) -> None:
        if self.taken and self.taken[-1][0] == self.price:
            quantity += self.taken.pop()[1]
        self.taken.append((self.price, quantity))


def implied_plan(
    combo: Combo, views: Sequence[LegView], side: Side, quantity: int, limit: int, lot_size: int
) -> Plan:
    """The most of `quantity` that trades in the legs with no unit beyond `limit`.

    A buyer pays at most `limit` for each unit, a seller receives at least `limit`. `quantity` and
    every fill are multiples of `lot_size`. Leg prices only get worse, so units are taken in order
    until one is too dear. Complexity: O(levels taken times legs).
    """
    cursors = [
        _Cursor(view, leg.ratio, side.sign if leg.ratio > 0 else -side.sign)
        for leg, view in zip(combo, views, strict=True)
    ]
    bound = side.sign * limit
    done = cost = 0
    while done < quantity:
        units = _block(cursors, quantity - done, lot_size)
        block = _block_cost(cursors, units)
        if block is None or block > bound * units:
            break
        for cursor in cursors:
            cursor.take(units * cursor.ratio)
        done += units
        cost += block
    return Plan(done, cost, tuple(tuple(cursor.taken) for cursor in cursors))


def _block(cursors: Sequence[_Cursor], most: int, lot_size: int) -> int:
    """Quantity that every leg's current level gives, or one lot where a unit straddles levels."""
    whole = min(div_down(cursor.left, cursor.ratio * lot_size) for cursor in cursors)
    return min(most, max(1, whole) * lot_size)


def _block_cost(cursors: Sequence[_Cursor], units: int) -> int | None:
    total = 0
    for cursor in cursors:
        cost = cursor.cost(units * cursor.ratio)
        if cost is None:
            return None
        total += cost
    return total


def structure_of(legs: Sequence[tuple[InstrumentTerms, int]]) -> Structure:
    """The name of a canonical combo of options on one underlying; CUSTOM if it has none."""
    if any(terms.kind is not Kind.OPTION for terms, _ in legs):
        return Structure.CUSTOM
    if len({terms.underlying_id for terms, _ in legs}) > 1 or {abs(r) for _, r in legs} != {1}:
        return Structure.CUSTOM
    if len(legs) == 2:
        return _pair(legs)
    return Structure.BOX if len(legs) == 4 and _is_box(legs) else Structure.CUSTOM


def _pair(legs: Sequence[tuple[InstrumentTerms, int]]) -> Structure:
    (first, ratio), (second, other) = legs
    same_kind = first.option_kind == second.option_kind
    same_strike = first.strike == second.strike
    if first.expiry != second.expiry:
        calendar = same_kind and same_strike and ratio != other
        return Structure.CALENDAR_SPREAD if calendar else Structure.CUSTOM
    if same_kind:
        return Structure.VERTICAL_SPREAD if ratio != other else Structure.CUSTOM
    if ratio != other:
        return Structure.CUSTOM if same_strike else Structure.RISK_REVERSAL
    return Structure.STRADDLE if same_strike else Structure.STRANGLE


def _is_box(legs: Sequence[tuple[InstrumentTerms, int]]) -> bool:
    """Two strikes of one expiry, at each a call against a put, opposite ways round."""
    ratios = {(terms.strike, terms.option_kind): ratio for terms, ratio in legs}
    strikes = sorted({strike for strike, _ in ratios})
    if len(ratios) != 4 or len(strikes) != 2 or len({terms.expiry for terms, _ in legs}) > 1:
        return False
    low, high = strikes
    call = ratios[low, OptionKind.CALL]
    others = (
        ratios[low, OptionKind.PUT],
        ratios[high, OptionKind.CALL],
        ratios[high, OptionKind.PUT],
    )
    return others == (-call, -call, call)
