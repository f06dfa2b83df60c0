"""Who is let in at /mcp, and what a viewer may do there."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import httpx2
import pytest
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from live_server import Demo
from mcp import Client
from mcp_session import TRANSPORTS, answer, assistant, refusal
from processes import started
from protokeep.settings import Settings

TOKEN = "a-token-of-the-tests-0123456789"
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
HEADERS = {"Accept": "application/json, text/event-stream"}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_viewer_sees_prototypes_and_makes_none(served: Demo, transport: str) -> None:
    """
    A token's role counts here as everywhere.
    """
    async with assistant(served, transport, token=served.viewer_token) as client:
        said = await refusal(client, "ensure_prototype", product_id="shop", prompt="A landing page")
        listed = await answer(client, "list_prototypes", product_id="shop")

    assert "needs a token of role maker" in said
    assert listed["prototypes"] == []
    assert served.chats_created == 0


async def test_without_a_token_nothing_is_answered_but_how_to_get_one(served: Demo) -> None:
    """
    Without a token that counts, nothing is answered but how to get one.
    """
    async with httpx2.AsyncClient(base_url=served.url, headers=HEADERS, trust_env=False) as http:
        nobody = await http.post("/mcp", json=HELLO)
        wrong = await http.post("/mcp", json=HELLO, headers={"Authorization": "Bearer pk_wrong"})
        right = await http.post("/mcp", json=HELLO, headers={"Authorization": f"Bearer {served.token}"})

    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
    assert "protokeep token create" in nobody.json()["detail"]
    assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
    assert right.json()["result"]["serverInfo"]["name"] == "protokeep"


async def test_a_host_name_that_is_not_ours_names_the_setting_that_allows_it(served: Demo) -> None:
    """
    A name that is not ours is refused with the setting that allows it.
    """
    headers = {**HEADERS, "Authorization": f"Bearer {served.token}", "Host": "evil.example"}
    async with httpx2.AsyncClient(base_url=served.url, headers=headers, trust_env=False) as http:
        refused = await http.post("/mcp", json=HELLO)

    assert refused.status_code == 421
    assert "PROTOKEEP_MCP_ALLOWED_HOSTS" in refused.json()["detail"]


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_only_posts_are_answered_so_that_no_stream_stays_open(served: Demo, method: str) -> None:
    """
    The tools send nothing by themselves: there is no stream that no limit knows and no revocation ends.
    """
    headers = {"Authorization": f"Bearer {served.token}", "Accept": "text/event-stream"}
    async with httpx2.AsyncClient(base_url=served.url, headers=headers, trust_env=False) as http:
        refused = await http.request(method, "/mcp")

    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert refused.headers["content-type"] == "application/problem+json"


def test_allowed_host_names_are_separated_by_commas() -> None:
    """
    Names are given separated by commas.
    """
    assert Settings(mcp_allowed_hosts="a.example, b.example").mcp_hosts == ("a.example", "b.example")
    assert Settings(public_url="https://Keep.example:8443/").mcp_hosts == ("keep.example",)
    assert Settings(mcp_allowed_hosts="a.example", public_url="http://[::1]:80").mcp_hosts == ("a.example", "[::1]")


async def test_stdio_without_a_server_says_what_to_start(served: Demo) -> None:
    """
    When protokeep is not there the tools are, and say what to start.
    """
    async with assistant(served, "stdio", url="http://127.0.0.1:9") as client:
        said = await refusal(client, "get_prototype", product_id="shop")

    assert "protokeep serve" in said


async def test_the_server_stops_while_an_assistant_is_connected(tmp_path: Path) -> None:
    """
    SIGTERM ends the server although an assistant is connected and one of its calls waits.
    """
    given = ("--port", "0", "--sandbox-port", "0")
    async with started(tmp_path, "demo", *given, PROTOKEEP_DEMO_TOKEN=TOKEN) as process:
        url = (await process.says(r"running on (http://\S+)")).group(1)
        await process.says("Stop with Ctrl-C")
        async with create_mcp_http_client(headers={"Authorization": f"Bearer {TOKEN}"}) as http:
            reached = streamable_http_client(f"{url}/mcp", http_client=http)
            client = Client(reached, mode="legacy")
            with contextlib.suppress(Exception):  # The connection goes away under it, which is what is asked for.
                async with client:
                    arguments = {"product_id": "shop", "prompt": "A landing page"}
                    assert not (await client.call_tool("ensure_prototype", arguments)).is_error
                    waiting = asyncio.create_task(
                        client.call_tool("wait_for_prototype", {"product_id": "shop", "seconds": 25})
                    )
                    await asyncio.sleep(0.5)
                    process.process.send_signal(signal.SIGTERM)
                    code = await asyncio.wait_for(process.process.wait(), 10)
                    waiting.cancel()

    assert code == 0
    assert "Traceback" not in process.text
