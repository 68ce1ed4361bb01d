"""Integer arithmetic with the rounding in the name, and decimal text to scaled integers.

The lowest floor: it knows no instrument, no account, no clock. Every division in the core goes
through here, so that a reader sees which way each remainder falls. All functions take and return
plain ints (or text); none accepts a float.
"""

from typing import Final

CASH_SCALE: Final = 10**6  # cash, prices, fees: micro-USDC
QUANTITY_SCALE: Final = 10**4  # contracts
RATIO_SCALE: Final = 10**18  # discounts, weights, rates
ASSET_SCALE: Final = 10**8  # collateral tokens besides USDC
VOL_SCALE: Final = 10**6  # volatilities and deltas: 0.65 is 650_000
PRICE_QUANTUM: Final = 10**4  # ticks and strikes are multiples of it: price * quantity is exact
INT63_MAX: Final = 2**63 - 1

_NANOSECONDS: Final = 10**9
_TEXT_LIMIT: Final = 40  # longer than any representable number; bounds the work on hostile text


def mul_div_down(a: int, b: int, divisor: int) -> int:
    """`a * b / divisor` toward minus infinity; `divisor` > 0."""
    assert divisor > 0
    return a * b // divisor


def mul_div_up(a: int, b: int, divisor: int) -> int:
    """`a * b / divisor` toward plus infinity; `divisor` > 0."""
    assert divisor > 0
    return -(-a * b // divisor)


def div_down(a: int, divisor: int) -> int:
    """`a / divisor` toward minus infinity; `divisor` > 0."""
    assert divisor > 0
    return a // divisor


def div_up(a: int, divisor: int) -> int:
    """`a / divisor` toward plus infinity; `divisor` > 0."""
    assert divisor > 0
    return -(-a // divisor)


def div_half_even(a: int, divisor: int) -> int:
    """`a / divisor` to the nearest integer, ties to the even one; `divisor` > 0."""
    assert divisor > 0
    quotient, remainder = divmod(a, divisor)
    twice = 2 * remainder
    if twice > divisor or (twice == divisor and quotient & 1):
        return quotient + 1
    return quotient


def div_exact(a: int, divisor: int) -> int:
    """`a / divisor`, which must leave no remainder; a remainder is a bug."""
    quotient, remainder = divmod(a, divisor)
    assert remainder == 0, f"{a} is not a multiple of {divisor}"
    return quotient


def notional(price: int, quantity: int) -> int:
    """Value in micro-USDC of `quantity` (1e-4 contracts) at `price`; exact by the tick rule."""
    return div_exact(price * quantity, QUANTITY_SCALE)


def is_multiple(value: int, step: int) -> bool:
    """Whether `value` lies on the grid of `step` > 0."""
    return value % step == 0


def to_seconds_down(time_ns: int) -> int:
    """Whole UTC seconds at or before `time_ns`."""
    return time_ns // _NANOSECONDS


def to_milliseconds_down(time_ns: int) -> int:
    """Whole UTC milliseconds at or before `time_ns`."""
    return time_ns // 10**6


def to_nanoseconds(seconds: int) -> int:
    """UTC nanoseconds of a whole second."""
    return seconds * _NANOSECONDS


def parse_decimal(text: str, scale: int) -> int | None:
    """Scaled integer of plain decimal `text`, or None where it is not exactly representable.

    Accepts an optional minus, ASCII digits and at most one point with digits on both sides; no
    exponent, sign plus, space, underscore or other script. `scale` is a power of ten; digits beyond
    it must be zeros. Never builds a Decimal: the exponent of untrusted text can cost minutes.
    """
    if not text or len(text) > _TEXT_LIMIT or not text.isascii():
        return None
    negative = text[0] == "-"
    whole, point, fraction = text[negative:].partition(".")
    if not whole.isdigit() or (point and not fraction.isdigit()):
        return None
    decimals = len(str(scale)) - 1
    kept, dropped = fraction[:decimals], fraction[decimals:]
    if dropped.strip("0"):
        return None
    value = int(whole + kept.ljust(decimals, "0"))
    return -value if negative else value


def format_decimal(value: int, scale: int) -> str:
    """Shortest plain decimal text of a scaled integer; the inverse of `parse_decimal`."""
    whole, fraction = divmod(abs(value), scale)
    text = str(whole)
    if fraction:
        text += f".{fraction:0{len(str(scale)) - 1}d}".rstrip("0")
    return "-" + text if value < 0 else text
