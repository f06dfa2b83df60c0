"""The tools over stdio, for assistants that start a program. They reach a protokeep server over HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from protokeep.client import AsyncProtokeep


async def serve_stdio(url: str, token: str) -> None:
    """Serve until the assistant closes standard input. If the server is not reached, each tool says so."""
    from protokeep.mcp.tools import server_of

    async with AsyncProtokeep(url, token) as client:

        @contextlib.asynccontextmanager
        async def open_client(_context: Any) -> AsyncIterator[AsyncProtokeep]:
            yield client

        await server_of(open_client).run_stdio_async()
