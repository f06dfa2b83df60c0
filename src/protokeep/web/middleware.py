"""Limits of every request, and the headers of every answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import structlog
from fastapi import Request
from fastapi.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from protokeep.core.addresses import network_of, plain_address
from protokeep.core.errors import TooMany
from protokeep.core.principals import Principal
from protokeep.core.rate_limit import TokenBucket
from protokeep.core.validation import whole_number_of
from protokeep.settings import Settings
from protokeep.web import api, pages, posted_forms, problems
from protokeep.web.access_log import log_answer, request_id_of, trace_of
from protokeep.web.json_bounds import VALUES_MAX, has_too_many_values
from protokeep.web.page_slots import PageSlots

#: Headers of answers that have none of their own: a browser runs, frames and keeps nothing of them.
DEFAULT_HEADERS = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
#: Where bodies are JSON that is checked against a model.
JSON_PATHS = ("/api/", "/mcp")
#: HSTS for a year, for the host of the public URL.
TRANSPORT_SECURITY = b"max-age=31536000"


#: As how many requests a page counts: it costs so much more than an answer of the API.
PAGE_COST = 10
#: The part of a minute's rate of a workspace that may come at once: as much as two people may send at once, so that one
#: person's hurry leaves something to the rest of the workspace.
WORKSPACE_AT_ONCE = 1 / 3


#: A refused request is answered after this: somebody who ignores refusals would fill the loop with them.
REFUSAL_SECONDS = 0.25


class RateLimits:
    """Limits of requests per person and per workspace, of pages at a time, and of sign-in attempts per address."""

    def __init__(self, settings: Settings) -> None:
        self.page_slots = PageSlots()
        self._people = TokenBucket(settings.requests_per_minute, "You send too many requests")
        self._workspaces = TokenBucket(
            settings.requests_of_workspace, "Your workspace sends too many requests", WORKSPACE_AT_ONCE
        )
        self._sign_ins = TokenBucket(settings.sign_ins_per_minute, "Too many tries to sign in from your address")

    async def request(self, principal: Principal) -> None:
        """Count a request of the API. Raises `TooMany`, after a pause.

        A person is counted whatever token they use: otherwise every new token would bring new requests.
        """
        await self._admit(principal, 1)

    async def page(self, principal: Principal) -> None:
        """Count a request for a page. Raises `TooMany`, after a pause."""
        await self._admit(principal, PAGE_COST)

    async def _admit(self, principal: Principal, cost: int) -> None:
        try:
            self._count(principal, cost)
        except TooMany:
            await asyncio.sleep(REFUSAL_SECONDS)
            raise

    def _count(self, principal: Principal, cost: int) -> None:
        now = time.monotonic()
        self._people.take((principal.workspace_id, principal.user_id), now, cost)
        self._workspaces.take(principal.workspace_id, now, cost)

    def sign_in(self, request: Request) -> None:
        """Count a sign-in attempt, or a request with an invalid token. Raises `TooMany`."""
        self._sign_ins.take(network_of(request.client.host if request.client else ""), time.monotonic())


class _ClientGone(Exception):
    """The client disconnected before its body was complete: the request is dropped without an answer."""


class RequestLimits:
    """Limits bodies, headers and addresses, gives every request an id, and adds the headers of every answer."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._headers = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
        if settings.is_https:
            self._headers.append((b"strict-transport-security", TRANSPORT_SECURITY))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = {**scope, "headers": _readable_headers(scope["headers"])}
        if scope.get("client"):
            # Limits and the audit know each address in one spelling, whatever socket or proxy it came through.
            scope["client"] = (plain_address(scope["client"][0]), scope["client"][1])
        raw_path = scope.get("raw_path") or b""
        if raw_path.startswith(api.PRODUCT_PATHS):
            # A product id may contain a slash. Only the percent-encoded path tells it from a separator.
            scope["path"] = raw_path.decode("latin-1")
        began, status = time.monotonic(), None
        request_id = request_id_of(scope["headers"])
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id, **trace_of(scope["headers"]))

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], (b"x-request-id", request_id.encode()), *self._headers]
                if scope["app"].state.draining:
                    headers.append((b"connection", b"close"))
                given = {name.lower() for name, _ in message["headers"]}
                headers += [(name, value) for name, value in DEFAULT_HEADERS if name not in given]
                message["headers"] = headers
            await send(message)

        try:
            await self._answer(scope, receive, sending)
        finally:
            if self._settings.access_log:
                log_answer(scope, status, began)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        rejection = self._head_rejection(scope)
        try:
            body = None if rejection else await self._bounded_body(scope, receive)
        except _ClientGone:
            return
        if body is None:
            await (rejection or self._too_large(scope))(scope, receive, send)
            return
        await self._app(scope, body, send)

    def _head_rejection(self, scope: Scope) -> Response | None:
        """The error for headers or an address that are too long; None: both are short enough."""
        settings = self._settings
        if sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > settings.max_header_bytes:
            detail = (
                f"At most {settings.max_header_bytes // 1024} KiB of headers are read. Send fewer cookies or headers."
            )
            return _rejection(scope, 431, "headers-too-large", "The headers are too large", detail)
        if len(scope["query_string"]) + len(scope.get("raw_path") or b"") > settings.max_query_bytes:
            detail = f"At most {settings.max_query_bytes} bytes of address are read. Shorten the query."
            return _rejection(scope, 414, "address-too-long", "The address is too long", detail)
        return None

    def _too_large(self, scope: Scope) -> Response:
        detail = f"At most {self._body_max(scope) // 1024} KiB are read. Shorten the prompt."
        if scope["path"].startswith(JSON_PATHS):
            detail = (
                f"At most {self._body_max(scope) // 1024} KiB and {VALUES_MAX:,} values are read. Shorten the request."
            )
        return _rejection(scope, 413, "too-large", "The request is too large", detail)

    def _body_max(self, scope: Scope) -> int:
        """Bytes that are read of a body: a form needs fewer than JSON, in which each character may be escaped."""
        most = self._settings.max_body_bytes
        is_form = not scope["path"].startswith(pages.FOR_PROGRAMS)
        return min(most, posted_forms.BYTES_MAX) if is_form else most

    async def _bounded_body(self, scope: Scope, receive: Receive) -> Receive | None:
        """A `receive` that replays the body, which is read here; None: it is too large. Raises `_ClientGone`."""
        if scope["method"] in ("GET", "HEAD"):
            return receive
        size_max = self._body_max(scope)
        length = dict(scope["headers"]).get(b"content-length", b"0").decode("latin-1")
        if whole_number_of(length, size_max) is None:
            return None
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise _ClientGone
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > size_max:
                return None
            if not message.get("more_body"):
                break
        content = b"".join(chunks)
        if scope["path"].startswith(JSON_PATHS) and has_too_many_values(content):
            return None
        replayed = False

        async def replay() -> Message:
            nonlocal replayed
            if replayed:
                return await receive()
            replayed = True
            return {"type": "http.request", "body": content, "more_body": False}

        return replay


def _readable_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers without cookies that hold escapes: some Pythons decode many of them in quadratic time.

    Every route's cookies are decoded before the route runs; ours hold no escapes.
    """
    return [
        (name, b";".join(part for part in value.split(b";") if b"\\" not in part) if name == b"cookie" else value)
        for name, value in headers
    ]


def _rejection(scope: Scope, status: int, kind: str, title: str, detail: str) -> Response:
    request = Request(scope)
    response = pages.as_page(request, problems.problem(request, status, kind, title, detail))
    response.headers["Connection"] = "close"
    return response
