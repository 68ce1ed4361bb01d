"""The relayer's memory: what it must put on chain, and every transaction it signed to do so.

A job is one thing that must happen on chain exactly once (a batch, a delivery price); its
transactions are the attempts. A signed transaction is stored before it is sent, so a crash at any
instant leaves either nothing or the bytes to send again. Knows no chain: the relayer decides, this
table remembers, and `MOVES` is all that may happen to a job.
"""

import itertools
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from exchange.journal.schema import JournalUnavailable, create_engine


class JobState(StrEnum):
    """Life of a job."""

    BUILT = "built"  # nothing signed
    SENT = "sent"  # a signed transaction is stored, and sent or about to be
    MINED = "mined"  # in a block that may still be reorganised
    CONFIRMED = "confirmed"  # final
    REVERTED = "reverted"  # the chain refuses it: a person must look


MOVES: Final[dict[JobState, frozenset[JobState]]] = {
    # BUILT -> MINED: somebody else, such as a second relayer, did it first.
    JobState.BUILT: frozenset({JobState.SENT, JobState.MINED, JobState.REVERTED}),
    # SENT -> SENT: replaced at a higher fee. SENT -> BUILT: its tx_nonce went to another one.
    JobState.SENT: frozenset({JobState.SENT, JobState.MINED, JobState.BUILT}),
    # MINED -> SENT or BUILT: its block was reorganised away.
    JobState.MINED: frozenset({JobState.CONFIRMED, JobState.SENT, JobState.BUILT}),
    # A new start of the relayer asks the chain once more.
    JobState.REVERTED: frozenset({JobState.BUILT}),
    # The chain was reorganised deeper than its confirmations (`reopen`).
    JobState.CONFIRMED: frozenset({JobState.SENT, JobState.BUILT}),
}


class JobKind(StrEnum):
    """What a job puts on chain."""

    BATCH = "batch"
    DELIVERY = "delivery"
    FUNDING = "funding"
    ROOT = "root"
    PROOF = "proof"  # that a subaccount is below maintenance: `last_seq` is its number
    INDEX = "index"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do on chain. Jobs are done in the order of `position`."""

    key: str  # "batch:7", "delivery:1:1798185600", "funding:<instrument_id>:<ordinal>", "root:9"
    kind: JobKind
    number: int  # of the batch; or the delivery price, the funding index, the epoch of the root
    last_seq: int  # of the batch: where building resumes
    batch_hash: bytes  # empty unless a batch
    to: str
    data: bytes
    time_s: int = 0  # UTC second that the chain's clock must have reached, about
    observed_block: int = 0  # the chain as the journal had observed it at `last_seq`
    observed_hash: str = ""
    position: int = 0
    state: JobState = JobState.BUILT
    tx_hash: str = ""  # of the transaction that did it
    block: int = 0
    gas_used: int = 0
    failures: int = 0  # attempts that were mined and reverted
    fills: int = 0  # of the batch
    cut_s: int = 0  # UTC second of the venue's clock
    final_s: int = 0  # UTC second of the chain's clock; 0 while it is not final


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A signed transaction of a job; fees in wei a gas."""

    tx_hash: str
    job_key: str
    sender: str
    tx_nonce: int
    raw: bytes
    gas: int
    max_fee: int
    priority_fee: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job's transaction was mined."""

    tx_hash: str
    block: int
    gas_used: int = 0


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over all jobs; 0 for none."""

    by_state: dict[str, int]
    pending_batches: int
    oldest_pending: int  # number of the first batch that is not final
    last_final: int  # number of the last final batch
    last_lag_s: int  # from its cut to its being final
    fills: int  # of batches on chain
    batch_gas: int  # of the same
    gas_used: int
    failures: int
    attempts: int
    attempted_jobs: int


_metadata: Final = sa.MetaData()
_jobs: Final = sa.Table(
    "outbox_jobs",
    _metadata,
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("key", sa.String, nullable=False, unique=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
    sa.Column("batch_hash", sa.LargeBinary, nullable=False),
    sa.Column("to", sa.String, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("time_s", sa.BigInteger, nullable=False),
    sa.Column("observed_block", sa.BigInteger, nullable=False),
    sa.Column("observed_hash", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False, index=True),
    sa.Column("tx_hash", sa.String, nullable=False),
    sa.Column("block", sa.BigInteger, nullable=False, index=True),
    sa.Column("gas_used", sa.BigInteger, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("fills", sa.Integer, nullable=False),
    sa.Column("cut_s", sa.BigInteger, nullable=False),
    sa.Column("final_s", sa.BigInteger, nullable=False),
)
_attempts: Final = sa.Table(
    "outbox_attempts",
    _metadata,
    sa.Column("order", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("tx_hash", sa.String, nullable=False, unique=True),
    sa.Column("job_key", sa.String, nullable=False, index=True),
    sa.Column("sender", sa.String, nullable=False),
    sa.Column("tx_nonce", sa.BigInteger, nullable=False),
    sa.Column("raw", sa.LargeBinary, nullable=False),
    sa.Column("gas", sa.BigInteger, nullable=False),
    # Wei do not fit 64 bits for ever; text is exact.
    sa.Column("max_fee", sa.String, nullable=False),
    sa.Column("priority_fee", sa.String, nullable=False),
)

# What a relayer asks and says at each of its steps, built once: building takes as long as asking.
_in_order: Final = sa.select(_jobs).order_by(_jobs.c.position)
_not_final: Final = _in_order.where(_jobs.c.state != JobState.CONFIRMED.value)
_by_key: Final = _in_order.where(_jobs.c.key == sa.bindparam("of_key"))
_change: Final = sa.update(_jobs).where(_jobs.c.key == sa.bindparam("of_key"))
_signed: Final = sa.select(_attempts).order_by(_attempts.c.order)
_signed_for: Final = _signed.where(_attempts.c.job_key == sa.bindparam("of_key"))
_signed_at: Final = _signed.where(
    (_attempts.c.sender == sa.bindparam("of_sender"))
    & (_attempts.c.tx_nonce == sa.bindparam("at_nonce"))
)


class Outbox:
    """The table of jobs, at a path or database URL. One process, one thread."""

    def __init__(self, location: str) -> None:
        self._newest: dict[tuple[str, ...], Job | None] = {}  # final, by kinds, since a write
        self._database = create_engine(location)
        try:
            _metadata.create_all(self._database)
        except sa.exc.SQLAlchemyError as error:
            raise JournalUnavailable(
                f"the outbox at {location} cannot be opened: {error}"
            ) from error

    def add(self, jobs: Iterable[Job]) -> None:
        """Append jobs in order, all or none; a key that is there already is left alone."""
        with self._database.begin() as connection:
            for job in jobs:
                if connection.execute(_by_key, {"of_key": job.key}).first() is None:
                    row = msgspec.structs.asdict(job)
                    del row["position"]
                    connection.execute(sa.insert(_jobs), row)

    def amend(self, jobs: Iterable[Job]) -> None:
        """Give batches the content that a novation makes of them, all or none.

        One that is on chain already stays as it is there: if it differs, the chain tells.
        """
        settled = (JobState.MINED.value, JobState.CONFIRMED.value)
        with self._database.begin() as connection:
            for job in jobs:
                changed = (
                    (_jobs.c.key == job.key)
                    & (_jobs.c.batch_hash != job.batch_hash)
                    & _jobs.c.state.not_in(settled)
                )
                values = {
                    "data": job.data,
                    "batch_hash": job.batch_hash,
                    "state": JobState.BUILT.value,
                    "failures": 0,
                }
                connection.execute(sa.update(_jobs).where(changed).values(values))

    def reopen(self, after_block: int) -> int:
        """Take back what was final in blocks after this one, which are lost; how many jobs.

        What was sent from here is looked for again; what somebody else sent is not known.
        """
        final = _jobs.c.state == JobState.CONFIRMED.value
        lost = self._jobs(_in_order.where(final & (_jobs.c.block > after_block)))
        for job in lost:
            sent = bool(self.attempts(job.key))
            self.move(job, JobState.SENT if sent else JobState.BUILT)
        return len(lost)

    def newest_final(self, kinds: Iterable[JobKind], before_block: int | None = None) -> Job | None:
        """The last of the final jobs of known transactions in the highest block, or before one."""
        wanted = tuple(kind.value for kind in kinds)
        if before_block is not None:
            return self._one(_newest_of(wanted).where(_jobs.c.block < before_block))
        if wanted not in self._newest:
            self._newest[wanted] = self._one(_newest_of(wanted))
        return self._newest[wanted]

    def unfinished(self) -> list[Job]:
        """Jobs that are not confirmed, in the order in which they must be done."""
        return self._jobs(_not_final)

    def job(self, key: str) -> Job | None:
        """One job."""
        found = self._jobs(_by_key, of_key=key)
        return found[0] if found else None

    def jobs(self) -> list[Job]:
        """Every job, in order."""
        return self._jobs(_in_order)

    def last_batch(self) -> Job | None:
        """The batch built last: where a restarted relayer resumes."""
        of_batches = sa.select(_jobs).where(_jobs.c.kind == JobKind.BATCH.value)
        return self._one(of_batches.order_by(_jobs.c.number.desc()).limit(1))

    def next_of(self, job: Job, kinds: Iterable[JobKind]) -> Job | None:
        """The first job of these kinds that comes after this one."""
        wanted = [kind.value for kind in kinds]
        after = _jobs.c.kind.in_(wanted) & (_jobs.c.position > job.position)
        return self._one(sa.select(_jobs).where(after).order_by(_jobs.c.position).limit(1))

    def _one(self, query: sa.Select[Any]) -> Job | None:
        with self._database.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return _job(row) if row else None

    def totals(self) -> Totals:
        """Sums for operators."""
        batch = _jobs.c.kind == JobKind.BATCH.value
        mined = batch & _jobs.c.state.in_([JobState.MINED.value, JobState.CONFIRMED.value])
        pending = batch & (_jobs.c.state != JobState.CONFIRMED.value)
        final = batch & (_jobs.c.state == JobState.CONFIRMED.value)
        by_state = sa.select(_jobs.c.state, sa.func.count()).group_by(_jobs.c.state)
        on_chain = sa.select(_total(_jobs.c.fills), _total(_jobs.c.gas_used)).where(mined)
        waiting = sa.select(sa.func.count(), sa.func.min(_jobs.c.number)).where(pending)
        last = sa.select(_jobs.c.number, _jobs.c.final_s - _jobs.c.cut_s).where(final)
        attempts = sa.select(
            sa.func.count(), sa.func.count(sa.distinct(_attempts.c.job_key))
        ).select_from(_attempts)
        with self._database.connect() as connection:
            fills, batch_gas = connection.execute(on_chain).one()
            waits, oldest = connection.execute(waiting).one()
            newest = connection.execute(last.order_by(_jobs.c.number.desc()).limit(1)).first()
            everything = sa.select(_total(_jobs.c.gas_used), _total(_jobs.c.failures))
            gas_used, failures = connection.execute(everything).one()
            signed, of_jobs = connection.execute(attempts).one()
            states = {str(state): int(count) for state, count in connection.execute(by_state)}
        return Totals(
            by_state=states,
            pending_batches=waits,
            oldest_pending=oldest or 0,
            last_final=newest[0] if newest else 0,
            last_lag_s=newest[1] if newest else 0,
            fills=int(fills),
            batch_gas=int(batch_gas),
            gas_used=int(gas_used),
            failures=int(failures),
            attempts=signed,
            attempted_jobs=of_jobs,
        )

    def attempts(self, job_key: str) -> list[Attempt]:
        """Signed transactions of a job, oldest first."""
        return self._attempts(_signed_for, of_key=job_key)

    def attempts_at(self, sender: str, tx_nonce: int) -> list[Attempt]:
        """Signed transactions of any job that compete for one tx_nonce."""
        return self._attempts(_signed_at, of_sender=sender, at_nonce=tx_nonce)

    def move(
        self, job: Job, state: JobState, outcome: Outcome | None = None, *, final_s: int = 0
    ) -> Job:
        """The job in its new state; a move that `MOVES` does not allow is a bug."""
        assert state in MOVES[job.state], f"{job.key}: {job.state} -> {state}"
        moved = msgspec.structs.replace(
            job,
            state=state,
            tx_hash=outcome.tx_hash if outcome else job.tx_hash,
            block=outcome.block if outcome else job.block,
            gas_used=outcome.gas_used if outcome else job.gas_used,
            final_s=final_s,
        )
        return self._store(moved)

    def fail(self, job: Job) -> Job:
        """The job after one of its transactions was mined and reverted: to be tried again."""
        assert job.state is JobState.SENT
        again = msgspec.structs.replace(job, state=JobState.BUILT, failures=job.failures + 1)
        return self._store(again)

    def send(self, job: Job, attempt: Attempt) -> Job:
        """Remember a signed transaction before it is sent, as the newest of its job."""
        assert JobState.SENT in MOVES[job.state], f"{job.key}: {job.state} -> sent"
        row = msgspec.structs.asdict(attempt)
        row |= {"max_fee": str(attempt.max_fee), "priority_fee": str(attempt.priority_fee)}
        with self._database.begin() as connection:
            connection.execute(sa.delete(_attempts).where(_attempts.c.tx_hash == attempt.tx_hash))
            connection.execute(sa.insert(_attempts), row)  # the same bytes again move to the end
            connection.execute(_change, {"of_key": job.key, "state": JobState.SENT.value})
        return msgspec.structs.replace(job, state=JobState.SENT)

    def check(self) -> None:
        """Assert that batches are consecutive and that none is final before the one before it."""
        batches = [job for job in self.jobs() if job.kind is JobKind.BATCH]
        for before, after in itertools.pairwise(batches):
            assert after.number == before.number + 1
            assert after.last_seq > before.last_seq
            assert after.state is not JobState.CONFIRMED or before.state is JobState.CONFIRMED

    def close(self) -> None:
        """Release the database."""
        self._database.dispose()

    def _store(self, job: Job) -> Job:
        self._newest.clear()
        values = {
            "of_key": job.key,
            "state": job.state.value,
            "tx_hash": job.tx_hash,
            "block": job.block,
            "gas_used": job.gas_used,
            "failures": job.failures,
            "final_s": job.final_s,
        }
        with self._database.begin() as connection:
            connection.execute(_change, values)
        return job

    def _jobs(self, query: sa.Select[Any], **values: str) -> list[Job]:
        with self._database.connect() as connection:
            return [_job(row) for row in connection.execute(query, values).mappings()]

    def _attempts(self, query: sa.Select[Any], **values: str | int) -> list[Attempt]:
        with self._database.connect() as connection:
            rows = connection.execute(query, values).mappings().all()
        return [msgspec.convert(_plain(row), Attempt, strict=False) for row in rows]


def _total(column: sa.Column[int]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(column), 0)


def _newest_of(kinds: tuple[str, ...]) -> sa.Select[Any]:
    final = (_jobs.c.state == JobState.CONFIRMED.value) & (_jobs.c.tx_hash != "")
    newest = (_jobs.c.block.desc(), _jobs.c.position.desc())
    return sa.select(_jobs).where(final & _jobs.c.kind.in_(kinds)).order_by(*newest).limit(1)


def _job(row: sa.RowMapping) -> Job:
    return msgspec.convert(_plain(row), Job)


def _plain(row: sa.RowMapping) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}  # SQLAlchemy's names subclass str
