"""kill -9 at random instants, a hundred times: nothing acknowledged is lost, nothing is twice.

Six kills are of the exchange, relayer or chain of a whole venue; afterwards chain = engine, and
each batch is on chain once. The others are of the writer alone, sequencer and journal, which is
where an acknowledged command could be lost: they cost half a second each. The seed is printed and
repeats the choices (instants depend on the machine).
"""

import os
import random
import re
import subprocess
import sys
import threading
import time
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
KILLS: Final = 100 if LONG else 6
WRITER_KILLS: Final = 1_900 if LONG else 94
WRITER_ORDERS: Final = 5_000_000 if LONG else 200_000
WRITERS: Final = 2  # at once: as many as a small machine has cores
SEED: Final = int(os.environ.get("EXCHANGE_SEED", "2026"))
WAIT_EACH_S: Final = 20.0  # a kill costs half a second; a loaded machine is slower
VICTIMS: Final = ("relayer", "engine", "chain")


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


def test_no_order_is_lost_or_doubled_when_its_writer_is_killed() -> None:
    """Each order is placed once, where its answer said, however often its client asks."""
    figures = [WRITER_KILLS // WRITERS, WRITER_ORDERS // WRITERS]
    writers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.killed_writer", *map(str, [*figures, SEED + at])],
            stdout=subprocess.PIPE,
            text=True,
        )
        for at in range(WRITERS)
    ]
    try:
        said = [writer.communicate(timeout=WRITER_KILLS * WAIT_EACH_S)[0] for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    for at, (line, writer) in enumerate(zip(said, writers, strict=True)):
        log.info(line.strip(), seed=SEED + at)
        assert writer.returncode == 0
        found = re.fullmatch(r"(\d+) kills, (\d+) answers, (\d+) of them .*\n", line)
        assert found
        kills, answers, repeated = map(int, found.groups())
        assert kills == figures[0]
        assert answers >= figures[1]
        assert repeated > 0, "no client asked again"


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
