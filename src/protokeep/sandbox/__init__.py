"""An emulator of the parts of v0's Platform API, v1 and v2, that prototypes need: real HTTP, state in memory.

    sandbox = Sandbox(knobs=Knobs(generation_seconds=2))
    async with running(sandbox) as url:
        ...

Clients use `{url}/v1` and `{url}/v2` with any key; `{url}/_sandbox` counts calls and sets knobs.
"""

from .app import Sandbox, utc_now
from .backend import Deletions, Request
from .knobs import AnswerRule, DropRule, EditKind, FailRule, FinishReason, Knobs, UnknownKnob
from .people import Edit
from .seeded import Label, Product, Score, SeededAccount, seed_account
from .server import running, serve
from .state import Chat

__all__ = [
    "AnswerRule",
    "Chat",
    "Deletions",
    "DropRule",
    "Edit",
    "EditKind",
    "FailRule",
    "FinishReason",
    "Knobs",
    "Label",
    "Product",
    "Request",
    "Sandbox",
    "Score",
    "SeededAccount",
    "UnknownKnob",
    "running",
    "seed_account",
    "serve",
    "utc_now",
]
