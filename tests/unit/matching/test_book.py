"""What an order does when it meets the book, in a trader's words. The twin is in properties."""

import pytest

from exchange.matching.book import (
    ICEBERG_SLICES_MAX,
    Order,
    OrderBook,
    Outcome,
    PostOnly,
    instruction_word,
)
from exchange.model import SelfTradePrevention, Side, TimeInForce

BUY, SELL = Side.BUY, Side.SELL
ALICE, BOB, CAROL = 1, 2, 3
IOC = instruction_word(TimeInForce.IOC)
FOK = instruction_word(TimeInForce.FOK)
REJECT = instruction_word(post_only=PostOnly.REJECT)
REPRICE = instruction_word(post_only=PostOnly.REPRICE)
COLLECT = instruction_word(matching=False)


def prevention(mode, time_in_force=TimeInForce.GTC):
    return instruction_word(time_in_force, prevention=mode)


def displayed_at(book, side, price):
    return {at: quantity for at, quantity, _ in book.levels(side, 0)}.get(price, 0)


class Market:
    """A book with ticks of 10 whose orders are numbered from 1."""

    def __init__(self, price_min=10, fills_max=1_000):
        self.book = OrderBook(10, price_min, fills_max)
        self.next_id = 1

    def order(self, owner, side, price, quantity, word=0, max_show=0):
        order_id, self.next_id = self.next_id, self.next_id + 1
        placement = self.book.place(
            order_id, owner + 100, owner, side, price, quantity, word, max_show
        )
        self.book.check()
        fills = sum(fill[2] for fill in placement.fills)
        assert fills + placement.resting_quantity + placement.canceled_quantity == quantity
        return placement


@pytest.fixture
def market():
    """Bob offers 5 at 100, then 5 at 110; Carol 5 at 110, behind him; Bob bids 5 at 80."""
    market = Market()
    market.order(BOB, SELL, 100, 5)
    market.order(BOB, SELL, 110, 5)
    market.order(CAROL, SELL, 110, 5)
    market.order(BOB, BUY, 80, 5)
    return market


def test_the_fixture(market):
    book = market.book
    assert (book.best_bid, book.best_ask, len(book)) == (80, 100, 4)
    assert book.levels(SELL, 0) == [(100, 5, 1), (110, 10, 2)]
    assert book.levels(SELL, 1) == [(100, 5, 1)]
    assert book.levels(BUY, 9) == [(80, 5, 1)]
    assert [order.order_id for order in book.orders(SELL)] == [1, 2, 3]
    assert (book.tick_size, book.price_min) == (10, 10)


def test_an_empty_book():
    book = OrderBook(10, 10)
    assert (book.best_bid, book.best_ask, len(book)) == (None, None, 0)
    assert book.levels(BUY, 0) == []
    assert book.orders(SELL) == []
    assert displayed_at(book, BUY, 100) == 0
    book.check()


def test_a_passive_order_rests(market):
    placement = market.order(ALICE, BUY, 90, 7)
    assert placement.outcome == Outcome.RESTING
    assert (placement.price, placement.resting_quantity) == (90, 7)
    assert list(placement.fills) == []
    assert market.book.get(5) == Order(5, 101, ALICE, BUY, 90, 7, 7, 0)
    assert 5 in market.book
    assert 6 not in market.book
    assert market.book.get(6) is None


def test_an_aggressive_order_trades_at_the_makers_prices_and_rests_with_the_rest(market):
    placement = market.order(ALICE, BUY, 110, 17)
    assert list(placement.fills) == [(1, 100, 5), (2, 110, 5), (3, 110, 5)]
    assert placement.outcome == Outcome.RESTING
    assert placement.resting_quantity == 2
    assert market.book.best_bid == 110
    assert market.book.best_ask is None


def test_a_maker_filled_in_part_keeps_its_place(market):
    assert list(market.order(ALICE, BUY, 110, 7).fills) == [(1, 100, 5), (2, 110, 2)]
    assert list(market.order(ALICE, BUY, 110, 4).fills) == [(2, 110, 3), (3, 110, 1)]


def test_a_sell_order_takes_the_bids(market):
    placement = market.order(ALICE, SELL, 70, 5)
    assert list(placement.fills) == [(4, 80, 5)]
    assert placement.outcome == Outcome.FILLED


def test_ioc_cancels_what_finds_no_counterparty(market):
    placement = market.order(ALICE, BUY, 100, 8, IOC)
    assert list(placement.fills) == [(1, 100, 5)]
    assert placement.outcome == Outcome.UNFILLED
    assert placement.canceled_quantity == 3
    assert len(market.book) == 3


@pytest.mark.parametrize(
    ("price", "quantity", "outcome"),
    [
        (110, 15, Outcome.FILLED),
        (110, 16, Outcome.FOK_REFUSED),
        (100, 5, Outcome.FILLED),
        (100, 6, Outcome.FOK_REFUSED),
        (90, 1, Outcome.FOK_REFUSED),
    ],
)
def test_fok_fills_in_full_or_changes_nothing(market, price, quantity, outcome):
    before = market.book.levels(SELL, 0)
    placement = market.order(ALICE, BUY, price, quantity, FOK)
    assert placement.outcome == outcome
    assert (market.book.levels(SELL, 0) == before) is (outcome == Outcome.FOK_REFUSED)


def fok(mode):
    return prevention(mode, TimeInForce.FOK)


@pytest.mark.parametrize(
    ("mode", "quantity", "outcome"),
    [
        # Bob stands at 100 and 110; Carol has 5 behind him.
        (SelfTradePrevention.CANCEL_MAKER, 5, Outcome.FILLED),
        (SelfTradePrevention.CANCEL_MAKER, 6, Outcome.FOK_REFUSED),
        (SelfTradePrevention.CANCEL_TAKER, 1, Outcome.FOK_REFUSED),
        (SelfTradePrevention.CANCEL_BOTH, 1, Outcome.FOK_REFUSED),
        (SelfTradePrevention.DECREMENT, 1, Outcome.FOK_REFUSED),
    ],
)
def test_fok_does_not_count_own_orders(market, mode, quantity, outcome):
    assert market.order(BOB, BUY, 110, quantity, fok(mode)).outcome == outcome
    assert len(market.book) == (4 if outcome == Outcome.FOK_REFUSED else 1)


def test_fok_counts_what_stands_before_an_own_order(market):
    word = fok(SelfTradePrevention.CANCEL_TAKER)
    assert market.order(CAROL, BUY, 110, 11, word).outcome == Outcome.FOK_REFUSED
    assert market.order(CAROL, BUY, 110, 10, word).outcome == Outcome.FILLED


@pytest.mark.parametrize(
    ("word", "outcome", "price"),
    [
        (REJECT, Outcome.POST_ONLY_REFUSED, 100),
        (REPRICE, Outcome.RESTING, 90),
    ],
)
def test_post_only_never_takes(market, word, outcome, price):
    placement = market.order(ALICE, BUY, 100, 5, word)
    assert (placement.outcome, placement.price) == (outcome, price)
    assert list(placement.fills) == []


def test_post_only_reprices_a_sell_above_the_bid(market):
    assert market.order(ALICE, SELL, 60, 5, REPRICE).price == 90


@pytest.mark.parametrize("word", [REJECT, REPRICE])
def test_post_only_that_would_not_trade_rests_where_it_is(market, word):
    placement = market.order(ALICE, BUY, 90, 5, word)
    assert (placement.outcome, placement.price) == (Outcome.RESTING, 90)
    placement = Market().order(ALICE, BUY, 90, 5, word)
    assert (placement.outcome, placement.price) == (Outcome.RESTING, 90)


def test_post_only_is_refused_where_no_price_is_left():
    market = Market()
    market.order(BOB, SELL, 10, 5)
    assert market.order(ALICE, BUY, 10, 5, REPRICE).outcome == Outcome.POST_ONLY_REFUSED
    market = Market(price_min=-50)
    market.order(BOB, SELL, 10, 5)
    assert market.order(ALICE, BUY, 10, 5, REPRICE).price == 0


@pytest.mark.parametrize(
    ("mode", "quantity", "outcome", "prevented", "canceled", "resting"),
    [
        (SelfTradePrevention.CANCEL_TAKER, 8, Outcome.SELF_TRADE_CANCELED, [], 8, 0),
        (SelfTradePrevention.CANCEL_MAKER, 8, Outcome.RESTING, [(1, 5, 0)], 0, 8),
        (SelfTradePrevention.CANCEL_BOTH, 8, Outcome.SELF_TRADE_CANCELED, [(1, 5, 0)], 8, 0),
        (SelfTradePrevention.DECREMENT, 8, Outcome.RESTING, [(1, 5, 0)], 5, 3),
        (SelfTradePrevention.DECREMENT, 5, Outcome.SELF_TRADE_CANCELED, [(1, 5, 0)], 5, 0),
        (SelfTradePrevention.DECREMENT, 3, Outcome.SELF_TRADE_CANCELED, [(1, 3, 2)], 3, 0),
    ],
)
def test_self_trade_prevention(market, mode, quantity, outcome, prevented, canceled, resting):
    placement = market.order(BOB, BUY, 100, quantity, prevention(mode))
    assert list(placement.fills) == []
    assert placement.outcome == outcome
    assert list(placement.prevented) == prevented
    assert (placement.canceled_quantity, placement.resting_quantity) == (canceled, resting)


def test_what_traded_before_an_own_order_stands(market):
    word = prevention(SelfTradePrevention.CANCEL_TAKER)
    placement = market.order(CAROL, BUY, 110, 20, word)
    assert list(placement.fills) == [(1, 100, 5), (2, 110, 5)]
    assert placement.outcome == Outcome.SELF_TRADE_CANCELED
    assert placement.canceled_quantity == 10


def test_several_own_makers_are_canceled_in_turn(market):
    word = prevention(SelfTradePrevention.CANCEL_MAKER)
    placement = market.order(BOB, BUY, 110, 9, word)
    assert list(placement.prevented) == [(1, 5, 0), (2, 5, 0)]
    assert list(placement.fills) == [(3, 110, 5)]
    assert placement.resting_quantity == 4


def test_an_iceberg_shows_a_slice_and_queues_up_again(market):
    market.order(ALICE, SELL, 90, 10, 0, 4)
    market.order(CAROL, SELL, 90, 3)
    assert market.book.levels(SELL, 1) == [(90, 7, 2)]
    placement = market.order(BOB, BUY, 90, 8)
    assert list(placement.fills) == [(5, 90, 4), (6, 90, 3), (5, 90, 1)]
    assert market.book.get(5).displayed_quantity == 3
    assert market.book.get(5).remaining_quantity == 5
    assert list(market.order(BOB, BUY, 90, 5).fills) == [(5, 90, 3), (5, 90, 2)]


def test_reducing_an_iceberg_takes_the_hidden_part_first(market):
    market.order(ALICE, SELL, 90, 10, 0, 4)
    assert market.book.reduce(5, 6) == 4
    assert market.book.get(5)[5:] == (6, 4, 4)
    assert market.book.reduce(5, 3) == 3
    assert market.book.get(5)[5:] == (3, 3, 4)
    market.book.check()


def test_fok_counts_the_hidden_part(market):
    market.order(ALICE, SELL, 90, 10, 0, 4)
    assert market.order(CAROL, BUY, 90, 11, FOK).outcome == Outcome.FOK_REFUSED
    assert market.order(CAROL, BUY, 90, 10, FOK).outcome == Outcome.FILLED


def test_fok_sees_that_reserves_queue_up_behind_an_own_order(market):
    market.order(ALICE, SELL, 90, 10, 0, 4)
    market.order(CAROL, SELL, 90, 3)
    word = fok(SelfTradePrevention.CANCEL_TAKER)
    assert market.order(CAROL, BUY, 90, 5, word).outcome == Outcome.FOK_REFUSED
    assert market.order(CAROL, BUY, 90, 4, word).outcome == Outcome.FILLED


def test_cancel_takes_an_order_out_once(market):
    assert market.book.cancel(2) == 5
    assert market.book.cancel(2) == 0
    assert displayed_at(market.book, SELL, 110) == 5
    assert market.book.cancel(3) == 5
    assert market.book.levels(SELL, 0) == [(100, 5, 1)]
    market.book.check()


def test_reduce_keeps_priority_and_zero_cancels(market):
    assert market.book.reduce(2, 3) == 2
    assert market.book.reduce(2, 3) == 0
    assert market.book.reduce(2, 9) == 0
    assert market.book.reduce(99, 0) == 0
    assert [order.order_id for order in market.book.orders(SELL)] == [1, 2, 3]
    assert market.book.reduce(2, 0) == 3
    assert 2 not in market.book
    market.book.check()


def test_an_amend_that_only_reduces_keeps_priority(market):
    placement = market.book.amend(2, 110, 3)
    assert (placement.outcome, placement.resting_quantity) == (Outcome.RESTING, 3)
    assert [order.order_id for order in market.book.orders(SELL)] == [1, 2, 3]


@pytest.mark.parametrize(("price", "quantity", "max_show"), [(110, 6, 0), (110, 5, 2), (120, 5, 0)])
def test_any_other_amend_loses_it(market, price, quantity, max_show):
    market.book.amend(2, price, quantity, 0, max_show)
    assert [order.order_id for order in market.book.orders(SELL)] == [1, 3, 2]
    assert market.book.get(2).subaccount_id == 102
    market.book.check()


def test_an_amend_may_trade(market):
    placement = market.book.amend(3, 80, 7)
    assert list(placement.fills) == [(4, 80, 5)]
    assert market.book.get(3).remaining_quantity == 2


def test_a_refused_amend_changes_nothing(market):
    placement = market.book.amend(3, 80, 7, REJECT)
    assert placement.outcome == Outcome.POST_ONLY_REFUSED
    assert market.book.get(3).price == 110
    assert [order.order_id for order in market.book.orders(SELL)] == [1, 2, 3]


def test_a_collecting_book_may_cross(market):
    placement = market.order(ALICE, BUY, 120, 5, COLLECT)
    assert placement.outcome == Outcome.RESTING
    assert (market.book.best_bid, market.book.best_ask) == (120, 100)
    assert market.book.amend(5, 130, 5, COLLECT).outcome == Outcome.RESTING


def test_a_book_is_restored_from_its_orders(market):
    market.order(ALICE, SELL, 90, 10, 0, 4)
    market.order(BOB, BUY, 90, 3)
    copy = OrderBook(10, 10)
    for side in Side:
        for order in market.book.orders(side):
            copy.restore(
                order.order_id,
                order.subaccount_id,
                order.owner_key,
                order.side,
                order.price,
                order.remaining_quantity,
                order.max_show,
                order.displayed_quantity,
            )
    copy.check()
    assert [copy.orders(side) for side in Side] == [market.book.orders(side) for side in Side]
    assert copy.get(5).displayed_quantity == 1


@pytest.mark.parametrize(
    "fields",
    [
        (0, 1, 1, BUY, 100, 5, 0, 5),  # order_id
        (1, 1, 1, BUY, 100, 5, 0, 5),  # rests already
        (9, 1, 1, BUY, 105, 5, 0, 5),  # off the grid
        (9, 1, 1, BUY, 100, 5, 0, 0),  # shows nothing
        (9, 1, 1, BUY, 100, 5, 0, 6),  # shows more than it has
        (9, 1, 1, BUY, 100, 5, 3, 4),  # shows more than its slice
    ],
)
def test_what_a_snapshot_must_not_contain(market, fields):
    with pytest.raises(AssertionError):
        market.book.restore(*fields)


def test_a_large_order_is_restored():
    book = OrderBook(10, 10)
    book.restore(1, 1, 1, BUY, 100, 10**9, 0, 10**9)
    assert book.levels(BUY, 0) == [(100, 10**9, 1)]


@pytest.mark.parametrize(
    ("side", "price", "expected"),
    [(SELL, 100, 5), (SELL, 110, 10), (SELL, 90, 0), (SELL, 105, 0), (SELL, 120, 0), (BUY, 80, 5)],
)
def test_displayed_quantity_at_a_price(market, side, price, expected):
    assert displayed_at(market.book, side, price) == expected


def test_many_orders_outgrow_every_array():
    market = Market()
    for i in range(300):
        market.order(ALICE, BUY, 10 * (1 + i * 7 % 100), 1 + i)
    assert len(market.book) == 300
    assert len(market.book.levels(BUY, 0)) == 100
    assert sum(fill[2] for fill in market.order(BOB, SELL, 10, 10**6).fills) == 300 * 301 // 2
    assert len(market.book) == 1
    assert market.book.best_ask == 10


@pytest.mark.parametrize(
    "terms",
    [
        (0, 1, 1, BUY, 100, 5),  # order_id
        (1, 1, 1, BUY, 100, 5),  # rests already
        (9, 1, 1, 2, 100, 5),  # side
        (9, 1, 1, BUY, 100, 0),  # quantity
        (9, 1, 1, BUY, 0, 5),  # below price_min
        (9, 1, 1, BUY, 105, 5),  # off the grid
        (9, 1, 1, BUY, 100, 5, 0, 6),  # shows more than it has
        (9, 1, 1, BUY, 100, 5, 0, -1),
        (9, 1, 1, BUY, 100, ICEBERG_SLICES_MAX + 1, 0, 1),  # too many slices
        (9, 1, 1, BUY, 100, 5, instruction_word(TimeInForce.IOC, PostOnly.REJECT)),
    ],
)
def test_what_the_caller_must_not_ask_for(terms):
    book = OrderBook(10, 10)
    book.place(1, 1, 1, SELL, 200, 5)
    with pytest.raises(AssertionError):
        book.place(*terms)


def test_a_tick_size_is_positive():
    with pytest.raises(AssertionError):
        OrderBook(0, 10)
    assert OrderBook(1, 1).tick_size == 1


def test_an_order_without_instructions_rests_and_shows_itself():
    book = OrderBook(10, 10)
    book.place(1, 1, 1, BUY, 100, 500)
    assert book.get(1) == Order(1, 1, 1, BUY, 100, 500, 500, 0)
    book.amend(1, 110, 600)
    assert book.get(1) == Order(1, 1, 1, BUY, 110, 600, 600, 0)


@pytest.mark.parametrize(("price", "quantity", "max_show"), [(105, 5, 0), (0, 5, 0), (110, 0, 0)])
def test_an_impossible_amend_changes_nothing(market, price, quantity, max_show):
    with pytest.raises(AssertionError):
        market.book.amend(2, price, quantity, 0, max_show)
    assert market.book.get(2).remaining_quantity == 5


def test_an_amend_needs_a_resting_order(market):
    with pytest.raises(AssertionError):
        market.book.amend(99, 100, 5)


# --- how many fills one order may have ---


def crowd(fills_max, quantities=(5, 5, 5, 5), max_show=0):
    """Bob's offers at 100, as many as there are quantities."""
    market = Market(fills_max=fills_max)
    for quantity in quantities:
        market.order(BOB, SELL, 100, quantity, max_show=max_show)
    return market


@pytest.mark.parametrize("word", [0, IOC])
def test_an_order_is_cut_short_after_its_last_fill(word):
    """The rest would cross if it rested, so it is canceled."""
    market = crowd(3)
    placement = market.order(ALICE, BUY, 100, 20, word)
    assert Outcome(placement.outcome) is Outcome.CUT_SHORT
    assert placement.fills == [(1, 100, 5), (2, 100, 5), (3, 100, 5)]
    assert (placement.resting_quantity, placement.canceled_quantity) == (0, 5)
    assert market.book.levels(SELL, 0) == [(100, 5, 1)]
    assert market.book.best_bid is None


@pytest.mark.parametrize(("quantity", "outcome"), [(15, Outcome.FILLED), (15 + 5, Outcome.RESTING)])
def test_exactly_as_many_fills_are_enough(quantity, outcome):
    """With nothing left to meet the rest rests as ever."""
    market = crowd(3, (5, 5, 5))
    assert Outcome(market.order(ALICE, BUY, 100, quantity).outcome) is outcome


def test_an_amend_is_cut_short_too():
    """It is a new arrival."""
    market = crowd(2)
    market.order(ALICE, BUY, 90, 20)
    placement = market.book.amend(5, 100, 20)
    assert Outcome(placement.outcome) is Outcome.CUT_SHORT
    assert (len(placement.fills), placement.canceled_quantity) == (2, 10)
    assert 5 not in market.book


@pytest.mark.parametrize(("quantity", "outcome"), [(15, Outcome.FILLED), (16, Outcome.FOK_REFUSED)])
def test_a_fill_or_kill_is_refused_rather_than_cut_short(quantity, outcome):
    """Four makers are one too many."""
    market = crowd(3)
    assert Outcome(market.order(ALICE, BUY, 100, quantity, FOK).outcome) is outcome


@pytest.mark.parametrize(("fills_max", "outcome"), [(4, Outcome.FILLED), (3, Outcome.FOK_REFUSED)])
def test_slices_of_an_iceberg_count_as_fills(fills_max, outcome):
    """Ten in slices of three are four fills."""
    market = crowd(fills_max, (10,), max_show=3)
    placement = market.order(ALICE, BUY, 100, 10, FOK)
    assert Outcome(placement.outcome) is outcome
    assert Outcome(market.order(ALICE, BUY, 100, 3, FOK).outcome) is not Outcome.CUT_SHORT


def test_a_canceled_own_order_is_no_fill():
    """Self-trade prevention that takes the maker away costs the taker nothing."""
    market = crowd(1, (5,))
    market.order(ALICE, SELL, 90, 5)
    word = prevention(SelfTradePrevention.CANCEL_MAKER, TimeInForce.FOK)
    placement = market.order(ALICE, BUY, 100, 5, word)
    assert Outcome(placement.outcome) is Outcome.FILLED


def test_an_own_order_behind_enough_others_stops_nothing():
    """As many fills as one order may have, and its own order is not reached."""
    market = crowd(3, (5, 5, 5))
    market.order(ALICE, SELL, 100, 5)
    assert Outcome(market.order(ALICE, BUY, 100, 15, FOK).outcome) is Outcome.FILLED


@pytest.mark.parametrize(
    ("quantity", "fills_max", "outcome"),
    [
        (12, 4, Outcome.FILLED),
        (12, 3, Outcome.FOK_REFUSED),
        (6, 2, Outcome.FILLED),
        (7, 2, Outcome.FOK_REFUSED),
    ],
)
def test_slices_of_several_icebergs_add_up_where_they_are_needed(quantity, fills_max, outcome):
    """Two of six in slices of three: what is shown comes first, then the second slice of each."""
    market = crowd(fills_max, (6, 6), max_show=3)
    assert Outcome(market.order(ALICE, BUY, 100, quantity, FOK).outcome) is outcome


def test_take_trades_with_one_order_whoever_is_ahead(market):
    """Up to what it displays; a whole order is gone, the next slice of an iceberg queues up."""
    market.book.take(3, 4)
    assert [(o.order_id, o.remaining_quantity) for o in market.book.orders(SELL)] == [
        (1, 5),
        (2, 5),
        (3, 1),
    ]
    market.book.take(3, 1)
    assert 3 not in market.book
    market.order(CAROL, SELL, 90, 9, max_show=3)
    market.order(BOB, SELL, 90, 1)
    market.book.take(5, 3)
    assert [order.order_id for order in market.book.orders(SELL, 1)] == [6, 5]
    market.book.check()


@pytest.mark.parametrize(("order_id", "quantity"), [(1, 0), (1, 6), (9, 1)])
def test_take_is_given_no_more_than_is_displayed(market, order_id, quantity):
    with pytest.raises(AssertionError):
        market.book.take(order_id, quantity)
