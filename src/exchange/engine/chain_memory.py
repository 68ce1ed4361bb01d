"""What the engine remembers of the blocks that it acted on, so that it can undo them.

Plain records without rules; `engine.reverting` has those.
"""

from collections import deque
from typing import Final, NamedTuple

import msgspec

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


Novated = tuple[tuple[int, bool, int], ...]  # (trade_id, maker, batch)
Moved = tuple[tuple[int, Move], ...]  # by seq


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
