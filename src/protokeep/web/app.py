"""The ASGI application: routes, limits, health, and the lifetime of what they use."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import structlog
from fastapi import FastAPI, Request
from starlette.routing import Route

from protokeep import __version__
from protokeep.core.errors import NotConfigured, NotReady
from protokeep.doctor import warnings_at_start
from protokeep.jobs import application_with_jobs
from protokeep.mcp.http import Endpoint
from protokeep.service.watching import Watcher
from protokeep.settings import Settings
from protokeep.web import (
    actions,
    admin,
    api,
    archives,
    arrangement,
    catalogue,
    census,
    docs,
    hooks,
    invitations,
    openapi,
    pages,
    plans,
    problems,
    provider_keys,
    workspace_settings,
)
from protokeep.web.cors import CrossOrigin
from protokeep.web.dependencies import principal_of
from protokeep.web.metrics import Measured, RouteNoted
from protokeep.web.metrics import router as metrics_router
from protokeep.web.middleware import RateLimits, RequestLimits
from protokeep.wiring import PROVIDERS, Application

log = structlog.get_logger(__name__)

#: The modules whose routers make the API.
API = (
    api,
    catalogue,
    actions,
    arrangement,
    archives,
    admin,
    invitations,
    workspace_settings,
    provider_keys,
    census,
    plans,
    hooks,
    docs,
)


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
    for module in API:
        app.include_router(module.router)
    mcp = Endpoint(app, principal_of, settings.mcp_hosts)
    # The tools answer each POST and send nothing by themselves: a GET would be a stream that no limit knows.
    app.router.routes.append(Route("/mcp", mcp, methods=["POST"], include_in_schema=False))
    _add_health(app)
    pages.install(app)
    app.openapi = lambda: openapi.document_of(app)  # type: ignore[method-assign]
    _add_middleware(app, settings)
    return app


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    app.add_middleware(RouteNoted)
    if settings.origins:
        app.add_middleware(CrossOrigin, origins=settings.origins)
    app.add_middleware(RequestLimits, settings=settings)
    app.add_middleware(Measured)


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
    app.include_router(metrics_router)

    @app.get("/livez", tags=["health"], summary="The process runs")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @app.get(
        "/readyz",
        tags=["health"],
        summary="Requests can be served, and the database takes writes",
        responses=problems.responses(503),
    )
    async def readyz(request: Request) -> dict[str, Any]:
        if request.app.state.draining:
            raise NotReady("This process is stopping. Try again in a moment.")
        context = request.app.state.application.keeper.context
        await context.store.ready()
        await context.readiness.require()
        context.heartbeat.require_beats()
        return {"status": "ok"}
