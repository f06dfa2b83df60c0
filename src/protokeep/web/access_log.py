"""A line of the log per answered request, and the ids by which other programs find it again.

A line holds no query, no body and no header: they may hold prompts and secrets. The route is its template, which
names no product.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from uuid import uuid4

import structlog
from starlette.types import Scope

log = structlog.get_logger(__name__)

#: Asked every few seconds by machines.
HEALTH = ("/livez", "/readyz", "/metrics")
#: What is kept of a caller's `X-Request-ID`: ids as proxies and tracers make them, and no text.
REQUEST_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:=/+@-]{0,63}")
#: `traceparent` of version 00 (W3C Trace Context, 3.2): the trace, and the span of the caller.
TRACEPARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The request's id: the caller's if it is well-formed and the only one, else a new one of 16 characters."""
    given = [value for name, value in headers if name == b"x-request-id"]
    if len(given) == 1 and REQUEST_ID.fullmatch(given[0]):
        return given[0].decode()
    return uuid4().hex[:16]


def trace_of(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The field `traceparent` of log lines, if the caller sent a well-formed one."""
    given = [value for name, value in headers if name == b"traceparent"]
    return {"traceparent": given[0].decode()} if len(given) == 1 and TRACEPARENT.fullmatch(given[0]) else {}


def log_answer(scope: Scope, status: int | None, began: float) -> None:
    """Write the line. `status`: None if the client left without an answer. `began`: on the monotonic clock."""
    if scope["path"] in HEALTH:
        return
    log.info(
        "request_answered",
        method=scope["method"],
        route=getattr(scope.get("route"), "path", "-"),
        status=status,
        ms=round((time.monotonic() - began) * 1000, 1),
        workspace=scope["state"].get("workspace_id"),
    )
