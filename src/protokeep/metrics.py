"""What one process counts, in the form that Prometheus reads.

The numbers of rows are not counted here: `service.gauges` reads them when somebody asks for the metrics. No label holds
a product, a person, a workspace, an address or a key; every label has few values, whatever comes in from outside.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

#: Bounds in seconds. Answers of rows take milliseconds; a create waits for the app builder.
REQUEST_SECONDS = (0.025, 0.1, 0.5, 2.5, 10.0)
#: Bounds in seconds. Creates are reported to take about 4 s, and a call is given up after 30 s.
CALL_SECONDS = (0.25, 1.0, 2.5, 5.0, 10.0, 30.0)
#: Methods that have a label of their own. Anybody may send any other word.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: The label of requests that no route takes.
NO_ROUTE = "none"
#: The label of an answer that did not come.
NO_ANSWER = "none"

disable_created_metrics()  # type: ignore[no-untyped-call, unused-ignore]  # They double the page, and nobody reads them.


def method_of(method: str) -> str:
    """A method as labels and spans have it: one of few, whatever somebody sends."""
    return method if method in METHODS else "other"


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._requests = self._counter(
            "protokeep_http_requests", "Requests that were answered", "method", "route", "status"
        )
        self._request_seconds = self._histogram(
            "protokeep_http_request_seconds", "Seconds until the answer to a request began", REQUEST_SECONDS, "route"
        )
        self._calls = self._counter(
            "protokeep_upstream_requests", "Calls to the app builder", "provider", "operation", "status"
        )
        self._call_seconds = self._histogram(
            "protokeep_upstream_request_seconds",
            "Seconds that a call to the app builder took, answered or not",
            CALL_SECONDS,
            "provider",
            "operation",
        )
        self._claims = self._counter(
            "protokeep_claims", "Creates and changes that were asked for", "request", "outcome"
        )
        self._lookups = self._counter("protokeep_lookups", "Look-ups of creates whose answer was lost", "outcome")
        self._jobs = self._counter("protokeep_job_runs", "Passes of jobs", "task", "outcome")
        self._job_succeeded = Gauge(
            "protokeep_job_last_success_timestamp_seconds",
            "When a job last ended without an error, in seconds since 1970",
            ("task",),
            registry=self.registry,
        )

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(name, words, labels, registry=self.registry)

    def _histogram(self, name: str, words: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, words, labels, buckets=buckets, registry=self.registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request by the template of its route."""
        self._requests.labels(method_of(method), route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def call(self, provider: str, operation: str, status: int | None, seconds: float) -> None:
        """Count a call to an app builder. `operation` is one of few; `status` None: there was no answer."""
        status_class = NO_ANSWER if status is None else f"{status // 100}xx"
        self._calls.labels(provider, operation, status_class).inc()
        self._call_seconds.labels(provider, operation).observe(seconds)

    def claim(self, request: str, outcome: str) -> None:
        """Count what came of a request that may make something."""
        self._claims.labels(request, outcome).inc()

    def lookup(self, outcome: str) -> None:
        """Count a look-up of a lost create."""
        self._lookups.labels(outcome).inc()

    @contextlib.contextmanager
    def job(self, name: str) -> Iterator[None]:
        """Count one pass of a job, and whether it ended in an error."""
        try:
            yield
        except Exception:
            self._jobs.labels(name, "error").inc()
            raise
        self._jobs.labels(name, "done").inc()
        self._job_succeeded.labels(name).set(time.time())
