"""Rebuild every settlement batch from a journal, and compare it with what is on chain."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from exchange.audit.replay import Difference
from exchange.commands import AmendOrder, PlaceOrder
from exchange.engine import Engine
from exchange.journal import Entry
from exchange.settlement.batch import Batch, BatchBuilder, SignedCommand, Tip, batch_hash


class SettledBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as the chain's log tells it."""

    number: int
    batch_hash: bytes
    first_seq: int
    last_seq: int
    state_root: bytes


class Chain(Protocol):
    """What the audit asks a node."""

    def settled_batches(self) -> list[SettledBatch]:
        """Every batch on chain, in order."""

    def cash_and_positions(
        self, subaccount_id: int, instrument_ids: list[int]
    ) -> tuple[int, list[int]]:
        """A subaccount's cash and its quantity in each instrument."""


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """Every subaccount's cash and positions at one seq."""

    cash: Mapping[int, int]
    positions: Mapping[tuple[int, int], int]


class BatchAudit:
    """A witness of a replay: builds batches, and remembers holdings where batches end."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.holdings: dict[int, Holdings] = {}  # by batch number
        self._signed: dict[int, SignedCommand] = {}
        self._builder = BatchBuilder(self._signed.__getitem__, Tip())

    def __call__(self, engine: Engine, entry: Entry) -> None:
        """Take in one replayed entry."""
        if isinstance(entry.command, PlaceOrder | AmendOrder):
            self._signed[entry.seq] = entry.command
        try:
            batch = self._builder.add(entry)
        except AssertionError as error:
            raise Difference(entry.seq, f"no valid batch can be built: {error}") from error
        if batch is not None:
            self.batches.append(batch)
            self.holdings[batch.header.number] = _holdings(engine)

    def compare(self, chain: Chain) -> int:
        """How many batches the chain holds, all equal to ours; raises `Difference`."""
        settled = chain.settled_batches()
        for ours, theirs in zip(self.batches, settled, strict=False):
            _compare_batch(ours, theirs)
        if len(settled) > len(self.batches):
            extra = settled[len(self.batches)]
            raise Difference(
                extra.first_seq, f"batch {extra.number} is on chain, not in the journal"
            )
        return len(settled)


def _holdings(engine: Engine) -> Holdings:
    return Holdings(
        cash={key: subaccount.cash for key, subaccount in engine.subaccounts.items()},
        positions={
            (key, instrument_id): quantity
            for key in engine.subaccounts
            for instrument_id, quantity in engine.positions(key).items()
        },
    )


def _compare_batch(ours: Batch, theirs: SettledBatch) -> None:
    header = ours.header
    expected = SettledBatch(
        number=header.number,
        batch_hash=batch_hash(ours),
        first_seq=header.first_seq,
        last_seq=header.last_seq,
        state_root=header.state_root,
    )
    if expected != theirs:
        raise Difference(
            header.first_seq,
            f"batch {header.number} is {theirs.batch_hash.hex()} on chain, "
            f"the journal gives {expected.batch_hash.hex()}",
        )
