"""Levels, and deltas that rebuild them."""

from hypothesis import given
from hypothesis import strategies as st

from exchange.api.book_view import BookView
from exchange.model import Side

# (side, price, quantity to set), gathered into entries; the price ranges do not cross.
STEPS = st.lists(
    st.lists(
        st.one_of(
            st.tuples(st.just(Side.BUY), st.integers(1, 6), st.integers(0, 3)),
            st.tuples(st.just(Side.SELL), st.integers(7, 12), st.integers(0, 3)),
        ),
        max_size=4,
    ),
    max_size=30,
)


class Naive:
    """A client: it knows what deltas tell it."""

    def __init__(self):
        self.levels = ({}, {})
        self.change_id = 0

    def apply(self, delta):
        assert delta.prev_change_id == self.change_id
        for side, changes in ((Side.BUY, delta.bids), (Side.SELL, delta.asks)):
            for action, price, quantity in changes:
                assert (action == "new") == (price not in self.levels[side])
                if action == "delete":
                    assert quantity == 0
                    del self.levels[side][price]
                else:
                    assert quantity > 0
                    self.levels[side][price] = quantity
        self.change_id = delta.change_id

    def same_as(self, book):
        return all(self.levels[side] == dict(book.levels(side)) for side in Side)


@given(STEPS, st.integers(1, 7))
def test_raw_and_interval_deltas_rebuild_the_book(entries, tick_every):
    book, raw, slow, current = BookView(), Naive(), Naive(), {}
    for seq, entry in enumerate(entries, 1):
        best = [book.best(side) for side in Side]
        for side, price, quantity in entry:
            book.add(side, price, quantity - current.get((side, price), 0))
            current[side, price] = quantity
        delta = book.commit(seq)
        if delta:
            raw.apply(delta)
            assert delta.change_id == seq == book.change_id
            assert book.moved_best(delta) is (best != [book.best(side) for side in Side])
        assert raw.same_as(book)
        book.check()
        if seq % tick_every == 0:
            delta = book.cut()
            if delta:
                slow.apply(delta)
            assert slow.same_as(book)
            assert slow.change_id == book.interval_change_id


def test_what_comes_and_goes_within_an_entry_is_silent():
    book = BookView()
    book.add(Side.BUY, 5, 2)
    book.add(Side.BUY, 5, -2)
    assert book.commit(1) is None
    assert book.change_id == 0
    assert book.cut() is None


def test_levels_come_from_the_best_on():
    book = BookView()
    for price in (1, 3, 2):
        book.add(Side.BUY, price, 10)
        book.add(Side.SELL, price + 10, 10)
    book.commit(1)
    assert [price for price, _ in book.levels(Side.BUY)] == [3, 2, 1]
    assert [price for price, _ in book.levels(Side.SELL, 2)] == [11, 12]
    assert book.best(Side.BUY) == (3, 10)
    assert book.best(Side.SELL) == (11, 10)


def test_an_empty_side_has_no_best():
    assert BookView().best(Side.BUY) is None
