"""The single writer: stamps commands, applies them, commits them, and only then tells anybody.

Durable before visible (docs/ARCHITECTURE.md): replies, events and reads are released after the
commit of the group they belong to. A group is whatever waited while the last one was being written.
If a commit fails, what the disk holds is unknown: every waiter gets the error and the sequencer
stops for good; restart replays the journal, which is the only recovery path.

This is the one module with a clock. Venue time never goes back: a machine clock that does is
overruled by the last stamped time until it catches up.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec

from exchange.commands import AnyCommand, NoteAction
from exchange.engine import Engine
from exchange.events import AnyEvent, BatchCut
from exchange.journal import (
    Arrival,
    Entry,
    EntryEncoder,
    Journal,
    JournalCorrupt,
    JournalReader,
)

T = TypeVar("T")
Listener = Callable[[Sequence[Entry]], None]

GROUP_MAX: Final = 512  # commands in one commit: bounds the wait of the first one
IN_LOOP_MAX: Final = (
    64  # commands in a commit that the loop waits for: one of more is worth a thread
)
# What comes of a command that no engine took: of its asserts, or of what its checks would refuse.
_NEVER_JOURNALED: Final = (AssertionError, LookupError, ArithmeticError, ValueError)
_NEVER: Final = 1 << 63  # a seq that no journal reaches
QUEUE_MAX: Final = 16_384  # commands waiting; beyond it the edge answers "busy"


class SequencerStopped(Exception):
    """The sequencer takes no more commands; restart the process, which replays the journal."""


class SequencerBusy(Exception):
    """Too many commands wait; try again."""


class SequencerUnreachable(Exception):
    """The command did not reach the writer, and never will; try again."""


class OutcomeUnknown(Exception):
    """The command was sent, and nobody said in time what became of it: ask, by its nonce say."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of a command; durable by the time anybody sees it."""

    seq: int
    time_ns: int
    events: tuple[AnyEvent, ...]
    chain_hash: bytes


class Told(Protocol):
    """Who waits for a reply: a future, or somebody who needs no task to go on."""

    def done(self) -> bool:
        """Whether it went away."""

    def set_result(self, reply: Reply, /) -> None:
        """The command is durable."""

    def set_exception(self, error: Exception, /) -> None:
        """The command may or may not be in the journal."""


# Whom to tell, the clock when it came, what asked for it, where somebody traces that, and how it
# came if nobody in this process waits for it.
Waiter = tuple[AnyCommand, Told | None, float, object, Arrival | None]

machine_time_ns: Final = time.time_ns  # for those that follow a sequencer of another process

STAGES: Final = ("queue", "apply", "journal", "publish")  # of a group, in this order
Measure = Callable[[str, float], None]  # a stage, and the seconds that it took


class GroupTimes(NamedTuple):
    """When a group passed its stages, in seconds of `time.perf_counter`."""

    entries: Sequence[Entry]
    origins: Sequence[object]  # of each entry: what `Trace.origin` said
    queued_s: Sequence[float]  # of each entry
    applied_from_s: float
    journaled_from_s: float
    published_from_s: float
    done_s: float


class Trace(Protocol):
    """Who follows single commands through the stages."""

    def origin(self) -> object:
        """What asks, by the context of a caller of `submit`."""

    def group(self, times: GroupTimes) -> None:
        """A group was released."""


def _unmeasured(_stage: str, _seconds: float) -> None:
    """Nobody looks."""


def replay(entries: Iterable[Entry], engine: Engine, *, hashed_from: int = 0) -> None:
    """Apply journaled commands at once, see `replayed`."""
    for _ in replayed(entries, engine, hashed_from=hashed_from):
        pass


def replayed(
    entries: Iterable[Entry], engine: Engine, *, hashed_from: int = 0, believed_to: int = 0
) -> Iterator[Entry]:
    """Apply journaled commands, each when it is asked for. Different events are corruption.

    Before seq `hashed_from` the recorded hashes of the state stand for computed ones: a state that
    strayed earlier has another hash there too, and to compute them all takes longer than the rest.
    Up to `believed_to` orders that were accepted before it are not checked again either: whoever
    asks for that sees to it that the hash is there.
    """
    for entry in entries:
        try:
            if entry.seq < hashed_from:
                believed = entry.seq <= believed_to
                same = engine.replay(
                    entry.seq, entry.time_ns, entry.command, entry.events, proven_later=believed
                )
            else:
                same = engine.apply(entry.seq, entry.time_ns, entry.command) == entry.events
                if same and entry.seq == hashed_from:
                    _require_hash(entry)
        except _NEVER_JOURNALED as error:
            raise JournalCorrupt(f"seq {entry.seq} cannot be applied: {error!r}") from error
        if not same:
            raise JournalCorrupt(f"seq {entry.seq} replays to other events than the journal holds")
        yield entry


def _require_hash(entry: Entry) -> None:
    """Corruption where a hash of the state is said to be and no batch was cut."""
    if not any(isinstance(event, BatchCut) for event in entry.events):
        raise JournalCorrupt(f"a hash of the state is recorded at seq {entry.seq}, which cut none")


def catch_up(
    reader: JournalReader, engine: Engine, *, trust_hashes: bool = False, believed_to: int = 0
) -> Iterator[Entry]:
    """Replay what a journal holds beyond an engine, entry by entry, to the end.

    `trust_hashes` accepts that the state has another form, and so other hashes, than in the version
    that wrote the journal; all other events are compared as always. Otherwise accepted orders up to
    `believed_to` are not checked again, and nothing that is believed ends without its proof.
    """
    entries = reader.entries(engine.seq)
    if trust_hashes:
        yield from replayed(entries, engine, hashed_from=_NEVER)  # it may grow meanwhile
        return
    proof = reader.last_checkpoint()
    yield from replayed(entries, engine, hashed_from=proof, believed_to=believed_to)
    if engine.seq < proof:
        raise JournalCorrupt(f"it ends at seq {engine.seq}, before the state's hash at {proof}")


class Sequencer:
    """Owns the engine and the journal of one shard.

    The engine may be new or come from a snapshot: what the journal holds beyond it is replayed.
    With `in_loop` the loop itself waits for the disk when it writes little: for a local journal,
    whose commit is then shorter than a thread's wait for the interpreter (ADR 0054).
    """

    def __init__(  # noqa: PLR0913 -- what it is made of
        self,
        engine: Engine,
        journal: Journal,
        *,
        machine_clock: Callable[[], int] = time.time_ns,
        trust_hashes: bool = False,
        measure: Measure = _unmeasured,
        trace: Trace | None = None,
        in_loop: bool = False,
    ) -> None:
        self._engine = engine
        self._in_loop = in_loop
        self._measure = measure
        self._trace = trace
        self._commit_since_s: float | None = None
        self._journal = journal
        self._machine_clock = machine_clock
        for _ in catch_up(journal.reader, engine, trust_hashes=trust_hashes):
            pass
        self._last_time_ns = engine.time_ns
        self._encoder = EntryEncoder(journal.last_seq, journal.chain_hash)
        self._waiting: deque[Waiter] = deque()  # asyncio's queue takes a microsecond for each
        self._arrived, self._room = asyncio.Event(), asyncio.Event()
        self._between_commits = asyncio.Lock()
        self._listeners: list[Listener] = []
        self._failure: BaseException | None = None

    def now_ns(self) -> int:
        """Venue time: machine clock plus journaled offset, never before the last stamp."""
        return self._venue_ns(self._machine_clock())

    def _venue_ns(self, machine_ns: int) -> int:
        return max(machine_ns + self._engine.clock_offset_ns, self._last_time_ns)

    def queue_length(self) -> int:
        """Commands waiting to be stamped."""
        return len(self._waiting)

    def commit_s(self) -> float:
        """How long the commit under way has taken so far, in seconds; 0 between commits."""
        since_s = self._commit_since_s
        return 0.0 if since_s is None else time.perf_counter() - since_s

    @property
    def last_seq(self) -> int:
        """Seq of the newest durable command."""
        return self._journal.last_seq

    @property
    def stopped(self) -> bool:
        """Whether a failed commit ended this sequencer."""
        return self._failure is not None

    async def submit(self, command: AnyCommand, *, note: NoteAction | None = None) -> Reply:
        """Stamp, apply and commit `command`, and just before it the `note` of who wants it.

        Returns when it is durable. Raises `SequencerBusy` when the queue is full and
        `SequencerStopped` after a failed commit.
        """
        if note is None:
            return await self._promised(command)
        _, reply = await asyncio.gather(self._promised(note), self._promised(command))
        return reply

    def _promised(self, command: AnyCommand) -> asyncio.Future[Reply]:
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.enqueue(command, reply)
        return reply

    def enqueue(self, command: AnyCommand, told: Told) -> None:
        """Do as `submit`, without waiting: `told` is told within the turn that releases it."""
        if self._failure is not None:
            raise self._stopped()
        if len(self._waiting) >= QUEUE_MAX:
            raise SequencerBusy(f"{QUEUE_MAX} commands are waiting; try again")
        origin = None if self._trace is None else self._trace.origin()
        self._put((command, told, time.perf_counter(), origin, None))

    def _put(self, waiter: Waiter) -> None:
        self._waiting.append(waiter)
        if len(self._waiting) == 1:
            self._arrived.set()

    async def admit(self, command: AnyCommand, arrival: Arrival) -> None:
        """Take a command that came by a stream, as soon as there is room.

        What becomes of it stands in the journal, beside `arrival`. Raises `SequencerStopped`.
        """
        while self._failure is None and len(self._waiting) >= QUEUE_MAX:
            self._room.clear()
            await self._room.wait()
        if self._failure is not None:
            raise self._stopped()
        self._put((command, None, time.perf_counter(), None, arrival))

    async def read(self, query: Callable[[Engine], T]) -> T:
        """Run `query` between commits, so that it sees durable state only. It must not mutate.

        Raises `SequencerStopped` after a failed commit: what the engine applied then may be lost.
        """
        async with self._between_commits:
            if self._failure is not None:
                raise self._stopped()
            return query(self._engine)

    def _stopped(self) -> SequencerStopped:
        return SequencerStopped(str(self._failure) or type(self._failure).__name__)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each committed group, in order; returns the way to unsubscribe."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def run(self) -> None:
        """Write groups until cancelled, or until a commit fails, which raises.

        However it ends, nobody waits in vain: those without a reply get `SequencerStopped`, which
        does not say whether their command is in the journal.
        """
        group: list[Waiter] = []
        try:
            while True:
                group = await self._next_group()
                async with self._between_commits:
                    entries, applied_from_s, journaled_from_s = await self._write(group)
                released_s = time.perf_counter()
                self._release(entries, group)
                done_s = time.perf_counter()
                self._measure("publish", done_s - released_s)
                if self._trace is not None:
                    origins, queued_s = [one[3] for one in group], [one[2] for one in group]
                    stages = (applied_from_s, journaled_from_s, released_s, done_s)
                    self._trace.group(GroupTimes(entries, origins, queued_s, *stages))
                if self._in_loop:
                    await asyncio.sleep(0)  # all others' turn: a queue may never be empty
        except BaseException as error:
            self._fail(error, group)
            raise

    async def _next_group(self) -> list[Waiter]:
        """What waits, up to a group, as soon as anything does."""
        waiting = self._waiting
        if not waiting:
            self._arrived.clear()
            await self._arrived.wait()
        group = [waiting.popleft() for _ in range(min(GROUP_MAX, len(waiting)))]
        self._room.set()
        return group

    async def _write(self, group: Sequence[Waiter]) -> tuple[list[Entry], float, float]:
        """What is durable now, and when it began to be applied and to be written."""
        entries: list[Entry] = []
        records: list[bytes] = []
        state_hashes: dict[int, bytes] = {}
        arrivals: dict[int, Arrival] = {}
        start_s = time.perf_counter()
        self._measure("queue", start_s - group[0][2])
        machine_ns = self._machine_clock()  # one look for all
        for command, *_, arrival in group:
            time_ns = self._last_time_ns = self._venue_ns(machine_ns)
            events = self._engine.apply(self._encoder.last_seq + 1, time_ns, command)
            entry, record = self._encoder.stamp(time_ns, command, events)
            entries.append(entry)
            records.append(record)
            if arrival is not None:
                arrivals[entry.seq] = arrival
            for event in events:
                if isinstance(event, BatchCut):
                    state_hashes[entry.seq] = event.state_hash
        self._commit_since_s = applied_s = time.perf_counter()
        self._measure("apply", applied_s - start_s)
        append = partial(self._journal.append, entries, records, state_hashes, arrivals or None)
        if self._in_loop and len(entries) <= IN_LOOP_MAX:
            append()
        else:
            await aside(append)
        self._commit_since_s = None
        self._measure("journal", time.perf_counter() - applied_s)
        return entries, start_s, applied_s

    def _release(self, entries: Sequence[Entry], group: Sequence[Waiter]) -> None:
        for listener in tuple(self._listeners):
            listener(entries)
        for entry, (_, reply, *_) in zip(entries, group, strict=True):
            if reply is not None and not reply.done():  # the caller may have gone away
                reply.set_result(
                    Reply(
                        seq=entry.seq,
                        time_ns=entry.time_ns,
                        events=entry.events,
                        chain_hash=entry.chain_hash,
                    )
                )

    def _fail(self, error: BaseException, group: Sequence[Waiter]) -> None:
        self._failure = error
        waiting = [*group, *self._waiting]
        self._waiting.clear()
        self._room.set()
        for _, reply, *_ in waiting:
            if reply is not None and not reply.done():
                reply.set_exception(SequencerStopped(str(error) or type(error).__name__))


async def aside(work: Callable[[], None]) -> None:
    """Do it in a thread, to its end: whoever stops waiting may close what it uses."""
    done = asyncio.get_running_loop().run_in_executor(None, work)
    stopped: asyncio.CancelledError | None = None
    while not done.done():
        try:
            await asyncio.wait({done})
        except asyncio.CancelledError as error:
            stopped = error
    if stopped is not None:
        raise stopped from done.exception()
    done.result()
