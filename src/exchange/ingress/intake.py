"""The leader's side: commands from the stream to the sequencer, in order, each once.

It begins after the newest place that the journal names, so what was applied by whoever led before
is never read again, and what was not is. What waited too long, by the server's clock, is refused
and never applied: its sender has told its client by then that nobody knows. ADR 0044 says what a
clock that goes back does to that.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final

import structlog

from exchange.ingress.messages import Committed, Expired, Forged, Seal, Told
from exchange.ingress.stream import Stream, StreamLost
from exchange.journal import Arrival, Entry, Journal, Sender, StreamId
from exchange.sequencer import Sequencer

EXPIRY_MS: Final = 5_000  # how old a command may be, by the clock of the stream's server
READ_MAX: Final = 512  # entries at once: a group of the sequencer
WAIT_MS: Final = 200
RETRY_S: Final = 0.2
TRIM_S: Final = 1.0
GATEWAYS_MAX: Final = 1_000  # of which the last number is remembered

log = structlog.get_logger(__name__)


class Intake:
    """Run it as long as this process leads."""

    def __init__(
        self,
        sequencer: Sequencer,
        journal: Journal,
        stream: Stream,
        seal: Seal,
        *,
        expiry_ms: int = EXPIRY_MS,
    ) -> None:
        self._sequencer = sequencer
        self._journal = journal
        self._stream = stream
        self._seal = seal
        self._expiry_ms = expiry_ms
        self._place = journal.last_place
        self._clock_ms = 0  # of the server, the furthest that it ever showed
        self._last_numbers: dict[int, int] = {}  # by gateway
        self._committed = asyncio.Event()
        self.connected = False
        self._lost = False  # ever, which is told once
        self.taken = 0  # commands, for the metrics page
        self.expired = 0
        sequencer.subscribe(self._on_entries)

    async def run(self) -> None:
        """Take commands until cancelled; raises `LeaseLost` where another leads by now."""
        async with asyncio.TaskGroup() as tasks:
            for part in (self._take, self._announce, self._trim):
                tasks.create_task(self._through_losses(part))

    async def _through_losses(self, part: Callable[[], Awaitable[None]]) -> None:
        """Begin again when the server comes back; all that matters is in the journal."""
        while True:
            try:
                await part()
            except StreamLost as error:
                if self.connected or not self._lost:
                    log.warning("redis_lost", reason=str(error))
                self.connected, self._lost = False, True
            await asyncio.sleep(RETRY_S)

    async def _take(self) -> None:
        await self._stream.begin_after(self._place)
        while True:
            asked_s = monotonic()
            now_ms, found = await self._stream.read(self._place, count=READ_MAX, wait_ms=WAIT_MS)
            self.connected = True  # again, whichever part had lost it
            # Ages count from before the question: so a process that was frozen meanwhile sees it.
            late: dict[StreamId, Sender] = {}
            # It may have gone back, and goes on to number from where it was.
            self._clock_ms = max(self._clock_ms, now_ms, self._journal.last_place.time_ms)
            if found and found[-1][0].time_ms > self._clock_ms + self._expiry_ms:
                await self._begin_anew(found[-1][0])
            for place, sealed in found:
                age_ms = (monotonic() - asked_s) * 1_000
                await self._take_one(place, sealed, now_ms + age_ms, late)
                self._place = place
            if late:
                await self._refuse(late)

    async def _begin_anew(self, place: StreamId) -> None:
        """Forget a stream that is beyond its clock: somebody led it there, or the clock went back.

        The server would number all that follows after such a place, and how old what was sent
        before the clock went back is nobody knows. Senders hear nothing, as of any loss.
        """
        log.error("ingress_ahead_of_its_clock", place=place)
        await self._stream.forget_all()
        raise StreamLost("the stream ran ahead of its server's clock")

    async def _take_one(
        self, place: StreamId, sealed: bytes, now_ms: float, late: dict[StreamId, Sender]
    ) -> None:
        """Hand one command on, or add its sender to those that are too old."""
        if not sealed:  # the mark of a leader that began here
            return
        try:
            request = self._seal.open_request(sealed)
        except Forged as error:
            log.warning("ingress_refused", place=place, reason=str(error))
            return
        sender = request.sender
        if sender.number <= self._last_numbers.get(sender.gateway, 0):
            log.warning("ingress_repeated", place=place, sender=sender)
            return
        if request.sent_ms > now_ms + self._expiry_ms:
            await self._begin_anew(place)
        self._remember(sender)
        # Both: a server that was frozen gives old commands new places.
        if min(place.time_ms, request.sent_ms) < now_ms - self._expiry_ms:
            late[place] = sender
            return
        self.taken += 1
        await self._sequencer.admit(request.command, Arrival(place, sender))

    def _remember(self, sender: Sender) -> None:
        self._last_numbers.pop(sender.gateway, None)  # the newest stand last
        self._last_numbers[sender.gateway] = sender.number
        if len(self._last_numbers) > GATEWAYS_MAX:
            del self._last_numbers[next(iter(self._last_numbers))]

    async def _refuse(self, late: Mapping[StreamId, Sender]) -> None:
        """Say that nothing was done, once it is sure that nobody did it or will.

        Whoever leads after this beat finds them gone; though a clock went back, and they young.
        """
        await asyncio.to_thread(self._journal.beat)
        await self._stream.forget(tuple(late))
        self.expired += len(late)
        await self._stream.say(self._seal.news(Expired(tuple(late.values()))))

    async def tell(self, topic: str, body: bytes) -> None:
        """Tell those who follow what no journal holds; lost where nobody listens."""
        with suppress(StreamLost):
            await self._stream.say(self._seal.news(Told(topic, body)))

    def _on_entries(self, _: Sequence[Entry]) -> None:
        self._committed.set()

    async def _announce(self) -> None:
        """Wake those who follow, after each commit."""
        while True:
            await self._committed.wait()
            self._committed.clear()
            await self._stream.say(self._seal.news(Committed(self._sequencer.last_seq)))

    async def _trim(self) -> None:
        while True:
            await asyncio.sleep(TRIM_S)
            await self._stream.forget_before(self._journal.last_place)
