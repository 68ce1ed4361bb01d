"""The observed block as the journal tells it."""

from pathlib import Path

from tests.settlement_world import Script

from exchange.commands import ObserveBlocks
from exchange.events import Refused, RejectReason
from exchange.settlement.cursor import BlockCursor, follow_blocks

COMMAND = ObserveBlocks(first_block=1, last_block=7, last_hash="0xab")


def test_an_accepted_observation_moves_the_cursor(tmp_path: Path) -> None:
    """Block, hash and seq are those of the command."""
    script = Script(tmp_path / "journal.db")
    script.post(COMMAND)
    cursor = follow_blocks(BlockCursor(), script.entries[0])
    assert cursor == BlockCursor(block=7, block_hash="0xab", seq=1)


def test_a_refused_observation_does_not(tmp_path: Path) -> None:
    """A gap was refused: the blocks are still to be reported."""
    script = Script(tmp_path / "journal.db")
    entry = script.add(COMMAND, Refused(reason=RejectReason.BLOCK_GAP))
    assert follow_blocks(BlockCursor(), entry) == BlockCursor()
    assert follow_blocks(BlockCursor(), script.place(script.maker, 0, 1)) == BlockCursor()
