"""An agent that creates prototypes, at most one per product.

Start `make demo`, export what it prints, then: .venv/bin/python examples/agno_agent.py

The second half runs a real agno agent (pip install 'protokeep[agent]'). Its model is a script, so that no key is
needed; AGNO_MODEL=openai:gpt-5 or the like takes a real one.
"""

import asyncio
import json
import os
from typing import Any

from protokeep.agents.agno_v0 import AgnoV0Agent
from protokeep.core.errors import ProtokeepError

FACTS = {
    "name": "Crumb",
    "description": "Orders bread ahead, to pick up on the way to work.",
    "audience": "Commuters with five minutes",
    "features": ["See what is in the oven", "Order for tomorrow", "Pay on pick-up"],
    "style": "Warm, plain, large type",
}


async def main() -> None:
    """Create a prototype from code, then let an agno agent ask for the same product."""
    agent = AgnoV0Agent()  # a running protokeep at PROTOKEEP_URL, else a database of its own
    brief = await agent.generate_v0_prompt(FACTS)
    project = await agent.create_v0_project_with_api(brief, product_id="crumb", timeout_seconds=120)
    print(f"{project['project_status']}: {project['project_url']} (existing: {project['is_existing']})")

    model: Any = os.environ.get("AGNO_MODEL") or scripted_model()
    if model is None:
        print("agno is not installed; the rest of this example needs: pip install 'protokeep[agent]'")
        return
    agno_agent = agent.as_agno(model)
    run = await agno_agent.arun("We need a prototype of the product crumb: an app to order bread ahead.")
    for tool in run.tools or []:
        result = json.loads(tool.result)
        print(f"the agent called {tool.tool_name}: existing: {result['is_existing']}, chat {result['chat_id']}")
    print(run.content)


def scripted_model() -> Any:
    """A model that calls the tool once and then reports the result; None if agno is not installed."""
    try:
        from agno.models.base import Model
        from agno.models.response import ModelResponse
    except ImportError:
        return None

    class Scripted(Model):
        """Answers as a real model would."""

        async def ainvoke(self, *_: Any, messages: list[Any], **__: Any) -> Any:
            if any(message.role == "tool" for message in messages):
                return ModelResponse(role="assistant", content="There is a prototype of crumb; the link is above.")
            arguments = {"product_id": "crumb", "v0_prompt": "An app to order bread ahead"}
            call = {"name": "create_v0_project_with_api", "arguments": json.dumps(arguments)}
            return ModelResponse(role="assistant", tool_calls=[{"id": "call-1", "type": "function", "function": call}])

        def invoke(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

        invoke_stream = ainvoke_stream = _parse_provider_response = _parse_provider_response_delta = invoke

    return Scripted(id="scripted")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except ProtokeepError as error:
        raise SystemExit(f"agno_agent: {error}") from None
