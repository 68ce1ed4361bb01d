"""Which batch has a command, and where that batch is on chain."""

from exchange.api.batches import Batches
from exchange.events import BatchConfirmed, BatchCut
from exchange.reversals import BatchReverted


def cut(number: int, first_seq: int, last_seq: int) -> BatchCut:
    return BatchCut(
        number=number, first_seq=first_seq, last_seq=last_seq, risk_epoch=1, state_hash=bytes(32)
    )


def test_a_command_is_in_one_batch_once_cut() -> None:
    """Not before, and not if it came before the first."""
    batches = Batches()
    batches.on_cut(cut(1, 5, 9))
    batches.on_cut(cut(2, 10, 10))
    found = [batches.of(seq) for seq in (4, 5, 9, 10, 11)]
    assert [batch and batch.number for batch in found] == [None, 1, 1, 2, None]


def test_the_chain_confirms_a_batch_and_may_lose_it() -> None:
    """The others stay as they are."""
    batches = Batches()
    batches.on_cut(cut(1, 5, 9))
    batches.on_cut(cut(2, 10, 10))
    batches.on_confirmed(BatchConfirmed(number=1, block=7, transaction="0x"))
    assert [batch.confirmed for batch in batches.rows] == [True, False]
    assert (batches.rows[0].block, batches.rows[0].transaction) == (7, "0x")
    batches.on_reverted(BatchReverted(number=1))
    assert [batch.confirmed for batch in batches.rows] == [False, False]
