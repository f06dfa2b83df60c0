"""The application: routes, limits, health, and the lifetime of the parts."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.routing import Route

from protokeep import __version__
from protokeep.core.errors import NotConfigured, NotMigrated, NotReady
from protokeep.jobs import application_with_jobs
from protokeep.mcp.http import Endpoint
from protokeep.settings import Settings
from protokeep.web import actions, admin, api, hooks, pages, problems, provider_keys
from protokeep.web.dependencies import principal_of
from protokeep.web.middleware import Limits, Rates
from protokeep.web.models import Problem
from protokeep.wiring import Application

log = structlog.get_logger(__name__)

#: What every operation of the API may answer: a body, an address or a head that is too long, and too many requests.
ANYWHERE = (413, 414, 429, 431)


def create_app(settings: Settings, parts: Application | None = None) -> FastAPI:
    """The ASGI application. Without `parts` it builds its own, with jobs, for as long as it runs."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            own = parts
            if own is None:
                own = await stack.enter_async_context(application_with_jobs(settings))
                _say_what_is_missing(own)
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
    app.state.rates = Rates(settings)
    problems.install(app)
    app.include_router(api.router)
    app.include_router(actions.router)
    app.include_router(admin.router)
    app.include_router(provider_keys.router)
    app.include_router(hooks.router)
    mcp = Endpoint(app, principal_of, settings.mcp_hosts)
    app.router.routes.append(Route("/mcp", mcp, include_in_schema=False))
    _add_health(app)
    pages.install(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    app.add_middleware(Limits, settings=settings)
    return app


def _say_what_is_missing(parts: Application) -> None:
    try:
        parts.keeper.context.providers.choose("v0")
    except NotConfigured as error:
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
        context = request.app.state.parts.keeper.context
        context.heartbeat.require_beats()
        shape = await context.store.ready()
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
                    for status, answer in problems.responses(*ANYWHERE).items():
                        operation["responses"].setdefault(str(status), answer)
                for status, answer in operation["responses"].items():
                    if status == "422" and problems.MEDIA_TYPE not in answer.get("content", {}):
                        answer.update(problems.responses(422)[422])
        app.openapi_schema = schema
    return app.openapi_schema
