"""Orders over time: amends, deadlines, memory, and what reduce-only means."""

import pytest
from tests.venue import (
    Venue,
    call,
    canceled,
    contracts,
    fills,
    limits,
    names,
    open_venue,
    placed_in,
    refusals,
    usdc,
)

from exchange.engine.proofs import FILLS_MAX
from exchange.events import (
    CancelReason,
    OrderAmended,
    RejectReason,
    Traded,
)
from exchange.model import OrderStatus, TimeInForce

# --- amending ---


def test_a_smaller_quantity_keeps_priority(venue, ann, bob):
    """The order stays ahead of those that came after it."""
    first = venue.sell(ann, 2, 2_500)
    second = venue.sell(bob, 2, 2_500)
    venue.amend(first, quantity=contracts(1))
    carol = venue.fund("carol")
    (trade,) = [e for e in venue.buy(carol, 1, 2_500) if isinstance(e, Traded)]
    assert trade.maker_order_id == placed_in(first).order_id
    assert venue.view(second).filled_quantity == 0


@pytest.mark.parametrize(
    "change", [{"quantity": contracts(3)}, {"limit_price": usdc("2500.01")}], ids=["more", "price"]
)
def test_other_changes_lose_priority(venue, ann, bob, change):
    """More quantity or another price goes to the end of the line."""
    first = venue.sell(ann, 2, 2_500)
    second = venue.sell(bob, 2, "2500.01" if "limit_price" in change else 2_500)
    venue.amend(first, **change)
    carol = venue.fund("carol")
    (trade,) = [e for e in venue.buy(carol, 1, 2_600) if isinstance(e, Traded)]
    assert trade.maker_order_id == placed_in(second).order_id


def test_an_amend_may_trade(venue, ann, bob):
    """A new price that crosses takes; the signature of the amend is the one in force."""
    venue.sell(ann, 1, 2_500)
    order = venue.buy(bob, 3, 2_400)
    events = venue.amend(order, limit_price=usdc(2_500))
    assert names(events) == ["OrderAmended", "Traded"]
    (trade,) = [e for e in events if isinstance(e, Traded)]
    assert trade.taker_order_id == placed_in(order).order_id
    assert trade.taker_signed_seq == len(venue.entries)
    assert venue.book() == ([(usdc(2_500), 20_000)], [])


def test_an_amended_makers_signature_is_the_newest(venue, ann, bob):
    """Settlement needs the command that carries the terms in force."""
    order = venue.sell(ann, 2, 2_500)
    venue.amend(order, quantity=contracts(1))
    amended_seq = len(venue.entries)
    (trade,) = [e for e in venue.buy(bob, 1, 2_500) if isinstance(e, Traded)]
    assert trade.maker_signed_seq == amended_seq


def test_an_amended_quantity_includes_what_was_filled(venue, ann, bob):
    """The signed quantity is the whole order's: 3 with 1 filled leaves 2."""
    order = venue.sell(ann, 2, 2_500)
    venue.buy(bob, 1, 2_500)
    (amended,) = venue.amend(order, quantity=contracts(3))
    assert isinstance(amended, OrderAmended)
    assert (amended.quantity, amended.version) == (30_000, 1)
    assert venue.book()[1] == [(usdc(2_500), 20_000)]


def test_an_amend_frees_margin_before_it_asks(venue):
    """The standing order does not count against its own successor."""
    poor = venue.fund("poor", 10_000)
    order = venue.sell(poor, 1, 2_500)
    excess = venue.engine.margin(poor).initial_excess
    assert excess < usdc(10_000)
    assert names(venue.amend(order, limit_price=usdc(2_510))) == ["OrderAmended"]


def test_a_refused_amend_leaves_the_order(venue, ann, bob):
    """Post-only that would trade: the standing order keeps its place and terms."""
    venue.sell(bob, 1, 2_500)
    order = venue.buy(ann, 1, 2_400, post_only=True, reject_post_only=True)
    events = venue.amend(order, limit_price=usdc(2_500))
    assert refusals(events) == [RejectReason.POST_ONLY_WOULD_TRADE]
    assert venue.view(order).version == 0
    assert venue.book()[0] == [(usdc(2_400), 10_000)]


def test_an_amend_moves_the_deadline(venue, ann):
    """A later deadline counts, and the earlier one cancels nothing."""
    order = venue.sell(ann, 1, 2_500, deadline=venue.now_s + 60)
    venue.amend(order, deadline=venue.now_s + 600)
    venue.wait(120)
    assert names(venue.index()) == ["IndexUpdated"]
    venue.wait(480)
    assert names(venue.index()) == ["OrderCanceled", "IndexUpdated"]
    assert venue.view(order).status is OrderStatus.EXPIRED


# --- deadlines and memory ---


def test_a_deadline_cancels(venue, ann):
    """At its deadline an order leaves, before the command that comes then is looked at."""
    order = venue.sell(ann, 1, 2_500, deadline=venue.now_s + 10)
    venue.wait(9)
    assert names(venue.index()) == ["IndexUpdated"]
    venue.wait(1)
    events = venue.buy(venue.fund("bob"), 1, 2_500)
    assert fills(events) == []
    assert venue.view(order).status is OrderStatus.EXPIRED


def test_dead_orders_are_forgotten_after_an_hour(venue, ann, bob):
    """Queries answer until then; a nonce that filled stays used for ever."""
    filled = venue.sell(ann, 1, 2_500, deadline=venue.now_s + 10)
    unfilled = venue.sell(ann, 1, 2_500, deadline=venue.now_s + 10)
    venue.buy(bob, 1, 2_500)
    venue.wait(10 + 3599)
    venue.index()
    assert venue.view(filled).status is OrderStatus.FILLED
    assert venue.view(unfilled).status is OrderStatus.EXPIRED
    venue.wait(1)
    venue.index()
    assert venue.engine.order(placed_in(filled).order_id) is None
    assert venue.engine.order_by_nonce(ann, placed_in(filled).nonce) is None
    used = venue.sell(ann, 1, 2_500, nonce=placed_in(filled).nonce)
    assert refusals(used) == [RejectReason.NONCE_USED]
    assert refusals(venue.sell(ann, 1, 2_500, nonce=placed_in(unfilled).nonce)) == []


def test_an_old_signature_never_comes_back(venue, ann):
    """An amend to an earlier deadline does not free the nonce while the first terms could enter."""
    order = venue.sell(ann, 1, 2_500, deadline=venue.now_s + 20 * 3600)
    first = venue.terms_of(order)
    venue.amend(order, deadline=venue.now_s + 10)
    venue.cancel(order)
    venue.wait(3 * 3600)
    venue.index()
    assert refusals(venue.place(first)) == [RejectReason.NONCE_USED]


def test_a_long_silence_forgets_at_once(venue, ann):
    """Deadline and memory may both be over when the next command comes."""
    order = venue.sell(ann, 1, 2_500, deadline=venue.now_s + 10)
    venue.amend(order, deadline=venue.now_s + 20)
    venue.wait(2 * 86_400)
    assert canceled(venue.index()) == [(10_000, CancelReason.DEADLINE)]
    assert venue.engine.order(placed_in(order).order_id) is None


# --- reduce-only ---


@pytest.fixture
def long_ann(venue: Venue, ann: int, bob: int) -> int:
    """Ann holds 5 calls that bob sold her."""
    venue.sell(bob, 5, 2_500)
    venue.buy(ann, 5, 2_500)
    return ann


def test_a_reduce_only_order_closes_at_most_the_position(venue, long_ann, bob):
    """The excess is canceled at once; what rests is what can be closed."""
    events = venue.sell(long_ann, 8, 2_600, reduce_only=True)
    assert canceled(events) == [(30_000, CancelReason.REDUCE_ONLY)]
    assert venue.book()[1] == [(usdc(2_600), 50_000)]
    venue.buy(bob, 9, 2_600)
    assert venue.position(long_ann) == 0


def test_a_reduce_only_taker_stops_at_zero(venue, long_ann, bob):
    """It never turns the position, although the book would fill more."""
    venue.buy(bob, 9, 2_400)
    events = venue.sell(long_ann, 9, 2_400, reduce_only=True, time_in_force=TimeInForce.IOC)
    assert fills(events) == [(usdc(2_400), 50_000)]
    assert venue.position(long_ann) == 0
    assert venue.view(events).status is OrderStatus.CANCELED


def test_a_smaller_position_shrinks_reduce_only_orders(venue, long_ann, bob):
    """Selling by another order leaves less to reduce."""
    resting = venue.sell(long_ann, 5, 2_600, reduce_only=True)
    venue.buy(bob, 2, 2_500)
    events = venue.sell(long_ann, 2, 2_500)
    assert canceled(events) == [(20_000, CancelReason.REDUCE_ONLY)]
    assert venue.engine.open_orders(long_ann)[0].order_id == placed_in(resting).order_id
    assert venue.book()[1] == [(usdc(2_600), 30_000)]


def test_a_closed_position_cancels_reduce_only_orders(venue, long_ann, bob):
    """Nothing to reduce, nothing to wait for."""
    resting = venue.sell(long_ann, 5, 2_600, reduce_only=True)
    venue.buy(bob, 5, 2_500)
    venue.sell(long_ann, 5, 2_500)
    assert venue.view(resting).status is OrderStatus.CANCELED


def test_a_sweep_of_several_orders_never_turns_the_position(venue, long_ann, bob):
    """The position is shared out, best price first, before anybody can sweep."""
    venue.sell(long_ann, 3, 2_600, reduce_only=True)
    venue.sell(long_ann, 4, 2_610, reduce_only=True)
    venue.sell(long_ann, 5, 2_620, reduce_only=True)
    assert venue.book()[1] == [(usdc(2_600), 30_000), (usdc(2_610), 20_000)]
    assert fills(venue.buy(bob, 20, 2_700)) == [(usdc(2_600), 30_000), (usdc(2_610), 20_000)]
    assert venue.position(long_ann) == 0


def test_ordinary_orders_at_better_prices_come_first(venue, long_ann, bob):
    """A new offer in front of a reduce-only one takes its share of the position."""
    venue.sell(long_ann, 5, 2_610, reduce_only=True)
    events = venue.sell(long_ann, 4, 2_600)
    assert canceled(events) == [(40_000, CancelReason.REDUCE_ONLY)]
    venue.sell(long_ann, 3, 2_610)  # at the same price others count first
    assert venue.book()[1] == [(usdc(2_600), 40_000), (usdc(2_610), 30_000)]
    venue.buy(bob, 20, 2_700, time_in_force=TimeInForce.IOC)
    assert venue.position(long_ann) == -20_000


def test_ordinary_orders_behind_do_not_count(venue, long_ann):
    """An offer at a worse price leaves reduce-only orders alone."""
    venue.sell(long_ann, 5, 2_600, reduce_only=True)
    assert canceled(venue.sell(long_ann, 5, 2_700)) == []


def test_reduce_only_works_for_shorts(venue, long_ann, bob):
    """Bob is short 5: bids reduce, the highest first."""
    venue.buy(bob, 4, 2_400, reduce_only=True)
    events = venue.buy(bob, 4, 2_410, reduce_only=True)
    assert canceled(events) == [(30_000, CancelReason.REDUCE_ONLY)]
    assert venue.book()[0] == [(usdc(2_410), 40_000), (usdc(2_400), 10_000)]


def test_orders_in_other_instruments_do_not_count(venue, long_ann):
    """Each instrument's position is shared out among its own orders."""
    venue.sell(long_ann, 5, 2_600, reduce_only=True)
    assert canceled(venue.sell(long_ann, 9, 2_500, instrument_id=call(110_000))) == []
    assert venue.book()[1] == [(usdc(2_600), 50_000)]


def test_an_amended_reduce_only_order_stays_within_the_position(venue, long_ann, bob):
    """More quantity than the position is given up again."""
    order = venue.sell(long_ann, 2, 2_600, reduce_only=True)
    events = venue.amend(order, quantity=contracts(7))
    assert names(events) == ["OrderAmended", "OrderCanceled"]
    assert venue.book()[1] == [(usdc(2_600), 50_000)]


def test_a_reduce_only_iceberg_shows_no_more_than_it_has(venue, long_ann):
    """The slice shrinks with what the position allows."""
    venue.sell(long_ann, 9, 2_600, reduce_only=True, max_show=80_000)
    assert venue.book()[1] == [(usdc(2_600), 50_000)]


def test_only_its_own_position_binds(venue, long_ann, bob):
    """A maker's reduce-only order shrinks when the maker trades elsewhere as taker."""
    venue.sell(long_ann, 5, 2_600, reduce_only=True)
    venue.buy(bob, 1, 2_590)
    venue.sell(long_ann, 1, 2_590, time_in_force=TimeInForce.IOC)
    assert venue.book()[1] == [(usdc(2_600), 40_000)]


def test_a_sweep_ends_after_so_many_fills():
    """All fills of a command settle in one transaction; the rest of the order is canceled."""
    venue = open_venue(limits=limits(open_orders_max=100))
    ann, bob = venue.fund("ann"), venue.fund("bob")
    for _ in range(FILLS_MAX + 5):
        venue.sell(ann, "0.01", 2_500)
    events = venue.buy(bob, 1, 2_500)
    assert len(fills(events)) == FILLS_MAX
    assert canceled(events) == [(10_000 - FILLS_MAX * 100, CancelReason.TOO_MANY_FILLS)]
    assert venue.book()[1] == [(usdc(2_500), 500)]
