"""An emulator of the parts of v0's Platform API, v1 and v2, that prototypes need: real HTTP, state in memory.

    sandbox = Sandbox(knobs=Knobs(generation_seconds=2))
    async with running(sandbox) as url:
        ...

Clients use `{url}/v1` and `{url}/v2` with any key; `{url}/_sandbox` counts calls and sets knobs.
"""

from .app import Sandbox, utc_now
from .knobs import AnswerRule, DropRule, FailRule, FinishReason, Knobs, UnknownKnob
from .server import running, serve
from .state import Chat

__all__ = [
    "AnswerRule",
    "Chat",
    "DropRule",
    "FailRule",
    "FinishReason",
    "Knobs",
    "Sandbox",
    "UnknownKnob",
    "running",
    "serve",
    "utc_now",
]
