"""The standard mode: each position margined by itself, for small accounts.

Integers only. A long option is paid for and counts nothing; a short one needs its mark and a share
of the index, a perpetual or a future a share of the index. Nothing offsets: every bound is exact.
`contracts/src/libraries/StandardLib.sol` is the twin, to the last unit.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from mypy_extensions import mypyc_attr

from exchange.fixed import (
    QUANTITY_SCALE,
    RATIO_SCALE,
    div_down,
    div_up,
    mul_div_down,
    mul_div_up,
    notional,
)
from exchange.margin.account import SCALE, MarginAccount
from exchange.margin.marks import InstrumentRisk, MarksBook, instrument_terms
from exchange.margin.order import MarginOrder
from exchange.margin.package import PackageRisk
from exchange.margin.portfolio import Vector
from exchange.model import OptionKind


def unit_requirements(marks: MarksBook, row: InstrumentRisk) -> tuple[int, int]:
    """(initial, maintenance) of one contract, short if an option, beyond its mark; times 1e18."""
    units = row.standard_units
    if units is None:
        units = row.standard_units = _unit_requirements(marks, row)
    return units


def _unit_requirements(marks: MarksBook, row: InstrumentRisk) -> tuple[int, int]:
    rates = marks.parameters.standard_rates
    index_price = marks.underlying_risk(row.underlying_id).index_price
    if not row.is_option:
        return index_price * rates.perpetual_initial, index_price * rates.perpetual_maintenance
    terms = instrument_terms(row.instrument_id)
    distance = terms.strike - index_price
    out_of_the_money = max(0, distance if terms.option_kind is OptionKind.CALL else -distance)
    initial = index_price * rates.option_initial - out_of_the_money * RATIO_SCALE
    floor = index_price * rates.option_initial_min
    return max(initial, floor), index_price * rates.option_maintenance


@mypyc_attr(allow_interpreted_subclasses=True)  # a snapshot makes one without `__init__`
class StandardAccount(MarginAccount):
    """`MarginAccount` with the standard requirement; the same questions, the same promises."""

    __slots__ = ()
    standard: ClassVar[bool] = True

    def maintenance_excess(self) -> int:
        """Cash, less what is owed, beyond the maintenance requirement of each position.

        Complexity: O(legs), whether marks are new or not.
        """
        return self._excess(1)

    def initial_excess_with(self, order: MarginOrder) -> int:
        """`initial_excess` as it would be were `order` open."""
        effect = self._effect(order, self._marks.order_row(order.instrument_id))
        more = self.concentration(order) - self.concentration()
        return self.initial_excess() + div_down(effect[0], SCALE) - more

    def group_results(self) -> Mapping[int, Vector]:
        """None: no scenario counts."""
        return {}

    def addons(self) -> tuple[int, int]:
        """The whole requirement of positions and tokens; long options need what they are worth."""
        equity = self.equity()
        return equity - self._excess(0), equity - self._excess(1)

    def relief(self, row: InstrumentRisk, signed_quantity: int) -> int:
        """What maintenance asks for a contract, for each that the trade closes."""
        held = self.position(row.instrument_id)
        closed = abs(held) - abs(held + signed_quantity)
        return closed * unit_requirements(self._marks, row)[1]

    def state(self) -> tuple[object, ...]:
        """Canonical content, which says how it is margined."""
        return (*super().state(), "standard")

    def _equity_beyond_addons(self) -> int:
        return self._excess(0)

    def _excess(self, which: int) -> int:
        """`which` 0: initial, 1: maintenance; positions only, rounded once against the account."""
        marks = self._marks
        value = requirement = 0
        for instrument_id, quantity in self.positions.items():
            row = marks.row(instrument_id)
            if row.is_option and quantity > 0:
                continue
            value += quantity * row.mark_price
            requirement += abs(quantity) * unit_requirements(marks, row)[which]
        rounded = div_up(requirement, QUANTITY_SCALE * RATIO_SCALE)
        kept = self._kept(which) if self.collateral else 0
        return self.net_cash() + kept + div_down(value, QUANTITY_SCALE) - rounded

    def _kept(self, which: int) -> int:
        """What of each token stays after its own worst scenario and its haircuts."""
        self._follow_marks()
        marks = self._marks
        factor = (marks.initial_factor, marks.parameters.maintenance_factor)[which]
        kept = 0
        for held in self.portfolio.tokens().values():
            kept += held.value + mul_div_down(min(held.results), factor, RATIO_SCALE)
            kept -= held.maintenance_addon + (0 if which else held.initial_addon)
        return kept

    def _effect(self, order: MarginOrder, row: InstrumentRisk | PackageRisk) -> Vector:
        """One number: nothing here depends on a scenario, and no leg of a combo offsets another."""
        quantity, sign = order.quantity, order.sign
        change = -sign * notional(order.limit_price, quantity)
        change -= mul_div_up(order.max_fee, quantity, QUANTITY_SCALE)
        parts = row.parts if isinstance(row, PackageRisk) else ((row, 1),)
        for part, ratio in parts:
            contracts = sign * ratio * quantity
            if part.is_option and contracts > 0:
                continue
            change += div_down(contracts * part.mark_price, QUANTITY_SCALE)
            unit = unit_requirements(self._marks, part)[0]
            change -= mul_div_up(unit, abs(contracts), QUANTITY_SCALE * RATIO_SCALE)
        return [min(0, change) * SCALE]

    def _worst(self, order: MarginOrder, row: InstrumentRisk | PackageRisk) -> int:
        return self._effect(order, row)[0]

    def _worst_move(self, row: InstrumentRisk, signed_quantity: int) -> int:  # noqa: ARG002 -- base
        return 0  # the requirement of positions is no sum by groups

    def _position_results(self) -> dict[int, Vector]:
        return {}

    def _turns(self, order: MarginOrder) -> Iterator[int]:
        yield order.quantity  # excess is concave in what is filled
