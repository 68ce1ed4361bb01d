"""Patience and the lock; the loop itself runs in tests/integration/test_relayer.py."""

import itertools
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from exchange.journal import Journal, JournalUnavailable
from exchange.settlement import process
from exchange.settlement.errors import BatchRefused, ChainError, ChainUnavailable
from exchange.settlement.pending import PendingPost
from exchange.settlement.process import Backoff, RelayerSettings, Reporter
from exchange.settlement.status import RelayerStatus


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
        self.now = 100.0
        if monkeypatch is not None:
            monkeypatch.setattr(time, "monotonic", lambda: self.now)


def unavailable() -> bool:
    raise ChainUnavailable("gone")


def test_waits_grow_and_end_with_success() -> None:
    """Doubling up to a limit; a success starts over."""
    clock, tries = Clock(), []

    def failing() -> bool:
        tries.append(clock.now)
        return unavailable()

    backoff = Backoff("part", patience_s=None, clock=lambda: clock.now)
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


def test_patience_ends() -> None:
    """Counted from the first failure, not from the last success."""
    clock = Clock()
    backoff = Backoff("part", patience_s=5.0, clock=lambda: clock.now)
    clock.now += 100.0
    assert not backoff.run(unavailable)
    clock.now += 5.1
    with pytest.raises(ChainUnavailable):
        backoff.run(unavailable)


def test_what_time_cannot_heal_passes_through() -> None:
    """A refused batch is for a person."""

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
    reader = process._open_reader(reading(path), stop)
    assert reader.last_seq() == 0
    reader.close()
    timer.join()
    stop.set()
    with pytest.raises(JournalUnavailable):
        process._open_reader(reading(str(tmp_path / "other.db")), stop)


def reading(journal: str) -> RelayerSettings:
    """Of a relayer that reads there."""
    return RelayerSettings(
        journal=journal, outbox="", admin_url="", admin_token="", key=b"", oracle_keys=()
    )


class Pictures:
    """A reader of settlement's state, and the exchange that it is reported to."""

    def __init__(self) -> None:
        self.alarms: tuple[str, ...] = ()
        self.reported: list[RelayerStatus] = []
        self.shown: list[int] = []

    def read(self) -> RelayerStatus:
        numbers = dict.fromkeys(RelayerStatus.__struct_fields__, 7)
        texts = {"address": "0x", "endpoint": "http://node", "jobs": {}, "alarms": self.alarms}
        return RelayerStatus(**(numbers | texts))  # type: ignore[arg-type]

    def report(self, status: RelayerStatus) -> None:
        self.reported.append(status)

    def show(self, posts: tuple[PendingPost, ...]) -> None:
        self.shown.append(len(posts))


def test_operators_get_a_picture_every_other_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at every step: the loop runs ten times a second."""
    clock, pictures = Clock(monkeypatch), Pictures()
    reporter = Reporter(pictures, pictures)  # type: ignore[arg-type]  # it plays both
    assert [reporter.step(), reporter.step()] == [True, False]
    pictures.alarms = ("balance_low",)
    clock.now += 2.0
    assert reporter.step()
    assert [status.alarms for status in pictures.reported] == [(), ("balance_low",)]


def test_keepers_are_shown_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """While something does, and once more when nothing does any more."""
    clock, pictures = Clock(monkeypatch), Pictures()
    post = PendingPost(key="batch:1", kind="batch", to="0x", data="0x", waiting_s=11)
    rounds = iter([(), (post,), (post,), (), ()])
    reporter = Reporter(pictures, pictures, waiting=lambda: next(rounds))  # type: ignore[arg-type]
    for _ in range(5):
        clock.now += 2.0
        assert reporter.step()
    assert pictures.shown == [1, 1, 0]


def test_the_listener_serves_and_ends() -> None:
    """Real HTTP on a free port, which is free again afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pictures = Pictures()
    reporter = Reporter(pictures, pictures)  # type: ignore[arg-type]  # it plays both
    reporter.step()
    with reporter.listening("127.0.0.1", port):
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text
    assert "exchange_relayer_head 7.0" in text
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60)
