"""Which sources a venue samples: simulated, recorded or real, by its settings."""

import asyncio
import tempfile
from pathlib import Path

import msgspec
import pytest
from tests.unit.oracle.test_loop import CONFIGURE, START_NS, venue

from exchange.bootstrap.market_feed import MarketFeed
from exchange.bootstrap.processes import StartFailed
from exchange.config import Settings
from exchange.oracle.loop import Feed
from exchange.oracle.polling import PolledChain, PolledSource
from exchange.oracle.sources import RecordedSource

NS = 10**9


def feeds(tmp_path: Path, **settings: str) -> dict[int, Feed]:
    """By underlying; whatever was opened is closed again."""

    async def play() -> dict[int, Feed]:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        async with venue(folder) as stage:
            await stage.sequencer.submit(CONFIGURE)
            market = MarketFeed(with_settings(**settings), stage.sequencer, START_NS)
            found = await market.feeds()
            assert len(market.polled) == sum(
                isinstance(one, PolledSource | PolledChain)
                for feed in found
                for one in (*feed.sources, *feed.chains)
            )
            await market.close()
            return {feed.underlying_id: feed for feed in found}

    return asyncio.run(play())


def with_settings(**settings: str) -> Settings:
    return msgspec.structs.replace(Settings(), **settings)


def test_by_default_everything_is_simulated(tmp_path: Path) -> None:
    found = feeds(tmp_path)
    assert [len(found[key].sources) for key in (1, 2)] == [7, 7]
    assert [len(found[key].chains) for key in (1, 2)] == [3, 3]


def test_recorded_prices_begin_with_the_journal(tmp_path: Path) -> None:
    """Two files replace the simulated sources of BTC; ETH is as it was."""
    for name, price in (("a", 90_000), ("b", 90_010)):
        rows = f"time,price\n1000,{price}\n1060,{price + 5}\n"
        (tmp_path / f"{name}.csv").write_text(rows)
    listed = f"BTC=first:{tmp_path}/a.csv,second:{tmp_path}/b.csv"
    found = feeds(tmp_path, recorded_sources=listed)
    btc = found[1]
    assert [one.name for one in btc.sources] == ["first", "second"]
    assert all(isinstance(one, RecordedSource) for one in btc.sources)
    assert (btc.rules.quorum, btc.chains) == (2, ()), "no simulated chain on a real price"
    assert btc.sources[0].sample(START_NS - 1) is None
    assert [one.sample(START_NS + 59 * NS).price for one in btc.sources] == [90_000.0, 90_010.0]
    assert btc.sources[0].sample(START_NS + 60 * NS).price == 90_005.0
    assert len(found[2].sources) == 7


@pytest.mark.parametrize("text", ["time,price\n1,2\n0,2\n", "x\ny\n"])
def test_a_file_that_holds_no_prices_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(StartFailed, match="EXCHANGE_RECORDED_SOURCES"):
        feeds(tmp_path, recorded_sources=f"BTC=first:{tmp_path}/a.csv")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match="nowhere"):
        feeds(tmp_path, recorded_sources="BTC=first:/nowhere.csv")


def test_exchanges_replace_prices_and_chains(tmp_path: Path) -> None:
    """Real prices stand alone; real chains come by a setting of their own."""
    found = feeds(tmp_path, index_sources="BTC=kraken:BTC/USDC,bitstamp:BTC/USDC,okx:BTC/USDC")
    assert [one.name for one in found[1].sources] == ["kraken", "bitstamp", "okx"]
    assert (found[1].rules.quorum, found[1].chains) == (2, ())
    both = feeds(
        tmp_path, index_sources="BTC=kraken:BTC/USDC", volatility_sources="BTC=deribit:BTC"
    )
    assert [one.name for one in both[1].chains] == ["deribit"]
    assert [one.name for one in both[2].chains] == ["alder", "birch", "cedar"]
