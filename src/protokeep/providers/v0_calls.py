"""Names of v0's operations for metrics and traces, and how each call is measured."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping

from protokeep import telemetry
from protokeep.metrics import Metrics

#: The words of v0's paths. All other parts are ids, which no label may hold.
WORDS = {
    *("async", "chats", "download", "events", "files", "from-files", "from-zip", "hooks", "init", "messages"),
    *("projects", "reports", "stop", "usage", "versions"),
}


def operation_of(method: str, path: str) -> str:
    """The operation of a call, such as `GET chats/{id}/messages`: one of a few dozen, and no ids in it."""
    parts = path.strip("/").split("/")
    return f"{method} {'/'.join(part if part in WORDS else '{id}' for part in parts)}"


class MeasuredCall:
    """A call that is under way. `headers` are sent along: the trace, where a setting allows it."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = dict(headers)
        self.status: int | None = None

    def answered(self, status: int) -> None:
        """Note that an answer with this status began."""
        self.status = status


@contextlib.contextmanager
def measured_call(metrics: Metrics, provider: str, operation: str) -> Iterator[MeasuredCall]:
    """Measure what is done within as one call to an app builder, whether it is answered or not."""
    with telemetry.span(f"{provider} {operation}", kind="client") as span:
        call = MeasuredCall(telemetry.headers_to_builder())
        began = time.perf_counter()
        try:
            yield call
        finally:
            metrics.call(provider, operation, call.status, time.perf_counter() - began)
            if call.status is not None:
                span.set(status=call.status)
