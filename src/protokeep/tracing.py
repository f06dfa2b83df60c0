"""Traces with OpenTelemetry, which the extra `protokeep[otel]` installs. Imported only where traces are switched on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision

from protokeep import __version__, telemetry
from protokeep.telemetry import Kind, Origin, Turn, Value

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

#: How long a stop waits for spans that were not sent yet.
STOP_SECONDS = 2.0
#: A version, the trace, the span, the flags (W3C Trace Context). All zeros name nothing.
TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
KINDS = {"internal": trace.SpanKind.INTERNAL, "server": trace.SpanKind.SERVER, "client": trace.SpanKind.CLIENT}


@contextlib.asynccontextmanager
async def exporting(endpoint: str, *, to_builder: bool) -> AsyncIterator[None]:
    """Make spans and send them to `endpoint`, for as long as the context lasts.

    Sampling, headers and the name of the service follow OpenTelemetry's own variables (`OTEL_TRACES_SAMPLER`,
    `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`).
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    provider = provider_of(OTLPSpanExporter(endpoint=endpoint))
    try:
        with telemetry.using(OpenTelemetryTracer(provider, to_builder=to_builder)):
            yield
    finally:
        await _shut_down(provider)


def provider_of(exporter: SpanExporter) -> TracerProvider:
    """What makes spans and hands them to `exporter`, many at a time."""
    service = {"service.name": os.environ.get("OTEL_SERVICE_NAME", "protokeep"), "service.version": __version__}
    provider = TracerProvider(resource=Resource.create(service), id_generator=Ids(), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


async def _shut_down(provider: TracerProvider) -> None:
    """Send what is left. A collector that does not answer holds a stop up for no longer than `STOP_SECONDS`."""
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def shut_down() -> None:
        provider.shutdown()
        with contextlib.suppress(RuntimeError):  # The loop has ended meanwhile.
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=shut_down, daemon=True, name="protokeep-traces").start()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(done.wait(), STOP_SECONDS)


class Ids(RandomIdGenerator):
    """Random ids, but for the first span of a turn's trace."""

    def __init__(self) -> None:
        self.first_of: ContextVar[Turn | None] = ContextVar("first_of", default=None)

    def generate_trace_id(self) -> int:
        turn = self.first_of.get()
        return super().generate_trace_id() if turn is None else turn.trace_id

    def generate_span_id(self) -> int:
        turn = self.first_of.get()
        return super().generate_span_id() if turn is None else turn.span_id


class OpenTelemetryTracer:
    """Implements `telemetry.Tracer`."""

    def __init__(self, provider: TracerProvider, *, to_builder: bool = False) -> None:
        if not isinstance(provider.id_generator, Ids):
            raise TypeError("the provider's ids have to be Ids")
        self._ids = provider.id_generator
        self._sampler = provider.sampler
        self._tracer = provider.get_tracer("protokeep", __version__)
        self._to_builder = to_builder

    @contextlib.contextmanager
    def span(
        self, name: str, kind: Kind, origin: Origin, attributes: Mapping[str, Value]
    ) -> Iterator[OpenTelemetrySpan]:
        opened = self._started(name, kind, origin, attributes)
        with trace.use_span(opened, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield OpenTelemetrySpan(opened)
            except Exception as error:
                # The text of an error may repeat what somebody wrote; its class does not.
                opened.set_status(trace.StatusCode.ERROR, type(error).__name__)
                raise

    def _started(self, name: str, kind: Kind, origin: Origin, attributes: Mapping[str, Value]) -> trace.Span:
        links = [trace.Link(self._first_of(turn)) for turn in origin.turns]
        parent, began = None, None
        opened = trace.get_current_span()
        current = opened.get_span_context()
        if origin.turn is not None and (origin.is_first or current.trace_id != origin.turn.trace_id):
            first = self._first_of(origin.turn)
            links += [trace.Link(current)] if current.is_valid else []
            parent = Context() if origin.is_first else _below(first)
            if origin.is_first:
                opened.add_link(first)
                began = getattr(opened, "start_time", None)
        elif found := TRACEPARENT.fullmatch(origin.traceparent):
            parent = _below(_context(int(found[1], 16), int(found[2], 16), int(found[3], 16)))
        ids = self._ids.first_of.set(origin.turn if origin.is_first else None)
        try:
            named = {f"protokeep.{key}": value for key, value in attributes.items()}
            return self._tracer.start_span(name, parent, KINDS[kind], named, links, began)
        finally:
            self._ids.first_of.reset(ids)

    def trace_id(self) -> str:
        context = trace.get_current_span().get_span_context()
        return f"{context.trace_id:032x}" if context.is_valid else ""

    def headers_to_builder(self) -> Mapping[str, str]:
        context = trace.get_current_span().get_span_context()
        if not self._to_builder or not context.is_valid:
            return {}
        flags = int(context.trace_flags.sampled)
        return {"traceparent": f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}"}

    def _first_of(self, turn: Turn) -> trace.SpanContext:
        """The span of the turn's claim. Whether its trace is sampled follows from its id, in every process alike."""
        decision = self._sampler.should_sample(Context(), turn.trace_id, "prototype.claim").decision
        return _context(turn.trace_id, turn.span_id, int(decision is Decision.RECORD_AND_SAMPLE))


class OpenTelemetrySpan:
    """Implements `telemetry.Span`."""

    def __init__(self, opened: trace.Span) -> None:
        self._opened = opened

    def name(self, name: str) -> None:
        self._opened.update_name(name)

    def set(self, **attributes: Value) -> None:
        self._opened.set_attributes({f"protokeep.{key}": value for key, value in attributes.items()})


def _context(trace_id: int, span_id: int, flags: int) -> trace.SpanContext:
    return trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=trace.TraceFlags(flags))


def _below(parent: trace.SpanContext) -> Context:
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())
