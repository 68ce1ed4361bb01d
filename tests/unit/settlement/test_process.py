"""Patience and the lock; the loop itself runs in tests/integration/test_relayer.py."""

import itertools
import threading
import time
from pathlib import Path

import pytest

from exchange.journal import Journal, JournalUnavailable
from exchange.settlement import process
from exchange.settlement.errors import BatchRefused, ChainError, ChainUnavailable
from exchange.settlement.process import Backoff


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def unavailable() -> bool:
    raise ChainUnavailable("gone")


def test_waits_grow_and_end_with_success(monkeypatch: pytest.MonkeyPatch) -> None:
    """Doubling up to a limit; a success starts over."""
    clock, tries = Clock(monkeypatch), []

    def failing() -> bool:
        tries.append(clock.now)
        return unavailable()

    backoff = Backoff("part", patience_s=None)
    while clock.now < 140.0:
        assert not backoff.run(failing)
        clock.now += 0.1
    gaps = [after - before for before, after in itertools.pairwise(tries)]
    assert gaps == sorted(gaps)
    assert gaps[0] < 0.4
    assert 9.0 < gaps[-1] < 11.0
    clock.now += 20.0
    assert backoff.run(lambda: True)
    assert backoff.run(lambda: True)


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted from the first failure, not from the last success."""
    clock = Clock(monkeypatch)
    backoff = Backoff("part", patience_s=5.0)
    clock.now += 100.0
    assert not backoff.run(unavailable)
    clock.now += 5.1
    with pytest.raises(ChainUnavailable):
        backoff.run(unavailable)


def test_what_time_cannot_heal_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused batch is for a person."""
    Clock(monkeypatch)

    def refused() -> bool:
        raise BatchRefused("batch:1")

    with pytest.raises(BatchRefused):
        Backoff("part", patience_s=None).run(refused)


def test_an_outbox_file_has_one_user(tmp_path: Path) -> None:
    """The second gets one line; afterwards the file is free again."""
    outbox = str(tmp_path / "var" / "relayer.db")
    with process._only_one(outbox), pytest.raises(ChainError, match="another relayer is using"):
        process._only_one(outbox).__enter__()
    with process._only_one(outbox):
        pass
    with process._only_one("postgresql://host/db"):
        pass


def test_a_journal_that_appears_later_is_waited_for(tmp_path: Path) -> None:
    """The exchange creates it a moment after the relayer started; a stop ends the wait."""
    path = str(tmp_path / "journal.db")
    stop = threading.Event()
    timer = threading.Timer(0.2, lambda: Journal(path).close())
    timer.start()
    reader = process._open_reader(path, stop)
    assert reader.last_seq() == 0
    reader.close()
    timer.join()
    stop.set()
    with pytest.raises(JournalUnavailable):
        process._open_reader(str(tmp_path / "other.db"), stop)
