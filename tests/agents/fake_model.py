"""A model of agno's that says what a script says. No key, no network."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from agno.models.base import Model
from agno.models.response import ModelResponse

Say = Callable[[list[Any]], ModelResponse]


@dataclass
class ScriptedModel(Model):
    """Each invocation takes the next line of the script; what is seen is kept."""

    id: str = "scripted"
    script: list[Say] = field(default_factory=list)
    seen: list[list[Any]] = field(default_factory=list)
    tools_seen: list[Any] = field(default_factory=list)

    def _next(self, messages: list[Any], tools: Any) -> ModelResponse:
        self.seen.append(list(messages))
        self.tools_seen = tools or []
        return self.script.pop(0)(messages)

    def invoke(self, *args: Any, **kwargs: Any) -> ModelResponse:
        return self._next(kwargs["messages"], kwargs.get("tools"))

    async def ainvoke(self, *args: Any, **kwargs: Any) -> ModelResponse:
        return self._next(kwargs["messages"], kwargs.get("tools"))

    def invoke_stream(self, *args: Any, **kwargs: Any) -> Iterator[ModelResponse]:
        yield self._next(kwargs["messages"], kwargs.get("tools"))

    async def ainvoke_stream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ModelResponse]:
        yield self._next(kwargs["messages"], kwargs.get("tools"))

    def _parse_provider_response(self, response: Any, **kwargs: Any) -> ModelResponse:
        return ModelResponse(content=str(response))

    def _parse_provider_response_delta(self, response: Any) -> ModelResponse:
        return ModelResponse(content=str(response))


def calls(tool: str, **arguments: Any) -> Say:
    """The model calls a tool."""
    call = {
        "id": f"call-{tool}",
        "type": "function",
        "function": {"name": tool, "arguments": json.dumps(arguments)},
    }
    return lambda _messages: ModelResponse(role="assistant", tool_calls=[call])


def says(text: str) -> Say:
    """The model answers."""
    return lambda _messages: ModelResponse(role="assistant", content=text)


def fails(_messages: list[Any]) -> ModelResponse:
    """The model's provider breaks."""
    raise RuntimeError("the model went away")
