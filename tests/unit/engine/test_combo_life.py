"""Orders in combos live as others do: protected, linked, canceled, expired, replayed."""

import pytest
from tests.unit.engine.test_combo_trading import ANNE, BUY, HIGH, SELL, Market, combo_trades
from tests.venue import (
    C,
    canceled,
    contracts,
    fills,
    refusals,
)

from exchange.commands import (
    PlaceLinked,
    ProtectionParameters,
    SetProtection,
)
from exchange.events import (
    CancelReason,
    OrderCanceled,
    OrderPlaced,
    RejectReason,
    Traded,
)
from exchange.model import (
    HitCondition,
    LinkKind,
)


@pytest.fixture
def market() -> Market:
    return Market()


def test_protection_counts_the_legs_of_a_combo(market: Market) -> None:
    """A maker's quotes in the combo trip it by what the legs trade."""
    market.venue.send(
        SetProtection(
            subaccount_id=market.anne,
            underlying_id=1,
            limits=ProtectionParameters(
                interval_ns=10**9, frozen_ns=0, quantity_limit=contracts(2)
            ),
        )
    )
    market.sell(market.anne, 1, 1_000, mmp=True)
    market.sell(market.anne, 1, 1_010, mmp=True)
    events = market.buy(market.bob, 1, 1_000)
    assert canceled(events) == [(contracts(1), CancelReason.PROTECTION)]


def test_a_combo_order_may_be_linked(market: Market) -> None:
    """One that fills cancels the other."""
    commands = tuple(
        market.venue.sign(
            market.anne,
            side,
            1,
            price,
            market.combo.instrument_id,
            legs_hash=market.combo.legs_hash,
        )
        for side, price in ((BUY, 900), (SELL, 1_100))
    )
    market.venue.send(
        PlaceLinked(kind=LinkKind.OCO, condition=HitCondition.ANY_FILL, orders=commands)
    )
    assert market.book() == [[(900, 1)], [(1_100, 1)]]
    events = market.sell(market.bob, "0.5", 900)
    assert (contracts(1), CancelReason.LINKED) in canceled(events)
    assert market.book() == [[(900, 0.5)], []]


def test_a_makers_reduce_only_leg_is_passed_over_while_his_combo_may_trade(market: Market) -> None:
    """One command must not use the same position twice."""
    market.leg(market.carl, BUY, 5, 1_500, HIGH)
    market.leg(market.bob, BUY, 1, 2_500)
    market.leg(market.carl, SELL, 1, 2_500)
    market.venue.sell(market.bob, 1, 2_400, reduce_only=True)
    market.sell(market.bob, 1, 1_000)
    events = market.buy(market.anne, 2, 1_000)
    assert combo_trades(events)[0] == (1_000, 1)
    assert market.venue.position(market.bob) == 0
    assert [e.reason for e in events if isinstance(e, OrderCanceled)] == [CancelReason.REDUCE_ONLY]


def test_an_iceberg_in_a_leg_trades_slice_after_slice(market: Market) -> None:
    """Behind those that show themselves at its price."""
    market.venue.sell(market.carl, 3, 2_500, max_show=contracts(1))
    market.leg(market.bob, SELL, 1, 2_500)
    market.leg(market.carl, BUY, 5, 1_500, HIGH)
    events = market.buy(market.anne, 4, 1_000)
    makers = [
        event.maker_subaccount_id
        for event in events
        if isinstance(event, Traded) and event.instrument_id == C
    ]
    assert makers == [market.carl, market.bob, market.carl, market.carl]


def test_an_order_in_a_combo_ends_with_it(market: Market) -> None:
    """When the first leg expires."""
    from tests.venue import EXPIRY_S

    placed = market.buy(market.anne, 1, 1_000, deadline=market.venue.now_s + 10)
    assert isinstance(placed[0], OrderPlaced)
    market.venue.wait(11)
    assert canceled(market.venue.index()) == [(contracts(1), CancelReason.DEADLINE)]
    market.venue.wait_until(EXPIRY_S - 600)
    market.venue.index()
    market.buy(market.anne, 1, 1_000, deadline=EXPIRY_S + 9_000)
    market.venue.wait_until(EXPIRY_S + 3_600)
    events = market.venue.expire()
    assert (contracts(1), CancelReason.EXPIRED) in canceled(events)


def test_margin_is_that_of_the_package() -> None:
    """A short spread that would need two naked options leg by leg fits a small account."""
    market = Market()
    small = market.venue.fund(ANNE, 7_000)
    assert refusals(market.leg(small, SELL, 2, 2_500)) == [RejectReason.INSUFFICIENT_MARGIN]
    assert refusals(market.sell(small, 2, 1_000)) == []
    assert fills(market.buy(market.bob, 2, 1_000)) != []


def test_replay_gives_the_same_state(market: Market) -> None:
    """Everything goes through the journal."""
    market.leg(market.carl, SELL, 2, 2_500)
    market.buy(market.anne, 3, 1_000)
    market.leg(market.carl, BUY, 5, 1_500, HIGH)
    market.sell(market.bob, 1, 1_000)
    assert market.venue.twin().state_hash() == market.venue.engine.state_hash()
