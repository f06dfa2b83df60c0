"""Health and metrics on an address of their own: of a worker, which serves nothing else, and of a server that says so.

Who reaches the address reads the metrics, unless `PROTOKEEP_METRICS_TOKEN` is set.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from protokeep.core.errors import ProtokeepError
from protokeep.web.metrics import answer_of, is_allowed
from protokeep.web.server import address_of, listen, serving
from protokeep.wiring import Application


@contextlib.asynccontextmanager
async def monitored(application: Application, is_stopping: Callable[[], bool]) -> AsyncIterator[str | None]:
    """Serve health and metrics for as long as the context lasts, where the settings ask for it. The address, or None.

    Raises `OSError` for an address that cannot be listened on.
    """
    settings = application.settings
    if settings.metrics_port is None:
        yield None
        return
    listener = listen(settings.metrics_host, settings.metrics_port)
    async with serving(app_of(application, is_stopping), listener):
        yield address_of(listener)


def app_of(application: Application, is_stopping: Callable[[], bool]) -> Starlette:
    """The application that answers about another one."""

    async def livez(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        if is_stopping():
            return JSONResponse({"status": "stopping"}, 503)
        context = application.keeper.context
        try:
            context.heartbeat.require_beats()
            await context.store.ready()
        except ProtokeepError as error:
            return JSONResponse({"status": "not ready", "detail": str(error)}, 503)
        return JSONResponse({"status": "ok"})

    async def metrics(request: Request) -> Response:
        token = application.settings.metrics_token
        if token is not None and not is_allowed(request, token):
            words = "Send PROTOKEEP_METRICS_TOKEN as a Bearer token.\n"
            return PlainTextResponse(words, 401, {"WWW-Authenticate": "Bearer"})
        return await answer_of(application)

    paths: dict[str, Callable[[Request], Awaitable[Response]]] = {
        "/livez": livez,
        "/healthz": livez,
        "/readyz": readyz,
        "/metrics": metrics,
    }
    return Starlette(routes=[Route(path, endpoint, methods=["GET"]) for path, endpoint in paths.items()])
