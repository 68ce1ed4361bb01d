"""One table of methods for WebSocket, JSON-RPC over HTTP, and plain HTTP routes.

A call goes: text → strict JSON → envelope → method → parameters → handler → reply. Of plain signed
orders and sheets another process does what comes before the command, where there is one. Every
outcome is a reply in Deribit's shape; an exception that nobody foresaw is logged, shown as 11094.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

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
from exchange.api.limits import Payer
from exchange.api.ports import Reply
from exchange.api.reading import Reading, RequestId, envelope_of, plain_cost
from exchange.api.schemas import Params, check_json, decode
from exchange.api.sequencing import SEQUENCER_ERRORS, refuse_refused, without_reply
from exchange.api.signatures import Asked, reading_of
from exchange.fixed import div_down
from exchange.sequencer import SequencerStopped

P = TypeVar("P", bound=Params)
Handler = Callable[[Gateway, Caller, P], Awaitable[object]]
Answer = Callable[[Gateway, Caller, Reading, Reply], object]  # an awaitable if it must wait

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
    answer: Answer | None = None  # to a request that a process has read, once it is durable

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
    answer: Answer | None = None,
) -> Method[P]:
    """The method private/ that bears its handler's name, summed up by its docstring.

    Its scope is trade:read_write if it spends matching credits, else trade:read, or as said.
    """
    if scope is None:
        scope = "trade:read_write" if matching else "trade:read"
    return _method("private", handler, params, matching=matching, scope=scope, answer=answer)


def _method(
    area: str,
    handler: Handler[P],
    params: type[P],
    *,
    matching: bool,
    scope: str = "",
    answer: Answer | None = None,
) -> Method[P]:
    assert handler.__doc__, "the summary in the API's description"
    return Method(
        name=f"{area}/{handler.__name__}",
        params=params,
        handler=handler,
        summary=handler.__doc__.strip(),
        matching=matching,
        scope=scope,
        answer=answer,
    )


_replies: Final = msgspec.json.Encoder()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A finished call: the reply's bytes and the HTTP status that fits."""

    body: bytes
    status: int = 200


Answered = Callable[[Outcome | None], None]  # None if there is no answer: a bug, or the end


class Unread(NamedTuple):
    """A request that the gateway reads itself."""

    ahead: Asked | None  # what came before it by the same line, and was not read by then
    started_ns: int


class Paid(NamedTuple):
    """What a request cost before it was read, and whom: it may come back."""

    payer: Payer
    cost: int


async def _answer_with(work: Awaitable[Outcome], answered: Answered) -> None:
    """However it ends, who waits for an answer learns of it."""
    outcome = None
    try:
        outcome = await work
    finally:
        answered(outcome)


class Dispatcher:
    """Runs calls against the table."""

    def __init__(self, gateway: Gateway, methods: Sequence[Method[Any]]) -> None:
        self.gateway = gateway
        self.methods = {method.name: method for method in methods}
        assert len(self.methods) == len(methods), "a method twice"

    def begin(self, text: bytes, caller: Caller, answered: Answered) -> object:
        """Begin what came by a WebSocket; what comes back is to be kept until it is `answered`.

        Plain signed requests need no task. All others follow what was begun before them.
        """
        ahead = caller.connection.last_read if caller.connection else None
        return self._plain(text, caller, answered) or self._by_task(
            self.call_text(text, caller, unread=Unread(ahead, self.gateway.sequencer.now_ns())),
            answered,
        )

    def _plain(self, text: bytes, caller: Caller, answered: Answered) -> object | None:
        payer, gateway = caller.payer, self.gateway
        cost = self._pay(text, payer)
        if cost is None:
            return None
        call = _PlainCall(self, text, caller, Paid(payer, cost), answered)
        try:
            gateway.signatures.ask_to_read(
                text, gateway.domain(), gateway.view, caller.connection, call.hear
            )
        except Exception as error:  # noqa: BLE001  the gateway can read it, and meets it too
            if not isinstance(error, Busy | Unavailable):
                _log.error("no process was asked to read", exc_info=error)
            gateway.limits.give_back(payer, matching=True, cost=cost)
            return None
        return call

    def _by_task(self, work: Coroutine[Any, Any, Outcome], answered: Answered) -> object:
        return asyncio.get_running_loop().create_task(_answer_with(work, answered))

    async def call_text(
        self, text: bytes, caller: Caller, *, unread: Unread | None = None
    ) -> Outcome:
        """A JSON-RPC request as text; of one that no process shall read, what is known of it."""
        started_ns = self.gateway.sequencer.now_ns() if unread is None else unread.started_ns
        request_id: RequestId = None
        method = ""
        if unread is not None:
            ahead = unread.ahead
        else:
            ahead = caller.connection.last_read if caller.connection else None
        try:
            reading = None if unread else await self._read(text, caller)
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
        payer, gateway = caller.payer, self.gateway
        cost = self._pay(text, payer)
        if cost is None:
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

    def _pay(self, text: bytes, payer: Payer) -> int | None:
        """What was paid for a process to read a request; None if none shall."""
        gateway = self.gateway
        cost = plain_cost(text) if gateway.signatures.can_read else None
        if cost is None:
            return None
        try:
            gateway.limits.take(payer, matching=True, cost=cost)
        except TooManyRequests:
            return None
        return cost

    @contextlib.contextmanager
    def _charging(self, caller: Caller) -> Iterator[None]:
        """What is no call costs as much as one."""
        try:
            yield
        except ExchangeError:
            self.gateway.limits.take(caller.payer, matching=False)
            raise

    async def _enter(self, reading: Reading, caller: Caller) -> object:
        method = self._allowed(reading.method, caller)
        reply = await self.gateway.submit(reading.command)
        result = self._answer(method, reading, caller, reply)
        return await result if isinstance(result, Awaitable) else result

    def _answer(
        self, method: Method[Any], reading: Reading, caller: Caller, reply: Reply
    ) -> object:
        assert method.answer is not None
        return method.answer(self.gateway, caller, reading, reply)

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


class _PlainCall:
    """A signed order or sheet from its text to its answer, without a task.

    A task, its futures and what it awaits cost the loop a tenth of what all else of an order costs.
    To the sequencer this is what waits for a reply. Whatever is not plain goes on in a task.
    """

    __slots__ = (
        "_answered",
        "_caller",
        "_dispatcher",
        "_is_told",
        "_method",
        "_paid",
        "_reading",
        "_started_ns",
        "_task",
        "_text",
    )

    def __init__(
        self, dispatcher: Dispatcher, text: bytes, caller: Caller, paid: Paid, answered: Answered
    ) -> None:
        self._dispatcher = dispatcher
        self._text = text
        self._caller = caller
        self._paid = paid
        self._answered = answered
        self._started_ns = dispatcher.gateway.sequencer.now_ns()
        self._is_told = False  # what became of the command
        self._method: Method[Any] | None = None
        self._reading: Reading | None = None
        self._task: object = None

    def hear(self, answer: bytes | None) -> None:
        """Enter what a process has read."""
        dispatcher, caller = self._dispatcher, self._caller
        gateway = dispatcher.gateway
        try:
            self._reading = reading = reading_of(answer)
            if reading is None:
                gateway.limits.give_back(self._paid.payer, matching=True, cost=self._paid.cost)
                unread = Unread(None, self._started_ns)
                odd = dispatcher.call_text(self._text, caller, unread=unread)
                self._task = dispatcher._by_task(odd, self._tell)
                return
            self._method = dispatcher._allowed(reading.method, caller)
            gateway.sequencer.enqueue(reading.command, self)
        except SEQUENCER_ERRORS as error:
            self._fail(without_reply(error))
        except Exception as error:  # noqa: BLE001  the edge answers whatever happens
            self._fail(error)

    # -- to the sequencer ------------------------------------------------------------------------

    def done(self) -> bool:
        """Whether it was told."""
        return self._is_told

    def set_result(self, reply: Reply) -> None:
        """Answer."""
        self._is_told = True
        dispatcher, reading, method = self._dispatcher, self._reading, self._method
        assert reading is not None
        assert method is not None
        try:
            refuse_refused(reply)
            result = dispatcher._answer(method, reading, self._caller, reply)
            if isinstance(result, Awaitable):
                self._task = dispatcher._by_task(self._later(result), self._tell)
                return
            outcome = dispatcher._succeeded(result, reading.request_id, self._started_ns)
        except Exception as error:  # noqa: BLE001  the edge answers whatever happens
            self._fail(error)
            return
        self._tell(outcome)

    def set_exception(self, error: Exception) -> None:
        """Answer that there is no reply."""
        self._is_told = True
        self._fail(without_reply(error))

    async def _later(self, result: Awaitable[object]) -> Outcome:
        assert self._reading is not None
        try:
            found = await result
            return self._dispatcher._succeeded(found, self._reading.request_id, self._started_ns)
        except Exception as error:  # noqa: BLE001  the edge answers whatever happens
            return self._failed(error)

    def _fail(self, error: Exception) -> None:
        self._tell(self._failed(error))

    def _tell(self, outcome: Outcome | None) -> None:
        """Whatever a client's line does now is not the sequencer's or another client's concern."""
        try:
            self._answered(outcome)
        except Exception:  # noqa: BLE001  a bug, and whoever called us must go on
            _log.exception("an answer was not sent")

    def _failed(self, error: Exception) -> Outcome:
        reading = self._reading
        request_id, method = (reading.request_id, reading.method) if reading else (None, "")
        if not isinstance(error, ExchangeError):
            error = _judged(error, method)
        return self._dispatcher._failed(error, request_id, self._started_ns)


def _judged(error: Exception, method: str) -> ExchangeError:
    if isinstance(error, SequencerStopped):  # of a query; commands are told where they are sent
        return Unavailable("the exchange is stopping; ask again after its restart")
    _log.error("a call failed", method=method, exc_info=error)
    return InternalError("a bug on our side; it is in our log")
