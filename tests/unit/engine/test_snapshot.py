"""A state as bytes: the same state, the same books in the same priority, and it goes on."""

from tests.venue import P, open_venue

from exchange.commands import CutBatch
from exchange.engine import Engine
from exchange.engine.snapshot import frozen, thawed
from exchange.matching.book import OrderBook


def test_a_book_comes_back_in_its_priority():
    """Icebergs with what they show now, levels in order, ids that are free again."""
    venue = open_venue()
    book = OrderBook(10, -1_000, 7)
    for order_id, side, price, quantity, show in (
        (1, 0, 100, 5, 0),
        (2, 0, 100, 9, 3),
        (3, 0, 90, 1, 0),
        (4, 1, 110, 6, 2),
        (5, 1, 120, 4, 0),
    ):
        book.place(order_id, order_id, order_id, side, price, quantity, 0, show)
    book.place(9, 9, 9, 1, 100, 6, 2)  # takes all of the first and part of the slice
    venue.engine._venue.books[1] = book
    again = thawed(frozen(venue.engine._venue)).books[1]
    again.check()
    for side in (0, 1):
        assert again.orders(side) == book.orders(side)
    for each in (book, again):
        assert (each.tick_size, each.price_min, each.fills_max) == (10, -1_000, 7)
        fills = each.place(10, 10, 10, 1, 90, 9, 2).fills
        assert fills == [(2, 100, 2), (2, 100, 3), (2, 100, 3), (3, 90, 1)]


def test_a_venue_goes_on_as_the_other_would():
    """Same bytes, same hash; the next command gives the same events in both."""
    venue = open_venue()
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.sell(ann, 3, 2_500)
    venue.buy(bob, 1, 2_500)
    data = venue.engine.snapshot()
    again = Engine.restored(data)
    assert (again.seq, again.state_hash()) == (venue.engine.seq, venue.engine.state_hash())
    assert again.snapshot() == data
    venue.buy(bob, 1, 2_500)
    venue.mark({P: 2_000})
    for seq, time_ns, command, events in venue.entries[again.seq :]:
        assert again.apply(seq, time_ns, command) == events
        again.check()
    assert again.state_hash() == venue.engine.state_hash()


def test_a_replay_takes_the_hashes_that_were_recorded():
    """All else is compared; and afterwards hashes are computed again."""
    venue = open_venue()
    ann, bob = venue.fund("ann"), venue.fund("bob")
    for price in (2_500, 2_510):
        venue.sell(ann, 1, price)
        venue.buy(bob, 1, price)
        venue.send(CutBatch())
    engine = Engine()
    for entry in venue.entries:
        assert engine.replay(*entry)
    assert engine.state_hash() == venue.engine.state_hash()
    twin, other = Engine(), Engine()
    *known, last = venue.entries
    for entry in known:
        assert twin.replay(*entry)
        assert other.apply(*entry[:3]) == entry[3]
    assert not twin.replay(*last[:3], last[3][:-1])
    assert other.apply(*last[:3]) == last[3]
