"""Proofs that a subaccount is below maintenance: brought once, and dropped where useless."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.fake_chain import CLEARING, FakeChain
from tests.unit.settlement.test_relayer import Bench, opened

from exchange.journal.outbox import Job, JobKind, JobState
from exchange.settlement.batch import Batch, settle_calldata
from exchange.settlement.errors import Reverted
from exchange.simulation.mempool import Transaction


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


PROOF = b"margin"


class Solvent:
    """Says whether batches must be proven; a proof is some bytes at the end."""

    def __init__(self) -> None:
        self.wanted = True
        self.asked: list[int] = []

    def calldata(self, batch: Batch) -> bytes:
        self.asked.append(batch.header.number)
        return settle_calldata(batch) + PROOF


class Taking(FakeChain):
    """Settles batches with a proof and without; the proof is not part of the hash."""

    def _apply(self, tx: Transaction, *state: Any) -> bool:
        return super()._apply(plain(tx), *state)


def plain(tx: Transaction) -> Transaction:
    return msgspec.structs.replace(tx, data=tx.data.removesuffix(PROOF))


@pytest.fixture
def taking(tmp_path: Path) -> Iterator[Bench]:
    yield from opened(tmp_path, Taking(automine=False))


def in_pool(bench: Bench) -> list[bool]:
    """Whether each transaction that waits has a proof."""
    return [tx.data.endswith(PROOF) for tx in bench.chain.pool.values()]


def test_batches_are_proven_one_at_a_time_where_that_is_wanted(taking: Bench) -> None:
    """Each is proven once while it is under way, with what the one before left."""
    solvent = Solvent()
    taking.relayer._solvency = solvent
    taking.batch(2)
    taking.steps(3)
    assert (in_pool(taking), solvent.asked) == ([True], [1])
    taking.chain.mine()
    taking.steps(2)
    assert (in_pool(taking), solvent.asked) == ([True], [1, 2])
    taking.chain.mine()
    taking.steps(1)
    assert taking.states() == [JobState.CONFIRMED] * 2


def test_batches_go_plain_and_together_where_no_proof_is_wanted(taking: Bench) -> None:
    """Governance is asked for each anew."""
    solvent = Solvent()
    taking.relayer._solvency = solvent
    solvent.wanted = False
    taking.batch(2)
    taking.steps(1)
    assert (in_pool(taking), solvent.asked) == ([False, False], [])
    taking.chain.mine()
    taking.batch()
    solvent.wanted = True
    taking.steps(2)
    assert (in_pool(taking), solvent.asked) == ([True], [3])
