"""Runs the emulator: inside a test's event loop, or alone for the command line."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from .app import Sandbox

_STOP_SECONDS = 0.3


def _config(sandbox: Sandbox, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        sandbox.app,
        host=host,
        port=port,
        log_level="warning",
        log_config=None,
        access_log=False,
        lifespan="off",
        interface="asgi3",
        proxy_headers=False,
        date_header=False,  # Ours follows the sandbox's clock.
        server_header=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=60,
        backlog=2048,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only if the protocol is named. Otherwise every answer takes 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    listening.set_inheritable(False)
    return listening


@asynccontextmanager
async def running(sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve in this event loop and yield the base URL, such as `http://127.0.0.1:40123`.

    Port 0 takes a free port. Leaving stops at once and closes waiting requests without an answer. The state stays, so
    entering again with the same sandbox and port is v0 coming back after an outage. Raises OSError if the port is
    taken.
    """
    listening = _listen(host, port)
    bound = listening.getsockname()[1]
    config = _config(sandbox, host, bound)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    sandbox.open()
    await server.startup(sockets=[listening])
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{bound}"
    finally:
        await _stop(server, sandbox)
        listening.close()


async def _stop(server: uvicorn.Server, sandbox: Sandbox) -> None:
    for listener in server.servers:
        listener.close()
    await sandbox.close()
    for connection in list(server.server_state.connections):
        transport = getattr(connection, "transport", None)
        if transport is not None:
            transport.close()
    tasks = list(server.server_state.tasks)
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
        for task in late:
            task.cancel()
    await asyncio.sleep(0)


def serve(host: str = "127.0.0.1", port: int = 8765, sandbox: Sandbox | None = None) -> None:
    """Serve until SIGINT or SIGTERM."""
    sandbox = sandbox or Sandbox()
    sandbox.open()
    uvicorn.Server(_config(sandbox, host, port)).run()
