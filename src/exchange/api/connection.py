"""One WebSocket client: its session, its channels, its outbox, its heartbeat.

Knows nothing of sockets: what it says leaves by the outbox, and it ends by a function given to it.
"""

import asyncio
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Final

from exchange.api.auth import Session
from exchange.api.outbox import Outbox
from exchange.api.settings import GatewaySettings
from exchange.api.signatures import Asked

ORDERS_KEPT: Final = 1_024  # placed by one connection before those that are over are forgotten
TEST_REQUEST: Final = b'{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}'


class _Beat(Enum):
    LISTENING = 0  # for anything; after an interval of silence we ask
    QUIET = 1  # something came: an interval's rest
    ASKED = 2  # silence is the end now


class Connection:
    """State of one client; `address` is its network address.

    `end` is called once there is a `close_reason`, in the middle of whatever found it.
    """

    def __init__(
        self,
        address: str,
        settings: GatewaySettings,
        resync: Callable[["Connection", str], bytes | None],
        end: Callable[[], None] = lambda: None,
    ) -> None:
        self.address = address
        self.session: Session | None = None
        self.channels: set[str] = set()
        self.last_read: Asked | None = None  # of its signed requests
        self.outbox = Outbox(
            settings.outbox_messages_max,
            settings.outbox_bytes_max,
            lambda channel: resync(self, channel),
            lambda: self.end("slow consumer: the queue to this client is full"),
        )
        self.cancel_on_disconnect = False
        self.calls: dict[int, object] = {}  # under way, numbered as they came
        self._idle: asyncio.Future[None] | None = None  # for those who wait until there are none
        self.quoted: set[int] = set()  # subaccounts whose sheets came by this connection
        self.order_ids: set[int] = set()  # placed by this connection, some of them over
        self._prune_at = ORDERS_KEPT
        self.close_reason = ""
        self._end = end
        self._heartbeat_s = 0.0
        self._beat = _Beat.LISTENING
        self._next_beat: asyncio.TimerHandle | None = None

    def note_orders(self, order_ids: Iterable[int], is_open: Callable[[int], bool]) -> None:
        """Remember orders placed here; those that are over are forgotten now and then."""
        self.order_ids.update(order_ids)
        if len(self.order_ids) >= self._prune_at:
            self.order_ids = set(filter(is_open, self.order_ids))
            self._prune_at = max(ORDERS_KEPT, 2 * len(self.order_ids))

    async def follow(self, ahead: Asked | None) -> None:
        """Return once a signed request that the client sent before was read, and has gone on."""
        if ahead is None:
            return
        if ahead.is_answered:
            await asyncio.sleep(0)  # if that was in this turn, it goes on in the next
        else:
            await ahead.answered()

    def ended(self, number: int) -> None:
        """Forget a call."""
        del self.calls[number]
        if not self.calls and self._idle is not None:
            self._idle.set_result(None)
            self._idle = None

    async def idle(self) -> None:
        """Return once no call is under way."""
        while self.calls:
            if self._idle is None:
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)  # others may wait too

    def end(self, reason: str) -> None:
        """Have the client disconnected; the first reason is the one it is told."""
        if not self.close_reason:
            self.close_reason = reason
            self._end()

    def set_heartbeat(self, interval_s: float) -> None:
        """Ask for a sign of life every `interval_s`; 0 stops."""
        if self._next_beat is not None:
            self._next_beat.cancel()
            self._next_beat = None
        self._heartbeat_s = interval_s
        if interval_s:
            self._go_on(_Beat.LISTENING)

    def heard(self) -> None:
        """The client sent something."""
        if self._next_beat is None or self._beat is _Beat.QUIET:
            return
        self._next_beat.cancel()
        self._go_on(_Beat.QUIET if self._beat is _Beat.LISTENING else _Beat.LISTENING)

    def _go_on(self, beat: _Beat) -> None:
        self._beat = beat
        loop = asyncio.get_running_loop()
        self._next_beat = loop.call_later(self._heartbeat_s, self._interval_over)

    def _interval_over(self) -> None:
        if self._beat is _Beat.ASKED:
            self._next_beat = None
            self.end("heartbeat missed")
            return
        self.outbox.put(TEST_REQUEST)
        self._go_on(_Beat.ASKED)
