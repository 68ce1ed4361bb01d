"""Oracle posts that a reorganisation takes, and the batches that need them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fake_chain import CLEARING, FakeChain
from tests.unit.settlement.test_relayer import Bench, opened

from exchange.journal.outbox import Job, JobKind, JobState
from exchange.settlement.errors import ChainUnavailable, Reverted


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Bench]:
    """The chain mines only when told, and its node shows nothing of what waits."""
    chain = FakeChain(automine=False)
    chain.shows_pending = False
    yield from opened(tmp_path, chain)


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

    chain.estimate_gas, chain.refusal = estimate, refusal  # type: ignore[method-assign]
    relayer.step()
    chain.mine()
    relayer._start = begin  # type: ignore[method-assign]
    for _ in range(12):
        with contextlib.suppress(ChainUnavailable):
            relayer.step()
        chain.mine()
    assert reorganised
    assert slow.states() == [JobState.CONFIRMED] * 2
