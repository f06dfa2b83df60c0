"""Errors as pages, for whoever asked for a page: the same words and the same request id as the API's problems."""

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
from protokeep.web.pages.drafts import again_page, draft_of
from protokeep.web.pages.render import page
from protokeep.web.pages.session import FormNotOurs, own_path

Handler = Callable[[Request, Any], Awaitable[Response]]

#: Paths that programs ask: their errors stay problems, whatever the browser that shows them accepts.
FOR_PROGRAMS = ("/api/", "/hooks/", "/livez", "/readyz", "/metrics", "/openapi.json", "/live", "/mcp", "/static/")

STILL_WORKS = {
    503: "What the builder is making goes on there, and is picked up from where it was. Nothing is made twice.",
    500: "The other pages work, and prototypes that are being made go on.",
}


def install(app: FastAPI) -> None:
    """Wrap the handlers that are there: a page for whoever asked for one, the problem for everybody else."""
    for kind in (errors.ProtokeepError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _wrapped(app.exception_handlers[kind]))


def _wrapped(handler: Any) -> Handler:
    async def handle(request: Request, error: Exception) -> Response:
        if not wants_page(request):
            return await _awaited(handler(request, error))
        if isinstance(error, errors.NotAuthenticated):
            kept = await draft_of(request)
            return sign_in_page(request, status=401, kept=kept) if kept else _to_sign_in(request)
        visitor = getattr(request.state, "visitor", None)
        if isinstance(error, FormNotOurs) and visitor is not None and (kept := await draft_of(request)):
            return again_page(request, visitor, kept, status=403)
        return as_page(request, await _awaited(handler(request, error)))

    return handle


def as_page(request: Request, problem: Response) -> Response:
    """A problem, as whoever asked wants to read it."""
    if not wants_page(request):
        return problem
    return _error_page(request, json.loads(bytes(problem.body)), problem.status_code)


async def _awaited(answer: Any) -> Response:
    response: Response = await answer if hasattr(answer, "__await__") else answer
    return response


def wants_page(request: Request) -> bool:
    """Whether a person with a browser asked for a page."""
    path = request.url.path
    return not path.startswith(FOR_PROGRAMS) and "text/html" in request.headers.get("accept", "")


def _to_sign_in(request: Request) -> Response:
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    onward = own_path(here) if request.method == "GET" else "/"
    return RedirectResponse("/sign-in" + (f"?{urlencode({'next': onward})}" if onward != "/" else ""), 303)


def _error_page(request: Request, problem: dict[str, Any], status: int) -> Response:
    title = {
        403: "This is not yours to do",
        404: "There is nothing here",
        413: "That is too much at once",
        422: "That does not work",
        429: "Enough for today",
        500: "Something broke here",
        503: "protokeep cannot do this right now",
    }.get(status, problem["title"])
    detail = problem["detail"]
    if status == 404 and problem["type"].endswith(":not-found") and "openapi" in detail:
        detail = "No page has this address. It may have been mistyped."
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
