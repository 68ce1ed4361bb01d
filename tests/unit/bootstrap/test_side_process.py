"""Work beside the engine's process comes back whole."""

import asyncio
import contextlib
import os
import signal
import time
from concurrent.futures.process import BrokenProcessPool

from tests.signed_venue import traded_venue, write_journal

from exchange.bootstrap.side_process import market_executor, replay_aside
from exchange.commands import UpdateMarks
from exchange.engine import Engine

WAIT_S = 60.0


def test_a_journal_is_replayed_in_another_process_up_to_a_seq(tmp_path):
    """The state hash of that seq; marks come later, since a toy's rows have no root."""
    path = tmp_path / "journal.db"
    venue = traded_venue()
    write_journal(venue, path)
    engine = Engine()
    for seq, time_ns, command, _ in venue.entries:
        if isinstance(command, UpdateMarks):
            break
        engine.apply(seq, time_ns, command)
    found = asyncio.run(replay_aside(str(path), 0, engine.seq))
    assert found["commands"] == engine.seq >= 2
    assert found["state_hash"] == engine.state_hash().hex()
    assert not found.get("difference")


def test_a_side_process_that_died_is_replaced():
    """A standby may have waited beside it for weeks."""
    with market_executor() as executor:
        first = executor.submit(os.getpid).result(WAIT_S)
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + WAIT_S
        while True:
            assert time.monotonic() < deadline
            with contextlib.suppress(BrokenProcessPool):
                assert executor.submit(os.getpid).result(WAIT_S) != first
                break
