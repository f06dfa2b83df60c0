"""What happens to a prototype is one trace, whichever process does it; and no trace holds what people wrote."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from protokeep import jobs, telemetry, tracing
from protokeep.logs import with_trace
from protokeep.providers.v0_http import V0Config, V0Http
from protokeep.telemetry import Origin, Turn
from protokeep.web.server import address_of, listen, serving
from world import ANN, GENERATION_SECONDS, KEY, PROMPT, World, on_sqlite, settings_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


class Spans(InMemorySpanExporter):
    """The spans that ended while a test made traces."""

    def of(self, turn: Turn) -> list[ReadableSpan]:
        """The spans in the trace of a turn, in the order in which they ended."""
        return [span for span in self.get_finished_spans() if span.context.trace_id == turn.trace_id]

    def named(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.get_finished_spans() if span.name == name]
        return found


@pytest.fixture
def spans() -> Iterator[Spans]:
    """Traces are made, and kept here."""
    kept = Spans()
    provider = TracerProvider(id_generator=tracing.Ids(), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with telemetry.using(tracing.OpenTelemetryTracer(provider)):
        yield kept


async def test_a_create_is_one_trace_from_the_claim_to_the_last_poll(world: World, spans: Spans) -> None:
    """
    Claim, delivery, call, record and polls are in one trace, though another process polls. The request is in its
    caller's trace, and the two are linked.
    """
    async with world.serving() as site:
        made = (await site.create("p-1", headers={"traceparent": TRACEPARENT})).json()
    await site.node.work()
    other = await world.node()
    world.clock.advance(GENERATION_SECONDS)
    await other.sweep()

    trace = spans.of(Turn(made["id"], 1))
    names = ["prototype.claim", "v0 POST chats/async", "prototype.record", "prototype.deliver", "prototype.poll"]
    assert [span.name for span in trace] == names
    claim, call, record, deliver, poll = trace
    assert claim.parent is None
    assert {span.parent.span_id for span in (deliver, poll) if span.parent} == {claim.context.span_id}
    assert {span.parent.span_id for span in (call, record) if span.parent} == {deliver.context.span_id}
    request = spans.named("POST /api/design/create-project")
    assert (f"{request.context.trace_id:032x}", f"{request.parent.span_id:016x}" if request.parent else "") == (
        TRACE,
        SPAN,
    )
    assert [link.context.span_id for link in request.links] == [claim.context.span_id]
    assert [link.context.span_id for link in claim.links] == [request.context.span_id]
    assert claim.start_time == request.start_time
    assert spans.named("account.poll").links[0].context.span_id == claim.context.span_id


@on_sqlite
async def test_a_lost_answer_is_looked_up_in_the_same_trace(world: World, spans: Spans) -> None:
    """
    The look-up of another process, and what it recorded, stand in the trace of the create; a follow-up has its own.
    """
    with world.knobs(drop_next_answers=1):
        lost = await world.make("p-1")
    other = await world.node()
    world.clock.advance(40)
    await other.sweep()
    world.clock.advance(GENERATION_SECONDS)
    await other.sweep()
    await world.keeper.iterate(ANN, lost.id, "Make it blue", wait=0)
    await world.work()

    create = [span.name for span in spans.of(Turn(lost.id, 1))]
    assert {"prototype.look_up", "prototype.record", "prototype.poll"} <= set(create)
    assert create.count("prototype.claim") == create.count("v0 POST chats/async") == 1
    follow_up = [span.name for span in spans.of(Turn(lost.id, 2))]
    assert {"prototype.claim", "v0 POST chats/{id}/messages/async", "prototype.record"} <= set(follow_up)


@on_sqlite
async def test_no_span_holds_what_people_wrote(world: World, spans: Spans) -> None:
    """
    No prompt, message, product, person, chat, token or key is in any name, attribute or status, also after errors.
    """
    async with world.serving() as site:
        made = (await site.create("secret-product")).json()
        await site.create("secret-product", prompt="\x00 words that cannot be used")
        await site.node.work()
        await site.http.get("/api/design/mockups/secret-product/status")
    world.clock.advance(GENERATION_SECONDS)
    await world.sweep()
    await world.keeper.iterate(ANN, made["id"], "Make it blue", wait=0)
    with world.knobs(fail_next=[{"operation": "*", "status": 500, "message": "words of v0", "times": None}]):
        await world.work()
    with pytest.raises(ValueError, match="words"), telemetry.span("a fault"):
        raise ValueError("words of somebody")

    texts = [
        f"{one.name} {dict(one.attributes or {})} {one.status.description} {_events_of(one)}" for one in _all(spans)
    ]
    assert len(texts) > 8
    for word in (
        PROMPT,
        "secret-product",
        "words",
        "blue",
        "ann",
        KEY,
        world.chat.id,
        site.http.headers["authorization"],
    ):
        assert word not in "\n".join(texts)


@on_sqlite
async def test_log_lines_name_their_trace_while_there_are_traces(world: World, spans: Spans) -> None:
    """
    A line within a span has its trace; without a span, or without traces, it has none.
    """
    with telemetry.span("request", origin=Origin(traceparent=TRACEPARENT)):
        within = with_trace(None, "info", {"event": "x"})

    assert within == {"event": "x", "trace_id": TRACE}
    assert with_trace(None, "info", {"event": "x"}) == {"event": "x"}


@given(
    st.one_of(st.text(max_size=80), st.from_regex(r"(00|ff)-[0-9a-fA-F]{31,33}-[0-9a-f]{16}-0[0-3]", fullmatch=True))
)
def test_a_traceparent_that_is_none_begins_a_trace_of_its_own(header: str) -> None:
    """
    Whatever a caller sends as `traceparent`, the span is a valid one: in the caller's trace if it names one.
    """
    provider = TracerProvider(id_generator=tracing.Ids(), shutdown_on_exit=False)
    tracer = tracing.OpenTelemetryTracer(provider)
    with tracer.span("request", "server", Origin(traceparent=header), {}):
        found = tracer.trace_id()

    assert int(found, 16) != 0
    if header.startswith("00-") and len(header) == 55 and header[3:35].strip("0") and header == header.lower():
        assert found == header[3:35] or not header[36:52].strip("0")


@pytest.mark.parametrize("to_builder", [False, True])
async def test_the_app_builder_is_told_of_traces_only_where_a_setting_says_so(to_builder: bool) -> None:
    """
    A call carries `traceparent`, of its own span, only with PROTOKEEP_TRACES_TO_BUILDER.
    """
    headers: list[Mapping[str, str]] = []

    def v0(request: httpx2.Request) -> httpx2.Response:
        headers.append(request.headers)
        return httpx2.Response(200, json={})

    kept = Spans()
    provider = TracerProvider(id_generator=tracing.Ids(), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    http = V0Http(V0Config("key"), 2, httpx2.MockTransport(v0))
    with telemetry.using(tracing.OpenTelemetryTracer(provider, to_builder=to_builder)):
        await http.request("GET", "chats")
    await http.aclose()

    call = kept.named("v0 GET chats").context
    sent = f"00-{call.trace_id:032x}-{call.span_id:016x}-01"
    assert [one.get("traceparent") for one in headers] == [sent if to_builder else None]


@on_sqlite
async def test_spans_arrive_at_the_collector(world: World) -> None:
    """
    With PROTOKEEP_TRACES_ENDPOINT spans are sent over OTLP, the last ones at the stop.
    """
    received: list[str] = []

    async def collect(request: Request) -> Response:
        body = ExportTraceServiceRequest.FromString(await request.body())
        received.extend(
            span.name for resource in body.resource_spans for scope in resource.scope_spans for span in scope.spans
        )
        return Response(status_code=200, media_type="application/x-protobuf")

    listener = listen("127.0.0.1", 0)
    async with AsyncExitStack() as stack:
        collector = Starlette(routes=[Route("/v1/traces", collect, methods=["POST"])])
        await stack.enter_async_context(serving(collector, listener))
        settings = settings_of(traces_endpoint=f"{address_of(listener)}/v1/traces")
        async with jobs.traces_of(settings):
            await world.make("p-1")

    assert {"prototype.claim", "prototype.deliver", "v0 POST chats/async", "prototype.record"} <= set(received)
    assert not telemetry.is_on()


def test_traces_without_the_extra_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without OpenTelemetry the setting is refused, in every command alike, and the message names the extra.
    """
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)

    with pytest.raises(ValidationError, match=r"protokeep\[otel\]"):
        settings_of(traces_endpoint="http://collector:4318/v1/traces")


def _all(spans: Spans) -> tuple[ReadableSpan, ...]:
    return tuple(spans.get_finished_spans())


def _events_of(span: ReadableSpan) -> list[dict[str, object]]:
    return [dict(event.attributes or {}) for event in span.events]
