"""The one door to Redis (or Valkey): a stream of commands, and a channel of news.

Bytes in, bytes out. Nothing is retried here: whether a command whose sending broke is in the stream
nobody knows, and a second one would be a second order.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import redis.asyncio as redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from exchange.journal import StreamId

LENGTH_MAX: Final = 200_000  # entries: bounds the server's memory while nobody leads
_TIMEOUT_S: Final = 4.0
_FIELD: Final = b"c"


class StreamLost(Exception):
    """The server is away, or refuses; what was under way may or may not have reached it."""


class Stream:
    """A client's side of both. All methods raise `StreamLost`."""

    def __init__(self, url: str, *, shard: int = 0) -> None:
        self._key = f"exchange:{shard}:commands"
        self._channel = f"exchange:{shard}:news"
        self._server = redis.Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            # Its own time limits go through `asyncio.wait_for`, which on Python 3.11 loses a
            # cancellation that comes with the answer: a loop around it would never end.
            socket_timeout=None,
            socket_connect_timeout=None,
            protocol=2,
        )

    async def clock_ms(self) -> int:
        """The server's clock."""
        async with _asking():
            seconds, micros = await self._server.time()
        return _milliseconds(seconds, micros)

    async def add(self, messages: Sequence[bytes]) -> None:
        """Append, in this order."""
        async with _asking(), self._server.pipeline(transaction=False) as pipe:
            for message in messages:
                pipe.xadd(self._key, {_FIELD: message}, maxlen=LENGTH_MAX, approximate=True)
            await pipe.execute()

    async def read(
        self, after: StreamId, *, count: int, wait_ms: int
    ) -> tuple[int, list[tuple[StreamId, bytes]]]:
        """The server's clock in ms, and what comes after a place, waiting a while for the first."""
        asking = _asking(wait_ms / 1_000)
        async with asking, self._server.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.xread({self._key: _text(after)}, count=count, block=wait_ms)
            (seconds, micros), found = await pipe.execute()
        rows = found[0][1] if found else []
        now_ms = _milliseconds(seconds, micros)
        return now_ms, [(_place(place), fields.get(_FIELD, b"")) for place, fields in rows]

    async def begin_after(self, place: StreamId) -> None:
        """Let what is added from now on come after `place`, also on a server that knows nothing.

        A server that lost its memory counts on from its clock, which may be behind the last one's.
        """
        if place.time_ms == 0:
            return
        async with _asking():
            try:
                await self._server.xadd(self._key, {b"mark": b""}, id=_text(place))
            except ResponseError as error:
                if "equal or smaller" not in str(error):  # as it is in all but the odd case
                    raise

    async def forget_before(self, place: StreamId) -> None:
        """Free the memory of entries before `place`."""
        async with _asking():
            await self._server.xtrim(self._key, minid=_text(place), approximate=True)

    async def forget(self, places: Sequence[StreamId]) -> None:
        """Take single entries out."""
        async with _asking():
            await self._server.xdel(self._key, *map(_text, places))

    async def forget_all(self) -> None:
        """Begin the stream anew."""
        async with _asking():
            await self._server.delete(self._key)

    async def say(self, message: bytes) -> None:
        """Tell everybody who listens now."""
        async with _asking():
            await self._server.publish(self._channel, message)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Listener"]:
        """What is said from here on."""
        hearing = self._server.pubsub()
        try:
            async with _asking():
                await hearing.subscribe(self._channel)
                await hearing.get_message(timeout=_TIMEOUT_S)  # that it is in force
            yield Listener(hearing)
        finally:
            await hearing.aclose()  # type: ignore[no-untyped-call]  # redis-py says no types there

    async def close(self) -> None:
        """Leave the server."""
        await self._server.aclose()


class Listener:
    """A subscription."""

    def __init__(self, hearing: Any) -> None:
        self._hearing = hearing

    async def next(self, wait_s: float) -> bytes | None:
        """The next message; None when nothing was said for a while."""
        async with _asking(wait_s):
            message = await self._hearing.get_message(timeout=wait_s)
        return message["data"] if message else None


@asynccontextmanager
async def _asking(extra_s: float = 0.0) -> AsyncIterator[None]:
    """Bounds a question in time, and turns the client's errors into ours."""
    try:
        async with asyncio.timeout(_TIMEOUT_S + extra_s):
            yield
    except (RedisError, OSError) as error:
        raise StreamLost(str(error) or type(error).__name__) from error


def _milliseconds(seconds: int, micros: int) -> int:
    return seconds * 1_000 + micros // 1_000


def _text(place: StreamId) -> str:
    return f"{place.time_ms}-{place.number}"


def _place(text: bytes) -> StreamId:
    time_ms, _, number = text.partition(b"-")
    return StreamId(int(time_ms), int(number))
