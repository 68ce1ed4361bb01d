"""Orders that stand take other terms and prices: icebergs in place, volatility orders repriced."""

import pytest
from tests.venue import C, canceled, contracts, fills, limits, names, open_venue, refusals, usdc

from exchange.commands import AmendOrder, Halt, PricedOrder, Reprice, Resume
from exchange.events import CancelReason, OrderAmended, OrderRepriced, RejectReason
from exchange.fixed import VOL_SCALE
from exchange.model import TimeInForce

LOT = 100
VOLATILITY = 65 * VOL_SCALE // 100


def follow(venue, who, side, quantity, price, worst, **changes):
    """A volatility order, worth `price` now."""
    enter = venue.buy if side == "buy" else venue.sell
    return enter(who, quantity, worst, volatility=VOLATILITY, worth=usdc(price), **changes)


def reprice(venue, *moves):
    """(order's events, price) to the engine."""
    orders = tuple(
        PricedOrder(order_id=venue.view(events).order_id, price=usdc(price))
        for events, price in moves
    )
    return venue.send(Reprice(orders=orders))


def amend(venue, events, **changes):
    """As `Venue.amend`, with fields of the command too."""
    old = venue.terms_of(events)
    own = {name: changes.pop(name) for name in ("max_show", "volatility", "worth") & changes.keys()}
    fields = {"version": old.version + 1} | changes
    terms = type(old)(**{name: getattr(old, name) for name in old.__struct_fields__} | fields)
    found = venue.send(AmendOrder(terms=terms, signature=b"", **own))
    if not refusals(found):
        venue.signed[terms.subaccount_id, terms.nonce] = terms
    return found


# --- icebergs ---


def test_an_iceberg_that_only_falls_keeps_its_place(venue, ann, bob):
    """Its slice falls with it; whoever came later stays behind."""
    iceberg = venue.sell(ann, 5, 2_500, max_show=contracts(2))
    venue.sell(bob, 1, 2_500)
    (amended,) = amend(venue, iceberg, quantity=contracts(1))
    assert (amended.in_place, amended.max_show) == (True, contracts(1))
    carol = venue.fund("carol")
    assert fills(venue.buy(carol, 1, 2_500)) == [(usdc(2_500), contracts(1))]
    assert venue.view(iceberg).filled_quantity == contracts(1)


def test_a_slice_that_was_widened_stays_when_the_quantity_falls(venue, ann):
    """A hundredth of 50 is 0.5; of the 40 that are left it would be 0.4."""
    iceberg = venue.sell(ann, 50, 2_500, max_show=LOT)
    (amended,) = amend(venue, iceberg, quantity=contracts(40))
    assert (amended.in_place, amended.max_show) == (True, contracts("0.5"))
    assert venue.book()[1] == [(usdc(2_500), contracts("0.5"))]


def test_a_widened_slice_is_in_lots(venue, ann, bob):
    """A hundredth of 1.42 contracts is 1.42 lots: whoever took them would hold what none closes."""
    venue.sell(ann, "1.42", 2_500, max_show=LOT)
    assert venue.book()[1] == [(usdc(2_500), 2 * LOT)]
    venue.buy(bob, "0.05", 2_500)
    assert venue.position(bob) == 5 * LOT


@pytest.mark.parametrize(("max_show", "shown"), [(3, 3), (0, 5)])
def test_another_slice_is_a_new_arrival(venue, ann, max_show, shown):
    iceberg = venue.sell(ann, 5, 2_500, max_show=contracts(2))
    (amended,) = amend(venue, iceberg, max_show=contracts(max_show))
    assert not amended.in_place
    assert venue.book()[1] == [(usdc(2_500), contracts(shown))]


def test_the_same_slice_again_changes_nothing(venue, ann):
    iceberg = venue.sell(ann, 5, 2_500, max_show=contracts(2))
    (amended,) = amend(venue, iceberg, max_show=contracts(2), quantity=contracts(4))
    assert amended.in_place


def test_a_slice_lies_on_the_lot_grid(venue, ann):
    assert refusals(venue.sell(ann, 5, 2_500, max_show=LOT + 1)) == [RejectReason.QUANTITY_OFF_LOT]
    iceberg = venue.sell(ann, 5, 2_500, max_show=LOT)
    assert refusals(amend(venue, iceberg, max_show=1)) == [RejectReason.QUANTITY_OFF_LOT]


# --- market orders ---


def test_a_market_order_takes_at_most_the_band(venue, ann, bob):
    """The mark is 2,500 and the band a tenth of the index; the signed worst price lies beyond."""
    venue.sell(ann, 1, 12_500)
    venue.sell(ann, 1, "12500.01")
    events = venue.buy(bob, 3, 20_000, market=True, time_in_force=TimeInForce.IOC)
    assert fills(events) == [(usdc(12_500), contracts(1))]
    assert canceled(events) == [(contracts(2), CancelReason.IMMEDIATE_OR_CANCEL)]
    assert refusals(venue.buy(bob, 3, 20_000, time_in_force=TimeInForce.IOC)) == [
        RejectReason.PRICE_OUTSIDE_BAND
    ]


def test_a_market_order_to_sell_takes_at_least_the_band():
    venue = open_venue(limits=limits(band_rate=10**16))  # 1,000 of 100,000
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.buy(ann, 1, "1500.01")
    venue.buy(ann, 1, 1_500)
    venue.buy(ann, 1, "1499.99")
    events = venue.sell(bob, 3, 1, market=True, time_in_force=TimeInForce.IOC)
    assert fills(events) == [(usdc("1500.01"), contracts(1)), (usdc(1_500), contracts(1))]


def test_the_signed_worst_price_binds_within_the_band(venue, ann, bob):
    venue.sell(ann, 1, 2_600)
    assert fills(venue.buy(bob, 1, 2_599, market=True, time_in_force=TimeInForce.IOC)) == []


def test_margin_counts_a_market_order_at_what_it_can_cost(venue, ann):
    """Not at a worst price that the band rules out."""
    poor = venue.fund("poor", 13_000)
    venue.sell(ann, 1, 2_500)
    events = venue.buy(poor, 1, 900_000, market=True, time_in_force=TimeInForce.IOC)
    assert fills(events) == [(usdc(2_500), contracts(1))]


def test_no_price_is_left_where_the_band_ends_below_a_tick():
    venue = open_venue(limits=limits(band_rate=0))
    ann = venue.fund("ann")
    venue.mark({C: 0})
    market = {"market": True, "time_in_force": TimeInForce.IOC}
    assert refusals(venue.buy(ann, 1, 100, **market)) == [RejectReason.PRICE_OUTSIDE_BAND]


# --- volatility orders ---


@pytest.mark.parametrize(
    ("side", "price", "worst", "rests"),
    [
        ("buy", 2_400, 2_600, 2_400),
        ("buy", 2_700, 2_600, 2_600),
        ("sell", 2_600, 2_400, 2_600),
        ("sell", 2_300, 2_400, 2_400),
        ("buy", 20_000, 30_000, 12_500),
    ],
)
def test_it_rests_where_its_volatility_says_within_its_bounds(
    venue, ann, side, price, worst, rests
):
    """The signed worst price, and the band."""
    events = follow(venue, ann, side, 1, price, worst)
    view = venue.view(events)
    assert (view.limit_price, view.worst_price) == (usdc(rests), usdc(worst))
    assert view.volatility == VOLATILITY


@pytest.mark.parametrize(("price", "rests"), [(2_450, 2_450), (2_550, 2_550), (2_700, 2_600)])
def test_it_is_moved_and_never_beyond_its_worst_price(venue, ann, price, rests):
    order = follow(venue, ann, "buy", 1, 2_500, 2_600)
    (moved,) = reprice(venue, (order, price))
    assert isinstance(moved, OrderRepriced)
    assert moved.limit_price == usdc(rests)
    assert venue.book()[0] == [(usdc(rests), contracts(1))]


def test_it_loses_its_priority(venue, ann, bob):
    order = follow(venue, ann, "buy", 1, 2_400, 2_600)
    other = venue.buy(bob, 1, 2_500)
    reprice(venue, (order, 2_500))
    venue.sell(venue.fund("carol"), 1, 2_500)
    assert venue.view(other).filled_quantity == contracts(1)
    assert venue.view(order).filled_quantity == 0


def test_it_trades_where_it_is_moved_across(venue, ann, bob):
    order = follow(venue, ann, "buy", 2, 2_400, 2_600)
    venue.sell(bob, 1, 2_500)
    events = reprice(venue, (order, 2_550))
    assert names(events)[:2] == ["OrderRepriced", "Traded"]
    assert fills(events) == [(usdc(2_500), contracts(1))]
    assert venue.book() == ([(usdc(2_550), contracts(1))], [])


def test_the_same_price_changes_nothing(venue, ann):
    order = follow(venue, ann, "buy", 1, 2_500, 2_600)
    assert reprice(venue, (order, 2_500)) == ()
    reprice(venue, (order, 2_600))
    assert reprice(venue, (order, 2_700)) == ()


@pytest.mark.parametrize(
    ("side", "other", "price"), [("buy", 2_510, 2_520), ("sell", 2_490, 2_480)]
)
def test_a_post_only_order_steps_back_once(venue, ann, bob, side, other, price):
    """Asked again it stays, and keeps its place."""
    (venue.sell if side == "buy" else venue.buy)(bob, 1, other)
    order = follow(venue, ann, side, 1, 2_500, price, post_only=True)
    (moved,) = reprice(venue, (order, price))
    step = usdc("0.01") if side == "buy" else -usdc("0.01")
    assert moved.limit_price == usdc(other) - step
    assert reprice(venue, (order, price)) == ()


def test_a_post_only_order_without_an_opposite_side_moves_freely(venue, ann):
    order = follow(venue, ann, "buy", 1, 2_400, 2_600, post_only=True)
    assert len(reprice(venue, (order, 2_500))) == 1


def test_one_that_would_rather_be_refused_stays(venue, ann, bob):
    venue.sell(bob, 1, 2_500)
    terms = {"post_only": True, "reject_post_only": True}
    order = follow(venue, ann, "buy", 1, 2_400, 2_600, **terms)
    assert reprice(venue, (order, 2_550)) == ()
    assert venue.view(order).limit_price == usdc(2_400)


def test_prices_for_other_orders_are_refused_whole(venue, ann):
    """A typed list of prices must not move a limit order."""
    order, plain = follow(venue, ann, "buy", 1, 2_400, 2_600), venue.buy(ann, 1, 2_400)
    before = venue.engine.order(venue.view(order).order_id)
    assert refusals(reprice(venue, (order, 2_450), (plain, 2_450))) == [RejectReason.UNKNOWN_ORDER]
    unknown = Reprice(orders=(PricedOrder(order_id=999, price=usdc(2_450)),))
    assert refusals(venue.send(unknown)) == [RejectReason.UNKNOWN_ORDER]
    assert refusals(reprice(venue, (order, 0))) == [RejectReason.PRICE_NOT_POSITIVE]
    assert refusals(reprice(venue, (order, "2450.001"))) == [RejectReason.PRICE_OFF_TICK]
    assert venue.view(order) == before


def test_one_that_is_over_is_passed_over(venue, ann):
    """Between the question and the answer it was canceled; the others move."""
    gone, order = (follow(venue, ann, "buy", 1, 2_400, 2_600) for _ in range(2))
    venue.cancel(gone)
    assert len(venue.engine._venue.volatility_orders) == 1, "not only after the next prices"
    assert len(reprice(venue, (gone, 2_450), (order, 2_450))) == 1
    assert [view.order_id for view in venue.engine.volatility_orders()] == [
        venue.view(order).order_id
    ]
    assert len(venue.engine._venue.volatility_orders) == 1


def test_a_halt_keeps_it_where_it_is_and_an_auction_moves_it_unmatched(venue, ann, bob):
    order = follow(venue, ann, "buy", 1, 2_400, 2_600)
    venue.sell(bob, 1, 2_500)
    venue.send(Halt(instrument_id=C))
    assert reprice(venue, (order, 2_550)) == ()
    venue.send(Resume(instrument_id=C))
    events = reprice(venue, (order, 2_550))
    assert names(events) == ["OrderRepriced"]
    venue.wait(61)
    assert fills(venue.index())  # the auction's price


def test_a_stale_index_keeps_it_where_it_is(venue, ann):
    order = follow(venue, ann, "buy", 1, 2_400, 2_600)
    venue.wait(31)
    assert reprice(venue, (order, 2_500)) == ()


def test_stale_marks_keep_it_where_it_is():
    venue = open_venue(limits=limits(marks_age_ns_max=10**10))
    order = follow(venue, venue.fund("ann"), "buy", 1, 2_400, 2_600)
    venue.wait(11)
    assert reprice(venue, (order, 2_500)) == ()


def test_a_full_batch_leaves_the_rest_to_the_next_prices():
    venue = open_venue(limits=limits(batch_items_max=1))
    ann, bob = venue.fund("ann"), venue.fund("bob")
    first, second = (follow(venue, ann, "buy", 1, 2_400, 2_600) for _ in range(2))
    venue.sell(bob, 2, 2_500)
    moves = (first, 2_550), (second, 2_550)
    assert len(fills(reprice(venue, *moves))) == 1
    assert venue.view(second).limit_price == usdc(2_400)
    assert len(fills(reprice(venue, moves[1]))) == 1


def test_an_iceberg_is_moved_with_its_slice(venue, ann):
    order = follow(venue, ann, "buy", 5, 2_400, 2_600, max_show=contracts(2))
    reprice(venue, (order, 2_500))
    assert venue.book()[0] == [(usdc(2_500), contracts(2))]


def test_its_own_price_is_checked(venue, ann):
    assert refusals(follow(venue, ann, "buy", 1, "2400.001", 2_600)) == [
        RejectReason.PRICE_OFF_TICK
    ]
    assert refusals(follow(venue, ann, "buy", 1, 0, 2_600)) == [RejectReason.PRICE_NOT_POSITIVE]


def test_margin_counts_it_at_its_worst_price(venue):
    """It may be moved there without asking again."""
    poor = venue.fund("poor", 2_300)
    assert refusals(follow(venue, poor, "buy", 1, 2_400, 2_600)) == [
        RejectReason.INSUFFICIENT_MARGIN
    ]
    assert refusals(follow(venue, poor, "buy", 1, 2_400, 2_500)) == []


def test_an_amend_gives_it_another_volatility(venue, ann):
    order = follow(venue, ann, "buy", 1, 2_400, 2_600)
    (amended,) = amend(
        venue, order, volatility=VOL_SCALE, worth=usdc(2_700), limit_price=usdc(2_650)
    )
    assert isinstance(amended, OrderAmended)
    view = venue.view(order)
    assert (view.limit_price, view.worst_price) == (usdc(2_650), usdc(2_650))
    assert view.volatility == VOL_SCALE


def test_an_amend_does_not_change_what_kind_of_order_it_is(venue, ann):
    order, plain = follow(venue, ann, "buy", 1, 2_400, 2_600), venue.buy(ann, 1, 2_400)
    assert refusals(amend(venue, order)) == [RejectReason.NOT_AMENDABLE]
    changed = amend(venue, plain, volatility=VOL_SCALE, worth=usdc(2_400))
    assert refusals(changed) == [RejectReason.NOT_AMENDABLE]
    off = amend(venue, order, volatility=VOL_SCALE, worth=1)
    assert refusals(off) == [RejectReason.PRICE_OFF_TICK]


# --- late amends ---


@pytest.mark.parametrize("canceled_first", [True, False])
def test_a_refused_amend_keeps_its_nonce_known(venue, ann, canceled_first):
    """Else whoever holds the signature could enter it as a new order after the memory's end."""
    order = venue.buy(ann, 1, 2_400, deadline=venue.now_s + 10)
    if canceled_first:
        venue.cancel(order)
    terms = venue.terms_of(order)
    late = {"version": 1, "deadline": venue.now_s + 10_000, "side": terms.side.opposite}
    wanted = RejectReason.UNKNOWN_ORDER if canceled_first else RejectReason.NOT_AMENDABLE
    assert refusals(amend(venue, order, **late)) == [wanted]
    venue.wait(3_700)
    venue.index()
    again = type(terms)(**{n: getattr(terms, n) for n in terms.__struct_fields__} | late)
    assert refusals(venue.place(again)) == [RejectReason.NONCE_USED]


def test_amends_that_keep_the_deadline_cost_no_memory(venue, ann):
    """One entry waits for the deadline, whatever else is signed; another deadline counts."""
    order = venue.buy(ann, 1, 2_400)
    for version in range(1, 9):
        venue.amend(order, version=version, limit_price=usdc(2_400 - version))
    assert len(venue.engine._venue.deadlines) == 1
    venue.amend(order, deadline=venue.now_s + 60)
    venue.wait(60)
    assert canceled(venue.index()) == [(contracts(1), CancelReason.DEADLINE)]
