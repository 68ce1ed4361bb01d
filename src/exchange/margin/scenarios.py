"""Presets and their formulas in floats: shocks, discounts, shocked prices.

The reference that the integers are judged against, and what makes the risk arrays. Reads its
presets from the package; never knows an account, a quantity or a rounding.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import Final

import msgspec
import numpy as np

from exchange.commands import Collateral, MarginParameters, StandardRates
from exchange.fixed import ASSET_SCALE, RATIO_SCALE
from exchange.margin.market import DAYS_PER_YEAR, ExpiryMarket
from exchange.margin.pricing import FloatArray, price

PRESETS: Final = ("pm33", "pm35")
SCENARIOS_MIN: Final = 5  # so that a risk row is longer than every other leaf, and than a node


class VolatilityMode(StrEnum):
    """What a scenario does to volatility."""

    UP = "up"
    NONE = "none"
    DOWN = "down"
    SKEW_LINEAR = "skew_linear"
    SKEW_ABSOLUTE = "skew_absolute"

    @property
    def is_skew(self) -> bool:
        """Whether each expiry counts as -|result|, so that expiries cannot offset."""
        return self in {VolatilityMode.SKEW_LINEAR, VolatilityMode.SKEW_ABSOLUTE}


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of a preset's tables."""


class Scenario(_Section, frozen=True):
    """One cell of the grid; `spot` multiplies the price."""

    spot: float
    volatility: VolatilityMode
    weight: float


class VolatilityShock(_Section, frozen=True):
    """Power law of the volatility shocks in days to expiry."""

    up: float
    down: float
    up_minimum: float
    reference_days: float
    days_min: float
    power_near: float
    power_far: float


class StaticDiscount(_Section, frozen=True):
    """Discount of an expiry's shocked value, apart for assets and debts."""

    long_base: float
    long_rate: float
    long_multiple: float
    short_base: float
    short_rate: float
    short_multiple: float


class Skew(_Section, frozen=True):
    """Tilt of the smile around the forward."""

    cap: float
    cap_slope: float
    width_min: float
    deviations: float
    volatility: float


class Basis(_Section, frozen=True):
    """The contingency for forwards that part from the spot."""

    spot_up: float
    spot_down: float
    base: float
    per_year: float


class Requirement(_Section, frozen=True):
    """From the worst scenario to the two requirements."""

    initial_factor: float
    depeg_factor: float
    depeg_threshold: float
    maintenance_factor: float


class Contingencies(_Section, frozen=True):
    """Add-ons as rates of the notional."""

    short_option_initial: float
    short_option_maintenance: float
    perpetual_initial: float
    perpetual_maintenance: float
    confidence_floor: float


class CollateralTerms(_Section, frozen=True):
    """A token besides USDC: haircuts of its value; tokens beyond a cap count nothing."""

    name: str
    underlying: str
    initial_haircut: float
    maintenance_haircut: float
    account_cap: float
    total_cap: float
    isolated: bool = False


class Preset(_Section, frozen=True):
    """A whole margin preset; refused where it would give credit for a box."""

    name: str
    scenarios: tuple[Scenario, ...]
    volatility: VolatilityShock
    discount: StaticDiscount
    skew: Skew
    basis: Basis
    requirement: Requirement
    contingencies: Contingencies
    risk_groups: tuple[tuple[int, ...], ...] = ()
    collateral: tuple[CollateralTerms, ...] = ()

    def __post_init__(self) -> None:
        discount = self.discount
        if discount.long_base > discount.short_base:
            raise ValueError("long_base exceeds short_base: it would give credit for a box")
        if -discount.long_rate > discount.short_rate:
            raise ValueError("long_rate lets the long discount exceed the short one with time")
        self.basis_index(self.basis.spot_up)
        self.basis_index(self.basis.spot_down)

    def scaled(self, scan: float, volatility: float) -> "Preset":
        """The preset with the grid's spot moves and the upward shock stretched.

        The tails (weight below 1) stay: they are extremes already, and stay outside the grid.
        """
        if scan == volatility == 1.0:
            return self
        tails = [one.spot for one in self.scenarios if one.weight < 1.0]
        grid = [one.spot for one in self.scenarios if one.weight >= 1.0]
        below = max((spot for spot in tails if spot < min(grid)), default=0.0)
        above = min((spot for spot in tails if spot > max(grid)), default=math.inf)

        def stretched(spot: float) -> float:
            return min(max(1.0 + (spot - 1.0) * scan, below), above)

        return msgspec.structs.replace(
            self,
            scenarios=tuple(
                msgspec.structs.replace(one, spot=stretched(one.spot)) if one.weight >= 1.0 else one
                for one in self.scenarios
            ),
            volatility=msgspec.structs.replace(self.volatility, up=self.volatility.up * volatility),
            basis=msgspec.structs.replace(
                self.basis,
                spot_up=stretched(self.basis.spot_up),
                spot_down=stretched(self.basis.spot_down),
            ),
        )

    def basis_index(self, spot: float) -> int:
        """The scenario of this spot with volatility unchanged, which must exist."""
        for index, scenario in enumerate(self.scenarios):
            if scenario.spot == spot and scenario.volatility is VolatilityMode.NONE:
                return index
        raise ValueError(f"no scenario at spot {spot} with volatility none")

    def volatility_shock(self, days: float, mode: VolatilityMode) -> float:
        """Multiplier of a volatility `days` before expiry; 1 for the modes that do not scale."""
        shock = self.volatility
        power = shock.power_near if days <= shock.reference_days else shock.power_far
        scale = math.pow(shock.reference_days / max(days, shock.days_min), power)
        match mode:
            case VolatilityMode.UP:
                return 1.0 + shock.up * scale
            case VolatilityMode.DOWN:
                return max(0.0, 1.0 - shock.down * scale)
            case VolatilityMode.NONE | VolatilityMode.SKEW_LINEAR | VolatilityMode.SKEW_ABSOLUTE:
                return 1.0

    def initial_factor(self, stablecoin_price: float) -> float:
        """Multiplier of the worst scenario in the initial requirement."""
        requirement = self.requirement
        gap = max(0.0, requirement.depeg_threshold - stablecoin_price)
        return requirement.initial_factor + requirement.depeg_factor * gap

    def discounts(self, tau: float, rate: float) -> tuple[float, float]:
        """(long, short) discount of an expiry `tau` years away at its `rate`.

        A very negative rate would put the long one above the short one; it is held at it.
        """
        static = self.discount
        long_rate = static.long_rate + static.long_multiple * rate
        short_rate = static.short_rate + static.short_multiple * rate
        short = min(math.exp(rate * tau), static.short_base * math.exp(short_rate * tau))
        return min(static.long_base * math.exp(-long_rate * tau), short), short

    def basis_weight(self, tau: float) -> float:
        """Weight of an expiry in the basis contingency."""
        return self.basis.base + self.basis.per_year * tau


class StandardPreset(_Section, frozen=True):
    """Rates of the `standard` mode, of the index."""

    name: str
    option_initial: float
    option_initial_min: float
    option_maintenance: float
    perpetual_initial: float
    perpetual_maintenance: float


@lru_cache(maxsize=256)
def preset_for(preset: Preset, scan: float, volatility: float) -> Preset:
    """`Preset.scaled`, remembered: every expiry of an epoch asks for the same one."""
    return preset.scaled(scan, volatility)


@dataclass(frozen=True, slots=True, kw_only=True)
class Legs:
    """Options of one expiry, side by side."""

    strikes: FloatArray
    is_put: FloatArray
    volatilities: FloatArray


def load_preset(name: str) -> Preset:
    """A preset of this package by name."""
    if name not in PRESETS:
        raise ValueError(f"no preset {name!r}; there are {', '.join(PRESETS)}")
    return provable(msgspec.convert(_table(name), Preset))


def provable(preset: Preset) -> Preset:
    """The preset, unless it has so few scenarios that a node could pass for one of its rows."""
    if len(preset.scenarios) < SCENARIOS_MIN:
        raise ValueError(f"{preset.name}: the chain takes {SCENARIOS_MIN} scenarios or more")
    return preset


def load_standard() -> StandardPreset:
    """The `standard` mode's rates."""
    return msgspec.convert(_table("standard"), StandardPreset)


def _table(name: str) -> dict[str, object]:
    text = files("exchange.margin").joinpath("presets", f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def margin_parameters(preset: Preset) -> MarginParameters:
    """The integer half of a preset, for the engine and the chain."""
    requirement, contingencies = preset.requirement, preset.contingencies
    return MarginParameters(
        preset=preset.name,
        weights=tuple(to_ratio(scenario.weight) for scenario in preset.scenarios),
        absolute=tuple(scenario.volatility.is_skew for scenario in preset.scenarios),
        basis_up=preset.basis_index(preset.basis.spot_up),
        basis_down=preset.basis_index(preset.basis.spot_down),
        initial_factor=to_ratio(requirement.initial_factor),
        maintenance_factor=to_ratio(requirement.maintenance_factor),
        short_option_initial_rate=to_ratio(contingencies.short_option_initial),
        short_option_maintenance_rate=to_ratio(contingencies.short_option_maintenance),
        perpetual_initial_rate=to_ratio(contingencies.perpetual_initial),
        perpetual_maintenance_rate=to_ratio(contingencies.perpetual_maintenance),
        confidence_floor=to_ratio(contingencies.confidence_floor),
        depeg_threshold=to_ratio(requirement.depeg_threshold),
        depeg_factor=to_ratio(requirement.depeg_factor),
        risk_groups=tuple(
            (underlying_id, group)
            for group, members in enumerate(preset.risk_groups, start=1)
            for underlying_id in members
        ),
        standard=_standard_rates(load_standard()),
        spots=tuple(to_ratio(scenario.spot) for scenario in preset.scenarios),
    )


def collateral_terms(
    preset: Preset, underlying_ids: Mapping[str, int], tokens: Mapping[str, tuple[str, int]]
) -> tuple[Collateral, ...]:
    """The tokens of a preset that exist here; `tokens` gives address and decimals by name."""
    known = [
        terms
        for terms in preset.collateral
        if terms.name in tokens and terms.underlying in underlying_ids
    ]
    return tuple(
        Collateral(
            asset_id=asset_id,
            token=tokens[terms.name][0],
            name=terms.name,
            decimals=tokens[terms.name][1],
            underlying_id=underlying_ids[terms.underlying],
            initial_haircut=to_ratio(terms.initial_haircut),
            maintenance_haircut=to_ratio(terms.maintenance_haircut),
            account_cap=round(terms.account_cap * ASSET_SCALE),
            total_cap=round(terms.total_cap * ASSET_SCALE),
            isolated=terms.isolated,
        )
        for asset_id, terms in enumerate(known, start=1)
    )


def _standard_rates(preset: StandardPreset) -> StandardRates:
    return StandardRates(
        option_initial=to_ratio(preset.option_initial),
        option_initial_min=to_ratio(preset.option_initial_min),
        option_maintenance=to_ratio(preset.option_maintenance),
        perpetual_initial=to_ratio(preset.perpetual_initial),
        perpetual_maintenance=to_ratio(preset.perpetual_maintenance),
    )


def to_ratio(value: float) -> int:
    """A float in 1e-18: the decimal that it prints as, so that 0.98 is exactly 98e16."""
    return int((Decimal(repr(value)) * RATIO_SCALE).to_integral_value(ROUND_HALF_EVEN))


def shocked_volatilities(
    preset: Preset, legs: Legs, forward_price: float, days: float
) -> FloatArray:
    """Volatility of each leg (rows) in each scenario (columns)."""
    modes = [scenario.volatility for scenario in preset.scenarios]
    shocks = {mode: preset.volatility_shock(days, mode) for mode in VolatilityMode}
    floors = dict.fromkeys(VolatilityMode, 0.0) | {VolatilityMode.UP: preset.volatility.up_minimum}
    shocked = np.outer(legs.volatilities, [shocks[mode] for mode in modes])
    shocked = np.maximum(shocked, [floors[mode] for mode in modes])
    for column, mode in enumerate(modes):
        if mode.is_skew:
            shocked[:, column] *= _tilt(preset, legs, forward_price, days, mode)
    return np.asarray(shocked, dtype=np.float64)


def shocked_prices(preset: Preset, legs: Legs, expiry: ExpiryMarket, days: float) -> FloatArray:
    """Black-76 price of one contract of each leg (rows) in each scenario (columns)."""
    spots = np.array([scenario.spot for scenario in preset.scenarios])
    forwards = expiry.forward_price * spots + expiry.fixed_price
    volatilities = shocked_volatilities(preset, legs, expiry.whole_forward, days)
    return price(
        forwards[np.newaxis, :],
        legs.strikes[:, np.newaxis],
        days / DAYS_PER_YEAR,
        volatilities,
        legs.is_put[:, np.newaxis],
        expiry.rate,
    )


def _tilt(
    preset: Preset, legs: Legs, forward_price: float, days: float, mode: VolatilityMode
) -> FloatArray:
    skew = preset.skew
    root = math.sqrt(days / DAYS_PER_YEAR)
    cap = max(0.0, skew.cap - skew.cap_slope * root)
    width = max(skew.width_min, root * skew.deviations * skew.volatility)
    distance = np.log(legs.strikes / forward_price)
    if mode is VolatilityMode.SKEW_ABSOLUTE:
        distance = np.abs(distance)
    return np.asarray(1.0 + np.clip(distance * cap / width, -cap, cap), dtype=np.float64)
