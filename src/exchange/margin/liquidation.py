"""The rules of a liquidation: its stages, what a fraction costs, who bears what nobody paid.

Integers only. Every amount rounds against the one who is liquidated, except that legs move at the
mark to 0.01 USDC in its favour, so that no rounding can leave it worse off. Never knows a book, a
clock or a venue: the engine tells how long an auction has waited.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final, NamedTuple

from exchange.commands import LiquidationParameters
from exchange.fixed import (
    ASSET_SCALE,
    PRICE_QUANTUM,
    RATIO_SCALE,
    div_down,
    div_up,
    mul_div_down,
    mul_div_up,
    notional,
)
from exchange.margin.account import MarginAccount
from exchange.margin.marks import MarksBook
from exchange.model import LiquidationStage

FRACTION_STEP: Final = 10**14  # offered fractions are multiples of 0.01 %
WAIT_NS_MAX: Final = 5 * 10**9  # what one sweep adds at most to an auction's wait: a gap is no wait


class Cause(IntEnum):
    """What may change the stage of a liquidation."""

    BELOW = 1  # maintenance excess is negative
    RESTORED = 2  # equity covers maintenance and the buffer, or nothing is left to liquidate
    STUCK = 3  # slices had their time
    BANKRUPT = 4  # equity is negative
    SOLVENT = 5  # it is no more
    TAKEN_OVER = 6  # nobody bid in time: the fund has the rest
    SPENT = 7  # the fund holds nothing more of what it took over
    FROZEN = 8  # somebody started an auction on chain
    THAWED = 9  # which ended


# None is a subaccount that nobody liquidates. A missing key: nothing changes.
MOVES: Final[dict[tuple[LiquidationStage | None, Cause], LiquidationStage | None]] = {
    (None, Cause.BELOW): LiquidationStage.SLICING,
    (None, Cause.TAKEN_OVER): LiquidationStage.UNWINDING,  # the fund's own
    (LiquidationStage.SLICING, Cause.RESTORED): None,
    (LiquidationStage.SLICING, Cause.STUCK): LiquidationStage.AUCTION,
    (LiquidationStage.SLICING, Cause.BANKRUPT): LiquidationStage.INSOLVENT,
    (LiquidationStage.AUCTION, Cause.RESTORED): None,
    (LiquidationStage.AUCTION, Cause.BANKRUPT): LiquidationStage.INSOLVENT,
    (LiquidationStage.AUCTION, Cause.TAKEN_OVER): None,
    (LiquidationStage.INSOLVENT, Cause.SOLVENT): LiquidationStage.AUCTION,
    (LiquidationStage.INSOLVENT, Cause.RESTORED): None,
    (LiquidationStage.INSOLVENT, Cause.TAKEN_OVER): None,
    (LiquidationStage.UNWINDING, Cause.SPENT): None,
    (None, Cause.FROZEN): LiquidationStage.ON_CHAIN,
    (LiquidationStage.SLICING, Cause.FROZEN): LiquidationStage.ON_CHAIN,
    (LiquidationStage.AUCTION, Cause.FROZEN): LiquidationStage.ON_CHAIN,
    (LiquidationStage.INSOLVENT, Cause.FROZEN): LiquidationStage.ON_CHAIN,
    (LiquidationStage.ON_CHAIN, Cause.THAWED): None,
}


class Leg(NamedTuple):
    """Part of a position that changes hands: signed `quantity` as held, `price` a contract."""

    instrument_id: int
    quantity: int
    price: int


class Token(NamedTuple):
    """Some of a token that changes hands: `amount` in 1e-8 of it, `value` in micro-USDC."""

    asset_id: int
    amount: int
    value: int


class Part(NamedTuple):
    """A fraction of an account: of each position and of each token."""

    legs: tuple[Leg, ...]
    tokens: tuple[Token, ...]

    @property
    def value(self) -> int:
        """What all of it is worth at its prices, signed micro-USDC; exact."""
        legs = sum(notional(leg.price, leg.quantity) for leg in self.legs)
        return legs + sum(token.value for token in self.tokens)

    def quantities(self, sign: int) -> dict[int, int]:
        """By instrument, as whoever gets (+1) or gives (-1) it counts."""
        return {leg.instrument_id: sign * leg.quantity for leg in self.legs}

    def amounts(self, sign: int) -> dict[int, int]:
        """By asset_id, likewise."""
        return {token.asset_id: sign * token.amount for token in self.tokens}


def is_restored(parameters: LiquidationParameters, equity: int, requirement: int) -> bool:
    """Whether equity covers the maintenance requirement and the buffer beyond it."""
    buffer = mul_div_up(parameters.buffer_rate, requirement, RATIO_SCALE)
    return equity >= requirement + buffer


def cause_now(
    parameters: LiquidationParameters, stage: LiquidationStage, account: MarginAccount
) -> Cause | None:
    """What the account's own figures ask for; None: to go on."""
    equity, requirement = account.equity(), account.maintenance_margin()
    if equity < 0:
        return None if stage is LiquidationStage.INSOLVENT else Cause.BANKRUPT
    if is_restored(parameters, equity, requirement):
        return Cause.RESTORED
    return Cause.SOLVENT if stage is LiquidationStage.INSOLVENT else None


def auction_time_ns(parameters: LiquidationParameters, stage: LiquidationStage) -> int:
    """How long an auction waits for bids before the fund takes over."""
    if stage is LiquidationStage.INSOLVENT:
        return parameters.insolvent_ns
    return parameters.fast_ns + parameters.slow_ns


def discount_rate(
    parameters: LiquidationParameters, stage: LiquidationStage, waited_ns: int
) -> int:
    """What a taker gets off, in 1e-18; rounded up.

    A share of equity, or of the released requirement of an account that has no equity.
    """
    if stage is LiquidationStage.INSOLVENT:
        waited_ns = min(waited_ns, parameters.insolvent_ns)
        return mul_div_up(RATIO_SCALE, waited_ns, max(1, parameters.insolvent_ns))
    start, end = parameters.discount_start, parameters.discount_end
    if waited_ns < parameters.fast_ns:
        return start + mul_div_up(end - start, waited_ns, parameters.fast_ns)
    waited_ns = min(waited_ns - parameters.fast_ns, parameters.slow_ns)
    return end + mul_div_up(RATIO_SCALE - end, waited_ns, max(1, parameters.slow_ns))


def offered_fraction(
    parameters: LiquidationParameters, rate: int, equity: int, requirement: int
) -> int:
    """The part of every position whose sale at discount `rate` restores the buffer, in 1e-18.

    Equity falls by `f * rate * equity`, the requirement by `f`: linear in f but for the rounding to
    lots, which only sells more. Everything, of an account without equity.
    """
    if equity <= 0:
        return RATIO_SCALE
    wanted = requirement + mul_div_up(parameters.buffer_rate, requirement, RATIO_SCALE)
    gain = wanted - mul_div_down(rate, equity, RATIO_SCALE)
    if gain <= 0:
        return RATIO_SCALE
    share = mul_div_up(wanted - equity, RATIO_SCALE, gain)
    return min(RATIO_SCALE, div_up(max(0, share), FRACTION_STEP) * FRACTION_STEP)


def legs_of(
    positions: Mapping[int, int], fraction: int, lots: Mapping[int, int], marks: MarksBook
) -> tuple[Leg, ...]:
    """The legs of a fraction, each rounded up to lots but no larger than the position.

    They move at the mark to 0.01 USDC, rounded in favour of whoever gives them up.
    """
    legs = []
    for instrument_id, held in sorted(positions.items()):
        lot_size = lots[instrument_id]
        count = div_up(mul_div_up(abs(held), fraction, RATIO_SCALE), lot_size)
        quantity = min(abs(held), count * lot_size)
        if quantity:
            mark = marks.mark_price(instrument_id)
            rounded = div_up(mark, PRICE_QUANTUM) if held > 0 else div_down(mark, PRICE_QUANTUM)
            signed = quantity if held > 0 else -quantity
            legs.append(Leg(instrument_id, signed, rounded * PRICE_QUANTUM))
    return tuple(legs)


def tokens_of(collateral: Mapping[int, int], fraction: int, marks: MarksBook) -> tuple[Token, ...]:
    """A fraction of each token that has a price, at the index, both rounded up."""
    tokens = []
    for asset_id, held in sorted(collateral.items()):
        asset = marks.collaterals.get(asset_id)
        price = marks.asset_price(asset) if asset else 0
        if price:
            amount = min(held, mul_div_up(held, fraction, RATIO_SCALE))
            tokens.append(Token(asset_id, amount, mul_div_up(amount, price, ASSET_SCALE)))
    return tuple(token for token in tokens if token.amount)


def released_requirement(account: MarginAccount, part: Part) -> int:
    """By how much the maintenance requirement falls without it; negative if it rises."""
    left = account.maintenance_excess_with(part.quantities(-1), part.amounts(-1))
    return left + part.value - account.maintenance_excess()


def discount(rate: int, fraction: int, equity: int, released: int) -> int:
    """What the taker of a fraction gets, micro-USDC, rounded up; never more than was released.

    So a transfer never lowers the maintenance excess of who gives up the legs.
    """
    if equity < 0:
        return max(0, mul_div_down(rate, released, RATIO_SCALE))
    return max(0, min(released, mul_div_up(rate * fraction, equity, RATIO_SCALE**2)))


def share_loss(loss: int, equities: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """(subaccount_id, amount) of everybody with equity above zero, pro rata; ascending, exact.

    Each pays the part between two marks on a line of length `loss`, the marks rounded down: the
    sum is the loss to the last unit, no share is a whole unit off, none exceeds its equity.
    """
    able = sorted(pair for pair in equities if pair[1] > 0)
    total = sum(equity for _, equity in able)
    loss = min(loss, total)
    shares = []
    before = paid = 0
    for subaccount_id, equity in able:
        before += equity
        until = mul_div_down(loss, before, total)
        if until > paid:
            shares.append((subaccount_id, until - paid))
        paid = until
    return tuple(shares)
