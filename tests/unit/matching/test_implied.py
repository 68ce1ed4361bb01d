"""What a combo order trades: with its own book, with the books of its legs, and at which prices."""

import pytest

from exchange.fixed import PRICE_QUANTUM
from exchange.matching.implied import (
    ComboOrder,
    LegFill,
    LegView,
    Match,
    Offer,
    Rival,
    Slice,
    Stop,
    allot,
    net_band,
    offers,
    plan_combo,
)
from exchange.matching.placement import Order
from exchange.model import Leg, SelfTradePrevention, Side

SPREAD = (Leg(1, 1), Leg(2, -1))
RATIO = (Leg(1, 1), Leg(2, -2))
BUY, SELL = Side.BUY, Side.SELL
LOT = 100


def view(*levels, low=1, high=10_000):
    """Offers of one leg as (price, quantity), each of an order of its own."""
    return LegView([Offer(at, *level) for at, level in enumerate(levels, 1)], low, high)


def plan(legs, views, side, net_limit, quantity, rivals=(), fills_max=50, **more):
    order = ComboOrder(side, net_limit, quantity, LOT, fills_max, **more)
    found = plan_combo(legs, views, rivals, order)
    traded = sum(step.quantity for step in found.steps)
    assert traded + found.left + found.canceled == quantity
    return found


def rival(order_id, price, quantity, *, is_own=False, is_allotted=True):
    return Rival(order_id, price, quantity, is_own, is_allotted)


def nets(found):
    return [(step.value // step.quantity, step.quantity) for step in found.steps]


def test_buying_a_spread_lifts_the_offer_of_one_leg_and_hits_the_bid_of_the_other():
    views = [view((50, 300)), view((20, 500))]
    fills = (LegFill(1, BUY, 1, 50, 300), LegFill(2, SELL, 1, 20, 300))
    found = plan(SPREAD, views, BUY, 30, 400)
    assert found.steps == (Slice(30 * 300, 300, fills),)
    assert (found.left, found.stop) == (100, Stop.PRICE)
    assert plan(SPREAD, views, BUY, 29, 400).steps == ()


def test_selling_a_spread_takes_the_other_sides_and_wants_at_least_the_limit():
    views = [view((48, 300)), view((22, 500))]
    fills = (LegFill(1, SELL, 1, 48, 200), LegFill(2, BUY, 1, 22, 200))
    assert plan(SPREAD, views, SELL, 26, 200).steps == (Slice(26 * 200, 200, fills),)
    assert plan(SPREAD, views, SELL, 27, 200).steps == ()


def test_each_slice_has_one_net_price_and_the_first_too_dear_ends_the_plan():
    views = [view((50, 100), (53, 900)), view((20, 400), (19, 900))]
    assert nets(plan(SPREAD, views, BUY, 33, 2_000)) == [(30, 100), (33, 300)]


def test_a_lot_may_need_two_offers_of_one_leg():
    views = [view((50, 900)), view((20, 300), (18, 900))]
    found = plan(RATIO, views, BUY, 99, 400)
    assert nets(found) == [(10, 100), (12, 100), (14, 200)]
    assert found.steps[1].fills == (
        LegFill(1, BUY, 1, 50, 100),
        LegFill(2, SELL, 1, 20, 100),
        LegFill(2, SELL, 2, 18, 100),
    )


def test_a_lot_trades_with_all_its_legs_or_not_at_all():
    views = [view((50, 900)), view((20, 300))]
    assert nets(plan(RATIO, views, BUY, 99, 400)) == [(10, 100)]
    assert plan(RATIO, [view((50, 900)), view()], BUY, 99, 400).steps == ()


def test_offers_smaller_than_a_lot_are_put_together():
    """A leg with a finer lot: the value is exact, the net price need not be a whole number."""
    found = plan(SPREAD, [view((50, 30), (53, 70)), view((20, 500))], BUY, 33, 100)
    assert [step.value for step in found.steps] == [50 * 30 + 53 * 70 - 20 * 100]


def test_no_leg_trades_outside_its_band_or_past_an_order_outside_it():
    inside = view((20, 900))
    dear = view((50, 100), (60, 900), high=59)
    assert nets(plan(SPREAD, [dear, inside], BUY, 99, 400)) == [(30, 100)]
    passed = view((40, 100), (50, 900), low=45)
    assert plan(SPREAD, [passed, inside], BUY, 99, 400).steps == ()


def test_a_net_price_may_be_negative():
    views = [view((20, 100)), view((50, 100))]
    assert nets(plan(SPREAD, views, BUY, -30, 100)) == [(-30, 100)]


def test_quantities_are_whole_lots():
    with pytest.raises(AssertionError):
        plan(SPREAD, [view((20, 100)), view((50, 100))], BUY, 0, 150)


def test_the_better_net_price_comes_first_and_the_own_book_at_equal_ones():
    views = [view((50, 100), (52, 900)), view((20, 900))]
    rivals = (rival(7, 30, 100), rival(8, 31, 100), rival(9, 33, 100))
    found = plan(SPREAD, views, BUY, 32, 500, rivals)
    assert found.steps[0] == Match(7, 30, 100)
    assert found.steps[2] == Match(8, 31, 100)
    assert [type(step) for step in found.steps] == [Match, Slice, Match, Slice]
    assert (found.left, found.stop) == (0, Stop.PRICE)


def test_a_rival_larger_than_the_order_stays_for_others():
    found = plan(SPREAD, [view(), view()], SELL, 10, 200, (rival(7, 12, 500),))
    assert found.steps == (Match(7, 12, 200),)
    assert plan(SPREAD, [view(), view()], SELL, 13, 200, (rival(7, 12, 500),)).steps == ()


@pytest.mark.parametrize(
    ("mode", "prevented", "canceled", "left", "stop"),
    [
        (SelfTradePrevention.CANCEL_TAKER, (), 300, 0, Stop.SELF_TRADE),
        (SelfTradePrevention.CANCEL_MAKER, ((7, 200, 0),), 0, 300, Stop.PRICE),
        (SelfTradePrevention.CANCEL_BOTH, ((7, 200, 0),), 300, 0, Stop.SELF_TRADE),
        (SelfTradePrevention.DECREMENT, ((7, 200, 0),), 200, 100, Stop.PRICE),
    ],
)
def test_self_trade_prevention(mode, prevented, canceled, left, stop):
    found = plan(
        SPREAD, [view(), view()], BUY, 40, 300, (rival(7, 30, 200, is_own=True),), prevention=mode
    )
    assert (found.prevented, found.canceled, found.left) == (prevented, canceled, left)
    assert found.stop is stop


def test_a_plan_has_so_many_trades_and_no_half_lot():
    views = [view(*[(50, 100)] * 4), view(*[(20, 100)] * 4)]
    found = plan(SPREAD, views, BUY, 30, 400, fills_max=5)
    assert (len(found.steps), found.left, found.stop) == (2, 200, Stop.FILLS)
    rivals = (rival(7, 30, 100), rival(8, 30, 100))
    found = plan(SPREAD, [view(), view()], BUY, 30, 400, rivals, fills_max=3)
    assert (len(found.steps), found.stop) == (1, Stop.FILLS)


def test_a_rival_without_prices_for_the_legs_stops_the_plan():
    found = plan(SPREAD, [view(), view()], BUY, 30, 100, (rival(7, 5, 100, is_allotted=False),))
    assert (found.steps, found.left, found.stop) == ((), 100, Stop.BAND)


def test_offers_follow_the_queue_and_pass_over_the_owner():
    """Icebergs queue up again behind the others at their price."""
    orders = [
        Order(1, 11, 1, 1, 50, 250, 100, 100),
        Order(2, 12, 2, 1, 50, 900, 900, 0),
        Order(3, 13, 3, 1, 50, 60, 60, 0),
        Order(4, 14, 3, 1, 51, 10, 10, 0),
    ]
    assert list(offers(orders, 2)) == [
        Offer(1, 50, 100),
        Offer(3, 50, 60),
        Offer(1, 50, 100),
        Offer(1, 50, 50),
        Offer(4, 51, 10),
    ]


BANDS = [(1, 100), (1, 100)]


def cents(*prices):
    return tuple(price * PRICE_QUANTUM for price in prices)


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        (30, (50, 20)),
        (31, (51, 20)),
        (0, (20, 20)),
        (80, (100, 20)),
        (90, (100, 10)),
        (99, (100, 1)),
        (100, None),
        (-99, (1, 100)),
    ],
)
def test_the_dearest_leg_takes_the_difference_as_far_as_its_band_allows(net, expected):
    bands = [cents(*band) for band in BANDS]
    found = allot(SPREAD, cents(50, 20), bands, net * PRICE_QUANTUM)
    assert found == (cents(*expected) if expected else None)


def test_ratios_leave_no_remainder():
    legs = (Leg(1, 2), Leg(2, -3))
    bands = [cents(1, 100), cents(1, 100)]
    found = allot(legs, cents(50, 20), bands, 41 * PRICE_QUANTUM)
    assert found is not None
    assert 2 * found[0] - 3 * found[1] == 41 * PRICE_QUANTUM
    assert allot(legs, cents(50, 20), bands, 41 * PRICE_QUANTUM + 1) is None


def test_a_mark_outside_the_grid_is_brought_onto_it_and_an_empty_band_gives_nothing():
    bands = [(15_000, 25_000), cents(1, 9)]
    assert allot(SPREAD, (24_999, 30_000), bands, -10_000) == cents(2, 3)
    assert allot(SPREAD, (24_999, 30_000), [(15_000, 16_000), cents(1, 9)], 0) is None


def test_the_band_of_a_combo_is_the_sum_of_those_of_its_legs():
    assert net_band(SPREAD, [(10, 20), (3, 4)]) == (6, 17)


def test_own_rivals_that_are_decremented_add_up():
    own = (rival(7, 30, 200, is_own=True), rival(8, 31, 100, is_own=True))
    mode = SelfTradePrevention.DECREMENT
    found = plan(SPREAD, [view(), view()], BUY, 40, 500, own, prevention=mode)
    assert (found.prevented, found.canceled, found.left) == (((7, 200, 0), (8, 100, 0)), 300, 200)


def test_the_last_fill_that_is_allowed_is_made():
    """With legs and with rivals, each of which costs a fill for each leg."""
    views = [view(*[(50, 100)] * 4), view(*[(20, 100)] * 4)]
    found = plan(SPREAD, views, BUY, 30, 400, fills_max=4)
    assert (len(found.steps), found.left, found.stop) == (2, 200, Stop.FILLS)
    rivals = tuple(rival(number, 30, 100) for number in (7, 8, 9))
    found = plan(SPREAD, [view(), view()], BUY, 40, 300, rivals, fills_max=4)
    assert (len(found.steps), found.left, found.stop) == (2, 100, Stop.FILLS)
