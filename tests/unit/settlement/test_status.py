"""The picture that operators see: figures of outbox and node, alarms, Prometheus text."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from exchange.journal.outbox import Attempt, Job, JobKind, JobState, Outbox, Outcome
from exchange.model import SECONDS_PER_DAY
from exchange.settlement.status import (
    PENDING_MAX_S,
    RelayerMetrics,
    RelayerStatus,
    StatusReader,
)

ADDRESS = "0x" + "11" * 20


class StillChain:
    """A node that stands at one block; the reader asks no more of it."""

    url = "http://node"
    deployment = SimpleNamespace(shard=3)
    wei = 10**18
    published_s = 0
    index_s: ClassVar[dict[int, int]] = {}

    def block_time(self) -> int:
        return 10_000

    def risk_epoch(self) -> int:
        return 7

    def marks_time(self, epoch: int) -> int | None:
        assert epoch == 7
        return self.published_s or None

    def index_time(self, underlying_id: int) -> int:
        return self.index_s.get(underlying_id, 0)

    def head(self) -> int:
        return 42

    def balance(self, address: str) -> int:
        assert address == ADDRESS
        return self.wei


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(str(tmp_path / "relayer.db"))
    yield outbox
    outbox.close()


def batch(number: int, *, fills: int) -> Job:
    return Job(
        key=f"batch:{number}",
        kind=JobKind.BATCH,
        number=number,
        last_seq=number,
        batch_hash=bytes(32),
        to=ADDRESS,
        data=b"",
        fills=fills,
        cut_s=1_000,
    )


def attempt(outbox: Outbox, job: Job, tx_hash: str) -> Job:
    return outbox.send(
        job,
        Attempt(
            tx_hash=tx_hash,
            job_key=job.key,
            sender=ADDRESS,
            tx_nonce=0,
            raw=b"",
            gas=1,
            max_fee=1,
            priority_fee=1,
        ),
    )


def reader_of(outbox: Outbox, chain: StillChain) -> StatusReader:
    return StatusReader(chain, outbox, ADDRESS, balance_min=10**17)  # it asks few questions


def read(outbox: Outbox, chain: StillChain) -> RelayerStatus:
    return reader_of(outbox, chain).read()


def test_an_empty_outbox_is_calm(outbox: Outbox) -> None:
    """No batch, no age, no division by zero."""
    status = read(outbox, StillChain())
    assert status.jobs == dict.fromkeys(map(str, JobState), 0)
    assert (status.pending_batches, status.oldest_pending_s, status.gas_per_fill) == (0, 0, 0)
    assert (status.head, status.endpoint, status.alarms) == (42, "http://node", ())
    assert status.shard == 3


def test_a_balance_alarms_below_its_minimum(outbox: Outbox) -> None:
    """Not at it."""
    chain = StillChain()
    chain.wei = 10**17
    assert read(outbox, chain).alarms == ()
    chain.wei -= 1
    assert read(outbox, chain).alarms == ("balance_low",)


def test_what_others_found_is_passed_on(outbox: Outbox) -> None:
    """Each figure under its own name."""
    found = {
        "refused": 7,
        "differences": 1,
        "novated": 2,
        "parameters_differ": 3,
        "reorganisations": 4,
        "governance": 5,
        "roles_changed_s": 6,
    }
    status = reader_of(outbox, StillChain()).read(**found)
    assert {name: getattr(status, name) for name in found} == found
    assert (status.address, status.balance) == (ADDRESS, 10**18)


def test_figures_follow_the_jobs(outbox: Outbox) -> None:
    """Gas by fill counts batches on chain; age and lag count from the building."""
    outbox.add([batch(1, fills=3), batch(2, fills=4)])
    first, second = outbox.jobs()
    first = attempt(outbox, attempt(outbox, first, "0xaa"), "0xab")
    first = outbox.move(first, JobState.MINED, Outcome(tx_hash="0xab", block=5, gas_used=100))
    outbox.move(first, JobState.CONFIRMED, final_s=1_006)
    outbox.fail(attempt(outbox, second, "0xac"))
    status = read(outbox, StillChain())
    assert status.settled_fills == 3
    assert status.gas_used == 100
    assert status.gas_per_fill == 34
    assert status.last_batch == 1
    assert status.confirmation_lag_s == 6
    assert (status.pending_batches, status.oldest_pending_s) == (1, 0)
    assert (status.failures, status.replacements) == (1, 1)
    assert status.jobs["confirmed"] == status.jobs["built"] == 1


@pytest.mark.parametrize(
    "alarm",
    [
        "balance_low",
        "batch_refused",
        "settlement_late",
        "chain_differs",
        "fill_novated",
        "parameters_differ",
        "chain_reorganised",
        "roles_changed",
    ],
)
def test_each_alarm_has_its_cause(
    outbox: Outbox, alarm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One cause raises one alarm, and without it the alarm is silent."""
    now = [50.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    outbox.add([batch(1, fills=1)])
    chain, found = StillChain(), {}
    reader = reader_of(outbox, chain)
    reader.read()
    now[0] += PENDING_MAX_S
    assert reader.read().alarms == ()
    match alarm:
        case "balance_low":
            chain.wei = 10**17 - 1
        case "batch_refused":
            assert reader.read(refused=1).alarms == (alarm,), "whatever the table says"
            outbox.move(outbox.jobs()[0], JobState.REVERTED)
        case "settlement_late":
            now[0] += 1
        case "chain_differs":
            found = {"differences": 1}
        case "fill_novated":
            found = {"novated": 1}
        case "parameters_differ":
            found = {"parameters_differ": 1}
        case "chain_reorganised":
            found = {"reorganisations": 1}
        case "roles_changed":
            monkeypatch.setattr(chain, "block_time", lambda: 10**9)
            found = {"roles_changed_s": 10**9 - SECONDS_PER_DAY + 1}
            assert reader.read(roles_changed_s=10**9 - SECONDS_PER_DAY).alarms == ()
    assert reader.read(**found).alarms == (alarm,)


def test_a_wait_ends_with_the_batch(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one's wait begins when it becomes the first."""
    now = [50.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    outbox.add([batch(1, fills=1), batch(2, fills=1)])
    reader = reader_of(outbox, StillChain())
    reader.read()
    now[0] += 7
    assert reader.read().oldest_pending_s == 7
    done = outbox.move(outbox.jobs()[0], JobState.MINED, Outcome(tx_hash="0xaa", block=5))
    outbox.move(done, JobState.CONFIRMED)
    assert reader.read().oldest_pending_s == 0
    now[0] += 3
    assert reader.read().oldest_pending_s == 3


def test_prometheus_reads_the_last_picture(outbox: Outbox) -> None:
    """Nothing before the first; then a line for each figure, state and alarm."""
    metrics = RelayerMetrics()
    registry = CollectorRegistry()
    registry.register(metrics)
    assert generate_latest(registry) == b""
    outbox.add([batch(1, fills=1)])
    outbox.move(outbox.jobs()[0], JobState.REVERTED)
    metrics.status = read(outbox, StillChain())
    text = generate_latest(registry).decode()
    for line in (
        "exchange_relayer_head 42.0",
        "exchange_relayer_pending_batches 1.0",
        "exchange_relayer_oldest_pending_s 0.0",
        "exchange_relayer_gas_used_total 0.0",
        'exchange_relayer_jobs{state="reverted"} 1.0',
        'exchange_relayer_alarm{name="batch_refused"} 1.0',
    ):
        assert line in text.splitlines()
    numbers = set(RelayerStatus.__struct_fields__)
    shown = {name for name in numbers if f"exchange_relayer_{name}" in text}
    assert numbers - shown == {"address", "endpoint", "alarms"}


@pytest.mark.parametrize(
    ("published_s", "indices", "ages", "stale"),
    [
        (0, {}, (0, 0), False),
        (9_100, {1: 9_400, 2: 9_990}, (900, 600), False),
        (9_099, {1: 9_990}, (901, 10), True),
        (9_990, {1: 9_990, 2: 9_399}, (10, 601), True),
        (10_050, {}, (0, 0), False),
    ],
)
def test_feeds_that_grow_old_are_seen(
    outbox: Outbox,
    published_s: int,
    indices: dict[int, int],
    ages: tuple[int, int],
    *,
    stale: bool,
) -> None:
    """Ages by the chain's clock; the oldest index counts."""
    chain = StillChain()
    chain.published_s, chain.index_s = published_s, indices
    reader = StatusReader(chain, outbox, ADDRESS, underlyings=lambda: (1, 2))
    status = reader.read()
    assert (status.published_age_s, status.index_age_s) == ages
    assert ("oracle_stale" in status.alarms) is stale
