"""uvicorn, with protokeep's stop: open streams end first, then requests finish, within seconds."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import uvicorn

from protokeep.core.addresses import both_spellings
from protokeep.web.protocol import RequestBounds, bounded_protocol

#: How long a stop waits for requests under way.
GRACE_SECONDS = 2
#: How long an idle connection stays open: longer than the 60 s of common load balancers, which otherwise send a request
#: into a connection that is just being closed.
KEEP_ALIVE_SECONDS = 75
BOUNDS = RequestBounds()


class Server(uvicorn.Server):
    """A server in an event loop that is already running. The caller handles signals."""

    def __init__(self, config: uvicorn.Config, stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopping = stopping
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free port. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only for sockets whose protocol is set to TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.asynccontextmanager
async def serving(
    app: Any,
    listener: socket.socket,
    *,
    proxies: Sequence[str] = (),
    bounds: RequestBounds = BOUNDS,
    keep_alive: int = KEEP_ALIVE_SECONDS,
) -> AsyncIterator[Server]:
    """Serve `app` on `listener` for as long as the context lasts; entered once the server is ready.

    The client's address and scheme are taken from the headers of `proxies` only. Whatever the lifespan of `app` raises
    is raised here: uvicorn itself would write a traceback and exit.
    """
    async with app.router.lifespan_context(app), _answering(app, listener, proxies, bounds, keep_alive) as server:
        yield server


@contextlib.asynccontextmanager
async def _answering(
    app: Any, listener: socket.socket, proxies: Sequence[str], bounds: RequestBounds, keep_alive: int
) -> AsyncIterator[Server]:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=keep_alive,
        http=bounded_protocol(bounds),
        ws="none",  # No route uses WebSockets, and the limits would not apply to them.
        proxy_headers=bool(proxies),
        forwarded_allow_ips=both_spellings(proxies),
    )

    def stopping() -> None:
        application = getattr(app.state, "application", None)
        if application is not None:
            application.keeper.context.bus.close()

    server = Server(config, stopping)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    ready = asyncio.create_task(server.ready.wait())
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    if task.done():
        await task
        raise RuntimeError("The server stopped while it was starting; the lines above say why.")
    try:
        yield server
    finally:
        server.should_exit = True
        await task
