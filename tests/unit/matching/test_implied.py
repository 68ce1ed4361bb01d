"""What a combo order takes from the books of its legs."""

import pytest

from exchange.matching.implied import ComboOrder, LegFill, LegView, Slice, plan_implied
from exchange.model import Leg, Side

SPREAD = (Leg(1, 1), Leg(2, -1))
RATIO = (Leg(1, 1), Leg(2, -2))
BUY, SELL = Side.BUY, Side.SELL
LOT = 100


def view(bids=(), asks=(), low=1, high=10_000):
    return LegView(list(bids), list(asks), low, high)


def plan(legs, views, side, net_limit, quantity):
    return plan_implied(legs, views, ComboOrder(side, net_limit, quantity, LOT))


def test_buying_a_spread_lifts_the_offer_of_one_leg_and_hits_the_bid_of_the_other():
    views = [view(asks=[(50, 300)]), view(bids=[(20, 500)])]
    fills = (LegFill(1, BUY, 50, 300), LegFill(2, SELL, 20, 300))
    assert plan(SPREAD, views, BUY, 30, 400) == (Slice(30, 300, fills),)
    assert plan(SPREAD, views, BUY, 29, 400) == ()


def test_selling_a_spread_takes_the_other_sides_and_wants_at_least_the_limit():
    views = [view(bids=[(48, 300)]), view(asks=[(22, 500)])]
    fills = (LegFill(1, SELL, 48, 200), LegFill(2, BUY, 22, 200))
    assert plan(SPREAD, views, SELL, 26, 200) == (Slice(26, 200, fills),)
    assert plan(SPREAD, views, SELL, 27, 200) == ()


def test_each_slice_has_one_net_price_and_the_first_too_dear_ends_the_plan():
    views = [view(asks=[(50, 100), (53, 900)]), view(bids=[(20, 400), (19, 900)])]
    found = plan(SPREAD, views, BUY, 33, 2_000)
    assert [(part.net_price, part.quantity) for part in found] == [(30, 100), (33, 300)]


def test_a_lot_may_need_two_levels_of_one_leg():
    views = [view(asks=[(50, 900)]), view(bids=[(20, 300), (18, 900)])]
    found = plan(RATIO, views, BUY, 99, 400)
    assert [(part.net_price, part.quantity) for part in found] == [(10, 100), (12, 100), (14, 200)]
    assert found[1].fills == (
        LegFill(1, BUY, 50, 100),
        LegFill(2, SELL, 20, 100),
        LegFill(2, SELL, 18, 100),
    )


def test_a_lot_trades_with_all_its_legs_or_not_at_all():
    views = [view(asks=[(50, 900)]), view(bids=[(20, 300)])]
    found = plan(RATIO, views, BUY, 99, 400)
    assert [part.quantity for part in found] == [100]
    assert plan(RATIO, [view(asks=[(50, 900)]), view()], BUY, 99, 400) == ()


def test_no_leg_trades_outside_its_band_or_past_an_order_outside_it():
    inside = view(bids=[(20, 900)])
    dear = view(asks=[(50, 100), (60, 900)], high=59)
    assert [part.quantity for part in plan(SPREAD, [dear, inside], BUY, 99, 400)] == [100]
    passed = view(asks=[(40, 100), (50, 900)], low=45)
    assert plan(SPREAD, [passed, inside], BUY, 99, 400) == ()


def test_a_net_price_may_be_negative():
    views = [view(asks=[(20, 100)]), view(bids=[(50, 100)])]
    assert [part.net_price for part in plan(SPREAD, views, BUY, -30, 100)] == [-30]


@pytest.mark.parametrize("quantity", [150, 50])
def test_quantities_are_whole_lots(quantity):
    with pytest.raises(AssertionError):
        plan(SPREAD, [view(asks=[(20, 100)]), view(bids=[(50, 100)])], BUY, 0, quantity)
    with pytest.raises(AssertionError):
        plan(SPREAD, [view(asks=[(20, quantity)]), view(bids=[(50, 100)])], BUY, 0, 100)
