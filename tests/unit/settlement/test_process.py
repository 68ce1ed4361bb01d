"""Patience, the lock, and how the parts are wired; on a node in tests/integration."""

import itertools
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from tests.fake_chain import CLEARING, FakeChain
from tests.journals import append
from tests.settlement_world import ORACLE_KEYS, RELAYER_KEY, Script

from exchange.commands import BatchSeen, HoldWithdrawals, Novate, ObserveBlocks
from exchange.journal import Journal, JournalReader, JournalUnavailable
from exchange.journal.outbox import JobState, Outbox
from exchange.settlement import process
from exchange.settlement.cursor import trail
from exchange.settlement.errors import BatchRefused, ChainError, ChainUnavailable, Reverted
from exchange.settlement.pending import PendingPost
from exchange.settlement.process import (
    Backoff,
    RelayerSettings,
    Reporter,
    Rounds,
    build_relayer,
    run_relayer,
)
from exchange.settlement.relayer import RelayerOptions
from exchange.settlement.status import RelayerStatus
from exchange.signing import address_of


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


def test_what_is_refused_waits_for_a_person() -> None:
    """It is kept, and asked again every half minute for as long as it takes him."""
    clock, mended = Clock(), False
    asked: list[float] = []

    def ask() -> bool:
        asked.append(clock.now)
        if not mended:
            raise BatchRefused("batch:1")
        return True

    backoff = Backoff("part", patience_s=5.0, clock=lambda: clock.now)
    for _ in range(100):
        assert not backoff.run(ask)
        assert str(backoff.refusal) == "batch:1"
        clock.now += 1.0
    assert len(asked) == 4
    mended = True
    clock.now += process._REFUSED_S
    assert backoff.run(ask)
    assert backoff.refusal is None


def test_a_refusal_is_an_answer_of_the_node() -> None:
    """Two lost answers with twenty minutes of refusals between them are no absence."""
    clock, outcomes = Clock(), [ChainUnavailable("once"), *[BatchRefused("batch:1")] * 40]

    def ask() -> bool:
        raise outcomes.pop(0)

    backoff = Backoff("part", patience_s=600.0, clock=lambda: clock.now)
    while outcomes:
        assert not backoff.run(ask)
        clock.now += 30.0
    outcomes = [ChainUnavailable("again")]
    assert not backoff.run(ask)


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
        return RelayerStatus(**(numbers | texts))

    def report(self, status: RelayerStatus) -> None:
        self.reported.append(status)

    def show(self, posts: tuple[PendingPost, ...]) -> None:
        self.shown.append(len(posts))


def test_operators_get_a_picture_every_other_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at every step: the loop runs ten times a second."""
    clock, pictures = Clock(monkeypatch), Pictures()
    reporter = Reporter(pictures, pictures)  # it plays both
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
    reporter = Reporter(pictures, pictures, waiting=lambda: next(rounds))
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
    reporter = Reporter(pictures, pictures)  # it plays both
    reporter.step()
    with reporter.listening("127.0.0.1", port):
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text
    assert "exchange_relayer_head 7.0" in text
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60)


HOUSE_KEY = b"\x77" * 32


class Wired(FakeChain):
    """A chain that can be away, and whose node names itself."""

    url, away = "http://node", False
    clearing = "Clearing"

    def call(self, contract: str, name: str) -> int:
        assert (contract, name) == (self.clearing, "batchMargin")
        return 0

    def head(self) -> int:
        if self.away:
            raise ChainUnavailable("gone")
        return super().head()

    def balance(self, address: str) -> int:
        assert address == address_of(RELAYER_KEY)
        return 5


class Exchange(Script):
    """Journals what the watcher tells, and takes every other message."""

    reports: ClassVar[list[RelayerStatus]] = []
    posts: ClassVar[list[tuple[PendingPost, ...]]] = []
    commands: ClassVar[list[HoldWithdrawals | Novate]] = []

    def blocks(self) -> list[int]:
        """The last one of each observation."""
        commands = [entry.command for entry in self.entries]
        return [one.last_block for one in commands if isinstance(one, ObserveBlocks)]

    def holds(self) -> list[HoldWithdrawals]:
        return [one for one in self.commands if isinstance(one, HoldWithdrawals)]

    def hold_withdrawals(self, command: HoldWithdrawals) -> None:
        self.commands.append(command)

    def novate(self, command: Novate) -> None:
        self.commands.append(command)

    def report(self, status: RelayerStatus) -> None:
        self.reports.append(status)

    def show(self, posts: tuple[PendingPost, ...]) -> None:
        self.posts.append(posts)


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    exchange = Exchange(tmp_path / "journal.db", clearing=CLEARING, token=CLEARING)
    Exchange.reports, Exchange.posts, Exchange.commands = [], [], []
    yield exchange
    exchange.close()


def settings(exchange: Exchange, **changes: Any) -> RelayerSettings:
    fields = {
        "journal": str(exchange.path),
        "outbox": str(exchange.path.with_name("outbox.db")),
        "admin_url": "http://exchange",
        "admin_token": "secret",
        "key": RELAYER_KEY,
        "oracle_keys": ORACLE_KEYS,
    }
    return RelayerSettings(**(fields | changes))


@pytest.fixture
def parts(exchange: Exchange) -> Iterator[tuple[JournalReader, Outbox]]:
    reader, outbox = JournalReader(str(exchange.path)), Outbox(settings(exchange).outbox)
    yield reader, outbox
    reader.close()
    outbox.close()


def test_a_relayer_is_what_its_settings_say(
    exchange: Exchange, parts: tuple[JournalReader, Outbox]
) -> None:
    """Without the house's key, or somebody to tell, it novates nothing."""
    chain: Any = Wired()
    clock = Clock()

    def now() -> float:
        return clock.now

    given = settings(exchange, confirmations=3, stuck_after_s=7.0)
    feed, relayer = build_relayer(given, chain, *parts, exchange, now)
    options = RelayerOptions(key=RELAYER_KEY, confirmations=3, stuck_after_s=7.0)
    assert (relayer._options, relayer._clock, relayer._novator) == (options, now, None)
    solvency: Any = relayer._solvency
    assert (solvency._reader, solvency._chain) == (parts[0], chain)
    assert (relayer._feed, relayer._outbox, relayer._chain) == (feed, parts[1], chain)
    given = settings(exchange, house_key=HOUSE_KEY)
    assert build_relayer(given, chain, *parts)[1]._novator is None
    feed, relayer = build_relayer(given, chain, *parts, exchange, now)
    novator: Any = relayer._novator
    assert (novator._feed, novator._chain, novator._sink) == (feed, chain, exchange)
    assert (novator._key, novator._sender) == (HOUSE_KEY, address_of(RELAYER_KEY))
    assert (novator._solvency, novator._clock) == (relayer._solvency, now)


def test_a_round_settles_watches_and_compares(
    exchange: Exchange, parts: tuple[JournalReader, Outbox]
) -> None:
    """Each part once; what differs is held, and each waits for its own failures."""
    chain, clock = Wired(), Clock()
    given = settings(exchange, confirmations=2)
    rounds = Rounds(given, chain, *parts, exchange, lambda: clock.now)
    chain.cash = {1: 7}
    exchange.withdraw(exchange.maker, 5)
    exchange.cut()
    assert rounds.run()
    seen = BatchSeen(number=1, batch_hash=bytes(32), block=1, transaction="")
    chain.observe(seen)
    assert chain.last_batch().number == 1
    assert [job.state for job in parts[1].jobs()] == [JobState.MINED]
    assert rounds.run(), "final by now"
    assert [job.state for job in parts[1].jobs()] == [JobState.CONFIRMED]
    assert not exchange.blocks()
    chain.mine()
    assert rounds.run()
    assert exchange.blocks() == [2]
    assert rounds.watcher._trail() == trail(exchange.entries)
    assert rounds.prover._sender == address_of(RELAYER_KEY)
    while rounds.run():
        pass
    assert [(one.subaccount_id, one.held) for one in exchange.holds()] == [(1, True)]
    assert rounds.reconciler.count == 1
    chain.away = True
    exchange.cut()
    assert not rounds.run()
    chain.away = False
    chain.mine(40)
    assert not rounds.run(), "not so soon"
    clock.now += 1
    assert rounds.run()
    assert exchange.blocks()[-1] == chain.head() - 1


class Stop(threading.Event):
    """Set after so many rounds; keeps how long it was waited."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.rounds = rounds
        self.waited: list[float | None] = []

    def is_set(self) -> bool:
        self.rounds -= 1
        return self.rounds < 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout)
        return False


class Door:
    """Somebody's connection to the exchange, which outlives it."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exchange, name)

    def close(self) -> None:
        self._exchange.commands.clear()


def test_a_relayer_runs_until_it_is_stopped(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It settles, reports what its parts found, and leaves outbox and lock to the next."""
    opened: list[tuple[str, str]] = []

    def sink(url: str, token: str) -> Door:
        opened.append((url, token))
        return Door(exchange)

    monkeypatch.setattr(process, "AdminSink", sink)
    chain: Any = Wired()
    chain.cash = {1: 7}
    exchange.sample(10**11)
    exchange.trade()
    exchange.cut()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = settings(exchange, balance_min=6, metrics_port=port)
    stop = Stop(3)
    run_relayer(given, chain, stop)
    assert opened == [("http://exchange", "secret")]
    assert chain.last_batch().number == 1
    assert stop.waited == [process._POLL_S] * 2, "only where nothing moved"
    [status] = exchange.reports
    assert (status.address, status.last_batch, status.endpoint) == (
        address_of(RELAYER_KEY),
        1,
        "http://node",
    )
    assert "balance_low" in status.alarms
    assert "batch_refused" not in status.alarms
    assert (status.differences, status.parameters_differ, status.novated) == (0, 0, 0)
    assert (status.reorganisations, status.governance, status.roles_changed_s) == (0, 0, 0)
    with process._only_one(given.outbox):
        pass


def test_what_the_chain_refuses_stops_nothing_else(
    exchange: Exchange, parts: tuple[JournalReader, Outbox]
) -> None:
    """Blocks are watched, the refusal is told, and once it is mended the batch settles."""
    chain, clock = Wired(), Clock()
    rounds = Rounds(settings(exchange), chain, *parts, exchange, lambda: clock.now)
    exchange.cut()
    chain.refuses = Reverted("EnforcedPause")
    while rounds.run():
        pass
    assert "batch:1 cannot be settled: the contract refused: EnforcedPause" in str(rounds.refusal)
    for _ in range(2):  # the second is told on top of what was read of the first
        chain.mine(40)
        assert rounds.run()
        assert exchange.blocks()[-1] == chain.head()
        while rounds.run():
            pass
    chain.refuses = None
    clock.now += process._REFUSED_S
    assert rounds.run()
    assert rounds.refusal is None
    assert chain.last_batch().number == 1


def test_an_older_journal_is_refused(exchange: Exchange, tmp_path: Path) -> None:
    """One that a copy was put in the place of, by what was built of it, or is on chain."""
    chain, copy = Wired(), tmp_path / "copy.db"
    empty, outbox = Outbox(str(tmp_path / "empty.db")), Outbox(settings(exchange).outbox)

    def refused(start: Callable[[], object]) -> str:
        with pytest.raises(JournalUnavailable, match="older copy") as found:
            start()
        return str(found.value)

    def rounds_of(reader: JournalReader, of: Outbox) -> Rounds:
        return Rounds(settings(exchange), chain, reader, of, exchange)

    def settle_all() -> None:
        rounds = rounds_of(reader, outbox)
        while rounds.run():
            pass

    with closing(JournalReader(str(exchange.path))) as reader:
        exchange.cut()
        settle_all()
        with sqlite3.connect(exchange.path) as source, sqlite3.connect(copy) as target:
            source.backup(target)
        exchange.cut()
        settle_all()
        process._check_built_from(reader, outbox)
        process._check_settled_from(chain, reader, outbox)
        process._check_settled_from(chain, reader, empty)
        last = outbox.last_batch()
    assert last is not None
    assert chain.last_batch().number == 2
    with closing(JournalReader(str(copy))) as older:
        said = refused(lambda: rounds_of(older, outbox))  # what it knows by itself: at once
        assert f"batch:2 was built up to seq {last.last_seq}" in said
        assert f"the journal ends at seq {older.last_seq()}: it is" in said
        said = refused(rounds_of(older, empty).run)
        assert "the chain holds batch 2, and the journal cut none after 1" in said
    with closing(Journal(str(copy))) as regrown, closing(JournalReader(str(copy))) as reader:
        append(regrown, last.last_seq)
        said = refused(lambda: rounds_of(reader, outbox))
        assert "and the journal went another way since: it is" in said
    empty.close()
    outbox.close()
