"""Puts jobs on chain, strictly in order, each exactly once, whatever dies in between.

The contract's numbering makes a batch impossible to settle twice; the outbox makes it impossible to
forget one. Every step reads the chain, decides, writes the outbox, then sends: so the next step, in
this process or the next, continues from whatever the last one left.

Behind the first job that is not mined others are sent ahead, on the nonces that follow, where the
node's pending block says that they will succeed. They are judged only when their turn comes.
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from exchange.fixed import div_up, mul_div_up
from exchange.journal.outbox import Attempt, Job, JobKind, JobState, Outbox, Outcome
from exchange.settlement.chain import LOCAL_CHAIN_ID, Call, Chain, Fees, SignedTransaction
from exchange.settlement.delivery import delivery_of
from exchange.settlement.errors import (
    BatchRefused,
    ChainUnavailable,
    NodeRefused,
    Reverted,
)
from exchange.settlement.feed import Feed
from exchange.settlement.funding import fundings_of
from exchange.settlement.index_samples import sample_deadline, sample_of
from exchange.settlement.novator import Novator
from exchange.settlement.prover import FORCE_S, USABLE_S
from exchange.settlement.risk_root import deadline_of
from exchange.settlement.solvency import SolvencyProver
from exchange.signing import address_of

FAILURES_MAX: Final = 5  # mined and reverted attempts of one job before a person must look
UNDER_WAY_MAX: Final = 8  # transactions in the pool; geth promises an account 16
_BUMP_PERCENT: Final = 113  # geth wants 10 % more for a replacement, some nodes 12.5 %
_GAS_MARGIN: Final = (5, 4)  # limit over estimate
_SETTLED: Final = (JobState.MINED, JobState.CONFIRMED)
# No order is at fault for these, so no other order in its place helps.
_OF_MARKS: Final = (
    "MarksNotPosted",
    "WrongMarks",
    "MarkMissing",
    "MarksOfAnotherTime",
    "PriceOutsideBand",
)
_EARLY: Final = ("TimeTooLate", "NotExpired")  # the chain's clock is behind the venue's

Clock = Callable[[], float]  # seconds that never go back

log = structlog.get_logger(__name__)


class RelayerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How patient and how rich a relayer is."""

    key: bytes
    confirmations: int = 1  # 1: the block that holds a transaction is enough
    stuck_after_s: float = 15.0
    look_back_s: float = 1.0  # how often to ask whether what is final is still there
    fee_cap: int = 500 * 10**9  # wei a gas; above it a stuck transaction waits


class Relayer:
    """Advances the outbox. Single-threaded: one `step` at a time."""

    def __init__(  # noqa: PLR0913 -- what it is made of
        self,
        feed: Feed,
        outbox: Outbox,
        chain: Chain,
        options: RelayerOptions,
        novator: Novator | None = None,
        solvency: SolvencyProver | None = None,
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        self.address = address_of(options.key)
        self._feed = feed
        self._outbox = outbox
        self._chain = chain
        self._options = options
        self._novator = novator  # None: a batch with a refused fill waits for a person
        self._solvency = solvency  # None: of a chain that wants no batch proven
        self._proven: tuple[bytes, bytes] = (b"", b"")  # hash and calldata of the batch under way
        self._chain_id = chain.deployment.chain_id
        self._clock = clock
        self._asked_ahead: tuple[str, int, int] = ("", 0, 0)  # job, nonce, newest block
        self._look_back_at = 0.0  # seconds of the clock, as below
        self._useless: set[str] = set()  # proofs that the chain would refuse now
        self._waiting_since: dict[str, float] = {}  # tx_hash -> since when

    @property
    def novated(self) -> int:
        """Sides of fills that the venue took, by this process."""
        return self._novator.novated if self._novator else 0

    def step(self) -> bool:
        """Read the journal and push every job as far as it goes now; whether anything moved."""
        moved = self._feed.pull() > 0
        self._look_back()
        under_way, tx_nonce = 0, 0  # the nonce after theirs
        for job in self._outbox.unfinished():
            self._follow_clock()
            after = self._queue_up(job, tx_nonce) if under_way else self._attempt_one(job)
            moved |= after.state is not job.state
            if _is_left(after) or (after.state in _SETTLED and not under_way):
                continue
            under_way += 1
            if after.state is not JobState.SENT or under_way == UNDER_WAY_MAX:
                break
            tx_nonce = self._outbox.attempts(after.key)[-1].tx_nonce + 1
        self._follow_clock()
        return moved

    def _look_back(self) -> None:
        """Take back what was final and is gone, where the journal never acted on its block.

        What it did act on the watcher tells it, and the feed takes back. The newest that is there
        speaks for those before it: nonces and numbers of batches leave no gaps. A batch that
        somebody else settled has no nonce of ours, so the newest batch speaks for itself.
        """
        if self._clock() < self._look_back_at:
            return
        for kinds in (tuple(JobKind), (JobKind.BATCH,)):
            kept = self._outbox.newest_final(kinds)
            if kept is None or self._block_of(kept) is not None:
                continue
            cursor = self._feed.cursor
            if cursor.block and self._chain.block_hash(cursor.block) != cursor.block_hash:
                raise ChainUnavailable(
                    "what was final is not on the chain any more: the chain was reorganised deeper "
                    "than its confirmations; the watcher has to tell the exchange"
                )
            while kept is not None and self._block_of(kept) is None:
                kept = self._outbox.newest_final(kinds, before_block=kept.block)
            self._feed.reopen(kept.block if kept else 0)
        self._look_back_at = self._clock() + self._options.look_back_s

    def _attempt_one(self, job: Job) -> Job:
        """The job after this step.

        A root that the chain refuses is asked for again, and all that comes after it waits: no fill
        settles by marks that nobody posted. A refused index sample stops nothing.
        """
        try:
            return self._advance(job)
        except BatchRefused as refusal:
            if job.kind not in (JobKind.ROOT, JobKind.INDEX):
                raise
            if job.state is not JobState.REVERTED:
                why = str(refusal)
                log.error("oracle post refused", job=job.key, why=why)  # noqa: TRY400  no bug: no trace
            return self._outbox.job(job.key) or job

    def _follow_clock(self) -> None:
        """Repeat the venue's clock jump on a local chain, after what happened before it is in."""
        jump = self._feed.jump
        if jump is None or self._chain.last_batch().number < jump.after_batch:
            return
        self._feed.jump = None
        if self._chain_id == LOCAL_CHAIN_ID:
            self._chain.advance_time(jump.to_s)

    def _advance(self, job: Job) -> Job:
        """The job as far as it can go without waiting."""
        if job.state is JobState.REVERTED:
            job = self._outbox.move(job, JobState.BUILT)
        if job.state is JobState.BUILT:
            job = self._start(job)
        if job.state is JobState.SENT:
            job = self._follow(job)
        if job.state is JobState.MINED:
            job = self._confirm(job)
        return job

    # ---- built

    def _start(self, job: Job) -> Job:
        done = self._done(job)
        if done is not None:
            return self._mined(job, done, by="another sender")
        if job.failures >= FAILURES_MAX:
            raise self._refuse(job, f"it was mined and reverted {job.failures} times")
        tx_nonce = self._chain.tx_count(self.address)
        self._proven = (b"", b"")  # governance may have changed its mind
        gas = self._gas(job)
        if gas is None:
            return job
        call = Call(to=job.to, data=self._data(job), gas=gas)
        return self._send(job, call, tx_nonce=tx_nonce, fees=self._fees(tx_nonce))

    def _done(self, job: Job) -> Outcome | None:
        """Where somebody put this job on chain already, this relayer before a crash included."""
        if job.kind is not JobKind.BATCH:
            return self._done_post(job)
        if self._chain.last_batch().number < job.number:
            return None
        settled = self._chain.settled(job.number)
        if settled is None:
            raise ChainUnavailable(f"the node does not show the log of {job.key} yet")
        if settled.batch_hash != job.batch_hash:
            raise self._refuse(job, f"the chain holds another batch, of {settled.tx_hash}")
        return Outcome(tx_hash=settled.tx_hash, block=settled.block)

    def _done_post(self, job: Job) -> Outcome | None:
        """Where the Oracle holds the job's figure already."""
        if job.kind is JobKind.ROOT:
            return self._overtaken(job)
        if job.kind is JobKind.PROOF:
            return self._shown(job)
        if job.kind is JobKind.INDEX:
            return self._sampled(job)
        posted = self._posted(job)
        if posted is None:
            return None
        if posted != job.number:
            raise self._refuse(job, f"the chain fixed {posted}, the journal {job.number}")
        return Outcome(tx_hash="", block=self._chain.head())

    def _overtaken(self, job: Job) -> Outcome | None:
        """Where a root is posted, or nobody needs it: the next comes before any batch."""
        late = self._chain.block_time() > deadline_of(job)
        posted = self._chain.marks_time(job.number) is not None
        if posted or late or self._is_passed_over(job):
            return Outcome(tx_hash="", block=self._chain.head())
        return None

    def _shown(self, job: Job) -> Outcome | None:
        """Where the chain saw the proof, or one as new, or nobody needs it any more."""
        late = job.key in self._useless or self._chain.block_time() > job.time_s + USABLE_S
        if late or self._chain.force_until(job.last_seq) >= job.time_s + FORCE_S:
            return Outcome(tx_hash="", block=self._chain.head())
        return None

    def _sampled(self, job: Job) -> Outcome | None:
        """Where an index sample is posted, or a later one, or its time is up."""
        posted_s = self._chain.index_time(sample_of(job).underlying_id)
        if posted_s < job.time_s and self._chain.block_time() <= sample_deadline(job):
            return None
        return Outcome(tx_hash="", block=self._chain.head())

    def _is_passed_over(self, job: Job) -> bool:
        after = self._outbox.next_of(job, (JobKind.ROOT, JobKind.BATCH))
        return after is not None and after.kind is JobKind.ROOT

    def _posted(self, job: Job) -> int | None:
        if job.kind is JobKind.DELIVERY:
            delivery = delivery_of(job)
            return self._chain.delivery_price(delivery.underlying_id, delivery.expiry)
        return self._posted_funding(job)

    def _posted_funding(self, job: Job) -> int | None:
        """The last index of the job once all of them are posted, the last asked for first."""
        found: list[int] = []
        for funding in reversed(fundings_of(job)):
            index = self._chain.funding_index(funding.instrument_id, funding.ordinal)
            if index is None:
                return None
            if index != funding.index:
                raise self._refuse(job, f"the chain fixed {index}, the journal {funding.index}")
            found.append(index)
        return found[0]

    def _gas(self, job: Job) -> int | None:
        """Gas limit for the job now; None where it must wait for the chain's clock."""
        try:
            gas = self._chain.estimate_gas(self.address, job.to, self._data(job))
        except Reverted as refusal:
            if self._done(job) is not None:
                return None  # settled between the look and the estimate; the next step sees it
            if self._is_taken_back(job):
                return None  # the next step starts at what was reorganised away
            if job.kind is JobKind.PROOF:
                self._useless.add(job.key)  # it recovered meanwhile, or another root came
            elif refusal.error in _EARLY:
                self._wait_for_clock(job)
            elif refusal.error in _OF_MARKS or not self._is_helped(job):
                raise self._refuse(job, str(refusal)) from refusal
            return None  # the next step reads what changed
        return mul_div_up(gas, *_GAS_MARGIN)

    # ---- ahead of its turn

    def _queue_up(self, job: Job, tx_nonce: int) -> Job:
        """The job behind those under way: sent where it would succeed after them, else left."""
        if job.state is JobState.MINED and self._block_of(job) is None:
            job = self._lose(job)
        if job.state is JobState.BUILT:
            return self._send_ahead(job, tx_nonce) if self._may_be_new(job, tx_nonce) else job
        if job.state is not JobState.SENT:
            return job
        latest = self._outbox.attempts(job.key)[-1]
        if latest.tx_nonce != tx_nonce:
            return self._retry(job, reverted=False)
        self._keep_known(job, latest)
        return job

    def _may_be_new(self, job: Job, tx_nonce: int) -> bool:
        """Whether the node may say something else of a job than when it was asked last."""
        asked, self._asked_ahead = self._asked_ahead, (job.key, tx_nonce, self._chain.head())
        return self._asked_ahead != asked

    def _send_ahead(self, job: Job, tx_nonce: int) -> Job:
        of_batch = job.kind is JobKind.BATCH
        if job.failures or (of_batch and self._solvency is not None and self._solvency.wanted):
            return job
        try:
            if not of_batch and self._done_post(job) is not None:
                return job
            gas = self._chain.estimate_gas(self.address, job.to, job.data, pending=True)
        except (Reverted, BatchRefused, NodeRefused):
            return job  # or the node's pending block does not hold what waits: one at a time
        fees = self._fees(tx_nonce)
        if fees.max_fee > self._options.fee_cap:
            return job
        call = Call(to=job.to, data=job.data, gas=mul_div_up(gas, *_GAS_MARGIN))
        return self._send(job, call, tx_nonce=tx_nonce, fees=fees)

    def _is_helped(self, job: Job) -> bool:
        """Whether to look again: the chain may move while it is asked what it refuses."""
        return self._novate(job) or self._passes(job) or self._is_taken_back(job)

    def _is_taken_back(self, job: Job) -> bool:
        """Whether the chain has lost what comes before the job."""
        return self._predecessor_lost(job) or self._post_lost(job)

    def _passes(self, job: Job) -> bool:
        """Whether the chain takes a batch after all: an owner may have come back in between."""
        if job.kind is not JobKind.BATCH:
            return False
        return self._chain.refusal(self.address, job.to, self._data(job)) is None

    def _data(self, job: Job) -> bytes:
        """The job's calldata; of a batch with proofs of margin, where the chain wants them."""
        if job.kind is not JobKind.BATCH or self._solvency is None:
            return job.data
        if self._proven[0] != job.batch_hash:
            data = job.data
            if self._solvency.wanted:
                batch = self._feed.build(self._feed.material(job.number), {})
                data = self._solvency.calldata(batch)
            self._proven = (job.batch_hash, data)
        return self._proven[1]

    def _novate(self, job: Job) -> bool:
        """Whether the batch settles once the journal's newest novation amended it."""
        if self._novator is None or job.kind is not JobKind.BATCH:
            return False
        return self._still_waits(job) or self._novator.replace(job.number)

    def _still_waits(self, job: Job) -> bool:
        """Whether the job as it is may yet be mined without another transaction: to be left so."""
        tx_nonce = self._chain.tx_count(self.address)
        while True:
            attempts = self._outbox.attempts_at(self.address, tx_nonce)
            keys = {one.job_key for one in attempts if self._chain.knows(one.tx_hash)}
            if not keys or job.key in keys:
                return bool(keys)
            tx_nonce += 1

    def _predecessor_lost(self, job: Job) -> bool:
        """Whether the batch before is gone; what was final the next step takes back."""
        settled = self._chain.last_batch().number
        if job.kind is not JobKind.BATCH or settled >= job.number - 1:
            return False
        lost = self._outbox.job(f"{JobKind.BATCH}:{settled + 1}")
        if lost is not None and lost.state is JobState.CONFIRMED:
            raise ChainUnavailable(f"{lost.key} was final and is not on the chain any more")
        return True

    def _post_lost(self, job: Job) -> bool:
        """Whether an oracle post before the batch is gone; what was final a next step takes back.

        Its loss is nobody's fault: without this the batch would wait for a person.
        """
        if job.kind is not JobKind.BATCH:
            return False
        newest = self._outbox.newest_final(tuple(JobKind))
        if newest is not None and self._block_of(newest) is None:
            raise ChainUnavailable(f"{newest.key} was final and is not on the chain any more")
        before = [one for one in self._outbox.unfinished() if one.position < job.position]
        return any(one.state is JobState.MINED and self._block_of(one) is None for one in before)

    def _wait_for_clock(self, job: Job) -> None:
        log.info("the chain's clock is behind the venue's", job=job.key)
        if self._chain_id == LOCAL_CHAIN_ID:
            self._chain.advance_time(job.time_s)

    def _refuse(self, job: Job, why: str) -> BatchRefused:
        if job.state is JobState.BUILT:
            self._outbox.move(job, JobState.REVERTED)
        return BatchRefused(f"{job.key} cannot be settled: {why}")

    # ---- sent

    def _fees(self, tx_nonce: int) -> Fees:
        """What the node suggests, above whatever this relayer offered for the same tx_nonce."""
        fees = self._chain.suggested_fees()
        for rival in self._outbox.attempts_at(self.address, tx_nonce):
            if not self._chain.knows(rival.tx_hash):
                continue  # it never got there: nothing to outbid
            fees = _above(fees, Fees(max_fee=rival.max_fee, priority_fee=rival.priority_fee))
        return fees

    def _send(self, job: Job, call: Call, *, tx_nonce: int, fees: Fees) -> Job:
        signed = self._chain.sign(
            self._options.key, call, chain_id=self._chain_id, tx_nonce=tx_nonce, fees=fees
        )
        job = self._outbox.send(job, self._attempt(job, signed, call.gas))
        self._waiting_since[signed.tx_hash] = self._clock()
        self._broadcast(job, signed.tx_hash, signed.raw)
        return job

    def _attempt(self, job: Job, signed: SignedTransaction, gas: int) -> Attempt:
        return Attempt(
            tx_hash=signed.tx_hash,
            job_key=job.key,
            sender=self.address,
            tx_nonce=signed.tx_nonce,
            raw=signed.raw,
            gas=gas,
            max_fee=signed.max_fee,
            priority_fee=signed.priority_fee,
        )

    def _broadcast(self, job: Job, tx_hash: str, raw: bytes) -> None:
        try:
            self._chain.broadcast(raw)
        except NodeRefused as refusal:  # such as a fee below the base fee: in time it is replaced
            log.warning("transaction refused", job=job.key, tx=tx_hash, why=refusal.message)

    def _follow(self, job: Job) -> Job:
        """Look for a receipt; without one keep the transaction alive."""
        latest = self._outbox.attempts(job.key)[-1]
        # Both before the receipts: what is mined in between would pass for another sender's.
        used = self._chain.tx_count(self.address)
        done = self._done(job)
        outcome = self._receipt(job, latest.tx_nonce)
        if isinstance(outcome, Outcome) and (done is not None or job.kind is not JobKind.BATCH):
            return self._mined(job, outcome, by=self.address)
        if done is not None:
            return self._mined(job, done, by="another sender")
        if isinstance(outcome, Reverted) or used != latest.tx_nonce:
            return self._retry(job, reverted=isinstance(outcome, Reverted))
        if outcome is not None:  # of a block that is gone, as some nodes show, or new since
            self._broadcast(job, latest.tx_hash, latest.raw)
            return job
        return self._keep_alive(job, latest)

    def _receipt(self, job: Job, tx_nonce: int) -> Outcome | Reverted | None:
        """What became of the attempts at this tx_nonce: mined, mined in vain, or nothing yet."""
        for attempt in reversed(self._outbox.attempts(job.key)):
            if attempt.tx_nonce != tx_nonce:
                continue
            receipt = self._chain.receipt(attempt.tx_hash)
            if receipt is not None and receipt.succeeded:
                return Outcome(
                    tx_hash=receipt.tx_hash, block=receipt.block, gas_used=receipt.gas_used
                )
            if receipt is not None:
                return Reverted("transaction", (attempt.tx_hash,))
        return None

    def _retry(self, job: Job, *, reverted: bool) -> Job:
        """Sign again: on the next nonce, or on a lower one that a reorganisation gave back."""
        if reverted:
            log.warning("transaction reverted; trying again", job=job.key)
            return self._outbox.fail(job)
        log.warning("the nonce is no longer the next; signing again", job=job.key)
        return self._outbox.move(job, JobState.BUILT)

    def _keep_alive(self, job: Job, latest: Attempt) -> Job:
        """Send a dropped transaction again, and outbid a stuck one."""
        self._keep_known(job, latest)
        since = self._waiting_since.setdefault(latest.tx_hash, self._clock())
        if self._clock() - since < self._options.stuck_after_s:
            return job
        fees = self._fees(latest.tx_nonce)
        if fees.max_fee > self._options.fee_cap:
            log.error("stuck at the fee cap", job=job.key, cap=self._options.fee_cap)
            self._waiting_since[latest.tx_hash] = self._clock()
            return job
        log.warning("transaction is stuck; raising its fee", job=job.key, max_fee=fees.max_fee)
        call = Call(to=job.to, data=self._data(job), gas=latest.gas)
        return self._send(job, call, tx_nonce=latest.tx_nonce, fees=fees)

    def _keep_known(self, job: Job, latest: Attempt) -> None:
        if not self._chain.knows(latest.tx_hash):
            log.warning("transaction is not in the pool; sending it again", job=job.key)
            self._broadcast(job, latest.tx_hash, latest.raw)

    # ---- mined

    def _mined(self, job: Job, outcome: Outcome, *, by: str) -> Job:
        for attempt in self._outbox.attempts(job.key):  # those behind it wait since they were sent
            self._waiting_since.pop(attempt.tx_hash, None)
        log.info("on chain", job=job.key, block=outcome.block, gas=outcome.gas_used, by=by)
        return self._outbox.move(job, JobState.MINED, outcome)

    def _confirm(self, job: Job) -> Job:
        """Final once it is deep enough; sent again as soon as its block is gone."""
        block = self._block_of(job)
        if block is None:
            return self._lose(job)
        if self._chain.head() - block + 1 < self._options.confirmations:
            return job
        # Where it is now, which may be another block than the one it was first seen in.
        found = Outcome(tx_hash=job.tx_hash, block=block, gas_used=job.gas_used)
        final_s = self._chain.block_time()
        return self._outbox.move(job, JobState.CONFIRMED, found, final_s=final_s)

    def _lose(self, job: Job) -> Job:
        log.error("reorganised away; sending it again", job=job.key, block=job.block)
        resend = bool(self._outbox.attempts(job.key))
        return self._outbox.move(job, JobState.SENT if resend else JobState.BUILT)

    def _block_of(self, job: Job) -> int | None:
        """The block that holds the job now, which a reorganisation may have changed."""
        if not job.tx_hash:  # somebody else posted it
            return job.block if self._done(job) is not None else None
        if job.kind is JobKind.BATCH and self._chain.last_batch().number < job.number:
            return None  # whatever a receipt says: nodes show some of blocks that are gone
        receipt = self._chain.receipt(job.tx_hash)
        return receipt.block if receipt is not None and receipt.succeeded else None


def _is_left(job: Job) -> bool:
    return job.kind is JobKind.INDEX and job.state is JobState.REVERTED


def _above(fees: Fees, rival: Fees) -> Fees:
    """Fees that every node accepts as a replacement for `rival`, and not below `fees`."""
    return Fees(
        max_fee=max(fees.max_fee, div_up(rival.max_fee * _BUMP_PERCENT, 100)),
        priority_fee=max(fees.priority_fee, div_up(rival.priority_fee * _BUMP_PERCENT, 100)),
    )
