"""What waits to be sent to one client: bounded, and conflated before it grows.

A client that reads slowly costs nobody else anything. Latest-value channels keep one message; book
deltas beyond a few are dropped for a fresh snapshot; replies, trades and the client's own orders
are never dropped: when they do not fit, the client is disconnected with 1013 and may come back.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

DELTAS_MAX: Final = 64  # waiting book deltas of one channel before a snapshot replaces them


class _Kind(Enum):
    MESSAGE = 0
    LATEST = 1
    DELTA = 2
    RESYNC = 3


class _Item(NamedTuple):
    kind: _Kind
    channel: str
    message: bytes


class Outbox:
    """Messages to one client; `resync(channel)` gives a conflated book's snapshot, or None."""

    def __init__(
        self, messages_max: int, bytes_max: int, resync: Callable[[str], bytes | None]
    ) -> None:
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._resync = resync
        self._items: deque[_Item] = deque()
        self._bytes = 0
        self._latest: dict[str, bytes] = {}
        self._delta_counts: dict[str, int] = {}
        self._resyncing: set[str] = set()
        self._filled = asyncio.Event()
        self.overflowed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, message: bytes) -> None:
        """Queue what must arrive."""
        self._append(_Item(_Kind.MESSAGE, "", message))

    def put_latest(self, channel: str, message: bytes) -> None:
        """Queue a message that a later one of the channel may replace."""
        waiting = self._latest.get(channel)
        self._latest[channel] = message
        if waiting is None:
            self._append(_Item(_Kind.LATEST, channel, b""))
        self._bytes += len(message) - len(waiting or b"")

    def put_delta(self, channel: str, message: bytes) -> None:
        """Queue a book delta; too many of a channel become one snapshot."""
        if channel in self._resyncing:
            return
        count = self._delta_counts.get(channel, 0)
        if count >= DELTAS_MAX:
            self._resyncing.add(channel)
            self._append(_Item(_Kind.RESYNC, channel, b""))
            return
        self._delta_counts[channel] = count + 1
        self._append(_Item(_Kind.DELTA, channel, message))

    def forget(self, channel: str) -> None:
        """Drop what waits of a channel that the client left."""
        self._latest.pop(channel, None)
        self._delta_counts.pop(channel, None)
        self._resyncing.discard(channel)

    async def take(self) -> bytes:
        """The next message to send."""
        while True:
            message = self.pop()
            if message is not None:
                return message
            self._filled.clear()
            await self._filled.wait()

    def pop(self) -> bytes | None:
        """The next message, or None when nothing waits."""
        while self._items:
            message = self._open(self._items.popleft())
            if message is not None:
                return message
        return None

    def _append(self, item: _Item) -> None:
        self._items.append(item)
        self._bytes += len(item.message)
        self._filled.set()
        if len(self._items) > self._messages_max or self._bytes > self._bytes_max:
            self.overflowed.set()

    def _open(self, item: _Item) -> bytes | None:
        self._bytes -= len(item.message)
        match item.kind:
            case _Kind.MESSAGE:
                return item.message
            case _Kind.LATEST:
                message = self._latest.pop(item.channel, None)
                self._bytes -= len(message or b"")
                return message
            case _Kind.DELTA:
                if item.channel in self._resyncing or item.channel not in self._delta_counts:
                    return None
                self._delta_counts[item.channel] -= 1
                return item.message
            case _Kind.RESYNC:
                if item.channel not in self._resyncing:
                    return None
                self._resyncing.discard(item.channel)
                self._delta_counts[item.channel] = 0
                return self._resync(item.channel)
