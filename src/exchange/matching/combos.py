"""Combos: structures of two to seventeen legs, their identity and their name.

Pure functions. They must never know accounts, orders or books: they are given legs, they give an
identity and a name. `implied` trades them against the books of their legs.

A combo is a set of legs with whole ratios; buying one unit buys `ratio` contracts of each leg, or
sells them where it is negative. It has one canonical form, so that it has one book: legs ascend by
instrument_id, ratios have no common divisor, and the first ratio is positive. Whoever names it the
other way round sells what he meant to buy, at the negative price. Combo prices may be negative.

A name such as `BTC_USDC-CS-25DEC26-100000_120000` belongs to one set of legs. It has Deribit's code
of the structure, then what the legs do not share, in the order of the legs; structures without a
code are `CMB` and spell out ratio and instrument of each leg (`m2x`: two are sold).
"""

from collections.abc import Sequence
from enum import StrEnum
from math import gcd
from typing import Final, NamedTuple

from exchange.fixed import div_exact
from exchange.model import (
    InstrumentTerms,
    Kind,
    Leg,
    Legs,
    OptionKind,
    expiry_code,
    instrument_name,
    strike_code,
    unpack_instrument_id,
)

LEGS_MAX: Final = 17  # sixteen and a hedge; the twin of LEGS_MAX in ComboLib.sol
RATIO_MAX: Final = 100  # a ratio beyond it is no structure anybody trades
UNIT_MAX: Final = (
    400  # contracts of all legs in a unit: what bounds prices and quantities of combos
)
_CORNERS: Final = 4  # of a box


class ComboFault(StrEnum):
    """Why legs form no combo, in the order of the checks."""

    WRONG_LEG_COUNT = "wrong_leg_count"  # fewer than two legs or more than LEGS_MAX
    REPEATED_LEG = "repeated_leg"  # an instrument is one leg
    WRONG_RATIO = "wrong_ratio"  # zero, larger than RATIO_MAX, or more than UNIT_MAX together
    MIXED_UNDERLYINGS = "mixed_underlyings"  # legs lie on one underlying


class ComboKind(StrEnum):
    """The name of a structure."""

    SPREAD = "spread"  # an option against another of its kind, a future against another
    RATIO_SPREAD = "ratio_spread"  # the same with unequal ratios
    STRADDLE = "straddle"  # call and put, one strike, both bought
    STRANGLE = "strangle"  # call and put, two strikes, both bought
    RISK_REVERSAL = "risk_reversal"  # call against put, two strikes
    SYNTHETIC = "synthetic"  # call against put, one strike
    BOX = "box"  # a call spread against the put spread of the same strikes
    OTHER = "other"


class Canonical(NamedTuple):
    """A combo's one form. The legs that were given are `factor` times it; below 0: sides swap."""

    legs: Legs
    factor: int


def check_legs(legs: Sequence[Leg]) -> ComboFault | None:
    """The first thing wrong with the legs that somebody asks to list."""
    if not 2 <= len(legs) <= LEGS_MAX:
        return ComboFault.WRONG_LEG_COUNT
    if len({leg.instrument_id for leg in legs}) < len(legs):
        return ComboFault.REPEATED_LEG
    ratios = [abs(leg.ratio) for leg in legs]
    if not all(0 < ratio <= RATIO_MAX for ratio in ratios) or sum(ratios) > UNIT_MAX:
        return ComboFault.WRONG_RATIO
    if len({unpack_instrument_id(leg.instrument_id).underlying_id for leg in legs}) > 1:
        return ComboFault.MIXED_UNDERLYINGS
    return None


def canonical(legs: Sequence[Leg]) -> Canonical:
    """The form in which a combo is listed."""
    assert check_legs(legs) is None
    divisor = gcd(*(leg.ratio for leg in legs))
    ascending = sorted(legs)
    sign = 1 if ascending[0].ratio > 0 else -1
    reduced = (Leg(leg.instrument_id, div_exact(sign * leg.ratio, divisor)) for leg in ascending)
    return Canonical(tuple(reduced), sign * divisor)


def net_price(legs: Legs, prices: Sequence[int]) -> int:
    """Price of one unit from the prices of its legs, in their order."""
    return sum(leg.ratio * price for leg, price in zip(legs, prices, strict=True))


def combo_kind(legs: Legs) -> ComboKind:
    """What traders call this structure."""
    terms = [unpack_instrument_id(leg.instrument_id) for leg in legs]
    ratios = [leg.ratio for leg in legs]
    if len(legs) == 2:
        return _pair_kind(terms[0], terms[1], ratios)
    return ComboKind.BOX if _is_box(terms, ratios) else ComboKind.OTHER


def _pair_kind(first: InstrumentTerms, second: InstrumentTerms, ratios: list[int]) -> ComboKind:
    same_sign = ratios[1] > 0
    linear = Kind.OPTION not in (first.kind, second.kind)
    if linear or (first.kind, first.option_kind) == (second.kind, second.option_kind):
        if same_sign:
            return ComboKind.OTHER
        return ComboKind.SPREAD if sum(ratios) == 0 else ComboKind.RATIO_SPREAD
    options = first.kind is second.kind is Kind.OPTION
    if not options or first.expiry != second.expiry or abs(ratios[0]) != abs(ratios[1]):
        return ComboKind.OTHER
    if first.strike == second.strike:
        return ComboKind.STRADDLE if same_sign else ComboKind.SYNTHETIC
    return ComboKind.STRANGLE if same_sign else ComboKind.RISK_REVERSAL


def _is_box(terms: list[InstrumentTerms], ratios: list[int]) -> bool:
    """Low call and high put against high call and low put, one expiry."""
    if len(terms) != _CORNERS or {abs(ratio) for ratio in ratios} != {1}:
        return False
    if len({(item.kind, item.expiry) for item in terms}) > 1:
        return False
    low, high = min(item.strike for item in terms), max(item.strike for item in terms)
    corners = {
        (item.strike, item.option_kind): ratio for item, ratio in zip(terms, ratios, strict=True)
    }
    sign = corners.get((low, OptionKind.CALL), 0)
    return sign != 0 and corners == {
        (low, OptionKind.CALL): sign,
        (low, OptionKind.PUT): -sign,
        (high, OptionKind.CALL): -sign,
        (high, OptionKind.PUT): sign,
    }


_PAIR_CODES: Final = {
    ComboKind.STRADDLE: "STRD",
    ComboKind.STRANGLE: "STRG",
    ComboKind.RISK_REVERSAL: "RR",
    ComboKind.SYNTHETIC: "SYN",
}


def combo_name(underlying: str, legs: Legs) -> str:
    """The one name of a combo in its canonical form."""
    terms = [unpack_instrument_id(leg.instrument_id) for leg in legs]
    code, rest = _code(terms, legs)
    if code:
        return f"{underlying}_USDC-{code}-{rest}"
    stem = len(f"{underlying}_USDC-")
    parts = [
        f"{'m' if leg.ratio < 0 else ''}{abs(leg.ratio)}x{instrument_name(underlying, item)[stem:]}"
        for leg, item in zip(legs, terms, strict=True)
    ]
    return f"{underlying}_USDC-CMB-{'_'.join(parts)}"


def _code(terms: list[InstrumentTerms], legs: Legs) -> tuple[str, str]:
    """Deribit's code and what tells this combo from others of the code; ("", "") without one."""
    first, last = terms[0], terms[-1]
    kind = combo_kind(legs)
    expiry = expiry_code(first.expiry)
    strikes = f"{strike_code(first.strike)}_{strike_code(last.strike)}"
    if kind is ComboKind.SPREAD:
        return _spread_code(first, last, strikes)
    if kind is ComboKind.BOX:
        return "BOX", f"{expiry}-{strikes}"
    guts = kind in (ComboKind.STRANGLE, ComboKind.RISK_REVERSAL) and (
        first.option_kind is OptionKind.CALL
    )
    if kind not in _PAIR_CODES or guts:
        return "", ""
    if first.strike == last.strike:
        strikes = strike_code(first.strike)
    return _PAIR_CODES[kind], f"{expiry}-{strikes}"


def _spread_code(first: InstrumentTerms, last: InstrumentTerms, strikes: str) -> tuple[str, str]:
    codes = (expiry_code(item.expiry) if item.expiry else "PERP" for item in (first, last))
    expiries = "_".join(codes)
    if first.kind is not Kind.OPTION:
        return "FS", expiries
    letter = "CP"[first.option_kind]
    if first.expiry == last.expiry:
        return f"{letter}S", f"{expiry_code(first.expiry)}-{strikes}"
    if first.strike == last.strike:
        return f"{letter}CAL", f"{expiries}-{strike_code(first.strike)}"
    return f"{letter}DIAG", f"{expiries}-{strikes}"
