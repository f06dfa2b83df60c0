"""The ASGI application: routes, limits, health, and the lifetime of what they use."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.routing import Route

from protokeep import __version__
from protokeep.core.errors import NotConfigured, NotReady
from protokeep.doctor import warnings_at_start
from protokeep.jobs import application_with_jobs
from protokeep.mcp.http import Endpoint
from protokeep.service.watching import Watcher
from protokeep.settings import Settings
from protokeep.web import actions, admin, api, archives, hooks, pages, problems, provider_keys
from protokeep.web.cors import CrossOrigin
from protokeep.web.dependencies import principal_of
from protokeep.web.middleware import RateLimits, RequestLimits
from protokeep.web.models import Problem
from protokeep.wiring import PROVIDERS, Application

log = structlog.get_logger(__name__)

#: Error statuses of every operation: a body, an address or headers that are too long, and too many requests.
COMMON_ERRORS = (413, 414, 429, 431)


def create_app(settings: Settings, application: Application | None = None) -> FastAPI:
    """The ASGI application. Without an `application` it builds its own, with jobs, for as long as it runs."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            running = application
            if running is None:
                running = await stack.enter_async_context(application_with_jobs(settings))
                _warn_of_missing_providers(running)
                _warn_of_unsafe_settings(settings)
            app.state.application = running
            broadcast = await stack.enter_async_context(pages.broadcast_for(running).running())
            app.state.broadcast = broadcast
            await stack.enter_async_context(Watcher(running.keeper.context, broadcast.open_views).running())
            await stack.enter_async_context(mcp.open())
            yield

    app = FastAPI(
        title="protokeep",
        version=__version__,
        summary="One prototype per product: reused, tracked to the end, never made twice.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # Such a redirect would lead to whatever host the request named, body and all.
    )
    app.state.draining = False
    app.state.rates = RateLimits(settings)
    problems.install(app)
    for module in (api, actions, archives, admin, provider_keys, hooks):
        app.include_router(module.router)
    mcp = Endpoint(app, principal_of, settings.mcp_hosts)
    # The tools answer each POST and send nothing by themselves: a GET would be a stream that no limit knows.
    app.router.routes.append(Route("/mcp", mcp, methods=["POST"], include_in_schema=False))
    _add_health(app)
    pages.install(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    _add_middleware(app, settings)
    return app


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    if settings.origins:
        app.add_middleware(CrossOrigin, origins=settings.origins)
    app.add_middleware(RequestLimits, settings=settings)


def _warn_of_unsafe_settings(settings: Settings) -> None:
    for finding in warnings_at_start(settings):
        log.warning("installation_unsafe", reason=finding.text, fix=finding.fix)


def _warn_of_missing_providers(application: Application) -> None:
    """Warn where nobody has a key. One for other workspaces than the default one is no reason to."""
    providers = application.keeper.context.providers
    served = {provider.name for _account, provider in providers.for_new()}
    for name in PROVIDERS:
        try:
            providers.choose(name)
        except NotConfigured as error:
            if name not in served:
                log.warning("provider_missing", reason=str(error))


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
        context = request.app.state.application.keeper.context
        context.heartbeat.require_beats()
        await context.store.ready()
        return {"status": "ok"}


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with tokens and the problem documents that every operation may answer."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        components = schema.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                if path.startswith("/api/"):
                    _add_common_errors(operation)
                _describe_invalid_input(operation)
        app.openapi_schema = schema
    return app.openapi_schema


def _add_common_errors(operation: dict[str, Any]) -> None:
    operation["security"] = [{"token": []}]
    for status, response in problems.responses(*COMMON_ERRORS).items():
        operation["responses"].setdefault(str(status), response)


def _describe_invalid_input(operation: dict[str, Any]) -> None:
    """Replace FastAPI's own description of a 422, which is not sent here."""
    response = operation["responses"].get("422")
    if response is not None and problems.MEDIA_TYPE not in response.get("content", {}):
        response.update(problems.responses(422)[422])
