"""The application: routes, limits, health, and the lifetime of the parts."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import structlog
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from protokeep import __version__
from protokeep.core.errors import NotConfigured, NotMigrated, NotReady
from protokeep.jobs import Jobs
from protokeep.mcp.http import Endpoint
from protokeep.settings import Settings
from protokeep.web import access, api, changes, hooks, keys, pages, problems
from protokeep.web.dependencies import principal_of
from protokeep.web.models import Problem
from protokeep.wiring import Parts, built

log = structlog.get_logger(__name__)

#: The largest body that is read; a prompt of 100,000 characters in JSON escapes fits.
MAX_BODY = 1024 * 1024


def create_app(settings: Settings, parts: Parts | None = None) -> FastAPI:
    """The ASGI application. Without `parts` it builds its own, with jobs, for as long as it runs."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            own = parts
            if own is None:
                own = await stack.enter_async_context(built(settings))
                _say_what_is_missing(own)
                await stack.enter_async_context(Jobs(own.keeper, settings.database_url).running())
            app.state.parts = own
            app.state.live = await stack.enter_async_context(pages.live_for(own).running())
            await stack.enter_async_context(mcp.open())
            yield

    app = FastAPI(
        title="protokeep",
        version=__version__,
        summary="One prototype per product: reused, tracked to the end, never made twice.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.draining = False
    problems.install(app)
    app.include_router(api.router)
    app.include_router(changes.router)
    app.include_router(access.router)
    app.include_router(keys.router)
    app.include_router(hooks.router)
    mcp = Endpoint(app, principal_of, settings.mcp_hosts)
    app.router.routes.append(Route("/mcp", mcp, include_in_schema=False))
    _add_health(app)
    pages.install(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    app.add_middleware(Limits)
    return app


def _say_what_is_missing(parts: Parts) -> None:
    try:
        parts.keeper.context.providers.choose("v0")
    except NotConfigured as error:
        log.warning("no_provider", reason=str(error))


def _add_health(app: FastAPI) -> None:
    @app.get("/livez", tags=["health"], summary="The process runs")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @app.get(
        "/readyz",
        tags=["health"],
        summary="Requests can be served",
        responses=problems.responses(503),
    )
    async def readyz(request: Request) -> dict[str, Any]:
        if request.app.state.draining:
            raise NotReady("This process is stopping. Ask another one.")
        shape = await request.app.state.parts.keeper.context.store.ready()
        if not shape.tracked:
            raise NotMigrated("design_mockups has no columns to track a prototype with")
        return {"status": "ok"}


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        parts = schema.setdefault("components", {})
        parts.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                if path.startswith("/api/"):
                    operation["security"] = [{"token": []}]
                for status, answer in operation["responses"].items():
                    if status == "422" and problems.MEDIA_TYPE not in answer.get("content", {}):
                        answer.update(problems.responses(422)[422])
        app.openapi_schema = schema
    return app.openapi_schema


class Limits:
    """Bounds every body, names every request, and sends the headers that every answer has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        raw_path = scope.get("raw_path") or b""
        if raw_path.startswith(api.PRODUCT_PATHS):
            # A product id may hold a slash, which only the path as it was sent tells from a separator.
            scope = {**scope, "path": raw_path.decode("latin-1")}
        request_id = uuid4().hex[:16]
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                closing = [(b"connection", b"close")] if scope["app"].state.draining else []
                message["headers"] = [
                    *message["headers"],
                    *closing,
                    (b"x-request-id", request_id.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        body = await _bounded_body(scope, receive)
        if body is None:
            await _too_large(scope)(scope, receive, sending)
            return
        await self._app(scope, body, sending)


async def _bounded_body(scope: Scope, receive: Receive) -> Receive | None:
    """A `receive` that has read the body already; None: it is larger than `MAX_BODY`."""
    if scope["method"] in ("GET", "HEAD"):
        return receive
    length = dict(scope["headers"]).get(b"content-length", b"0")
    if not length.isdigit() or int(length) > MAX_BODY:
        return None
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return receive
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > MAX_BODY:
            return None
        if not message.get("more_body"):
            break
    replayed = False

    async def replay() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": b"".join(chunks), "more_body": False}

    return replay


def _too_large(scope: Scope) -> Response:
    request = Request(scope)
    problem = problems.problem(
        request,
        413,
        "too-large",
        "The request is too large",
        f"At most {MAX_BODY // 1024} KiB are read. Shorten the prompt.",
    )
    response: Response = pages.as_page(request, problem)
    response.headers["Connection"] = "close"
    return response
