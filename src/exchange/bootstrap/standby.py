"""Before an engine leads: it holds the journal's state, and as a standby it waits for silence.

A standby tails the journal, so it is never more than a few milliseconds behind. It takes over when
the leader's lease has not moved for `takeover_s`, measured by the standby's own clock; the claim
fails if the leader showed itself in between (ADR 0037). A journal with a gap ends it: what misses
an entry must not lead.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from exchange.api.app import server_config
from exchange.bootstrap.ingress_parts import Figures
from exchange.bootstrap.processes import StartFailed
from exchange.bootstrap.recovery import Past, recover
from exchange.bootstrap.server import Server
from exchange.config import Settings
from exchange.history.shared import Heir
from exchange.history.store import HistoryStore
from exchange.journal import (
    Journal,
    JournalReader,
    JournalUnavailable,
    Lease,
    LeaseLost,
    create_tables,
)

POLL_S: Final = 0.05
BEAT_S: Final = 0.2  # of a leader that has nothing to write

log = structlog.get_logger(__name__)


class Silence:
    """How long a lease has stood still, by a clock of this machine that never goes back."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._seen: Lease | None = None
        self._since_s = clock_s()

    def after(self, lease: Lease) -> float:
        """Seconds since it last moved, given what it says now."""
        if lease != self._seen:
            self._seen, self._since_s = lease, self._clock_s()
        return self._clock_s() - self._since_s


def open_past(settings: Settings) -> Past:
    """The read model, as whoever does not lead yet holds it: the leader may be writing there."""
    location = settings.history_location
    return (
        Heir(location, shard=settings.shard)
        if settings.history
        else HistoryStore(location, shard=settings.shard)
    )


class Follower:
    """The state of an engine that does not lead."""

    def __init__(self, settings: Settings, past: Past) -> None:
        create_tables(settings.journal_location)
        self._settings = settings
        self.shard = settings.shard
        self.past = past
        self._reader = JournalReader(settings.journal_location, shard=settings.shard)
        self.recovered = recover(settings, self._reader, at_most=past.last_seq)
        if past.last_seq > self._reader.last_seq():
            raise StartFailed(
                f"{settings.history_location} is ahead of the journal: delete it, it is built anew"
            )
        self.snapshot_seq = self.recovered.seq

    def catch_up(self) -> int:
        """Take everything that is committed; returns how many entries that were."""
        trust_hashes = self._settings.trust_state_hashes
        return sum(
            1 for _ in self.recovered.follow(self._reader, self.past, trust_hashes=trust_hashes)
        )

    def lead(self, seen: Lease | None = None) -> Journal:
        """Claim the journal and take its last entries; raises `LeaseLost` as `Journal` does."""
        settings = self._settings
        journal = Journal(settings.journal_location, shard=settings.shard, seen=seen)
        self.catch_up()
        self._reader.close()
        return journal

    def inherit(self) -> HistoryStore:
        """The read model, to be written by this process from now on."""
        if isinstance(self.past, Heir):
            self.past = self.past.inherit()
        return self.past

    async def wait_to_lead(self, clock_s: Callable[[], float] = time.monotonic) -> Journal:
        """Follow until the leader has been silent for long enough, and take over."""
        silence = Silence(clock_s)
        while True:
            try:
                lease = self._reader.lease()  # before the entries: what comes later is no silence
                await asyncio.to_thread(self.catch_up)
                if silence.after(lease) >= self._settings.takeover_s:
                    journal = self.lead(lease)
                    log.warning("took_over", seq=journal.last_seq)
                    return journal
            except LeaseLost as error:
                log.info("stands_by", reason=str(error))
            except JournalUnavailable as error:  # nor can the leader write there, perhaps
                log.warning("journal_unavailable", reason=str(error))
                silence = Silence(clock_s)
            await asyncio.sleep(POLL_S)

    async def stand_by(self) -> Journal:
        """`wait_to_lead`, while the admin listener says that this one is not ready."""
        settings = self._settings
        server = Server(server_config(_waiting(self), settings.host, settings.admin_port))
        serving = asyncio.create_task(server.serve())
        with contextlib.ExitStack() as beats:
            try:
                journal = await self.wait_to_lead()
                beats.enter_context(beating_aside(journal))  # open calls hold the listener open
            finally:
                server.should_exit = True
                await serving
        return journal


def _waiting(follower: Follower) -> Starlette:
    async def health(_: Request) -> JSONResponse:
        return JSONResponse(
            {
                "healthy": True,
                "shard": follower.shard,
                "role": "standby",
                "seq": follower.recovered.seq,
            }
        )

    async def ready(_: Request) -> JSONResponse:
        return JSONResponse(
            {"ready": False, "shard": follower.shard, "role": "standby"}, status_code=503
        )

    async def metrics(_: Request) -> PlainTextResponse:
        # No more than /health says, and as open: a monitor must tell a standby from nothing.
        registry = CollectorRegistry()
        registry.register(Figures(lambda: {"standby_seq": follower.recovered.seq}))
        return PlainTextResponse(generate_latest(registry).decode())

    routes = {"/health": health, "/ready": ready, "/metrics": metrics}
    return Starlette(routes=[Route(path, answer) for path, answer in routes.items()])


@contextlib.contextmanager
def beating_aside(journal: Journal) -> Iterator[None]:
    """Beat from a thread: a start may hold the loop for longer than another standby waits.

    Raises at the end what ended the beats: `LeaseLost` when another leads.
    """
    over, failures = threading.Event(), list[Exception]()

    def beat() -> None:
        try:
            while not over.wait(BEAT_S):
                journal.beat()
        except (LeaseLost, JournalUnavailable) as error:
            failures.append(error)

    thread = threading.Thread(target=beat, name="beats")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failures:
        raise failures[0]


async def beat_for_ever(journal: Journal) -> None:
    """Show standbys that this leader and its loop live; raises `LeaseLost` when another leads."""
    while True:
        await asyncio.sleep(BEAT_S)
        await asyncio.to_thread(journal.beat)
