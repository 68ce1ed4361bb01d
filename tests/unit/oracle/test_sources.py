"""Sources state prices purely from seed and clock."""

import itertools
import math
import statistics

import pytest

from exchange.oracle.sources import (
    MarketModel,
    SimulatedMarket,
    SimulatedSource,
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
