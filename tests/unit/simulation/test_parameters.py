"""Plans: the seed decides all of it, and prices have the shape that margin expects."""

from itertools import pairwise

import pytest

from exchange.engine import Engine
from exchange.events import Configured, InstrumentListed
from exchange.model import InstrumentTerms, Kind, OptionKind, unpack_instrument_id
from exchange.simulation.parameters import NS, START_S, Faults, plan_of, usdc, worth


@pytest.mark.parametrize("seed", range(5))
def test_an_engine_takes_every_plan(seed: int) -> None:
    """Parameters and listings are those of a venue."""
    plan, engine = plan_of(seed), Engine()
    assert plan == plan_of(seed)
    (configured,) = engine.apply(1, START_S * NS, plan.configure)
    assert isinstance(configured, Configured)
    events = engine.apply(2, START_S * NS, plan.listings)
    assert all(isinstance(event, InstrumentListed) for event in events)
    assert len(events) == len(plan.listings.listings)


def test_plans_differ_in_their_faults() -> None:
    """Each kind of fault is in some runs and out of others; without faults there are none."""
    plans = [plan_of(seed) for seed in range(30)]
    for name in set(Faults.__struct_fields__) - {"depth_max"}:
        assert {getattr(plan.faults, name) > 0 for plan in plans} == {True, False}, name
    assert plan_of(1, faults=False).faults == Faults()


@pytest.mark.parametrize("kind", list(OptionKind))
def test_an_option_is_worth_more_than_its_payoff_and_loses_time(kind: OptionKind) -> None:
    """At the end only the payoff is left."""
    expiry = START_S + 7_200
    terms = InstrumentTerms(Kind.OPTION, 1, expiry, usdc(100_000), kind)
    for index in (90_000, 100_000, 110_000):
        values = [worth(terms, usdc(index), expiry - left) for left in (7_200, 600, 60, 1)]
        assert all(value >= terms.payoff(usdc(index)) for value in values)
        assert all(later <= earlier for earlier, later in pairwise(values))
    linear = unpack_instrument_id(plan_of(1).listings.listings[-1].instrument_id)
    assert worth(linear, usdc(5), START_S) == usdc(5)
