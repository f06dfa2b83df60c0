"""Errors as pages for browsers, with the text and the request id of the API's problems."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from protokeep.core import errors
from protokeep.web.pages.account import sign_in_page
from protokeep.web.pages.drafts import posted_draft, resubmit_page
from protokeep.web.pages.own_words import in_own_words
from protokeep.web.pages.render import address_of, page
from protokeep.web.pages.session import ForeignForm, local_path
from protokeep.web.problems import NOTHING_SERVED

Handler = Callable[[Request, Any], Awaitable[Response]]

#: Paths for programs. Their errors are problem documents even for a browser that accepts HTML.
FOR_PROGRAMS = ("/api/", "/hooks/", "/livez", "/readyz", "/metrics", "/openapi.json", "/live", "/mcp", "/static/")

STILL_WORKS = {
    503: "The app builder keeps generating, and protokeep continues from there. Nothing is made twice.",
    500: "The other pages work, and prototypes in progress continue.",
}


def install(app: FastAPI) -> None:
    """Wrap the error handlers of `app`: browsers get a page, programs go on getting the problem document."""
    for kind in (errors.ProtokeepError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _wrapped(app.exception_handlers[kind]))


def _wrapped(handler: Any) -> Handler:
    async def handle(request: Request, error: Exception) -> Response:
        if not wants_page(request):
            return await _awaited(handler(request, error))
        try:
            kept = await _page_with_draft(request, error)
        except errors.ProtokeepError as refusal:  # The form that was posted cannot be read, or not now.
            kept, error = None, refusal
        return kept or as_page(request, await _awaited(handler(request, error)))

    return handle


async def _page_with_draft(request: Request, error: Exception) -> Response | None:
    """The page that goes on from an error of signing in or of a form's signature; None: other errors."""
    visitor = getattr(request.state, "visitor", None)
    if isinstance(error, errors.NotAuthenticated):
        draft = await posted_draft(request)
        return await sign_in_page(request, status=401, draft=draft) if draft else _to_sign_in(request)
    if isinstance(error, ForeignForm) and visitor is not None and (draft := await posted_draft(request)):
        return resubmit_page(request, visitor, draft, status=403)
    return None


def as_page(request: Request, problem: Response) -> Response:
    """A problem document as it is, or for a browser as a page."""
    if not wants_page(request):
        return problem
    return _error_page(request, json.loads(bytes(problem.body)), problem.status_code)


async def _awaited(result: Any) -> Response:
    response: Response = await result if hasattr(result, "__await__") else result
    return response


def wants_page(request: Request) -> bool:
    """Whether the request wants a page: it accepts HTML, and its path is for people."""
    path: str = request.scope["path"]
    return not path.startswith(FOR_PROGRAMS) and "text/html" in request.headers.get("accept", "")


def _to_sign_in(request: Request) -> Response:
    onward = local_path(address_of(request)) if request.method == "GET" else "/"
    return RedirectResponse("/sign-in" + (f"?{urlencode({'next': onward})}" if onward != "/" else ""), 303)


def _error_page(request: Request, problem: dict[str, Any], status: int) -> Response:
    title = {
        403: "You don't have permission",
        404: "Not found",
        413: "That is too long",
        415: "This form cannot be read",
        422: "Please correct your input",
        429: "Too many requests" if problem["type"].endswith(":too-many") else "Daily limit reached",
        500: "Something went wrong",
        503: "That took too long" if problem["type"].endswith(":too-slow") else "protokeep cannot do this right now",
    }.get(status, problem["title"])
    detail = in_own_words(problem["detail"])
    if status == 404 and problem["detail"].startswith(NOTHING_SERVED):
        detail = "There is no page at this address. Check it for a typing mistake."
    response = page(
        request,
        "error.html",
        visitor=getattr(request.state, "visitor", None),
        status=status,
        status_code=status,
        title=title,
        detail=detail,
        still_works=STILL_WORKS.get(status),
        request_id=problem["request_id"],
        at=datetime.now(UTC),
        can_repeat=request.method == "GET" and status >= 500,
        live=None,
    )
    return response
