"""All accounts after a mark: the bounds may be rough, the answer may not."""

import random

import msgspec
import numpy as np
import pytest
from tests.margin_world import (
    WBTC,
    WETH,
    collaterals,
    instruments,
    marks_book,
    option,
    perpetual,
    preset,
    update,
)

from exchange.fixed import QUANTITY_SCALE, RATIO_SCALE
from exchange.margin.account import MarginAccount
from exchange.margin.marks import MarksBook
from exchange.margin.remargin import (
    MaintenanceSweep,
    _addons,
    _expiry_bounds,
    _MarksView,
    _separate_bound,
    liquidatable,
)
from exchange.margin.scenarios import margin_parameters
from exchange.margin.standard import StandardAccount

CALL = option(110_000, "C")


def population(marks, count, rng, legs=12, *, tokens=False):
    """Accounts whose cash puts them near the edge, on it, or far from it."""
    accounts = []
    for subaccount_id in range(1, count + 1):
        kind = StandardAccount if rng.random() < 0.2 else MarginAccount
        account = kind(subaccount_id, marks)
        for instrument_id in rng.sample(instruments(), rng.randint(0, legs)):
            account.apply_fill(instrument_id, rng.randint(-(10 ** rng.randint(1, 9)), 10**6))
        if tokens and rng.random() < 0.4:
            account.add_collateral(rng.choice((WETH, WBTC)), rng.randint(1, 10**12))
        offset = rng.choice((-1, 0, 1, -(10**12), 10**12, rng.randint(-(10**9), 10**9)))
        account.add_cash(offset - account.maintenance_excess())
        accounts.append(account)
    return accounts


def exact(accounts):
    return sorted(one.subaccount_id for one in accounts if one.maintenance_excess() < 0)


@pytest.mark.parametrize(
    "changes", [{}, {"confidence": 0.5}, {"move": 1.3}, {"rate": 0.4}], ids=str
)
@pytest.mark.parametrize("grouped", [False, True])
def test_the_sweep_names_exactly_the_accounts_below_maintenance(changes, grouped):
    groups = ((1, 1), (2, 1)) if grouped else ()
    parameters = msgspec.structs.replace(margin_parameters(preset()), risk_groups=groups)
    marks = marks_book(parameters=parameters, **changes)
    accounts = population(marks, 600, random.Random(str(changes)), tokens=True)
    found = liquidatable(marks, accounts)
    assert found == exact(accounts)
    assert 50 < len(found) < 550


@pytest.mark.parametrize("grouped", [False, True])
def test_the_sweep_is_exact_where_the_basis_is_the_worst(grouped):
    """Forwards that part from the spot cost more than any scenario, in each group its own."""
    groups = ((1, 1), (2, 1)) if grouped else ()
    marks = MarksBook(msgspec.structs.replace(margin_parameters(preset()), risk_groups=groups))
    heavy = [
        msgspec.structs.replace(one, basis_weight=8 * RATIO_SCALE if one.expiry else 0)
        for one in update().expiries
    ]
    marks.update(msgspec.structs.replace(update(), expiries=tuple(heavy)))
    accounts = population(marks, 300, random.Random(17))
    vectors = [one.group_results().values() for one in accounts if not one.standard]
    worst = [vector[-1] == min(vector) < 0 for group in vectors for vector in group]
    assert sum(worst) > 100
    assert liquidatable(marks, accounts) == exact(accounts)


def test_the_sweep_follows_marks_trades_and_new_instruments():
    marks = marks_book()
    rng = random.Random(5)
    accounts = population(marks, 200, rng)
    sweep = MaintenanceSweep(marks)
    assert sweep.liquidatable(accounts) == exact(accounts)
    marks.update(update(2, move=0.8))
    assert sweep.liquidatable(accounts) == exact(accounts)
    for account in rng.sample(accounts, 20):
        account.apply_fill(CALL, rng.randint(-(10**6), 10**6))
        account.add_cash(rng.choice((-1, 0)) - account.maintenance_excess())
    assert sweep.liquidatable(accounts) == exact(accounts)
    assert sweep.liquidatable(accounts[:7]) == exact(accounts[:7])
    without = [at for at, one in enumerate(instruments()) if one != perpetual(2)]
    width = 8 * 37
    good = update(3)
    fewer = msgspec.structs.replace(
        good,
        instrument_ids=tuple(good.instrument_ids[at] for at in without),
        rows=b"".join(good.rows[at * width : (at + 1) * width] for at in without),
    )
    holders = [one for one in accounts if not one.position(perpetual(2))]
    marks.update(fewer)
    marks.drop([option(60_000, "C")])
    holders = [one for one in holders if not one.position(option(60_000, "C"))]
    assert sweep.liquidatable(holders) == exact(holders)


def test_almost_no_account_needs_the_exact_computation():
    """The bounds lie within ten dollars for portfolios whose margin is a hundred thousand."""
    marks = marks_book()
    rng = random.Random(9)
    accounts = []
    for subaccount_id in range(300):
        account = MarginAccount(subaccount_id, marks)
        for instrument_id in rng.sample(instruments(), 20):
            account.apply_fill(instrument_id, rng.randint(-20_000, 20_000))
        accounts.append(account)
    sweep = MaintenanceSweep(marks)
    flat, view = sweep._pack(accounts), _MarksView(marks)
    certain = -_addons(view, flat)
    bound, bits = _separate_bound(view, flat, certain)
    low, high = _expiry_bounds(view, flat, np.arange(300), certain, bits)
    excess = np.array([one.maintenance_excess() for one in accounts])
    assert np.all((low <= excess) & (excess <= high))
    assert np.max(high - low) < 10_000_000
    assert np.all(bound <= excess)


def test_the_first_pass_takes_off_what_its_floats_may_hide():
    """Of one position and of many, small and large: no bound is above the exact excess."""
    marks, rng, accounts = marks_book(), random.Random(13), []
    for subaccount_id in range(1, 301):
        account = MarginAccount(subaccount_id, marks)
        size = 10 ** rng.randint(1, 6)
        for instrument_id in rng.sample(instruments(), rng.choice((1, 12))):
            account.apply_fill(instrument_id, rng.choice((-1, 1)) * rng.randint(1, size))
        account.add_cash(-account.maintenance_excess() - rng.randint(0, 1))
        accounts.append(account)
    flat, view = MaintenanceSweep(marks)._pack(accounts), _MarksView(marks)
    cash = np.array([one.net_cash() for one in accounts])
    bound, bits = _separate_bound(view, flat, cash - _addons(view, flat))
    assert np.all(bits <= 62)
    assert np.all(bound <= [one.maintenance_excess() for one in accounts])
    assert liquidatable(marks, accounts) == exact(accounts)


def test_accounts_too_large_for_int64_are_computed_exactly():
    marks = marks_book()
    whale, other = MarginAccount(1, marks), MarginAccount(2, marks)
    for account in (whale, other):
        account.apply_fill(CALL, -(10**13) * QUANTITY_SCALE)
        account.apply_fill(option(110_000, "P"), 10**13 * QUANTITY_SCALE)
    whale.add_cash(2**58)
    assert liquidatable(marks, [whale, other]) == exact([whale, other])


def test_nobody_and_nothing_are_fine():
    marks = marks_book()
    assert liquidatable(marks, []) == []
    empty, debtor = MarginAccount(1, marks), MarginAccount(2, marks)
    debtor.add_cash(-1)
    assert liquidatable(marks, [debtor, empty]) == [2]
    assert liquidatable(MarksBook(margin_parameters(preset())), []) == []


def test_cash_is_swept_where_nothing_is_marked():
    """Before the first instrument is listed, and after the last one expired."""
    marks = marks_book()
    empty, debtor = MarginAccount(1, marks), MarginAccount(2, marks)
    debtor.add_cash(-1)
    marks.drop(list(marks.instrument_ids))
    assert liquidatable(marks, [debtor, empty]) == [2]
    nothing = MarksBook(margin_parameters(preset()))
    nothing.update(msgspec.structs.replace(update(), instrument_ids=(), rows=b""))
    assert liquidatable(nothing, [debtor.under(nothing), empty.under(nothing)]) == [2]


def test_the_sweep_follows_tokens_and_their_terms():
    """Deposits, isolation and a crash of the index: tokens are never left out or counted twice."""
    marks, rng = marks_book(), random.Random(11)
    accounts = population(marks, 200, rng, tokens=True)
    sweep = MaintenanceSweep(marks)
    assert sweep.liquidatable(accounts) == exact(accounts)
    for account in accounts[:50]:
        account.add_collateral(WETH, rng.randint(1, 10**10))
    assert sweep.liquidatable(accounts) == exact(accounts)
    marks.set_collaterals(collaterals(isolated=True))
    assert sweep.liquidatable(accounts) == exact(accounts)
    marks.update(update(2, move=0.7))
    assert sweep.liquidatable(accounts) == exact(accounts)
