"""The public listener: HTTP routes and JSON-RPC over HTTP, beside the WebSocket, over one table.

Bytes in, bytes out: sizes are bounded here; everything about methods is in `dispatch`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import msgspec
import uvicorn
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from exchange.api import asyncapi, openapi
from exchange.api.contract_owners import AskContract
from exchange.api.csv_export import csv_response
from exchange.api.dispatch import Dispatcher, Method, Outcome
from exchange.api.docs_page import add_docs_page
from exchange.api.errors import BodyTooLarge, ExchangeError, InvalidRequest, MethodNotFound
from exchange.api.gateway import Caller, Gateway
from exchange.api.key_auth import SignedRequest
from exchange.api.key_store import KeyStore
from exchange.api.listener import WEBSOCKET, Proxies, bounded_protocol
from exchange.api.methods_charts import CHARTS
from exchange.api.methods_combos import COMBOS
from exchange.api.methods_disconnect import DISCONNECT
from exchange.api.methods_funding import FUNDING
from exchange.api.methods_history import HISTORY
from exchange.api.methods_keys import KEYS
from exchange.api.methods_liquidations import LIQUIDATIONS
from exchange.api.methods_market import MARKET
from exchange.api.methods_money import MONEY
from exchange.api.methods_orders import ORDERS
from exchange.api.methods_private import PRIVATE, SIGNED
from exchange.api.methods_protection import PROTECTION
from exchange.api.methods_public import PUBLIC, VERSION
from exchange.api.methods_quotes import QUOTES
from exchange.api.methods_rfq import RFQ
from exchange.api.methods_risk import RISK
from exchange.api.methods_session_keys import SESSION_KEYS
from exchange.api.methods_settlement import SETTLEMENT
from exchange.api.ports import Entry, History, Sequencer
from exchange.api.schemas import Params, query_to_json
from exchange.api.settings import GatewaySettings
from exchange.api.terminal import LocalVenue, add_terminal
from exchange.api.views import VenueView
from exchange.api.websocket import WebSocketEndpoint

PREFIX: Final = "/api/v2"
CONNECTIONS_MAX: Final = 8_192  # sockets of every kind; beyond it the server answers 503
METHODS: Final[list[Method[Any]]] = [
    *PUBLIC,
    *MARKET,
    *CHARTS,
    *FUNDING,
    *RISK,
    *SETTLEMENT,
    *PRIVATE,
    *ORDERS,
    *COMBOS,
    *MONEY,
    *PROTECTION,
    *QUOTES,
    *DISCONNECT,
    *KEYS,
    *SESSION_KEYS,
    *HISTORY,
    *RFQ,
    *LIQUIDATIONS,
]
Endpoint = Callable[[Request], Awaitable[Response]]
Answer = Callable[[bytes, Caller], Awaitable[Response]]


def create_app(  # noqa: PLR0913 -- what it is made of
    sequencer: Sequencer,
    settings: GatewaySettings | None = None,
    history: Iterable[Entry] = (),
    key_store: KeyStore | None = None,
    past: History | None = None,
    view: VenueView | None = None,
    ask_contract: AskContract | None = None,
    dispatch: Callable[[Gateway, Sequence[Method[Any]]], Dispatcher] = Dispatcher,
) -> FastAPI:
    """The public application, which follows the sequencer from now on.

    `history` must be every entry after `view` that the journal holds when this is called.
    """
    gateway = Gateway(
        sequencer,
        settings or GatewaySettings(),
        history,
        key_store=key_store,
        past=past,
        view=view,
        ask_contract=ask_contract,
    )
    gateway.start()
    return app_of(dispatch(gateway, METHODS))


def app_of(dispatcher: Dispatcher) -> FastAPI:
    """The application before a dispatcher whose gateway was started."""
    gateway = dispatcher.gateway

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        await gateway.signatures.open()
        ticks = asyncio.create_task(gateway.run_ticks())
        yield {WEBSOCKET: WebSocketEndpoint(dispatcher)}
        ticks.cancel()
        gateway.stop()
        await gateway.signatures.close()

    app = FastAPI(
        title="Hybrid options exchange",
        version=VERSION,
        lifespan=lifespan,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.gateway = gateway
    app.state.dispatcher = dispatcher
    endpoints = HttpEndpoints(dispatcher)
    _add_routes(app, endpoints, dispatcher)
    _answer_errors(app, dispatcher)
    _describe(app, list(dispatcher.methods.values()))
    add_docs_page(app, PREFIX)
    _serve_asyncapi(app, gateway.settings.public_url)
    if gateway.settings.terminal_dir:
        local = LocalVenue(gateway.settings.local_keys, gateway.settings.local_node)
        add_terminal(app, Path(gateway.settings.terminal_dir), local)
    return app


def server_config(app: ASGIApp, host: str, port: int, proxies: Proxies = ()) -> uvicorn.Config:
    """Our limits for uvicorn, and the fast loop; its own WebSockets are not used.

    `proxies` are believed who their clients are.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=bounded_protocol(trusted=proxies),
        ws="none",
        access_log=False,
        log_config=None,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=[str(network) for network in proxies],
        server_header=False,
        h11_max_incomplete_event_size=16 * 1024,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_graceful_shutdown=3,
    )


def _add_routes(app: FastAPI, endpoints: "HttpEndpoints", dispatcher: Dispatcher) -> None:
    direct: dict[tuple[str, str], Endpoint] = {("POST", PREFIX): endpoints.json_rpc}
    app.add_api_route(PREFIX, endpoints.json_rpc, methods=["POST"], summary="JSON-RPC 2.0")
    for method in dispatcher.methods.values():
        needs_session = method.private and method.name not in SIGNED
        for verb, endpoint in (("GET", endpoints.get(method)), ("POST", endpoints.post(method))):
            direct[verb, f"{PREFIX}/{method.name}"] = endpoint
            app.add_api_route(
                f"{PREFIX}/{method.name}",
                endpoint,
                methods=[verb],
                summary=method.summary,
                operation_id=f"{verb.lower()}_{method.name.replace('/', '_')}",
                tags=["private" if method.private else "public"],
                openapi_extra=openapi.operation(method, verb, needs_session=needs_session),
            )
    for method in HISTORY:
        app.add_api_route(
            f"{PREFIX}/{method.name}.csv",
            endpoints.csv(method),
            methods=["GET"],
            summary=f"{method.summary} As one CSV file.",
            operation_id=f"csv_{method.name.replace('/', '_')}",
            tags=["private"],
            openapi_extra=openapi.csv_operation(method),
        )

    app.add_middleware(DirectCalls, endpoints=direct)


def _describe(app: FastAPI, methods: list[Method[Any]]) -> None:
    plain = app.openapi

    def described() -> dict[str, Any]:
        document = plain()
        for name, schemas in openapi.components(methods).items():
            document.setdefault("components", {}).setdefault(name, {}).update(schemas)
        return document

    app.openapi = described  # type: ignore[method-assign]  # FastAPI documents this override


def _serve_asyncapi(app: FastAPI, public_url: str) -> None:
    document = asyncapi.document(app.title, VERSION, public_url)
    body = msgspec.json.encode(document)

    async def channels(_: Request) -> Response:
        return Response(body, media_type="application/json")

    app.add_route(f"{PREFIX}/asyncapi.json", channels, methods=["GET"], include_in_schema=False)


def _answer_errors(app: FastAPI, dispatcher: Dispatcher) -> None:
    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code in (404, 405):
            path = request.url.path.removeprefix(PREFIX + "/")[:64]
            verb = request.method if error.status_code == 405 else "method"
            return _response(dispatcher.refuse(MethodNotFound(f"no {verb} {path}", "method")))
        return _response(dispatcher.refuse(InvalidRequest(str(error.detail))))

    app.add_exception_handler(HTTPException, answer)


def _response(outcome: Outcome) -> Response:
    # After a body that is too large the connection ends: the server would read the rest for ever.
    headers = (
        {"Connection": "close"} if outcome.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else None
    )
    return Response(outcome.body, outcome.status, headers, "application/json")


class DirectCalls:
    """Leads requests for methods straight to their endpoints; the others go their usual way.

    A router tries its routes one by one, and there are hundreds, which are there to be described.
    """

    def __init__(self, app: ASGIApp, endpoints: Mapping[tuple[str, str], Endpoint]) -> None:
        self._app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or phase of life."""
        known = scope["type"] == "http"
        endpoint = self._endpoints.get((scope["method"], scope["path"])) if known else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        response = await endpoint(Request(scope, receive))
        await response(scope, receive, send)


class HttpEndpoints:
    """HTTP requests to calls."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._body_max = dispatcher.gateway.settings.body_max

    async def json_rpc(self, request: Request) -> Response:
        """Any method as a JSON-RPC 2.0 request."""
        try:
            body = await self._body(request)
            caller = self._caller(request, body)
        except ExchangeError as error:
            return _response(self._dispatcher.refuse(error))
        return _response(await self._dispatcher.call_text(body, caller))

    def get(self, method: Method[Any]) -> Any:
        """The endpoint of a method with its parameters in the query."""

        async def answer(params: bytes, caller: Caller) -> Response:
            return _response(await self._dispatcher.call_method(method.name, params, caller))

        return self._queried(method, answer)

    def csv(self, method: Method[Any]) -> Any:
        """The endpoint of a method about the past: every page in one file."""

        async def answer(params: bytes, caller: Caller) -> Response:
            found = await csv_response(self._dispatcher, method, params, caller)
            return _response(found) if isinstance(found, Outcome) else found

        return self._queried(method, answer)

    def _queried(self, method: Method[Any], answer: Answer) -> Any:
        async def endpoint(request: Request) -> Response:
            try:
                caller = self._caller(request, b"")
                params = _query(request, method.params, self._body_max)
            except ExchangeError as error:
                return _response(self._dispatcher.refuse(error))
            return await answer(params, caller)

        return endpoint

    def post(self, method: Method[Any]) -> Any:
        """The endpoint of a method with a body: bare parameters, or a whole request."""

        async def endpoint(request: Request) -> Response:
            try:
                body = await self._body(request)
                caller = self._caller(request, body)
            except ExchangeError as error:
                return _response(self._dispatcher.refuse(error))
            if _is_envelope(body):
                return _response(await self._dispatcher.call_text(body, caller))
            return _response(await self._dispatcher.call_method(method.name, body, caller))

        return endpoint

    def _caller(self, request: Request, body: bytes) -> Caller:
        address = request.client.host if request.client else ""
        query = request.scope["query_string"]
        signed = SignedRequest(
            authorization=request.headers.get("authorization", ""),
            method=request.method,
            target=request.scope["raw_path"] + (b"?" + query if query else b""),
            body=body,
            address=address,
        )
        return Caller(address=address, session=self._dispatcher.gateway.session_of(signed))

    async def _body(self, request: Request) -> bytes:
        parts = bytearray()
        try:
            async for part in request.stream():
                parts += part
                if len(parts) > self._body_max:
                    raise BodyTooLarge(f"a body holds at most {self._body_max} bytes")
        except ClientDisconnect:
            raise InvalidRequest("the body ended early") from None
        return bytes(parts)


def _query(request: Request, params: type[Params], limit: int) -> bytes:
    if len(request.url.query) > limit:
        raise BodyTooLarge(f"a query holds at most {limit} bytes")
    return query_to_json(request.query_params.multi_items(), params)


def _is_envelope(body: bytes) -> bool:
    try:
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):  # what it is the dispatcher will say: UTF-8 or JSON
        return False
    return "method" in members or "jsonrpc" in members
