"""Real faults of every process of a venue, at random: nothing acknowledged is lost or doubled.

kill -9 and SIGSTOP of engines, relayer, market, keeper, chain and database; writers that stutter
as on a slow disk; a disk that is full. Afterwards each receipt is in the journal once, an audit
replays it to the same hashes, and chain = engine. The seed is printed and repeats the choices
(instants depend on the machine).
"""

import os
import random
import subprocess
import time
from pathlib import Path
from typing import Final

import pytest
import structlog
from tests.chaos_venue import FAULTS, VICTIMS, ChaosVenue
from tests.live_flow import Flow, require_acknowledged
from tests.live_venue import LiveVenue
from tests.long_run import LONG
from tests.postgres import postgres_server
from tests.small_disk import bound_files, small_disk

pytestmark = pytest.mark.e2e

log = structlog.get_logger(__name__)

ROUNDS: Final = 30 if LONG else 1  # each has every victim once, the leader twice
SEED: Final = int(os.environ.get("EXCHANGE_SEED", "2026"))
PAUSE_S: Final = 0.5  # at most, before a fault
DISK_KB: Final = 6_000
FULL_S: Final = 120.0


def test_random_faults_of_every_process_lose_and_repeat_nothing(tmp_path: Path) -> None:
    """Whoever dies, freezes or stutters, whenever; what ended is started again."""
    log.info("EXCHANGE_SEED repeats it", seed=SEED)
    dice = random.Random(SEED)
    with postgres_server() as store:
        venue = ChaosVenue(tmp_path, store)
        try:
            log.info("runs")
            flow = Flow(venue, venue.join(), venue.join())
            venue.settled()
            log.info("settles")
            flow.start()
            try:
                afflict_all(venue, dice)
                wait_for_more(flow, len(flow.receipts))
            finally:
                flow.end()
            venue.require_agreement()
            require_acknowledged(venue, flow.receipts)
            log.info("held", receipts=len(flow.receipts), unanswered=flow.failures)
        finally:
            venue.close()


def afflict_all(venue: ChaosVenue, dice: random.Random) -> None:
    """Every victim in every round, each by a fault that is drawn; then the venue recovers."""
    for _ in range(ROUNDS):
        for victim, fault in drawn(dice):
            time.sleep(dice.random() * PAUSE_S)
            began_s = time.monotonic()
            log.info("afflicts", victim=victim, fault=fault, leader=venue.leader)
            venue.afflict(victim, fault, dice)
            venue.recovered()
            log.info("recovered", after_s=round(time.monotonic() - began_s, 1))


def drawn(dice: random.Random) -> list[tuple[str, str]]:
    """One round in any order: the leader dies in each, whatever else befalls it."""
    faults = [("leader", "kill"), *((victim, dice.choice(FAULTS)) for victim in VICTIMS)]
    dice.shuffle(faults)
    return faults


def test_a_full_disk_under_a_running_venue_loses_nothing(tmp_path: Path) -> None:
    """The engine ends with one line; with space again it goes on, and everything is there."""
    disk = tmp_path / "disk"
    with small_disk(disk, DISK_KB) as mounted:
        log.info("full disk", by="tmpfs" if mounted else "RLIMIT_FSIZE")
        venue = LiveVenue(tmp_path, journal=str(disk / "journal.db"))
        try:
            flow = Flow(venue, venue.join(), venue.join())
            venue.settled()
            flow.start()
            try:
                engine = venue.stack.children["engine"]
                if mounted:
                    ballast = disk / "ballast"
                    leave_little(ballast)
                else:
                    bound_files(engine.pid, journal_size(disk) + (1 << 16))
                assert ends(venue) != 0
                said = (venue.settings.state / "engine.log").read_text().splitlines()[-1]
                assert "the journal refused a batch" in said, said
                if mounted:
                    assert "the disk is full" in said, said
                    ballast.unlink()
                venue.stack.start("engine")
                wait_for_more(flow, len(flow.receipts))
            finally:
                flow.end()
            venue.require_agreement()
            require_acknowledged(venue, flow.receipts)
        finally:
            venue.close()


def leave_little(ballast: Path) -> None:
    """Fill a small disk but for some pages, so that it is full in the midst of writes."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 12)):
                pass
        except OSError:
            file.truncate(max(0, file.tell() - (1 << 16)))


def journal_size(folder: Path) -> int:
    return max(file.stat().st_size for file in folder.iterdir())


def ends(venue: LiveVenue) -> int:
    """The engine's exit code once the store has failed it."""
    try:
        return venue.stack.children["engine"].wait(FULL_S)
    except subprocess.TimeoutExpired:
        raise AssertionError("the engine lives on a full disk") from None


def wait_for_more(flow: Flow, count: int) -> None:
    """Until the venue acknowledges again."""
    deadline = time.monotonic() + FULL_S
    while len(flow.receipts) < count + 4:
        assert time.monotonic() < deadline, "nothing is acknowledged after the fault"
        time.sleep(0.05)
