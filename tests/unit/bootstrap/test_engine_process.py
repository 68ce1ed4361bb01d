"""What ended the engine's process, in one line."""

import asyncio

import pytest

from exchange import curve
from exchange.bootstrap.engine_process import journal_failure, run_engine
from exchange.bootstrap.processes import StartFailed
from exchange.config import Settings
from exchange.journal import JournalCorrupt, JournalUnavailable

FULL = JournalUnavailable("the disk is full")
CORRUPT = JournalCorrupt("seq 9 cannot be read")


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([FULL], FULL),
        ([ValueError("x"), FULL], FULL),
        ([ExceptionGroup("inner", [ValueError("x"), CORRUPT])], CORRUPT),
        ([ValueError("x")], None),
        ([KeyboardInterrupt()], None),
    ],
)
def test_a_failed_journal_is_named_wherever_it_is(parts, told):
    """Among what ended the other parts, and in groups of groups; a bug stays a traceback."""
    assert journal_failure(BaseExceptionGroup("parts", parts)) is told


def test_no_exchange_starts_on_slow_signatures(monkeypatch, tmp_path):
    """A client may recover one in plain Python, a gateway would stand still."""
    monkeypatch.setattr(curve, "FAST", False)
    with pytest.raises(StartFailed, match="coincurve"):
        asyncio.run(run_engine(Settings(state_dir=str(tmp_path))))
