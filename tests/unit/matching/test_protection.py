"""When a market maker freezes, and for how long."""

import pytest

from exchange.matching.protection import (
    UNTIL_RESET,
    ProtectedTrade,
    Protection,
    ProtectionLimits,
)

KEY = (5, 1)
CONTRACT = 10**4


def protection(**limits):
    maker = Protection()
    fields = {"interval_ns": 100, "frozen_ns": 1_000, **limits}
    maker.set_limits(KEY, ProtectionLimits(**fields))
    return maker


def trade(maker, time_ns, contracts, delta=0, vega=0):
    fields = {"signed_quantity": contracts * CONTRACT, "delta": delta, "vega": vega}
    tripped = maker.on_trade(KEY, ProtectedTrade(time_ns=time_ns, **fields))
    maker.check()
    return tripped


def test_reaching_the_quantity_limit_freezes_bought_and_sold_alike():
    maker = protection(quantity_limit=10 * CONTRACT)
    assert not trade(maker, 1, 4)
    assert not trade(maker, 2, -5)
    assert maker.frozen_until_ns(KEY, 2) == 0
    assert trade(maker, 3, -1)
    assert maker.frozen_until_ns(KEY, 3) == 1_003


@pytest.mark.parametrize("greek", ["delta", "vega"])
def test_greeks_net_and_the_absolute_sum_counts(greek):
    maker = protection(**{f"{greek}_limit": 1_000})
    assert not trade(maker, 1, 2, **{greek: 450})
    assert not trade(maker, 1, -2, **{greek: 450})
    assert not trade(maker, 1, -2, **{greek: 499})
    assert trade(maker, 1, -1, **{greek: 2})


def test_greeks_are_exact_below_a_whole_unit():
    maker = protection(delta_limit=1)
    small = {"signed_quantity": 1, "delta": 9_999, "vega": 0}
    assert not maker.on_trade(KEY, ProtectedTrade(time_ns=1, **small))
    assert maker.on_trade(KEY, ProtectedTrade(time_ns=1, signed_quantity=1, delta=1, vega=0))


def test_the_smallest_limit_is_one_unit():
    maker = protection(quantity_limit=1)
    unit = ProtectedTrade(time_ns=1, signed_quantity=-1, delta=0, vega=0)
    assert maker.on_trade(KEY, unit)


def test_a_trade_counts_until_just_before_a_whole_interval_has_passed():
    late = protection(quantity_limit=2 * CONTRACT)
    trade(late, 50, 1)
    assert not trade(late, 150, 1)
    soon = protection(quantity_limit=2 * CONTRACT)
    trade(soon, 50, 1)
    assert trade(soon, 149, 1)


def test_the_freeze_ends_by_itself_and_starts_from_zero():
    maker = protection(quantity_limit=2 * CONTRACT)
    assert trade(maker, 10, 2)
    assert not trade(maker, 10, 9), "fills of the same command are no second freeze"
    assert maker.frozen_until_ns(KEY, 1_009) == 1_010
    assert maker.frozen_until_ns(KEY, 1_010) == 0
    assert not trade(maker, 1_010, 1)
    assert trade(maker, 1_011, 1)


def test_without_a_frozen_time_only_a_reset_lifts_the_freeze():
    maker = protection(frozen_ns=0, quantity_limit=CONTRACT)
    assert trade(maker, 10, 1)
    assert maker.frozen_until_ns(KEY, 10**18) == UNTIL_RESET
    maker.reset(KEY)
    assert maker.frozen_until_ns(KEY, 10**18) == 0
    maker.reset((9, 9))


def test_a_reset_forgets_the_window():
    maker = protection(quantity_limit=2 * CONTRACT)
    trade(maker, 1, 1)
    maker.reset(KEY)
    assert not trade(maker, 2, 1)


def test_new_limits_start_an_empty_window_but_keep_a_freeze():
    limits = ProtectionLimits(interval_ns=100, frozen_ns=5, quantity_limit=2 * CONTRACT)
    maker = protection(quantity_limit=2 * CONTRACT)
    trade(maker, 1, 1)
    maker.set_limits(KEY, limits)
    assert not trade(maker, 2, 1)
    assert trade(maker, 3, 1)
    maker.set_limits(KEY, limits)
    assert maker.frozen_until_ns(KEY, 3) == 8
    maker.set_limits(KEY, None)
    assert maker.frozen_until_ns(KEY, 3) == 0
    assert maker.limits(KEY) is None


def test_without_limits_nothing_freezes():
    maker = Protection()
    assert not trade(maker, 1, 1_000)
    maker = protection()
    assert not trade(maker, 1, 1_000, delta=10**6, vega=10**6)
    assert maker.limits(KEY) is not None


@pytest.mark.parametrize(
    "fields",
    [{"interval_ns": 0}, {"frozen_ns": -1}, {"delta_limit": -1}, {"vega_limit": -1}],
)
def test_limits_are_sound(fields):
    with pytest.raises(AssertionError):
        protection(**fields)


def test_time_does_not_run_backwards():
    maker = protection(quantity_limit=9 * CONTRACT)
    trade(maker, 5, 1)
    with pytest.raises(AssertionError):
        trade(maker, 4, 1)


def test_state_lists_makers_by_key():
    maker = protection(quantity_limit=9 * CONTRACT)
    maker.set_limits((5, 0), ProtectionLimits(interval_ns=1, frozen_ns=2, vega_limit=3))
    trade(maker, 5, -1, delta=2, vega=3)
    assert maker.state() == (
        (5, 0, (1, 2, 0, 0, 3), 0),
        (5, 1, (100, 1_000, 9 * CONTRACT, 0, 0), 0, (5, CONTRACT, -2 * CONTRACT, -3 * CONTRACT)),
    )
