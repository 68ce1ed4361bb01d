"""HTTP connections that cannot hold the listener: so many at once, so long for one request.

The server alone waits for ever for the end of a header, and takes as many sockets as the process
may open: a few thousand idle ones would keep everybody out, the operator's listener included.
"""

import asyncio
from collections import Counter
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, ClassVar, Final, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

Proxies = tuple[IPv4Network | IPv6Network, ...]

SOCKETS_MAX: Final = 8_000  # of one listener; the process raises its limit of files accordingly
SOCKETS_PER_ADDRESS_MAX: Final = 1_000
GATHERED_MAX: Final = 64 * 1024  # bytes that wait for one write
REQUEST_S: Final = 20.0  # from a connection's opening, or a request's first byte, to its last


class BoundedProtocol(H11Protocol):
    """uvicorn's HTTP protocol with a bound on sockets and on the time a request may take to come.

    How many WebSockets an address may hold is the gateway's decision.
    """

    sockets_max: ClassVar[int]
    sockets_per_address_max: ClassVar[int]
    request_s: ClassVar[float]
    trusted: ClassVar[Proxies]
    open_by_address: ClassVar[Counter[str]]  # those that are no WebSocket

    _address = ""
    _timer: asyncio.TimerHandle | None = None

    def connection_made(  # type: ignore[override]  # as uvicorn narrows it, too
        self, transport: asyncio.Transport
    ) -> None:
        """Take the connection, or close it at once."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self.open_by_address[self._address] += 1
        if len(self.connections) > self.sockets_max or (
            self.open_by_address[self._address] > self.sockets_per_address_max
            and not self._is_proxy()
        ):
            transport.abort()
            return
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        self._release()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Watch the clock until the request is whole."""
        super().data_received(data)
        if self.transport.get_protocol() is not self:
            return  # the WebSocket's now
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._start_timer()
        else:
            self._stop_timer()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Leave the connection to the WebSocket."""
        self._stop_timer()
        self._release()
        super().handle_websocket_upgrade(event)

    def _is_proxy(self) -> bool:
        return any(ip_address(self._address) in network for network in self.trusted)

    def _release(self) -> None:
        address, self._address = self._address, ""
        self.open_by_address[address] -= 1
        if self.open_by_address[address] <= 0:
            del self.open_by_address[address]

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.request_s, self._too_late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.abort()


def bounded_protocol(
    sockets_max: int = SOCKETS_MAX,
    sockets_per_address_max: int = SOCKETS_PER_ADDRESS_MAX,
    request_s: float = REQUEST_S,
    trusted: Proxies = (),
) -> type[BoundedProtocol]:
    """The protocol of one listener, which counts its own sockets.

    One of the `trusted` proxies holds many people's.
    """

    class Protocol(BoundedProtocol):
        """One listener's."""

    Protocol.sockets_max = sockets_max
    Protocol.sockets_per_address_max = sockets_per_address_max
    Protocol.request_s = request_s
    Protocol.trusted = trusted
    Protocol.open_by_address = Counter()
    return Protocol


class GatheringProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol; what one turn of the loop sends leaves in one write.

    A commit answers many requests of a client at once, and each write costs as much as an answer.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection over from HTTP."""
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", GatheredWrites(self.transport, self.loop))


class GatheredWrites:
    """A transport whose writes wait for the end of the loop's turn, or until they are many."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write soon."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size >= GATHERED_MAX:
            self._flush()

    def close(self) -> None:
        """Write what waits, and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            parts, self._parts, self._size = self._parts, [], 0
            self._transport.write(b"".join(parts))
