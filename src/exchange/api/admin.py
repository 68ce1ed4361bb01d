"""The operator's listener: health, metrics and the few actions of operation, behind a token.

Separate from the public one, never reachable through it. Bodies are msgspec JSON of the commands
themselves. Health and readiness are open, since probes carry no secrets and learn none; so is the
operator's page, which asks for the token itself.
"""

import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec
import structlog
from fastapi import FastAPI, Request
from msgspec import Meta
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from exchange.api import parameters
from exchange.api.admin_keys import TOKEN_LENGTH_MIN, AdminKey, Role, acting, key_of
from exchange.api.errors import (
    BodyTooLarge,
    ExchangeError,
    Forbidden,
    InvalidParams,
    MethodNotFound,
    NotFound,
    ParseError,
    Rejected,
    Unauthorized,
    Unavailable,
)
from exchange.api.gateway import Gateway
from exchange.api.markets import markets
from exchange.api.methods_settlement import PendingPostsBody
from exchange.api.operator_page import add_operator_page, is_page
from exchange.api.parameters import ApplyBody, ChangeBody, DrawMarks, SectionBody
from exchange.api.ports import EngineState, Sequencer
from exchange.api.readiness import Readiness
from exchange.api.replays import Replays, ReplayUntil
from exchange.api.schemas import check_json, param_of
from exchange.api.sequencing import sequence, submit
from exchange.commands import (
    AdvanceClock,
    AnyCommand,
    CutBatch,
    Halt,
    HoldWithdrawals,
    ListInstruments,
    NoteAction,
    Novate,
    ObserveBlocks,
    Resume,
    RevertBlocks,
    SetSpeedBump,
    SuspendTrading,
)
from exchange.fixed import to_nanoseconds
from exchange.sequencer import SequencerStopped

BODY_MAX: Final = 16 * 1024 * 1024  # a watcher that was away sends many blocks at once
REASON_LENGTH_MAX: Final = 200
OPEN_PATHS: Final = frozenset({"/health", "/ready"})
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log: Final = structlog.get_logger("admin")
T = TypeVar("T")

AfterClock = Callable[[], Awaitable[object]]


class ClockBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far to move the venue's clock."""

    seconds: Annotated[int, Meta(ge=1, le=400 * 86_400)]


class SpeedBumpBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long takers of an instrument, or of all that an underlying lists now, wait; 0: not."""

    delay_ms: Annotated[int, Meta(ge=0, le=1_000)]
    instrument_id: int = 0
    underlying_id: int = 0


class IndexBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose index an operator vouches for."""

    underlying_id: Annotated[int, Meta(ge=1, le=511)]


class ReplayBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to which seq the journal is replayed; 0: the newest."""

    until_seq: Annotated[int, Meta(ge=0)] = 0


class RelayerReport(msgspec.Struct, frozen=True, kw_only=True):
    """The relayer's last report, as it came, and when by the venue's clock."""

    received_ns: int
    figures: dict[str, Any]


class AdminHooks(msgspec.Struct, frozen=True, kw_only=True):
    """What the page asks of the process around it."""

    after_clock: AfterClock | None = None  # runs once the clock was moved, before the reply
    reset_index: Callable[[int], None] | None = None  # by underlying_id
    draw_marks: DrawMarks | None = None  # the next epoch under other scales
    replay: ReplayUntil | None = None  # the journal, beside this process
    shard: int = 0  # which one this process serves
    figures: tuple[Collector, ...] = ()  # more of the metrics page
    follows: Callable[[], bool] = lambda: True  # whether this process still reads the journal
    reasons: Callable[[], dict[str, str]] = dict  # more that keeps it from taking orders, by name


class AdminEndpoints:
    """Requests to commands and figures."""

    def __init__(
        self,
        sequencer: Sequencer,
        gateway: Gateway | None,
        registry: CollectorRegistry,
        hooks: AdminHooks,
    ) -> None:
        self._sequencer = sequencer
        self._gateway = gateway
        self._registry = registry
        self._hooks = hooks
        self._relayer: RelayerReport | None = None
        self._readiness = Readiness(sequencer, lambda: self._lives, others=hooks.reasons)
        self._replays = Replays(hooks.replay) if hooks.replay is not None else None

    @property
    def _lives(self) -> bool:
        view_follows = self._gateway is None or self._gateway.healthy
        return view_follows and not self._sequencer.stopped

    @property
    def _healthy(self) -> bool:
        return self._lives and self._hooks.follows()

    async def health(self, _: Request) -> Response:
        """Whether the writer lives and the gateway's view follows it."""
        answer = {"healthy": self._healthy, "shard": self._hooks.shard}
        return _answer(answer, 200 if self._healthy else 503)

    async def ready(self, _: Request) -> Response:
        """Whether orders can be taken, and what is in the way."""
        reasons = await self._readiness.reasons()
        answer = {"ready": not reasons, "shard": self._hooks.shard, "reasons": reasons}
        return _answer(answer, 503 if reasons else 200)

    async def metrics(self, _: Request) -> Response:
        """Prometheus text."""
        return PlainTextResponse(generate_latest(self._registry).decode())

    async def status(self, _: Request) -> Response:
        """Where the venue stands."""
        figures = await self._sequencer.read(_status)
        return _answer(
            figures
            | {
                "seq": self._sequencer.last_seq,
                "time_ns": self._sequencer.now_ns(),
                "queue_length": self._sequencer.queue_length(),
                "stopped": self._sequencer.stopped,
                "relayer": self._relayer,
            }
        )

    async def relayer(self, request: Request) -> Response:
        """Take the relayer's picture of settlement, to be shown under status."""
        figures = _decode(await _body(request), dict[str, Any])
        await self._note()
        self._readiness.settlement_reported()
        self._relayer = RelayerReport(received_ns=self._sequencer.now_ns(), figures=figures)
        return _answer({"received_ns": self._relayer.received_ns})

    async def pending_posts(self, request: Request) -> Response:
        """Take what the relayer cannot get in, to be shown to keepers."""
        found = _decode(await _body(request), PendingPostsBody).posts
        await self._note()
        if self._gateway is not None:
            self._gateway.pending_posts = found
        return _answer({"posts": len(found)})

    async def liquidations(self, _: Request) -> Response:
        """Every liquidation that runs, with all figures; amounts in micro-USDC."""
        return _answer(await self._sequencer.read(lambda engine: engine.liquidations()))

    async def account(self, request: Request) -> Response:
        """One subaccount whole; amounts in micro-USDC, quantities in 1e-4 contracts."""
        number: int = request.path_params["subaccount_id"]
        found = await self._sequencer.read(lambda engine: engine.account(number))
        if found is None:
            raise NotFound(f"no subaccount {number}", "subaccount_id")
        return _answer(found)

    async def replays(self, _: Request) -> Response:
        """What replays found, the newest first."""
        return _answer(self._replays.rows if self._replays is not None else [])

    async def start_replay(self, request: Request) -> Response:
        """Replay the journal beside this process; `replays` tells what came of it."""
        asked = _decode(await _body(request), ReplayBody).until_seq
        last_seq = self._sequencer.last_seq
        if self._replays is None:
            raise MethodNotFound("no journal can be replayed from this process", "action")
        if asked > last_seq:
            raise InvalidParams(f"the newest seq is {last_seq}", "until_seq")
        self._replays.require_idle()
        await self._note()
        return _answer(self._replays.start(asked or last_seq, self._sequencer.now_ns()))

    async def markets(self, _: Request) -> Response:
        """What trades, what does not, and how old each index is."""
        if self._gateway is None:
            raise MethodNotFound("no gateway runs in this process", "action")
        return _answer(markets(self._gateway.view, self._sequencer.now_ns()))

    async def all_parameters(self, _: Request) -> Response:
        """All parameters in force, in the journal's own units; null before the first."""
        return _answer(await self._sequencer.read(lambda engine: engine.parameters))

    async def fees(self, _: Request) -> Response:
        """The schedule of fees in force."""
        return _answer(await parameters.section_of(self._sequencer, "fees"))

    async def limits(self, _: Request) -> Response:
        """The bounds of orders, prices and positions in force."""
        return _answer(await parameters.section_of(self._sequencer, "limits"))

    async def change_fees(self, request: Request) -> Response:
        """Change fees as `apply_parameters` does, and nothing else."""
        return await self._change_section(request, "fees")

    async def change_limits(self, request: Request) -> Response:
        """Change limits as `apply_parameters` does, and nothing else."""
        return await self._change_section(request, "limits")

    async def _change_section(self, request: Request, section: str) -> Response:
        body = _decode(await _body(request), SectionBody)
        return await self._apply(ApplyBody(change=body.within(section), confirm=body.confirm))

    async def list_instruments(self, request: Request) -> Response:
        """Journal a `ListInstruments`."""
        return await self._submit(_decode(await _body(request), ListInstruments))

    async def observe_blocks(self, request: Request) -> Response:
        """Journal what the watcher read from confirmed blocks."""
        return await self._submit(_decode(await _body(request), ObserveBlocks))

    async def revert_blocks(self, request: Request) -> Response:
        """Undo what blocks brought that the chain has lost."""
        return await self._submit(_decode(await _body(request), RevertBlocks))

    async def novate(self, request: Request) -> Response:
        """Journal that the venue takes sides of trades which the chain refuses."""
        return await self._submit(_decode(await _body(request), Novate))

    async def hold_withdrawals(self, request: Request) -> Response:
        """Let no money leave a subaccount, or again let it."""
        return await self._submit(_decode(await _body(request), HoldWithdrawals))

    async def suspend_trading(self, request: Request) -> Response:
        """Let a subaccount only reduce, or again trade."""
        return await self._submit(_decode(await _body(request), SuspendTrading))

    async def advance_clock(self, request: Request) -> Response:
        """Move the venue's clock forward, on a local chain only; prices follow before the reply."""
        seconds = _decode(await _body(request), ClockBody).seconds
        response = await self._submit(AdvanceClock(by_ns=to_nanoseconds(seconds)))
        if self._hooks.after_clock is not None:
            await self._hooks.after_clock()
        return response

    async def reset_index(self, request: Request) -> Response:
        """Vouch for the sources of an underlying whose index is withheld after a jump."""
        underlying_id = _decode(await _body(request), IndexBody).underlying_id
        if self._hooks.reset_index is None:
            raise MethodNotFound("no oracle runs in this process", "action")
        await self._note()
        self._hooks.reset_index(underlying_id)
        return _answer({"underlying_id": underlying_id})

    async def halt(self, request: Request) -> Response:
        """Stop trading in an instrument, an underlying or (neither given) everywhere."""
        return await self._submit(_decode(await _body(request), Halt))

    async def resume(self, request: Request) -> Response:
        """End a halt of the same scope, into a call auction."""
        return await self._submit(_decode(await _body(request), Resume))

    async def preview_parameters(self, request: Request) -> Response:
        """Who a change of parameters would liquidate or restrict."""
        change = _decode(await _body(request), ChangeBody)
        found = await self._plan(change)
        await self._note()
        return _answer(found.report)

    async def apply_parameters(self, request: Request) -> Response:
        """Change parameters, if that liquidates as many accounts as confirmed."""
        return await self._apply(_decode(await _body(request), ApplyBody))

    async def _apply(self, body: ApplyBody) -> Response:
        found = await self._plan(body.change)
        replies = await parameters.apply(self._sequencer, found, body.confirm)
        events = [event for reply in replies for event in reply.events]
        seqs = [reply.seq for reply in replies]
        return _answer(found.report | {"seqs": seqs, "events": events})

    async def _plan(self, change: ChangeBody) -> parameters.Plan:
        return await parameters.plan(self._sequencer, change, self._hooks.draw_marks)

    async def set_speed_bump(self, request: Request) -> Response:
        """Let takers wait, so that makers' cancels go ahead."""
        body = _decode(await _body(request), SpeedBumpBody)
        if bool(body.instrument_id) is bool(body.underlying_id):
            raise InvalidParams("name an instrument or an underlying", "instrument_id")
        command = SetSpeedBump(
            delay_ns=body.delay_ms * 1_000_000,
            instrument_id=body.instrument_id,
            underlying_id=body.underlying_id,
        )
        return await self._submit(command)

    async def cut_batch(self, _: Request) -> Response:
        """End the settlement batch here."""
        return await self._submit(CutBatch())

    async def _submit(self, command: AnyCommand) -> Response:
        reply = await submit(self._sequencer, command, note=acting.get())
        return _answer(
            {
                "seq": reply.seq,
                "journal_hash": "0x" + reply.chain_hash.hex(),
                "events": reply.events,
            }
        )

    async def _note(self) -> None:
        """Journal who does what no command says, and why."""
        if (note := acting.get()) is not None:
            await sequence(self._sequencer, note)


def create_admin_app(
    sequencer: Sequencer,
    *,
    token: str,
    gateway: Gateway | None = None,
    hooks: AdminHooks | None = None,
    keys: Sequence[AdminKey] = (),
    acts: bool = True,
) -> FastAPI:
    """The operator's application: for `token`, which the venue's own processes share, and `keys`.

    Beside an engine that leads elsewhere it only answers questions: `acts` is False.
    With the public application's `gateway` the metrics page shows its figures too.
    """
    assert len(token) >= TOKEN_LENGTH_MIN, "the admin token is too short to keep anybody out"
    app = FastAPI(title="Exchange operations", openapi_url=None, docs_url=None, redoc_url=None)
    registry = CollectorRegistry()
    hooks = hooks or AdminHooks()
    for collector in (ExchangeMetrics(sequencer, gateway), *hooks.figures):
        registry.register(collector)
    endpoints = AdminEndpoints(sequencer, gateway, registry, hooks)
    _add_questions(app, endpoints)
    if acts:
        _add_actions(app, endpoints)
        if gateway is not None and gateway.settings.terminal_dir:
            add_operator_page(app, Path(gateway.settings.terminal_dir))
    _guard(app, (AdminKey(name="venue", role=Role.ADMIN, token=token, own=True), *keys))
    return app


def _add_questions(app: FastAPI, endpoints: AdminEndpoints) -> None:
    for path, show in (
        ("/health", endpoints.health),
        ("/ready", endpoints.ready),
        ("/metrics", endpoints.metrics),
        ("/admin/status", endpoints.status),
        ("/admin/liquidations", endpoints.liquidations),
        ("/admin/accounts/{subaccount_id:int}", endpoints.account),
        ("/admin/markets", endpoints.markets),
        ("/admin/parameters", endpoints.all_parameters),
        ("/admin/fees", endpoints.fees),
        ("/admin/limits", endpoints.limits),
        ("/admin/replays", endpoints.replays),
    ):
        app.add_route(path, show, methods=["GET"])


def _add_actions(app: FastAPI, endpoints: AdminEndpoints) -> None:
    for path, act in (
        ("/admin/list_instruments", endpoints.list_instruments),
        ("/admin/observe_blocks", endpoints.observe_blocks),
        ("/admin/revert_blocks", endpoints.revert_blocks),
        ("/admin/novate", endpoints.novate),
        ("/admin/hold_withdrawals", endpoints.hold_withdrawals),
        ("/admin/suspend_trading", endpoints.suspend_trading),
        ("/admin/advance_clock", endpoints.advance_clock),
        ("/admin/cut_batch", endpoints.cut_batch),
        ("/admin/halt", endpoints.halt),
        ("/admin/resume", endpoints.resume),
        ("/admin/set_speed_bump", endpoints.set_speed_bump),
        ("/admin/reset_index", endpoints.reset_index),
        ("/admin/relayer", endpoints.relayer),
        ("/admin/pending_posts", endpoints.pending_posts),
        ("/admin/parameters/preview", endpoints.preview_parameters),
        ("/admin/parameters/apply", endpoints.apply_parameters),
        ("/admin/fees", endpoints.change_fees),
        ("/admin/limits", endpoints.change_limits),
        ("/admin/replays", endpoints.start_replay),
    ):
        app.add_route(path, act, methods=["POST"])


def _status(engine: EngineState) -> dict[str, object]:
    return {
        "configured": engine.parameters is not None,
        "last_block": engine.last_block,
        "epoch": engine.epoch,
        "pending": engine.pending,
        "batch_number": engine.batch_number,
        "confirmed_batch": engine.confirmed_batch,
        "withdrawals_held": engine.held,
        "trading_suspended": engine.suspended,
        "exits": engine.exits,
        "escaped": engine.escaped,
    }


class ExchangeMetrics(Collector):
    """Reads the figures when the page is asked for."""

    def __init__(self, sequencer: Sequencer, gateway: Gateway | None) -> None:
        self._sequencer = sequencer
        self._gateway = gateway

    def collect(self) -> list[Metric]:
        """One family a figure."""
        gauges: dict[str, float] = {
            "seq": self._sequencer.last_seq,
            "queue_length": self._sequencer.queue_length(),
            "stopped": float(self._sequencer.stopped),
        }
        families: list[Metric] = []
        if self._gateway is not None:
            gauges |= _gateway_gauges(self._gateway)
            families = _gateway_counters(self._gateway)
        return families + [
            GaugeMetricFamily(f"exchange_{name}", name.replace("_", " "), value=value)
            for name, value in gauges.items()
        ]


def _gateway_gauges(gateway: Gateway) -> dict[str, float]:
    view = gateway.view
    return {
        "gateway_healthy": float(gateway.healthy),
        "connections": len(gateway.connections),
        "subscriptions": gateway.channels.count(),
        "outbox_messages": sum(len(c.outbox) for c in gateway.connections),
        "open_orders": sum(map(len, view.open_orders.values())),
        "instruments": len(view.instruments) - len(view.expired),
        "batches_cut": len(view.batches),
        "batches_confirmed": sum(batch.confirmed for batch in view.batches),
    }


def _gateway_counters(gateway: Gateway) -> list[Metric]:
    requests = CounterMetricFamily("exchange_requests", "Calls by method", labels=["method"])
    for method, count in gateway.counters.requests.items():
        requests.add_metric([method], count)
    errors = CounterMetricFamily("exchange_errors", "Refusals by name", labels=["error"])
    for name, count in gateway.counters.errors.items():
        errors.add_metric([name], count)
    closed = CounterMetricFamily("exchange_disconnected", "Slow or silent clients let go")
    closed.add_metric([], gateway.counters.disconnected)
    return [requests, errors, closed]


def _guard(app: FastAPI, keys: Sequence[AdminKey]) -> None:
    @app.middleware("http")
    async def check(request: Request, call_next: Any) -> Response:
        given = request.headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        response = await _admit(request, call_next, keys, request_id)
        response.headers["X-Request-Id"] = request_id
        return response

    async def refuse(_: Request, error: Exception) -> Response:
        assert isinstance(error, ExchangeError)
        return _failure(error)

    async def stopping(_: Request, error: Exception) -> Response:
        assert isinstance(error, SequencerStopped)
        return _failure(Unavailable("the exchange is stopping; ask again after its restart"))

    async def missing(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _failure(MethodNotFound(str(error.detail)))

    app.add_exception_handler(ExchangeError, refuse)
    app.add_exception_handler(SequencerStopped, stopping)
    app.add_exception_handler(HTTPException, missing)


async def _admit(
    request: Request, call_next: Any, keys: Sequence[AdminKey], request_id: str
) -> Response:
    """The answer to a request whose key reaches that far; who did what and why is logged."""
    verb, path = request.method, request.url.path
    if path in OPEN_PATHS or is_page(path):
        response: Response = await call_next(request)
        return response
    key = key_of(request.headers.get("authorization", ""), keys)
    if key is None:
        return _failure(Unauthorized("this listener needs a bearer token"))
    if not key.may(verb, path):
        return _failure(Forbidden(f"the role {key.role.value} does not reach this"))
    why = request.headers.get("x-reason", "").strip()
    if len(why) > REASON_LENGTH_MAX or (verb != "GET" and key.explains and not why):
        return _failure(InvalidParams(f"say why, in 1 to {REASON_LENGTH_MAX} bytes", "X-Reason"))
    action = path.removeprefix("/admin/")
    note = NoteAction(who=key.name, action=action, why=why, request_id=request_id)
    acting.set(note if why else None)  # of a POST: reads do not look at it
    response = await call_next(request)
    if verb != "GET":
        quiet = response.status_code < HTTPStatus.BAD_REQUEST and key.keeps_books(path, why)
        (_log.debug if quiet else _log.info)(
            "an operator acted",
            who=key.name,
            role=key.role.value,
            action=path,
            why=why,
            request_id=request_id,
            status=response.status_code,
        )
    return response


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


def _decode(body: bytes, kind: type[T]) -> T:
    check_json(body)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidParams(str(error), param_of(str(error))) from None
    except msgspec.DecodeError as error:
        raise ParseError(str(error)) from None
