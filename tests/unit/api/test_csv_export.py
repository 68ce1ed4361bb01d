"""The past as one file: every page, exact figures, one's own only."""

import csv
import io

import httpx
import pytest
from tests.unit.api.world import CALL_NAME, MAKER_ID, TAKER_ID, World, serving, session_of

from exchange.api import csv_export
from exchange.api.csv_export import csv_text
from exchange.api.methods_history import HISTORY


@pytest.fixture(scope="module")
def world():
    world = World()
    for number in range(5):
        price = 1_000 + number
        world.do(lambda venue, price=price: venue.sell(MAKER_ID, 1, price))
        world.do(lambda venue, price=price: venue.buy(TAKER_ID, 1, price))
    return world


@pytest.fixture(scope="module")
def url(world):
    with serving(world.app) as url:
        yield url


def get(world, url, method, *, signed=True, **params):
    headers = {}
    if signed:
        headers["Authorization"] = f"Bearer {session_of(world).access_token}"
    path = f"{url}/api/v2/private/{method}.csv"
    return httpx.get(path, params=params, headers=headers, trust_env=False, timeout=60)


def rows(reply):
    assert reply.status_code == 200, reply.text
    return list(csv.DictReader(io.StringIO(reply.text)))


def test_all_pages_are_in_one_file(world, url, monkeypatch):
    monkeypatch.setattr(csv_export, "PAGE", 2)
    reply = get(world, url, "get_user_trades_by_currency_and_time", currency="BTC")
    found = rows(reply)
    assert [row["price"] for row in found] == ["1004", "1003", "1002", "1001", "1000"]
    assert {row["instrument_name"] for row in found} == {CALL_NAME}
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    assert "get_user_trades_by_currency_and_time.csv" in reply.headers["content-disposition"]
    assert "continuation" not in reply.headers


def test_a_file_that_ends_early_says_where_it_goes_on(world, url):
    method = "get_user_trades_by_currency_and_time"
    first = get(world, url, method, currency="BTC", count=3)
    mark = first.headers["continuation"]
    rest = get(world, url, method, currency="BTC", continuation=mark)
    assert len(rows(first) + rows(rest)) == 5
    assert not {row["trade_id"] for row in rows(first)} & {row["trade_id"] for row in rows(rest)}


@pytest.mark.parametrize("method", [one.name.removeprefix("private/") for one in HISTORY])
def test_every_method_about_the_past_has_a_file(world, url, method):
    which = {"instrument_name": CALL_NAME} if "instrument" in method else {"currency": "BTC"}
    reply = get(world, url, method, **which)
    counts = {"get_order_history": 5, "user_trades": 5, "transaction_log": 6, "deposits": 1}
    expected = [count for name, count in counts.items() if name in method]
    assert len(rows(reply)) == (expected[0] if expected else 0)
    assert get(world, url, method, signed=False, **which).status_code == 401


@pytest.mark.parametrize(
    "wrong", [{"count": "0"}, {"count": "many"}, {"subaccount_id": MAKER_ID}, {"gossip": "1"}]
)
def test_refusals_are_those_of_the_method(world, url, wrong):
    reply = get(world, url, "get_deposits", **wrong)
    assert reply.status_code in (400, 403)
    assert "error" in reply.json()


def test_the_same_parameter_twice_is_refused(world, url):
    path = f"{url}/api/v2/private/get_deposits.csv?count=1&count=2"
    assert httpx.get(path, trust_env=False, timeout=60).status_code == 400


def test_cells_are_exact_text():
    text = csv_text([{"a": None, "b": True}, {"a": 1, "c": {"x": [1]}, "b": 'say "no", twice'}])
    assert text == 'a,b,c\r\n,true,\r\n1,"say ""no"", twice","{""x"":[1]}"\r\n'
    assert csv_text([]) == "\r\n"
