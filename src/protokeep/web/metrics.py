"""`GET /metrics`: what this process counted and what stands in rows, in the text format of Prometheus.

It is denied by default. Beside the API it asks for `PROTOKEEP_METRICS_TOKEN`; `monitoring` serves it on an address of
its own.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter

from fastapi import APIRouter, Request, Response
from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from pydantic import SecretStr
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from protokeep import telemetry
from protokeep.core.errors import NotAuthenticated, NotFound
from protokeep.metrics import NO_ROUTE, Metrics, method_of
from protokeep.service.gauges import GAUGES, Reading
from protokeep.telemetry import Origin, Span
from protokeep.web.problems import responses
from protokeep.wiring import Application

router = APIRouter(tags=["health"])

#: Processor time, memory and open files of this process.
PROCESS = ProcessCollector(registry=None)
#: Where `RouteNoted` leaves the template of the route, and `Measured` finds it.
ROUTE = "route_template"


@router.get(
    "/metrics",
    summary="What monitoring reads",
    description="The text format of Prometheus. It takes PROTOKEEP_METRICS_TOKEN; unset: it is not found.",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **responses(401, 404)},
)
async def metrics(request: Request) -> Response:
    application: Application = request.app.state.application
    token = application.settings.metrics_token
    if token is None:
        raise NotFound("Metrics are not served here. Set PROTOKEEP_METRICS_TOKEN, or PROTOKEEP_METRICS_PORT.")
    if not is_allowed(request, token):
        request.app.state.rates.sign_in(request)
        raise NotAuthenticated("Send PROTOKEEP_METRICS_TOKEN as a Bearer token.")
    return await answer_of(application)


def is_allowed(request: Request, token: SecretStr) -> bool:
    """Whether a request carries the token of the metrics."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    expected = token.get_secret_value().strip().encode()
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), expected)


async def answer_of(application: Application) -> Response:
    """The metrics of the process of `application`."""
    readings = await application.gauges.read()
    page = _Page(application.keeper.context.metrics.registry, readings)
    return Response(generate_latest(page), headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4})


class _Page(Collector):
    """The counters of a registry, and readings beside them."""

    def __init__(self, counters: Collector, readings: Iterable[Reading]) -> None:
        self._counters = counters
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for name, (words, labels) in GAUGES.items():
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            families[name] = kind(name, words, labels=labels)
        for reading in self._readings:
            families[reading.name].add_metric(reading.labels, reading.value)
        yield from families.values()
        yield from self._counters.collect()
        yield from PROCESS.collect()


class RouteNoted:
    """Leaves the template of the route that took a request, such as `/p/{product_id}`, for `Measured`.

    It stands behind all other middleware, which hands copies of the scope on.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope["state"][ROUTE] = template_of(scope)
            await send(message)

        try:
            await self._app(scope, receive, noting if scope["type"] == "http" else send)
        except Exception:
            scope["state"][ROUTE] = template_of(scope)
            raise


class Measured:
    """Counts answers and how long they took, and opens the span of each request.

    It stands before all other middleware, whose refusals count too.
    """

    def __init__(self, app: ASGIApp, clock: Callable[[], float] = perf_counter) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        traceparent = dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1") if telemetry.is_on() else ""
        with telemetry.span("request", kind="server", origin=Origin(traceparent=traceparent)) as span:
            await self._answered(scope, receive, send, span)

    async def _answered(self, scope: Scope, receive: Receive, send: Send, span: Span) -> None:
        state = scope.setdefault("state", {})
        began, is_counted = self._clock(), False

        def count(status: int) -> None:
            nonlocal is_counted
            is_counted = True
            route = state.get(ROUTE, NO_ROUTE)
            metrics: Metrics = scope["app"].state.application.keeper.context.metrics
            metrics.request(scope["method"], route, status, self._clock() - began)
            span.name(f"{method_of(scope['method'])} {route}")
            span.set(status=status, request_id=state.get("request_id", ""))

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                count(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, counting)
        except Exception:
            if not is_counted:  # The application answers it with 500, outside of all middleware.
                count(500)
            raise


def template_of(scope: Scope) -> str:
    """The template of the route that takes a request; `NO_ROUTE`: none does."""
    return getattr(scope.get("route"), "path", None) or NO_ROUTE
