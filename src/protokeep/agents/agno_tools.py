"""The agno side of `AgnoV0Agent`: an agno agent with its tools, and a brief written by a model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Protocol

from protokeep.core.errors import NotConfigured, ProtokeepError

if TYPE_CHECKING:
    from protokeep.agents.result import V0Project

INSTRUCTIONS = [
    "A product has one prototype, shared by everyone. create_v0_project_with_api gives it, or creates the first one.",
    "Use the product's own id, the same one every time. After an error call the tool again with the very same "
    "arguments: nothing is made twice.",
    "Generating takes minutes. Tell the user the links you were given, or call check_v0_project_status again.",
    "Set create_new only when the user asks for another prototype on purpose.",
]

#: Advice for a model when the answer to its call was lost.
REPEAT_ADVICE = "It may have been done: call this again with the same arguments."
CHECK_FIRST_ADVICE = "It may have been done: call check_v0_project_status before you ask again."


class ProjectAgent(Protocol):
    """What the tools call: `AgnoV0Agent`."""

    async def create_v0_project_with_api(
        self, v0_prompt: str, *, product_id: str, create_new: bool, wait: bool, idempotency_key: str | None
    ) -> V0Project: ...

    async def check_v0_project_status(self, product_id: str) -> V0Project: ...

    async def generate_v0_prompt(self, product_context: str, *, extra: str | None) -> str: ...


def agno_agent(projects: ProjectAgent, model: Any, options: dict[str, Any]) -> Any:
    """An agno agent with the tools. Raises `NotConfigured` if agno is not installed."""
    agent_class = _agent_class()
    arguments = {"name": "protokeep", "instructions": INSTRUCTIONS, "telemetry": False, **options}
    return agent_class(model=model, tools=[*tools_of(projects), *arguments.pop("tools", ())], **arguments)


def tools_of(projects: ProjectAgent) -> list[Any]:
    """The tools as agno takes them. A model sees their names, parameters and docstrings."""
    tools = _Tools(projects)
    return [tools.create_v0_project_with_api, tools.check_v0_project_status, tools.generate_v0_prompt]


class _Tools:
    def __init__(self, projects: ProjectAgent) -> None:
        self._projects = projects

    async def create_v0_project_with_api(
        self, v0_prompt: str, product_id: str, create_new: bool = False, run_context: Any = None
    ) -> str:
        """Get a product's prototype at v0, making it if there is none. Safe to call again with the same arguments.

        Args:
            v0_prompt: What the prototype should be, in full sentences.
            product_id: The product's own id. Everyone who asks for the same product gets the same prototype.
            create_new: Only when the user asks for another prototype on purpose.
        """
        key = _idempotency_key(run_context, product_id, v0_prompt) if create_new else None
        project = self._projects.create_v0_project_with_api(
            v0_prompt, product_id=product_id, create_new=create_new, wait=False, idempotency_key=key
        )
        return await _as_json(project, CHECK_FIRST_ADVICE if create_new and key is None else REPEAT_ADVICE)

    async def check_v0_project_status(self, product_id: str) -> str:
        """Look at a product's prototype. Creates nothing.

        Args:
            product_id: The product's own id.
        """
        return await _as_json(self._projects.check_v0_project_status(product_id))

    async def generate_v0_prompt(self, product_context: str, extra: str = "") -> str:
        """Write a brief for v0 from what is known of a product, to use as v0_prompt.

        Args:
            product_context: What is known: name, what it is, who uses it, features, look.
            extra: Anything else that the brief must say.
        """
        return await self._projects.generate_v0_prompt(product_context, extra=extra or None)


async def write_brief(model: Any, instructions: str, notes: str) -> str | None:
    """The brief that a model writes from the notes; None if the model failed."""
    output = await _agent_class()(model=model, instructions=instructions, telemetry=False).arun(notes)
    status = getattr(output.status, "value", output.status)
    text = output.content if isinstance(output.content, str) else None
    return text.strip() or None if text and str(status).lower() == "completed" else None


async def _as_json(project: Awaitable[V0Project], advice: str = "") -> str:
    """The answer as JSON for the model; an error as JSON with text that says what to do, `advice` if it may have acted.

    The error of the client is not passed on as it is, because it names a key that the model cannot use.
    """
    from protokeep.client import ClientError

    try:
        answer = await project
    except ClientError as error:
        message = f"{error.reason} {advice if error.may_have_acted else ''}".strip()
        return json.dumps({"error": message}, ensure_ascii=False)
    except ProtokeepError as error:
        return json.dumps({"error": str(error)}, ensure_ascii=False)
    left_out = ("prompt", "metadata", "projectId", "is_complete")
    values = {name: value for name, value in answer.items() if name not in left_out and value is not None}
    return json.dumps(values, ensure_ascii=False)


def _idempotency_key(run_context: Any, product_id: str, prompt: str) -> str | None:
    """A key for another prototype on purpose: a run that is repeated keeps its id, and so creates one per prompt."""
    run_id = getattr(run_context, "run_id", None)
    if run_id is None:
        return None
    return "agno-" + hashlib.sha256(json.dumps([run_id, product_id, prompt]).encode()).hexdigest()


def _agent_class() -> Any:
    try:
        from agno.agent import Agent
    except ImportError as error:
        raise NotConfigured("agno is not installed. Install it with: pip install 'protokeep[agent]'") from error
    return Agent
