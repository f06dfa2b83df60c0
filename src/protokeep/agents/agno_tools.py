"""The agno side: an agent whose tools are `AgnoV0Agent`'s, and a brief written by a model."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from protokeep.core.errors import NotConfigured, ProtokeepError

if TYPE_CHECKING:
    from protokeep.agents.agno_v0 import AgnoV0Agent
    from protokeep.agents.result import V0Project

INSTRUCTIONS = [
    "A product has one prototype, shared by everybody. create_v0_project_with_api gives it, or makes the first one.",
    "Use the product's own id, the same one every time. After an error call the tool again with the very same "
    "arguments: nothing is made twice.",
    "Making takes minutes. Tell the user the links you were given, or look again with check_v0_project_status.",
    "Set create_new only when the user asks for another prototype on purpose.",
]


#: What a model is told when an answer was lost.
SAME_AGAIN = "It may have been done: call this again with the very same arguments."
LOOK_FIRST = "It may have been done: look with check_v0_project_status before you ask again."


def agent_of(ours: AgnoV0Agent, model: Any, options: dict[str, Any]) -> Any:
    """An agno agent. Raises `NotConfigured` when agno is not installed."""
    agent = _agent_class()
    given = {"name": "protokeep", "instructions": INSTRUCTIONS, "telemetry": False, **options}
    return agent(model=model, tools=[*tools_of(ours), *given.pop("tools", ())], **given)


def tools_of(ours: AgnoV0Agent) -> list[Any]:
    """The tools, as agno reads them: their names, parameters and docstrings are what the model sees."""

    async def create_v0_project_with_api(
        v0_prompt: str, product_id: str, create_new: bool = False, run_context: Any = None
    ) -> str:
        """Get a product's prototype at v0, making it if there is none. Safe to call again with the same arguments.

        Args:
            v0_prompt: What the prototype should be, in full sentences.
            product_id: The product's own id. Everybody who asks for the same product gets the same prototype.
            create_new: Only when the user asks for another prototype on purpose.
        """
        key = _key(run_context, product_id, v0_prompt) if create_new else None
        return await _told(
            ours._ensure(
                v0_prompt,
                v0_api_key=ours._v0_api_key,
                user_id=ours._user_id,
                product_id=product_id,
                db=ours._db,
                create_new=create_new,
                timeout_seconds=600,
                wait=False,
                # A run that is tried again keeps its id: another one on purpose is made once per run and prompt.
                idempotency_key=key,
            ),
            if_lost=LOOK_FIRST if create_new and key is None else SAME_AGAIN,
        )

    async def check_v0_project_status(product_id: str) -> str:
        """Look at a product's prototype. Creates nothing.

        Args:
            product_id: The product's own id.
        """
        return await _told(ours.check_v0_project_status(product_id))

    async def generate_v0_prompt(product_context: str, extra: str = "") -> str:
        """Write a brief for v0 from what is known of a product, to use as v0_prompt.

        Args:
            product_context: What is known: name, what it is, who uses it, features, look.
            extra: Anything else that the brief must say.
        """
        return await ours.generate_v0_prompt(product_context, extra=extra or None)

    return [create_v0_project_with_api, check_v0_project_status, generate_v0_prompt]


async def written_by(model: Any, instructions: str, notes: str) -> str | None:
    """What a model makes of the notes; None when it could not."""
    output = await _agent_class()(model=model, instructions=instructions, telemetry=False).arun(notes)
    status = getattr(output.status, "value", output.status)
    text = output.content if isinstance(output.content, str) else None
    return text.strip() or None if text and str(status).lower() == "completed" else None


async def _told(answer: Any, if_lost: str = "") -> str:
    """An answer as the model reads it; an error as words that say what to do. The model never sees a key."""
    from protokeep.client import ClientError

    try:
        project: V0Project = await answer
    except ClientError as error:
        words = f"{error.reason} {if_lost if error.may_have_acted else ''}".strip()
        return json.dumps({"error": words}, ensure_ascii=False)
    except ProtokeepError as error:
        return json.dumps({"error": str(error)}, ensure_ascii=False)
    shown = {name: value for name, value in project.items() if name not in ("prompt", "metadata") and value is not None}
    return json.dumps(shown, ensure_ascii=False)


def _key(run_context: Any, product_id: str, prompt: str) -> str | None:
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
