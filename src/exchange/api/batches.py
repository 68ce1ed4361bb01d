"""Settlement batches as the journal tells of them; a part of the gateway's view."""

from bisect import bisect_left

from exchange.api.records import Batch
from exchange.events import BatchConfirmed, BatchCut
from exchange.reversals import BatchReverted


class Batches:
    """All that were cut, in their order."""

    def __init__(self) -> None:
        self.rows: list[Batch] = []

    def of(self, seq: int) -> Batch | None:
        """The batch that contains a command, once cut."""
        place = bisect_left(self.rows, seq, key=lambda batch: batch.last_seq)
        if place == len(self.rows) or self.rows[place].first_seq > seq:
            return None
        return self.rows[place]

    def on_cut(self, event: BatchCut) -> None:
        """The next one."""
        self.rows.append(Batch(event.number, event.first_seq, event.last_seq))

    def on_confirmed(self, event: BatchConfirmed) -> None:
        """It is final on chain."""
        self._place(event.number, event.block, event.transaction)

    def on_reverted(self, event: BatchReverted) -> None:
        """The chain lost the block that it was final in."""
        self._place(event.number, 0, "")

    def _place(self, number: int, block: int, transaction: str) -> None:
        for batch in reversed(self.rows):
            if batch.number == number:
                batch.block, batch.transaction = block, transaction
                return
