"""The official library's own client, over each transport, as an assistant would use it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp_types import CallToolResult, TextContent

from live_server import Demo
from mcp import Client, StdioServerParameters

#: stdio, HTTP as of protocol 2026-07-28, and HTTP with the initialize handshake of the versions before.
TRANSPORTS = ("stdio", "http", "http-handshake")


@contextlib.asynccontextmanager
async def assistant(
    served: Demo, transport: str, token: str | None = None, url: str | None = None
) -> AsyncIterator[Client]:
    """An assistant that is connected."""
    secret = token or served.token
    if transport == "stdio":
        parameters = StdioServerParameters(
            command=sys.executable,
            args=[str(Path(sys.executable).with_name("protokeep")), "mcp"],
            env={
                "PROTOKEEP_URL": url or served.url,
                "PROTOKEEP_TOKEN": secret,
                "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            },
        )
        async with Client(parameters) as client:
            yield client
        return
    async with (
        create_mcp_http_client(headers={"Authorization": f"Bearer {secret}"}) as http,
        Client(
            streamable_http_client(f"{served.url}/mcp", http_client=http),
            mode="legacy" if transport == "http-handshake" else "auto",
        ) as client,
    ):
        yield client


async def answer(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """What a tool answers, structured. The text says the same, and all of it is short."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    assert len(result.model_dump_json(by_alias=True).encode()) < 4096
    structured = result.structured_content
    assert isinstance(structured, dict)
    return structured


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    """What a tool says when it cannot do what it was asked."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert len(result.model_dump_json(by_alias=True).encode()) < 4096
    return text_of(result)


def text_of(result: CallToolResult) -> str:
    """The text of a result."""
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))
