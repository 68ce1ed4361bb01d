"""Replay a journal and compare it with itself: hash chain, events, state hashes, signatures, cash.

The first difference ends the audit and is named by its seq. Everything is recomputed from the
commands; what the journal says of their outcome is what is being checked.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from exchange.audit.deliveries import DeliveryAudit
from exchange.audit.differences import Difference
from exchange.commands import (
    BidLiquidation,
    Configure,
    MassQuote,
    SignedCommand,
    TransferFunds,
    UpdateMarks,
    Withdraw,
    signed_commands,
)
from exchange.engine import Engine
from exchange.events import (
    ActRefused,
    AnyEvent,
    BatchCut,
    Deposited,
    ExitServed,
    MarksUpdated,
    MoveRefused,
    OrderAmended,
    OrderArmed,
    OrderPlaced,
    PortfolioTransferred,
    QuotesReplaced,
    Transferred,
    Withdrawn,
)
from exchange.journal import Entry, JournalCorrupt, JournalReader
from exchange.margin.merkle import update_root
from exchange.merkle import merkle_root
from exchange.reversals import DepositReverted
from exchange.signing import (
    Domain,
    bid_digest,
    order_digest,
    recover_signer,
    sheet_digest,
    sheet_leaves,
    transfer_digest,
    withdrawal_digest,
)

_ACCEPTED: Final = (
    OrderPlaced,
    OrderArmed,
    OrderAmended,
    QuotesReplaced,
    Withdrawn,
    Transferred,
    PortfolioTransferred,
)


class ReplayFigures(msgspec.Struct, kw_only=True):
    """What a clean replay counted."""

    commands: int = 0
    events: int = 0
    signatures: int = 0
    contract_signatures: int = 0  # that a node confirmed: only the chain can show them again
    batches: int = 0
    state_hashes: int = 0
    chain_hash: str = ""
    state_hash: str = ""


_Signed = SignedCommand | MassQuote | Withdraw | TransferFunds | BidLiquidation


def _digest(domain: Domain, signed: _Signed) -> bytes:
    match signed:
        case BidLiquidation():
            return bid_digest(domain, signed.terms)
        case Withdraw():
            return withdrawal_digest(domain, signed.terms)
        case TransferFunds():
            return transfer_digest(domain, signed.terms)
        case MassQuote():
            root = merkle_root(sheet_leaves(signed.terms, signed.quotes))
            return sheet_digest(domain, signed.terms, root)
        case _:
            return order_digest(domain, signed.terms)


Witness = Callable[[Entry], None]


class Replay:
    """One pass over a journal; `engine` stands at the end of it afterwards.

    `roots` recomputes the Merkle root of every epoch too, some milliseconds each; `until_seq` ends
    the pass there, 0 at the end.
    """

    def __init__(
        self,
        reader: JournalReader,
        *,
        witness: Witness | None = None,
        roots: bool = False,
        until_seq: int = 0,
    ) -> None:
        self.engine = Engine()
        self.figures = ReplayFigures()
        self._reader = reader
        self._witness = witness
        self._roots = roots
        self._until_seq = until_seq
        self._domain: Domain | None = None
        self._deposited = 0
        self._tokens: Counter[str] = Counter()
        self._deliveries = DeliveryAudit()

    def run(self) -> ReplayFigures:
        """Replay to the end; raises `Difference`."""
        last_seq = self._reader.last_seq()  # the journal may grow while it is read
        if self._until_seq:
            last_seq = min(last_seq, self._until_seq)
        checkpoints = {
            seq: state_hash
            for seq, state_hash in self._reader.checkpoints().items()
            if seq <= last_seq
        }
        for entry in self._entries(last_seq):
            events = self._apply(entry)
            if events != entry.events:
                raise Difference(
                    entry.seq, f"the journal says {entry.events}, the replay says {events}"
                )
            self._check_signature(entry)
            if self._roots:
                self._check_root(entry)
            self._deliveries.check(entry)
            self._check_cash(entry)
            self._check_state(entry, checkpoints)
            self.figures.commands += 1
            self.figures.events += len(events)
            self.figures.chain_hash = entry.chain_hash.hex()
            if self._witness is not None:
                self._witness(entry)
        if checkpoints:
            raise Difference(min(checkpoints), "a state hash is recorded where no batch was cut")
        self.figures.state_hash = self.engine.state_hash().hex()
        return self.figures

    def _entries(self, last_seq: int) -> Iterator[Entry]:
        seq = 0
        try:
            for entry in self._reader.entries():
                if entry.seq > last_seq:
                    return
                seq = entry.seq
                yield entry
        except JournalCorrupt as error:
            raise Difference(seq + 1, str(error)) from error

    def _apply(self, entry: Entry) -> tuple[AnyEvent, ...]:
        """The engine's answer; what it asserts is never in an honest journal."""
        try:
            return self.engine.apply(entry.seq, entry.time_ns, entry.command)
        except (AssertionError, LookupError, ValueError) as error:
            raise Difference(entry.seq, f"the command cannot be applied: {error!r}") from error

    def _check_root(self, entry: Entry) -> None:
        """The root that went with an epoch of risk arrays is that of its rows."""
        command = entry.command
        accepted = any(isinstance(event, MarksUpdated) for event in entry.events)
        if accepted and isinstance(command, UpdateMarks) and update_root(command) != command.root:
            raise Difference(entry.seq, f"epoch {command.epoch} carries another root than its rows")

    def _check_signature(self, entry: Entry) -> None:
        """Whatever the engine accepted was signed by whom it says."""
        command = entry.command
        if isinstance(command, Configure):
            self._domain = Domain(command.chain_id, command.clearing)
        if not any(isinstance(event, _ACCEPTED) for event in entry.events):
            return
        alone = isinstance(command, Withdraw | TransferFunds | MassQuote | BidLiquidation)
        others = (command,) if alone else ()
        for signed in (*signed_commands(command), *others):
            if isinstance(signed, Withdraw) and signed.by_contract:
                self.figures.contract_signatures += 1
                continue
            assert self._domain is not None
            digest = _digest(self._domain, signed)
            if recover_signer(digest, signed.signature) != signed.terms.signer:
                raise Difference(entry.seq, f"the signature is not that of {signed.terms.signer}")
            self.figures.signatures += 1

    def _count(self, token: str, amount: int) -> None:
        if token:
            self._tokens[token] += amount
        else:
            self._deposited += amount

    def _check_cash(self, entry: Entry) -> None:
        """Cash and tokens come by deposits and leave by withdrawals, to the last unit."""
        for event in entry.events:
            if isinstance(event, MoveRefused) and event.to_subaccount_id:
                continue
            exit_ = event.act if isinstance(event, ActRefused) else None
            if isinstance(event, Deposited | MoveRefused):
                self._count(event.token, event.amount)
            elif isinstance(event, Withdrawn | DepositReverted | ExitServed):
                self._count(event.token, -event.amount)
            elif isinstance(exit_, Withdrawn):
                self._count(exit_.token, exit_.amount)
        tokens = {token: amount for token, amount in self._tokens.items() if amount}
        if self.engine.total_tokens() != tokens:
            raise Difference(
                entry.seq,
                f"tokens are {self.engine.total_tokens()}, deposits less withdrawals {tokens}",
            )
        if self.engine.total_cash() != self._deposited:
            raise Difference(
                entry.seq,
                f"cash is {self.engine.total_cash()}, deposits less withdrawals {self._deposited}",
            )

    def _check_state(self, entry: Entry, checkpoints: dict[int, bytes]) -> None:
        for event in entry.events:
            if not isinstance(event, BatchCut):
                continue
            self.figures.batches += 1
            if checkpoints.pop(entry.seq, None) != event.state_hash:
                raise Difference(entry.seq, "the recorded state hash is not that of the batch")
            self.figures.state_hashes += 1
