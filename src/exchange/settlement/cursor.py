"""How far the journal has observed the chain. Pure."""

from collections.abc import Iterable

import msgspec

from exchange.commands import ObserveBlocks, RevertBlocks
from exchange.events import BlocksObserved
from exchange.journal import Entry
from exchange.reversals import BlocksReverted


class BlockCursor(msgspec.Struct, frozen=True, kw_only=True):
    """The last observed block; all zero before the first observation."""

    block: int = 0
    block_hash: str = ""
    seq: int = 0  # of the observation


def follow_blocks(cursor: BlockCursor, entry: Entry) -> BlockCursor:
    """The cursor after one journal entry; a refused observation does not move it."""
    command = entry.command
    if isinstance(command, ObserveBlocks) and any(
        isinstance(event, BlocksObserved) for event in entry.events
    ):
        return BlockCursor(block=command.last_block, block_hash=command.last_hash, seq=entry.seq)
    if isinstance(command, RevertBlocks) and is_reverted(entry):
        return BlockCursor(block=command.last_block, block_hash=command.last_hash, seq=entry.seq)
    return cursor


def is_reverted(entry: Entry) -> bool:
    """Whether the entry undid blocks."""
    return any(isinstance(event, BlocksReverted) for event in entry.events)


def trail(entries: Iterable[Entry]) -> list[BlockCursor]:
    """Every cursor that the journal still stands on, oldest first."""
    kept: list[BlockCursor] = []
    for entry in entries:
        cursor = follow_blocks(kept[-1] if kept else BlockCursor(), entry)
        if cursor.seq != entry.seq:
            continue
        if isinstance(entry.command, RevertBlocks):
            kept = [known for known in kept if known.block < cursor.block]
        kept.append(cursor)
    return kept
