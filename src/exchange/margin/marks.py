"""The risk arrays in force: one epoch of marks, shocked prices and parameters.

Integers only, and no arithmetic beyond what every account shares: the effect of one contract,
bought or sold, in each scenario. Never knows a portfolio, a surface or a clock.
"""

import struct
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from math import gcd
from typing import ClassVar, Final

from mypy_extensions import mypyc_attr

from exchange.commands import (
    Collateral,
    Configure,
    ExpiryRisk,
    MarginParameters,
    UnderlyingRisk,
    UpdateMarks,
)
from exchange.fixed import (
    PRICE_QUANTUM,
    QUANTITY_SCALE,
    RATIO_SCALE,
    div_down,
    div_exact,
    div_up,
    is_multiple,
    mul_div_down,
)
from exchange.margin.concentration import ConcentrationRates
from exchange.margin.package import PackageRisk, Unit, package_addon, package_effects
from exchange.model import Kind, Legs, unpack_instrument_id

UNIT_SCALE: Final = 10**4  # unit effects are kept in 1e-4 micro-USDC a contract
_ISOLATED_GROUPS: Final = -(2**16)  # below the groups that underlyings have by default
PRICE_MAX: Final = 2**50 - 1  # micro-USDC a contract; keeps sums of a portfolio far inside int256


instrument_terms = lru_cache(maxsize=2**16)(unpack_instrument_id)  # the same ids every epoch


@mypyc_attr(allow_interpreted_subclasses=True)  # a snapshot makes one without `__init__`
class InstrumentRisk:
    """One instrument's row, with its place in a portfolio."""

    result_count: ClassVar[int] = 1  # that a portfolio rounds apart when this is filled ...
    addon_count: ClassVar[int] = 3  # ... and of the contingencies of an order

    __slots__ = (
        "bucket",
        "delta",
        "expiry_risk",
        "group",
        "instrument_id",
        "is_option",
        "mark_iv",
        "mark_price",
        "shocked",
        "standard_units",
        "strike_key",
        "underlying_id",
        "units",
        "vega",
    )

    def __init__(
        self, instrument_id: int, values: tuple[int, ...], risk: ExpiryRisk, group: int
    ) -> None:
        self.instrument_id = instrument_id
        self.mark_price, self.mark_iv, self.delta, self.vega = values[: UpdateMarks.ROW_HEAD]
        self.shocked = values[UpdateMarks.ROW_HEAD :]
        self.expiry_risk = risk
        self.underlying_id = risk.underlying_id
        self.bucket = (risk.underlying_id, risk.expiry)
        self.group = group
        self.is_option = instrument_terms(instrument_id).kind is Kind.OPTION
        self.strike_key = instrument_id >> 1  # a call and a put of one strike share it
        self.forget_units()

    def forget_units(self) -> None:
        """Drop what was derived from parameters; see `MarksBook.unit`."""
        self.standard_units: tuple[int, int] | None = None  # see `margin.standard`
        self.units: dict[int, Unit] = {}  # by sign


@mypyc_attr(allow_interpreted_subclasses=True)  # a snapshot makes one without `__init__`
class MarksBook:
    """What every account is margined against; `generation` grows whenever any of it changes."""

    def __init__(self, parameters: MarginParameters) -> None:
        self.epoch = 0
        self.root = bytes(32)
        self.generation = 0
        self.parameters = parameters
        self.initial_factor = parameters.initial_factor
        self.scenario_count = len(parameters.weights)
        self.instrument_ids: tuple[int, ...] = ()
        self.in_force: UpdateMarks | None = None
        self.row_bytes = b""  # as in UpdateMarks; for whoever reads all rows at once
        self._stablecoin_price = RATIO_SCALE
        self.collaterals: dict[int, Collateral] = {}
        self._groups = dict(parameters.risk_groups)
        self._rows: dict[int, InstrumentRisk] = {}
        self._underlyings: dict[int, UnderlyingRisk] = {}
        self._indices: dict[int, tuple[int, int]] = {}
        self._open_interest: dict[int, int] = {}  # by underlying_id, when the epoch came
        self.concentration = ConcentrationRates()
        self._funding: dict[int, int] = {}
        self._packages: dict[int, Legs] = {}  # legs of the combos listed
        self._package_rows: dict[int, PackageRisk] = {}  # made when asked for
        self._reduce_weights()

    def can_configure(self, parameters: MarginParameters) -> bool:
        """Whether `parameters` fit the rows in force: others need as many scenarios."""
        return self.epoch == 0 or len(parameters.weights) == self.scenario_count

    def configure(self, parameters: MarginParameters) -> None:
        """Change the parameters. The engine asked `can_configure` before."""
        assert self.can_configure(parameters)
        assert len(parameters.absolute) == len(parameters.weights)
        self.parameters = parameters
        self.scenario_count = len(parameters.weights)
        self._groups = dict(parameters.risk_groups)
        self._reduce_weights()
        for row in self._rows.values():
            row.group = self.group(row.underlying_id)
            row.forget_units()
        self._package_rows.clear()
        self._set_stablecoin_price(self._stablecoin_price)
        self.concentration.update(parameters, self._underlyings, self._open_interest)
        self.generation += 1

    def set_collaterals(self, collaterals: Iterable[Collateral]) -> None:
        """Change what tokens count besides cash."""
        self.collaterals = {asset.asset_id: asset for asset in collaterals}
        self.generation += 1

    def accepts(self, update: UpdateMarks) -> bool:
        """Whether `update` is well formed: sizes, order, bounds and the rows it refers to."""
        ids = update.instrument_ids
        width = UpdateMarks.ROW_HEAD + self.scenario_count
        if len(update.root) != 32 or len(update.rows) != 8 * width * len(ids):
            return False
        if any(a >= b for a, b in pairwise(ids)):
            return False
        expiries = {(e.underlying_id, e.expiry): e for e in update.expiries}
        if any(not 0 <= e.discount_long <= e.discount_short for e in update.expiries):
            return False
        underlyings = {u.underlying_id for u in update.underlyings}
        if not self._prices_collateral(update):
            return False
        for instrument_id in ids:
            terms = instrument_terms(instrument_id)
            if (terms.underlying_id, terms.expiry) not in expiries:
                return False
            if terms.underlying_id not in underlyings:
                return False
        return all(0 <= price <= PRICE_MAX for price in _prices(update.rows, width))

    def update(self, update: UpdateMarks, open_interest: dict[int, int] | None = None) -> None:
        """Put a newer epoch in force, with the open interest (1e-4 contracts) of each underlying.

        Complexity: O(instruments * scenarios).
        """
        assert update.epoch > self.epoch, "epochs only grow"
        width = UpdateMarks.ROW_HEAD + self.scenario_count
        values = _decode(update.rows)
        assert len(values) == width * len(update.instrument_ids)
        expiries = {(e.underlying_id, e.expiry): e for e in update.expiries}
        self._rows = {}
        for at, instrument_id in enumerate(update.instrument_ids):
            terms = instrument_terms(instrument_id)
            risk = expiries[terms.underlying_id, terms.expiry]
            assert risk.discount_long <= risk.discount_short, "credit for a box"
            row = values[at * width : (at + 1) * width]
            group = self.group(terms.underlying_id)
            self._rows[instrument_id] = InstrumentRisk(instrument_id, row, risk, group)
        self.in_force = update
        self._package_rows.clear()
        self.instrument_ids, self.row_bytes = update.instrument_ids, update.rows
        self._underlyings = {u.underlying_id: u for u in update.underlyings}
        self._open_interest = dict(open_interest or {})
        self.concentration.update(self.parameters, self._underlyings, self._open_interest)
        self._set_stablecoin_price(update.stablecoin_price)
        self.epoch = update.epoch
        self.root = update.root
        self.generation += 1

    def drop(self, instrument_ids: Iterable[int]) -> None:
        """Forget expired instruments before the next epoch does."""
        for instrument_id in instrument_ids:
            self._rows.pop(instrument_id, None)

    def under(self, parameters: Configure, update: UpdateMarks | None) -> "MarksBook":
        """A book of its own with other parameters, or with other rows than those in force."""
        other = MarksBook(parameters.margin)
        other.set_collaterals(parameters.collaterals)
        other._funding = dict(self._funding)
        other._packages = dict(self._packages)
        rows = update or self.in_force
        if rows is not None:
            other.update(rows, self._open_interest)
        return other

    def add_package(self, instrument_id: int, legs: Legs) -> None:
        """Know a combo from now on by its own id: its row is that of its legs together."""
        self._packages[instrument_id] = legs

    def drop_package(self, instrument_id: int) -> None:
        """Forget a combo."""
        del self._packages[instrument_id]
        self._package_rows.pop(instrument_id, None)

    def set_index(self, underlying_id: int, price: int, confidence: int) -> None:
        """Take an index sample: for fees and bands; add-ons keep the epoch's index."""
        self._indices[underlying_id] = (price, confidence)

    def set_funding(self, instrument_id: int, index: int) -> None:
        """Move a perpetual's funding index; accounts read it whenever they are asked."""
        assert is_multiple(index, PRICE_QUANTUM), "funding moves in quanta, so it divides exactly"
        self._funding[instrument_id] = index

    def funding_index(self, instrument_id: int) -> int:
        """What a long has paid in funding a contract since the listing, micro-USDC, signed."""
        return self._funding.get(instrument_id, 0)

    def has(self, instrument_id: int) -> bool:
        """Whether the epoch in force has a row of this instrument, or of all legs of a combo."""
        legs = self._packages.get(instrument_id)
        if legs is not None:
            return all(leg.instrument_id in self._rows for leg in legs)
        return instrument_id in self._rows

    def row(self, instrument_id: int) -> InstrumentRisk:
        """The row of an instrument, which must exist."""
        return self._rows[instrument_id]

    def order_row(self, instrument_id: int) -> InstrumentRisk | PackageRisk:
        """The row of what an order is in: an instrument or a combo."""
        row = self._rows.get(instrument_id)
        return row if row is not None else self._package_row(instrument_id)

    def _package_row(self, instrument_id: int) -> PackageRisk:
        row = self._package_rows.get(instrument_id)
        if row is None:
            legs = self._packages[instrument_id]
            parts = tuple((self._rows[leg.instrument_id], leg.ratio) for leg in legs)
            row = self._package_rows[instrument_id] = PackageRisk(parts)
        return row

    def rows(self) -> dict[int, InstrumentRisk]:
        """All rows, ascending by instrument; read only."""
        return self._rows

    def mark_price(self, instrument_id: int) -> int:
        """Micro-USDC a contract; of a combo a unit, signed."""
        return self.order_row(instrument_id).mark_price

    def mark_iv(self, instrument_id: int) -> int:
        """In 1e-6."""
        return self.order_row(instrument_id).mark_iv

    def delta(self, instrument_id: int) -> int:
        """In 1e-6 units of the underlying a contract."""
        return self.order_row(instrument_id).delta

    def vega(self, instrument_id: int) -> int:
        """In micro-USDC a contract for one volatility point."""
        return self.order_row(instrument_id).vega

    def index_price(self, underlying_id: int) -> int:
        """The latest sample, or 0 before the first."""
        return self._indices.get(underlying_id, (0, 0))[0]

    def confidence(self, underlying_id: int) -> int:
        """Confidence of the latest sample in 1e-18, or 0 before the first."""
        return self._indices.get(underlying_id, (0, 0))[1]

    def underlying_risk(self, underlying_id: int) -> UnderlyingRisk:
        """The index and confidence that the epoch in force fixed for add-ons."""
        return self._underlyings[underlying_id]

    def confidence_shortfall(self, underlying_id: int) -> int:
        """`1 - confidence` in 1e-18 where confidence lies below the floor, else 0."""
        confidence = self._underlyings[underlying_id].confidence
        return RATIO_SCALE - confidence if confidence < self.parameters.confidence_floor else 0

    def unit(self, row: InstrumentRisk | PackageRisk, sign: int) -> Unit:
        """What one contract bought (+1) or sold (-1) alone changes of the initial requirement."""
        unit = row.units.get(sign)
        if unit is None:
            unit = row.units[sign] = self._unit(row, sign)
        return unit

    def rounding(self, results: int) -> int:
        """What rounding so many results may take from the scenarios' part, micro-USDC."""
        if self.initial_factor == RATIO_SCALE:
            return results
        return results + div_up(results * self.initial_factor, RATIO_SCALE)  # before and after it

    def state(self) -> tuple[object, ...]:
        """Canonical content: the root stands for the rows that it commits to."""
        indices = tuple(sorted(self._indices.items()))
        open_interest = tuple(sorted(self._open_interest.items()))
        funding = tuple(sorted(self._funding.items()))
        return (self.epoch, self.root, self._stablecoin_price, indices, open_interest, funding)

    def asset_price(self, asset: Collateral) -> int:
        """The index that the epoch in force fixed for a token; 0 where it has none."""
        risk = self._underlyings.get(asset.underlying_id)
        return risk.index_price if risk else 0

    def asset_group(self, asset: Collateral) -> int:
        """The risk group of a token: that of its underlying, or one of its own."""
        if asset.isolated:
            return _ISOLATED_GROUPS - asset.asset_id
        return self.group(asset.underlying_id)

    def _prices_collateral(self, update: UpdateMarks) -> bool:
        """Whether every token keeps a price: a missing one would take all its value away."""
        indices = {one.underlying_id: one.index_price for one in update.underlyings}
        return all(
            0 < indices.get(asset.underlying_id, 0) <= PRICE_MAX
            for asset in self.collaterals.values()
        )

    def group(self, underlying_id: int) -> int:
        """The risk group of an underlying; by default one of its own."""
        return self._groups.get(underlying_id, -underlying_id)

    def _reduce_weights(self) -> None:
        """`weight / (1e4 * 1e18 * 1e18)` in lowest terms: small numbers divide fast."""
        whole = QUANTITY_SCALE * RATIO_SCALE**2
        shared = [gcd(weight, whole) for weight in self.parameters.weights]
        self.multipliers = tuple(map(div_exact, self.parameters.weights, shared))
        self.divisors = tuple(div_exact(whole, one) for one in shared)
        absolute = self.parameters.absolute
        self.skew_scenarios = tuple(at for at, skew in enumerate(absolute) if skew)

    def _set_stablecoin_price(self, price: int) -> None:
        parameters = self.parameters
        self._stablecoin_price = price
        gap = max(0, parameters.depeg_threshold - price)
        surcharge = mul_div_down(parameters.depeg_factor, gap, RATIO_SCALE)
        self.initial_factor = parameters.initial_factor + surcharge

    def _unit(self, row: InstrumentRisk | PackageRisk, sign: int) -> Unit:
        effects, addon = self._unit_effects(row, sign), self._unit_addon(row, sign)
        rounding = self.rounding(row.result_count)
        if addon:
            rounding += row.addon_count - 1  # a portfolio rounds them apart, an order's are one sum
        return Unit(effects, min(effects), addon, rounding)

    def _unit_addon(self, row: InstrumentRisk | PackageRisk, sign: int) -> int:
        parameters = self.parameters
        shortfall = self.confidence_shortfall(row.underlying_id)
        if isinstance(row, PackageRisk):
            index_price = self._underlyings[row.underlying_id].index_price
            return package_addon(row, sign, parameters, index_price, shortfall)
        if not row.is_option:
            rate = parameters.perpetual_initial_rate + parameters.perpetual_maintenance_rate
            return row.mark_price * (rate + shortfall)
        if sign > 0:
            return 0
        rate = parameters.short_option_initial_rate + parameters.short_option_maintenance_rate
        return self._underlyings[row.underlying_id].index_price * (rate + shortfall)

    def _unit_effects(self, row: InstrumentRisk | PackageRisk, sign: int) -> tuple[int, ...]:
        factor = self.initial_factor * UNIT_SCALE
        if isinstance(row, PackageRisk):
            return package_effects(row, sign, self.parameters, factor)
        parameters, risk = self.parameters, row.expiry_risk
        value = sign * row.mark_price * RATIO_SCALE
        own_discount = risk.discount_long if sign > 0 else risk.discount_short
        effects = []
        for price, weight, absolute in zip(
            row.shocked, parameters.weights, parameters.absolute, strict=True
        ):
            shocked = sign * price
            if absolute:  # the sign of the whole expiry's value may be either: take the worse
                long_result = abs(shocked * risk.discount_long - value)
                result = -max(long_result, abs(shocked * risk.discount_short - value))
            else:
                result = shocked * own_discount - value
            effects.append(div_down(result * weight * factor, RATIO_SCALE**3))
        up = row.shocked[parameters.basis_up] - row.mark_price
        down = row.shocked[parameters.basis_down] - row.mark_price
        basis = min(sign * up, sign * down, 0) * risk.basis_weight
        effects.append(div_down(basis * factor, RATIO_SCALE**2))
        return tuple(effects)


def _decode(rows: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{div_exact(len(rows), 8)}q", rows)


def _prices(rows: bytes, width: int) -> Iterable[int]:
    values = _decode(rows)
    for start in range(0, len(values), width):
        yield values[start]
        yield from values[start + UpdateMarks.ROW_HEAD : start + width]
