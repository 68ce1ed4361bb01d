"""Prices: the index stays near the truth whatever its sources say, and marks suit the engine."""

import random

import pytest

from exchange.commands import UpdateIndex
from exchange.engine import Engine
from exchange.events import IndexUpdated, MarksUpdated
from exchange.fixed import CASH_SCALE
from exchange.oracle import index
from exchange.simulation.market import ERROR_MAX, Epoch, Market, marks
from exchange.simulation.parameters import NS, START_S, Faults, plan_of

SOURCES_ROTTEN = Faults(sources=0.3)


def indices(market: Market, count: int) -> list[UpdateIndex]:
    """Those that were not withheld, each near the true price."""
    found = []
    for number in range(count):
        market.step(2.5)
        update = market.index(1, (START_S + 3 * number) * NS)
        if update is not None:
            found.append(update)
            true = market.prices[1] * CASH_SCALE
            assert abs(update.index_price / true - 1) < ERROR_MAX
    return found


def test_faulty_sources_do_not_move_the_index() -> None:
    """Two of five may say anything."""
    market = Market(random.Random(4), SOURCES_ROTTEN)
    assert len(indices(market, 200)) > 150
    assert market.faulty > 50


def test_an_index_that_follows_liars_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mean instead of a median."""
    monkeypatch.setattr(index, "median_half_even", lambda values: sum(values) // len(values))
    monkeypatch.setattr(index, "_inner_spread", lambda _: 0)
    monkeypatch.setattr(index.IndexCalculator, "_drop_outliers", lambda _, readings: readings)
    with pytest.raises(AssertionError, match="an index is"):
        indices(Market(random.Random(4), SOURCES_ROTTEN), 200)


def test_crashes_go_on_for_some_steps() -> None:
    """And end: a price is not zero after a day of them."""
    market = Market(random.Random(5), Faults(crashes=3_600.0))
    prices = []
    for _ in range(10):
        market.step(1.0)
        prices.append(market.prices[1])
    assert market.crashes >= 1
    assert max(prices) / min(prices) > 1.1
    market.restart()
    assert market.index(1, START_S * NS) is not None


def test_an_engine_takes_the_marks() -> None:
    """Rows of every live instrument; a premium is the perpetual's alone."""
    plan, engine = plan_of(2), Engine()
    now_ns = START_S * NS
    engine.apply(1, now_ns, plan.configure)
    engine.apply(2, now_ns, plan.listings)
    live = [listing.instrument_id for listing in plan.listings.listings]
    prices = {1: 100_000 * CASH_SCALE, 2: 4_000 * CASH_SCALE}
    for seq, (number, price) in enumerate(prices.items(), 3):
        update = UpdateIndex(underlying_id=number, index_price=price, confidence=10**18)
        assert isinstance(engine.apply(seq, now_ns, update)[0], IndexUpdated)
    epoch = Epoch(number=1, indices=prices, live=live, premium=1_000)
    assert isinstance(engine.apply(5, now_ns, marks(epoch, START_S))[0], MarksUpdated)
    found = {number: engine.mark(number) for number in live}
    assert all(found.values())
    perpetual = min(live, key=lambda number: engine.instruments[number].kind)
    assert found[perpetual] is not None
