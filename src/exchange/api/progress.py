"""Whether who should read does: of one connection, HTTP's or a WebSocket's."""

import asyncio
from collections.abc import Callable


class Progress:
    """Calls `let_go` once as many bytes wait for a client as an interval before.

    Who reads slowly is kept: the bytes that are still on their way count.
    """

    def __init__(
        self, transport: asyncio.Transport, interval_s: float, let_go: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._interval_s = interval_s
        self._let_go = let_go
        self._timer: asyncio.TimerHandle | None = None

    def expect(self) -> None:
        """Look again in an interval."""
        self._look_later(self._transport.get_write_buffer_size())

    def stop(self) -> None:
        """Nothing waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_later(self, left: int) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._interval_s, self._see, left)

    def _see(self, before: int) -> None:
        left = self._transport.get_write_buffer_size()
        if left < before:
            self._look_later(left)
        else:
            self._timer = None
            self._let_go()
