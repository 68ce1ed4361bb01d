"""Oracle posts that a reorganisation takes, and the batches that need them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fake_chain import CLEARING, FakeChain
from tests.settlement_world import NS
from tests.unit.settlement.test_relayer import RIVAL_KEY, Bench, opened

from exchange.journal.outbox import Job, JobKind, JobState
from exchange.settlement.errors import BatchRefused, ChainUnavailable, Reverted


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Bench]:
    """The chain mines only when told, and its node shows nothing of what waits."""
    chain = FakeChain(automine=False)
    chain.shows_pending = False
    yield from opened(tmp_path, chain)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield from opened(tmp_path, FakeChain())


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("confirmations", [1, 5])
def test_a_batch_waits_for_a_lost_post(slow: Bench, confirmations: int, *, asked: bool) -> None:
    """A funding index vanished between two looks: the batch that sees it is not at fault.

    Nor is it while the chain is `asked` what it refuses for another reason.
    """
    script, chain = slow.script, slow.chain
    script.accrue(1, 10_000)
    slow.batch()
    relayer = slow.start(confirmations=confirmations)
    start, reorganised = relayer._start, []

    def lose() -> None:
        if not reorganised:
            reorganised.append(True)
            chain.reorganise(1)

    def refusal(*_: object) -> Reverted | None:
        lose()
        missing = chain.funding_index(script.perpetual_id, 1) is None
        return Reverted("FundingNotPosted") if missing else None

    def estimate(_: str, to: str, __: bytes, *, pending: bool = False) -> int:
        if pending or (to == CLEARING and asked and not reorganised):
            raise Reverted("InvalidSignature")
        if to == CLEARING and (refused := refusal()):
            raise refused
        return 100_000

    def begin(job: Job) -> Job:
        if job.kind is JobKind.BATCH and not asked:
            lose()
        return start(job)

    chain.estimate_gas, chain.refusal = estimate, refusal
    relayer.step()
    chain.mine()
    relayer._start = begin
    for _ in range(12):
        with contextlib.suppress(ChainUnavailable):
            relayer.step()
        chain.mine()
    assert reorganised
    assert slow.states() == [JobState.CONFIRMED] * 2


def test_an_index_sample_is_posted_once_and_in_its_time(bench: Bench) -> None:
    """One that is there, a later one, or a passed hour makes it needless; no batch waits for it."""
    script, chain = bench.script, bench.chain
    start_s = script.time_ns // NS

    def sampled(after_s: int, chain_s: int) -> list[str]:
        """What is sent for a sample, while the chain's clock is so far after the first."""
        chain.time_s = start_s + chain_s
        script.time_ns = (start_s + after_s) * NS
        script.sample(10**11 + after_s)
        chain.sent.clear()
        bench.steps(2)
        return chain.sent

    assert len(sampled(0, 0)) == 1
    assert chain.index_time(1) == start_s
    assert len(sampled(60, 3_660)) == 1, "the last second in which it may be posted"
    assert sampled(120, 3_721) == [], "a second late"
    assert chain.index_time(1) == start_s + 60
    script.time_ns = (start_s + 180) * NS
    script.sample(10**11)
    bench.relayer._feed.pull()
    chain.settle_as(RIVAL_KEY, bench.outbox.jobs()[-1].data)
    assert sampled(181, 181) == [], "a rival's"
    assert set(bench.states()) == {JobState.CONFIRMED}
    assert all(job.block for job in bench.outbox.jobs())


def test_a_refused_index_sample_stops_nothing(bench: Bench) -> None:
    """It is asked for again; the batch behind it settles."""
    bench.script.sample(10**11)
    bench.batch()
    posted, chain = bench.script.time_ns // NS, bench.chain
    chain.time_s = posted
    estimate = chain.estimate_gas

    def refuse(sender: str, to: str, data: bytes, *, pending: bool = False) -> int:
        if to != CLEARING:
            raise Reverted("UnknownSigner", ())
        return estimate(sender, to, data, pending=pending)

    chain.estimate_gas = refuse
    bench.steps(3)
    assert bench.states() == [JobState.REVERTED, JobState.CONFIRMED]
    chain.estimate_gas = estimate
    bench.steps(2)
    assert bench.states() == [JobState.CONFIRMED] * 2
    assert chain.index_time(1) == posted


def test_a_final_batch_that_vanishes_between_two_looks_is_told(bench: Bench) -> None:
    """Its successor is refused by the chain and is not at fault: nobody blames it."""
    bench.start(look_back_s=1_000.0)
    bench.batch()
    bench.relayer.step()
    bench.chain.reorganise(1)
    bench.batch()
    with pytest.raises(ChainUnavailable, match="batch:1 was final and is not on the chain"):
        bench.relayer.step()
    assert bench.states() == [JobState.CONFIRMED, JobState.BUILT]


def test_a_stuck_transaction_is_outbid_after_its_time(slow: Bench) -> None:
    """Counted from its own sending, not from that of the one before; not a moment sooner."""
    now = [50.0]
    relayer = slow.start(stuck_after_s=10.0)
    relayer._clock = lambda: now[0]
    slow.batch()
    relayer.step()
    for after_s, sent in ((9.9, 1), (0.1, 2), (9.9, 2), (0.1, 3)):
        now[0] += after_s
        relayer.step()
        assert len(slow.outbox.attempts("batch:1")) == sent


def test_another_batch_in_our_place_stops_the_relayer(slow: Bench) -> None:
    """Of the same number and another content: which one is right a person must say."""
    slow.batch()
    slow.relayer._feed.pull()
    [job] = slow.outbox.jobs()
    at = job.data.index((slow.script.seq).to_bytes(32, "big"), 5 * 32)
    other = job.data[: at + 31] + b"\x63" + job.data[at + 32 :]
    slow.chain.settle_as(RIVAL_KEY, other)
    assert slow.chain.last_batch().number == 1
    with pytest.raises(BatchRefused, match="batch:1 cannot be settled: the chain holds another"):
        slow.relayer.step()
    assert slow.states() == [JobState.REVERTED]


def test_a_final_job_is_dated_by_the_chains_clock(bench: Bench) -> None:
    """From the cut to here is what operators see as the lag."""
    bench.batch()
    bench.relayer.step()
    [job] = bench.outbox.jobs()
    assert (job.final_s, job.gas_used) == (bench.chain.time_s, 100_000)
