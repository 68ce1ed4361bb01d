"""A protected maker is taken off when too much trades too fast."""

from typing import Any

import pytest
from tests.venue import NS, P, Venue, contracts, names, open_venue, refusals

from exchange.commands import ProtectionParameters, ResetProtection, SetProtection
from exchange.events import CancelReason, OrderCanceled, ProtectionTripped, RejectReason

MAKER, TAKER = "0x" + "1" * 40, "0x" + "2" * 40


def protected(**limits: int) -> tuple[Venue, int, int]:
    """A venue with a protected maker and a taker."""
    venue = open_venue()
    maker, taker = venue.fund(MAKER), venue.fund(TAKER)
    fields = {"interval_ns": 10 * NS, "frozen_ns": 30 * NS} | limits
    venue.send(
        SetProtection(subaccount_id=maker, underlying_id=1, limits=ProtectionParameters(**fields))
    )
    return venue, maker, taker


def quote(venue: Venue, maker: int, **changes: Any) -> Any:
    """A protected offer of five."""
    return venue.sell(maker, 5, 2_500, mmp=True, **changes)


def canceled(events: Any) -> list[CancelReason]:
    return [event.reason for event in events if isinstance(event, OrderCanceled)]


def test_reaching_the_quantity_limit_cancels_all_protected_orders_of_the_underlying() -> None:
    """Those that did not ask for protection stay."""
    venue, maker, taker = protected(quantity_limit=contracts(2))
    quote(venue, maker)
    quote(venue, maker, instrument_id=P)
    plain = venue.sell(maker, 1, 2_600)
    assert canceled(venue.buy(taker, 1, 2_500)) == []
    events = venue.buy(taker, 1, 2_500)
    assert canceled(events) == [CancelReason.PROTECTION] * 2
    (tripped,) = [event for event in events if isinstance(event, ProtectionTripped)]
    assert tripped.frozen_until_ns == venue.time_ns + 30 * NS
    assert venue.view(plain).status.name == "OPEN"


def test_a_sweep_is_one_instant() -> None:
    """One taker order may take more than the limit; what it matched stands."""
    venue, maker, taker = protected(quantity_limit=contracts(2))
    quote(venue, maker)
    venue.buy(taker, 4, 2_500)
    assert venue.position(taker) == contracts(4)
    assert venue.book()[1] == []


@pytest.mark.parametrize(
    "limits",
    [
        {"delta_limit": 1_000_000},  # two contracts of half a delta
        {"vega_limit": 200_000_000},  # two contracts of 100 a point
    ],
)
def test_greeks_trip_it_too(limits: dict[str, int]) -> None:
    """The marks of the test have a delta of 0.5 and a vega of 100."""
    venue, maker, taker = protected(**limits)
    quote(venue, maker)
    assert canceled(venue.buy(taker, 1, 2_500)) == []
    assert canceled(venue.buy(taker, 1, 2_500)) == [CancelReason.PROTECTION]


def test_slow_fills_trip_nothing() -> None:
    """Only the interval counts."""
    venue, maker, taker = protected(quantity_limit=contracts(2))
    quote(venue, maker)
    for _ in range(3):
        assert canceled(venue.buy(taker, 1, 2_500)) == []
        venue.wait(10)


def test_a_frozen_maker_waits_or_resets() -> None:
    """Protected orders are refused until then; others are not."""
    venue, maker, taker = protected(quantity_limit=contracts(1))
    quote(venue, maker)
    venue.buy(taker, 1, 2_500)
    assert refusals(quote(venue, maker)) == [RejectReason.PROTECTION_FROZEN]
    assert refusals(venue.sell(maker, 1, 2_500)) == []
    events = venue.send(ResetProtection(subaccount_id=maker, underlying_id=1))
    assert names(events) == ["ProtectionLifted"]
    assert refusals(quote(venue, maker)) == []


def test_without_a_frozen_time_only_a_reset_helps() -> None:
    """Deribit's frozen_time of zero."""
    venue, maker, taker = protected(quantity_limit=contracts(1), frozen_ns=0)
    quote(venue, maker)
    (tripped,) = [
        event for event in venue.buy(taker, 1, 2_500) if isinstance(event, ProtectionTripped)
    ]
    assert tripped.frozen_until_ns == 0
    venue.wait(100_000)
    venue.index()
    assert refusals(quote(venue, maker)) == [RejectReason.PROTECTION_FROZEN]


def test_a_protected_order_needs_limits() -> None:
    """Silence would leave a maker unprotected who thinks otherwise."""
    venue, maker, _ = protected(quantity_limit=1)
    events = venue.send(SetProtection(subaccount_id=maker, underlying_id=1, limits=None))
    assert names(events) == ["ProtectionSet"]
    assert refusals(quote(venue, maker)) == [RejectReason.NOT_PROTECTED]


def test_unknown_makers_and_underlyings_are_refused() -> None:
    """By the name of what is unknown."""
    venue, maker, _ = protected(quantity_limit=1)
    for subaccount_id, underlying_id, reason in (
        (99, 1, RejectReason.UNKNOWN_SUBACCOUNT),
        (maker, 9, RejectReason.UNKNOWN_INSTRUMENT),
    ):
        for command in (
            SetProtection(subaccount_id=subaccount_id, underlying_id=underlying_id, limits=None),
            ResetProtection(subaccount_id=subaccount_id, underlying_id=underlying_id),
        ):
            assert refusals(venue.send(command)) == [reason]


def test_the_state_hash_covers_protection() -> None:
    """And a replay trips at the same fill."""
    venue, maker, taker = protected(quantity_limit=contracts(1))
    quote(venue, maker)
    venue.buy(taker, 1, 2_500)
    assert venue.twin().state_hash() == venue.engine.state_hash()
