"""kill -9 of exchange, relayer and chain at random instants; afterwards chain = engine.

Real processes; every acknowledged order is in the journal as it was acknowledged, each batch is on
chain once. The seed is printed and repeats the choices (instants depend on the machine).
"""

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import structlog
from tests.live_venue import LiveVenue, Trader

from exchange.events import OrderPlaced, Traded
from exchange.sdk import SdkError
from exchange.sdk.types import Receipt

pytestmark = pytest.mark.e2e

log = structlog.get_logger(__name__)

LONG: Final = bool(os.environ.get("EXCHANGE_LONG"))
KILLS: Final = 2_000 if LONG else 6
SEED: Final = int(os.environ.get("EXCHANGE_SEED", "2026"))
VICTIMS: Final = ("relayer", "engine", "chain")


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[LiveVenue]:
    venue = LiveVenue(tmp_path)
    yield venue
    venue.close()


class Flow(threading.Thread):
    """Trades all the time, and keeps what was acknowledged."""

    def __init__(self, venue: LiveVenue, seller: Trader, buyer: Trader) -> None:
        super().__init__()
        self.receipts: list[Receipt] = []
        self._venue, self._pair = venue, (seller, buyer)
        self._name = venue.option()
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            try:
                self.receipts += self._venue.trade(*self._pair, self._name)
            except (SdkError, AssertionError):  # nobody answers, or prices are stale: once more
                time.sleep(0.2)
            self._over.wait(0.05)

    def end(self) -> None:
        self._over.set()
        self.join(60)
        assert not self.is_alive()


def kill(venue: LiveVenue, victim: str) -> None:
    """At once, and start it again."""
    if victim == "chain":
        venue.kill_chain()
        return
    venue.stack.children[victim].kill()
    venue.stack.start(victim)


def test_random_kills_lose_and_repeat_nothing(venue: LiveVenue) -> None:
    """Whoever dies, whenever."""
    log.info("EXCHANGE_SEED repeats it", seed=SEED)
    dice = random.Random(SEED)
    flow = Flow(venue, venue.join(), venue.join())
    venue.settled()
    flow.start()
    victims = [VICTIMS[n % 3] for n in range(KILLS)]
    dice.shuffle(victims)
    try:
        for victim in victims:
            time.sleep(dice.random() * 1.5)
            kill(venue, victim)
            time.sleep(1.0)
    finally:
        flow.end()
    venue.require_agreement()
    require_acknowledged(venue, flow.receipts)


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
    log.info("all there", receipts=len(receipts), commands=len(entries), kills=KILLS)
