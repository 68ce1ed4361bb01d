"""How far the journal has observed the chain. Pure."""

import msgspec

from exchange.commands import ObserveBlocks
from exchange.events import BlocksObserved
from exchange.journal import Entry


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
    return cursor
