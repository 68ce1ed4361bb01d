"""Transactions that are sent before those before them are mined."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fake_chain import CLEARING, GWEI, FakeChain, oracle_desks
from tests.settlement_world import RELAYER_KEY
from tests.unit.settlement.test_relayer import RELAYER, RIVAL_KEY, Bench, opened, posted

from exchange.journal.outbox import JobKind, JobState
from exchange.settlement.batch import Batch, Funding, settle_calldata
from exchange.settlement.chain import Call, Fees
from exchange.settlement.errors import BatchRefused, NodeRefused, Reverted
from exchange.settlement.feed import Feed
from exchange.settlement.relayer import UNDER_WAY_MAX, Relayer, RelayerOptions


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """The chain mines only when told, and its node runs what waits in its pool."""
    yield from opened(tmp_path, FakeChain(automine=False))


def nonces(bench: Bench) -> list[int]:
    """Of the newest attempt of each job that has one."""
    attempts = [bench.outbox.attempts(job.key) for job in bench.outbox.jobs()]
    return [each[-1].tx_nonce for each in attempts if each]


def require_all_settled(bench: Bench) -> None:
    """Each job is final, and none was blamed for another's failure."""
    jobs = bench.outbox.jobs()
    bench.outbox.check()
    assert {job.state for job in jobs} == {JobState.CONFIRMED}
    assert {job.failures for job in jobs} == {0}
    batches = [job for job in jobs if job.kind is JobKind.BATCH]
    assert bench.chain.last_batch().number == len(batches)


def settle_all(bench: Bench, *, blocks: int) -> None:
    """So many steps, a block after each, and a last look: then all is settled."""
    for _ in range(blocks):
        bench.relayer.step()
        bench.chain.mine()
    bench.relayer.step()
    require_all_settled(bench)


def test_as_many_as_allowed_are_under_way(bench: Bench) -> None:
    """One block takes all of them, and the next the rest."""
    bench.batch(UNDER_WAY_MAX + 3)
    bench.relayer.step()
    assert bench.states() == [JobState.SENT] * UNDER_WAY_MAX + [JobState.BUILT] * 3
    assert nonces(bench) == list(range(UNDER_WAY_MAX))
    assert not bench.relayer.step()
    bench.chain.mine()
    bench.relayer.step()
    assert bench.states() == [JobState.CONFIRMED] * UNDER_WAY_MAX + [JobState.SENT] * 3
    bench.chain.mine()
    bench.relayer.step()
    require_all_settled(bench)


def test_a_node_that_does_not_show_what_waits_gets_one_at_a_time(bench: Bench) -> None:
    """Its answer for the second batch is of a chain without the first: nothing is made of it."""
    bench.chain.shows_pending = False
    bench.batch(2)
    bench.relayer.step()
    assert bench.states() == [JobState.SENT, JobState.BUILT]
    bench.chain.mine()
    bench.relayer.step()
    bench.chain.mine()
    bench.relayer.step()
    require_all_settled(bench)


def test_a_post_needs_no_such_node(bench: Bench) -> None:
    """A figure does not depend on the batch before it; the batch that needs it waits."""
    bench.chain.shows_pending = False
    bench.batch()
    bench.script.accrue(1, 20_000)
    bench.batch()
    bench.relayer.step()
    assert bench.states() == [JobState.SENT, JobState.SENT, JobState.BUILT]
    bench.chain.mine()
    bench.relayer.step()
    bench.chain.mine()
    bench.relayer.step()
    require_all_settled(bench)


def test_a_figure_that_is_there_is_not_sent_ahead(bench: Bench) -> None:
    """Somebody else posted it: that is found when its turn comes, and nothing goes past it."""
    bench.batch()
    bench.script.accrue(1, 20_000)
    bench.batch()
    bench.relayer._feed.pull()
    funding = bench.outbox.jobs()[1]
    assert funding.kind is JobKind.FUNDING
    bench.chain.settle_as(RIVAL_KEY, funding.data)
    bench.relayer.step()
    assert bench.states() == [JobState.SENT, JobState.BUILT, JobState.BUILT]
    bench.chain.mine()
    bench.relayer.step()
    bench.chain.mine()
    bench.relayer.step()
    require_all_settled(bench)
    assert nonces(bench) == [0, 1]


def foreign(bench: Bench, tx_nonce: int) -> None:
    """Another transaction of the relayer's account takes a nonce, and does nothing useful."""
    fees = Fees(max_fee=9 * GWEI, priority_fee=9 * GWEI)
    call = Call(to=CLEARING, data=bench.outbox.jobs()[-1].data, gas=1)
    chain = bench.chain
    chain.broadcast(
        chain.sign(RELAYER_KEY, call, chain_id=31_337, tx_nonce=tx_nonce, fees=fees).raw
    )


def test_those_behind_a_taken_nonce_go_out_again_unblamed(bench: Bench) -> None:
    """Their transactions are mined in vain: what they follow is missing, not their fault."""
    bench.batch(4)
    bench.relayer.step()
    foreign(bench, 0)
    bench.chain.mine()
    assert bench.chain.tx_count(RELAYER) == 4
    assert bench.chain.last_batch().number == 0
    settle_all(bench, blocks=8)


def test_a_rival_that_takes_the_first_leaves_no_gap(bench: Bench) -> None:
    """Its nonce goes to the next, and so on; leftovers in the pool are outbid or fail."""
    bench.batch(3)
    bench.relayer.step()
    bench.chain.settle_as(RIVAL_KEY, bench.outbox.jobs()[0].data)
    settle_all(bench, blocks=8)


def test_a_reorganisation_takes_all_of_them_back(bench: Bench) -> None:
    """They wait in the same order, on the same nonces, with the same bytes."""
    bench.batch(3)
    relayer = bench.start(confirmations=3)
    relayer.step()
    bench.chain.mine()
    relayer.step()
    assert bench.states() == [JobState.MINED] * 3
    bench.chain.reorganise(1)
    relayer.step()
    assert bench.states() == [JobState.SENT] * 3
    relayer.step()
    bench.chain.mine(3)
    relayer.step()
    require_all_settled(bench)
    assert [len(bench.outbox.attempts(job.key)) for job in bench.outbox.jobs()] == [1, 1, 1]


def test_only_the_first_is_outbid(bench: Bench) -> None:
    """The others wait for it, whatever they pay; one that the node forgot is sent again."""
    bench.batch(3)
    relayer = bench.start(stuck_after_s=0.0)
    relayer.step()
    forgotten = bench.outbox.attempts("batch:2")[0]
    del bench.chain.pool[forgotten.tx_hash]
    relayer.step()
    bids = [len(bench.outbox.attempts(job.key)) for job in bench.outbox.jobs()]
    assert bids[0] > 1
    assert bids[1:] == [1, 1]
    assert forgotten.tx_hash in bench.chain.pool
    bench.chain.mine()
    relayer.step()
    require_all_settled(bench)


class Prover:
    """Governance wants each batch proven."""

    wanted = True

    def calldata(self, batch: Batch) -> bytes:
        return settle_calldata(batch)


def test_a_batch_that_needs_a_proof_waits_for_its_turn(bench: Bench) -> None:
    """The proof is of what the chain holds after the batch before."""
    bench.batch(2)
    feed = Feed(bench.reader, bench.outbox, clearing=CLEARING, **oracle_desks())
    prover: Any = Prover()
    options = RelayerOptions(key=RELAYER_KEY)
    chain: Any = bench.chain  # has what a relayer asks for
    relayer = Relayer(feed, bench.outbox, chain, options, None, prover)
    relayer.step()
    assert bench.states() == [JobState.SENT, JobState.BUILT]
    bench.chain.mine()
    prover.wanted = False
    relayer.step()
    bench.chain.mine()
    relayer.step()
    require_all_settled(bench)


class Stubborn(FakeChain):
    """A node that knows no pending block; counts who asks for it."""

    asked = 0

    def estimate_gas(self, sender: str, to: str, data: bytes, *, pending: bool = False) -> int:
        if pending:
            self.asked += 1
            raise NodeRefused(-32_000, "pending state is not available")
        return super().estimate_gas(sender, to, data)


def test_a_node_without_a_pending_block_is_asked_once_a_block(tmp_path: Path) -> None:
    """Its refusal stops nothing, and it is not bothered ten times a second."""
    chain = Stubborn(automine=False)
    bench = Bench(tmp_path, chain)
    bench.batch(3)
    for _ in range(20):
        bench.relayer.step()
    assert chain.asked == 1
    for _ in range(3):
        chain.mine()
        bench.relayer.step()
    require_all_settled(bench)
    bench.close()


def test_a_reorganisation_may_keep_some_of_a_block(bench: Bench) -> None:
    """The last of those that were final in it speaks for all: it is looked for, and found gone."""
    bench.batch(3)
    bench.relayer.step()
    bench.chain.mine()
    bench.relayer.step()
    [first, *_] = bench.chain.blocks[1].transactions
    bench.chain.reorganise(1)
    bench.chain.blocks[-1].transactions = [first]
    settle_all(bench, blocks=6)


def test_a_rivals_batch_that_is_lost_is_missed_though_a_later_post_stands(bench: Bench) -> None:
    """It has no nonce of ours, so ours say nothing of it."""
    bench.batch()
    bench.relayer._feed.pull()
    bench.chain.settle_as(RIVAL_KEY, bench.outbox.jobs()[0].data)
    bench.root()
    posted(bench)
    bench.relayer.step()
    bench.chain.mine()
    bench.relayer.step()
    require_all_settled(bench)
    root = bench.chain.blocks[2]
    bench.chain.reorganise(2)
    bench.chain.blocks[2] = root
    assert bench.chain.last_batch().number == 0
    settle_all(bench, blocks=3)


def test_those_behind_an_outbid_one_have_waited_as_long(bench: Bench) -> None:
    """Fees rose for all of them: whoever is first now is outbid at once."""
    bench.batch(2)
    relayer, clock = bench.start(stuck_after_s=15.0), [0.0]
    relayer._clock = lambda: clock[0]
    relayer.step()
    clock[0] = 20.0
    relayer.step()
    second = bench.outbox.attempts("batch:2")[0]
    waiting = bench.chain.pool.pop(second.tx_hash)
    bench.chain.mine()
    bench.chain.pool[second.tx_hash] = waiting
    relayer.step()
    assert [len(bench.outbox.attempts(f"batch:{number}")) for number in (1, 2)] == [2, 2]
    bench.chain.mine()
    relayer.step()
    require_all_settled(bench)


def test_another_figure_is_no_matter_before_its_turn(bench: Bench) -> None:
    """The batch before it settles first; then a person must look."""
    bench.batch()
    bench.script.accrue(1, 20_000)
    bench.batch()
    wrong = Funding(instrument_id=bench.script.perpetual_id, ordinal=1, time=9, index=10_000)
    [job] = oracle_desks()["desks"].funding.jobs([wrong])
    bench.chain.settle_as(RIVAL_KEY, job.data)
    bench.relayer.step()
    assert bench.states()[0] is JobState.SENT
    bench.chain.mine()
    with pytest.raises(BatchRefused, match="the chain fixed 10000, the journal 20000"):
        bench.relayer.step()
    assert bench.chain.last_batch().number == 1


class Amending:
    """Would change a batch; counts how often it was asked to."""

    novated = asked = 0

    def replace(self, _number: int) -> bool:
        self.asked += 1
        return True


def test_what_still_waits_in_the_pool_is_not_amended(bench: Bench) -> None:
    """A rival took the nonce before it: it may yet be mined as it was, and then that counts."""
    bench.batch(2)
    novator: Any = Amending()
    relayer = bench.relayer
    relayer._novator = novator
    relayer.step()
    bench.chain.settle_as(RIVAL_KEY, bench.outbox.jobs()[0].data)
    relayer.step()
    bench.chain.refuses = Reverted("InvalidSignature")
    relayer.step()
    assert (novator.asked, bench.states()[1]) == (0, JobState.BUILT)
    bench.chain.refuses = None
    bench.chain.mine()
    relayer.step()
    require_all_settled(bench)
    bench.batch()
    bench.chain.refuses = Reverted("InvalidSignature")
    relayer.step()
    assert novator.asked == 1


def test_what_waits_behind_a_gap_is_amended(bench: Bench) -> None:
    """What it is amended to takes the nonce before it: the old content comes too late."""
    bench.batch(2)
    novator: Any = Amending()
    relayer = bench.relayer
    relayer._novator = novator
    relayer.step()
    del bench.chain.pool[bench.outbox.attempts("batch:1")[0].tx_hash]
    bench.chain.settle_as(RIVAL_KEY, bench.outbox.jobs()[0].data)
    relayer.step()
    bench.chain.refuses = Reverted("InvalidSignature")
    relayer.step()
    assert novator.asked == 1


class Empty(FakeChain):
    """Has no ether for the relayer."""

    def broadcast(self, _raw: bytes) -> None:
        raise NodeRefused(-32_000, "insufficient funds for gas * price + value")


def test_what_never_reached_the_pool_is_not_outbid(tmp_path: Path) -> None:
    """Keepers settle for an account without money: its offers stay as they were."""
    bench = Bench(tmp_path, Empty(automine=False))
    bench.batch(UNDER_WAY_MAX)
    for _ in range(20):
        bench.batch()
        bench.relayer.step()
        bench.chain.settle_as(RIVAL_KEY, bench.outbox.unfinished()[0].data)
    fees = {one.max_fee for job in bench.outbox.jobs() for one in bench.outbox.attempts(job.key)}
    assert fees == {2 * GWEI}
    bench.close()
