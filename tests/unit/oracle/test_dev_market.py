"""The simulated market's data: grids that the venue accepts, chains that traders expect."""

from pathlib import Path

import pytest

from exchange.fixed import PRICE_QUANTUM
from exchange.matching.listing import expiries_ahead
from exchange.model import Kind, OptionKind, expiry_code, unpack_instrument_id
from exchange.oracle.chain_data import read_chain
from exchange.oracle.dev_market import dev_feeds, load_dev_market, packaged_rules
from exchange.oracle.index import IndexCalculator

SYNTHETIC = Path(__file__).parents[2] / "data" / "synthetic_chain.csv"
NOW_S = 1_795_271_000  # Saturday, 21 November 2026, 14:23 UTC
NOW_NS = NOW_S * 10**9
MARKET = load_dev_market()


@pytest.mark.parametrize("underlying", MARKET.underlyings)
def test_grids_are_valid(underlying: str) -> None:
    """Ticks are multiples of 0.01 USDC; the smallest order is whole lots."""
    grid = MARKET.underlyings[underlying].grid()
    assert grid.tick_size % PRICE_QUANTUM == 0
    assert grid.min_quantity % grid.lot_size == 0


@pytest.mark.parametrize(
    ("now_s", "codes"),
    [
        (NOW_S, ["22NOV26", "23NOV26", "27NOV26", "4DEC26", "25DEC26"]),
        (1_795_330_800 - 1, ["22NOV26", "23NOV26", "27NOV26", "4DEC26", "25DEC26"]),
        (1_795_330_800, ["23NOV26", "24NOV26", "27NOV26", "4DEC26", "25DEC26"]),
        (1_795_766_400, ["28NOV26", "29NOV26", "4DEC26", "11DEC26", "25DEC26", "29JAN27"]),
    ],
)
def test_expiries_are_days_fridays_and_month_ends(now_s: int, codes: list[str]) -> None:
    """Each once, at 08:00 UTC, and none within the hour."""
    assert [
        expiry_code(expiry) for expiry in expiries_ahead(packaged_rules(1).options, now_s)
    ] == codes


def test_a_chain_has_eleven_strikes_around_the_index() -> None:
    """A call and a put each, steps widen with time; the perpetual and two futures come first."""
    command = MARKET.chain_command("BTC", 101_200 * 10**6, NOW_S)
    listed = [unpack_instrument_id(listing.instrument_id) for listing in command.listings]
    assert len(listed) == len(set(listed))
    assert [t.kind for t in listed[:4]] == [Kind.PERPETUAL, Kind.FUTURE, Kind.FUTURE, Kind.OPTION]
    assert [expiry_code(t.expiry) for t in listed[1:3]] == ["27NOV26", "25DEC26"]
    terms = listed[3:]
    assert len(terms) == 5 * 11 * 2
    first, last = min(t.expiry for t in terms), max(t.expiry for t in terms)
    near = sorted({t.strike // 10**6 for t in terms if t.expiry == first})
    far = sorted({t.strike // 10**6 for t in terms if t.expiry == last})
    assert near == list(range(96_000, 107_000, 1_000))
    assert far == list(range(75_000, 126_000, 5_000))
    puts = [t for t in terms if t.option_kind is OptionKind.PUT]
    assert len(puts) * 2 == len(terms)


def test_strikes_stay_positive_when_the_index_is_tiny() -> None:
    """The chain then begins one step above zero."""
    command = MARKET.chain_command("ETH", 120 * 10**6, NOW_S)
    terms = [unpack_instrument_id(listing.instrument_id) for listing in command.listings]
    assert min(t.strike for t in terms if t.kind is Kind.OPTION) == 50 * 10**6


def test_feeds_of_a_new_venue_start_at_the_configured_price() -> None:
    """All sources agree, so that the first index has full trust."""
    for feed in dev_feeds(MARKET, seed=1, now_ns=NOW_NS, last_prices={}):
        samples = {source.name: source.sample(NOW_NS) for source in feed.sources}
        reading = IndexCalculator(feed.rules).read(samples, NOW_NS)
        assert reading.index_price is not None
        name = {1: "BTC", 2: "ETH"}[feed.underlying_id]
        assert reading.index_price == pytest.approx(MARKET.start_price(name), rel=0.001)


def test_feeds_of_a_restart_go_on_at_the_journals_price() -> None:
    """The journal knows best, even better than a recorded chain."""
    chain = read_chain(
        SYNTHETIC,
        underlyings={"BTC": 1},
        grid=MARKET.underlyings["BTC"].grid(),
        now_s=NOW_S,
    )
    prices = {}
    for last_prices in ({}, {1: 64_000 * 10**6, 2: 0}):
        feeds = dev_feeds(MARKET, seed=1, now_ns=NOW_NS, last_prices=last_prices, chain=chain)
        samples = [feed.sources[0].sample(NOW_NS) for feed in feeds]
        prices[len(last_prices)] = [sample.price for sample in samples if sample]
    assert prices[0] == pytest.approx([70_999, 3_500], rel=0.001)
    assert prices[2] == pytest.approx([64_000, 3_500], rel=0.001)


def test_feeds_depend_on_their_seed_alone() -> None:
    """The same in every process."""
    later_ns = NOW_NS + 3600 * 10**9
    paths = [
        dev_feeds(MARKET, seed=seed, now_ns=NOW_NS, last_prices={})[0].sources[0].sample(later_ns)
        for seed in (1, 1, 2)
    ]
    assert paths[0] == paths[1] != paths[2]
