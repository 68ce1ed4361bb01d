"""One run, whole: what it demands at its end, and how a failure is told."""

import msgspec
import pytest

from exchange.bootstrap.simulate_command import quiet_logs
from exchange.simulation import Outcome, SimulationFailed, simulate
from exchange.simulation.parameters import Faults, plan_of
from exchange.simulation.world import World


def played(seed: int = 1, **changes: float) -> Outcome:
    plan = plan_of(seed, faults=False)
    plan = msgspec.structs.replace(plan, faults=Faults(**changes))
    with quiet_logs():
        return simulate(seed, steps=400, plan=plan)


def test_a_run_without_faults_has_none() -> None:
    """And is at rest in the end, with everything settled."""
    outcome = played()
    assert outcome.steps >= 400
    for name in ("messages_lost", "engine_deaths", "reorganisations", "source_faults", "timeouts"):
        assert outcome.counts[name] == 0, name
    assert outcome.events["Traded"] > 10
    assert outcome.counts["batches"] == outcome.events["BatchCut"]


@pytest.mark.parametrize(
    ("fault", "count"),
    [
        ({"message_lost": 0.2}, "messages_lost"),
        ({"message_doubled": 0.5}, "messages_doubled"),
        ({"deaths": 200.0}, "engine_deaths"),
        ({"relayer_deaths": 200.0}, "relayer_deaths"),
        ({"reorganisations": 400.0, "depth_max": 4}, "reorganisations"),
        ({"disk": 0.05}, "disk_failures"),
        ({"sources": 0.3}, "source_faults"),
        ({"crashes": 200.0}, "price_crashes"),
    ],
)
def test_each_kind_of_fault_happens_and_is_survived(fault: dict[str, float], count: str) -> None:
    """Alone, so that a failure names it."""
    assert played(2, **fault).counts[count] > 0


def test_hours_bound_a_run_too() -> None:
    """Of venue time."""
    with quiet_logs():
        outcome = simulate(4, hours=0.05)
    assert 180 <= outcome.seconds < 3_600


def test_how_often_it_looks_changes_nothing() -> None:
    """So a failure is pinned down by looking at each command."""
    with quiet_logs():
        seldom, always = (simulate(5, steps=300, check_every=every) for every in (100, 1))
    assert seldom == always


def test_what_never_comes_to_rest_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Liveness is part of it: an hour of calm must be enough."""

    async def stuck(_: World) -> str:
        return "a batch that nobody sends"

    monkeypatch.setattr(World, "_waits_for", stuck)
    with pytest.raises(SimulationFailed, match="not at rest after 3600 s: a batch that nobody"):
        played()


def test_a_difference_between_engine_and_chain_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even one of a millionth."""
    compare = World._compare

    async def meddled(world: World) -> Outcome:
        world.chain.contract.ledger.add(("cash", 3), 1)
        world.chain.contract.ledger.add(("deposited",), 1)
        return await compare(world)

    monkeypatch.setattr(World, "_compare", meddled)
    with pytest.raises(SimulationFailed, match="subaccount 3: the engine has"):
        played()
