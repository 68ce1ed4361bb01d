"""Which of all accounts are below maintenance, after a mark.

Integers only. int64 vectors bound every account's excess from both sides; the few that the bounds
do not settle are computed exactly, so the answer is always the exact one. Never knows an engine or
what happens to the accounts that it names.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from exchange.commands import ExpiryRisk, UpdateMarks
from exchange.fixed import QUANTITY_SCALE, RATIO_SCALE, div_half_even, mul_div_up
from exchange.margin.account import MarginAccount
from exchange.margin.marks import MarksBook

IntArray = NDArray[np.int64]
BucketKey = tuple[int, int]

_BLOCK: Final = 512  # accounts at a time: what they need fits the second-level cache
_CASH_MAX: Final = 2**59  # micro-USDC; all the dollars there are
# int64 holds every sum of an account whose |quantities| at their largest shocked prices add up to
# no more bits than this; larger accounts are computed exactly.
_GROSS_BITS: Final = 62
_COARSE_BITS: Final = 20  # dropped from those prices, so that the sum itself cannot overflow
_QUANTITY_BITS: Final = 32
_VALUE_BITS: Final = 28  # leading bits of such a sum that meet a coefficient
_COEFFICIENT_BITS: Final = 30  # fraction of a coefficient
_POWERS: Final = 2 ** np.arange(63, dtype=np.int64)
_COEFFICIENT_MAX: Final = 2**33  # 8: a discount is near 1, a basis weight 0.5 and 2 a year


class _Packed(NamedTuple):
    """One account's positions as arrays; `columns` are places in `MarksBook.instrument_ids`."""

    version: int
    columns: NDArray[np.int32]
    quantities: IntArray
    naked: dict[int, int]


class _Slice(NamedTuple):
    """Positions of one block in one bucket: a row of `quantities` for each of `accounts`."""

    bucket: BucketKey
    accounts: NDArray[np.intp] | slice
    quantities: csr_array


class _Block(NamedTuple):
    """Neighbouring accounts and what they hold."""

    first: int
    slices: list[_Slice]
    linear: list[tuple[int, int, int]]  # (account in the block, column, |quantity|)
    naked: dict[int, IntArray]  # by underlying
    gross: csr_array  # |quantities|, a row for each account
    contracts: IntArray  # sum of |quantity|, in 1e-4
    bucket_counts: IntArray


class _Coefficients(NamedTuple):
    """One expiry's discount * weight * maintenance factor for each scenario, in 2**-30."""

    group: int
    long: IntArray
    short: IntArray
    basis: int
    steepest: int


class MaintenanceSweep:
    """Keeps positions of many accounts side by side; repacks those that traded since."""

    def __init__(self, marks: MarksBook) -> None:
        self._marks = marks
        self._instrument_ids: tuple[int, ...] = ()
        self._packed: dict[int, _Packed] = {}
        self._packed_key: list[tuple[int, int]] = []
        self._blocks: list[_Block] = []

    def liquidatable(self, accounts: Iterable[MarginAccount]) -> list[int]:
        """Subaccounts whose maintenance excess is negative, ascending.

        Complexity: O(accounts * legs * scenarios), about two nanoseconds each.
        """
        known = list(accounts)
        self._pack(known)
        view = _MarksView(self._marks)
        below = []
        for block in self._blocks:
            members = known[block.first : block.first + len(block.contracts)]
            low, high = _bounds(view, block, members)
            below += [members[at] for at in np.flatnonzero(high < 0)]
            doubtful = [members[at] for at in np.flatnonzero((low < 0) & (high >= 0))]
            below += [one for one in doubtful if one.maintenance_excess() < 0]
        return sorted(one.subaccount_id for one in below)

    def _pack(self, accounts: list[MarginAccount]) -> None:
        if self._instrument_ids != self._marks.instrument_ids:
            self._instrument_ids = self._marks.instrument_ids
            self._packed = {}
            self._packed_key = []
        key = [(one.subaccount_id, one.portfolio.version) for one in accounts]
        if key == self._packed_key:
            return
        columns = {instrument_id: at for at, instrument_id in enumerate(self._instrument_ids)}
        for account in accounts:
            packed = self._packed.get(account.subaccount_id)
            if packed is None or packed.version != account.portfolio.version:
                self._packed[account.subaccount_id] = _pack_account(account, columns)
        layout = _Layout(self._marks)
        packed_accounts = [self._packed[one.subaccount_id] for one in accounts]
        self._blocks = [
            layout.block(first, packed_accounts[first : first + _BLOCK])
            for first in range(0, len(accounts), _BLOCK)
        ]
        self._packed_key = key


class _Layout:
    """Where each instrument belongs, while blocks are built."""

    def __init__(self, marks: MarksBook) -> None:
        rows = [marks.rows().get(instrument_id) for instrument_id in marks.instrument_ids]
        buckets = [row.bucket if row else (0, 0) for row in rows]  # dropped ones are not held
        self.names = sorted(set(buckets))
        numbers = {bucket: number for number, bucket in enumerate(self.names)}
        self.bucket_numbers = np.array([numbers[bucket] for bucket in buckets], dtype=np.int32)
        self.is_linear = np.array([row is not None and not row.is_option for row in rows], bool)

    def block(self, first: int, members: list[_Packed]) -> _Block:
        """The positions of a block, sorted by bucket, then account."""
        count = len(members)
        owners = np.repeat(np.arange(count), [len(one.columns) for one in members])
        columns = np.concatenate([one.columns for one in members])
        quantities = np.concatenate([one.quantities for one in members])
        buckets = self.bucket_numbers[columns]
        order = np.argsort(buckets, kind="stable")
        edges = np.searchsorted(buckets[order], np.arange(len(self.names) + 1))
        slices, bucket_counts = [], np.zeros(count, dtype=np.int64)
        for number, bucket in enumerate(self.names):
            legs = order[edges[number] : edges[number + 1]]
            if not len(legs):
                continue
            held = np.bincount(owners[legs], minlength=count)
            bucket_counts += held > 0
            present = np.flatnonzero(held)
            if 2 * len(present) > count:  # empty rows cost less than picking the others out
                present = np.arange(count)
            starts = np.concatenate(([0], np.cumsum(held[present])))
            shape = (len(present), len(self.bucket_numbers))
            matrix = csr_array((quantities[legs], columns[legs], starts), shape=shape)
            whole = len(present) == count
            slices.append(_Slice(bucket, slice(None) if whole else present, matrix))
        ends = np.cumsum([0, *(len(one.columns) for one in members)])
        totals = [sum(map(abs, one.quantities.tolist())) for one in members]
        underlyings = {underlying_id for one in members for underlying_id in one.naked}
        return _Block(
            first=first,
            slices=slices,
            linear=[
                (int(owners[leg]), int(columns[leg]), abs(int(quantities[leg])))
                for leg in np.flatnonzero(self.is_linear[columns])
            ],
            naked={
                underlying_id: np.array([one.naked.get(underlying_id, 0) for one in members])
                for underlying_id in underlyings
            },
            gross=csr_array(
                (np.abs(quantities), columns, ends), shape=(count, len(self.is_linear))
            ),
            contracts=np.array([min(total, 2**62) for total in totals]),
            bucket_counts=bucket_counts,
        )


class _MarksView:
    """The marks in force as int64 arrays."""

    def __init__(self, marks: MarksBook) -> None:
        self.marks = marks
        width = UpdateMarks.ROW_HEAD + marks.scenario_count
        rows = np.frombuffer(marks.row_bytes, dtype="<i8").reshape(-1, width)
        # Shocked prices, then the mark price: one product gives all sums of an account.
        columns = [*range(UpdateMarks.ROW_HEAD, width), 0]
        self.prices = np.ascontiguousarray(rows[:, columns], dtype=np.int64)
        factor = marks.parameters.maintenance_factor << _COEFFICIENT_BITS
        weights = marks.parameters.weights
        values = [div_half_even(weight * factor, RATIO_SCALE**2) for weight in weights]
        self.skew_coefficients = [(at, values[at]) for at in marks.skew_scenarios]
        plain = [0 if at in marks.skew_scenarios else one for at, one in enumerate(values)]
        self.value_coefficients = np.array([*plain, 0], dtype=np.int64)  # the last: the basis
        self.coefficients: dict[BucketKey, _Coefficients] = {}
        for row in marks.rows().values():
            if row.bucket not in self.coefficients:
                risk = row.expiry_risk
                self.coefficients[row.bucket] = _coefficients(marks, risk, row.group)
        rate = marks.parameters.short_option_maintenance_rate
        self.naked_units = {
            underlying_id: mul_div_up(
                marks.underlying_risk(underlying_id).index_price, rate, RATIO_SCALE
            )
            for underlying_id, _ in self.coefficients
        }
        largest = max(self.naked_units.values(), default=0)
        highest = np.maximum(self.prices.max(axis=1, initial=0), largest)
        self.coarse_prices = (highest >> _COARSE_BITS) + 1
        # Cutting a sum to its leading bits costs less than one coefficient, a coefficient is off by
        # half a unit: for the shocked sum and the marked one together, in each bucket, less than
        steepest = max((one.steepest for one in self.coefficients.values()), default=0)
        steepest = max(steepest, *values)
        self.bucket_error = 2 * (2 ** (_VALUE_BITS - 1) + steepest + 1)

    def linear_addon(self, column: int, quantity: int) -> int:
        """Maintenance add-on of a linear position, micro-USDC, exact."""
        rate = self.marks.parameters.perpetual_maintenance_rate
        notional = quantity * int(self.prices[column, -1])
        return mul_div_up(notional, rate, QUANTITY_SCALE * RATIO_SCALE)


def liquidatable(marks: MarksBook, accounts: Iterable[MarginAccount]) -> list[int]:
    """`MaintenanceSweep.liquidatable` for whoever asks once."""
    return MaintenanceSweep(marks).liquidatable(accounts)


def _pack_account(account: MarginAccount, columns: dict[int, int]) -> _Packed:
    positions = account.positions
    return _Packed(
        version=account.portfolio.version,
        columns=np.array([columns[one] for one in positions], dtype=np.int32),
        quantities=np.array([*positions.values()], dtype=np.int64),
        naked=dict(account.portfolio.naked),
    )


def _coefficients(marks: MarksBook, risk: ExpiryRisk, group: int) -> _Coefficients:
    factor = marks.parameters.maintenance_factor << _COEFFICIENT_BITS

    def scaled(discount: int) -> list[int]:
        exact = [weight * discount * factor for weight in marks.parameters.weights]
        return [div_half_even(one, RATIO_SCALE**3) for one in exact]

    basis = div_half_even(risk.basis_weight * factor, RATIO_SCALE**2)
    vectors = [scaled(one) for one in (risk.discount_long, risk.discount_short)]
    steepest = max(basis, *map(max, vectors))
    assert steepest < _COEFFICIENT_MAX
    # The last place is the marked value's; it makes room for the basis.
    long, short = (np.array([*vector, 0], dtype=np.int64) for vector in vectors)
    return _Coefficients(group, long, short, basis, steepest)


def _bounds(
    view: _MarksView, block: _Block, members: list[MarginAccount]
) -> tuple[IntArray, IntArray]:
    """Lower and upper bound of each maintenance excess, micro-USDC; -1 and 0 where too large."""
    bits = _COARSE_BITS + np.searchsorted(_POWERS, block.gross @ view.coarse_prices, side="right")
    huge = (bits > _GROSS_BITS) | (block.contracts >> _QUANTITY_BITS != 0)
    shifts = np.clip(bits - _VALUE_BITS, 0, _GROSS_BITS)
    worst, mark_values = _worst(view, block, shifts)
    error = block.bucket_counts * view.bucket_error
    low = ((worst - error) >> _COEFFICIENT_BITS) << shifts
    high = (((worst + error) >> _COEFFICIENT_BITS) + 1) << shifts
    cash = [one.cash for one in members]
    assert max(map(abs, cash)) < _CASH_MAX
    certain = np.array(cash) + np.floor_divide(mark_values, QUANTITY_SCALE)
    for underlying_id, naked in block.naked.items():
        certain -= np.floor_divide(naked * view.naked_units[underlying_id], QUANTITY_SCALE)
    for at, column, quantity in block.linear:
        certain[at] -= view.linear_addon(column, quantity)
    # A micro-USDC for each rounding, and for each contract whose add-on was rounded up.
    slack = block.bucket_counts + 2 * len(view.naked_units) + 4
    slack += np.floor_divide(block.contracts, QUANTITY_SCALE)
    low = np.floor_divide(low, QUANTITY_SCALE) + certain - slack
    high = np.floor_divide(high, QUANTITY_SCALE) + certain + slack
    return np.where(huge, -1, low), np.where(huge, 0, high)


def _worst(view: _MarksView, block: _Block, shifts: IntArray) -> tuple[IntArray, IntArray]:
    """(worst scenarios * maintenance factor, mark values) of a block's accounts.

    The first in `2**(shift - 30)` of 1e-10 USDC, within `view.bucket_error` a bucket; the second
    exact, in 1e-10 USDC.
    """
    count, scenarios = len(block.contracts), view.marks.scenario_count
    mark_values = np.zeros(count, dtype=np.int64)
    groups: dict[int, IntArray] = {}
    for part in block.slices:
        own = view.coefficients[part.bucket]
        sums = part.quantities @ view.prices
        mark_values[part.accounts] += sums[:, -1]
        sums >>= shifts[part.accounts, np.newaxis]
        if own.group not in groups:
            groups[own.group] = np.zeros((count, scenarios + 2), dtype=np.int64)
        groups[own.group][part.accounts] += _bucket_results(view, own, sums)
    worst = np.zeros(count, dtype=np.int64)
    for total in groups.values():
        # One product for all expiries: the marked value's coefficient is the same in each.
        total[:, :-1] -= total[:, -1:] * view.value_coefficients
        worst += total[:, :-1].min(axis=1)
    return worst, mark_values


def _bucket_results(view: _MarksView, own: _Coefficients, sums: IntArray) -> IntArray:
    """Each scenario's discounted value, then the basis, then the marked value.

    `sums` has the scenarios' shocked values, then the marked value. Skew scenarios are whole
    results already: their share of `view.value_coefficients` is 0, as is the basis'.
    """
    parameters = view.marks.parameters
    value = sums[:, -1].copy()  # `sums` is overwritten below
    moves = np.minimum(sums[:, parameters.basis_up], sums[:, parameters.basis_down]) - value
    results = np.empty((len(sums), sums.shape[1] + 1), dtype=np.int64)
    np.multiply(sums, own.long, out=results[:, :-1])
    sums *= own.short
    np.minimum(results[:, :-1], sums, out=results[:, :-1])
    for scenario, coefficient in view.skew_coefficients:
        results[:, scenario] = -np.abs(results[:, scenario] - value * coefficient)
    results[:, -2] = np.minimum(moves, 0) * own.basis
    results[:, -1] = value
    return results
