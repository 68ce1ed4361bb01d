"""The past by the SDK: every page once, and a file that a spreadsheet reads."""

import asyncio
import csv
from decimal import Decimal

import pytest
from tests.unit.api.world import CALL_NAME, MAKER_ID, TAKER_ID, TAKER_KEY, served

from exchange.sdk import AsyncClient, BadArgument, history


@pytest.fixture
def stage():
    with served() as (world, url):
        for price in (1_000, 1_001, 1_002):
            world.do(lambda venue, price=price: venue.sell(MAKER_ID, 1, price))
            world.do(lambda venue, price=price: venue.buy(TAKER_ID, 1, price))
        yield url


def run(url, work):
    async def story():
        async with AsyncClient(url, TAKER_KEY) as client:
            return await work(client)

    return asyncio.run(story())


def test_pages_follow_one_another(stage, monkeypatch):
    monkeypatch.setattr(history, "PAGE", 1)

    async def prices(client):
        return [row["price"] async for row in history.rows(client, "trades")]

    assert run(stage, prices) == [1_002, 1_001, 1_000]


def test_a_file_has_every_row_and_column(stage, tmp_path):
    path = tmp_path / "trades.csv"
    count = run(stage, lambda client: history.export_csv(client, "trades", path))
    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert count == len(found) == 3
    assert {row["instrument_name"] for row in found} == {CALL_NAME}
    assert [Decimal(row["price"]) for row in found] == [1_002, 1_001, 1_000]


@pytest.mark.parametrize("topic", history.TOPICS)
def test_every_topic_is_answered(stage, tmp_path, topic):
    path = tmp_path / "rows.csv"
    count = run(stage, lambda client: history.export_csv(client, topic, path))
    expected = {"orders": 3, "trades": 3, "log": 4, "deposits": 1}
    assert count == expected.get(topic, 0)


def test_an_unknown_topic_is_named(stage):
    with pytest.raises(BadArgument, match="gossip"):
        run(stage, lambda client: history.export_csv(client, "gossip", None))
