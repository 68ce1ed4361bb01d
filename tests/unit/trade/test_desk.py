"""Keys, connections, and how answers are told."""

import json
from decimal import Decimal

import pytest
from rich.text import Text
from tests.unit.api.world import CALL_NAME, PERPETUAL_NAME, TAKER_KEY, free_port, served
from tests.venue import FUTURE, PERP

from exchange.trade.desk import Desk, TradeFailed, read_key, worst_price


@pytest.fixture(scope="module")
def venue():
    with served() as found:
        yield found


def test_a_key_is_hex_and_never_repeated():
    assert read_key(f" 0x{TAKER_KEY.hex()}\n", "f") == TAKER_KEY
    for text in ("", "12", "zz" * 32, "00" * 32):
        with pytest.raises(TradeFailed, match="file holds no private key") as caught:
            read_key(text, "file")
        assert text not in str(caught.value) or not text


def test_who_signs_needs_a_key_and_who_looks_does_not(venue):
    desk = Desk(url=venue[1])
    with pytest.raises(TradeFailed, match="--person 0"), desk.client():
        pass
    with desk.client(signs=False) as client:
        assert client.instruments()


def test_a_venue_that_is_away_is_named_with_what_to_do():
    desk = Desk(url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(TradeFailed, match="scripts/run"), desk.client(signs=False):
        pass


def test_public_keys_are_for_local_chains(venue, monkeypatch):
    desk = Desk(url=venue[1], private_key=TAKER_KEY, public_key=True)
    with desk.client() as client:
        assert client.subaccount_id()
    monkeypatch.setattr("exchange.trade.desk.LOCAL_CHAIN", 1)
    with pytest.raises(TradeFailed, match="public"), desk.client():
        pass


def test_an_unknown_instrument_has_similar_names(venue):
    desk = Desk(url=venue[1], private_key=TAKER_KEY)
    with pytest.raises(TradeFailed, match=f"did you mean .*{CALL_NAME}"), desk.client() as client:
        client.ticker(CALL_NAME.replace("C", "K")[:-1] + "C")


def test_answers_are_told_as_json_with_exact_numbers(capsys):
    Desk(url="", as_json=True).tell({"price": Decimal("1000.10")}, Text("unseen"))
    out = capsys.readouterr().out
    assert json.loads(out, parse_float=Decimal) == {"price": Decimal("1000.10")}
    Desk(url="").tell({}, Text("seen"))
    assert capsys.readouterr().out == "seen\n"
    assert Desk(url="").width > 0


def test_a_market_order_signs_the_bands_edge(venue):
    desk = Desk(url=venue[1], private_key=TAKER_KEY)
    with desk.client() as client:
        high = worst_price(client, CALL_NAME, Decimal(1), buys=True)
        low = worst_price(client, CALL_NAME, Decimal(1), buys=False)
        assert low < 1_000 < high
        world = venue[0]
        world.do(lambda venue: venue.list_instruments(FUTURE, tick_size=7_000_000))
        world.do(lambda venue: venue.mark({FUTURE: 100_000}))
        name = next(one.instrument_name for one in client.instruments() if one.tick_size == 7)
        edges = [worst_price(client, name, Decimal(1), buys=buys) for buys in (True, False)]
        band = client.margins(name, Decimal(1), Decimal(100_002))
        assert [edge % 7 for edge in edges] == [0, 0]
        assert band.min_price <= edges[1] < edges[0] <= band.max_price
    venue[0].do(lambda venue: venue.list_instruments(PERP))
    with pytest.raises(TradeFailed, match="give a price"), desk.client() as client:
        worst_price(client, PERPETUAL_NAME, Decimal(1), buys=True)
