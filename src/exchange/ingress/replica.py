"""The gateway's side: a sequencer to those above it, which follows the one that leads.

It tails the journal into an engine of its own, so reads are of durable state and need nobody else.
What is submitted goes through the stream and is answered when it comes by in the journal. Without
the stream nothing can be submitted, news come by polling instead, and everything else goes on.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from time import monotonic
from typing import Final, NamedTuple, TypeVar

import structlog

from exchange.commands import AnyCommand, NoteAction
from exchange.engine import Engine
from exchange.ingress.intake import EXPIRY_MS, RETRY_S
from exchange.ingress.messages import Committed, Expired, Forged, News, Seal, Told
from exchange.ingress.stream import Listener, Stream, StreamLost
from exchange.journal import (
    Delivery,
    Entry,
    JournalTail,
    JournalUnavailable,
    Lease,
    Sender,
)
from exchange.sequencer import (
    QUEUE_MAX,
    OutcomeUnknown,
    Reply,
    SequencerBusy,
    SequencerStopped,
    SequencerUnreachable,
    machine_time_ns,
    replay,
)
from exchange.sequencer import Told as Waiter

T = TypeVar("T")
Hear = Callable[[Sequence[Entry]], None]

POLL_S: Final = 0.05  # between looks at the journal that nobody asked for
LEASE_S: Final = 0.5  # between looks at who leads
PING_S: Final = 1.0
SEND_MAX: Final = 256  # commands in one pipeline
SILENCE_S: Final = EXPIRY_MS / 1_000  # of the leader: what is sent now would only expire
ANSWER_S: Final = SILENCE_S + 3.0  # after this nobody waits any more

_AWAY: Final = "the way to the engine is down: nothing was done, try again"
_NOBODY: Final = "no engine leads at the moment: nothing was done, try again"
_LATE: Final = "it waited too long for an engine: nothing was done, try again"
_UNKNOWN: Final = "nobody said in time what became of it: look for its nonce or label, then decide"

log = structlog.get_logger(__name__)


class _Waiting(NamedTuple):
    reply: Waiter
    until_s: float


class Replica:
    """Follows the journal from the engine's newest command on, as long as `run` runs."""

    def __init__(
        self,
        engine: Engine,
        tail: JournalTail,
        stream: Stream,
        seal: Seal,
        *,
        machine_clock: Callable[[], int] = machine_time_ns,
    ) -> None:
        self._engine = engine
        self._tail = tail
        self._stream = stream
        self._seal = seal
        self._machine_clock = machine_clock
        self._listeners: list[Hear] = []
        self.gateway = secrets.randbits(63)
        self._numbers = count(1)
        self._pending: dict[int, _Waiting] = {}  # by number, so the oldest is first
        self._outgoing: deque[tuple[int, bytes]] = deque()
        self._something = asyncio.Event()  # to send
        self._news = asyncio.Event()
        self._lease = Lease()
        self._heard_s = 0.0  # from the leader, by the loop's clock
        self._told_s = 0.0  # the same, by the stream
        self._read_s = 0.0  # the journal, whatever was there
        self._failure: BaseException | None = None
        self._clock_s = 0.0  # when the server was asked for its clock last
        self._offset_ms = 0.0  # of the server's clock to the one of this process that never stops
        self.connected = False  # to the stream
        self.on_told: Callable[[str, bytes], None] = _ignored

    # -- what those above ask -------------------------------------------------------------------

    def now_ns(self) -> int:
        """Venue time: machine clock plus journaled offset, never before the last stamp."""
        return max(self._machine_clock() + self._engine.clock_offset_ns, self._engine.time_ns)

    def queue_length(self) -> int:
        """Commands that were sent and not answered."""
        return len(self._pending)

    def commit_s(self) -> float:
        """Nothing is committed here."""
        return 0.0

    @property
    def last_seq(self) -> int:
        """Seq of the newest command in this replica."""
        return self._engine.seq

    @property
    def stopped(self) -> bool:
        """Whether it ended: it follows no more."""
        return self._failure is not None

    def leader_silent_s(self) -> float:
        """How long nothing was seen of an engine that leads, in seconds."""
        return asyncio.get_running_loop().time() - self._heard_s

    def unheard_s(self) -> float:
        """How long an engine that leads said nothing by the stream, in seconds."""
        return asyncio.get_running_loop().time() - self._told_s

    def unread_s(self) -> float:
        """How long the journal could not be read, in seconds: so old is what is known here."""
        return asyncio.get_running_loop().time() - self._read_s

    async def submit(self, command: AnyCommand, *, note: NoteAction | None = None) -> Reply:
        """Send a command; returns when the journal holds it.

        Raises `SequencerUnreachable` when it was not done and never will be, `SequencerBusy` when
        too many wait, and `OutcomeUnknown` when nobody answered in time.
        """
        assert note is None, "operators act at the engine's own listener"
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.enqueue(command, reply)
        return await reply

    def enqueue(self, command: AnyCommand, told: Waiter) -> None:
        """Do as `submit`, without waiting."""
        if self._failure is not None:
            raise SequencerStopped(str(self._failure) or type(self._failure).__name__)
        if not self.connected:
            raise SequencerUnreachable(_AWAY)
        if self.leader_silent_s() > SILENCE_S:
            raise SequencerUnreachable(_NOBODY)
        if len(self._pending) >= QUEUE_MAX:
            raise SequencerBusy(f"{QUEUE_MAX} commands are waiting; try again")
        loop = asyncio.get_running_loop()
        number = next(self._numbers)
        self._pending[number] = _Waiting(told, loop.time() + ANSWER_S)
        sent_ms = int(monotonic() * 1_000 + self._offset_ms)
        sealed = self._seal.request(Sender(self.gateway, number), sent_ms, command)
        self._outgoing.append((number, sealed))
        self._something.set()

    async def read(self, query: Callable[[Engine], T]) -> T:
        """Run `query` on durable state. It must not mutate."""
        return query(self._engine)  # between two batches, for nothing here waits inside one

    def subscribe(self, listener: Hear) -> Callable[[], None]:
        """Call `listener` with each batch, in order; returns the way to unsubscribe."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # -- life -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow and send until cancelled; raises `JournalCorrupt` if this replica went astray."""
        self._heard_s = self._told_s = self._read_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.TaskGroup() as tasks:
                for part in (
                    self._follow,
                    self._watch_lease,
                    self._send,
                    self._listen,
                    self._sweep,
                ):
                    tasks.create_task(part())
        except BaseException as error:
            self._failure = error
            for waiting in self._pending.values():
                _fail(waiting.reply, SequencerStopped("this gateway is stopping"))
            self._pending.clear()
            raise

    async def _follow(self) -> None:
        while True:
            self._news.clear()
            try:
                found = await asyncio.to_thread(self._tail.fetch)
            except JournalUnavailable as error:  # nor can anybody write there
                log.warning("journal_unavailable", reason=str(error))
                await asyncio.sleep(RETRY_S)
                continue
            self._read_s = asyncio.get_running_loop().time()
            for delivery in found:
                self._take(delivery)
                await asyncio.sleep(0)  # clients have their turn between two batches
            if not found:
                await _either(self._news, POLL_S)

    def _take(self, delivery: Delivery) -> None:
        replay(delivery.entries, self._engine, hashed_from=delivery.entries[-1].seq + 1)
        self._heard_s = asyncio.get_running_loop().time()
        for listener in tuple(self._listeners):
            listener(delivery.entries)
        for entry in delivery.entries:
            sender = delivery.senders.get(entry.seq)
            if sender is not None and sender.gateway == self.gateway:
                self._answer(sender.number, entry)

    def _answer(self, number: int, entry: Entry) -> None:
        waiting = self._pending.pop(number, None)
        if waiting is not None and not waiting.reply.done():  # the caller may have gone away
            waiting.reply.set_result(
                Reply(
                    seq=entry.seq,
                    time_ns=entry.time_ns,
                    events=entry.events,
                    chain_hash=entry.chain_hash,
                )
            )

    async def _watch_lease(self) -> None:
        while True:
            try:
                lease = await asyncio.to_thread(self._tail.watch)
            except JournalUnavailable:
                lease = self._lease
            if lease != self._lease:
                self._lease, self._heard_s = lease, asyncio.get_running_loop().time()
            await asyncio.sleep(LEASE_S)

    async def _send(self) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            while self._outgoing and self.connected:
                some = [self._outgoing.popleft() for _ in range(min(SEND_MAX, len(self._outgoing)))]
                try:
                    await self._stream.add([sealed for _, sealed in some])
                except StreamLost as error:  # these may be on their way: their answer may come
                    self._lost(error)
            while self._outgoing:  # these were never sent
                number, _ = self._outgoing.popleft()
                self._refuse(number, SequencerUnreachable(_AWAY))

    def _refuse(self, number: int, error: Exception) -> None:
        waiting = self._pending.pop(number, None)
        if waiting is not None:
            _fail(waiting.reply, error)

    def _lost(self, error: StreamLost) -> None:
        if self.connected:
            log.warning("redis_lost", reason=str(error))
        self.connected = False

    async def _listen(self) -> None:
        """Hear what is new, and know whether the stream is there at all."""
        while True:
            try:
                async with self._stream.listening() as listener:
                    await self._set_clock()
                    self.connected = True
                    self._told_s = asyncio.get_running_loop().time()  # it may speak from now on
                    self._news.set()  # what was said before
                    await self._hear(listener)
            except StreamLost as error:
                self._lost(error)
            await asyncio.sleep(RETRY_S)

    async def _set_clock(self) -> None:
        """See that the server answers, and what time it is there; a slow answer makes us older."""
        self._offset_ms = await self._stream.clock_ms() - monotonic() * 1_000
        self._clock_s = monotonic()

    async def _hear(self, listener: Listener) -> None:
        """Until the server is lost, by this connection or by another."""
        while self.connected:
            sealed = await listener.next(PING_S)
            if monotonic() - self._clock_s >= PING_S:
                await self._set_clock()
            if sealed is None:
                continue
            try:
                self._told(self._seal.open_news(sealed))
            except Forged as error:
                log.warning("news_refused", reason=str(error))

    def _told(self, news: News) -> None:
        self._told_s = asyncio.get_running_loop().time()
        match news:
            case Committed(seq):
                if seq > self._engine.seq:
                    self._news.set()
            case Expired(senders):
                for gateway, number in senders:
                    if gateway == self.gateway:
                        self._refuse(number, SequencerUnreachable(_LATE))
            case Told(topic, body):
                self.on_told(topic, body)

    async def _sweep(self) -> None:
        """Let nobody wait for ever."""
        while True:
            await asyncio.sleep(RETRY_S)
            now_s = asyncio.get_running_loop().time()
            while self._pending:
                number, waiting = next(iter(self._pending.items()))
                if waiting.until_s > now_s:
                    break
                self._refuse(number, OutcomeUnknown(_UNKNOWN))


def _ignored(_topic: str, _body: bytes) -> None:
    """Nobody wants to know."""


def _fail(reply: Waiter, error: Exception) -> None:
    if not reply.done():
        reply.set_exception(error)


async def _either(event: asyncio.Event, timeout_s: float) -> None:
    """Until somebody sets it, or a while."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return
