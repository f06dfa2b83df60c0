"""A real agno agent whose tools are ours, with a model that says what a script says."""

from __future__ import annotations

import builtins
import json
import socket
from typing import Any

import pytest
from agno.run import RunStatus

from agents.fake_model import ScriptedModel, calls, fails, says
from live_server import Demo
from protokeep.agents.agno_v0 import AgnoV0Agent
from protokeep.core.errors import NotConfigured

SHOP = {"product_id": "shop", "v0_prompt": "A landing page"}


async def test_the_model_is_offered_three_tools_and_reads_their_answers(served: Demo) -> None:
    """
    The model is shown three tools with our parameters alone, and reads what they answer.
    """
    model = ScriptedModel(
        script=[
            calls("generate_v0_prompt", product_context="A bakery in Lyon"),
            calls("create_v0_project_with_api", **SHOP),
            calls("check_v0_project_status", product_id="shop"),
            says("It is being made."),
        ]
    )
    run = await AgnoV0Agent(db=served.url).as_agno(model).arun("Make a prototype of the shop")

    offered = {tool["function"]["name"]: tool["function"]["parameters"] for tool in model.tools_seen}
    results = {tool.tool_name: tool.result for tool in run.tools}
    assert run.status == RunStatus.completed
    assert set(offered) == {"create_v0_project_with_api", "check_v0_project_status", "generate_v0_prompt"}
    assert set(offered["create_v0_project_with_api"]["properties"]) == {"v0_prompt", "product_id", "create_new"}
    assert json.loads(results["create_v0_project_with_api"])["is_existing"] is False
    assert json.loads(results["check_v0_project_status"])["chat_id"] == served.chats()[0]["id"]
    assert "A bakery in Lyon" in results["generate_v0_prompt"]
    assert served.chats_created == 1


@pytest.mark.parametrize("create_new", [False, True])
async def test_a_run_that_is_tried_again_makes_one_chat(served: Demo, place: str, create_new: bool) -> None:
    """
    The model fails after the tool ran, twice; agno runs everything again; one chat is made, even "another" one.
    """
    create = calls("create_v0_project_with_api", **SHOP, create_new=create_new)
    model = ScriptedModel(script=[create, fails, create, fails, create, says("Here it is.")])
    agent = AgnoV0Agent(db=place).as_agno(model, retries=2, delay_between_retries=0)
    run = await agent.arun("Make a prototype of the shop")

    assert run.status == RunStatus.completed
    assert len(model.seen) == 6
    assert served.chats_created == 1


async def test_errors_are_told_to_the_model_and_the_run_goes_on(served: Demo) -> None:
    """
    What cannot be done comes back as words, and the run goes on.
    """
    model = ScriptedModel(script=[calls("check_v0_project_status", product_id="nothing"), says("There is none.")])
    run = await AgnoV0Agent(db=served.url).as_agno(model).arun("How is it?")

    assert run.status == RunStatus.completed
    assert "create-project" in json.loads(run.tools[0].result)["error"]


async def test_telemetry_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A run reports to nobody: telemetry is off, and no name outside this machine is looked up.
    """
    looked_up: list[Any] = []
    real = socket.getaddrinfo

    def noting(host: Any, *arguments: Any, **named: Any) -> Any:
        looked_up.append(host)
        return real(host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", noting)
    agent = AgnoV0Agent().as_agno(ScriptedModel(script=[says("Hello.")]))
    run = await agent.arun("Hello")

    assert agent.telemetry is False
    assert run.content == "Hello."
    assert looked_up == []


async def test_a_model_writes_the_brief_or_the_template_does() -> None:
    """
    A model writes the brief; if it cannot, the template's brief is the answer.
    """
    agent = AgnoV0Agent()
    facts = {"name": "Crumb", "audience": "people in a hurry"}
    written = await agent.generate_v0_prompt(facts, model=ScriptedModel(script=[says("A brief.")]))
    template = await agent.generate_v0_prompt(facts, model=ScriptedModel(script=[fails]))

    assert written == "A brief."
    assert "people in a hurry" in template


def test_without_agno_the_error_is_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where agno is not installed, the error is the command that installs it.
    """
    real = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name.partition(".")[0] == "agno":
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(NotConfigured, match=r"protokeep\[agent\]"):
        AgnoV0Agent().as_agno(object())
