"""One round of polls at v0: reads a few chats at once, and sorts their answers and errors."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from protokeep.core.errors import OutcomeUnknown, ProviderBusy, ProviderError, ProviderRejected
from protokeep.core.prototype import Observation
from protokeep.providers.base import PollResult

#: The pause after a 429 that names none.
DEFAULT_PAUSE = timedelta(seconds=30)

T = TypeVar("T")


@dataclass(slots=True)
class PollRound:
    """The answers of one round so far. `problems` are errors that concern the whole account and end the round."""

    observations: dict[str, Observation] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    unreadable: dict[str, str] = field(default_factory=dict)
    problems: list[ProviderError] = field(default_factory=list)

    def note_error(self, chat_id: str, error: ProviderError) -> None:
        """Record the error that reading one chat has raised: about that chat, or about the whole account."""
        is_about_chat = isinstance(error, ProviderRejected | OutcomeUnknown) and error.status != 401
        if not is_about_chat:
            self.problems.append(error)
        elif isinstance(error, OutcomeUnknown) or error.status != 404:
            self.unreadable[chat_id] = str(error)
        elif chat_id not in self.observations:  # A list may have shown the chat.
            self.missing.add(chat_id)

    def result(self) -> PollResult:
        """The round as `Provider.observe` answers it. A request for a pause counts before any other problem."""
        busy = next((error for error in self.problems if isinstance(error, ProviderBusy)), None)
        problem = busy or next(iter(self.problems), None)
        return PollResult(
            self.observations,
            frozenset(self.missing),
            (busy.retry_after or DEFAULT_PAUSE) if busy else None,
            str(problem) if problem else None,
            self.unreadable,
        )


async def in_parallel(
    items: Iterable[T], act: Callable[[T], Awaitable[None]], *, limit: int, may_continue: Callable[[], bool]
) -> None:
    """Run `act` for the items in their order, `limit` at once, until `may_continue` says no."""
    queue = deque(items)

    async def work() -> None:
        while queue and may_continue():
            await act(queue.popleft())

    async with asyncio.TaskGroup() as group:
        for _ in range(min(limit, len(queue))):
            group.create_task(work())
