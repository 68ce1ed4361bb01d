"""Proofs that a subaccount is below maintenance: brought once, and dropped where useless."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fake_chain import CLEARING, FakeChain
from tests.unit.settlement.test_relayer import Bench, opened

from exchange.journal.outbox import Job, JobKind, JobState
from exchange.settlement.errors import Reverted


class Proving(FakeChain):
    """Remembers until when each subaccount may be forced."""

    def __init__(self) -> None:
        super().__init__()
        self.until = 0

    def force_until(self, subaccount_id: int) -> int:
        return self.until


def proof(chain: FakeChain) -> Job:
    return Job(
        key="proof:2:1:1",
        kind=JobKind.PROOF,
        number=1,
        last_seq=2,
        batch_hash=b"",
        to=CLEARING,
        data=b"proof",
        time_s=chain.block_time(),
    )


@pytest.fixture
def proving(tmp_path: Path) -> Iterator[Bench]:
    yield from opened(tmp_path, Proving())


def test_a_proof_that_somebody_brought_is_done(proving: Bench) -> None:
    """Whoever it was: what counts is until when forced fills settle."""
    assert isinstance(proving.chain, Proving)
    proving.outbox.add([proof(proving.chain)])
    proving.chain.until = proving.chain.block_time() + 3_600
    proving.relayer.step()
    assert proving.states() == [JobState.CONFIRMED]
    assert proving.chain.sent == []


@pytest.mark.parametrize("late", [True, False])
def test_a_useless_proof_stops_nothing(proving: Bench, *, late: bool) -> None:
    """Its time is up, or the chain would refuse it: the batch behind it settles."""
    proving.outbox.add([proof(proving.chain)])
    if late:
        proving.chain.time_s += 61
    else:
        proving.chain.refuses = Reverted("Healthy", (1,))
        proving.relayer.step()
        proving.chain.refuses = None
    proving.batch()
    for _ in range(3):
        proving.relayer.step()
    assert proving.states() == [JobState.CONFIRMED] * 2
    assert proving.chain.last_batch().number == 1
