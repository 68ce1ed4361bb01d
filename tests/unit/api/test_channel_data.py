"""Levels put together, against a slow twin; and what is not there yet."""

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.api.world import World

from exchange.api import channel_data
from exchange.api.channel_data import grouped, resolution_s
from exchange.api.views import VenueView
from exchange.model import Side

BOOK = st.dictionaries(st.integers(-300, 300), st.integers(1, 9), max_size=40)


@given(BOOK, st.sampled_from(Side), st.integers(1, 50), st.integers(1, 5))
def test_wide_levels_hold_everything_that_is_as_good_or_better(book, side, width, levels):
    best_first = sorted(book.items(), reverse=side is Side.BUY)
    found = grouped(best_first, side, width, levels)
    edges = [price // width if side is Side.BUY else -(-price // width) for price, _ in best_first]
    expected = {}
    for edge, (_, quantity) in zip(edges, best_first, strict=True):
        expected[edge * width] = expected.get(edge * width, 0) + quantity
    assert found == list(expected.items())[:levels]


def test_resolutions():
    assert [resolution_s(name) for name in ("1", "60", "1D")] == [60, 3_600, 86_400]


def test_a_venue_without_parameters_has_no_indices_and_no_marks():
    view = VenueView()
    assert channel_data.index_ids(view) == {}
    assert channel_data.mark_prices(view, "btc_usdc") is None


def test_a_venue_without_prices_has_nothing_to_say():
    world = World()
    world.gateway.stop()
    view = world.gateway.view
    view.index_prices.clear()
    assert channel_data.index(view, "btc_usdc") is None
    assert channel_data.expiration(view, "btc_usdc") is None
    assert channel_data.candle(view, next(iter(view.instruments.values())), "1") is None
    view.history.volatilities.clear()
    assert channel_data.volatility_index(view, "btc_usdc") is None
