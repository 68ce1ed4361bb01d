"""Demonstration agents wait for a venue that does not answer yet, until somebody stops them."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.ports import free_port

from exchange.bootstrap import market_process
from exchange.sdk import ApiError, ConnectionLost

WAIT_S = 60.0
AWAY = """
import asyncio
from exchange.bootstrap import market_process
from exchange.config import Settings

market_process.project_artifacts = dict  # which may compile the contracts first
market_process.open_chain = lambda *_: None  # nothing is sent there before the venue answers
market_process._PATIENCE_S = 0.05
asyncio.run(market_process.run_market(Settings(state_dir={folder!r}, port={port})))
"""


def test_a_venue_that_is_away_is_waited_for_and_a_signal_ends_that(tmp_path: Path) -> None:
    """It is asked again after each wait."""
    script = AWAY.format(folder=str(tmp_path), port=free_port())
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    deadline = threading.Timer(WAIT_S, child.kill)
    deadline.start()
    try:
        for _ in range(3):
            assert "waits_for_the_venue" in child.stdout.readline()
        child.terminate()
        assert child.wait(WAIT_S) == 0
    finally:
        deadline.cancel()
        child.kill()
        child.communicate()


@pytest.mark.parametrize("error", [ApiError(13009, "unauthorized"), ValueError("a bug")])
def test_what_no_wait_mends_is_raised(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is the same the next time; only a connection comes back."""
    answers = [ConnectionLost("away"), error]

    async def ask() -> None:
        raise answers.pop(0)

    monkeypatch.setattr(market_process, "_PATIENCE_S", 0.0)
    with pytest.raises(type(error)):
        asyncio.run(market_process._patiently(ask))
    assert not answers
