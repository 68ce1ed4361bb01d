"""Margin of those whose risk grew in a batch, proven with it where governance wants it so.

The twin of `contracts/src/Solvency.sol`. Whose risk grew is read out of the batch, what they hold
and the marks out of the journal: so any relayer can prove any batch. The proof is not part of the
batch and not of its hash.
"""

import struct
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from eth_abi.abi import encode
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.commands import Configure, NovatedFill, RefusedAct, UpdateMarks
from exchange.events import (
    ActRefused,
    AnyEvent,
    Configured,
    FillNovated,
    MarksUpdated,
    MoveRefused,
)
from exchange.journal import Entry, JournalReader
from exchange.model import FEE_SUBACCOUNT_ID, TransferTerms
from exchange.reversals import BatchReverted, BlocksReverted
from exchange.settlement.acts import numbered_events
from exchange.settlement.batch import BATCH_TYPE, Batch, encode_batch, settle_calldata
from exchange.settlement.chain import Chain
from exchange.settlement.holdings import SETTLED, Holdings, expected_holdings
from exchange.settlement.margin_proof import PROOF_TYPE, EpochProver
from exchange.settlement.novation import Novations

HOLDER_TYPE: Final = "(uint64,bytes,uint64[])"
BATCH_PROOF_TYPE: Final = f"({HOLDER_TYPE}[],{PROOF_TYPE})"
SETTLE_PROVEN_SELECTOR: Final = keccak(f"settleProven({BATCH_TYPE},{BATCH_PROOF_TYPE})".encode())[
    :4
]
_WORD: Final = 32
_UNFOLDS: Final = (FillNovated, MoveRefused, ActRefused, BatchReverted, BlocksReverted)

Positions = Mapping[int, Sequence[int]]  # instruments that are held, ascending, by subaccount


def risk_takers(batch: Batch, fund_id: int = FEE_SUBACCOUNT_ID) -> list[int]:
    """Whose risk grew: orders not reduce-only, takeovers but the fund's, transfers; ascending."""
    found = {one.terms.subaccount_id for one in batch.orders if not one.terms.reduce_only}
    takers = {one.event.taker_subaccount_id for one in batch.takeovers}
    found |= takers - {fund_id}
    found |= {
        item.terms.subaccount_id
        for item in batch.withdrawals
        if isinstance(item.terms, TransferTerms)
    }
    return sorted(found)


def batch_proof(
    takers: Iterable[int], held: Positions, update: UpdateMarks, venue: Configure
) -> tuple[object, ...]:
    """`BatchProof` of the contract: rows that all share, and whose they are."""
    rows = set(update.instrument_ids)
    lists = {one: held.get(one, ()) for one in takers}
    shared = sorted({number for numbers in lists.values() for number in numbers} & rows)
    place = {number: at for at, number in enumerate(shared)}
    holders = []
    for one, numbers in lists.items():
        places = [place[number] for number in numbers if number in place]
        expired = [number for number in numbers if number not in place]
        holders.append((one, struct.pack(f">{len(places)}H", *places), expired))
    prover = EpochProver(update, venue.margin, venue.collaterals)
    return holders, prover.proof(shared)


def settle_proven_calldata(batch: Batch, proof: tuple[object, ...]) -> bytes:
    """Calldata of `settleProven(batch, proof)`: the offsets of both, then both."""
    encoded = encode_batch(batch)[_WORD:]  # without its own offset
    proven = encode([BATCH_PROOF_TYPE], [proof])[_WORD:]
    offsets = encode(["uint256", "uint256"], [2 * _WORD, 2 * _WORD + len(encoded)])
    return SETTLE_PROVEN_SELECTOR + offsets + encoded + proven


class SolvencyProver:
    """Makes the calldata of batches; asks the chain whether they must be proven."""

    def __init__(self, reader: JournalReader, chain: Chain) -> None:
        self._reader = reader
        self._chain = chain
        self._settled = SettledHoldings(reader)

    @property
    def wanted(self) -> bool:
        """Whether governance wants batches proven."""
        return bool(self._chain.call(self._chain.clearing, "batchMargin"))

    def calldata(self, batch: Batch) -> bytes:
        """Of a batch as it was cut, with its proof if one is wanted."""
        if not self.wanted:
            return settle_calldata(batch)
        return self._proven(batch, self._settled.through(batch.header.last_seq))

    def trial(self, batch: Batch, last_seq: int, replaced: Novations) -> bytes:
        """Of a batch through `last_seq` with these replaced besides.

        Complexity: O(journal).
        """
        if not self.wanted:
            return settle_calldata(batch)
        holdings = expected_holdings(
            self._reader.entries(),
            settled_seq=last_seq,
            observed_seq=self._reader.last_seq(),
            novated=[key for key, one in replaced.items() if isinstance(one, NovatedFill)],
            acts={
                one.act_id: one.fund_subaccount_id
                for one in replaced.values()
                if isinstance(one, RefusedAct)
            },
        )
        self._settled.through(0)  # for the epochs
        return self._proven(batch, holdings)

    def _proven(self, batch: Batch, holdings: Holdings) -> bytes:
        takers = risk_takers(batch, int(self._chain.call(self._chain.clearing, "fundId")))
        if not takers:
            return settle_calldata(batch)
        venue, update = self._settled.terms(batch.header.risk_epoch)
        wanted = set(takers)
        held: dict[int, list[int]] = {}
        for (holder, number), position in sorted(holdings.positions.items()):
            if holder in wanted and position.quantity:
                held.setdefault(holder, []).append(number)
        return settle_proven_calldata(batch, batch_proof(takers, held, update, venue))


class SettledHoldings:
    """Holdings after each batch in its turn, and the epochs that were published; read once."""

    def __init__(self, reader: JournalReader) -> None:
        self._reader = reader
        self._venue: Configure | None = None
        self._epochs: dict[int, int] = {}  # seq of what brought them
        self._start_over()

    def _start_over(self) -> None:
        self._holdings = Holdings()
        self._unsettled: deque[tuple[int, AnyEvent, int]] = deque()  # by seq, with acts
        self._seq = self._folded = 0

    def terms(self, epoch: int) -> tuple[Configure, UpdateMarks]:
        """Parameters in force, and the marks of a published epoch."""
        assert self._venue is not None, "the journal has no venue"
        update = self._reader.entry(self._epochs[epoch]).command
        assert isinstance(update, UpdateMarks)
        return self._venue, update

    def through(self, last_seq: int) -> Holdings:
        """Holdings once everything up to `last_seq` settled, as far as it was novated by now."""
        if self._read() or last_seq < self._folded:
            self._start_over()
            self._read()
        while self._unsettled and self._unsettled[0][0] <= last_seq:
            self._holdings.apply_settled(*self._unsettled.popleft()[1:])
        self._folded = max(self._folded, last_seq)
        return self._holdings

    def _read(self) -> bool:
        """Take in what is new; whether some of it changes what was folded already."""
        unfolds = False
        for entry in self._reader.entries(after_seq=self._seq):
            self._seq = entry.seq
            self._note(entry)
            for event, act_id in numbered_events(entry):
                self._holdings.apply_custody(event)
                unfolds |= isinstance(event, _UNFOLDS) and self._folded > 0
                if isinstance(event, SETTLED):
                    self._unsettled.append((entry.seq, event, act_id))
        return unfolds

    def _note(self, entry: Entry) -> None:
        for event in entry.events:
            match event, entry.command:
                case Configured(), Configure() as command:
                    self._venue = command
                case MarksUpdated(published=True), UpdateMarks() as update:
                    self._epochs[update.epoch] = entry.seq
                case _:
                    pass
