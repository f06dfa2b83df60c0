"""Who is let in at /mcp, and what a viewer may do there."""

from __future__ import annotations

import httpx2
import pytest

from assistants.talk import TRANSPORTS, answer, assistant, refusal
from protokeep.settings import Settings
from served import Demo

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
HEADERS = {"Accept": "application/json, text/event-stream"}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_viewer_sees_and_does_not_make(served: Demo, transport: str) -> None:
    """
    A token's role counts here as everywhere.
    """
    async with assistant(served, transport, token=served.viewer_token) as client:
        said = await refusal(client, "ensure_prototype", product_id="shop", prompt="A landing page")
        listed = await answer(client, "list_prototypes", product_id="shop")

    assert "needs a token of role maker" in said
    assert listed["prototypes"] == []
    assert served.chats_created == 0


async def test_no_token_no_entry(served: Demo) -> None:
    """
    Without a token that counts, nothing is answered but how to get one.
    """
    async with httpx2.AsyncClient(base_url=served.url, headers=HEADERS, trust_env=False) as http:
        nobody = await http.post("/mcp", json=HELLO)
        wrong = await http.post("/mcp", json=HELLO, headers={"Authorization": "Bearer pk_wrong"})
        right = await http.post("/mcp", json=HELLO, headers={"Authorization": f"Bearer {served.token}"})

    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
    assert "protokeep token create" in nobody.json()["detail"]
    assert wrong.status_code == 401
    assert right.json()["result"]["serverInfo"]["name"] == "protokeep"


async def test_only_under_our_names(served: Demo) -> None:
    """
    A name that is not ours is refused with the setting that allows it.
    """
    headers = {**HEADERS, "Authorization": f"Bearer {served.token}", "Host": "evil.example"}
    async with httpx2.AsyncClient(base_url=served.url, headers=headers, trust_env=False) as http:
        refused = await http.post("/mcp", json=HELLO)

    assert refused.status_code == 421
    assert "PROTOKEEP_MCP_ALLOWED_HOSTS" in refused.json()["detail"]


def test_names_are_a_setting() -> None:
    """
    Names are given separated by commas.
    """
    assert Settings(mcp_allowed_hosts="a.example, b.example").mcp_hosts == ("a.example", "b.example")


async def test_stdio_without_a_server(served: Demo) -> None:
    """
    When protokeep is not there the tools are, and say what to start.
    """
    async with assistant(served, "stdio", url="http://127.0.0.1:9") as client:
        said = await refusal(client, "get_prototype", product_id="shop")

    assert "protokeep serve" in said
