"""The operator's listener: health, metrics and the few actions of operation, behind a token.

Separate from the public one, never reachable through it. Bodies are msgspec JSON of the commands
themselves. Actions are injected, so that this page knows no oracle and no process.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, TypeVar

import msgspec
from fastapi import FastAPI, Request
from msgspec import Meta
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from exchange.api.errors import (
    BodyTooLarge,
    ExchangeError,
    InvalidParams,
    MethodNotFound,
    ParseError,
    Rejected,
    Unauthorized,
)
from exchange.api.gateway import Gateway
from exchange.api.schemas import check_json, param_of
from exchange.commands import AdvanceClock, AnyCommand, CutBatch, ListInstruments, ObserveBlocks
from exchange.fixed import to_nanoseconds

BODY_MAX: Final = 16 * 1024 * 1024  # a watcher that was away sends many blocks at once
OPEN_PATHS: Final = frozenset({"/health", "/ready"})
S = TypeVar("S", bound=msgspec.Struct)

Action = Callable[[bytes], Awaitable[object]]


class ClockBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far to move the venue's clock."""

    seconds: Annotated[int, Meta(ge=1, le=400 * 86_400)]


class GatewayMetrics(Collector):
    """Reads the gateway's figures when the page is asked for."""

    def __init__(self, gateway: Gateway, extra: Callable[[], Mapping[str, float]]) -> None:
        self._gateway = gateway
        self._extra = extra

    def collect(self) -> list[Metric]:
        """One family a figure."""
        gateway, view = self._gateway, self._gateway.view
        gauges: dict[str, float] = {
            "seq": view.seq,
            "connections": len(gateway.connections),
            "subscriptions": gateway.channels.count(),
            "outbox_messages": sum(len(c.outbox) for c in gateway.connections),
            "open_orders": sum(map(len, view.open_orders.values())),
            "instruments": len(view.instruments) - len(view.expired),
            "batches_cut": len(view.batches),
            "batches_confirmed": sum(batch.confirmed for batch in view.batches),
            "healthy": float(gateway.healthy),
            **self._extra(),
        }
        families: list[Metric] = [
            GaugeMetricFamily(f"exchange_{name}", name.replace("_", " "), value=value)
            for name, value in gauges.items()
        ]
        requests = CounterMetricFamily("exchange_requests", "Calls by method", labels=["method"])
        for method, count in gateway.counters.requests.items():
            requests.add_metric([method], count)
        errors = CounterMetricFamily("exchange_errors", "Refusals by name", labels=["error"])
        for name, count in gateway.counters.errors.items():
            errors.add_metric([name], count)
        slow = CounterMetricFamily("exchange_disconnected_slow", "Slow clients let go")
        slow.add_metric([], gateway.counters.disconnected_slow)
        return [*families, requests, errors, slow]


class AdminActions:
    """Commands that operators and the relayer's watcher submit."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def list_instruments(self, body: bytes) -> object:
        """List the instruments given as `ListInstruments`."""
        return await self._submit(_decode(body, ListInstruments))

    async def observe_blocks(self, body: bytes) -> object:
        """Journal what the watcher read from confirmed blocks."""
        return await self._submit(_decode(body, ObserveBlocks))

    async def advance_clock(self, body: bytes) -> object:
        """Move the venue's clock forward; local chains only."""
        return await self._submit(
            AdvanceClock(by_ns=to_nanoseconds(_decode(body, ClockBody).seconds))
        )

    async def cut_batch(self, _: bytes) -> object:
        """End the settlement batch here."""
        return await self._submit(CutBatch())

    async def _submit(self, command: AnyCommand) -> object:
        reply = await self._gateway.submit(command)
        return {
            "seq": reply.seq,
            "journal_hash": "0x" + reply.chain_hash.hex(),
            "events": [msgspec.to_builtins(event) for event in reply.events],
        }


def create_admin_app(
    gateway: Gateway,
    token: str,
    *,
    actions: Mapping[str, Action] | None = None,
    figures: Callable[[], Mapping[str, float]] = dict,
    status: Callable[[], Awaitable[Mapping[str, object]]] | None = None,
) -> FastAPI:
    """The operator's application: `actions` add POST /admin/<name>, `figures` add metrics."""
    assert len(token) >= 16, "the admin token must be long"
    app = FastAPI(title="Exchange operations", openapi_url=None, docs_url=None, redoc_url=None)
    registry = CollectorRegistry()
    registry.register(GatewayMetrics(gateway, figures))
    own = AdminActions(gateway)
    table: dict[str, Action] = {
        "list_instruments": own.list_instruments,
        "observe_blocks": own.observe_blocks,
        "advance_clock": own.advance_clock,
        "cut_batch": own.cut_batch,
        **(actions or {}),
    }

    async def health(_: Request) -> Response:
        return _answer({"healthy": gateway.healthy}, 200 if gateway.healthy else 503)

    async def ready(_: Request) -> Response:
        ready = gateway.healthy and gateway.view.parameters is not None
        return _answer({"ready": ready, "seq": gateway.view.seq}, 200 if ready else 503)

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(generate_latest(registry).decode())

    async def show_status(_: Request) -> Response:
        extra = await status() if status else {}
        return _answer(_status(gateway) | dict(extra))

    async def act(request: Request) -> Response:
        action = table.get(request.path_params["action"])
        if action is None:
            raise MethodNotFound("no such action", "action")
        return _answer(await action(await _body(request)))

    for path, endpoint in (
        ("/health", health),
        ("/ready", ready),
        ("/metrics", metrics),
        ("/admin/status", show_status),
    ):
        app.add_route(path, endpoint, methods=["GET"])
    app.add_route("/admin/{action}", act, methods=["POST"])
    _guard(app, token)
    return app


def _status(gateway: Gateway) -> dict[str, object]:
    view = gateway.view
    return {
        "healthy": gateway.healthy,
        "configured": view.parameters is not None,
        "seq": view.seq,
        "time_ns": gateway.sequencer.now_ns(),
        "instruments": len(view.instruments) - len(view.expired),
        "open_orders": sum(map(len, view.open_orders.values())),
        "trades": len(view.trades),
        "connections": len(gateway.connections),
        "batches_cut": len(view.batches),
        "batches_confirmed": sum(batch.confirmed for batch in view.batches),
        "last_batch_seq": view.batches[-1].last_seq if view.batches else 0,
    }


def _guard(app: FastAPI, token: str) -> None:
    expected = f"Bearer {token}".encode()

    @app.middleware("http")
    async def check(request: Request, call_next: Any) -> Response:
        given = request.headers.get("authorization", "").encode()
        if request.url.path not in OPEN_PATHS and not hmac.compare_digest(given, expected):
            return _failure(Unauthorized("this listener needs its bearer token"))
        response: Response = await call_next(request)
        return response

    async def refuse(_: Request, error: Exception) -> Response:
        assert isinstance(error, ExchangeError)
        return _failure(error)

    async def missing(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _failure(MethodNotFound(str(error.detail)))

    app.add_exception_handler(ExchangeError, refuse)
    app.add_exception_handler(HTTPException, missing)


def _failure(error: ExchangeError) -> Response:
    status = 409 if isinstance(error, Rejected) else error.http_status
    return _answer({"error": error.payload()}, status)


def _answer(result: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(result), status, media_type="application/json")


async def _body(request: Request) -> bytes:
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > BODY_MAX:
            raise BodyTooLarge(f"a body holds at most {BODY_MAX} bytes")
    return bytes(parts)


def _decode(body: bytes, kind: type[S]) -> S:
    check_json(body)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidParams(str(error), param_of(str(error))) from None
    except msgspec.DecodeError as error:
        raise ParseError(str(error)) from None
