"""The emulator as its parts see it: what the control API, the dispatcher and the pages need of `Sandbox`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from .backend import Backend, Request
from .knobs import EditKind, FinishReason, Knobs
from .people import Edit, People
from .state import Chat


class HungUp(ConnectionResetError):
    """The connection is closed instead of an answer. Callers see it only where there is no connection to close."""


class Emulator(Protocol):
    """State, clock, knobs and counters of one emulator."""

    clock: Callable[[], datetime]
    knobs: Knobs
    backend: Backend
    people: People
    before_request: Callable[[Request], None] | None
    scopes: Counter[str]
    statuses: Counter[str]
    not_emulated: Counter[str]
    held_requests: int

    @property
    def chats(self) -> Mapping[str, Chat]: ...

    @property
    def chats_created(self) -> int: ...

    def stats(self) -> dict[str, Any]: ...

    def set_knobs(self, **changes: Any) -> Knobs: ...

    def reset(self) -> None: ...

    def finish(self, chat_id: str, outcome: FinishReason = "stop") -> None: ...

    def delete(self, chat_id: str) -> None: ...

    def restore(self, chat_id: str) -> None: ...

    def edit(self, chat_id: str, kind: EditKind) -> Edit: ...

    async def pause(self, seconds: float) -> None: ...
