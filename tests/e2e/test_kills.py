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
import time
from typing import Final

import pytest
import structlog
from tests.live_flow import Flow, require_acknowledged
from tests.live_venue import LiveVenue
from tests.long_run import LONG

pytestmark = pytest.mark.e2e

log = structlog.get_logger(__name__)

KILLS: Final = 100 if LONG else 6
WRITER_KILLS: Final = 1_900 if LONG else 94
WRITER_ORDERS: Final = 5_000_000 if LONG else 200_000
WRITERS: Final = 2  # at once: as many as a small machine has cores
SEED: Final = int(os.environ.get("EXCHANGE_SEED", "2026"))
WAIT_EACH_S: Final = 20.0  # a kill costs half a second; a loaded machine is slower
VICTIMS: Final = ("relayer", "engine", "chain")


def kill(venue: LiveVenue, victim: str) -> None:
    """At once, and start it again."""
    if victim == "chain":
        venue.kill_chain()
        return
    venue.stack.children[victim].kill()
    venue.stack.start(victim)


@pytest.mark.long_run("kills of engine, relayer or chain", kills=KILLS)
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


@pytest.mark.long_run("kills of the writer", kills=WRITER_KILLS, acknowledged=WRITER_ORDERS)
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
