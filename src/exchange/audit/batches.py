"""Rebuild every settlement batch from a journal, and compare it with what is on chain."""

from collections.abc import Sequence

from exchange.audit.differences import Difference
from exchange.commands import MassQuote, SignedCommand, UpdateMarks, signed_commands
from exchange.events import InstrumentListed, MarksUpdated
from exchange.journal import Entry
from exchange.model import Legs, numbered, seq_and_place
from exchange.settlement.batch import Batch, BatchBuilder, Tip, batch_hash
from exchange.settlement.chain import Settled
from exchange.settlement.novation import Novations


class BatchAudit:
    """A witness of a replay: builds every settlement batch, as the journal's novations amend it."""

    def __init__(self, novations: Novations | None = None) -> None:
        self.batches: list[Batch] = []
        self._signed: dict[int, SignedCommand] = {}
        self._sheets: dict[int, MassQuote] = {}
        self._legs: dict[int, Legs] = {}  # by combo
        self._marks: dict[int, UpdateMarks] = {}  # the published ones that a batch may name
        self._builder = BatchBuilder(
            self._look_up, self._legs.__getitem__, Tip(), novations, self._marks_of
        )

    def __call__(self, entry: Entry) -> None:
        """Take in one replayed entry."""
        for place, signed in enumerate(signed_commands(entry.command)):
            self._signed[numbered(entry.seq, place)] = signed
        if isinstance(entry.command, MassQuote):
            self._sheets[entry.seq] = entry.command
        if isinstance(entry.command, UpdateMarks):
            self._published(entry, entry.command)
        for event in entry.events:
            if isinstance(event, InstrumentListed) and event.instrument.legs:
                self._legs[event.instrument.instrument_id] = event.instrument.legs
        try:
            batch = self._builder.add(entry)
        except AssertionError as error:
            raise Difference(entry.seq, f"no valid batch can be built: {error}") from error
        if batch is not None:
            self.batches.append(batch)

    def _published(self, entry: Entry, command: UpdateMarks) -> None:
        """Keep the newest and the one before it, which a batch cut in this entry names."""
        if any(isinstance(event, MarksUpdated) and event.published for event in entry.events):
            self._marks = {seq: self._marks[seq] for seq in list(self._marks)[-1:]}
            self._marks[entry.seq] = command

    def _marks_of(self, seq: int) -> UpdateMarks:
        return self._marks[seq]

    def _look_up(self, number: int) -> SignedCommand | MassQuote:
        sheet = self._sheets.get(seq_and_place(number)[0])
        return sheet or self._signed[number]

    def compare(self, settled: Sequence[Settled]) -> int:
        """How many batches the chain settled, all equal to ours; raises `Difference`."""
        for ours, theirs in zip(self.batches, settled, strict=False):
            _compare_batch(ours, theirs)
        if len(settled) > len(self.batches):
            extra = settled[len(self.batches)]
            raise Difference(
                extra.first_seq, f"batch {extra.number} is on chain, not in the journal"
            )
        return len(settled)


def _compare_batch(ours: Batch, theirs: Settled) -> None:
    header = ours.header
    expected = batch_hash(ours)
    if expected != theirs.batch_hash:
        raise Difference(
            header.first_seq,
            f"batch {header.number} is {theirs.batch_hash.hex()} on chain, "
            f"the journal gives {expected.hex()}",
        )
    assert (header.first_seq, header.last_seq) == (theirs.first_seq, theirs.last_seq)
    assert header.state_root == theirs.state_root, "equal hashes, other content"
