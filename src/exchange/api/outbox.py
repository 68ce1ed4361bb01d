"""What waits to be sent to one client: bounded, and conflated before it grows.

While its line takes all that comes, nothing waits. A client that reads slowly costs nobody else
anything. Latest-value channels keep one message; book deltas beyond a few are dropped for a fresh
snapshot; replies, trades and the client's own orders are never dropped: when they do not fit, the
client is disconnected with 1013 and may come back.
"""

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
    """Messages to one client, which wait until they may `flow`.

    `resync(channel)` gives a conflated book's snapshot, or None; `overflow` hears that too much
    waits, and may hear it again.
    """

    def __init__(
        self,
        messages_max: int,
        bytes_max: int,
        resync: Callable[[str], bytes | None],
        overflow: Callable[[], None],
    ) -> None:
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._resync = resync
        self._overflow = overflow
        self._send: Callable[[bytes], None] | None = None
        self._items: deque[_Item] = deque()
        self._bytes = 0
        self._latest: dict[str, bytes] = {}
        self._delta_counts: dict[str, int] = {}
        self._resyncing: set[str] = set()

    def __len__(self) -> int:
        return len(self._items)

    def flow(self, send: Callable[[bytes], None]) -> None:
        """Send what waits, and then what comes as it comes, until `hold`."""
        self._send = send
        while (message := self.pop()) is not None:
            send(message)
            if self._send is None:
                break

    def hold(self) -> None:
        """Let messages wait; `send` may ask for it."""
        self._send = None

    def put(self, message: bytes) -> None:
        """Send what must arrive."""
        if self._send is not None:
            self._send(message)
            return
        self._append(_Item(_Kind.MESSAGE, "", message))

    def put_latest(self, channel: str, message: bytes) -> None:
        """Send a message that a later one of the channel may replace."""
        if self._send is not None:
            self._send(message)
            return
        waiting = self._latest.get(channel)
        self._latest[channel] = message
        if waiting is None:
            self._append(_Item(_Kind.LATEST, channel, b""))
        self._bytes += len(message) - len(waiting or b"")

    def put_delta(self, channel: str, message: bytes) -> None:
        """Send a book delta; too many waiting ones of a channel become one snapshot."""
        if self._send is not None:
            self._send(message)
            return
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
        self._bytes -= len(self._latest.pop(channel, b""))
        self._delta_counts.pop(channel, None)
        self._resyncing.discard(channel)

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
        if len(self._items) > self._messages_max or self._bytes > self._bytes_max:
            self._overflow()

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
