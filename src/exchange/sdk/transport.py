"""JSON-RPC to the venue, over one WebSocket or over HTTP.

The WebSocket reconnects by itself, signs in again and joins its channels anew; calls that were
waiting fail with `ConnectionLost`, since nobody knows what became of them. Numbers arrive exactly:
fractions as `Decimal`.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Final

import httpx
import msgspec
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from exchange.sdk.errors import ApiError, ConnectionLost

CALL_TIMEOUT_S: Final = 15.0
RETRY_FIRST_S: Final = 0.1
RETRY_LAST_S: Final = 5.0
MESSAGE_MAX: Final = 16 * 1024 * 1024  # snapshots of deep books
PATH_WEBSOCKET: Final = "/ws/api/v2"
PATH_HTTP: Final = "/api/v2"

_log: Final = structlog.get_logger("sdk")
_decoder: Final = msgspec.json.Decoder(float_hook=Decimal)
OnMessage = Callable[[str, Any], None]
OnConnect = Callable[[], Awaitable[None]]


class VenueClock:
    """The venue's time, learnt from its replies: its clock may run ahead of this machine's."""

    def __init__(self) -> None:
        self._offset_s: float | None = None

    def learn(self, reply: dict[str, Any]) -> None:
        """Take `usOut` of a reply."""
        us_out = reply.get("usOut")
        if isinstance(us_out, int):
            self._offset_s = us_out / 1e6 - time.monotonic()

    def now_s(self) -> int:
        """UTC second at the venue; a call must have been answered before."""
        assert self._offset_s is not None, "no reply yet"
        return int(time.monotonic() + self._offset_s)


def result_of(reply: dict[str, Any]) -> Any:
    """The result in a reply, or its error raised."""
    error = reply.get("error")
    if error is None:
        return reply.get("result")
    data = error.get("data") or {}
    raise ApiError(
        error.get("code", 0),
        error.get("message", ""),
        reason=data.get("reason", ""),
        param=data.get("param", ""),
        reject_reason=data.get("reject_reason", ""),
    )


class HttpTransport:
    """Calls over HTTP POST."""

    def __init__(self, url: str) -> None:
        self.clock = VenueClock()
        self._client = httpx.AsyncClient(base_url=url, timeout=CALL_TIMEOUT_S, trust_env=False)

    async def start(self) -> None:
        """Nothing: HTTP connects by itself."""

    async def stop(self) -> None:
        """Close the pool."""
        await self._client.aclose()

    def use_token(self, token: str) -> None:
        """Send it as a bearer token; none when empty."""
        self._client.headers.pop("Authorization", None)
        if token:
            self._client.headers["Authorization"] = f"Bearer {token}"

    async def call(self, method: str, params: dict[str, Any]) -> Any:
        """One POST."""
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        try:
            response = await self._client.post(PATH_HTTP, content=body)
        except httpx.HTTPError as error:
            raise ConnectionLost(f"{method}: {type(error).__name__} {error}") from error
        try:
            reply = _decoder.decode(response.content)
        except msgspec.DecodeError as error:  # a proxy's page: no gateway answers behind it
            raise ConnectionLost(f"{method}: HTTP {response.status_code} and no JSON") from error
        self.clock.learn(reply)
        return result_of(reply)


class WebSocketTransport:
    """Calls and subscriptions over one WebSocket that comes back when it breaks.

    `on_connect` runs on each new connection before anybody else may call, `on_message` for each
    notification. A call made while the connection is down waits for the next one.
    """

    def __init__(self, url: str, on_connect: OnConnect, on_message: OnMessage) -> None:
        self.clock = VenueClock()
        self._url = "ws" + url.removeprefix("http") + PATH_WEBSOCKET
        self._on_connect = on_connect
        self._on_message = on_message
        self._socket: ClientConnection | None = None
        self._open = asyncio.Event()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._next_id = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0  # how often it connected

    async def start(self) -> None:
        """Connect once, or raise; from then on it reconnects by itself."""
        try:
            await self._connect()
        except (OSError, InvalidHandshake, ConnectionClosed, TimeoutError) as error:
            raise ConnectionLost(f"{self._url}: {error}") from error
        self._spawn(self._stay())

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Close for good."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()
        self._fail_waiting("the client was closed")

    def use_token(self, token: str) -> None:
        """Nothing: a session belongs to the connection."""

    async def call(self, method: str, params: dict[str, Any]) -> Any:
        """One request and its reply."""
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self._open.wait()
        except TimeoutError:
            raise ConnectionLost(f"{method}: no connection in {CALL_TIMEOUT_S} s") from None
        return await self.call_now(method, params)

    async def call_now(self, method: str, params: dict[str, Any]) -> Any:
        """A call that does not wait for `on_connect`: for `on_connect` itself."""
        socket = self._socket
        if socket is None:
            raise ConnectionLost(f"{method}: not connected")
        self._next_id += 1
        number = self._next_id
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply
        text = msgspec.json.encode(
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        ).decode()
        try:
            await socket.send(text)
            async with asyncio.timeout(CALL_TIMEOUT_S):
                answer = await reply
        except ConnectionClosed as error:
            raise ConnectionLost(f"{method}: {error}") from error
        except TimeoutError as error:
            raise ConnectionLost(f"{method}: no reply in {CALL_TIMEOUT_S} s") from error
        finally:
            self._waiting.pop(number, None)
            if not reply.cancel() and not reply.cancelled():
                reply.exception()  # looked at: the connection failed it after the send had
        return result_of(answer)

    async def _connect(self) -> None:
        socket = await connect(
            self._url, compression=None, max_size=MESSAGE_MAX, proxy=None, open_timeout=10
        )
        self._socket = socket
        reader = asyncio.create_task(self._read(socket))
        self._tasks.add(reader)
        reader.add_done_callback(self._tasks.discard)
        try:
            await self._on_connect()
        except BaseException:
            await socket.close()
            raise
        self.connections += 1
        self._open.set()

    async def _read(self, socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in socket:
                self._receive(_decoder.decode(text))
        self._fail_waiting("the connection broke")

    async def _stay(self) -> None:
        while True:
            assert self._socket is not None
            await self._socket.wait_closed()
            self._open.clear()
            self._fail_waiting("the connection broke")
            delay_s = RETRY_FIRST_S
            while True:
                try:
                    await self._connect()
                    break
                except (
                    OSError,
                    InvalidHandshake,
                    ConnectionClosed,
                    TimeoutError,
                    ConnectionLost,
                    ApiError,
                ) as error:
                    _log.info("reconnecting", url=self._url, error=str(error), delay_s=delay_s)
                    await asyncio.sleep(delay_s)
                    delay_s = min(delay_s * 2, RETRY_LAST_S)

    def _receive(self, message: dict[str, Any]) -> None:
        method = message.get("method")
        if method == "subscription":
            self._on_message(message["params"]["channel"], message["params"]["data"])
        elif method == "heartbeat":
            self._spawn(self._live())
        else:
            self.clock.learn(message)
            waiting = self._waiting.get(message.get("id", 0) or 0)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)

    async def _live(self) -> None:
        with contextlib.suppress(ConnectionLost, ApiError):
            await self.call_now("public/test", {})

    def _fail_waiting(self, reason: str) -> None:
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(ConnectionLost(reason))
