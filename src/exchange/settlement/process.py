"""The relayer's process: one loop that settles and watches, patient with node and exchange.

What the chain refuses waits for a person, who is told by an alarm, while the rest goes on. Ends by
itself only with another `ChainError` that a person must look at, or when the node stayed away for
longer than its patience; whatever was under way continues at the next start.
"""

import contextlib
import fcntl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog
from prometheus_client import CollectorRegistry, start_http_server

from exchange.events import BatchCut
from exchange.journal import Entry, JournalReader, JournalUnavailable
from exchange.journal.outbox import Outbox
from exchange.settlement.chain import Chain
from exchange.settlement.cursor import trail
from exchange.settlement.errors import BatchRefused, ChainError, ChainUnavailable, NodeRefused
from exchange.settlement.feed import Feed
from exchange.settlement.novator import NovationSink, Novator
from exchange.settlement.oracle_desks import OracleDesks
from exchange.settlement.pending import PendingPost, PendingPosts
from exchange.settlement.prover import Prover
from exchange.settlement.reconciler import HoldSink, Reconciler
from exchange.settlement.relayer import Clock, Relayer, RelayerOptions
from exchange.settlement.solvency import SolvencyProver
from exchange.settlement.status import BALANCE_MIN, RelayerMetrics, StatusReader
from exchange.settlement.watcher import (
    AdminSink,
    ExchangeUnavailable,
    ObservationSink,
    Watcher,
    WatcherOptions,
)
from exchange.signing import address_of

_POLL_S: Final = 0.1
_JOURNAL_WAIT_S: Final = 30.0
_DELAY_FIRST_S: Final = 0.2
_DELAY_MAX_S: Final = 10.0
_REFUSED_S: Final = 30.0  # what the chain refuses is asked again, in case somebody mended it
_REPORT_S: Final = 2.0

log = structlog.get_logger(__name__)


class Sink(ObservationSink, HoldSink, NovationSink, Protocol):
    """The exchange, as a relayer sees it."""


class RelayerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the process is given. Files are on local disk, times in seconds."""

    journal: str  # path or database URL
    shard: int = 0  # whose batches of it
    outbox: str  # path or database URL
    admin_url: str
    admin_token: str
    key: bytes
    oracle_keys: tuple[bytes, ...]
    house_key: bytes = b""  # signs for the venue's own subaccount; none: nothing is novated
    confirmations: int = 1
    stuck_after_s: float = 15.0
    patience_s: float = 600.0  # how long a node may stay away
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0  # 0: no listener
    balance_min: int = BALANCE_MIN  # wei


class Backoff:
    """Runs a step, and after a failure waits longer each time; gives up after `patience_s`."""

    def __init__(
        self, name: str, *, patience_s: float | None, clock: Clock = time.monotonic
    ) -> None:
        self._name = name
        self._clock = clock
        self._patience_s = patience_s
        self._failing_since: float | None = None
        self._delay_s = _DELAY_FIRST_S
        self._next_try = 0.0
        self.refusal: BatchRefused | None = None  # why a person must look, as of the last step

    def run(self, step: Callable[[], bool]) -> bool:
        """Result of the step; False while waiting or when it failed in a way that time can heal.

        A refused batch is for a person: everything else goes on, and tells him so.
        """
        if self._clock() < self._next_try:
            return False
        try:
            moved = step()
        except BatchRefused as refusal:
            why = str(refusal)
            log.error("waits for a person", part=self._name, why=why)  # noqa: TRY400  no bug: no trace
            self.refusal = refusal
            self._failing_since, self._delay_s = None, _DELAY_FIRST_S  # the node answered
            self._next_try = self._clock() + _REFUSED_S
            return False
        except (ChainUnavailable, NodeRefused, ExchangeUnavailable) as error:
            self._wait(error)
            return False
        if self._failing_since is not None:
            log.info("works again", part=self._name)
        self._failing_since, self._delay_s, self.refusal = None, _DELAY_FIRST_S, None
        return moved

    def _wait(self, error: ChainError) -> None:
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        if self._patience_s is not None and now - self._failing_since > self._patience_s:
            raise error
        log.warning("waiting", part=self._name, why=str(error), retry_in_s=self._delay_s)
        self._next_try = now + self._delay_s
        self._delay_s = min(2 * self._delay_s, _DELAY_MAX_S)


class Rounds:
    """What settles, watches and compares, wired; each part waits for its own failures."""

    def __init__(
        self,
        settings: RelayerSettings,
        chain: Chain,
        reader: JournalReader,
        outbox: Outbox,
        sink: Sink,
        clock: Clock = time.monotonic,
    ) -> None:
        _check_built_from(reader, outbox)
        self.feed, self.relayer = build_relayer(settings, chain, reader, outbox, sink, clock)
        self._check: Callable[[], None] | None = lambda: _check_settled_from(chain, reader, outbox)
        self.watcher = Watcher(
            chain,
            sink,
            WatcherOptions(confirmations=settings.confirmations),
            lambda: trail(reader.entries()),
            clock=clock,
        )
        self.prover = Prover(chain, outbox, sender=self.relayer.address, clock=clock)
        self.reconciler = Reconciler(reader, chain, sink, self.prover.follow)
        patience: dict[str, float | None] = {  # the exchange may be down for long
            "settlement": settings.patience_s,
            "watcher": None,
            "reconciliation": None,
            "proofs": None,
        }
        self._waits = {
            name: Backoff(name, patience_s=patience_s, clock=clock)
            for name, patience_s in patience.items()
        }

    def _settle(self) -> bool:
        """A step of the relayer; before the first, whether it is this journal that was settled."""
        if self._check is not None:
            self._check()
            self._check = None
        return self.relayer.step()

    @property
    def refusal(self) -> BatchRefused | None:
        """Why settlement waits for a person; None while it goes on."""
        return self._waits["settlement"].refusal

    def run(self) -> bool:
        """Each part once; whether anything moved."""
        steps: dict[str, Callable[[], bool]] = {
            "settlement": self._settle,
            "watcher": lambda: self.watcher.step(self.feed.cursor),
            "reconciliation": self.reconciler.step,
            "proofs": lambda: self.prover.step(self.reconciler.holdings),
        }
        moved = [wait.run(steps[name]) for name, wait in self._waits.items()]
        if self.refusal is not None:  # nobody else reads on, and the watcher goes by what is read
            moved.append(self.feed.pull() > 0)
        return any(moved)


def run_relayer(settings: RelayerSettings, chain: Chain, stop: threading.Event) -> None:
    """Settle and watch until `stop` is set."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_only_one(settings.outbox))
        outbox = stack.enter_context(contextlib.closing(Outbox(settings.outbox)))
        reader = stack.enter_context(contextlib.closing(_open_reader(settings, stop)))
        sink = stack.enter_context(
            contextlib.closing(AdminSink(settings.admin_url, settings.admin_token))
        )
        rounds = Rounds(settings, chain, reader, outbox, sink)
        feed, relayer, reconciler = rounds.feed, rounds.relayer, rounds.reconciler
        reporter = Reporter(
            StatusReader(
                chain,
                outbox,
                relayer.address,
                balance_min=settings.balance_min,
                underlyings=lambda: feed.underlyings,
            ),
            sink,
            lambda: {
                "refused": int(rounds.refusal is not None),
                "differences": reconciler.count,
                "parameters_differ": int(reconciler.parameters_differ),
                "novated": relayer.novated,
                "reorganisations": feed.reverted_blocks,
                "governance": reconciler.governance,
                "roles_changed_s": reconciler.roles_changed_s,
            },
            PendingPosts(outbox).read,
        )
        if settings.metrics_port:
            stack.enter_context(reporter.listening(settings.metrics_host, settings.metrics_port))
        log.info("relayer ready", address=relayer.address, resumes_at_seq=feed.seq)
        reporting = Backoff("report", patience_s=None)
        while not stop.is_set():
            moved = rounds.run()
            reporting.run(reporter.step)
            if not moved:
                stop.wait(_POLL_S)


class Reporter:
    """Shows operators where settlement stands: on its own listener, and through the exchange."""

    def __init__(
        self,
        reader: StatusReader,
        sink: AdminSink,
        figures: Callable[[], Mapping[str, int]] = dict,
        waiting: Callable[[], tuple[PendingPost, ...]] = tuple,
    ) -> None:
        self._reader = reader
        self._figures = figures  # what other parts of the process found
        self._waiting = waiting  # what keepers may post
        self._shown: tuple[PendingPost, ...] = ()
        self._sink = sink
        self._metrics = RelayerMetrics()
        self._next = 0.0
        self._alarms: tuple[str, ...] = ()

    def step(self) -> bool:
        """A new picture every few seconds; alarms are logged when they change."""
        if time.monotonic() < self._next:
            return False
        status = self._reader.read(**self._figures())
        self._metrics.status = status
        if status.alarms != self._alarms:
            level = log.error if status.alarms else log.info
            level("alarms changed", alarms=status.alarms)
            self._alarms = status.alarms
        self._next = time.monotonic() + _REPORT_S
        self._sink.report(status)
        waiting = self._waiting()
        if waiting or self._shown:
            self._sink.show(waiting)
        self._shown = waiting
        return True

    @contextlib.contextmanager
    def listening(self, host: str, port: int) -> Iterator[None]:
        """Serve /metrics until the end."""
        registry = CollectorRegistry()
        registry.register(self._metrics)
        server, thread = start_http_server(port, host, registry)
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def build_relayer(
    settings: RelayerSettings,
    chain: Chain,
    reader: JournalReader,
    outbox: Outbox,
    sink: NovationSink | None = None,
    clock: Clock = time.monotonic,
) -> tuple[Feed, Relayer]:
    """The parts of a relayer, wired."""
    deployment = chain.deployment
    feed = Feed(
        reader,
        outbox,
        clearing=deployment.clearing,
        desks=OracleDesks(deployment.chain_id, deployment.oracle, settings.oracle_keys),
    )
    options = RelayerOptions(
        key=settings.key,
        confirmations=settings.confirmations,
        stuck_after_s=settings.stuck_after_s,
    )
    solvency = SolvencyProver(reader, chain)
    novator = None
    if settings.house_key and sink is not None:
        sender = address_of(settings.key)
        novator = Novator(
            feed,
            chain,
            sink,
            key=settings.house_key,
            sender=sender,
            solvency=solvency,
            clock=clock,
        )
    return feed, Relayer(feed, outbox, chain, options, novator, solvency, clock=clock)


def _open_reader(settings: RelayerSettings, stop: threading.Event) -> JournalReader:
    """The journal, waited for: at a first start the exchange creates it a moment later."""
    deadline = time.monotonic() + _JOURNAL_WAIT_S
    while True:
        try:
            reader = JournalReader(settings.journal, shard=settings.shard)
            reader.last_seq()
        except JournalUnavailable:
            if stop.is_set() or time.monotonic() > deadline:
                raise
            stop.wait(_POLL_S)
        else:
            return reader


def _check_built_from(reader: JournalReader, outbox: Outbox) -> None:
    """Refuse a journal without the newest batch that was built from it: an older copy, restored."""
    built = outbox.last_batch()
    if built is None:
        return
    last_seq = reader.last_seq()
    if last_seq < built.last_seq:
        found = f"ends at seq {last_seq}"
    elif built.number not in _cut_in([reader.entry(built.last_seq)]):
        found = "went another way since"
    else:
        return
    raise JournalUnavailable(
        f"{built.key} was built up to seq {built.last_seq}, and the journal {found}: it is an "
        "older copy; find the newer one, or delete the outbox where there is none and nothing "
        "later settled (docs/runbook.md, restore)"
    )


def _check_settled_from(chain: Chain, reader: JournalReader, outbox: Outbox) -> None:
    """Refuse a journal that cut fewer batches than the chain holds: an older copy, restored.

    Batches that it will cut instead would take numbers that the chain gave to others.
    """
    settled = chain.last_batch().number  # before the journal, which is ahead of the chain
    built = outbox.last_batch()
    known = built.number if built else 0
    if known >= settled:
        return
    cut = max(_cut_in(reader.entries(after_seq=built.last_seq if built else 0)), default=known)
    if settled > cut:
        raise JournalUnavailable(
            f"the chain holds batch {settled}, and the journal cut none after {cut}: it is an "
            f"older copy, or another venue's; find the newer one (docs/runbook.md, restore)"
        )


def _cut_in(entries: Iterable[Entry]) -> Iterator[int]:
    """Numbers of the batches that these entries ended."""
    for entry in entries:
        yield from (event.number for event in entry.events if isinstance(event, BatchCut))


@contextlib.contextmanager
def _only_one(outbox: str) -> Iterator[None]:
    """Refuse to share an outbox file; two relayers with two outboxes are harmless."""
    if "://" in outbox:
        yield
        return
    path = Path(outbox).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ChainError(f"another relayer is using {outbox}") from None
        yield
