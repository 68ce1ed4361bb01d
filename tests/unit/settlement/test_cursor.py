"""The observed block as the journal tells it."""

from pathlib import Path

from tests.settlement_world import Script

from exchange.commands import ObserveBlocks, RevertBlocks
from exchange.events import Refused, RejectReason
from exchange.settlement.cursor import BlockCursor, follow_blocks, is_reverted, trail

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


def test_a_reversal_moves_it_back(tmp_path: Path) -> None:
    """Unless it was refused; the trail is what the journal still stands on."""
    script = Script(tmp_path / "journal.db")
    for last in (5, 6, 7, 8):
        script.post(ObserveBlocks(first_block=last, last_block=last, last_hash=f"0x{last}"))
    back = RevertBlocks(last_block=6, last_hash="0x6")
    refused = script.add(back, Refused(reason=RejectReason.UNKNOWN_BLOCK))
    assert not is_reverted(refused)
    entry = script.revert(back)
    assert is_reverted(entry)
    cursor = follow_blocks(BlockCursor(block=8, block_hash="0x8", seq=4), entry)
    assert cursor == BlockCursor(block=6, block_hash="0x6", seq=6)
    script.post(ObserveBlocks(first_block=7, last_block=9, last_hash="0x99"))
    assert [(known.block, known.block_hash) for known in trail(script.entries)] == [
        (5, "0x5"),
        (6, "0x6"),
        (9, "0x99"),
    ]
