"""Market-maker protection: a maker whose quotes trade too much, too fast, is taken off.

It must never know orders or books: it is told trades, it says when a maker freezes; the engine then
cancels that maker's protected orders and refuses new ones until the freeze ends. One window per
(subaccount, underlying). A trade at time t counts while now - t < `interval_ns`. Sums are exact:
quantities in 1e-4 contracts, greeks multiplied out before they are compared.

A limit trips when it is *reached*: the sum is a maker's exposure already taken, and waiting for
one trade more would let every limit be passed by a whole trade. Delta and vega are compared as the
absolute value of their signed sums, since a maker who bought and sold is flat.
"""

from collections import deque
from typing import Final

import msgspec

from exchange.fixed import INT63_MAX, QUANTITY_SCALE

UNTIL_RESET: Final = INT63_MAX  # end of a freeze that only a reset lifts

Key = tuple[int, int]  # (subaccount_id, underlying_id)


class ProtectionLimits(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a maker asks for. A limit of 0 does not limit; a `frozen_ns` of 0 waits for a reset.

    `quantity_limit` in 1e-4 contracts; `delta_limit` in 1e-6 of the underlying; `vega_limit` in
    micro-USDC per volatility point.
    """

    interval_ns: int
    frozen_ns: int
    quantity_limit: int = 0
    delta_limit: int = 0
    vega_limit: int = 0


class ProtectedTrade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One fill of a protected order; `delta` and `vega` are those of one contract bought.

    `signed_quantity` is positive if the maker bought, in 1e-4 contracts.
    """

    time_ns: int
    signed_quantity: int
    delta: int
    vega: int


class _Window:
    """Trades of one maker in one underlying within the interval, and their sums."""

    __slots__ = ("delta", "frozen_until_ns", "limits", "quantity", "trades", "vega")

    def __init__(self, limits: ProtectionLimits, frozen_until_ns: int) -> None:
        self.limits = limits
        self.frozen_until_ns = frozen_until_ns  # 0: not frozen
        self.clear()

    def clear(self) -> None:
        self.trades: deque[tuple[int, int, int, int]] = deque()  # time, quantity, delta, vega
        self.quantity = 0
        self.delta = 0  # times QUANTITY_SCALE, like vega
        self.vega = 0

    def count(self, trade: tuple[int, int, int, int], sign: int) -> None:
        _, quantity, delta, vega = trade
        self.quantity += sign * quantity
        self.delta += sign * delta
        self.vega += sign * vega

    def forget(self, before_ns: int) -> None:
        """Drop trades at or before `before_ns`."""
        while self.trades and self.trades[0][0] <= before_ns:
            self.count(self.trades.popleft(), -1)

    def is_reached(self) -> bool:
        limits = self.limits
        return (
            0 < limits.quantity_limit <= self.quantity
            or 0 < limits.delta_limit * QUANTITY_SCALE <= abs(self.delta)
            or 0 < limits.vega_limit * QUANTITY_SCALE <= abs(self.vega)
        )


class Protection:
    """The windows of all makers. Time never runs backwards between calls."""

    __slots__ = ("_windows",)

    def __init__(self) -> None:
        self._windows: dict[Key, _Window] = {}

    def set_limits(self, key: Key, limits: ProtectionLimits | None) -> None:
        """Protect a maker, or stop (None, which also lifts a freeze).

        New limits begin with an empty window; a freeze in force stands.
        """
        known = self._windows.pop(key, None)
        if limits is not None:
            assert limits.interval_ns > 0
            assert min(limits.frozen_ns, limits.quantity_limit) >= 0
            assert min(limits.delta_limit, limits.vega_limit) >= 0
            self._windows[key] = _Window(limits, known.frozen_until_ns if known else 0)

    def limits(self, key: Key) -> ProtectionLimits | None:
        """The limits in force."""
        window = self._windows.get(key)
        return window.limits if window else None

    def on_trade(self, key: Key, trade: ProtectedTrade) -> bool:
        """Count a fill; True if it froze the maker now. Complexity: O(1) amortised.

        A trade of a frozen maker is not counted: fills of the command that froze it still arrive.
        A freeze empties the window, so that what follows it starts from zero.
        """
        window = self._windows.get(key)
        if window is None or trade.time_ns < window.frozen_until_ns:
            return False
        window.forget(trade.time_ns - window.limits.interval_ns)
        quantity = trade.signed_quantity
        entry = (trade.time_ns, abs(quantity), quantity * trade.delta, quantity * trade.vega)
        assert not window.trades or window.trades[-1][0] <= trade.time_ns
        window.trades.append(entry)
        window.count(entry, 1)
        if not window.is_reached():
            return False
        frozen_ns = window.limits.frozen_ns
        window.frozen_until_ns = trade.time_ns + frozen_ns if frozen_ns else UNTIL_RESET
        window.clear()
        return True

    def frozen_until_ns(self, key: Key, time_ns: int) -> int:
        """When the freeze ends (UNTIL_RESET: only by a reset); 0 if the maker is not frozen."""
        window = self._windows.get(key)
        return window.frozen_until_ns if window and time_ns < window.frozen_until_ns else 0

    def reset(self, key: Key) -> None:
        """Lift a freeze and forget the window's trades."""
        window = self._windows.get(key)
        if window is not None:
            window.frozen_until_ns = 0
            window.clear()

    def state(self) -> tuple[tuple[object, ...], ...]:
        """Canonical content by key: key, limits, end of freeze, trades in the window."""
        return tuple(
            (*key, msgspec.structs.astuple(window.limits), window.frozen_until_ns, *window.trades)
            for key, window in sorted(self._windows.items(), key=lambda item: item[0])
        )

    def check(self) -> None:
        """Assert that sums match the trades, which are in order of time, and below each limit."""
        for window in self._windows.values():
            times = [trade[0] for trade in window.trades]
            assert times == sorted(times)
            assert window.quantity == sum(trade[1] for trade in window.trades)
            assert window.delta == sum(trade[2] for trade in window.trades)
            assert window.vega == sum(trade[3] for trade in window.trades)
            assert not window.is_reached()
