"""Reconciliation that never ends: after each final batch, who changed, against the chain.

Reads the journal forward once, and folds it as `reconcile` does. A difference holds the
subaccount's withdrawals, until an operator who looked at it releases them.
"""

import itertools
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import structlog

from exchange.commands import Configure, HoldWithdrawals
from exchange.events import (
    ActRefused,
    AnyEvent,
    BatchConfirmed,
    BatchCut,
    BatchMarginChanged,
    Configured,
    GovernanceChanged,
    LossSocialised,
    PriceBandsChanged,
)
from exchange.fixed import to_seconds_down
from exchange.journal import Entry, JournalReader
from exchange.model import FEE_SUBACCOUNT_ID
from exchange.reversals import BatchReverted
from exchange.settlement.acts import numbered_events
from exchange.settlement.chain import Chain
from exchange.settlement.cursor import BlockCursor, follow_blocks
from exchange.settlement.holdings import SETTLED, Holdings, sold_on_chain
from exchange.settlement.reconcile import Difference, compare_account, compare_parameters
from exchange.settlement.sightings import OF_ACCESS_MANAGER

_ENTRIES_AT_ONCE: Final = 20_000  # a long journal must not keep the relayer from settling
_PARTIES: Final = (
    "subaccount_id",
    "to_subaccount_id",
    "house_subaccount_id",
    "maker_subaccount_id",
    "taker_subaccount_id",
    "fund_subaccount_id",
    "payer_subaccount_id",
)

log = structlog.get_logger(__name__)


class HoldSink(Protocol):
    """Where holds go."""

    def hold_withdrawals(self, command: HoldWithdrawals) -> None:
        """Deliver; returns once the journal holds it. Raises `ExchangeUnavailable`."""


class Reconciler:
    """Call `step` often; `differences` are those of the last comparison that still stand."""

    def __init__(
        self,
        reader: JournalReader,
        chain: Chain,
        sink: HoldSink,
        listener: Callable[[Entry], None] | None = None,
    ) -> None:
        """`listener` is told of every entry, in order: the journal is read once."""
        self.differences: dict[int, list[Difference]] = {}  # by subaccount
        self._reader = reader
        self._chain = chain
        self._sink = sink
        self._listener = listener
        self._holdings = Holdings()
        self._cursor = BlockCursor()
        self._seq = 0
        self._cuts: dict[int, int] = {}  # last seq of batches, by number
        self._lost: set[int] = set()  # batches that were final, and are not any more
        self._due = False
        self._unsettled: deque[tuple[int, AnyEvent, int]] = deque()  # by seq, with acts
        self._touched: set[int] = {FEE_SUBACCOUNT_ID}
        self._held: set[int] = set()  # by this process
        self._venue: Configure | None = None  # parameters in force ...
        self._judged = True  # ... and whether they were compared since they came
        self.governance = 0  # changes of the contracts, in the whole journal
        self.roles_changed_s = 0  # when roles changed last, since the first batch was final
        self._settles = False
        self.parameters_differ = False  # as last compared: no margin can be proven

    @property
    def count(self) -> int:
        """Figures on which journal and chain disagree."""
        return sum(map(len, self.differences.values()))

    @property
    def holdings(self) -> Holdings:
        """What the chain shows as of the last final batch."""
        return self._holdings

    def step(self) -> bool:
        """Read on, and compare if a batch became final; whether there was something to do."""
        if self._read():
            return True
        if not self._judged:
            self._compare_parameters()
        if not self._due or not self._stands():
            return False  # a lost block is the watcher's to tell
        found = self._differences(self._cursor.block)
        if not self._stands():
            return False  # lost meanwhile: who differs then is nobody's fault
        self._note(found)
        self._due = False
        return True

    def _stands(self) -> bool:
        """Whether the chain still has the block up to which the journal acted."""
        return self._chain.block_hash(self._cursor.block) == self._cursor.block_hash

    def _read(self) -> bool:
        """Take in what is new in the journal; whether there may be more."""
        entries = self._reader.entries(after_seq=self._seq)
        count = 0
        for entry in itertools.islice(entries, _ENTRIES_AT_ONCE):
            self._cursor = follow_blocks(self._cursor, entry)
            if self._listener is not None:
                self._listener(entry)
            if isinstance(entry.command, Configure):
                self._venue = _in_force(entry, self._venue)
                self._judged = False
            for event, act_id in numbered_events(entry):
                self._holdings.apply_custody(self._touch(event))
                self._follow(entry, event, act_id)
            self._seq = entry.seq
            count += 1
            if self._lost:
                self._start_over()
        return count == _ENTRIES_AT_ONCE

    def _follow(self, entry: Entry, event: AnyEvent, act_id: int) -> None:
        """Fold what a batch carries when it is final: its novations came before that."""
        match event:
            case BatchCut():
                self._cuts[event.number] = event.last_seq
            case PriceBandsChanged() | BatchMarginChanged() | GovernanceChanged():
                if isinstance(event, GovernanceChanged) and event.change in OF_ACCESS_MANAGER:
                    self._note_roles(entry)
                self.governance += 1
                self._judged = False
                log.warning("governance changed the contracts", what=str(event), seq=entry.seq)
            case BatchReverted():
                self._lost.add(event.number)
            case BatchConfirmed():
                self._settles = True
                self._settle_through(self._cuts[event.number])
                self._due = True
            case _ if sold_on_chain(event):
                self._holdings.apply_settled(self._touch(event))
            case _ if isinstance(event, SETTLED):
                self._unsettled.append((entry.seq, event, act_id))
            case _:
                pass

    def _note_roles(self, entry: Entry) -> None:
        """Who may do what is named before the first batch; later somebody should know of it."""
        if self._settles:
            self.roles_changed_s = to_seconds_down(entry.time_ns)

    def _start_over(self) -> None:
        """Fold anew without the batches that the chain lost: novations may change them yet."""
        settled_seq = self._cuts.get(min(self._lost) - 1, 0)
        self._lost.clear()
        self._holdings, self._unsettled = Holdings(), deque()
        entries = itertools.takewhile(lambda one: one.seq <= self._seq, self._reader.entries())
        for entry in entries:
            for event, act_id in numbered_events(entry):
                self._holdings.apply_custody(event)
                if isinstance(event, SETTLED):
                    self._unsettled.append((entry.seq, event, act_id))
        self._settle_through(settled_seq)
        for sold in [one for one in self._unsettled if sold_on_chain(one[1])]:
            self._unsettled.remove(sold)
            self._holdings.apply_settled(sold[1])
        self._touched |= self._holdings.cash.keys()

    def _settle_through(self, last_seq: int) -> None:
        while self._unsettled and self._unsettled[0][0] <= last_seq:
            _, event, act_id = self._unsettled.popleft()
            self._holdings.apply_settled(self._touch(event), act_id)

    def _touch(self, event: AnyEvent) -> AnyEvent:
        known = self._holdings.cash
        found = {getattr(event, name, 0) for name in _PARTIES}
        if isinstance(event, ActRefused):
            self._touch(event.act)
        if isinstance(event, LossSocialised):
            found |= dict(event.shares).keys()
        self._touched |= {subaccount_id for subaccount_id in found if subaccount_id in known}
        return event

    def _differences(self, block: int) -> dict[int, list[Difference]]:
        """Of everybody who changed or differed, perhaps none."""
        self._compare_parameters()
        return {
            subaccount_id: compare_account(self._holdings, self._chain, subaccount_id, block)
            for subaccount_id in sorted(self._touched | self.differences.keys())
        }

    def _note(self, differences: Mapping[int, list[Difference]]) -> None:
        """Nobody is forgotten before the exchange knows."""
        for subaccount_id, found in differences.items():
            self.differences.pop(subaccount_id, None)
            if found:
                self.differences[subaccount_id] = found
                self._hold(found[0])
            self._touched.discard(subaccount_id)
        self._touched.add(FEE_SUBACCOUNT_ID)

    def _compare_parameters(self) -> None:
        """Money is safe where they differ, so nothing is held: an alarm calls governance."""
        differ = self._venue is not None and compare_parameters(self._venue, self._chain)
        if differ and not self.parameters_differ:
            log.error("Margin on chain does not hold the venue's parameters")
        self.parameters_differ, self._judged = differ, True

    def _hold(self, difference: Difference) -> None:
        log.error("journal and chain differ", what=str(difference))
        if difference.subaccount_id in self._held:
            return
        self._sink.hold_withdrawals(
            HoldWithdrawals(
                subaccount_id=difference.subaccount_id, held=True, detail=str(difference)
            )
        )
        self._held.add(difference.subaccount_id)


def _in_force(entry: Entry, known: Configure | None) -> Configure | None:
    """The parameters after a `Configure`, which may have been refused."""
    accepted = any(isinstance(event, Configured) for event in entry.events)
    return entry.command if accepted and isinstance(entry.command, Configure) else known
