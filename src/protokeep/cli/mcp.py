"""`protokeep mcp`: what assistants start."""

from __future__ import annotations

import asyncio

from protokeep.cli.prototypes import Token, Url, need
from protokeep.cli.retry_advice import DEFAULT_URL


def mcp(url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Serve the assistant's tools over stdio (MCP). Assistants start this; docs/assistants.md says how."""
    need(token)
    from protokeep.mcp.stdio import serve_stdio

    asyncio.run(serve_stdio(url, token))
