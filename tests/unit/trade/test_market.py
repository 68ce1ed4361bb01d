"""A chain and a book from a real gateway."""

import pytest
from tests.unit.api.world import CALL_NAME, MAKER_ID, MAKER_KEY, PUT_NAME, TAKER_ID, served

from exchange.sdk import BadArgument, Client
from exchange.trade.market import chain, depth


@pytest.fixture(scope="module")
def venue():
    with served() as (world, url), Client(url, MAKER_KEY, transport="http") as client:
        world.do(lambda venue: venue.sell(MAKER_ID, 1, 1_000))
        world.do(lambda venue: venue.buy(TAKER_ID, 1, 1_000))
        client.buy(CALL_NAME, 2, 990)
        client.sell(CALL_NAME, 3, 1_010)
        yield world, client


def test_the_nearest_expiry_by_strike(venue):
    _, client = venue
    found = chain(client, "btc")
    assert (found.currency, found.expiry) == ("BTC", "25DEC26")
    assert found.expiries[0] == "25DEC26"
    (row,) = [row for row in found.rows if row.strike == 100_000]
    assert (row.call.instrument_name, row.put.instrument_name) == (CALL_NAME, PUT_NAME)
    assert (row.call.bid, row.call.mark, row.call.ask) == (990, 1_000, 1_010)
    assert row.call.open_interest == 1
    assert 0 <= row.call.delta <= 1
    assert -1 <= row.put.delta <= 0
    assert [one.strike for one in found.rows] == sorted(one.strike for one in found.rows)


@pytest.mark.parametrize("wanted", [("BTC", "1JAN70"), ("ETH", None)])
def test_what_is_not_listed_is_named(venue, wanted):
    with pytest.raises(BadArgument, match=r"no (expiry 1JAN70: there are 25DEC26|options of ETH)"):
        chain(venue[1], *wanted)


def test_a_book_with_its_last_trades(venue):
    found = depth(venue[1], CALL_NAME, 5, 3)
    assert (found.book.bids, found.book.asks) == ([(990, 2)], [(1_010, 3)])
    assert [trade.price for trade in found.trades] == [1_000]
