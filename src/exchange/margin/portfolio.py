"""Positions of one subaccount and what they lose in each scenario.

Integers only. A fill is noted with its expiry; sums by one multiply-add for each instrument, and
results per expiry, rounded once, against the account, are made when somebody asks. Never knows
cash, orders or a surface.
"""

from itertools import repeat
from operator import add, floordiv, mul, sub

from mypy_extensions import mypyc_attr

from exchange.fixed import (
    QUANTITY_SCALE,
    RATIO_SCALE,
    div_down,
    mul_div_down,
    mul_div_up,
)
from exchange.margin.collateral import Holding, holding
from exchange.margin.marks import InstrumentRisk, MarksBook

Vector = list[int]


@mypyc_attr(allow_interpreted_subclasses=True)  # a snapshot makes one without `__init__`
class Bucket:
    """One expiry of one underlying: sums of quantity times price, in 1e-10 USDC."""

    __slots__ = ("_moves", "_sums", "group", "legs", "net_options", "results", "risk", "value")

    def __init__(self, row: InstrumentRisk, scenario_count: int) -> None:
        self.risk = row.expiry_risk
        self.group = row.group
        self.legs = 0
        self.value = 0  # at the mark
        self.net_options = 0  # contracts of calls and puts together, in 1e-4
        self._sums: Vector = [0] * scenario_count
        self._moves: dict[int, tuple[InstrumentRisk, int]] = {}  # not in the sums yet
        self.results: Vector = [0] * (scenario_count + 1)  # as last added to its group

    def add(self, row: InstrumentRisk, quantity: int) -> None:
        """Add `quantity` (1e-4, signed) of one instrument. O(1), until sums are read."""
        known = self._moves.get(row.instrument_id)
        self._moves[row.instrument_id] = (row, known[1] + quantity if known else quantity)
        self.value += row.mark_price * quantity
        if row.is_option:
            self.net_options += quantity

    def sums(self) -> Vector:
        """Of quantity times shocked price by scenario. Complexity: O(moves * scenarios)."""
        for row, quantity in self._moves.values():
            self._sums = list(map(add, self._sums, map(mul, row.shocked, repeat(quantity))))
        self._moves.clear()
        return self._sums


@mypyc_attr(allow_interpreted_subclasses=True)  # a snapshot makes one without `__init__`
class Portfolio:
    """Positions with their scenario results; every cache follows `MarksBook.generation`."""

    __slots__ = (
        "_addons",
        "_beyond_addons",
        "_buckets",
        "_changed",
        "_group_results",
        "_linear",
        "_marks",
        "_strikes",
        "_tokens",
        "collateral",
        "naked",
        "positions",
        "value",
        "version",
    )

    def __init__(self, marks: MarksBook) -> None:
        self._marks = marks
        self.positions: dict[int, int] = {}
        self.collateral: dict[int, int] = {}  # 1e-8 of a token by asset_id, above zero
        self.version = 0  # grows with each change of positions or collateral
        self._clear()

    def _clear(self) -> None:
        self.value = 0  # at the mark, in 1e-10 USDC
        self._buckets: dict[tuple[int, int], Bucket] = {}
        self._strikes: dict[int, int] = {}  # calls + puts per strike, 1e-4 contracts
        self.naked: dict[int, int] = {}  # naked short options per underlying, 1e-4 contracts
        self._linear: dict[int, int] = {}  # perpetuals and futures
        self._tokens: dict[int, Holding] = {}  # by asset_id
        self._addons: tuple[int, int] | None = None
        self._beyond_addons: int | None = None
        self._group_results: dict[int, Vector] = {}
        self._changed: dict[tuple[int, int], Bucket] = {}  # since its results were added

    def refresh(self) -> None:
        """Recompute everything from the marks in force. Complexity: O(legs * scenarios)."""
        self._clear()
        for instrument_id, quantity in self.positions.items():
            self._add(self._marks.row(instrument_id), quantity).legs += 1
        for asset_id, amount in self.collateral.items():
            self._hold(asset_id, amount)

    def change(self, instrument_id: int, quantity: int) -> None:
        """Add a signed quantity to a position. Complexity: O(1), until somebody asks."""
        self.version += 1
        row = self._marks.row(instrument_id)
        before = self.positions.get(instrument_id, 0)
        after = before + quantity
        if after:
            self.positions[instrument_id] = after
        else:
            self.positions.pop(instrument_id, None)
        bucket = self._add(row, quantity)
        bucket.legs += (after != 0) - (before != 0)

    def change_collateral(self, asset_id: int, amount: int) -> None:
        """Add a signed amount to what is held of a token. Complexity: O(scenarios)."""
        self.version += 1
        after = self.collateral.get(asset_id, 0) + amount
        assert after >= 0, "a token cannot be owed"
        if after:
            self.collateral[asset_id] = after
        else:
            self.collateral.pop(asset_id, None)
        self._hold(asset_id, after)

    def collateral_value(self) -> int:
        """What tokens count at the index before haircuts, micro-USDC, each rounded down."""
        held = self._tokens
        return sum(one.value for one in held.values()) if held else 0

    def tokens(self) -> dict[int, Holding]:
        """What each token counts, by asset_id; read only."""
        return self._tokens

    def mark_value(self) -> int:
        """Signed value at the marks, micro-USDC, rounded down."""
        return div_down(self.value, QUANTITY_SCALE)

    def group_results(self) -> dict[int, Vector]:
        """Profit or loss of each risk group in each scenario and the basis, micro-USDC."""
        for key, bucket in self._changed.items():
            before, bucket.results = bucket.results, self._expiry_results(bucket)
            known = self._group_results.get(bucket.group)
            if known is None:
                self._group_results[bucket.group] = bucket.results
            else:
                kept = map(sub, known, before)
                self._group_results[bucket.group] = list(map(add, kept, bucket.results))
            if not bucket.legs:
                assert not any(bucket.results), "an expiry without positions loses nothing"
                del self._buckets[key]
        self._changed.clear()
        return self._group_results

    def addons(self) -> tuple[int, int]:
        """(initial, maintenance) contingencies beyond the scenarios, micro-USDC, each >= 0."""
        if self._addons is None:
            initial, maintenance = self._option_addons()
            if self._linear:
                linear_initial, linear_maintenance = self._linear_addons()
                initial += linear_initial
                maintenance += linear_maintenance
            for held in self._tokens.values():
                initial += held.initial_addon
                maintenance += held.maintenance_addon
            self._addons = (initial, maintenance)
        return self._addons

    def value_beyond_addons(self) -> int:
        """Value at the marks less both contingencies."""
        if self._beyond_addons is None:
            self._beyond_addons = self.mark_value() - sum(self.addons())
        return self._beyond_addons

    def bucket_sum(self, row: InstrumentRisk, scenario: int) -> int:
        """Shocked value of the expiry of `row` in one scenario, 1e-10 USDC."""
        bucket = self._buckets.get(row.bucket)
        return bucket.sums()[scenario] if bucket else 0

    def caches(self) -> tuple[object, ...]:
        """Everything derived from positions, for comparison by `check`."""
        groups = {group: results for group, results in self.group_results().items() if any(results)}
        buckets = {
            key: (b.legs, b.value, b.net_options, b.sums(), b.results)
            for key, b in self._buckets.items()
        }
        held = [_without_zeros(part) for part in (self._strikes, self.naked, self._linear)]
        return (self.value, buckets, held, groups, self.addons(), self._tokens)

    def _hold(self, asset_id: int, amount: int) -> None:
        before = self._tokens.pop(asset_id, None)
        if before is not None:
            self._add_results(before.group, [-result for result in before.results])
        if amount:
            held = self._tokens[asset_id] = holding(self._marks, asset_id, amount)
            self._add_results(held.group, held.results)
        self._addons = self._beyond_addons = None

    def _add_results(self, group: int, results: Vector) -> None:
        known = self._group_results.get(group)
        self._group_results[group] = list(map(add, known, results)) if known else results

    def _add(self, row: InstrumentRisk, quantity: int) -> Bucket:
        bucket = self._buckets.get(row.bucket)
        if bucket is None:
            bucket = self._buckets[row.bucket] = Bucket(row, self._marks.scenario_count)
        self._changed[row.bucket] = bucket
        bucket.add(row, quantity)
        self.value += row.mark_price * quantity
        if row.is_option:
            self._add_strike(row, quantity)
        else:
            self._linear[row.instrument_id] = self._linear.get(row.instrument_id, 0) + quantity
        self._addons = self._beyond_addons = None
        return bucket

    def _add_strike(self, row: InstrumentRisk, quantity: int) -> None:
        before = self._strikes.get(row.strike_key, 0)
        after = self._strikes[row.strike_key] = before + quantity
        change = max(0, -after) - max(0, -before)
        self.naked[row.underlying_id] = self.naked.get(row.underlying_id, 0) + change

    def _expiry_results(self, bucket: Bucket) -> Vector:
        """The only place where a scenario's result is rounded: down, once per expiry."""
        marks, risk = self._marks, bucket.risk
        parameters = marks.parameters
        long, short = risk.discount_long, risk.discount_short
        value, sums = bucket.value * RATIO_SCALE, bucket.sums()
        exact = [(total * long if total >= 0 else total * short) - value for total in sums]
        for scenario in marks.skew_scenarios:
            exact[scenario] = -abs(exact[scenario])
        weighted = map(mul, exact, marks.multipliers)
        results = list(map(floordiv, weighted, marks.divisors))
        up = sums[parameters.basis_up] - bucket.value
        down = sums[parameters.basis_down] - bucket.value
        basis = min(up, down, 0)
        results.append(mul_div_down(basis, risk.basis_weight, QUANTITY_SCALE * RATIO_SCALE))
        return results

    def _option_addons(self) -> tuple[int, int]:
        marks, parameters = self._marks, self._marks.parameters
        initial = maintenance = 0
        scale = QUANTITY_SCALE * RATIO_SCALE
        for underlying_id, naked in self.naked.items():
            if not naked:
                continue
            notional = naked * marks.underlying_risk(underlying_id).index_price
            initial += mul_div_up(notional, parameters.short_option_initial_rate, scale)
            maintenance += mul_div_up(notional, parameters.short_option_maintenance_rate, scale)
        for (underlying_id, _), bucket in self._buckets.items():
            if bucket.net_options >= 0:
                continue
            shortfall = marks.confidence_shortfall(underlying_id)
            if shortfall:
                index_price = marks.underlying_risk(underlying_id).index_price
                initial += mul_div_up(-bucket.net_options * index_price, shortfall, scale)
        return initial, maintenance

    def _linear_addons(self) -> tuple[int, int]:
        marks, parameters = self._marks, self._marks.parameters
        initial = maintenance = 0
        scale = QUANTITY_SCALE * RATIO_SCALE
        for instrument_id, quantity in _without_zeros(self._linear).items():
            row = marks.row(instrument_id)
            notional = abs(quantity) * row.mark_price
            initial_rate = parameters.perpetual_initial_rate
            initial_rate += marks.confidence_shortfall(row.underlying_id)
            initial += mul_div_up(notional, initial_rate, scale)
            maintenance += mul_div_up(notional, parameters.perpetual_maintenance_rate, scale)
        return initial, maintenance


def _without_zeros(quantities: dict[int, int]) -> dict[int, int]:
    return {key: quantity for key, quantity in quantities.items() if quantity}
