"""The margin state of one subaccount: cash, positions and open orders.

Integers only. A fill of an option moves its value as cash, one of a perpetual or a future adds it
to the position's entry cost (`margin.linear`); margin sees cash less costs and funding. Answers two
questions in O(scenarios): may this order rest, and is this subaccount solvent. An open order counts
by its worst fill alone; why that is enough is proven in docs/margin.md. Never knows a book, a fee
schedule or a clock.

Most accounts have far more than they need. So the worst result of a group is first known as a lower
bound, which an order or a fill moves by its own worst scenario, in O(1). Only where the bound does
not say yes the scenarios are added up, and the bound is exact again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import repeat
from operator import add, floordiv, mul, sub
from types import MappingProxyType
from typing import ClassVar, Final

from msgspec.structs import astuple, replace
from mypy_extensions import mypyc_attr

from exchange.fixed import (
    QUANTITY_SCALE,
    RATIO_SCALE,
    div_down,
    mul_div_down,
    mul_div_up,
    notional,
)
from exchange.margin.concentration import Reach
from exchange.margin.linear import LinearPosition
from exchange.margin.marks import UNIT_SCALE, InstrumentRisk, MarksBook
from exchange.margin.order import MarginOrder
from exchange.margin.package import PackageRisk, Unit
from exchange.margin.portfolio import Portfolio, Vector

SCALE: Final = UNIT_SCALE * QUANTITY_SCALE  # vectors below are in 1e-8 micro-USDC
_ADDON_SCALE: Final = QUANTITY_SCALE * RATIO_SCALE

NOTHING: Final[Mapping[int, int]] = MappingProxyType({})


@mypyc_attr(allow_interpreted_subclasses=True)  # a snapshot makes one without `__init__`
class MarginAccount:
    """Cash, positions, open orders, and the excess that they leave."""

    standard: ClassVar[bool] = False  # whether each position is margined by itself

    __slots__ = (
        "_added",
        "_asked",
        "_asked_spent",
        "_asked_worst",
        "_effects",
        "_generation",
        "_gone",
        "_lows",
        "_marks",
        "_order_sums",
        "_results",
        "_spent",
        "_totals",
        "cash",
        "linear",
        "orders",
        "portfolio",
        "reach",
        "spending",
        "subaccount_id",
    )

    def __init__(self, subaccount_id: int, marks: MarksBook) -> None:
        self.subaccount_id = subaccount_id
        self.cash = 0
        self.linear: dict[int, LinearPosition] = {}  # perpetuals and futures held
        self.orders: dict[int, MarginOrder] = {}
        self.spending = 0  # cash that open orders take at most, micro-USDC; see `spends`
        self._marks = marks
        self.portfolio = Portfolio(marks)
        self.reach = Reach()
        self._generation = marks.generation
        self._spent: dict[int, int] = {}  # by order_id, of `spending`
        self._asked: MarginOrder | None = None  # it is placed next; with its worst effect, spending
        self._asked_worst = self._asked_spent = 0
        self._forget()

    def _forget(self) -> None:
        """Know nothing that follows from the marks; every order is to be added."""
        self._effects: dict[int, Vector] = {}  # by order_id, of those in the sums
        self._order_sums: dict[int, Vector] = {}  # by risk group
        self._added: dict[int, int] = {}  # orders that are not in the sums yet: their worst effect
        self._gone: list[tuple[int, Vector]] = []  # what is in the sums still: group and effect
        self._results: dict[int, Vector] | None = None  # of positions, by risk group; None: moved
        self._totals: dict[int, Vector] | None = None  # positions and sums; None: no bound either
        self._lows: dict[int, int] = {}  # no total of the group, with what is pending, is lower

    @property
    def positions(self) -> dict[int, int]:
        """Signed quantities by instrument, none of them zero; read only."""
        return self.portfolio.positions

    def position(self, instrument_id: int) -> int:
        """Signed quantity held, 1e-4 contracts."""
        return self.portfolio.positions.get(instrument_id, 0)

    def add_cash(self, delta: int) -> None:
        """Move cash in or out, micro-USDC."""
        self.cash += delta

    @property
    def collateral(self) -> dict[int, int]:
        """Tokens besides cash by asset_id, in 1e-8 of a token, none of them zero; read only."""
        return self.portfolio.collateral

    def add_collateral(self, asset_id: int, delta: int) -> None:
        """Move a token in or out, 1e-8 of it. Complexity: O(scenarios)."""
        self._follow_marks()
        self.portfolio.change_collateral(asset_id, delta)
        self._results = self._totals = None

    def collateral_value(self) -> int:
        """Tokens at the index as far as they count, before haircuts, micro-USDC, rounded down."""
        self._follow_marks()
        return self.portfolio.collateral_value()

    def entry_cost(self, instrument_id: int) -> int:
        """Signed value at which a linear position was entered, micro-USDC; 0 for an option."""
        held = self.linear.get(instrument_id)
        return held.cost if held else 0

    def unrealised_funding(self, instrument_id: int) -> int:
        """What a position owes in funding since it was last touched; negative is owed to it."""
        held = self.linear.get(instrument_id)
        return held.funding_due(self._marks.funding_index(instrument_id)) if held else 0

    def owed(self) -> int:
        """Entry costs and unrealised funding of all positions: cash that is not the account's."""
        return sum(
            held.cost + held.funding_due(self._marks.funding_index(instrument_id))
            for instrument_id, held in self.linear.items()
        )

    def net_cash(self) -> int:
        """Cash less what is owed: a fill changes it by exactly its value, whatever it trades."""
        return self.cash - self.owed() if self.linear else self.cash

    def trade(self, instrument_id: int, signed_quantity: int, price: int) -> int:
        """Fill at a price, fee aside; returns the cash that funding moved before.

        Complexity: O(scenarios).
        """
        if self._marks.row(instrument_id).is_option:
            self.apply_fill(instrument_id, signed_quantity)
            self.cash -= notional(price, signed_quantity)
            return 0
        paid = self.realise_funding(instrument_id)
        index = self._marks.funding_index(instrument_id)
        before = self.linear.pop(instrument_id, LinearPosition(0, 0, index))
        held, cash = before.filled(signed_quantity, price)
        if held.quantity:
            self.linear[instrument_id] = held
        else:
            assert held.cost == 0
        self.cash += cash
        self._move(instrument_id, signed_quantity)
        return paid

    def rebuild(self, instrument_id: int, held: LinearPosition, cash: int) -> None:
        """Put another position in the place of a linear one, and move cash. O(scenarios)."""
        change = held.quantity - self.position(instrument_id)
        self.linear.pop(instrument_id, None)
        if held.quantity:
            self.linear[instrument_id] = held
        self.cash += cash
        self._move(instrument_id, change)

    def realise_funding(self, instrument_id: int) -> int:
        """Settle what a position owes in funding; returns the signed change of cash."""
        held = self.linear.get(instrument_id)
        if held is None:
            return 0
        index = self._marks.funding_index(instrument_id)
        paid = -held.funding_due(index)
        self.cash += paid
        self.linear[instrument_id] = held._replace(funding_index=index)
        return paid

    def apply_fill(self, instrument_id: int, signed_quantity: int) -> None:
        """Change a position for nothing; cash moves by `add_cash`. Complexity: O(scenarios)."""
        if self._marks.row(instrument_id).is_option:
            self._move(instrument_id, signed_quantity)
        else:
            self.trade(instrument_id, signed_quantity, 0)

    def expire(self, instrument_id: int, price: int) -> tuple[int, int]:
        """Close a position at its payoff a contract; returns (quantity, change of cash).

        Orders in the instrument must be gone.
        """
        assert all(order.instrument_id != instrument_id for order in self.orders.values())
        quantity, before = self.position(instrument_id), self.cash
        if quantity:
            self.trade(instrument_id, -quantity, price)
        return quantity, self.cash - before

    def place_order(self, order_id: int, order: MarginOrder) -> None:
        """Let an accepted order rest. Complexity: O(1), until somebody asks exactly."""
        assert order_id not in self.orders
        assert order.quantity > 0
        if self._generation != self._marks.generation:
            self._follow_marks()
        row = self._marks.order_row(order.instrument_id)
        self.orders[order_id] = order
        if order != self._asked:
            self._ask(order, row)
        worst, spent = self._asked_worst, self._asked_spent
        self._spent[order_id] = spent
        self.spending += spent
        if isinstance(row, InstrumentRisk):
            self.reach.open(order.instrument_id, row.underlying_id, order.sign, order.quantity)
        else:
            self.reach.open_parts(row.parts, row.underlying_id, order.sign, order.quantity)
        self._added[order_id] = worst
        self._lows[row.group] = self._lows.get(row.group, 0) + worst

    def reduce_order(self, order_id: int, remaining: int) -> None:
        """Shrink an order after a fill or an amend; 0 removes it."""
        order = self.orders[order_id]
        assert remaining <= order.quantity
        self.remove_order(order_id)
        if remaining:
            self.place_order(order_id, replace(order, quantity=remaining))

    def remove_order(self, order_id: int) -> None:
        """Undo `place_order` to the last unit. Complexity: O(1), likewise."""
        if self._generation != self._marks.generation:
            self._follow_marks()
        order = self.orders.pop(order_id)
        row = self._marks.order_row(order.instrument_id)
        self.spending -= self._spent.pop(order_id)
        if isinstance(row, InstrumentRisk):
            self.reach.open(order.instrument_id, row.underlying_id, order.sign, -order.quantity)
        else:
            self.reach.open_parts(row.parts, row.underlying_id, order.sign, -order.quantity)
        worst = self._added.pop(order_id, None)
        if worst is None:  # to leave it in the bound is safe: no effect is above 0
            self._gone.append((row.group, self._effects.pop(order_id)))
        else:
            self._lows[row.group] = self._lows.get(row.group, 0) - worst

    def spends(self, order: MarginOrder) -> int:
        """Cash that an order takes at most: its fee, and what is paid for options and combos."""
        if order == self._asked:
            return self._asked_spent
        return _spends(order, self._marks.order_row(order.instrument_id))

    def growth_with(self, order: MarginOrder) -> int:
        """What an order would add to the most that may be held of its underlying, contracts."""
        row = self._marks.order_row(order.instrument_id)
        return self._growth(order, row)

    def mark_value(self) -> int:
        """Positions at their marks, micro-USDC, rounded down."""
        self._follow_marks()
        return self.portfolio.mark_value()

    def equity(self) -> int:
        """Net cash, tokens at the index and positions at their marks."""
        return self.net_cash() + self.mark_value() + self.collateral_value()

    def initial_excess(self) -> int:
        """Equity beyond the initial requirement of positions and every open order at its worst."""
        self._bring_up_to_date()
        lows = sum(div_down(low, SCALE) for low in self._lows.values())
        return self._equity_beyond_addons() + lows - self.concentration()

    def initial_excess_with(self, order: MarginOrder) -> int:
        """`initial_excess` as it would be were `order` open. Complexity: O(scenarios)."""
        totals = self._bring_up_to_date()
        row = self._marks.order_row(order.instrument_id)
        unit = self._marks.unit(row, order.sign)
        # min over s of (total + min(0, effect)) = min(min total, min (total + effect)).
        effect: Iterable[int] = map(mul, unit.effects, repeat(order.quantity))
        total = totals.get(row.group)
        filled = min(map(add, total, effect) if total else effect) + _certain(order, row, unit)
        return self._excess_at(order, row.group, min(filled, self._lows.get(row.group, 0)))

    def least_excess_with(self, order: MarginOrder) -> int:
        """`initial_excess_with`, or less where the excess is at least 0 all the same.

        Complexity: O(1) where the bound of the group's worst result is enough to say so.
        """
        if self._totals is None or self._generation != self._marks.generation:
            self._bring_up_to_date()
        row = self._marks.order_row(order.instrument_id)
        self._ask(order, row)
        low = self._lows.get(row.group, 0) + self._asked_worst
        excess = self._excess_at(order, row.group, low)
        return excess if excess >= 0 else self.initial_excess_with(order)

    def _ask(self, order: MarginOrder, row: InstrumentRisk | PackageRisk) -> None:
        self._asked_worst, self._asked_spent = self._worst(order, row), _spends(order, row)
        self._asked = order

    def _excess_at(self, order: MarginOrder, group: int, low: int) -> int:
        """Initial excess with one more order, `low` being the worst of its group then."""
        excess = self._equity_beyond_addons() + div_down(low, SCALE)
        if self._marks.concentration.free:
            excess -= self.concentration(order)
        for other, known in self._lows.items():
            if other != group:
                excess += div_down(known, SCALE)
        return excess

    def concentration(self, more: MarginOrder | None = None) -> int:
        """Initial margin for holding a large share of an underlying once every order filled.

        With `more` as it would be were that order open too. Micro-USDC, >= 0.
        """
        rates, totals = self._marks.concentration, self.reach.totals
        if not rates.free:
            return 0
        if more is None:
            return sum(rates.addon(underlying_id, held) for underlying_id, held in totals.items())
        row = self._marks.order_row(more.instrument_id)
        concerned = row.underlying_id
        addon = rates.addon(concerned, totals.get(concerned, 0) + self._growth(more, row))
        for key, total in totals.items():
            if key != concerned:
                addon += rates.addon(key, total)
        return addon

    def maintenance_excess(self) -> int:
        """Equity beyond the maintenance requirement of positions; below 0: liquidatable."""
        self._follow_marks()
        factor = self._marks.parameters.maintenance_factor
        worst = (min(results) for results in self.portfolio.group_results().values())
        scenarios = sum(mul_div_down(result, factor, RATIO_SCALE) for result in worst)
        return self.equity() + scenarios - self.portfolio.addons()[1]

    def maintenance_excess_with(
        self, moves: Mapping[int, int], tokens: Mapping[int, int] = NOTHING
    ) -> int:
        """`maintenance_excess` were these signed quantities and tokens held too, for nothing."""
        return self._asked_with(moves, tokens, self.maintenance_excess)

    def initial_excess_holding(
        self, moves: Mapping[int, int], tokens: Mapping[int, int] = NOTHING
    ) -> int:
        """`initial_excess` were these signed quantities and tokens held too, for nothing."""
        return self._asked_with(moves, tokens, self.initial_excess)

    def initial_margin(self) -> int:
        """Initial requirement, >= 0, open orders included."""
        return self.equity() - self.initial_excess()

    def maintenance_margin(self) -> int:
        """Maintenance requirement, >= 0."""
        return self.equity() - self.maintenance_excess()

    def group_results(self) -> Mapping[int, Vector]:
        """Profit or loss of each risk group in each scenario and the basis, micro-USDC."""
        self._follow_marks()
        return self.portfolio.group_results()

    def addons(self) -> tuple[int, int]:
        """(initial, maintenance) requirement of positions and tokens beyond `group_results`."""
        self._follow_marks()
        return self.portfolio.addons()

    def relief(self, row: InstrumentRisk, signed_quantity: int) -> int:
        """About how much requirement a trade at the mark would release: it only ranks trades."""
        results = self.group_results().get(row.group)
        if results is None:
            return 0
        scenario = min(range(self._marks.scenario_count), key=results.__getitem__)
        return signed_quantity * (row.shocked[scenario] - row.mark_price)

    def risk_reducing(self, order: MarginOrder) -> bool:
        """Whether any fill of this reduce-only order leaves no less excess than there is now."""
        held = self.position(order.instrument_id)
        quantity = min(order.quantity, -held * order.sign)
        if quantity <= 0:
            return False
        before = self.initial_excess()
        most = replace(order, quantity=quantity)
        return all(self._excess_after(most, part) >= before for part in self._turns(most))

    def under(self, marks: MarksBook, kind: "type[MarginAccount] | None" = None) -> "MarginAccount":
        """The same content against other marks, or in another mode, computed from scratch."""
        fresh = (kind or type(self))(self.subaccount_id, marks)
        for instrument_id, quantity in self.positions.items():
            fresh._move(instrument_id, quantity)
        fresh.linear.update(self.linear)
        for asset_id, amount in self.collateral.items():
            assert amount > 0
            fresh.add_collateral(asset_id, amount)
        for order_id, order in self.orders.items():
            fresh.place_order(order_id, order)
        fresh.add_cash(self.cash)
        return fresh

    def check(self) -> None:
        """Assert that every cache equals a computation from scratch, and that bounds are bounds."""
        assert all(self.positions.values())
        assert all(order.quantity > 0 for order in self.orders.values())
        assert {key: held.quantity for key, held in self.linear.items()} == {
            key: quantity
            for key, quantity in self.positions.items()
            if not self._marks.row(key).is_option
        }
        fresh = self.under(self._marks)
        if self._totals is not None and self._generation == self._marks.generation:
            exact = fresh._bring_up_to_date()
            for group, low in self._lows.items():
                assert low <= min(exact.get(group, [0])), "a bound that is none"
        assert fresh.initial_excess() == self.initial_excess()
        assert fresh.maintenance_excess() == self.maintenance_excess()
        assert fresh.spending == self.spending
        assert fresh.portfolio.caches() == self.portfolio.caches()
        assert fresh._effects == self._effects
        assert fresh.reach.state() == self.reach.state()
        assert fresh.reach.totals == self.reach.totals
        assert _without_zeros(fresh._order_sums) == _without_zeros(self._order_sums)
        assert self.initial_margin() >= 0
        assert self.maintenance_margin() >= 0

    def state(self) -> tuple[object, ...]:
        """Canonical content; caches follow from it and the marks."""
        positions = tuple(sorted(self.positions.items()))
        orders = tuple((key, *astuple(order)) for key, order in sorted(self.orders.items()))
        collateral = tuple(sorted(self.collateral.items()))
        linear = tuple((key, *self.linear[key]) for key in sorted(self.linear))
        return (self.subaccount_id, self.cash, positions, orders, collateral, linear)

    def _move(self, instrument_id: int, signed_quantity: int) -> None:
        """Change a position and no money."""
        self._follow_marks()
        self.portfolio.change(instrument_id, signed_quantity)
        row = self._marks.row(instrument_id)
        self.reach.fill(instrument_id, row.underlying_id, signed_quantity)
        self._results = None
        if self._totals is not None:
            known = self._lows.get(row.group, 0)
            self._lows[row.group] = known + self._worst_move(row, signed_quantity)

    def _asked_with(
        self, moves: Mapping[int, int], tokens: Mapping[int, int], question: Callable[[], int]
    ) -> int:
        """The answer after these moves, which cost nothing and leave no trace."""
        self._follow_marks()
        answer = 0
        for sign in (1, -1):
            for instrument_id, quantity in moves.items():
                self.portfolio.change(instrument_id, sign * quantity)
            for asset_id, amount in tokens.items():
                self.portfolio.change_collateral(asset_id, sign * amount)
            self._results = self._totals = None
            answer = question() if sign > 0 else answer
        return answer

    def _growth(self, order: MarginOrder, row: InstrumentRisk | PackageRisk) -> int:
        if isinstance(row, PackageRisk):
            return self.reach.parts_growth(row.parts, order.sign, order.quantity)
        return self.reach.growth(order.instrument_id, order.sign, order.quantity)

    def _follow_marks(self) -> None:
        """Recompute what an older generation of marks left behind."""
        if self._generation == self._marks.generation:
            return
        self._generation = self._marks.generation
        self.portfolio.refresh()
        self._asked = None
        self._forget()
        self._added = dict.fromkeys(self.orders, 0)

    def _effect(self, order: MarginOrder, row: InstrumentRisk | PackageRisk) -> Vector:
        """min(0, change of initial excess by the whole fill) in each scenario and the basis."""
        unit = self._marks.unit(row, order.sign)
        certain, quantity = _certain(order, row, unit), order.quantity
        edge = -certain
        return [
            result + certain if (result := effect * quantity) < edge else 0
            for effect in unit.effects
        ]

    def _worst(self, order: MarginOrder, row: InstrumentRisk | PackageRisk) -> int:
        """The lowest of `_effect`."""
        unit = self._marks.unit(row, order.sign)
        return min(0, unit.low * order.quantity + _certain(order, row, unit))

    def _worst_move(self, row: InstrumentRisk, signed_quantity: int) -> int:
        """No result of its group falls further by this change of a position."""
        unit = self._marks.unit(row, 1 if signed_quantity > 0 else -1)
        return unit.low * abs(signed_quantity) - self._marks.rounding(row.result_count) * SCALE

    def _bring_up_to_date(self) -> dict[int, Vector]:
        """The exact totals, and with them exact lows."""
        self._follow_marks()
        if self._totals is None or self._results is None or self._added or self._gone:
            self._sum_orders()
            if self._results is None:
                self._results = self._position_results()
            self._totals = dict(self._results)
            for group, effects in self._order_sums.items():
                held = self._results.get(group)
                self._totals[group] = list(map(add, held, effects)) if held else effects
            self._lows = {group: min(total) for group, total in self._totals.items()}
        return self._totals

    def _sum_orders(self) -> None:
        """Let the sums follow the orders that came and went."""
        sums = self._order_sums
        for group, effect in self._gone:
            sums[group] = list(map(sub, sums[group], effect))
        for order_id in self._added:
            order = self.orders[order_id]
            row = self._marks.order_row(order.instrument_id)
            effect = self._effects[order_id] = self._effect(order, row)
            known = sums.get(row.group)
            sums[row.group] = list(map(add, known, effect)) if known else effect
        self._added.clear()
        self._gone.clear()

    def _position_results(self) -> dict[int, Vector]:
        """What positions change of the initial requirement, by risk group."""
        factor = self._marks.initial_factor
        results = {}
        for group, exact in self.portfolio.group_results().items():
            whole: Iterable[int] = exact
            if factor != RATIO_SCALE:
                whole = map(floordiv, map(mul, exact, repeat(factor)), repeat(RATIO_SCALE))
            results[group] = list(map(mul, whole, repeat(SCALE)))
        return results

    def _equity_beyond_addons(self) -> int:
        portfolio = self.portfolio
        excess = self.cash + portfolio.value_beyond_addons()
        if self.linear:
            excess -= self.owed()
        if portfolio.collateral:
            excess += portfolio.collateral_value()
        return excess

    def _excess_after(self, order: MarginOrder, quantity: int) -> int:
        """`initial_excess` after a fill at the limit and the largest fee; leaves no trace."""
        cash = mul_div_up(order.sign * order.limit_price, quantity, QUANTITY_SCALE)
        cash += mul_div_up(order.max_fee, quantity, QUANTITY_SCALE)
        self._move(order.instrument_id, order.sign * quantity)
        excess = self.initial_excess() - cash
        self._move(order.instrument_id, -order.sign * quantity)
        return excess

    def _turns(self, order: MarginOrder) -> Iterator[int]:
        """Fill sizes between which excess is concave: the whole, and where skew results turn."""
        yield order.quantity
        row = self._marks.row(order.instrument_id)
        for scenario, absolute in enumerate(self._marks.parameters.absolute):
            step = order.sign * row.shocked[scenario]
            if absolute and step:
                total = self.portfolio.bucket_sum(row, scenario)
                turn = div_down(-total if step > 0 else total, abs(step))
                yield from (part for part in (turn, turn + 1) if 0 < part < order.quantity)


def _without_zeros(vectors: dict[int, Vector]) -> dict[int, Vector]:
    return {group: vector for group, vector in vectors.items() if any(vector)}


def _certain(order: MarginOrder, row: InstrumentRisk | PackageRisk, unit: Unit) -> int:
    """What the whole fill changes in every scenario: mark against limit, fee, add-ons."""
    quantity = order.quantity
    # What is paid is exact by the tick rule, so that one division rounds the mark alone.
    gain = order.sign * quantity * (row.mark_price - order.limit_price)
    certain = div_down(gain, QUANTITY_SCALE) - unit.rounding
    certain -= mul_div_up(order.max_fee, quantity, QUANTITY_SCALE)
    if unit.addon:
        certain -= mul_div_up(unit.addon, quantity, _ADDON_SCALE)
    return certain * SCALE


def _spends(order: MarginOrder, row: InstrumentRisk | PackageRisk) -> int:
    fee = mul_div_up(order.max_fee, order.quantity, QUANTITY_SCALE)
    if order.sign * order.limit_price <= 0 or not (isinstance(row, PackageRisk) or row.is_option):
        return fee
    return fee + order.sign * notional(order.limit_price, order.quantity)
