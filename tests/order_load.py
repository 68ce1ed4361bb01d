"""Somebody who sends orders without end, and what must be true of those that were acknowledged."""

import itertools
import threading
from collections import Counter
from contextlib import closing

from tests.live_venue import eventually

from exchange.audit import Replay
from exchange.commands import PlaceOrder
from exchange.events import OrderPlaced
from exchange.journal import JournalReader
from exchange.sdk import Client, SdkError
from exchange.sdk.errors import ApiError
from exchange.sdk.types import Receipt


class Orders:
    """Sends bids far below the market, for ever, and keeps what was acknowledged."""

    def __init__(self, client: Client, name: str = "") -> None:
        self.receipts: list[Receipt] = []
        self.errors: Counter[str] = Counter()  # what was said instead
        self._name = name
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(client,))
        self._thread.start()

    def _run(self, client: Client) -> None:
        with client:
            instrument = client.instruments("BTC")[0].instrument_name
            for number in itertools.count():
                label = f"{self._name}{number}"
                try:
                    self.receipts.append(
                        client.buy(instrument, "0.1", "10", label=label, post_only=True)
                    )
                except SdkError as error:
                    known = isinstance(error, ApiError)
                    self.errors[error.message if known else type(error).__name__] += 1
                    self._over.wait(0.05)
                if self._over.is_set():
                    return

    def wait(self, count: int) -> None:
        """Until so many were acknowledged."""
        eventually(lambda: len(self.receipts) >= count or not self._thread.is_alive(), "orders")
        assert len(self.receipts) >= count

    def wait_more(self, count: int) -> None:
        """Until so many more were."""
        self.wait(len(self.receipts) + count)

    def end(self) -> list[Receipt]:
        self._over.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.receipts


def require_all(location: str, receipts: list[Receipt]) -> None:
    """Each acknowledged order is in the journal where its answer said, and the journal replays."""
    with closing(JournalReader(location)) as reader:
        entries = {entry.seq: entry for entry in reader.entries()}
        Replay(reader).run()
    assert len({receipt.seq for receipt in receipts}) == len(receipts)
    for receipt in receipts:
        placed = [e for e in entries[receipt.seq].events if isinstance(e, OrderPlaced)]
        assert [str(one.order_id) for one in placed] == [receipt.order.order_id]


def require_none_twice(location: str) -> int:
    """No order was applied twice, acknowledged or not; returns how many there were."""
    with closing(JournalReader(location)) as reader:
        sent = Counter(
            (entry.command.terms.subaccount_id, entry.command.terms.nonce)
            for entry in reader.entries()
            if isinstance(entry.command, PlaceOrder)
        )
    twice = [one for one, times in sent.items() if times > 1]
    assert twice == []
    return len(sent)
