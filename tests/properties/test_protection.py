"""The rolling window equals adding up all trades anew each time."""

from hypothesis import given
from hypothesis import strategies as st

from exchange.matching.protection import (
    UNTIL_RESET,
    ProtectedTrade,
    Protection,
    ProtectionLimits,
)

KEYS = st.sampled_from(((1, 1), (1, 2), (2, 1)))
LIMITS = st.builds(
    lambda interval, frozen, quantity, delta, vega: ProtectionLimits(
        interval_ns=interval,
        frozen_ns=frozen,
        quantity_limit=quantity,
        delta_limit=delta,
        vega_limit=vega,
    ),
    st.integers(1, 20),
    st.integers(0, 20),
    st.sampled_from((0, 5, 20_000)),
    st.sampled_from((0, 3, 10)),
    st.sampled_from((0, 3, 10)),
)
TRADES = st.tuples(
    KEYS,
    st.integers(0, 6),
    st.integers(-15_000, 15_000).filter(bool),
    st.integers(-5, 5),
    st.integers(0, 5),
)


class NaiveProtection:
    def __init__(self, limits):
        self.limits, self.trades, self.frozen_until = limits, [], 0

    def on_trade(self, trade):
        if trade.time_ns < self.frozen_until:
            return False
        self.trades.append(trade)
        counted = [t for t in self.trades if trade.time_ns - t.time_ns < self.limits.interval_ns]
        sums = (
            (self.limits.quantity_limit, sum(abs(t.signed_quantity) for t in counted)),
            (self.limits.delta_limit * 10_000, sum(t.signed_quantity * t.delta for t in counted)),
            (self.limits.vega_limit * 10_000, sum(t.signed_quantity * t.vega for t in counted)),
        )
        if not any(limit and abs(total) >= limit for limit, total in sums):
            return False
        frozen = self.limits.frozen_ns
        self.frozen_until = trade.time_ns + frozen if frozen else UNTIL_RESET
        self.trades = []
        return True


@given(st.fixed_dictionaries({}, optional={(1, 1): LIMITS, (1, 2): LIMITS}), st.lists(TRADES))
def test_the_window_freezes_exactly_when_adding_up_anew_does(limits, trades):
    protection = Protection()
    naive = {}
    for key, given_limits in limits.items():
        protection.set_limits(key, given_limits)
        naive[key] = NaiveProtection(given_limits)
    now = 0
    for key, later, quantity, delta, vega in trades:
        now += later
        trade = ProtectedTrade(time_ns=now, signed_quantity=quantity, delta=delta, vega=vega)
        expected = key in naive and naive[key].on_trade(trade)
        assert protection.on_trade(key, trade) is expected
        protection.check()
        for known, window in naive.items():
            until = window.frozen_until if now < window.frozen_until else 0
            assert protection.frozen_until_ns(known, now) == until
