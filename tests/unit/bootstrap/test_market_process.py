"""Demonstration agents wait for a venue that does not answer yet, until somebody stops them."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.ports import free_port

from exchange.bootstrap import market_process
from exchange.config import Settings
from exchange.sdk import ApiError, ConnectionLost

WAIT_S = 30.0


def test_a_venue_that_is_away_is_waited_for_and_a_signal_ends_that(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is asked again after each wait, and nothing is sent to the chain meanwhile."""
    monkeypatch.setattr(market_process, "open_chain", lambda *_: None)
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.get_running_loop().run_in_executor(None, int)  # a turn for the signal

    monkeypatch.setattr(market_process.asyncio, "sleep", sleep)
    settings = Settings(state_dir=str(tmp_path), port=free_port())
    with capture_logs() as lines:
        asyncio.run(asyncio.wait_for(market_process.run_market(settings), WAIT_S))
    assert waits[:3] == [market_process._PATIENCE_S] * 3
    told = [line for line in lines if line["event"] == "waits_for_the_venue"]
    assert len(told) == len(waits)
    assert all(line["reason"] for line in told)


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
