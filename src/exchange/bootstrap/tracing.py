"""OpenTelemetry traces, where `EXCHANGE_TRACES` asks for them: what one request waited for.

The only module that knows OpenTelemetry, and nobody imports it unless traces are on (ADR 0051). A
call is a span; each command is one below it, from its arrival to its release, with its seq and with
a span for each stage: queue, apply, journal, publish. How long a batch took to settle is a span of
its own, with the seqs that it holds. Where to and how many is said by the variables OTEL_*.
"""

import os
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from exchange.api.dispatch import Answered, Dispatcher, Method, Outcome, Unread
from exchange.api.errors import ExchangeError
from exchange.api.gateway import Caller, Gateway
from exchange.bootstrap.processes import StartFailed
from exchange.commands import NoteAction
from exchange.events import AnyEvent, BatchConfirmed, BatchCut, Refused
from exchange.journal import Entry
from exchange.sequencer import GroupTimes

try:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode
except ImportError as error:  # only the extra brings them
    raise StartFailed(f"EXCHANGE_TRACES needs the extra `traces`: {error}") from error

SERVICE: Final = "exchange"  # unless OTEL_SERVICE_NAME says otherwise
FLUSH_MS: Final = 2_000  # at the end: a collector that is away holds nobody up
BATCHES_MAX: Final = 1_000  # cut and not confirmed: the oldest is no longer followed

RequestId = str | int | None


class Cut(msgspec.Struct, frozen=True):
    """A batch that has not settled yet."""

    first_seq: int
    last_seq: int
    time_ns: int


class Tracing:
    """Makes spans and sends them by OTLP over HTTP, from a thread of its own."""

    def __init__(self) -> None:
        named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": SERVICE}
        self._provider = TracerProvider(resource=Resource.create(named))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.tracer = self._provider.get_tracer("exchange")
        self._cut: dict[int, Cut] = {}

    def dispatcher(self, gateway: Gateway, methods: Sequence[Method[Any]]) -> Dispatcher:
        """One whose calls are spans."""
        return TracedDispatcher(gateway, methods, self.tracer)

    def origin(self) -> SpanContext:
        """The call that asks; an invalid one where no call does, such as the marks loop."""
        return trace.get_current_span().get_span_context()

    def group(self, times: GroupTimes) -> None:
        """Spans of all commands of a group, and of the batches that it confirms."""
        shift_ns = times.entries[0].time_ns - int(times.applied_from_s * 1e9)
        marks = (
            times.applied_from_s,
            times.journaled_from_s,
            times.published_from_s,
            times.done_s,
        )
        stages = [shift_ns + int(mark * 1e9) for mark in marks]
        for entry, origin, queued_s in zip(
            times.entries, times.origins, times.queued_s, strict=True
        ):
            assert isinstance(origin, SpanContext)
            self._command(entry, origin, [shift_ns + int(queued_s * 1e9), *stages])
            for event in entry.events:
                self._settle(entry, event)

    def _command(self, entry: Entry, origin: SpanContext, at_ns: Sequence[int]) -> None:
        above = trace.set_span_in_context(trace.NonRecordingSpan(origin))
        span = self.tracer.start_span(
            type(entry.command).__name__,
            context=above,
            start_time=at_ns[0],
            attributes={"exchange.seq": entry.seq},
        )
        if not span.is_recording():  # sampling leaves it out
            return
        if isinstance(entry.command, NoteAction):
            span.set_attribute("exchange.request_id", entry.command.request_id)
        _note_refusal(span, entry.events)
        below = trace.set_span_in_context(span)
        for stage, begin_ns, end_ns in zip(
            ("queue", "apply", "journal", "publish"), at_ns, at_ns[1:], strict=False
        ):
            self.tracer.start_span(
                stage,
                context=below,
                start_time=begin_ns,
                attributes={"exchange.seq": entry.seq},
            ).end(end_ns)
        span.end(at_ns[-1])

    def _settle(self, entry: Entry, event: AnyEvent) -> None:
        if isinstance(event, BatchCut):
            self._cut[event.number] = Cut(event.first_seq, event.last_seq, entry.time_ns)
            if len(self._cut) > BATCHES_MAX:
                del self._cut[min(self._cut)]
        elif isinstance(event, BatchConfirmed) and event.number in self._cut:
            cut = self._cut.pop(event.number)
            self.tracer.start_span(
                "settle",
                context=trace.set_span_in_context(trace.INVALID_SPAN),
                start_time=cut.time_ns,
                attributes={
                    "exchange.batch": event.number,
                    "exchange.first_seq": cut.first_seq,
                    "exchange.last_seq": cut.last_seq,
                    "exchange.seq": entry.seq,
                    "exchange.transaction": event.transaction,
                },
            ).end(entry.time_ns)

    def close(self) -> None:
        """Send what is left, for a moment."""
        self._provider.force_flush(FLUSH_MS)
        self._provider.shutdown()


def _note_refusal(span: Span, events: Sequence[AnyEvent]) -> None:
    for event in events:
        if isinstance(event, Refused):
            span.set_status(Status(StatusCode.ERROR, event.reason.value))


class TracedDispatcher(Dispatcher):
    """Each call is a span, named after its method, with the request's id."""

    def __init__(
        self, gateway: Gateway, methods: Sequence[Method[Any]], tracer: trace.Tracer
    ) -> None:
        super().__init__(gateway, methods)
        self._tracer = tracer

    def begin(self, text: bytes, caller: Caller, answered: Answered) -> object:
        """All by tasks, to which their spans belong."""
        return self._by_task(self.call_text(text, caller), answered)

    async def call_text(
        self, text: bytes, caller: Caller, *, unread: Unread | None = None
    ) -> Outcome:
        """See `Dispatcher`."""
        with self._tracer.start_as_current_span("call", kind=SpanKind.SERVER):
            return await super().call_text(text, caller, unread=unread)

    async def call_method(self, method: str, params: bytes, caller: Caller) -> Outcome:
        """See `Dispatcher`."""
        with self._tracer.start_as_current_span("call", kind=SpanKind.SERVER):
            return await super().call_method(method, params, caller)

    def _allowed(self, name: str, caller: Caller, *, paid: bool = True) -> Method[Any]:
        if name in self.methods:  # any other is a stranger's word
            span = trace.get_current_span()
            span.update_name(name)
            span.set_attribute("rpc.method", name)
        return super()._allowed(name, caller, paid=paid)

    def _succeeded(self, result: object, request_id: RequestId, started_ns: int) -> Outcome:
        _note_request(request_id)
        return super()._succeeded(result, request_id, started_ns)

    def _failed(self, error: ExchangeError, request_id: RequestId, started_ns: int) -> Outcome:
        _note_request(request_id)
        trace.get_current_span().set_status(Status(StatusCode.ERROR, str(error)))
        return super()._failed(error, request_id, started_ns)


def _note_request(request_id: RequestId) -> None:
    if request_id is not None:
        trace.get_current_span().set_attribute("exchange.request_id", str(request_id))
