"""`protokeep mcp`: the tools over stdio, for assistants that start a program. Talks to a server over HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from protokeep.client import AsyncProtokeep


async def serve_stdio(url: str, token: str) -> None:
    """Serve until the assistant closes our standard input. A server that is not there is told by each tool."""
    from protokeep.mcp.tools import server_of

    async with AsyncProtokeep(url, token) as keep:

        @contextlib.asynccontextmanager
        async def reach(_context: Any) -> AsyncIterator[AsyncProtokeep]:
            yield keep

        await server_of(reach).run_stdio_async()
