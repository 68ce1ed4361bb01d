"""Channels that a client listens to: streams for programs, mirrors for books.

A stream is a bounded queue; the oldest message leaves first, and `dropped` counts. After a
reconnection the venue sends first data again, so latest-value streams and mirrors recover alone.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

from exchange.sdk.book import BookMirror

QUEUE_MAX: Final = 10_000


class Stream:
    """Messages of some channels: `async for channel, data in stream`."""

    def __init__(self, channels: list[str], queue_max: int = QUEUE_MAX) -> None:
        self.channels = channels
        self.dropped = 0
        self._queue_max = queue_max
        self._messages: deque[tuple[str, Any]] = deque()
        self._filled = asyncio.Event()

    def put(self, channel: str, data: Any) -> None:
        """Take a message."""
        if len(self._messages) >= self._queue_max:
            self._messages.popleft()
            self.dropped += 1
        self._messages.append((channel, data))
        self._filled.set()

    async def next(self) -> tuple[str, Any]:
        """The next message: its channel and data."""
        while not self._messages:
            self._filled.clear()
            await self._filled.wait()
        return self._messages.popleft()

    async def __aiter__(self) -> AsyncIterator[tuple[str, Any]]:
        while True:
            yield await self.next()


class Subscriptions:
    """Who in this client listens to what."""

    def __init__(self) -> None:
        self._streams: dict[str, list[Stream]] = {}
        self._mirrors: dict[str, BookMirror] = {}
        self._refreshed: dict[str, asyncio.Event] = {}
        self.gaps: asyncio.Queue[str] = asyncio.Queue()

    @property
    def channels(self) -> list[str]:
        """Every channel to be joined."""
        return sorted(self._streams.keys() | self._mirrors.keys())

    def add_stream(self, stream: Stream) -> None:
        """Route channels to a stream."""
        for channel in stream.channels:
            self._streams.setdefault(channel, []).append(stream)

    def remove_stream(self, stream: Stream) -> list[str]:
        """Stop routing; returns channels that nobody needs any more."""
        unused = []
        for channel in stream.channels:
            streams = self._streams.get(channel, [])
            if stream in streams:
                streams.remove(stream)
            if not streams:
                self._streams.pop(channel, None)
                if channel not in self._mirrors:
                    unused.append(channel)
        return unused

    def add_mirror(self, channel: str, mirror: BookMirror) -> asyncio.Event:
        """Route a book channel to a mirror; the event is set at its first snapshot."""
        self._mirrors[channel] = mirror
        return self._refreshed.setdefault(channel, asyncio.Event())

    def mirror(self, channel: str) -> BookMirror | None:
        """The mirror of a channel."""
        return self._mirrors.get(channel)

    def lost(self) -> None:
        """The connection broke: no mirror is to be trusted until its next snapshot."""
        for mirror in self._mirrors.values():
            mirror.stale = True

    def receive(self, channel: str, data: Any) -> None:
        """Hand a message to its listeners."""
        mirror = self._mirrors.get(channel)
        if mirror is not None:
            was_stale = mirror.stale
            if mirror.apply(data):
                self._refreshed[channel].set()
            elif not was_stale:
                self.gaps.put_nowait(channel)
        for stream in self._streams.get(channel, ()):
            stream.put(channel, data)
