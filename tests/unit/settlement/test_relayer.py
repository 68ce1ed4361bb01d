"""The relayer on a chain in memory: single faults by name, then all of them at random."""

import contextlib
import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.fake_chain import CLEARING, GWEI, FakeChain, Faulty, oracle_desks
from tests.settlement_world import NS, RELAYER_KEY, Script

from exchange.commands import AdvanceClock, ObserveBlocks, RevertBlocks
from exchange.events import ClockAdvanced
from exchange.fixed import CASH_SCALE
from exchange.journal import JournalReader
from exchange.journal.outbox import Job, JobKind, JobState, Outbox
from exchange.settlement.batch import Funding
from exchange.settlement.errors import BatchRefused, ChainUnavailable, Reverted
from exchange.settlement.feed import Feed
from exchange.settlement.relayer import FAILURES_MAX, Relayer, RelayerOptions
from exchange.signing import address_of

RIVAL_KEY = b"\x61" * 32
RELAYER = address_of(RELAYER_KEY)

BEAT_S = 300  # between two publications


class Bench:
    """A journal, a chain in memory, an outbox and a relayer over them."""

    def __init__(self, folder: Path, chain: FakeChain) -> None:
        self.script = Script(folder / "journal.db", clearing=CLEARING, token=CLEARING)
        self.chain = chain
        self.outbox = Outbox(str(folder / "relayer.db"))
        self.reader = JournalReader(str(folder / "journal.db"))
        self.epoch = 0
        self.relayer = self.start()

    def start(self, chain: Any = None, **options: Any) -> Relayer:
        """A relayer as after a restart: nothing in memory."""
        feed = Feed(self.reader, self.outbox, clearing=CLEARING, **oracle_desks())
        defaults = {"key": RELAYER_KEY, "stuck_after_s": 1_000.0, "look_back_s": 0.0}
        self.relayer = Relayer(
            feed, self.outbox, chain or self.chain, RelayerOptions(**(defaults | options))
        )
        return self.relayer

    def batch(self, count: int = 1) -> None:
        for _ in range(count):
            self.script.trade()
            self.script.cut()

    def root(self, after_s: int = BEAT_S) -> None:
        """An epoch of marks, so much later."""
        self.epoch += 1
        self.script.time_ns += after_s * NS
        self.script.mark(self.epoch)

    def observe(self, block: int) -> None:
        """The journal acts on the chain up to a block."""
        last_hash = self.chain.block_hash(block) or ""
        self.script.post(ObserveBlocks(first_block=1, last_block=block, last_hash=last_hash))

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.relayer.step()

    def states(self) -> list[JobState]:
        return [job.state for job in self.outbox.jobs()]

    def close(self) -> None:
        self.reader.close()
        self.script.close()
        self.outbox.close()


def opened(folder: Path, chain: FakeChain) -> Iterator[Bench]:
    """For a fixture: closed after its test."""
    bench = Bench(folder, chain)
    yield bench
    bench.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield from opened(tmp_path, FakeChain())


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Bench]:
    """The chain mines only when told, and its node shows nothing of what waits."""
    chain = FakeChain(automine=False)
    chain.shows_pending = False
    yield from opened(tmp_path, chain)


def test_batches_settle_in_order_in_one_step(bench: Bench) -> None:
    """Where the node mines at once, a step drains the outbox; the next one has nothing to do."""
    bench.batch(3)
    assert bench.relayer.step()
    assert bench.states() == [JobState.CONFIRMED] * 3
    assert bench.chain.last_batch().number == 3
    assert not bench.relayer.step()


def test_a_delivery_price_goes_before_its_batch(bench: Bench) -> None:
    """The oracle is posted first, once, and the batch that pays off follows."""
    bench.batch()
    bench.script.expire(1, 105_000 * CASH_SCALE)
    bench.script.cut()
    bench.relayer.step()
    keys = [job.key for job in bench.outbox.jobs()]
    assert keys == ["batch:1", f"delivery:1:{bench.script.expiry}", "batch:2"]
    assert bench.states() == [JobState.CONFIRMED] * 3
    assert bench.chain.delivery_price(1, bench.script.expiry) == 105_000 * CASH_SCALE


def test_a_delivery_price_that_is_there_is_compared(bench: Bench) -> None:
    """Another publisher's equal price is accepted, a different one stops the relayer."""
    bench.script.expire(1, 105_000 * CASH_SCALE)
    bench.script.cut()
    bench.relayer._feed.pull()
    job = bench.outbox.jobs()[0]
    bench.chain.settle_as(RIVAL_KEY, job.data)
    bench.relayer.step()
    assert bench.states() == [JobState.CONFIRMED] * 2
    with pytest.raises(BatchRefused, match="the chain fixed"):
        bench.relayer._done(msgspec.structs.replace(job, number=1))


def test_funding_indices_come_before_the_batch_that_sees_them(bench: Bench) -> None:
    """Every ordinal is posted, all in one; equal ones that are there already are accepted."""
    bench.script.accrue(1, 20_000)
    bench.script.accrue(2, -10_000)
    bench.batch()
    bench.relayer._feed.pull()
    jobs = bench.outbox.jobs()
    assert [job.kind for job in jobs] == [JobKind.FUNDING, JobKind.BATCH]
    bench.chain.settle_as(RIVAL_KEY, jobs[0].data)
    bench.steps(9)
    assert bench.states() == [JobState.CONFIRMED] * 2
    perpetual = bench.script.perpetual_id
    assert [bench.chain.funding_index(perpetual, n) for n in (1, 2, 3)] == [20_000, -10_000, None]
    missing = Funding(instrument_id=perpetual, ordinal=3, time=9, index=0)
    other = msgspec.structs.replace(missing, ordinal=2)
    desk = oracle_desks()["desks"].funding
    assert bench.relayer._done(desk.jobs([other, missing])[0]) is None
    with pytest.raises(BatchRefused, match="the chain fixed -10000, the journal 0"):
        bench.relayer._done(desk.jobs([other])[0])


def test_a_job_waits_for_its_confirmations(slow: Bench) -> None:
    """Mined is not final; later batches may be mined meanwhile."""
    slow.batch(2)
    relayer = slow.start(confirmations=3)
    for expected in (
        [JobState.SENT, JobState.BUILT],
        [JobState.MINED, JobState.SENT],
        [JobState.MINED, JobState.MINED],
        [JobState.CONFIRMED, JobState.MINED],
        [JobState.CONFIRMED, JobState.CONFIRMED],
    ):
        assert relayer.step()
        assert slow.states() == expected
        slow.chain.mine()


def test_a_fee_cap_stops_the_bidding(slow: Bench) -> None:
    """A stuck transaction is outbid only up to the cap, then waits."""
    slow.batch()
    relayer = slow.start(stuck_after_s=0.0, fee_cap=3 * GWEI)
    for _ in range(8):
        relayer.step()
    fees = [attempt.max_fee for attempt in slow.outbox.attempts("batch:1")]
    assert fees[0] == 2 * GWEI
    assert all(after * 8 >= before * 9 for before, after in itertools.pairwise(fees))
    assert 1 < len(fees) < 8
    assert fees[-1] <= 3 * GWEI
    slow.chain.mine()
    relayer.step()
    assert slow.states() == [JobState.CONFIRMED]


def test_a_restart_sends_the_stored_bytes(slow: Bench) -> None:
    """Signed and stored, then the pool lost it: a new process sends the same transaction."""
    slow.batch()
    slow.relayer.step()
    [tx_hash] = slow.chain.sent
    slow.chain.pool.clear()
    slow.start().step()
    assert slow.chain.sent == [tx_hash, tx_hash]
    slow.chain.mine()
    slow.relayer.step()
    assert slow.states() == [JobState.CONFIRMED]
    assert len(slow.outbox.attempts("batch:1")) == 1


def test_a_rival_with_another_key_is_accepted(slow: Bench) -> None:
    """Somebody else settles our pending batch: it counts, and the next one outbids the leftover."""
    slow.batch(2)
    slow.relayer.step()
    slow.chain.settle_as(RIVAL_KEY, slow.outbox.jobs()[0].data)
    slow.relayer.step()
    assert slow.states() == [JobState.CONFIRMED, JobState.SENT]
    old, new = slow.outbox.attempts("batch:1")[0], slow.outbox.attempts("batch:2")[0]
    assert (old.tx_nonce, new.tx_nonce) == (0, 0)
    assert new.max_fee * 8 >= old.max_fee * 9
    slow.chain.mine()
    slow.relayer.step()
    assert slow.states() == [JobState.CONFIRMED] * 2


def test_a_block_between_two_looks_is_not_a_rival(slow: Bench) -> None:
    """Mined after the relayer asked for a receipt: it is told its own transaction and its gas."""

    class Sudden:
        """Mines right after each answer to a chosen question."""

        def __init__(self, question: str) -> None:
            self.question = question

        def __getattr__(self, name: str) -> Any:
            method = getattr(slow.chain, name)

            def answer(*arguments: Any) -> Any:
                told = method(*arguments)
                if name == self.question:
                    slow.chain.mine()
                return told

            return answer if callable(method) else method

    for number, question in enumerate(("tx_count", "last_batch", "receipt"), start=1):
        slow.batch()
        slow.start().step()
        slow.start(Sudden(question)).step()
        slow.start().step()
        job = slow.outbox.job(f"batch:{number}")
        assert job is not None
        assert (job.state, job.gas_used) == (JobState.CONFIRMED, 100_000)
        assert len(slow.outbox.attempts(job.key)) == 1


def test_a_refusal_is_final_until_a_restart(bench: Bench) -> None:
    """The job is marked, the line names it, and a later start asks the chain once more."""
    bench.batch()
    bench.chain.refuses = Reverted("LimitCrossed", (0,))
    for _ in range(2):
        with pytest.raises(BatchRefused, match=r"batch:1 cannot be settled: .*LimitCrossed\(0\)"):
            bench.start().step()
        assert bench.states() == [JobState.REVERTED]
    bench.chain.refuses = None
    bench.start().step()
    assert bench.states() == [JobState.CONFIRMED]


def test_a_final_batch_that_is_gone_waits_for_the_journal(bench: Bench) -> None:
    """The chain forgot a block that the journal acted on: the watcher tells that first."""
    bench.batch(2)
    bench.relayer.step()
    bench.observe(2)
    bench.chain.reorganise(2)
    bench.batch()
    with pytest.raises(ChainUnavailable, match="the watcher has to tell the exchange"):
        bench.relayer.step()
    assert bench.states() == [JobState.CONFIRMED, JobState.CONFIRMED, JobState.BUILT]
    # The watcher tells the exchange, the journal tells the relayer: all of them settle again.
    bench.script.revert(RevertBlocks(last_block=0, last_hash=""))
    bench.steps(4)
    assert bench.states() == [JobState.CONFIRMED] * 3
    assert bench.chain.last_batch().number == 3


@pytest.mark.parametrize("observed", [0, 1, 4])
def test_a_final_batch_that_no_journal_saw_settles_again(bench: Bench, observed: int) -> None:
    """The chain lost it before the watcher told, whatever that has told of the chain since."""
    bench.batch(3)
    bench.relayer.step()
    chain = bench.chain
    if observed == 1:
        bench.observe(1)
    chain.reorganise(2)
    chain.mine(2)
    if observed == 4:
        bench.observe(4)
    assert chain.last_batch().number == 1
    bench.start()
    bench.steps(4)
    assert bench.states() == [JobState.CONFIRMED] * 3
    assert chain.last_batch().number == 3


def test_a_batch_is_final_in_the_block_where_it_is_now(slow: Bench) -> None:
    """A reorganisation between two looks moved it up: what is lost later is found by its block."""
    relayer = slow.start(confirmations=4)
    slow.batch()
    relayer.step()
    slow.chain.mine()
    relayer.step()
    (job,) = slow.outbox.jobs()
    assert job.state is JobState.MINED
    (moved,) = slow.chain.blocks[-1].transactions
    slow.chain.reorganise(1)
    slow.chain.pool[moved.tx_hash] = moved
    slow.chain.mine(8)
    relayer.step()
    (final,) = slow.outbox.jobs()
    assert final.state is JobState.CONFIRMED
    receipt = slow.chain.receipt(moved.tx_hash)
    assert receipt is not None
    assert final.block == receipt.block == job.block + 1


def test_a_batch_waits_for_a_lost_predecessor(slow: Bench) -> None:
    """The one before it vanished between two looks: nothing is refused, both settle."""
    slow.batch(2)
    relayer = slow.start(confirmations=5)
    relayer.step()
    slow.chain.mine()
    advance, reorganised = relayer._start, []

    def start(job: Job) -> Job:
        if not reorganised:
            reorganised.append(True)
            slow.chain.reorganise(1)
        return advance(job)

    relayer._start = start
    relayer.step()
    assert slow.states() == [JobState.MINED, JobState.BUILT]
    for _ in range(9):
        relayer.step()
        slow.chain.mine()
    assert slow.states() == [JobState.CONFIRMED] * 2


@pytest.mark.parametrize("error", ["TimeTooLate", "NotExpired"])
def test_a_chain_whose_clock_is_behind_is_waited_for(bench: Bench, error: str) -> None:
    """On a local chain its clock is moved to the batch's own time, not refused."""
    bench.batch()
    time_s = bench.script.time_ns // 10**9
    bench.script.time_ns += 10**15
    bench.script.withdraw(bench.script.maker, 1)
    bench.chain.refuses = Reverted(error)
    bench.chain.time_s = 0
    bench.relayer.step()
    assert bench.states() == [JobState.BUILT]
    assert bench.chain.time_s == time_s
    bench.chain.refuses = None
    bench.relayer.step()
    assert bench.states() == [JobState.CONFIRMED]


def test_a_clock_jump_comes_after_the_batches_before_it(slow: Bench) -> None:
    """What was traded before the jump settles first: a later block would be too late for it."""
    script, chain = slow.script, slow.chain
    chain.time_s = script.time_ns // 10**9
    script.trade()
    jump_ns = 40 * 86_400 * 10**9
    script.add(AdvanceClock(by_ns=jump_ns), ClockAdvanced(offset_ns=jump_ns))
    to_s = (script.time_ns + jump_ns) // 10**9
    script.cut()
    for _ in range(2):
        slow.relayer.step()
        assert chain.time_s < to_s
    chain.mine()
    slow.relayer.step()
    assert chain.time_s == to_s


def test_a_nonce_gap_is_closed(slow: Bench) -> None:
    """A reorganisation gave nonces back and others did the work: the transaction moves down."""
    slow.batch(2)
    for _ in range(2):
        slow.relayer.step()
        slow.chain.mine()
    slow.chain.reorganise(2)
    slow.chain.settle_as(RIVAL_KEY, slow.outbox.jobs()[0].data)
    slow.start(confirmations=9)
    for _ in range(3):
        slow.relayer.step()
        slow.chain.mine()
    assert slow.chain.last_batch().number == 2


def drain(relayer: Relayer) -> None:
    for _ in range(3):
        relayer.step()


def test_endless_reverts_end(slow: Bench) -> None:
    """A transaction that estimates well and reverts each time stops after a few attempts."""
    slow.batch()
    apply = slow.chain._apply
    relayer = slow.relayer
    slow.chain.estimate_gas = lambda *_: 100_000
    slow.chain._apply = lambda *_: False
    for _ in range(2 * FAILURES_MAX):  # one step sends, the next sees the receipt
        relayer.step()
        slow.chain.mine()
    with pytest.raises(BatchRefused, match=f"reverted {FAILURES_MAX} times"):
        drain(relayer)
    assert slow.chain.tx_count(RELAYER) == FAILURES_MAX
    slow.chain._apply = apply


def test_a_lost_answer_costs_nothing(bench: Bench) -> None:
    """The node accepted the transaction, its answer was lost: it is found mined, not sent twice."""
    bench.batch()
    broadcast = bench.chain.broadcast

    def accept_and_fail(raw: bytes) -> None:
        broadcast(raw)
        raise ChainUnavailable("timed out")

    bench.chain.broadcast = accept_and_fail
    with pytest.raises(ChainUnavailable):
        bench.relayer.step()
    bench.chain.broadcast = broadcast
    bench.relayer.step()
    assert bench.states() == [JobState.CONFIRMED]
    assert bench.chain.tx_count(RELAYER) == 1


def misfortune(bench: Bench, faulty: Faulty, rng: random.Random) -> None:
    """One thing that goes wrong, or time that passes."""
    chain = bench.chain
    match rng.randrange(7):
        case 0 if bench.script.seq < 15:
            bench.batch()
        case 1:
            chain.mine()
        case 2 if chain.pool:
            del chain.pool[rng.choice(list(chain.pool))]
        case 3 if rng.random() < 0.5:
            chain.reorganise(rng.randint(1, 3))
        case 4:
            for job in bench.outbox.jobs():
                if rng.random() < 0.2:
                    chain.settle_as(RIVAL_KEY, job.data)
        case 5:
            bench.start(faulty, confirmations=4, stuck_after_s=rng.choice((0.0, 1_000.0)))
        case 6:
            bench.root(rng.randrange(2) * BEAT_S)
            chain.time_s = bench.script.time_ns // NS + rng.choice((0, 90, 700))


@pytest.mark.parametrize("seed", range(12))
def test_any_mixture_of_faults_settles_each_batch_once(tmp_path: Path, seed: int) -> None:
    """Lost calls, drops, reorgs, rivals, stuck transactions and restarts in any order."""
    rng = random.Random(seed)
    chain = FakeChain(automine=False)
    chain.shows_pending = seed % 2 == 0
    bench = Bench(tmp_path, chain)
    faulty = Faulty(chain, rng, 0.05)
    bench.start(faulty, confirmations=4)
    for _ in range(80):
        misfortune(bench, faulty, rng)
        with contextlib.suppress(ChainUnavailable):
            bench.relayer.step()
    bench.batch()
    bench.root(BEAT_S)
    chain.time_s = bench.script.time_ns // NS
    relayer = bench.start(confirmations=4)
    for _ in range(40):
        relayer.step()
        chain.mine()
    bench.outbox.check()
    assert set(bench.states()) == {JobState.CONFIRMED}
    assert chain.risk_epoch() == bench.epoch
    jobs = [job for job in bench.outbox.jobs() if job.kind is JobKind.BATCH]
    assert chain.last_batch().number == len(jobs)
    assert chain.last_batch().batch_hash == jobs[-1].batch_hash
    bench.close()


def posted(bench: Bench, late_s: int = 0) -> None:
    """The chain's clock stands so many seconds after the newest epoch."""
    bench.chain.time_s = bench.script.time_ns // NS + late_s


def test_a_root_is_posted_before_the_batches_that_keep_to_it(bench: Bench) -> None:
    """And after those before it."""
    bench.batch()
    bench.root()
    bench.batch()
    posted(bench)
    assert bench.relayer.step()
    assert bench.states() == [JobState.CONFIRMED] * 3
    jobs = bench.outbox.jobs()
    assert [job.kind for job in jobs] == [JobKind.BATCH, JobKind.ROOT, JobKind.BATCH]
    assert [bench.outbox.attempts(job.key)[0].tx_nonce for job in jobs] == [0, 1, 2]


def test_a_batch_goes_behind_its_root(slow: Bench) -> None:
    """By its nonce: the contract would refuse it without."""
    slow.root()
    slow.batch()
    posted(slow)
    slow.relayer.step()
    attempts = [slow.outbox.attempts(job.key) for job in slow.outbox.jobs()]
    assert [one.tx_nonce for [one] in attempts] == [0, 1]
    slow.chain.mine()
    slow.relayer.step()
    assert slow.states() == [JobState.CONFIRMED] * 2


def test_a_root_that_no_batch_keeps_to_is_passed_over(slow: Bench) -> None:
    """Once a later one is published; the newest is posted, whether a batch comes or not."""
    for _ in range(3):
        slow.root()
    slow.batch()
    for _ in range(2):
        slow.root()
    posted(slow)
    for _ in range(4):
        slow.relayer.step()
        slow.chain.mine()
    slow.relayer.step()
    assert slow.states() == [JobState.CONFIRMED] * 6
    known = [epoch for epoch in range(1, 6) if slow.chain.marks_time(epoch)]
    assert known == [3, 5]


def test_a_root_under_way_that_is_passed_over_gives_its_place_up(slow: Bench) -> None:
    """The next takes over its nonce; both on chain do no harm."""
    slow.root()
    posted(slow)
    slow.relayer.step()
    slow.root()
    posted(slow)
    slow.relayer.step()
    assert {tx.tx_nonce for tx in slow.chain.pool.values()} == {0}
    slow.chain.mine()
    slow.relayer.step()
    assert slow.chain.risk_epoch() == 2
    assert slow.states() == [JobState.CONFIRMED] * 2


def test_a_root_whose_time_is_up_is_not_posted(bench: Bench) -> None:
    """And a rival's post is as good."""
    bench.root()
    posted(bench, 86_401)
    assert bench.relayer.step()
    assert (bench.states(), bench.chain.sent) == ([JobState.CONFIRMED], [])
    bench.root()
    posted(bench)
    bench.relayer._feed.pull()
    bench.chain.settle_as(RIVAL_KEY, bench.outbox.jobs()[-1].data)
    bench.relayer.step()
    assert (bench.states(), bench.chain.sent) == ([JobState.CONFIRMED] * 2, [])


def test_what_comes_after_a_refused_root_waits(bench: Bench) -> None:
    """It is alarmed and asked for again; what came before it settles."""
    bench.batch()
    bench.relayer.step()
    bench.root()
    bench.batch()
    posted(bench)
    bench.chain.refuses = Reverted("UnknownSigner", ())
    bench.relayer.step()
    assert bench.states() == [JobState.CONFIRMED, JobState.REVERTED, JobState.BUILT]
    assert not bench.relayer.step()
    bench.chain.refuses = None
    bench.relayer.step()
    assert bench.states() == [JobState.CONFIRMED] * 3
    assert bench.chain.risk_epoch() == 1


def test_a_root_waits_for_the_chains_clock(bench: Bench) -> None:
    """On a local chain it moves it: all that comes before it is in."""
    bench.root()
    bench.chain.time_s = bench.script.time_ns // NS - 90
    bench.chain.refuses = Reverted("TimeTooLate", ())
    bench.relayer.step()
    assert bench.states() == [JobState.BUILT]
    assert bench.chain.time_s == bench.script.time_ns // NS
    bench.chain.refuses = None
    bench.relayer.step()
    assert bench.states() == [JobState.CONFIRMED]
