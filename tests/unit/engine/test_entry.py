"""Order entry: placing, matching, fees, self-trade prevention, canceling."""

import pytest
from tests.venue import (
    FEE_ID,
    C,
    canceled,
    contracts,
    fills,
    limits,
    names,
    open_venue,
    placed_in,
    put,
    refusals,
    usdc,
)

from exchange.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    FeeSchedule,
    SessionKeySeen,
)
from exchange.events import (
    CancelReason,
    OrderRepeated,
    RejectReason,
    Traded,
)
from exchange.model import OrderStatus, SelfTradePrevention, Side, TimeInForce

# --- placing and matching ---


def test_an_order_rests(venue, ann):
    """Without a counterparty an order waits in the book, by the seq that placed it."""
    events = venue.sell(ann, 2, 2_500, label="first")
    placed = placed_in(events)
    assert placed.order_id == len(venue.entries)
    assert (placed.quantity, placed.limit_price, placed.label) == (20_000, usdc(2_500), "first")
    assert venue.book() == ([], [(usdc(2_500), 20_000)])
    view = venue.view(events)
    assert (view.status, view.filled_quantity, view.label) == (OrderStatus.OPEN, 0, "first")


def test_a_match_moves_cash_and_positions(venue, ann, bob):
    """The buyer pays the maker's price; both positions change by the quantity."""
    venue.sell(ann, 2, 2_500)
    events = venue.buy(bob, "1.5", 2_600)
    assert fills(events) == [(usdc(2_500), 15_000)]
    assert (venue.position(ann), venue.position(bob)) == (-15_000, 15_000)
    assert venue.cash(ann) == usdc(1_003_750)
    assert venue.cash(bob) == usdc(996_250)
    assert venue.book() == ([], [(usdc(2_500), 5_000)])


def test_a_trade_tells_both_sides(venue, ann, bob):
    """Orders, subaccounts and the commands that carry the signatures in force."""
    maker = placed_in(venue.sell(ann, 1, 2_500))
    (trade,) = [e for e in venue.buy(bob, 1, 2_500) if isinstance(e, Traded)]
    assert (trade.maker_order_id, trade.maker_subaccount_id) == (maker.order_id, ann)
    assert (trade.taker_order_id, trade.taker_subaccount_id) == (len(venue.entries), bob)
    assert (trade.maker_signed_seq, trade.taker_signed_seq) == (maker.order_id, len(venue.entries))
    assert (trade.trade_id, trade.taker_side) == (1, Side.BUY)


def test_price_then_time_decides(venue, ann, bob):
    """Better prices trade first, older orders first at one price; each at its own price."""
    first = venue.sell(ann, 1, 2_510)
    second = venue.sell(ann, 1, 2_500)
    third = venue.sell(ann, 1, 2_510)
    events = venue.buy(bob, "2.5", 2_510)
    assert fills(events) == [
        (usdc(2_500), 10_000),
        (usdc(2_510), 10_000),
        (usdc(2_510), 5_000),
    ]
    assert [venue.view(order).status for order in (first, second, third)] == [
        OrderStatus.FILLED,
        OrderStatus.FILLED,
        OrderStatus.OPEN,
    ]
    assert venue.view(third).filled_quantity == 5_000


def test_what_does_not_trade_rests(venue, ann, bob):
    """A partial fill leaves the rest in the book at the order's own limit."""
    venue.sell(ann, 1, 2_500)
    events = venue.buy(bob, 3, 2_550)
    assert names(events) == ["OrderPlaced", "Traded"]
    assert venue.book() == ([(usdc(2_550), 20_000)], [])
    view = venue.view(events)
    assert (view.filled_quantity, view.fill_value) == (10_000, usdc(2_500))


def test_an_ioc_cancels_its_rest(venue, ann, bob):
    """Immediate-or-cancel takes what is there and leaves."""
    venue.sell(ann, 1, 2_500)
    events = venue.buy(bob, 3, 2_550, time_in_force=TimeInForce.IOC)
    assert fills(events) == [(usdc(2_500), 10_000)]
    assert canceled(events) == [(20_000, CancelReason.IMMEDIATE_OR_CANCEL)]
    assert venue.view(events).status is OrderStatus.CANCELED
    assert venue.book() == ([], [])


def test_a_fok_fills_whole(venue, ann, bob):
    """Fill-or-kill trades when the book holds enough."""
    venue.sell(ann, 2, 2_500)
    events = venue.buy(bob, 2, 2_500, time_in_force=TimeInForce.FOK)
    assert fills(events) == [(usdc(2_500), 20_000)]
    assert venue.view(events).status is OrderStatus.FILLED


def test_a_post_only_order_steps_back(venue, ann, bob):
    """Rather than trade it rests one tick away; the event tells where."""
    venue.sell(ann, 1, 2_500)
    events = venue.buy(bob, 1, 2_600, post_only=True)
    assert placed_in(events).limit_price == usdc("2499.99")
    assert fills(events) == []
    assert venue.view(events).limit_price == usdc("2499.99")
    assert venue.book() == ([(usdc("2499.99"), 10_000)], [(usdc(2_500), 10_000)])


def test_a_post_only_order_that_does_not_cross_stays(venue, ann):
    """Post-only changes nothing for an order that would make anyway."""
    events = venue.buy(ann, 1, 2_400, post_only=True, reject_post_only=True)
    assert placed_in(events).limit_price == usdc(2_400)


def test_an_iceberg_shows_a_slice(venue, ann, bob):
    """Hidden quantity trades, and refills behind others at the price."""
    venue.sell(ann, 3, 2_500, max_show=10_000)
    assert venue.book()[1] == [(usdc(2_500), 10_000)]
    assert sum(quantity for _, quantity in fills(venue.buy(bob, 2, 2_500))) == 20_000
    assert venue.book()[1] == [(usdc(2_500), 10_000)]


def test_slices_keep_the_bounds_of_the_book(venue, ann):
    """An amend never makes a slice thinner than a hundredth or thicker than the order."""
    order = venue.sell(ann, 1, 2_600, max_show=100)
    venue.amend(order, quantity=contracts(10))
    assert venue.book()[1] == [(usdc(2_600), 1_000)]
    venue.amend(order, quantity=contracts("0.01"), version=2)
    assert venue.book()[1] == [(usdc(2_600), 100)]


@pytest.mark.parametrize("side", Side)
def test_orders_of_two_instruments_never_meet(venue, ann, bob, side):
    """Each instrument has its own book."""
    venue.order(ann, side, 1, 2_500, C)
    assert fills(venue.order(bob, side.opposite, 1, 2_500, put(100_000))) == []


# --- repeats ---


def test_the_same_content_again_changes_nothing(venue, ann, bob):
    """A retry after a lost answer learns that the first one stands."""
    venue.sell(ann, 1, 2_500)
    terms = venue.terms(bob, Side.BUY, 1, 2_500)
    first = venue.place(terms)
    again = venue.place(terms)
    expected = OrderRepeated(order_id=placed_in(first).order_id, subaccount_id=bob)
    assert again == (expected,)
    assert venue.position(bob) == 10_000


def test_a_refusal_repeats_too(venue, ann):
    """The same content does not pass later because the market moved."""
    terms = venue.terms(ann, Side.BUY, 1, 50_000)
    assert refusals(venue.place(terms)) == [RejectReason.PRICE_OUTSIDE_BAND]
    venue.mark({C: 50_000})
    assert refusals(venue.place(terms)) == [RejectReason.PRICE_OUTSIDE_BAND]
    order = venue.engine.order_by_nonce(ann, terms.nonce)
    assert (order.status, order.reject_reason) == (
        OrderStatus.REJECTED,
        RejectReason.PRICE_OUTSIDE_BAND,
    )


def test_a_nonce_serves_one_order(venue, ann):
    """Other content under a used nonce is refused, whatever became of the first."""
    order = venue.sell(ann, 1, 2_500, nonce=77)
    assert refusals(venue.sell(ann, 2, 2_500, nonce=77)) == [RejectReason.NONCE_USED]
    venue.cancel(order)
    assert refusals(venue.sell(ann, 2, 2_500, nonce=77)) == [RejectReason.NONCE_USED]
    assert refusals(venue.buy(venue.fund("bob"), 1, 2_400, nonce=77)) == []


def test_an_amended_order_is_repeated_by_its_newest_terms(venue, ann):
    """The first terms were replaced, so they are other content by then."""
    order = venue.sell(ann, 1, 2_500)
    first = venue.terms_of(order)
    venue.amend(order, limit_price=usdc(2_510))
    newest = venue.terms_of(order)
    assert names(venue.send(AmendOrder(terms=newest, signature=b""))) == ["OrderRepeated"]
    assert refusals(venue.place(first)) == [RejectReason.NONCE_USED]


# --- self-trade prevention ---


def own_cross(prevention: SelfTradePrevention, resting: int, taking: int):
    venue = open_venue()
    ann = venue.fund("ann")
    also_ann = venue.fund("ann")
    maker = venue.sell(ann, resting, 2_500)
    events = venue.buy(also_ann, taking, 2_500, self_trade_prevention=prevention)
    assert fills(events) == []
    return venue, maker, events


PREVENTIONS = [
    # mode, resting, taking, what is canceled, asks left, bids left
    (SelfTradePrevention.CANCEL_TAKER, 2, 3, [30_000], 20_000, 0),
    (SelfTradePrevention.CANCEL_MAKER, 2, 3, [20_000], 0, 30_000),
    (SelfTradePrevention.CANCEL_BOTH, 2, 3, [20_000, 30_000], 0, 0),
    (SelfTradePrevention.DECREMENT, 2, 3, [20_000, 20_000], 0, 10_000),
    (SelfTradePrevention.DECREMENT, 3, 2, [20_000, 20_000], 10_000, 0),
    (SelfTradePrevention.DECREMENT, 2, 2, [20_000, 20_000], 0, 0),
]


@pytest.mark.parametrize(("mode", "resting", "taking", "gone", "asks", "bids"), PREVENTIONS)
def test_owners_never_trade_with_themselves(mode, resting, taking, gone, asks, bids):
    """Across all subaccounts of an owner; the order that arrives says who gives way."""
    venue, _, events = own_cross(mode, resting, taking)
    assert canceled(events) == [(quantity, CancelReason.SELF_TRADE) for quantity in gone]
    book = venue.book()
    assert [sum(quantity for _, quantity in side) for side in book] == [bids, asks]


def test_a_decremented_maker_keeps_the_rest():
    """What prevention took counts as canceled, and the order fills later by what is left."""
    venue, maker, events = own_cross(SelfTradePrevention.DECREMENT, 3, 2)
    assert venue.view(events).status is OrderStatus.CANCELED
    assert venue.view(maker).status is OrderStatus.OPEN
    bob = venue.fund("bob")
    assert fills(venue.buy(bob, 3, 2_500)) == [(usdc(2_500), 10_000)]
    view = venue.view(maker)
    assert (view.status, view.filled_quantity) == (OrderStatus.CANCELED, 10_000)


def test_a_taker_trades_with_others_before_its_own(venue, ann, bob):
    """Prevention strikes only when an own order is next in line."""
    venue.sell(bob, 1, 2_490)
    venue.sell(ann, 1, 2_500)
    events = venue.buy(ann, 2, 2_500)
    assert fills(events) == [(usdc(2_490), 10_000)]
    assert canceled(events) == [(10_000, CancelReason.SELF_TRADE)]


# --- canceling ---


def test_canceling_one_order(venue, ann, bob):
    """All that remains leaves the book; another subaccount cannot do it."""
    order = venue.sell(ann, 2, 2_500)
    venue.buy(bob, 1, 2_500)
    stranger = CancelOrder(subaccount_id=bob, order_id=placed_in(order).order_id)
    assert refusals(venue.send(stranger)) == [RejectReason.UNKNOWN_ORDER]
    assert canceled(venue.cancel(order)) == [(10_000, CancelReason.BY_OWNER)]
    assert venue.view(order).status is OrderStatus.CANCELED
    assert refusals(venue.cancel(order)) == [RejectReason.UNKNOWN_ORDER]


def test_canceling_all_orders(venue, ann, bob):
    """Of one instrument, or of all; in order of entry; never those of others."""
    one = venue.sell(ann, 1, 2_500)
    other = venue.sell(ann, 1, 2_500, instrument_id=put(100_000))
    third = venue.sell(ann, 1, 2_490)
    venue.sell(bob, 1, 2_500)
    events = venue.send(CancelAll(subaccount_id=ann, instrument_id=C))
    assert [e.order_id for e in events] == [placed_in(o).order_id for o in (one, third)]
    assert len(venue.send(CancelAll(subaccount_id=ann))) == 1
    assert venue.view(other).status is OrderStatus.CANCELED
    assert venue.send(CancelAll(subaccount_id=ann)) == ()
    assert len(venue.engine.open_orders(bob)) == 1


# --- session keys sign too ---


def test_the_signer_of_an_order_may_be_a_session_key(venue, ann):
    """Whoever signs, the order belongs to the subaccount."""
    venue.observe(SessionKeySeen(owner="ann", key="key", deadline=venue.now_s + 7200))
    events = venue.sell(ann, 1, 2_500, signer="key")
    assert placed_in(events).subaccount_id == ann


def test_place_and_amend_are_alike_in_authority(venue, ann):
    """An unknown signer amends nothing."""
    order = venue.sell(ann, 1, 2_500)
    events = venue.amend(order, signer="mallory")
    assert refusals(events) == [RejectReason.UNAUTHORIZED_SIGNER]


def test_limits_may_be_one_order():
    """The count of open orders is per subaccount."""
    venue = open_venue(limits=limits(open_orders_max=1))
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.sell(ann, 1, 2_500)
    assert refusals(venue.sell(ann, 1, 2_500)) == [RejectReason.TOO_MANY_ORDERS]
    assert refusals(venue.sell(bob, 1, 2_500)) == []


def test_free_trading_has_no_fees(venue, ann, bob):
    """A schedule of zeros charges nothing and needs no fee limit."""
    assert venue.engine.parameters.fees == FeeSchedule(maker_rate=0, taker_rate=0, premium_cap=0)
    venue.sell(ann, 1, 2_500, max_fee=0)
    venue.buy(bob, 1, 2_500, max_fee=0)
    assert venue.cash(FEE_ID) == 0
