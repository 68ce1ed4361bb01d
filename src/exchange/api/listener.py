"""HTTP connections that cannot hold the listener: so many at once, so long for one request.

The server alone waits for ever for the end of a header, and for who does not read his answer, and
takes as many sockets as the process may open: a few thousand idle ones would keep everybody out,
the operator's listener included.
"""

import asyncio
from collections import Counter
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import ClassVar, Final

import h11
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.h11_impl import H11Protocol

from exchange.api.progress import Progress
from exchange.api.websocket import WebSocketEndpoint

Proxies = tuple[IPv4Network | IPv6Network, ...]

SOCKETS_MAX: Final = 8_000  # of one listener; the process raises its limit of files accordingly
SOCKETS_PER_ADDRESS_MAX: Final = 1_000
SOCKET_PATH: Final = "/ws/api/v2"
WEBSOCKET: Final = "websocket"  # an application's state holds its endpoint so, if it has one
REQUEST_S: Final = 20.0  # from a connection's opening, or a request's first byte, to its last
READ_S: Final = 30.0  # a client that reads nothing of an answer for so long is gone


class BoundedProtocol(H11Protocol):
    """uvicorn's HTTP protocol with a bound on sockets and on the time a request may take to come.

    WebSockets go to the application's endpoint; how many an address may hold is its decision.
    """

    sockets_max: ClassVar[int]
    sockets_per_address_max: ClassVar[int]
    request_s: ClassVar[float]
    read_s: ClassVar[float]
    trusted: ClassVar[Proxies]
    open_by_address: ClassVar[Counter[str]]  # those that are no WebSocket

    _address = ""
    _timer: asyncio.TimerHandle | None = None
    _progress: Progress | None = None  # while an answer waits for its reader

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
        self._stop_expecting()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Watch whether the client reads."""
        super().pause_writing()
        self._progress = Progress(self.transport, self.read_s, self.transport.abort)
        self._progress.expect()

    def resume_writing(self) -> None:
        """It did."""
        super().resume_writing()
        self._stop_expecting()

    def data_received(self, data: bytes) -> None:
        """Watch the clock until the request is whole."""
        super().data_received(data)
        if self.transport.get_protocol() is not self:
            return  # the WebSocket's now
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._start_timer()
        else:
            self._stop_timer()

    def handle_websocket_upgrade(self, _: h11.Request) -> None:
        """Leave the connection to the WebSocket."""
        if self.flow.write_paused:  # which nobody would tell it: it would write without a bound
            self.transport.abort()
            return
        self._stop_timer()
        address = self._told_address()
        self._release()
        self.connections.discard(self)
        # What is known by now in its plainest form: browsers and proxies say more.
        lines = [b"GET / HTTP/1.1", b"Upgrade: websocket", b"Connection: Upgrade"]
        lines += (
            name + b": " + value
            for name, value in self.headers
            if name in (b"sec-websocket-key", b"sec-websocket-version")
        )
        endpoint: WebSocketEndpoint = self.app_state[WEBSOCKET]
        request = b"\r\n".join(lines) + b"\r\n\r\n"
        endpoint.take_over(self.transport, request, address, self.connections)

    def _should_upgrade(self) -> bool:
        """Elsewhere the wish to upgrade is one that HTTP may ignore."""
        return (
            WEBSOCKET in self.app_state
            and self.scope["path"] == SOCKET_PATH
            and self.scope["method"] == "GET"
            and self._get_upgrade() == b"websocket"
        )

    def _told_address(self) -> str:
        """The client's, whom a trusted proxy names: as the application hears it of requests."""
        app = self.app
        if not isinstance(app, ProxyHeadersMiddleware) or self._address not in app.trusted_hosts:
            return self._address
        told = b", ".join(value for name, value in self.headers if name == b"x-forwarded-for")
        host, _ = app.trusted_hosts.get_trusted_client_address(told.decode("latin1"))
        return host or self._address

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

    def _stop_expecting(self) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _too_late(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.abort()


def bounded_protocol(
    sockets_max: int = SOCKETS_MAX,
    sockets_per_address_max: int = SOCKETS_PER_ADDRESS_MAX,
    request_s: float = REQUEST_S,
    read_s: float = READ_S,
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
    Protocol.read_s = read_s
    Protocol.trusted = trusted
    Protocol.open_by_address = Counter()
    return Protocol
