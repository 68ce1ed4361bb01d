"""Which waiting orders a price sets off, and in which order."""

import pytest

from exchange.matching.triggers import (
    ArmedOrder,
    TriggerBook,
    falls,
    is_reached,
    is_well_formed,
)
from exchange.model import PriceSource, Side, Trigger, TriggerKind

STOP, TAKE, TRAILING = TriggerKind.STOP, TriggerKind.TAKE, TriggerKind.TRAILING
MARK, INDEX, LAST = PriceSource.MARK, PriceSource.INDEX, PriceSource.LAST
BUY, SELL = Side.BUY, Side.SELL
KEY = 7


def armed(order_id, side, kind, price, source=MARK, key=KEY, entry=None):
    """`price` is the trigger price, of a trail the offset."""
    fields = {"trail_offset": price} if kind is TRAILING else {"trigger_price": price}
    return ArmedOrder(
        order_id=order_id,
        side=side,
        key=key,
        entry=order_id if entry is None else entry,
        trigger=Trigger(kind=kind, source=source, **fields),
    )


def book_of(*orders, price=100):
    book = TriggerBook()
    for order in orders:
        book.add(order, price)
        book.check()
    return book


@pytest.mark.parametrize(
    ("kind", "side", "misses", "hits"),
    [
        (STOP, BUY, 109, 110),
        (STOP, SELL, 111, 110),
        (TAKE, BUY, 111, 110),
        (TAKE, SELL, 109, 110),
    ],
)
def test_stops_and_takes_fire_when_the_price_reaches_them(kind, side, misses, hits):
    book = book_of(armed(1, side, kind, 110))
    trigger = book.get(1).trigger
    assert not is_reached(trigger, side, misses)
    assert book.on_price(MARK, KEY, misses) == []
    assert 1 in book
    assert book.trigger_price(1) == 110
    assert is_reached(trigger, side, hits)
    assert book.on_price(MARK, KEY, hits) == [1]
    assert book.get(1) is None
    assert len(book) == 0
    assert book.on_price(MARK, KEY, hits) == []


def test_a_price_beyond_the_trigger_fires_too():
    assert book_of(armed(1, BUY, STOP, 110)).on_price(MARK, KEY, 500) == [1]
    assert book_of(armed(1, SELL, STOP, 110)).on_price(MARK, KEY, 5) == [1]


def test_an_order_that_is_reached_already_fires_at_the_next_price():
    book = book_of(armed(1, SELL, STOP, 110), price=100)
    assert book.on_price(MARK, KEY, 100) == [1]


@pytest.mark.parametrize(("side", "sign"), [(SELL, 1), (BUY, -1)])
def test_a_trail_follows_the_best_price_and_never_turns_back(side, sign):
    book = book_of(armed(1, side, TRAILING, 10))
    assert book.trigger_price(1) == 100 - sign * 10
    assert book.on_price(MARK, KEY, 100 + sign * 30) == []
    assert book.trigger_price(1) == 100 + sign * 20
    assert book.on_price(MARK, KEY, 100 + sign * 21) == []
    assert book.trigger_price(1) == 100 + sign * 20
    assert book.on_price(MARK, KEY, 100 + sign * 20) == [1]


def test_trails_of_different_entries_share_an_extreme_only_once_they_have_seen_it():
    book = TriggerBook()
    book.add(armed(1, SELL, TRAILING, 10), 100)
    book.add(armed(2, SELL, TRAILING, 3), 100)
    book.on_price(MARK, KEY, 98)
    book.add(armed(3, SELL, TRAILING, 10), 98)
    book.check()
    assert [book.trigger_price(i) for i in (1, 2, 3)] == [90, 97, 88]
    book.on_price(MARK, KEY, 99)
    assert [book.trigger_price(i) for i in (1, 2, 3)] == [90, 97, 89]
    book.on_price(MARK, KEY, 105)
    book.check()
    assert [book.trigger_price(i) for i in (1, 2, 3)] == [95, 102, 95]
    assert book.on_price(MARK, KEY, 95) == [2, 1, 3]


def test_the_trigger_passed_furthest_fires_first_then_the_earlier_entry_then_the_lower_id():
    book = book_of(
        armed(1, SELL, STOP, 90),
        armed(2, SELL, STOP, 95),
        armed(5, SELL, STOP, 95, entry=9),
        armed(4, SELL, STOP, 95, entry=9),
        armed(6, SELL, TRAILING, 2),
        armed(7, BUY, TAKE, 85),
        armed(8, SELL, TAKE, 70),
    )
    assert book.on_price(MARK, KEY, 80) == [6, 2, 4, 5, 1, 8, 7]
    book.check()


def test_sources_and_keys_are_apart():
    book = book_of(
        armed(1, SELL, STOP, 90, MARK),
        armed(2, SELL, STOP, 90, INDEX),
        armed(3, SELL, STOP, 90, LAST),
        armed(4, SELL, STOP, 90, MARK, key=8),
    )
    assert book.on_price(INDEX, KEY, 90) == [2]
    assert book.on_price(MARK, 8, 90) == [4]
    assert book.on_price(LAST, KEY, 90) == [3]
    assert book.on_price(MARK, KEY, 90) == [1]


def test_removed_orders_never_fire():
    book = book_of(armed(1, SELL, STOP, 90), armed(2, SELL, TRAILING, 5), armed(3, BUY, STOP, 120))
    assert book.remove(1)
    assert book.remove(2)
    assert not book.remove(2)
    book.check()
    assert book.on_price(MARK, KEY, 10) == []
    assert book.remove(3)
    assert book.on_price(MARK, KEY, 500) == []
    book.check()


def test_state_is_canonical_and_restores():
    book = book_of(armed(3, SELL, TRAILING, 10), armed(1, BUY, TRAILING, 10))
    book.add(armed(2, BUY, STOP, 120, INDEX, key=1, entry=5), 0)
    book.on_price(MARK, KEY, 104)
    assert book.state() == (
        (1, BUY, KEY, 1, TRAILING, MARK, 0, 10, 100),
        (2, BUY, 1, 5, STOP, INDEX, 120, 0, 0),
        (3, SELL, KEY, 3, TRAILING, MARK, 0, 10, 104),
    )
    restored = TriggerBook()
    for order_id, *_, extreme in reversed(book.state()):
        restored.add(book.get(order_id), extreme)
    assert restored.state() == book.state()


def test_an_order_waits_once_and_is_well_formed():
    book = book_of(armed(1, SELL, STOP, 90))
    with pytest.raises(AssertionError):
        book.add(armed(1, SELL, STOP, 91), 100)
    with pytest.raises(AssertionError):
        book.add(armed(2, SELL, TRAILING, 0), 100)
    with pytest.raises(AssertionError):
        is_reached(armed(2, SELL, TRAILING, 5).trigger, SELL, 100)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"kind": STOP, "trigger_price": 5}, True),
        ({"kind": TAKE, "trigger_price": 5, "trail_offset": 1}, False),
        ({"kind": TRAILING, "trail_offset": 1}, True),
        ({"kind": TRAILING, "trail_offset": 0}, False),
        ({"kind": TRAILING, "trail_offset": -1}, False),
        ({"kind": TRAILING, "trail_offset": 1, "trigger_price": 5}, False),
    ],
)
def test_a_trigger_gives_the_fields_of_its_kind(fields, expected):
    assert is_well_formed(Trigger(source=MARK, **fields)) is expected


def test_a_stop_to_sell_and_a_take_to_buy_wait_for_a_fall():
    assert [(k, s) for k in TriggerKind for s in Side if falls(k, s)] == [
        (STOP, SELL),
        (TAKE, BUY),
        (TRAILING, SELL),
    ]


@pytest.mark.parametrize(("side", "kind"), [(BUY, STOP), (SELL, STOP)])
def test_prices_stay_integers(side, kind):
    """One beyond what a float holds exactly."""
    price = 2**53 + 1
    book = book_of(armed(1, side, kind, price))
    assert book.on_price(MARK, KEY, price) == [1]
