"""Reading signed requests and recovering signers in processes, away from the sequencer's loop.

In threads every recovery asks for the interpreter several times, and waits for the loop's whole
turn each time. A process is asked and answers in batches: what one turn of the loop brings travels
together. Without workers the loop does all of it.
"""

import asyncio
import socket
import sys
from asyncio.subprocess import Process
from collections import deque
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import islice
from typing import Final, Protocol, cast

import msgspec
import structlog

from exchange.api.errors import Busy, Unavailable
from exchange.api.reading import Reading
from exchange.api.recovering import ANSWER, FRAME, LEARN, READ, RECOVER, Lesson
from exchange.model import Instrument
from exchange.signing import Domain, checksum_address, recover_signer

WAITING_MAX: Final = 8_192
SIGNERS_KEPT: Final = 65_536  # texts of addresses, which cost more than all else here
RESTART_S: Final = 1.0
LOOK_S: Final = 1.0
LOOKS_MAX: Final = 5  # in which a process that is asked answers nothing: it stands still
LOOKS_FIRST: Final = 60  # the same of one that is starting, on a busy machine
STOP_S: Final = 5.0

_text: Final = lru_cache(SIGNERS_KEPT)(checksum_address)
_readings: Final = msgspec.msgpack.Decoder(Reading)
_log: Final = structlog.get_logger("gateway")


class Listed(Protocol):
    """What is listed; names are never taken back."""

    instrument_ids: dict[str, int]
    instruments: dict[int, Instrument]


class Line(Protocol):
    """A client whose requests keep their order."""

    last_read: "Asked | None"


Hear = Callable[[bytes | None], None]  # an answer; None if the process died


class Asked:
    """What a process was asked, for whoever hears the answer and whoever must follow it.

    With a `line` all is done once the answer was heard; else whoever hears it calls `forget`.
    """

    __slots__ = ("_followers", "_hear", "_line", "is_answered", "worker")

    def __init__(self, worker: "_Worker", hear: Hear, line: Line | None = None) -> None:
        self.worker = worker
        self.is_answered = False
        self._hear = hear
        self._line = line
        self._followers: list[asyncio.Future[None]] = []

    def tell(self, answer: bytes | None) -> None:
        """First to whom it belongs."""
        self.is_answered = True
        self._hear(answer)
        if self._line is not None:
            self.forget(self._line)
        for follower in self._followers:
            if not follower.done():  # it may have gone away
                follower.set_result(None)

    def forget(self, line: Line) -> None:
        """Nothing of it is under way any more: what comes next by this line need not wait."""
        if line.last_read is self:
            line.last_read = None

    async def answered(self) -> None:
        """Return after it was told."""
        follower = asyncio.get_running_loop().create_future()
        self._followers.append(follower)
        await follower


class SignatureWorkers:
    """Asks the process that has the least to do; one that dies is replaced after a second."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._workers: list[_Worker] = []
        self._restarts: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None

    @property
    def can_read(self) -> bool:
        """Whether there is a process to read requests."""
        return bool(self._workers)

    async def open(self) -> None:
        """Start the processes."""
        for _ in range(self._count):
            await self._start()
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """End a process that stands still: whoever waits for it would wait for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            for worker in self._workers:
                worker.look()

    async def recover(self, digest: bytes, signature: bytes) -> str | None:
        """The signer's checksummed address, or None for a signature the contract would refuse."""
        if not self._workers:  # none wanted, or all just died
            return recover_signer(digest, signature)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        worker = self._least()
        worker.ask(RECOVER, digest + signature, Asked(worker, partial(_resolve, answer)))
        address = await answer
        return _text(address) if address else None

    async def read(
        self, text: bytes, domain: Domain, listed: Listed, line: Line | None
    ) -> Reading | None:
        """What a signed request says; None if the gateway must read it itself."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        asked = Asked(self._reader(domain, listed, line), partial(_resolve, answer))
        self._ask_to_read(text, asked, line)
        try:
            return reading_of(await answer)
        finally:
            if line is not None:  # only now: until here what comes next must let this go on first
                asked.forget(line)

    def ask_to_read(
        self, text: bytes, domain: Domain, listed: Listed, line: Line | None, hear: Hear
    ) -> None:
        """Have a signed request read; `hear` hears what `reading_of` understands, and goes on."""
        self._ask_to_read(text, Asked(self._reader(domain, listed, line), hear, line), line)

    def _reader(self, domain: Domain, listed: Listed, line: Line | None) -> "_Worker":
        """What came by one line is read in its order: by one process, until that has answered."""
        last = line.last_read if line is not None else None
        if last is not None and last.is_answered:
            last = None
        worker = self._with_room(last.worker) if last else self._least()
        worker.teach(domain, listed)
        return worker

    def _ask_to_read(self, text: bytes, asked: Asked, line: Line | None) -> None:
        asked.worker.ask(READ, text, asked)
        if line is not None:
            line.last_read = asked

    def _least(self) -> "_Worker":
        return self._with_room(min(self._workers, key=_Worker.waiting))

    def _with_room(self, worker: "_Worker") -> "_Worker":
        if worker.waiting() * len(self._workers) >= WAITING_MAX:
            raise Busy("too many signatures wait to be checked; try again")
        return worker

    async def close(self) -> None:
        """End the processes; whoever still waits is told that nothing can be checked now."""
        if self._looking is not None:
            self._looking.cancel()
        for task in self._restarts:
            task.cancel()
        workers, self._workers = self._workers, []
        for worker in workers:
            await worker.end()

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "exchange.api.recovering", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
            )
        loop = asyncio.get_running_loop()
        _, worker = await loop.create_connection(lambda: _Worker(process, self._lost), sock=ours)
        if worker.is_lost:  # before anybody knew it
            self._replace()
        else:
            self._workers.append(worker)

    def _lost(self, worker: "_Worker") -> None:
        if worker in self._workers:  # else it was told to end, or is not known yet
            self._workers.remove(worker)
            self._replace()

    def _replace(self) -> None:
        _log.error("a process that checks signatures died; another is started")
        task = asyncio.get_running_loop().create_task(self._restart())
        self._restarts.add(task)
        task.add_done_callback(self._restarts.discard)

    async def _restart(self) -> None:
        while True:
            await asyncio.sleep(RESTART_S)
            try:
                await self._start()
            except OSError as error:  # no process or file is left: perhaps later
                _log.error("no process to check signatures", reason=str(error))
            else:
                return


def reading_of(answer: bytes | None) -> Reading | None:
    """What a process made of a request; None if the gateway must read it itself."""
    return _readings.decode(answer) if answer else None


def _resolve(future: asyncio.Future[bytes], answer: bytes | None) -> None:
    if future.done():  # the caller may have gone away
        return
    if answer is None:
        future.set_exception(Unavailable("signatures cannot be checked now; try again"))
    else:
        future.set_result(answer)


class _Worker(asyncio.Protocol):
    """One process, and what it was asked, in order."""

    _transport: asyncio.Transport

    def __init__(self, process: Process, lost: Callable[["_Worker"], None]) -> None:
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._lost = lost
        self._asked: deque[Asked] = deque()
        self._frames: list[bytes] = []  # of this turn of the loop
        self._answers = b""
        self._domain: Domain | None = None  # that it knows
        self._taught = 0  # instruments that it knows
        self._heard = False  # since it was looked at last
        self._silent_looks = 0
        self._patience = LOOKS_FIRST
        self.is_lost = False

    def look(self) -> None:
        """Kill it if it was asked, and answered nothing in so many looks."""
        is_silent, self._heard = bool(self._asked) and not self._heard, False
        self._silent_looks = self._silent_looks + 1 if is_silent else 0
        if self._silent_looks >= self._patience:
            _log.error("a process that checks signatures stands still", waiting=len(self._asked))
            self._process.kill()

    def waiting(self) -> int:
        """Signatures that are not answered."""
        return len(self._asked)

    def teach(self, domain: Domain, listed: Listed) -> None:
        """Tell it what it must know to read the next request."""
        names = listed.instrument_ids
        if self._taught == len(names) and self._domain == domain:
            return
        new = [
            (name, number, listed.instruments[number].legs_hash)
            for name, number in islice(names.items(), self._taught, None)
        ]
        self._domain, self._taught = domain, len(names)
        lesson = Lesson(domain.chain_id, domain.clearing, new)
        self._put(LEARN, msgspec.msgpack.encode(lesson))

    def ask(self, kind: int, body: bytes, asked: Asked) -> None:
        """Send a request with all others of this turn of the loop."""
        self._put(kind, body)
        self._asked.append(asked)

    def _put(self, kind: int, body: bytes) -> None:
        if not self._frames:
            self._loop.call_soon(self._send)
        self._frames += (FRAME.pack(len(body), kind), body)

    async def end(self) -> None:
        """Close the line, upon which the process ends."""
        self._transport.close()
        try:
            async with asyncio.timeout(STOP_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The line to the process is open."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is of another class

    def data_received(self, data: bytes) -> None:
        """Answers, perhaps with the beginning of one."""
        self._heard, self._patience = True, LOOKS_MAX
        answers, at = self._answers + data, 0
        while len(answers) - at >= ANSWER.size:
            (size,) = ANSWER.unpack_from(answers, at)
            end = at + ANSWER.size + size
            if end > len(answers):
                break
            self._asked.popleft().tell(answers[at + ANSWER.size : end])
            at = end
        self._answers = answers[at:]

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 -- asyncio's name
        """Nobody waits in vain."""
        self.is_lost = True
        self._lost(self)
        while self._asked:
            self._asked.popleft().tell(None)

    def _send(self) -> None:
        frames, self._frames = self._frames, []
        self._transport.write(b"".join(frames))
