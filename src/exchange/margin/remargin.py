"""Which of all accounts are below maintenance, after a mark.

Three passes, each for the accounts that the one before did not settle: every position by itself (a
portfolio is never worse than its parts), in short floats less all that they may hide; then each
expiry within int64 bounds; then exactly. So the answer is the exact one, and the same on every
machine. Never knows an engine or what happens next.
"""

from collections.abc import Iterable
from operator import attrgetter
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from exchange.commands import ExpiryRisk, UpdateMarks
from exchange.fixed import QUANTITY_SCALE, RATIO_SCALE, div_half_even, mul_div_down, mul_div_up
from exchange.margin.account import MarginAccount
from exchange.margin.marks import MarksBook

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]

_BLOCK: Final = 512  # accounts at a time in the second pass: what they need stays in the cache
_CASH_MAX: Final = 2**59  # micro-USDC; all the dollars there are
# int64 holds every sum of an account whose |quantities| at their largest shocked prices add up to
# no more bits than this; larger accounts are computed exactly.
_GROSS_BITS: Final = 62
_COARSE_BITS: Final = 20  # dropped from those prices, so that the sum itself cannot overflow
_QUANTITY_BITS: Final = 32
_VALUE_BITS: Final = 28  # leading bits of such a sum that meet a coefficient
_COEFFICIENT_BITS: Final = 30  # fraction of a coefficient
_COEFFICIENT_MAX: Final = 2**33  # 8: a discount is near 1, a basis weight 0.5 and 2 a year
_BASIS_BITS: Final = 13  # dropped from basis losses: 49 bits meet a coefficient of 13 and a bit
# A sum of n products of rounded float32 is within (n + 2) / 2**24 of the sum of their sizes, and a
# little; here within (n + 3) / 2**23. The sizes are known in 2**20.
_FLOAT_BITS: Final = 23 - _COARSE_BITS
_POWERS: Final = 2 ** np.arange(63, dtype=np.int64)

_version = attrgetter("portfolio.version")
_cash = attrgetter("cash")


class _Packed(NamedTuple):
    """One account's positions, by bucket; `columns` are places in `MarksBook.instrument_ids`."""

    version: int
    columns: NDArray[np.int32]
    quantities: IntArray
    naked: dict[int, int]
    has_collateral: bool


class _Flat(NamedTuple):
    """Positions of all accounts, account after account, each sorted by bucket."""

    columns: NDArray[np.int32]
    quantities: IntArray
    starts: IntArray  # first leg of each account, and the end
    contracts: IntArray  # sum of |quantity| of each account, in 1e-4
    naked: dict[int, IntArray]  # by underlying
    linear: list[tuple[int, int, int]]  # (account, column, |quantity|)
    with_collateral: list[int]  # places of accounts that hold tokens besides cash
    # For each risk group |quantities|: longs in the first half of the columns, shorts after them.
    signed: dict[int, csr_array]
    rough: dict[int, csr_array]  # the same in float32: half the bytes, twice the pace
    # A row of quantities for each account and bucket, its account, and one of its columns.
    segments: csr_array
    segment_owners: NDArray[np.intp]
    segment_columns: NDArray[np.int32]


class MaintenanceSweep:
    """Keeps positions of many accounts side by side; repacks those that traded since."""

    def __init__(self, marks: MarksBook) -> None:
        self._marks = marks
        self._instrument_ids: tuple[int, ...] = ()
        self._packed: dict[int, _Packed] = {}
        self._key: tuple[object, ...] = ()
        self._flat: _Flat | None = None

    def liquidatable(self, accounts: Iterable[MarginAccount]) -> list[int]:
        """Subaccounts whose maintenance excess is negative, ascending.

        Complexity: O(accounts * legs * scenarios), about half a nanosecond each.
        """
        everybody = list(accounts)
        # A standard one sums a few products, which no array would do sooner.
        below = [one for one in everybody if one.standard and one.maintenance_excess() < 0]
        known = [one for one in everybody if not one.standard]
        if not self._marks.rows():  # nothing is listed, or all expired: no arrays to look at
            below += [one for one in known if one.maintenance_excess() < 0]
        elif known:
            below += self._below(known)
        return sorted(one.subaccount_id for one in below)

    def _below(self, known: list[MarginAccount]) -> list[MarginAccount]:
        flat = self._pack(known)
        view = _MarksView(self._marks)
        cash = np.fromiter(map(_cash, known), np.int64, len(known))
        assert np.abs(cash).max() < _CASH_MAX
        for at in {account for account, _, _ in flat.linear}:
            cash[at] -= known[at].owed()
        certain = cash - _addons(view, flat)
        for at in flat.with_collateral:
            certain[at] += _collateral_bound(self._marks, known[at])
        bound, bits = _separate_bound(view, flat, certain)
        # Tokens offset positions in ways that the second pass does not see.
        mixed = [known[at] for at in flat.with_collateral if bound[at] < 0]
        bound[flat.with_collateral] = 0
        doubtful = np.flatnonzero(bound < 0)
        below = [one for one in mixed if one.maintenance_excess() < 0]
        for first in range(0, len(doubtful), _BLOCK):
            chosen = doubtful[first : first + _BLOCK]
            low, high = _expiry_bounds(view, flat, chosen, certain[chosen], bits[chosen])
            below += [known[at] for at in chosen[high < 0]]
            unsettled = [known[at] for at in chosen[(low < 0) & (high >= 0)]]
            below += [one for one in unsettled if one.maintenance_excess() < 0]
        return below

    def _pack(self, accounts: list[MarginAccount]) -> _Flat:
        marks = self._marks
        if self._instrument_ids != marks.instrument_ids:
            self._instrument_ids = marks.instrument_ids
            self._packed, self._flat = {}, None
        key = (accounts, list(map(_version, accounts)), marks.parameters.risk_groups)
        if self._flat is None or key != self._key:
            columns = {instrument_id: at for at, instrument_id in enumerate(marks.instrument_ids)}
            for account in accounts:
                packed = self._packed.get(account.subaccount_id)
                if packed is None or packed.version != account.portfolio.version:
                    self._packed[account.subaccount_id] = _pack_account(marks, account, columns)
            self._flat = _flatten(marks, [self._packed[one.subaccount_id] for one in accounts])
            self._key = key
        return self._flat


class _MarksView:
    """The marks in force in int64; coefficients are discount * weight * maintenance factor."""

    def __init__(self, marks: MarksBook) -> None:
        self.marks = marks
        width = UpdateMarks.ROW_HEAD + marks.scenario_count
        rows = np.frombuffer(marks.row_bytes, dtype="<i8").reshape(-1, width)
        # Shocked prices, then the mark price: one product gives all sums of an account.
        order = [*range(UpdateMarks.ROW_HEAD, width), 0]
        self.prices = np.ascontiguousarray(rows[:, order], dtype=np.int64)
        rows_known = [row for row in map(marks.rows().get, marks.instrument_ids) if row]
        risks = {row.bucket: (row.expiry_risk, row.group) for row in rows_known}
        names = list(risks)
        self.buckets = _bucket_numbers(marks)
        self.groups = np.array([group for _, group in risks.values()], dtype=np.int64)
        vectors = [_coefficients(marks, risk) for risk, _ in risks.values()]
        self.long = np.array([long for long, _, _ in vectors], dtype=np.int64)
        self.short = np.array([short for _, short, _ in vectors], dtype=np.int64)
        self.basis = np.array([basis for _, _, basis in vectors], dtype=np.int64)
        factor = marks.parameters.maintenance_factor << _COEFFICIENT_BITS
        values = [div_half_even(one * factor, RATIO_SCALE**2) for one in marks.parameters.weights]
        self.value = np.array(values, dtype=np.int64)
        steepest = max(
            int(part.max(initial=0)) for part in (self.long, self.short, self.basis, self.value)
        )
        assert steepest < _COEFFICIENT_MAX
        # Cutting a sum to its leading bits costs less than one coefficient, a coefficient is off by
        # half a unit: for the shocked sum and the marked one together, in each bucket, less than
        self.bucket_error = 2 * (2 ** (_VALUE_BITS - 1) + steepest + 1)
        rate = marks.parameters.short_option_maintenance_rate
        self.naked_units = {
            underlying_id: mul_div_up(
                marks.underlying_risk(underlying_id).index_price, rate, RATIO_SCALE
            )
            for underlying_id, _ in names
        }

    def linear_addon(self, column: int, quantity: int) -> int:
        """Maintenance add-on of a linear position, micro-USDC, exact."""
        rate = self.marks.parameters.perpetual_maintenance_rate
        notional = quantity * int(self.prices[column, -1])
        return mul_div_up(notional, rate, QUANTITY_SCALE * RATIO_SCALE)

    def unit_results(self) -> IntArray:
        """Lower bound of one contract's result in each scenario, micro-USDC.

        A row for each instrument bought, then one for each sold, like `Unit.effects`.
        """
        prices, mark = self.prices[:, :-1], self.prices[:, -1:]
        long, short = self.long[self.buckets], self.short[self.buckets]
        value = _product_down(mark, self.value)
        bought = _product_down(prices, long) - value
        sold = value - _product_down(prices, short)
        skew = list(self.marks.skew_scenarios)
        worst = -np.maximum(np.abs(bought[:, skew]), np.abs(sold[:, skew]))
        bought[:, skew] = sold[:, skew] = worst
        # Two products off by two each, and coefficients by half a unit.
        error = ((prices + mark) >> _COEFFICIENT_BITS) + 5
        return np.concatenate([bought - error, sold - error])

    def basis_moves(self) -> list[IntArray]:
        """What one contract gains in each of the two basis scenarios, micro-USDC."""
        parameters = self.marks.parameters
        ends = (parameters.basis_up, parameters.basis_down)
        return [self.prices[:, end] - self.prices[:, -1] for end in ends]


def liquidatable(marks: MarksBook, accounts: Iterable[MarginAccount]) -> list[int]:
    """`MaintenanceSweep.liquidatable` for whoever asks once."""
    return MaintenanceSweep(marks).liquidatable(accounts)


def _bucket_numbers(marks: MarksBook) -> NDArray[np.intp]:
    """The bucket of each column, numbered as they appear; 0 for dropped ones: nobody holds them."""
    known = [marks.rows().get(instrument_id) for instrument_id in marks.instrument_ids]
    numbers: dict[tuple[int, int], int] = {}
    found = [numbers.setdefault(row.bucket, len(numbers)) if row else 0 for row in known]
    return np.array(found, dtype=np.intp)


def _segment_starts(owners: NDArray[np.intp], buckets: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where the account or the bucket changes."""
    changes = (np.diff(owners, prepend=-1) != 0) | (np.diff(buckets, prepend=-1) != 0)
    return np.flatnonzero(changes)


def _product_down(price: IntArray, coefficient: IntArray) -> IntArray:
    """`price * coefficient / 2**30`, up to 2 too small; prices below 2**50, both >= 0."""
    high, low = price >> 20, price & (2**20 - 1)
    return (high * coefficient >> 10) + (low * coefficient >> _COEFFICIENT_BITS)


def _coefficients(marks: MarksBook, risk: ExpiryRisk) -> tuple[list[int], list[int], int]:
    """(long, short, basis) of an expiry, in 2**-30."""
    factor = marks.parameters.maintenance_factor << _COEFFICIENT_BITS

    def scaled(discount: int) -> list[int]:
        exact = [weight * discount * factor for weight in marks.parameters.weights]
        return [div_half_even(one, RATIO_SCALE**3) for one in exact]

    basis = div_half_even(risk.basis_weight * factor, RATIO_SCALE**2)
    return scaled(risk.discount_long), scaled(risk.discount_short), basis


def _pack_account(marks: MarksBook, account: MarginAccount, columns: dict[int, int]) -> _Packed:
    positions = account.positions.items()
    held = sorted((marks.row(one).bucket, columns[one], quantity) for one, quantity in positions)
    return _Packed(
        version=account.portfolio.version,
        columns=np.array([column for _, column, _ in held], dtype=np.int32),
        quantities=np.array([quantity for _, _, quantity in held], dtype=np.int64),
        naked=dict(account.portfolio.naked),
        has_collateral=bool(account.collateral),
    )


def _flatten(marks: MarksBook, members: list[_Packed]) -> _Flat:
    columns = np.concatenate([one.columns for one in members])
    quantities = np.concatenate([one.quantities for one in members])
    starts = np.cumsum([0, *(len(one.columns) for one in members)], dtype=np.int64)
    owners = np.repeat(np.arange(len(members)), np.diff(starts))
    count = len(marks.instrument_ids)
    known = [marks.rows().get(instrument_id) for instrument_id in marks.instrument_ids]
    is_linear = np.array([row is not None and not row.is_option for row in known], dtype=bool)
    totals = [sum(map(abs, one.quantities.tolist())) for one in members]
    underlyings = {underlying_id for one in members for underlying_id in one.naked}
    groups = np.array([row.group if row else 0 for row in known])[columns]
    halves = columns + np.where(quantities < 0, count, 0).astype(np.int32)
    signed, rough = {}, {}
    for group in np.unique(groups).tolist():
        mine = np.flatnonzero(groups == group)
        ends = np.cumsum(np.bincount(owners[mine], minlength=len(members)))
        part = (np.abs(quantities[mine]), halves[mine], np.concatenate(([0], ends)))
        signed[group] = csr_array(part, shape=(len(members), 2 * count))
        rough[group] = signed[group].astype(np.float32)
    firsts = _segment_starts(owners, _bucket_numbers(marks)[columns])
    edges = np.concatenate((firsts, [len(columns)]))
    return _Flat(
        columns=columns,
        quantities=quantities,
        starts=starts,
        contracts=np.array([min(total, 2**62) for total in totals]),
        naked={
            underlying_id: np.array([one.naked.get(underlying_id, 0) for one in members])
            for underlying_id in underlyings
        },
        linear=[
            (int(owners[leg]), int(columns[leg]), abs(int(quantities[leg])))
            for leg in np.flatnonzero(is_linear[columns])
        ],
        with_collateral=[at for at, one in enumerate(members) if one.has_collateral],
        signed=signed,
        rough=rough,
        segments=csr_array((quantities, columns, edges), shape=(len(firsts), count)),
        segment_owners=owners[firsts],
        segment_columns=columns[firsts],
    )


def _addons(view: _MarksView, flat: _Flat) -> IntArray:
    """Maintenance add-ons, micro-USDC, at most one a contract and underlying too small or large."""
    addons = np.zeros(len(flat.contracts), dtype=np.int64)
    for underlying_id, naked in flat.naked.items():
        addons += np.floor_divide(naked * view.naked_units.get(underlying_id, 0), QUANTITY_SCALE)
    for account, column, quantity in flat.linear:
        addons[account] += view.linear_addon(column, quantity)
    return addons


def _collateral_bound(marks: MarksBook, account: MarginAccount) -> int:
    """What an account's tokens add to its maintenance excess at least, micro-USDC."""
    account.collateral_value()  # under the marks in force
    factor = marks.parameters.maintenance_factor
    return sum(
        held.value - held.maintenance_addon + mul_div_down(min(held.results), factor, RATIO_SCALE)
        for held in account.portfolio.tokens().values()
    )


def _slack(view: _MarksView, contracts: IntArray) -> IntArray:
    """What rounding of add-ons and mark values may hide, micro-USDC."""
    return np.floor_divide(contracts, QUANTITY_SCALE) + 2 * len(view.naked_units) + 4


def _separate_bound(view: _MarksView, flat: _Flat, certain: IntArray) -> tuple[IntArray, IntArray]:
    """(lower bound of each maintenance excess, bits of its largest sum), positions by themselves.

    The bound is -1 where int64 cannot hold the sums.
    """
    units = view.unit_results()
    value_units = np.concatenate([view.prices[:, -1], -view.prices[:, -1]])
    highest = np.tile(view.prices.max(axis=1, initial=0), 2)
    highest = np.maximum(highest, np.abs(units).max(axis=1, initial=0))
    highest = np.maximum(highest, max(view.naked_units.values(), default=0))
    coarse = (highest >> _COARSE_BITS) + 1
    losses, groups = _basis_losses(view, flat)
    value, gross = (np.zeros(len(flat.contracts), dtype=np.int64) for _ in range(2))
    for signed in flat.signed.values():
        value += signed @ value_units
        gross += signed @ coarse
    bits = _COARSE_BITS + np.searchsorted(_POWERS, gross, side="right")
    bits = np.where(flat.contracts >> _QUANTITY_BITS != 0, _GROSS_BITS + 1, bits)
    error = (gross * (np.diff(flat.starts) + 3) >> _FLOAT_BITS) + 1
    worst = -error
    rough_units: FloatArray = units.astype(np.float32)
    for group, rough in flat.rough.items():
        basis = np.zeros(len(flat.contracts), dtype=np.int64)
        mine = groups == group
        np.add.at(basis, flat.segment_owners[mine], losses[mine])
        lowest: FloatArray = (rough @ rough_units).min(axis=1)
        lowest[bits > _GROSS_BITS] = 0  # too large for what follows
        worst += np.minimum(lowest.astype(np.int64), -basis << _BASIS_BITS)
    bound = np.floor_divide(worst, QUANTITY_SCALE) + np.floor_divide(value, QUANTITY_SCALE)
    bound += certain - _slack(view, flat.contracts)
    return np.where(bits > _GROSS_BITS, -1, bound), bits


def _basis_losses(view: _MarksView, flat: _Flat) -> tuple[IntArray, IntArray]:
    """(upper bound of the basis loss * maintenance factor, risk group) of each segment.

    The first in 2**13 of 1e-10 USDC.
    """
    buckets = view.buckets[flat.segment_columns]
    up, down = (flat.segments @ moves for moves in view.basis_moves())
    fall = np.maximum(0, -np.minimum(up, down))
    coefficient = (view.basis[buckets] >> (_COEFFICIENT_BITS - 10)) + 1  # in 2**-10
    return (((fall >> _BASIS_BITS) + 1) * coefficient >> 10) + 1, view.groups[buckets]


def _expiry_bounds(
    view: _MarksView, flat: _Flat, chosen: NDArray[np.intp], certain: IntArray, bits: IntArray
) -> tuple[IntArray, IntArray]:
    """Bounds of the maintenance excess of `chosen` accounts; -1 and 0 where too large."""
    shifts = np.clip(bits - _VALUE_BITS, 0, _GROSS_BITS)
    worst, value, bucket_counts = _worst(view, flat, chosen, shifts)
    error = bucket_counts * view.bucket_error
    low = ((worst - error) >> _COEFFICIENT_BITS) << shifts
    high = (((worst + error) >> _COEFFICIENT_BITS) + 1) << shifts
    certain = certain + np.floor_divide(value, QUANTITY_SCALE)
    slack = _slack(view, flat.contracts[chosen]) + bucket_counts
    low = np.floor_divide(low, QUANTITY_SCALE) + certain - slack
    high = np.floor_divide(high, QUANTITY_SCALE) + certain + slack
    huge = bits > _GROSS_BITS
    return np.where(huge, -1, low), np.where(huge, 0, high)


def _worst(
    view: _MarksView, flat: _Flat, chosen: NDArray[np.intp], shifts: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """(worst scenarios * maintenance factor, mark values, buckets) of `chosen` accounts.

    The first in `2**(shift - 30)` of 1e-10 USDC, within `view.bucket_error` a bucket; the second
    exact, in 1e-10 USDC.
    """
    count = len(chosen)
    lengths = flat.starts[chosen + 1] - flat.starts[chosen]
    ends = np.cumsum(lengths)
    owners = np.repeat(np.arange(count), lengths)
    legs = np.arange(len(owners)) + np.repeat(flat.starts[chosen] - ends + lengths, lengths)
    columns = flat.columns[legs]
    buckets = view.buckets[columns]
    firsts = _segment_starts(owners, buckets)
    owners, buckets = owners[firsts], buckets[firsts]
    part = (flat.quantities[legs], columns, np.concatenate((firsts, [len(legs)])))
    sums = csr_array(part, shape=(len(firsts), len(view.buckets))) @ view.prices
    value = np.zeros(count, dtype=np.int64)
    np.add.at(value, owners, sums[:, -1])
    sums >>= shifts[owners, np.newaxis]
    results = _bucket_results(view, buckets, sums)
    worst = np.zeros(count, dtype=np.int64)
    groups = view.groups[buckets]
    for group in np.unique(groups):
        mine = np.flatnonzero(groups == group)
        holders, edges = np.unique(owners[mine], return_index=True)
        worst[holders] += np.add.reduceat(results[mine], edges, axis=0).min(axis=1)
    return worst, value, np.bincount(owners, minlength=count)


def _bucket_results(view: _MarksView, buckets: NDArray[np.intp], sums: IntArray) -> IntArray:
    """Each scenario's result and the basis; `sums` has shocked values, then the marked one."""
    parameters = view.marks.parameters
    shocked, value = sums[:, :-1], sums[:, -1:]
    results = np.empty_like(sums)
    scenarios = results[:, :-1]
    np.multiply(shocked, view.long[buckets], out=scenarios)
    np.minimum(scenarios, shocked * view.short[buckets], out=scenarios)
    scenarios -= value * view.value
    skew = list(view.marks.skew_scenarios)
    scenarios[:, skew] = -np.abs(scenarios[:, skew])
    moves = shocked[:, [parameters.basis_up, parameters.basis_down]] - value
    results[:, -1] = np.minimum(moves.min(axis=1), 0) * view.basis[buckets]
    return results
