"""Sources state prices purely from seed and clock."""

import itertools
import math
import statistics

import pytest

from exchange.oracle.sources import (
    MarketModel,
    RecordedSource,
    Sample,
    SimulatedMarket,
    SimulatedSource,
    read_recorded,
)

START_NS = 1_795_271_000 * 10**9
HOUR_NS = 3600 * 10**9
SECOND_NS = 10**9
MODEL = MarketModel(volatility=0.6)


def market(seed: int = 1, model: MarketModel = MODEL) -> SimulatedMarket:
    return SimulatedMarket(model, seed=seed, start_price=100_000.0, start_ns=START_NS)


def test_the_path_begins_at_its_start_price() -> None:
    """The first second, and any before it, has the starting price."""
    assert market().price(START_NS) == pytest.approx(100_000, rel=1e-12)
    assert market().price(START_NS - HOUR_NS) == pytest.approx(100_000, rel=1e-12)


def test_a_leap_lands_where_a_walk_arrives() -> None:
    """How often the market is asked does not change where it goes."""
    walker, leaper = market(), market()
    end_ns = START_NS + 5 * HOUR_NS + 17 * SECOND_NS
    for time_ns in range(START_NS, end_ns, 600 * SECOND_NS):
        walker.price(time_ns)
    assert walker.price(end_ns) == leaper.price(end_ns)


def test_the_past_can_be_asked_again() -> None:
    """A question about an earlier moment has the answer that it had."""
    path = market()
    early_ns = START_NS + 100 * SECOND_NS
    early = path.price(early_ns)
    path.price(START_NS + 30 * HOUR_NS)
    assert path.price(early_ns) == early


def test_seeds_give_different_paths() -> None:
    """Two seeds, two markets; one seed, one market."""
    time_ns = START_NS + HOUR_NS
    assert market(1).price(time_ns) == market(1).price(time_ns)
    assert market(1).price(time_ns) != market(2).price(time_ns)


def test_the_path_is_about_as_volatile_as_its_model() -> None:
    """Realised volatility over a quiet month is near the model's."""
    path = market(3, MarketModel(volatility=0.6, volatility_of_volatility=0.0, jumps=0.0))
    prices = [path.price(START_NS + hour * HOUR_NS) for hour in range(30 * 24)]
    moves = [math.log(after / before) for before, after in itertools.pairwise(prices)]
    assert statistics.pstdev(moves) * math.sqrt(365 * 24) == pytest.approx(0.6, rel=0.1)


def test_a_source_strays_at_most_by_its_noise() -> None:
    """Each source is near the true price, and no two are the same."""
    true = market()
    first = SimulatedSource("first", true, seed=1, noise=0.001)
    second = SimulatedSource("second", true, seed=2, noise=0.001)
    for second_no in range(50):
        time_ns = START_NS + second_no * SECOND_NS
        sample = first.sample(time_ns)
        assert sample.time_ns == time_ns
        assert sample.price == pytest.approx(true.price(time_ns), rel=0.001)
        assert sample.price != second.sample(time_ns).price


def realised(path: SimulatedMarket, day: int) -> float:
    """Yearly volatility of one day's minutes."""
    start_ns = START_NS + day * 24 * HOUR_NS
    prices = [path.price(start_ns + minute * 60 * SECOND_NS) for minute in range(1440)]
    moves = [math.log(after / before) for before, after in itertools.pairwise(prices)]
    return statistics.pstdev(moves) * math.sqrt(365 * 1440)


def test_variance_wanders_and_returns() -> None:
    """Heston: days differ; without xi all days agree."""
    wild = market(5, MarketModel(volatility=0.6, volatility_of_volatility=2.0, jumps=0.0))
    days = [realised(wild, day) for day in range(12)]
    assert max(days) > 1.2 * min(days)
    still = market(5, MarketModel(volatility=0.6, volatility_of_volatility=0.0, jumps=0.0))
    assert max(realised(still, day) for day in range(6)) < 0.66


def test_a_falling_price_is_a_wilder_one() -> None:
    """The leverage effect: with full correlation variance is a function of the path."""
    model = MarketModel(
        volatility=0.6, volatility_of_volatility=3.0, correlation=-1.0, jumps=0.0, reversion=1.0
    )
    pairs = []
    for seed in range(12):
        path = market(seed, model)
        fall = -math.log(path.price(START_NS + 24 * HOUR_NS) / path.price(START_NS))
        pairs.append((fall, realised(path, 1)))
    falls, volatilities = zip(*pairs, strict=True)
    assert statistics.correlation(falls, volatilities) > 0.5


def test_jumps_are_jumps() -> None:
    """With hundreds a year of 5 % each, single seconds move by percents."""
    model = MarketModel(
        volatility=0.1, volatility_of_volatility=0.0, jumps=3000.0, jump_mean=0.0, jump_size=0.05
    )
    path = market(2, model)
    prices = [path.price(START_NS + second * SECOND_NS) for second in range(24 * 3600)]
    moves = [abs(math.log(b / a)) for a, b in itertools.pairwise(prices)]
    assert sum(move > 0.01 for move in moves) >= 3


def test_a_recorded_source_says_what_was_true_then() -> None:
    """Nothing before its first row, the newest one since, and at last its age tells."""
    rows = read_recorded("time,price\n10,100\n10.5,101\n12,nan\n")
    source = RecordedSource("file", rows, shift_ns=5 * SECOND_NS)
    assert source.name == "file"
    assert source.sample(14 * SECOND_NS) is None
    assert source.sample(15 * SECOND_NS) == Sample(100.0, 15 * SECOND_NS)
    assert source.sample(16 * SECOND_NS) == Sample(101.0, 15_500_000_000)
    last = source.sample(99 * SECOND_NS)
    assert last is not None
    assert math.isnan(last.price)  # judged by the index, not here
    assert last.time_ns == 17 * SECOND_NS


@pytest.mark.parametrize("text", ["1,2\nx,3\n", "1,2\n1\n", "2,1\n1,1\n", "1,1\n1e400,1\n"])
def test_a_file_that_is_no_record_is_refused(text: str) -> None:
    """With the row that is wrong."""
    with pytest.raises(ValueError, match="row 2"):
        read_recorded(text)
