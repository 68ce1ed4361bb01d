"""Where traffic should not go, and what is said about it."""

import asyncio

import pytest
from tests.unit.api.world import World

from exchange.api.readiness import COMMIT_S_MAX, REPORT_S_MAX, Readiness


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def readiness(world: World, clock: Clock) -> Readiness:
    return Readiness(world.sequencer, lambda: not world.sequencer.stopped, clock)


def reasons(readiness: Readiness) -> dict[str, str]:
    return asyncio.run(readiness.reasons())


def test_a_stale_index_is_named(world, readiness):
    """Fresh ones are not."""
    assert reasons(readiness) == {}
    oldest_ns = world.sequencer.engine.parameters.limits.index_age_ns_max
    world.venue.time_ns += oldest_ns
    assert reasons(readiness) == {}
    world.venue.time_ns += 1
    assert reasons(readiness) == {"index": "too old: BTC, ETH"}


def test_a_store_that_hangs_is_told_while_it_hangs(world, readiness):
    """And nothing waits for it."""
    world.sequencer.committing_s = COMMIT_S_MAX
    assert reasons(readiness) == {}
    world.sequencer.committing_s = COMMIT_S_MAX + 3
    world.sequencer.read = None  # it would wait for the commit
    assert reasons(readiness) == {"journal": "a commit has taken 5 s so far"}


def test_who_asks_as_the_store_begins_to_hang_does_not_wait_for_it(world):
    """The commit is young then, and the question would stand behind it for as long as it takes."""

    async def never(_):
        await asyncio.Event().wait()

    world.sequencer.committing_s = 1.0
    world.sequencer.read = never
    patient = Readiness(world.sequencer, lambda: True, patience_s=0.01)
    assert reasons(patient) == {"journal": "a commit has taken 1 s so far"}


def test_a_relayer_that_fell_silent_has_lost_its_node(readiness, clock):
    """One that never spoke is none."""
    clock.now_s = 1_000.0
    assert reasons(readiness) == {}
    readiness.settlement_reported()
    clock.now_s += REPORT_S_MAX
    assert reasons(readiness) == {}
    clock.now_s += 5
    assert reasons(readiness) == {"settlement": "no report of the relayer for 65 s"}
    readiness.settlement_reported()
    assert reasons(readiness) == {}


def test_a_writer_that_stopped_is_not_asked_for_more(world, readiness):
    """Nor is one whose view broke."""
    world.sequencer.stopped = True
    assert set(reasons(readiness)) == {"writer"}


def test_other_reasons_are_told_beside_its_own(world):
    """Such as those of a gateway whose way to the engine is down."""
    readiness = Readiness(world.sequencer, lambda: True, others=lambda: {"ingress": "away"})
    assert reasons(readiness) == {"ingress": "away"}
