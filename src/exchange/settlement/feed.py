"""From the journal to the outbox: batches as they are cut, and the oracle posts they need.

Reads the journal forward once; after a restart it resumes at the last batch in the outbox. Also
remembers what else the relayer must know of the journal: the observed block and clock jumps.
"""

import itertools
from typing import Final

import msgspec
import structlog
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.commands import (
    AdvanceClock,
    MassQuote,
    Novate,
    NovatedFill,
    RebuiltPosition,
    RefusedAct,
    SignedCommand,
    UpdateMarks,
    signed_commands,
)
from exchange.events import ClockAdvanced, IndexUpdated, MarksUpdated
from exchange.fixed import to_seconds_down
from exchange.journal import Entry, JournalReader
from exchange.journal.outbox import Job, JobKind, Outbox
from exchange.model import Legs, combo_seq, numbered, seq_and_place
from exchange.settlement.batch import Batch, BatchBuilder, Tip, listed_legs, settle_calldata
from exchange.settlement.cursor import BlockCursor, follow_blocks, is_reverted
from exchange.settlement.index_samples import HEARTBEAT_S, IndexSample
from exchange.settlement.novation import Novations, is_novated, novations_in
from exchange.settlement.oracle_desks import OracleDesks
from exchange.settlement.rebuilding import rebuilt_positions
from exchange.settlement.risk_root import Publication

log = structlog.get_logger(__name__)

_SELECTOR_BYTES: Final = 4
_RECENT_MAX: Final = 20_000  # signed orders kept in memory, about 20 MB


class ClockJump(msgspec.Struct, frozen=True, kw_only=True):
    """A local chain's clock goes to `to_s`, but not before this batch is in."""

    to_s: int
    after_batch: int


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """What one batch is built of: where it begins, and the journal from there on."""

    tip: Tip
    entries: tuple[Entry, ...]
    novations: Novations


class Feed:
    """Turns journal entries into jobs; `cursor` and `jump` are as of the last entry read."""

    def __init__(
        self,
        reader: JournalReader,
        outbox: Outbox,
        *,
        clearing: str,
        desks: OracleDesks,
    ) -> None:
        self._reader = reader
        self._outbox = outbox
        self._clearing = clearing
        self._desks = desks
        self._index_due_s: dict[int, int] = {}  # by underlying_id; a restart posts one more
        last = outbox.last_batch()
        tip = _tip_of(last) if last else Tip()
        self._recent: dict[int, SignedCommand] = {}  # oldest first; spares reading them again
        self._builder = self._builder_from(tip)
        self.seq = tip.last_seq
        self.jump: ClockJump | None = None
        self.reverted_blocks = 0  # times that final blocks were lost, read by this process
        self.cursor = BlockCursor(
            block=last.observed_block if last else 0,
            block_hash=last.observed_hash if last else "",
        )

    def _builder_from(self, tip: Tip, novations: Novations | None = None) -> BatchBuilder:
        builder = BatchBuilder(self._signed, self._legs, tip, novations, self._marks)
        if tip.last_seq:
            builder.resume(self._reader.entry(tip.last_seq))
        return builder

    def pull(self) -> int:
        """Take in what is new in the journal; the number of jobs added."""
        added = 0
        for entry in self._reader.entries(after_seq=self.seq):
            self.cursor = follow_blocks(self.cursor, entry)
            self._remember(entry)
            batch = self._builder.add(entry)
            self._follow_clock(entry)
            jobs = self._jobs(entry, batch)
            if jobs:
                self._outbox.add(jobs)
                added += len(jobs)
            if is_reverted(entry):
                self.reopen(self.cursor.block)
            if isinstance(entry.command, Novate) and is_novated(entry):
                self._rebuild(entry.command.batch, entry.seq)
            self.seq = entry.seq
        return added

    def reopen(self, after_block: int) -> None:
        """What was final in blocks after this one, which are lost, has to go on chain again."""
        self.reverted_blocks += 1
        jobs = self._outbox.reopen(after_block)
        log.error("the chain lost final blocks", after=after_block, jobs=jobs)

    def _jobs(self, entry: Entry, batch: Batch | None) -> list[Job]:
        """What an entry asks for: the batch that it ended, then the epoch that it published."""
        jobs: list[Job] = []
        if batch is not None:
            jobs += map(self._desks.delivery.job, batch.deliveries)
            jobs += self._desks.funding.jobs(batch.fundings)
            jobs.append(self._batch_job(batch, to_seconds_down(entry.time_ns)))
        if isinstance(entry.command, UpdateMarks) and _is_published(entry):
            publication = Publication.of(entry.command, to_seconds_down(entry.time_ns))
            jobs.append(self._desks.risk.job(publication))
        return jobs + self._index_jobs(entry)

    def _index_jobs(self, entry: Entry) -> list[Job]:
        """The index sample of an entry, where its underlying has had none for a heartbeat."""
        time_s = to_seconds_down(entry.time_ns)
        jobs = []
        for event in entry.events:
            if not isinstance(event, IndexUpdated):
                continue
            underlying_id = event.underlying_id
            if time_s >= self._index_due_s.get(underlying_id, 0):
                self._index_due_s[underlying_id] = time_s + HEARTBEAT_S
                sample = IndexSample(
                    underlying_id=underlying_id, time_s=time_s, price=event.index_price
                )
                jobs.append(self._desks.index.job(sample))
        return jobs

    @property
    def underlyings(self) -> list[int]:
        """Those whose index this feed has seen."""
        return sorted(self._index_due_s)

    def material(self, number: int) -> Material:
        """What a batch that was cut is built of; read again from the journal."""
        return self._material(number, self.seq)

    def rebuilt(
        self, fills: tuple[NovatedFill, ...] = (), acts: tuple[RefusedAct, ...] = ()
    ) -> tuple[RebuiltPosition, ...]:
        """What replacing these makes of linear positions, once all of the journal settled."""
        return rebuilt_positions(self._reader.entries, self.seq, fills, acts)

    def build(self, material: Material, novations: Novations) -> Batch:
        """The first batch of the material with these novations besides its own."""
        builder = self._builder_from(material.tip, {**material.novations, **novations})
        return next(batch for entry in material.entries if (batch := builder.add(entry)))

    def _material(self, number: int, last_seq: int) -> Material:
        before = self._outbox.job(f"{JobKind.BATCH}:{number - 1}")
        tip = _tip_of(before) if before else Tip()
        assert tip.number == number - 1, "the batch before is not in the outbox"
        entries = itertools.takewhile(
            lambda entry: entry.seq <= last_seq, self._reader.entries(after_seq=tip.last_seq)
        )
        kept = tuple(entries)
        return Material(tip=tip, entries=kept, novations=novations_in(kept))

    def _rebuild(self, number: int, last_seq: int) -> None:
        """Amend a batch, and link the later ones to it, up to this entry.

        Every novation of any of them comes after the batch's cut, so after the first entry read.
        """
        material = self._material(number, last_seq)
        builder = self._builder_from(material.tip, material.novations)
        batches = [batch for entry in material.entries if (batch := builder.add(entry))]
        self._outbox.amend(self._amended_job(batch) for batch in batches)
        self._builder = builder

    def _amended_job(self, batch: Batch) -> Job:
        job = self._outbox.job(f"{JobKind.BATCH}:{batch.header.number}")
        assert job is not None, "a batch was cut before its fills were replaced"
        data = settle_calldata(batch)
        return msgspec.structs.replace(job, data=data, batch_hash=keccak(data[_SELECTOR_BYTES:]))

    def _remember(self, entry: Entry) -> None:
        for place, signed in enumerate(signed_commands(entry.command)):
            self._recent[numbered(entry.seq, place)] = signed
            if len(self._recent) > _RECENT_MAX:
                del self._recent[next(iter(self._recent))]

    def _follow_clock(self, entry: Entry) -> None:
        if isinstance(entry.command, AdvanceClock) and any(
            isinstance(event, ClockAdvanced) for event in entry.events
        ):
            self.jump = ClockJump(
                to_s=to_seconds_down(entry.time_ns + entry.command.by_ns),
                after_batch=self._builder.tip.number + self._builder.pending,
            )

    def _batch_job(self, batch: Batch, cut_s: int) -> Job:
        data = settle_calldata(batch)
        return Job(
            key=f"{JobKind.BATCH}:{batch.header.number}",
            kind=JobKind.BATCH,
            number=batch.header.number,
            last_seq=batch.header.last_seq,
            batch_hash=keccak(data[_SELECTOR_BYTES:]),
            to=self._clearing,
            data=data,
            time_s=batch.time_s,
            fills=len(batch.fills),
            cut_s=cut_s,
            observed_block=self.cursor.block,
            observed_hash=self.cursor.block_hash,
        )

    def _signed(self, number: int) -> SignedCommand | MassQuote:
        recent = self._recent.get(number)
        if recent is not None:
            return recent
        seq, place = seq_and_place(number)
        command = self._reader.entry(seq).command
        if isinstance(command, MassQuote):  # too long to keep in memory
            return command
        signed = signed_commands(command)
        assert signed, f"seq {seq} carries no signed order"
        return signed[place]

    def _marks(self, seq: int) -> UpdateMarks:
        command = self._reader.entry(seq).command
        assert isinstance(command, UpdateMarks), f"seq {seq} brought no marks"
        return command

    def _legs(self, combo_id: int) -> Legs:
        return listed_legs(self._reader.entry(combo_seq(combo_id)), combo_id)


def _is_published(entry: Entry) -> bool:
    return any(isinstance(event, MarksUpdated) and event.published for event in entry.events)


def _tip_of(job: Job) -> Tip:
    return Tip(number=job.number, last_seq=job.last_seq, batch_hash=job.batch_hash)
