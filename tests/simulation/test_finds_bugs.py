"""Bugs planted on purpose: each is found within a few seeds, so a run that passes means something.

Most were real somewhere: a reply before the commit, a fill that counts twice, a reorganisation that
is forgotten, a nonce that is not looked at, a unit rounded to the wrong side.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest

from exchange import sequencer
from exchange.bootstrap.simulate_command import quiet_logs
from exchange.commands import PlaceOrder
from exchange.engine import Engine, reverting
from exchange.engine.positions import move_position
from exchange.events import Traded
from exchange.fixed import mul_div_down
from exchange.margin import linear
from exchange.oracle import index
from exchange.settlement.batch import BatchBuilder
from exchange.settlement.cursor import BlockCursor
from exchange.settlement.relayer import Relayer
from exchange.settlement.watcher import Watcher
from exchange.simulation import SimulationFailed, engine_host, simulate
from exchange.simulation.checks import CheckedEngine
from exchange.simulation.parameters import Plan, plan_of

SEEDS: Final = 12
STEPS: Final = 700
Patch = pytest.MonkeyPatch


def released_before_it_is_durable(patch: Patch) -> None:
    async def careless(work: Callable[[], None]) -> None:
        asyncio.get_running_loop().run_in_executor(None, work)

    patch.setattr(sequencer, "aside", careless)


def in_every_engine(patch: Patch, apply: Callable[[Any, Any, Callable[[], None]], None]) -> None:
    """Let this apply commands; functions of compiled modules cannot be replaced."""

    def dispatch(self: Any, command: Any) -> None:
        apply(self._venue, command, lambda: Engine._dispatch(self, command))

    patch.setattr(CheckedEngine, "_dispatch", dispatch, raising=False)
    patch.setattr(engine_host, "Engine", type("Planted", (Engine,), {"_dispatch": dispatch}))


def a_fill_counts_twice(patch: Patch) -> None:
    def twice(venue: Any, command: Any, apply: Callable[[], None]) -> None:
        apply()
        if isinstance(command, PlaceOrder):
            for event in venue.events:
                if isinstance(event, Traded) and event.quantity == 500:
                    instrument = venue.instruments[event.instrument_id]
                    move_position(venue, event.taker_subaccount_id, instrument, 500, event.price)

    in_every_engine(patch, twice)


def a_lost_deposit_is_kept(patch: Patch) -> None:
    patch.setattr(reverting, "_take_deposit", lambda venue, seen: None)


def a_nonce_is_not_looked_at(patch: Patch) -> None:
    def forgetful(venue: Any, command: Any, apply: Callable[[], None]) -> None:
        if isinstance(command, PlaceOrder):
            subaccount = venue.subaccounts.get(command.terms.subaccount_id)
            known = subaccount and subaccount.orders.get(command.terms.nonce)
            if known and known.is_over:
                del subaccount.orders[command.terms.nonce]
        apply()

    in_every_engine(patch, forgetful)


def a_unit_is_rounded_for_the_account(patch: Patch) -> None:
    patch.setattr(linear, "mul_div_up", mul_div_down)


def what_was_mined_is_never_looked_for_again(patch: Patch) -> None:
    patch.setattr(Relayer, "_block_of", lambda self, job: job.block)


def a_deposit_is_told_twice(patch: Patch) -> None:
    read = Watcher._read

    def doubled(self: Watcher, cursor: BlockCursor, first: int, last: int) -> Any:
        command = read(self, cursor, first, last)
        if len(command.observations) != 1 or first == 1:
            return command
        return msgspec.structs.replace(command, observations=command.observations * 2)

    patch.setattr(Watcher, "_read", doubled)


def blocks_of_another_branch_are_told(patch: Patch) -> None:
    read = Watcher._read

    def trusting(self: Watcher, cursor: BlockCursor, first: int, last: int) -> Any:
        return read(self, BlockCursor(), first, last)

    patch.setattr(Watcher, "_read", trusting)


def withdrawals_are_left_out_of_batches(patch: Patch) -> None:
    patch.setattr(BatchBuilder, "_moves", lambda self, first_seq: ())


def the_index_is_a_mean(patch: Patch) -> None:
    patch.setattr(index, "median_half_even", lambda values: sum(values) // len(values))
    patch.setattr(index, "_inner_spread", lambda prices: 0)
    patch.setattr(index.IndexCalculator, "_drop_outliers", lambda self, readings: readings)


BUGS: Final = (
    released_before_it_is_durable,
    a_fill_counts_twice,
    a_lost_deposit_is_kept,
    a_nonce_is_not_looked_at,
    a_unit_is_rounded_for_the_account,
    what_was_mined_is_never_looked_for_again,
    a_deposit_is_told_twice,
    blocks_of_another_branch_are_told,
    withdrawals_are_left_out_of_batches,
    the_index_is_a_mean,
)


def troubled(seed: int) -> Plan:
    """The seed's plan with reorganisations deep and often, and messages that come twice."""
    plan = plan_of(seed)
    faults = msgspec.structs.replace(
        plan.faults, reorganisations=120.0, depth_max=6, message_doubled=0.2, sources=0.1
    )
    return msgspec.structs.replace(plan, faults=faults, confirmations=1, block_s=4.0)


@pytest.mark.parametrize("plant", BUGS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(
    plant: Callable[[Patch], None], monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some seed fails, and says which."""
    plant(monkeypatch)
    with quiet_logs():
        for seed in range(SEEDS):
            try:
                simulate(seed, steps=STEPS, plan=troubled(seed))
            except SimulationFailed as found:
                if isinstance(found.cause, TypeError):
                    raise  # the plant itself is broken
                with capsys.disabled():
                    print(f"\n{plant.__name__}: {str(found).splitlines()[0][:150]}")
                return
    pytest.fail(f"{plant.__name__} passed {SEEDS} seeds of {STEPS} steps")


def test_without_a_bug_the_same_runs_pass() -> None:
    """What finds them is no false alarm."""
    with quiet_logs():
        for seed in range(2):
            assert simulate(seed, steps=STEPS, plan=troubled(seed)).steps >= STEPS
