"""The relayer's process: one loop that settles and watches, patient with node and exchange.

Ends by itself only with a `ChainError` that a person must look at, or when the node stayed away for
longer than its patience; whatever was under way continues at the next start.
"""

import contextlib
import fcntl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import structlog

from exchange.journal import JournalReader, JournalUnavailable
from exchange.journal.outbox import Outbox
from exchange.settlement.chain import Chain
from exchange.settlement.delivery import DeliveryDesk
from exchange.settlement.errors import ChainError, ChainUnavailable, NodeRefused
from exchange.settlement.feed import Feed
from exchange.settlement.relayer import Relayer, RelayerOptions
from exchange.settlement.watcher import (
    AdminSink,
    ExchangeUnavailable,
    Watcher,
    WatcherOptions,
)

_POLL_S: Final = 0.1
_JOURNAL_WAIT_S: Final = 30.0
_DELAY_FIRST_S: Final = 0.2
_DELAY_MAX_S: Final = 10.0

log = structlog.get_logger(__name__)


class RelayerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the process is given. Files are on local disk, times in seconds."""

    journal: str  # path or database URL
    outbox: str  # path or database URL
    admin_url: str
    admin_token: str
    key: bytes
    oracle_keys: tuple[bytes, ...]
    confirmations: int = 1
    stuck_after_s: float = 15.0
    patience_s: float = 600.0  # how long a node may stay away


class Backoff:
    """Runs a step, and after a failure waits longer each time; gives up after `patience_s`."""

    def __init__(self, name: str, *, patience_s: float | None) -> None:
        self._name = name
        self._patience_s = patience_s
        self._failing_since: float | None = None
        self._delay_s = _DELAY_FIRST_S
        self._next_try = 0.0

    def run(self, step: Callable[[], bool]) -> bool:
        """Result of the step; False while waiting or when it failed in a way that time can heal."""
        if time.monotonic() < self._next_try:
            return False
        try:
            moved = step()
        except (ChainUnavailable, NodeRefused, ExchangeUnavailable) as error:
            self._wait(error)
            return False
        if self._failing_since is not None:
            log.info("works again", part=self._name)
        self._failing_since, self._delay_s = None, _DELAY_FIRST_S
        return moved

    def _wait(self, error: ChainError) -> None:
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        if self._patience_s is not None and now - self._failing_since > self._patience_s:
            raise error
        log.warning("waiting", part=self._name, why=str(error), retry_in_s=self._delay_s)
        self._next_try = now + self._delay_s
        self._delay_s = min(2 * self._delay_s, _DELAY_MAX_S)


def run_relayer(settings: RelayerSettings, chain: Chain, stop: threading.Event) -> None:
    """Settle and watch until `stop` is set."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_only_one(settings.outbox))
        outbox = stack.enter_context(contextlib.closing(Outbox(settings.outbox)))
        reader = stack.enter_context(contextlib.closing(_open_reader(settings.journal, stop)))
        sink = stack.enter_context(
            contextlib.closing(AdminSink(settings.admin_url, settings.admin_token))
        )
        feed, relayer = build_relayer(settings, chain, reader, outbox)
        watcher = Watcher(chain, sink, WatcherOptions(confirmations=settings.confirmations))
        log.info("relayer ready", address=relayer.address, resumes_at_seq=feed.seq)
        settling = Backoff("settlement", patience_s=settings.patience_s)
        watching = Backoff("watcher", patience_s=None)  # the exchange may be down for long
        while not stop.is_set():
            moved = settling.run(relayer.step)
            moved |= watching.run(lambda: watcher.step(feed.cursor))
            if not moved:
                stop.wait(_POLL_S)


def build_relayer(
    settings: RelayerSettings, chain: Chain, reader: JournalReader, outbox: Outbox
) -> tuple[Feed, Relayer]:
    """The parts of a relayer, wired."""
    deployment = chain.deployment
    desk = DeliveryDesk(
        chain_id=deployment.chain_id, oracle=deployment.oracle, keys=settings.oracle_keys
    )
    feed = Feed(reader, outbox, clearing=deployment.clearing, desk=desk)
    options = RelayerOptions(
        key=settings.key,
        confirmations=settings.confirmations,
        stuck_after_s=settings.stuck_after_s,
    )
    return feed, Relayer(feed, outbox, chain, options)


def _open_reader(journal: str, stop: threading.Event) -> JournalReader:
    """The journal, waited for: at a first start the exchange creates it a moment later."""
    deadline = time.monotonic() + _JOURNAL_WAIT_S
    while True:
        try:
            reader = JournalReader(journal)
            reader.last_seq()
        except JournalUnavailable:
            if stop.is_set() or time.monotonic() > deadline:
                raise
            stop.wait(_POLL_S)
        else:
            return reader


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
