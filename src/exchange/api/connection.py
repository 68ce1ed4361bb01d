"""One WebSocket client: its session, its channels, its outbox, its heartbeat.

Knows the socket only as two functions. Requests run concurrently up to a bound, beyond which
reading stops: a client that floods slows itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from exchange.api.auth import Session
from exchange.api.outbox import Outbox
from exchange.api.settings import GatewaySettings

TRY_AGAIN_LATER: Final = 1013
ORDERS_KEPT: Final = 1_024  # placed by one connection before those that are over are forgotten
SEND_TIMEOUT_S: Final = 30.0  # a client that reads nothing for so long is gone
TEST_REQUEST: Final = b'{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}'


class Connection:
    """State of one client; `address` is its network address."""

    def __init__(
        self,
        address: str,
        settings: GatewaySettings,
        resync: Callable[["Connection", str], bytes | None],
    ) -> None:
        self.address = address
        self.session: Session | None = None
        self.channels: set[str] = set()
        self.outbox = Outbox(
            settings.outbox_messages_max,
            settings.outbox_bytes_max,
            lambda channel: resync(self, channel),
        )
        self.slots = asyncio.Semaphore(settings.in_flight_per_connection_max)
        self.heartbeat_s = 0.0
        self.cancel_on_disconnect = False
        self.calls: set[asyncio.Task[None]] = set()  # under way
        self.quoted: set[int] = set()  # subaccounts whose sheets came by this connection
        self.order_ids: set[int] = set()  # placed by this connection, some of them over
        self._prune_at = ORDERS_KEPT
        self.close_reason = ""
        self._heard = asyncio.Event()
        self._heartbeat_set = asyncio.Event()

    def note_orders(self, order_ids: Iterable[int], is_open: Callable[[int], bool]) -> None:
        """Remember orders placed here; those that are over are forgotten now and then."""
        self.order_ids.update(order_ids)
        if len(self.order_ids) >= self._prune_at:
            self.order_ids = set(filter(is_open, self.order_ids))
            self._prune_at = max(ORDERS_KEPT, 2 * len(self.order_ids))

    def heard(self) -> None:
        """The client sent something."""
        self._heard.set()

    def set_heartbeat(self, interval_s: float) -> None:
        """Ask for a sign of life every `interval_s`; 0 stops."""
        self.heartbeat_s = interval_s
        self._heartbeat_set.set()

    async def send_all(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Send the outbox until cancelled; returns when the client stops reading."""
        loop = asyncio.get_running_loop()
        while True:
            message: bytes | None = await self.outbox.take()
            try:
                # Not wait_for: before Python 3.12 it may swallow the cancellation that ends us.
                async with asyncio.timeout(SEND_TIMEOUT_S) as limit:
                    while message is not None:
                        await send(message.decode())
                        limit.reschedule(loop.time() + SEND_TIMEOUT_S)
                        message = self.outbox.pop()
            except TimeoutError:
                self.close_reason = "slow consumer: nothing was read for 30 seconds"
                return

    async def watch(self) -> None:
        """Return when the outbox overflows or a heartbeat is missed."""
        overflow = asyncio.create_task(self._watch_overflow())
        heartbeat = asyncio.create_task(self._watch_heartbeat())
        try:
            await asyncio.wait((overflow, heartbeat), return_when=asyncio.FIRST_COMPLETED)
        finally:
            overflow.cancel()
            heartbeat.cancel()

    async def _watch_overflow(self) -> None:
        await self.outbox.overflowed.wait()
        self.close_reason = "slow consumer: the queue to this client is full"

    async def _watch_heartbeat(self) -> None:
        while True:
            if not self.heartbeat_s:
                self._heartbeat_set.clear()
                await self._heartbeat_set.wait()
                continue
            self._heard.clear()
            if await self._hears_within(self.heartbeat_s):
                await asyncio.sleep(self.heartbeat_s)
            self._heard.clear()
            self.outbox.put(TEST_REQUEST)
            if not await self._hears_within(self.heartbeat_s):
                if not self.heartbeat_s:
                    continue
                self.close_reason = "heartbeat missed"
                return

    async def _hears_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        except TimeoutError:
            return False
        return True
