"""`/mcp`: the tools over streamable HTTP, for the same tokens and roles as the API."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import httpx2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from protokeep.client import AsyncProtokeep

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
#: The address of requests that never leave the process.
IN_PROCESS_URL = "http://localhost"
#: The address of a caller that the server does not name.
UNKNOWN_CALLER = ("127.0.0.1", 0)


class Endpoint:
    """An ASGI application for one path. Imports and starts the MCP library at the first request.

    There are no sessions: every request stands alone, so that any replica can answer it.
    """

    def __init__(
        self, app: ASGIApp, authenticate: Callable[[Request], Awaitable[object]], hosts: Sequence[str]
    ) -> None:
        """`app` receives the tools' requests. `hosts`: the names, beside loopback, under which /mcp is served."""
        self._app = app
        self._running: set[asyncio.Task[httpx2.Response]] = set()
        self._authenticate = authenticate
        self._any_host = "*" in hosts
        self._hosts = [name for host in (*LOOPBACK, *hosts) for name in (host, f"{host}:*")]
        self._task: asyncio.Task[None] | None = None
        self._manager: asyncio.Future[StreamableHTTPSessionManager] | None = None
        self._stop = asyncio.Event()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Answer requests, for as long as the context lasts."""
        try:
            yield
        finally:
            self._stop.set()
            if self._task is not None:
                await asyncio.gather(self._task, return_exceptions=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self._check_host(request.headers.get("host", ""))
        await self._authenticate(request)
        manager = await self._session_manager()
        await manager.handle_request(scope, receive, send)

    def _check_host(self, host: str) -> None:
        """Refuse other host names, as the protocol demands: a web page may have rebound its own name to this server."""
        allowed = host in self._hosts or f"{host.rpartition(':')[0]}:*" in self._hosts
        if not (self._any_host or allowed):
            raise HTTPException(
                421,
                f"/mcp is not served under the name {host[:100]!r}. The operator allows it with "
                "PROTOKEEP_MCP_ALLOWED_HOSTS.",
            )

    async def _session_manager(self) -> StreamableHTTPSessionManager:
        if self._manager is None:
            self._manager = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._run_manager(self._manager))
        return await asyncio.shield(self._manager)

    async def _run_manager(self, started: asyncio.Future[StreamableHTTPSessionManager]) -> None:
        """Keep the library's task group in one task, from the first request until the application stops."""
        try:
            manager = await self._build()
            async with manager.run():
                started.set_result(manager)
                await self._stop.wait()
        except Exception as error:
            if started.done():
                raise
            self._manager = None  # The next request tries again.
            started.set_exception(error)

    async def _build(self) -> StreamableHTTPSessionManager:
        # The import takes most of a second: in a thread, other requests are answered meanwhile.
        await asyncio.to_thread(_import_tools)
        from mcp.server.transport_security import TransportSecuritySettings

        from protokeep.mcp.tools import server_of

        server = server_of(self._open_client)
        security = TransportSecuritySettings(
            enable_dns_rebinding_protection=not self._any_host,
            allowed_hosts=self._hosts,
            allowed_origins=[f"{scheme}://{host}" for scheme in ("http", "https") for host in self._hosts],
        )
        server.streamable_http_app(json_response=True, stateless_http=True, transport_security=security)
        manager: StreamableHTTPSessionManager = server.session_manager
        return manager

    @contextlib.asynccontextmanager
    async def _open_client(self, context: Any) -> AsyncIterator[AsyncProtokeep]:
        request: Request = context.request_context.request
        token = request.headers.get("authorization", "").partition(" ")[2].strip()
        async with self._client(token, request.client or UNKNOWN_CALLER) as client:
            yield client

    def _client(self, token: str, caller: tuple[str, int]) -> AsyncProtokeep:
        transport = InProcessTransport(self._app, caller, self._running)
        return AsyncProtokeep(IN_PROCESS_URL, token or "-", transport=transport)


class InProcessTransport(httpx2.AsyncBaseTransport):
    """Sends requests to an application in the same process.

    Each request runs to its end in a task of its own, even if the assistant hangs up, which must not cut a claim in
    two. `caller` is the address that the requests come from; `running` holds the tasks.
    """

    def __init__(self, app: ASGIApp, caller: tuple[str, int], running: set[asyncio.Task[httpx2.Response]]) -> None:
        self._inner = httpx2.ASGITransport(app=app, raise_app_exceptions=False, client=caller)
        self._running = running

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        task = asyncio.create_task(self._inner.handle_async_request(request))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)


def _import_tools() -> None:
    import protokeep.mcp.tools  # noqa: F401
