"""A combo as margin sees it: its legs as one small portfolio.

Integers only. An order in a combo fills with all of its legs or not at all, so its worst fill is
that of the package: a vertical spread needs its width, not two naked options. docs/margin.md says
why packages add up as safely as single orders do. Never knows a book, a fee or a clock.
"""

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from exchange.commands import ExpiryRisk, MarginParameters
from exchange.fixed import RATIO_SCALE, div_down

if TYPE_CHECKING:
    from exchange.margin.marks import InstrumentRisk

Parts = tuple[tuple["InstrumentRisk", int], ...]


class _Expiry(NamedTuple):
    """What the legs of one expiry are worth together: at the mark, and in each scenario."""

    risk: ExpiryRisk
    value: int
    shocked: tuple[int, ...]


class Unit(NamedTuple):
    """What one contract, or one unit of a combo, alone changes of the initial requirement.

    `effects` are in 1e-10 USDC, each scenario and then the basis contingency, initial factor
    included, rounded down. A portfolio's result is never worse than its own plus these
    (docs/margin.md).
    """

    effects: tuple[int, ...]
    low: int  # of them
    addon: int  # both contingencies, times 1e18, micro-USDC
    rounding: int  # what a portfolio may round off more than an order of any size does, micro-USDC


class PackageRisk:
    """A combo's row: what `InstrumentRisk` is to an instrument; `parts` are (row, ratio)."""

    __slots__ = (
        "addon_count",
        "delta",
        "expiries",
        "group",
        "mark_iv",
        "mark_price",
        "parts",
        "result_count",
        "underlying_id",
        "units",
        "vega",
    )

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.underlying_id = parts[0][0].underlying_id
        self.group = parts[0][0].group
        self.mark_price = sum(ratio * row.mark_price for row, ratio in parts)
        self.mark_iv = 0  # it has none
        self.delta = sum(ratio * row.delta for row, ratio in parts)
        self.vega = sum(ratio * row.vega for row, ratio in parts)
        self.expiries = _by_expiry(parts)
        linear = sum(not row.is_option for row, _ in parts)
        self.result_count = len(self.expiries)  # that a portfolio rounds apart
        self.addon_count = 2 + len(self.expiries) + 2 * linear  # likewise
        self.units: dict[int, Unit] = {}  # by sign


def _by_expiry(parts: Parts) -> tuple[_Expiry, ...]:
    buckets: dict[tuple[int, int], list[tuple[InstrumentRisk, int]]] = {}
    for row, ratio in parts:
        buckets.setdefault(row.bucket, []).append((row, ratio))
    found = []
    for inside in buckets.values():
        value = sum(ratio * row.mark_price for row, ratio in inside)
        columns = zip(*(row.shocked for row, _ in inside), strict=True)
        ratios = [ratio for _, ratio in inside]
        shocked = tuple(
            sum(price * ratio for price, ratio in zip(prices, ratios, strict=True))
            for prices in columns
        )
        found.append(_Expiry(inside[0][0].expiry_risk, value, shocked))
    return tuple(found)


def package_effects(
    package: PackageRisk, sign: int, parameters: MarginParameters, factor: int
) -> tuple[int, ...]:
    """As `Unit.effects`, of one unit; `factor` scales to the result's unit."""
    effects = [
        div_down(
            sum(_result(expiry, sign, at, absolute=absolute) for expiry in package.expiries)
            * weight
            * factor,
            RATIO_SCALE**3,
        )
        for at, (weight, absolute) in enumerate(
            zip(parameters.weights, parameters.absolute, strict=True)
        )
    ]
    basis = sum(_basis(expiry, sign, parameters) for expiry in package.expiries)
    effects.append(div_down(basis * factor, RATIO_SCALE**2))
    return tuple(effects)


def _result(expiry: _Expiry, sign: int, scenario: int, *, absolute: bool) -> int:
    """Times 1e18; the discount is that of the sign of the legs' own sum."""
    value = sign * expiry.value * RATIO_SCALE
    shocked = sign * expiry.shocked[scenario]
    long_result = shocked * expiry.risk.discount_long - value
    short_result = shocked * expiry.risk.discount_short - value
    if absolute:  # the sign of the whole expiry's value may be either: take the worse
        return -max(abs(long_result), abs(short_result))
    return min(long_result, short_result)


def _basis(expiry: _Expiry, sign: int, parameters: MarginParameters) -> int:
    up = sign * (expiry.shocked[parameters.basis_up] - expiry.value)
    down = sign * (expiry.shocked[parameters.basis_down] - expiry.value)
    return min(up, down, 0) * expiry.risk.basis_weight


def package_addon(
    package: PackageRisk,
    sign: int,
    parameters: MarginParameters,
    index_price: int,
    shortfall: int,
) -> int:
    """As `Unit.addon`: contingencies of one unit alone, times 1e18, micro-USDC."""
    strikes: Counter[int] = Counter()
    expiries: Counter[tuple[int, int]] = Counter()
    addon = 0
    linear_rate = parameters.perpetual_initial_rate + parameters.perpetual_maintenance_rate
    for row, ratio in package.parts:
        if row.is_option:
            strikes[row.strike_key] += sign * ratio
            expiries[row.bucket] += sign * ratio
        else:
            addon += abs(ratio) * row.mark_price * (linear_rate + shortfall)
    rate = parameters.short_option_initial_rate + parameters.short_option_maintenance_rate
    addon += sum(max(0, -held) for held in strikes.values()) * index_price * rate
    return addon + sum(max(0, -held) for held in expiries.values()) * index_price * shortfall
