"""One table of methods for WebSocket, JSON-RPC over HTTP, and plain HTTP routes.

A call goes: text → strict JSON → envelope → method → parameters → handler → reply. Of plain signed
orders and sheets another process does what comes before the command, where there is one. Every
outcome is a reply in Deribit's shape; an exception that nobody foresaw is logged, shown as 11094.
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec
import structlog

from exchange.api.errors import (
    Busy,
    ExchangeError,
    InternalError,
    MethodNotFound,
    Rejected,
    TooManyRequests,
    Unavailable,
)
from exchange.api.gateway import Caller, Gateway
from exchange.api.reading import Reading, RequestId, cost_of, envelope_of, plain_method
from exchange.api.schemas import Params, check_json, decode
from exchange.api.signatures import Asked
from exchange.fixed import div_down
from exchange.sequencer import SequencerStopped

P = TypeVar("P", bound=Params)
Handler = Callable[[Gateway, Caller, P], Awaitable[object]]
Enter = Callable[[Gateway, Caller, Reading], Awaitable[object]]

_log: Final = structlog.get_logger("gateway")
_NO_PARAMS: Final = (b"", b"null", b"[]")


class Method(msgspec.Struct, Generic[P], frozen=True, kw_only=True):
    """One method: its parameters, its handler and what a caller needs to know of it."""

    name: str
    params: type[P]
    handler: Handler[P]
    summary: str
    matching: bool = False  # spends credits of the matching pool
    scope: str = ""  # what a session, if there is one, must be allowed
    enter: Enter | None = None  # what is left to do once a process has read the request

    @property
    def private(self) -> bool:
        """Whether it lies under private/."""
        return self.name.startswith("private/")


def public_method(handler: Handler[P], params: type[P]) -> Method[P]:
    """The method public/ that bears its handler's name, summed up by its docstring."""
    return _method("public", handler, params, matching=False)


def private_method(
    handler: Handler[P],
    params: type[P],
    *,
    matching: bool = False,
    scope: str | None = None,
    enter: Enter | None = None,
) -> Method[P]:
    """The method private/ that bears its handler's name, summed up by its docstring.

    Its scope is trade:read_write if it spends matching credits, else trade:read, or as said.
    """
    if scope is None:
        scope = "trade:read_write" if matching else "trade:read"
    return _method("private", handler, params, matching=matching, scope=scope, enter=enter)


def _method(
    area: str,
    handler: Handler[P],
    params: type[P],
    *,
    matching: bool,
    scope: str = "",
    enter: Enter | None = None,
) -> Method[P]:
    assert handler.__doc__, "the summary in the API's description"
    return Method(
        name=f"{area}/{handler.__name__}",
        params=params,
        handler=handler,
        summary=handler.__doc__.strip(),
        matching=matching,
        scope=scope,
        enter=enter,
    )


_replies: Final = msgspec.json.Encoder()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A finished call: the reply's bytes and the HTTP status that fits."""

    body: bytes
    status: int = 200


class Dispatcher:
    """Runs calls against the table."""

    def __init__(self, gateway: Gateway, methods: Sequence[Method[Any]]) -> None:
        self.gateway = gateway
        self.methods = {method.name: method for method in methods}
        assert len(self.methods) == len(methods), "a method twice"

    async def call_text(self, text: bytes, caller: Caller) -> Outcome:
        """A JSON-RPC request as text."""
        started_ns = self.gateway.sequencer.now_ns()
        request_id: RequestId = None
        method = ""
        ahead = caller.connection.last_read if caller.connection else None
        try:
            reading = await self._read(text, caller)
            if reading is not None:
                request_id, method = reading.request_id, reading.method
                result = await self._enter(reading, caller)
            else:
                with self._charging(caller):
                    check_json(text)
                    envelope = envelope_of(text)
                request_id, method = envelope.id, envelope.method
                result = await self._call(envelope.method, envelope.params, caller, ahead)
        except ExchangeError as error:
            return self._failed(error, request_id, started_ns)
        except Exception as error:  # noqa: BLE001  the edge answers whatever happens
            return self._failed(_judged(error, method), request_id, started_ns)
        return self._succeeded(result, request_id, started_ns)

    async def call_method(self, method: str, params: bytes, caller: Caller) -> Outcome:
        """A method named by its path, with its bare parameters as JSON text."""
        started_ns = self.gateway.sequencer.now_ns()
        try:
            with self._charging(caller):
                check_json(params or b"{}")
            result = await self._call(method, msgspec.Raw(params), caller)
        except ExchangeError as error:
            return self._failed(error, None, started_ns)
        except Exception as error:  # noqa: BLE001  the edge answers whatever happens
            return self._failed(_judged(error, method), None, started_ns)
        return self._succeeded(result, None, started_ns)

    def refuse(self, error: ExchangeError) -> Outcome:
        """The reply to a request that never became a call."""
        return self._failed(error, None, self.gateway.sequencer.now_ns())

    async def _read(self, text: bytes, caller: Caller) -> Reading | None:
        """What a process made of a plain signed request, which is paid; None for all others.

        Whatever goes wrong here is found again, and answered, on the way of all requests.
        """
        gateway = self.gateway
        if not gateway.signatures.can_read or plain_method(text) is None:
            return None
        payer, cost = caller.payer, cost_of(text)
        try:
            gateway.limits.take(payer, matching=True, cost=cost)
        except TooManyRequests:
            return None
        try:
            reading = await gateway.signatures.read(
                text, gateway.domain(), gateway.view, caller.connection
            )
        except (Busy, Unavailable):
            reading = None
        if reading is None:
            gateway.limits.give_back(payer, matching=True, cost=cost)
        return reading

    @contextlib.contextmanager
    def _charging(self, caller: Caller) -> Iterator[None]:
        """What is no call costs as much as one."""
        try:
            yield
        except ExchangeError:
            self.gateway.limits.take(caller.payer, matching=False)
            raise

    def _enter(self, reading: Reading, caller: Caller) -> Awaitable[object]:
        method = self._allowed(reading.method, caller)
        assert method.enter is not None
        return method.enter(self.gateway, caller, reading)

    async def _call(
        self, name: str, params: msgspec.Raw, caller: Caller, ahead: Asked | None = None
    ) -> object:
        method = self._allowed(name, caller, paid=False)
        if method.matching and caller.connection is not None:
            await caller.connection.follow(ahead)  # a cancel overtakes no order
        text = bytes(params)
        decoded = decode(b"{}" if text in _NO_PARAMS else text, method.params)
        return await method.handler(self.gateway, caller, decoded)

    def _allowed(self, name: str, caller: Caller, *, paid: bool = True) -> Method[Any]:
        method = self.methods.get(name)
        if method is None:
            with self._charging(caller):
                raise MethodNotFound(f"no method {name[:64]}", "method")
        counters = self.gateway.counters.requests
        counters[name] = counters.get(name, 0) + 1
        if not self.gateway.healthy:
            raise Unavailable("this gateway lost its view and must be restarted")
        if not paid:
            self.gateway.limits.take(caller.payer, matching=method.matching)
        if method.scope:
            self.gateway.require(caller, method.scope)
        return method

    def _succeeded(self, result: object, request_id: RequestId, started_ns: int) -> Outcome:
        return Outcome(body=self._encode(request_id, "result", result, started_ns))

    def _failed(self, error: ExchangeError, request_id: RequestId, started_ns: int) -> Outcome:
        errors = self.gateway.counters.errors
        name = error.reject_reason.value if isinstance(error, Rejected) else type(error).__name__
        errors[name] = errors.get(name, 0) + 1
        body = self._encode(request_id, "error", error.payload(), started_ns)
        return Outcome(body=body, status=error.http_status)

    def _encode(self, request_id: RequestId, key: str, outcome: object, started_ns: int) -> bytes:
        us_in = div_down(started_ns, 1000)
        us_out = div_down(self.gateway.sequencer.now_ns(), 1000)
        return _replies.encode(
            {
                "jsonrpc": "2.0",
                "id": request_id,
                key: outcome,
                "usIn": us_in,
                "usOut": us_out,
                "usDiff": us_out - us_in,
                "testnet": self.gateway.settings.testnet,
            }
        )


def _judged(error: Exception, method: str) -> ExchangeError:
    if isinstance(error, SequencerStopped):  # of a query; commands are told where they are sent
        return Unavailable("the exchange is stopping; ask again after its restart")
    _log.error("a call failed", method=method, exc_info=error)
    return InternalError("a bug on our side; it is in our log")
