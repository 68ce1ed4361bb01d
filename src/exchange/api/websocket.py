"""WebSocket clients to calls: frames become messages, messages calls, and replies frames.

picows speaks the protocol's frames on the connection that HTTP hands over. What it leaves to us is
here: messages in pieces, their sizes, one write for all that a turn of the loop sends, when to stop
reading and when to stop sending, and goodbyes. What a client is, `connection` knows.
"""

import asyncio
import contextvars
import logging
from collections import Counter, deque
from collections.abc import Coroutine
from functools import partial
from typing import Any, Final

from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # its stub leaves it out

from exchange.api.connection import Connection
from exchange.api.dispatch import Dispatcher, Outcome
from exchange.api.errors import TooManyRequests
from exchange.api.gateway import Caller
from exchange.api.progress import Progress

GATHERED_MAX: Final = 64 * 1024  # bytes that wait for one write
SEND_TIMEOUT_S: Final = 30.0  # a client that reads nothing for so long is gone
CLOSE_TIMEOUT_S: Final = 10.0  # for a client's answer to our goodbye
PING_S: Final = 20.0  # of silence until a ping, and from there to its answer
READ_BUFFER: Final = 4 * 1024  # bytes to begin with: it grows as a client sends
READ_MAX: Final = 64 * 1024  # bytes at once
_TEXT: Final = 0x81  # how a frame with a whole message begins
_PONG: Final = 0x8A
_log: Final = logging.getLogger("exchange.websocket")


class WebSocketEndpoint:
    """All WebSocket clients of a gateway."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self.gateway = dispatcher.gateway
        self._by_address: Counter[str] = Counter()
        self._leaving: set[asyncio.Task[None]] = set()

    def take_over(
        self,
        transport: asyncio.Transport,
        request: bytes,
        address: str,
        open_lines: set[Any],
    ) -> None:
        """Serve a client from its request on; `open_lines` holds it while it is connected."""
        line = Line(self, address, open_lines)
        protocol = Frames(
            host_port=None,
            ws_path=None,
            is_client_side=False,
            ws_listener_factory=lambda _: line,
            logger=_log,
            disconnect_on_exception=True,
            websocket_handshake_timeout=None,  # the request is there
            enable_auto_ping=True,
            auto_ping_idle_timeout=PING_S,
            auto_ping_reply_timeout=PING_S,
            auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
            enable_auto_pong=False,  # it would answer also those who do not read
            max_frame_size=self.gateway.settings.sheet_max,
            extra_headers=None,
            read_buffer_init_size=READ_BUFFER,
        )
        transport.pause_reading()  # uvloop asks how a protocol reads when reading begins
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        while request:
            room = protocol.get_buffer(-1)
            size = min(len(room), len(request))
            room[:size] = request[:size]
            protocol.buffer_updated(size)
            request = request[size:]
        transport.resume_reading()

    def enter(self, connection: Connection) -> bool:
        """Whether there is room for one more; then it is among the gateway's."""
        settings = self.gateway.settings
        if (
            len(self.gateway.connections) >= settings.connections_max
            or self._by_address[connection.address] >= settings.connections_per_address_max
        ):
            return False
        self.gateway.connections.add(connection)
        self._by_address[connection.address] += 1
        return True

    def leave(self, connection: Connection) -> None:
        """Undo `enter`, and all that the client had."""
        if connection not in self.gateway.connections:
            return
        self.gateway.connections.discard(connection)
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]
        if connection.close_reason:
            self.gateway.counters.disconnected += 1
        self._forget(connection)
        self._keep(self._see_off(connection))

    def refusal(self) -> bytes:
        """What a client hears for whom there is no room."""
        return self.dispatcher.refuse(TooManyRequests("too many connections")).body

    async def _see_off(self, connection: Connection) -> None:
        await self.gateway.cancel_after(connection)
        await connection.idle()
        self._forget(connection)  # again: a call that was under way may have joined channels

    def _forget(self, connection: Connection) -> None:
        connection.set_heartbeat(0)
        self.gateway.channels.leave(list(connection.channels), connection)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something to its end, whatever becomes of the socket."""
        task = asyncio.create_task(work)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


class Frames(WSProtocol):  # type: ignore[misc]  # for want of a stub
    """picows' protocol, whose buffer would grow to what the largest read can bring, and stay so."""

    def get_buffer(self, size_hint: int) -> memoryview:
        """Where to read to."""
        room: memoryview = super().get_buffer(size_hint)
        return room[:READ_MAX]


class Line(WSListener):
    """One client's socket. Requests run concurrently up to a bound, beyond which reading stops."""

    _transport: WSTransport
    _tcp: asyncio.Transport

    def __init__(self, endpoint: WebSocketEndpoint, address: str, open_lines: set[Any]) -> None:
        settings = endpoint.gateway.settings
        self.connection = Connection(
            address, settings, endpoint.gateway.channels.snapshot, self._end_soon
        )
        self._endpoint = endpoint
        self._open_lines = open_lines
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._settings = settings
        self._message: bytearray | None = None  # what came of one in pieces
        self._is_text = False
        self._waiting: deque[bytes] = deque()  # for a call to end
        self._started = 0  # calls
        self._parts: list[bytes] = []  # that leave together
        self._size = 0
        self._is_paused = False
        self._over = False
        self._goodbye: asyncio.TimerHandle | None = None  # until it is answered
        self._progress: Progress | None = None  # while messages wait for their reader

    # -- called by the protocol -------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Greet, or refuse."""
        self._transport = transport
        self._tcp = transport.underlying_transport
        self._open_lines.add(self)
        if self._endpoint.enter(self.connection):
            self.connection.outbox.flow(self._send)
        else:
            self._send(self._endpoint.refusal())
            self._close(WSCloseCode.TRY_AGAIN_LATER, "too many connections")

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take a frame."""
        kind = frame.msg_type
        if self._over or transport.is_close_frame_sent:
            if kind is WSMsgType.CLOSE:  # the answer to ours
                transport.disconnect()
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._close(WSCloseCode.PROTOCOL_ERROR, "no extension was agreed on")
        elif kind is WSMsgType.TEXT or kind is WSMsgType.BINARY or kind is WSMsgType.CONTINUATION:
            if frame.fin and self._message is None and kind is not WSMsgType.CONTINUATION:
                self._receive(frame.get_payload_as_bytes(), is_text=kind is WSMsgType.TEXT)
            else:
                self._piece_together(kind, frame)
        elif kind is WSMsgType.PING:
            if not self._is_paused:  # who does not read hears nothing
                self._send(frame.get_payload_as_bytes(), _PONG)
        elif kind is WSMsgType.CLOSE:
            self._flush()
            transport.send(WSMsgType.CLOSE, frame.get_payload_as_bytes())  # as it came
            transport.disconnect()
            self._abort_later()  # it waits for those who do not read
            self._leave()

    def on_ws_disconnected(self, _: WSTransport) -> None:
        """Forget the client."""
        self._open_lines.discard(self)
        self._stop_expecting()
        if self._goodbye is not None:
            self._goodbye.cancel()
        self._leave()

    def pause_writing(self) -> None:
        """Let messages wait: the client reads slower than we send."""
        self._is_paused = True
        if not self._over:
            self.connection.outbox.hold()
            self._progress = Progress(self._tcp, SEND_TIMEOUT_S, self._too_slow)
            self._progress.expect()

    def resume_writing(self) -> None:
        """Send what waited."""
        self._is_paused = False
        if not self._over:
            self._stop_expecting()
            self.connection.outbox.flow(self._send)

    def shutdown(self) -> None:
        """Close, for the server stops."""
        self._close(WSCloseCode.SERVICE_RESTART)
        self._transport.disconnect()

    # -- messages in ------------------------------------------------------------------------------

    def _piece_together(self, kind: WSMsgType, frame: WSFrame) -> None:
        """Take a frame that is not a whole message."""
        is_first = kind is not WSMsgType.CONTINUATION
        if is_first != (self._message is None):
            self._close(WSCloseCode.PROTOCOL_ERROR, "fragments out of order")
            return
        if self._message is None:
            self._message, self._is_text = bytearray(), kind is WSMsgType.TEXT
        self._message += frame.get_payload_as_memoryview()
        if len(self._message) > self._message_max():
            self._close(WSCloseCode.MESSAGE_TOO_BIG, "message too big")
        elif frame.fin:
            message, self._message = bytes(self._message), None
            self._receive(message, is_text=self._is_text)

    def _receive(self, message: bytes, *, is_text: bool) -> None:
        self.connection.heard()
        if len(message) > self._message_max():
            self._close(WSCloseCode.MESSAGE_TOO_BIG, "message too big")
        elif is_text and not message.isascii() and not _is_utf8(message):
            self._close(WSCloseCode.INVALID_TEXT)
        elif self._is_full():
            self._waiting.append(message)
            self._tcp.pause_reading()
        else:
            self._start(message)

    def _message_max(self) -> int:
        settings = self._settings
        return settings.sheet_max if self.connection.session else settings.body_max

    # -- calls ------------------------------------------------------------------------------------

    def _is_full(self) -> bool:
        return len(self.connection.calls) >= self._settings.in_flight_per_connection_max

    def _start(self, message: bytes) -> None:
        number = self._started = self._started + 1
        connection = self.connection
        caller = Caller(address=connection.address, connection=connection)
        answered = partial(self._answered, number, caller)
        connection.calls[number] = self._endpoint.dispatcher.begin(message, caller, answered)

    def _answered(self, number: int, caller: Caller, outcome: Outcome | None) -> None:
        try:
            if outcome is not None:
                self.connection.outbox.put(outcome.body)
                for step in caller.after:
                    step()
        finally:
            self.connection.ended(number)
            if self._waiting:  # in the client's context, not in this call's
                self._loop.call_soon(self._start_waiting, context=self._context)

    def _start_waiting(self) -> None:
        while self._waiting and not self._is_full():
            self._start(self._waiting.popleft())
        if not self._waiting and not self._over:
            self._tcp.resume_reading()

    # -- messages out -----------------------------------------------------------------------------

    def _send(self, message: bytes, first: int = _TEXT) -> None:
        """Send within this turn of the loop: each write costs as much as an answer."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(_frame_head(first, len(message)))
        self._parts.append(message)
        self._size += len(message)
        if self._size >= GATHERED_MAX:
            self._flush()

    def _flush(self) -> None:
        if not self._parts:
            return
        parts, self._parts, self._size = self._parts, [], 0
        if not self._over and not self._transport.is_close_frame_sent:
            self._tcp.write(b"".join(parts))

    def _too_slow(self) -> None:
        self.connection.end("slow consumer: nothing was read for 30 seconds")

    def _stop_expecting(self) -> None:
        if self._progress is not None:
            self._progress.stop()

    # -- the end ----------------------------------------------------------------------------------

    def _end_soon(self) -> None:
        """Not at once: what found the reason may be going through all connections."""
        self._loop.call_soon(self._end)

    def _end(self) -> None:
        self._close(WSCloseCode.TRY_AGAIN_LATER, self.connection.close_reason)

    def _close(self, code: WSCloseCode, reason: str = "") -> None:
        """Say goodbye, and give the client some time to answer it."""
        if self._over:
            return
        self._flush()
        self._transport.send_close(code, reason)
        self._abort_later()
        self._tcp.resume_reading()
        self._leave()

    def _abort_later(self) -> None:
        self._stop_expecting()
        if self._goodbye is None:
            self._goodbye = self._loop.call_later(CLOSE_TIMEOUT_S, self._tcp.abort)

    def _leave(self) -> None:
        if not self._over:
            self._over = True
            self._waiting.clear()
            self._endpoint.leave(self.connection)


def _frame_head(first: int, size: int) -> bytes:
    """What comes before a server's payload: it is not masked."""
    if size < 126:
        return bytes((first, size))
    if size < 1 << 16:
        return bytes((first, 126, size >> 8, size & 0xFF))
    return bytes((first, 127)) + size.to_bytes(8, "big")


def _is_utf8(message: bytes) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True
