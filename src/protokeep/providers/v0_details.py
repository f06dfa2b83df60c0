"""What single chats of v0's API v1 carry as metadata: read once, a few at a time, and remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from protokeep.core.errors import OutcomeUnknown, ProviderBusy, ProviderError, ProviderUnreachable
from protokeep.providers.base import RemoteChat
from protokeep.providers.v0_http import instant, text
from protokeep.providers.v0_walks import MayCall

#: Reads under way at once; each may bring 8 MiB.
PARALLEL_READS = 4
#: Reads in a row that v0 answered with an error of its own, after which v0 as a whole counts as troubled.
IN_VAIN = 6
#: Chats whose metadata is remembered, and chats that could not be read: the oldest are forgotten first.
REMEMBERED = 20_000
#: Searches from one try to read an unreadable chat to the next, doubling three times: a refusal seldom changes.
PAUSE_AFTER_REFUSAL, PAUSE_AFTER_ERROR, DOUBLINGS = 8, 1, 3


@dataclass(slots=True)
class _Unreadable:
    reason: str
    pause: int
    due: int


class Details:
    """Reads chats by id. A chat's metadata never changes, so that a chat without marks of ours is read once only."""

    def __init__(self, read: Callable[[str], Awaitable[RemoteChat | None]]) -> None:
        """`read` answers a chat with marks of ours, or None for one of somebody else. Raises `ProviderError`."""
        self._read = read
        self._known: dict[str, RemoteChat | None] = {}
        self._unreadable: dict[str, _Unreadable] = {}
        self._searches = 0

    def begin_search(self) -> None:
        """Count searches: unreadable chats are not read in each of them."""
        self._searches += 1

    def unread(self, chats: Iterable[str]) -> list[str]:
        """Those of `chats` that are to be read in this search."""
        return [chat_id for chat_id in chats if chat_id not in self._known and not self._rests(chat_id)]

    def made(self, chat_id: str) -> RemoteChat | None:
        """A chat with marks of ours; None: it has none, or was not read."""
        return self._known.get(chat_id)

    def reason(self, chat_id: str) -> str | None:
        """Why a chat could not be read; None: it was read, or nobody tried."""
        unreadable = self._unreadable.get(chat_id)
        return unreadable.reason if unreadable else None

    async def read(self, chats: Sequence[str], may_call: MayCall) -> ProviderError | None:
        """Read these chats, as far as calls go. Unreadable ones are passed over; an error stands for all of v0."""
        queue = list(reversed(self.unread(chats)))
        trouble: list[ProviderError] = []
        in_vain = 0

        async def reader() -> None:
            nonlocal in_vain
            while queue and not trouble and may_call():
                chat_id = queue.pop()
                try:
                    self._note(chat_id, await self._read(chat_id))
                    in_vain = 0
                except ProviderError as error:
                    if isinstance(error, ProviderBusy | ProviderUnreachable) or error.status == 401:
                        trouble.append(error)
                        return
                    self._note_unreadable(chat_id, error)
                    in_vain = in_vain + 1 if is_v0s_own(error) else 0
                    if in_vain >= IN_VAIN:
                        trouble.append(error)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(PARALLEL_READS, len(queue))):
                group.create_task(reader())
        return trouble[0] if trouble else None

    def _rests(self, chat_id: str) -> bool:
        unreadable = self._unreadable.get(chat_id)
        return unreadable is not None and self._searches < unreadable.due

    def _note(self, chat_id: str, made: RemoteChat | None) -> None:
        self._unreadable.pop(chat_id, None)
        self._known[chat_id] = made
        _forget_oldest(self._known)

    def _note_unreadable(self, chat_id: str, error: ProviderError) -> None:
        before = self._unreadable.pop(chat_id, None)
        first = PAUSE_AFTER_ERROR if is_v0s_own(error) or error.status == 404 else PAUSE_AFTER_REFUSAL
        pause = min(before.pause * 2, first * 2**DOUBLINGS) if before else first
        self._unreadable[chat_id] = _Unreadable(str(error), pause, self._searches + pause)
        _forget_oldest(self._unreadable)


def is_v0s_own(error: ProviderError) -> bool:
    """Whether an answer speaks of trouble at v0 rather than of one chat: a 5xx, or none at all."""
    return isinstance(error, OutcomeUnknown) and error.code in ("server_error", "no_answer")


def metadata_of(detail: Any, chat_id: str) -> dict[str, str]:
    """The metadata of a v1 ChatDetail, where v0's document requires it. Raises `OutcomeUnknown`."""
    carried = detail.get("metadata") if isinstance(detail, dict) else None
    if not isinstance(carried, dict) or detail.get("id") != chat_id:
        raise OutcomeUnknown("v0's chat could not be read, or is another one.", code="bad_answer")
    return {key: value for key, value in carried.items() if isinstance(value, str)}


def made_of(detail: Any, chat_id: str) -> RemoteChat:
    """A v1 ChatDetail as a search finds it. Raises `OutcomeUnknown` when it cannot be read."""
    marks = metadata_of(detail, chat_id)
    return RemoteChat(
        chat_id,
        project_id=text(detail.get("projectId"), 200),
        metadata=marks,
        created_at=instant(detail.get("createdAt")),
    )


def _forget_oldest(remembered: dict[str, Any]) -> None:
    while len(remembered) > REMEMBERED:
        del remembered[next(iter(remembered))]
