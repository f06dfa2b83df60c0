"""Each example, and each command of the pages that show how to use a server, run as people run them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from live_server import Demo
from mcp import Client, StdioServerParameters

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent


def run(served: Demo, *command: str) -> subprocess.CompletedProcess[str]:
    """A command with what `make demo` says to export."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PROTOKEEP_", "V0_", "AGNO_"))}
    env |= {**served.environment, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=90, check=False)


def test_the_quickstart_makes_one_prototype_and_waits_for_it(served: Demo) -> None:
    """
    The quickstart makes one prototype, gets it again, and waits for it.
    """
    result = run(served, sys.executable, "examples/quickstart.py")

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("created: This product had no prototype.\nreused: This product has one already.\n")
    assert "\nready: http" in result.stdout
    assert served.chats_created == 1


def test_the_quickstart_without_a_server_says_what_to_start(served: Demo) -> None:
    """
    Where nothing runs, the example says what to start.
    """
    served.url = "http://127.0.0.1:9"
    result = run(served, sys.executable, "examples/quickstart.py")

    assert result.returncode == 1
    assert "protokeep serve" in result.stderr


def test_the_agno_agent_makes_one_prototype(served: Demo) -> None:
    """
    The agent's code makes one prototype, and the agno agent is given the same.
    """
    result = run(served, sys.executable, "examples/agno_agent.py")

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("completed: http")
    assert "the agent called create_v0_project_with_api: existing: True" in result.stdout
    assert served.chats_created == 1


@pytest.mark.parametrize("where", ["mcpServers/protokeep", "mcpServers/protokeep-over-http", "servers/protokeep"])
async def test_every_entry_of_the_mcp_configuration_connects(served: Demo, where: str) -> None:
    """
    Every entry of the configuration connects, once the demo's address and token stand in it.
    """
    text = (ROOT / "examples/mcp_config.json").read_text()
    text = text.replace("the token that make demo prints", served.token).replace("http://127.0.0.1:8400", served.url)
    group, name = where.split("/")
    entry = json.loads(text)[group][name]
    if "command" in entry:
        env = {**entry["env"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        async with Client(
            StdioServerParameters(command=str(BIN / entry["command"]), args=entry["args"], env=env)
        ) as client:
            tools = await client.list_tools()
    else:
        async with (
            create_mcp_http_client(headers=entry["headers"]) as http,
            Client(streamable_http_client(entry["url"], http_client=http)) as client,
        ):
            tools = await client.list_tools()

    assert "ensure_prototype" in {tool.name for tool in tools.tools}


@pytest.mark.parametrize(
    ("page", "blocks_min"),
    [("README.md", 2), ("docs/api.md", 1), ("docs/assistants.md", 4), ("docs/quick-start.md", 4)],
)
def test_every_shell_block_of_a_page_works_after_the_demo(served: Demo, page: str, blocks_min: int) -> None:
    """
    Every shell block that needs a server works when it is pasted after `make demo`.
    """
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), flags=re.S)
    pasted = [
        block.replace(".venv/bin/", f"{BIN}/") for block in blocks if not re.search(r"^make |serve\b", block, re.M)
    ]

    assert len(pasted) >= blocks_min
    for block in pasted:
        result = run(served, "bash", "-euc", block)
        assert result.returncode == 0, f"{block}\n{result.stdout}\n{result.stderr}"
