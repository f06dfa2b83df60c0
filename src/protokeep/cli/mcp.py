"""`protokeep mcp`: the server that assistants start."""

from __future__ import annotations

import asyncio

import typer

from protokeep.cli.options import DEFAULT_URL, Token, Url
from protokeep.cli.prototypes import exit_on_client_error, require_token

app = typer.Typer()


@app.command(epilog="Example: protokeep mcp")
def mcp(url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Serve the assistant's tools over stdio (MCP). Assistants start this; docs/assistants.md says how."""
    require_token(token)
    from protokeep.mcp.stdio import serve_stdio

    with exit_on_client_error():
        asyncio.run(serve_stdio(url, token))
