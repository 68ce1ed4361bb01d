"""Two people who trade on a venue whatever befalls it, and what must hold of their receipts."""

import threading
import time

import structlog
from tests.live_venue import LiveVenue, Trader

from exchange.events import OrderPlaced, Traded
from exchange.sdk import SdkError
from exchange.sdk.types import Receipt

log = structlog.get_logger(__name__)


class Flow(threading.Thread):
    """Trades all the time, and keeps what was acknowledged."""

    def __init__(self, venue: LiveVenue, seller: Trader, buyer: Trader) -> None:
        super().__init__()
        self.receipts: list[Receipt] = []
        self.failures = 0  # attempts that nobody answered, or that were refused
        self._venue, self._pair = venue, (seller, buyer)
        self._name = venue.option()
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            try:
                self.receipts += self._venue.trade(*self._pair, self._name)
            except (SdkError, AssertionError):  # nobody answers, or prices are stale: once more
                self.failures += 1
                time.sleep(0.2)
            self._over.wait(0.05)

    def end(self) -> None:
        self._over.set()
        self.join(60)
        assert not self.is_alive()


def require_acknowledged(venue: LiveVenue, receipts: list[Receipt]) -> None:
    """Each receipt's command is at its seq, with its trades; nothing is there twice."""
    assert receipts, "nothing was acknowledged"
    entries = {entry.seq: entry for entry in venue.entries()}
    assert len({receipt.seq for receipt in receipts}) == len(receipts)
    for receipt in receipts:
        entry = entries[receipt.seq]
        placed = {str(e.order_id) for e in entry.events if isinstance(e, OrderPlaced)}
        assert placed == {receipt.order.order_id}
        trades = [e for e in entry.events if isinstance(e, Traded)]
        assert len(trades) == len(receipt.trades)
    log.info("all there", receipts=len(receipts), commands=len(entries))
