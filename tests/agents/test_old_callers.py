"""The call sites of the specification's own system: its design module, its coordinators, and its own base class."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from live_server import Demo
from protokeep.agents.agno_v0 import AgnoV0Agent
from protokeep.client import NoAnswer
from protokeep.core.errors import InvalidInput, NotConfigured, NotFound, ProtokeepError

PAGE = Path(__file__).parents[2] / "docs" / "moving-in-agent.md"
PRODUCT = "9d000000-0000-4000-8000-000000000001"
PERSON = "5e000000-0000-4000-8000-000000000001"
PROMPT = "A landing page for a bakery"
#: What the old callers read of an answer.
OLD_KEYS = {
    *("chat_id", "projectId", "project_id", "project_url", "web_url", "demo_url", "project_name", "code", "files"),
    *("prompt", "image_url", "thumbnail_url", "project_status", "is_existing", "metadata", "is_complete"),
}


@pytest.fixture
async def session(served: Demo, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """The session of a request, on the database that a server runs on too."""
    engine = create_async_engine(served.settings.database_url.replace("sqlite:", "sqlite+aiosqlite:"))
    async with AsyncSession(engine) as opened:
        yield opened
    await engine.dispose()


async def create_as_design_does(agent: Any, session: AsyncSession, **changes: Any) -> Any:
    """The call of the old design module, keyword for keyword."""
    agent.set_v0_api_key("test")
    named = {
        "v0_prompt": PROMPT,
        "v0_api_key": "test",
        "user_id": PERSON,
        "product_id": PRODUCT,
        "db": session,
        "create_new": False,
        "timeout_seconds": 900,
    }
    return await agent.create_v0_project_with_api(**{**named, **changes})


async def test_the_design_modules_create_and_check_work_keyword_for_keyword(
    served: Demo, session: AsyncSession
) -> None:
    """
    Answered once v0 has accepted, with every key that is read; a second click gives the same; the check sees the end.
    """
    first = await create_as_design_does(AgnoV0Agent(enable_rag=False, wait=False), session)
    second = await create_as_design_does(AgnoV0Agent(enable_rag=True, wait=False), session, v0_prompt="Another one")
    await asyncio.to_thread(served.finish)
    checker = AgnoV0Agent()
    checker.set_v0_api_key("test")
    named: dict[str, Any] = {"v0_api_key": "test", "user_id": PERSON, "product_id": PRODUCT, "db": session}
    ends = time.monotonic() + 20
    while not (checked := await checker.check_v0_project_status(project_id="prj_1", **named))["is_complete"]:
        assert time.monotonic() < ends, checked

    assert set(first) >= OLD_KEYS
    assert set(checked) >= OLD_KEYS
    assert (first["is_existing"], second["is_existing"], served.chats_created) == (False, True, 1)
    assert (first["chat_id"], first["prototype_id"]) == (second["chat_id"], second["prototype_id"])
    assert (first["is_complete"], checked["is_complete"], checked["project_status"]) == (False, True, "completed")
    assert None is first["code"] is first["files"] is first["project_name"]
    assert json.loads(json.dumps(checked)) == checked


async def test_the_key_that_was_set_is_used_where_no_other_is_given(
    served: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    As before the first call of every old caller; None takes it back.
    """
    monkeypatch.delenv("V0_API_KEY")
    agent = AgnoV0Agent(wait=False)
    agent.set_v0_api_key("v1:ana:key")
    made = await agent.create_v0_project_with_api(PROMPT, product_id=PRODUCT)
    agent.set_v0_api_key(None)
    with pytest.raises(NotConfigured):
        await agent.create_v0_project_with_api(PROMPT, product_id="another")

    assert made["metadata"]["key_source"] == "argument"
    assert served.chats_created == 1


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        (InvalidInput, lambda agent: agent.create_v0_project_with_api(" ", product_id=PRODUCT)),
        (InvalidInput, lambda agent: agent.create_v0_project_with_api(PROMPT, timeout_seconds=901)),
        (InvalidInput, lambda agent: agent.check_v0_project_status(project_id="prj_1")),
        (InvalidInput, lambda agent: agent.check_v0_project_status()),
        (InvalidInput, lambda agent: agent.generate_v0_prompt({})),
        (NotFound, lambda agent: agent.check_v0_project_status(product_id="nothing")),
    ],
)
async def test_every_error_is_a_value_error_too(
    served: Demo, place: str, kind: type[ProtokeepError], call: Any
) -> None:
    """
    Caught by the old callers' `except ValueError`, and by our own classes, with the same words.
    """
    with pytest.raises(ValueError, match=r"\w") as caught:
        await call(AgnoV0Agent(db=place))
    assert isinstance(caught.value, kind)
    assert type(caught.value).__name__ == kind.__name__


async def test_errors_keep_what_they_carry(served: Demo) -> None:
    """
    The client's errors too: their advice and their key.
    """
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:9") as caught:
        await AgnoV0Agent(db="http://127.0.0.1:9").create_v0_project_with_api(PROMPT, product_id=PRODUCT)
    assert isinstance(caught.value, NoAnswer)
    assert caught.value.idempotency_key is not None


@pytest.mark.parametrize(
    ("status", "words", "state"), [(402, ("out of credits", "402"), "parked"), (401, ("401",), "failed")]
)
async def test_what_v0_refuses_is_an_answer_with_the_words_that_were_looked_for(
    served: Demo, place: str, status: int, words: tuple[str, ...], state: str
) -> None:
    """
    The row is there, so it is no error; its message has the words by which the old callers told the cases apart.
    """
    served.turn(fail_next=[{"operation": "chats.createAsync", "status": status}])
    answer = await AgnoV0Agent(db=place).create_v0_project_with_api(PROMPT, product_id=PRODUCT, timeout_seconds=2)

    assert answer["error"] is not None
    assert answer["state"] == state
    assert all(word in answer["error"]["message"] for word in words)


async def test_a_brief_is_made_of_all_that_the_old_callers_pass() -> None:
    """
    Every keyword of theirs, and every one of their texts is in it.
    """
    brief = await AgnoV0Agent().generate_v0_prompt(
        product_context={"name": "Bakery", "context": "Sells bread online"},
        phase_data={"form_data": {"problem": "Queues in the morning"}},
        all_phases_data=[{"phase_name": "Research", "form_data": {"users": "Commuters"}}],
        conversation_summary="They want a calm look.",
        design_form_data={"user_experience": "Two taps to order"},
        rag_agent=object(),
        product_id=PRODUCT,
    )

    for words in ("Bakery", "Sells bread", "Queues in", "Commuters", "calm look", "Two taps"):
        assert words in brief
    assert PRODUCT not in brief


# -- the subclass in the guide -------------------------------------------------------------------------------


class OldBaseAgent:
    """What their base class gives to coordinators, in the order of its parameters."""

    def __init__(
        self,
        name: str,
        role: str,
        system_prompt: str,
        enable_rag: bool = False,
        rag_table_name: str | None = None,
        tools: list[Any] | None = None,
        capabilities: list[str] | None = None,
    ) -> None:
        self.name, self.role, self.system_prompt, self.enable_rag = name, role, system_prompt, enable_rag
        self.capabilities = capabilities or []
        self.coordinator: object = None

    def set_coordinator(self, coordinator: object) -> None:
        self.coordinator = coordinator

    def get_confidence(self, query: str) -> float:
        matches = sum(1 for ability in self.capabilities if ability in query.lower())
        return min(1.0, matches / len(self.capabilities) + 0.3)

    async def process(self, messages: list[Any], context: dict[str, Any] | None = None) -> str:
        return f"{self.name}: {len(messages)}"


@pytest.fixture
def old_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules that the subclass imports."""
    for name in ("backend", "backend.agents", "backend.agents.agno_base_agent"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["backend.agents.agno_base_agent"], "AgnoBaseAgent", OldBaseAgent, raising=False)


async def test_the_subclass_in_the_guide_stands_in_the_coordinators_list(
    served: Demo, session: AsyncSession, old_backend: None
) -> None:
    """
    Taken from the page as it stands there: a coordinator treats it like its other agents, and it makes one prototype.
    """
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.S | re.M)
    names: dict[str, Any] = {"__name__": "backend.agents.agno_v0_agent"}
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102 - the page's own example
    agent = names["AgnoV0Agent"](enable_rag=True)
    agent.set_coordinator(coordinator := object())

    first = await create_as_design_does(agent, session)
    second = await create_as_design_does(agent, session)
    checked = await agent.check_v0_project_status(project_id="x", product_id=PRODUCT, db=session)

    assert len(code.strip().splitlines()) <= 14
    assert (agent.name, agent.role, agent.enable_rag, agent.coordinator) == ("V0 Agent", "v0", True, coordinator)
    assert agent.get_confidence("v0 project creation, please") > 0.3
    assert await agent.process(["a message"]) == "V0 Agent: 1"
    assert "Bakery" in await agent.generate_v0_prompt(product_context={"name": "Bakery"})
    assert first["prototype_id"] == second["prototype_id"] == checked["prototype_id"]
    assert served.chats_created == 1
