"""What the engine remembers of the blocks that it acted on, so that it can undo them; its batches.

Plain records without rules; `engine.reverting` has those.
"""

from collections import deque
from typing import Final, NamedTuple

import msgspec

from exchange.events import (
    FeesShared,
    InsuranceUsed,
    InterestPaid,
    LossSocialised,
    PortfolioTransferred,
    Withdrawn,
)
from exchange.observations import AnyObservation

# Observations that can be undone. A busy venue has one a block; no chain that anybody settles on
# was ever reorganised half as deep.
SPANS_MAX: Final = 256


class Move(NamedTuple):
    """Money that moved by a signed command and is not final on chain yet."""

    batch: int
    subaccount_id: int
    to_subaccount_id: int  # 0: out
    token: str  # none: cash
    amount: int
    nonce: int


AnyAct = (
    PortfolioTransferred | InsuranceUsed | LossSocialised | FeesShared | InterestPaid | Withdrawn
)


class Act(NamedTuple):
    """What nobody signed and is not final on chain yet."""

    batch: int
    act: AnyAct
    payer_id: int = 0  # of the discount of a takeover


Novated = tuple[tuple[int, bool, int], ...]  # (trade_id, maker, batch)
Moved = tuple[tuple[int, Move | Act], ...]  # by seq, acts by their numbers below zero


class Undo(msgspec.Struct, frozen=True, kw_only=True):
    """An observation, and what was before it."""

    seen: AnyObservation
    before: int = 0  # batch that was confirmed, or as `engine.controls.obey` returns it
    novated: Novated = ()  # what a final batch let go
    moves: Moved = ()


class Span(NamedTuple):
    """Blocks that were observed together, up to this one."""

    last_block: int
    last_hash: str
    undos: tuple[Undo, ...]


class ChainMemory:
    """The newest spans, oldest first; the last of them is where the chain was read to."""

    __slots__ = ("missing", "orphans", "spans")

    def __init__(self) -> None:
        self.spans: deque[Span] = deque(maxlen=SPANS_MAX)
        self.orphans: dict[int, str] = {}  # who owned a subaccount that the chain lost
        # Of tokens, what a lost deposit left to be debited, by (token, subaccount_id).
        self.missing: dict[tuple[str, int], int] = {}

    @property
    def last_block(self) -> int:
        """The newest block observed; 0 before the first."""
        return self.spans[-1].last_block if self.spans else 0

    def lost_after(self, last_block: int, last_hash: str) -> list[Span] | None:
        """The spans after this block, the newest first; None where it is not known, or newest."""
        lost: list[Span] = []
        for span in reversed(self.spans):
            if (span.last_block, span.last_hash) == (last_block, last_hash):
                return lost or None
            lost.append(span)
        return None

    def state(self) -> tuple[object, ...]:
        """Canonical content."""
        missing = [(*key, self.missing[key]) for key in sorted(self.missing)]
        return (list(self.spans), sorted(self.orphans.items()), missing)


class Batches:
    """Where the next settlement batch begins and what it would hold."""

    __slots__ = (
        "confirmed",
        "last_seq",
        "levels",
        "moves",
        "novated",
        "number",
        "pending",
        "takers",
    )

    def __init__(self) -> None:
        self.number = 0  # the last one cut
        self.last_seq = 0
        self.pending = 0  # trades, payoffs and withdrawals since, and proofs in such items
        self.levels: list[int] = []  # of margin that governance had proven, the last in force
        self.takers: set[int] = set()  # whom a proof was counted for since
        self.confirmed = 0  # the last one final on chain
        # Sides of trades that were replaced, (trade_id, maker), and the batch that is not final.
        self.novated: dict[tuple[int, bool], int] = {}
        # Of batches that are not final: moves by seq, acts by their numbers below zero.
        self.moves: dict[int, Move | Act] = {}

    @property
    def margin_level(self) -> int:
        """What a batch must prove on chain: 0 nothing, 1 maintenance, 2 initial margin."""
        return self.levels[-1] if self.levels else 0

    def remember(self, act_id: int, act: AnyAct, payer_id: int) -> None:
        """Keep an act of the next batch until that is final."""
        self.moves[-act_id] = Act(self.number + 1, act, payer_id)

    def confirm(self, number: int) -> tuple[Novated, Moved]:
        """A batch is final, and with it all before: what could be novated of them is let go."""
        self.confirmed = max(self.confirmed, number)
        gone = [(*key, at) for key, at in self.novated.items() if at <= self.confirmed]
        moved = [(seq, one) for seq, one in self.moves.items() if one.batch <= self.confirmed]
        self.novated = {key: at for key, at in self.novated.items() if at > self.confirmed}
        self.moves = {seq: one for seq, one in self.moves.items() if one.batch > self.confirmed}
        return tuple(gone), tuple(moved)

    def state(self) -> tuple[object, ...]:
        """Canonical content."""
        novated = sorted((*key, at) for key, at in self.novated.items())
        moves = sorted(self.moves.items())
        found = (self.number, self.last_seq, self.pending, self.confirmed, novated, moves)
        return (*found, self.levels, sorted(self.takers)) if self.levels else found
