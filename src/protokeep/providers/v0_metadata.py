"""Metadata of single chats of v0's API v1: lists do not show it, so each chat is read once and remembered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from protokeep.core.errors import OutcomeUnknown, ProviderBusy, ProviderError, ProviderUnreachable
from protokeep.providers.base import RemoteChat
from protokeep.providers.v0_fields import identifier, instant, our_metadata
from protokeep.providers.v0_polls import in_parallel
from protokeep.providers.v0_walks import MayCall

#: Reads at once; each may bring 8 MiB.
PARALLEL_READS = 4
#: Server errors in a row after which v0 as a whole counts as failing.
MAX_SERVER_ERRORS = 6
#: Chats of either kind, readable and unreadable, that are remembered; the oldest entries are dropped first.
REMEMBERED = 20_000
#: Searches between two tries to read an unreadable chat. A pause doubles up to three times: a refusal seldom changes.
PAUSE_AFTER_REFUSAL, PAUSE_AFTER_ERROR, DOUBLINGS = 8, 1, 3


@dataclass(slots=True)
class _Unreadable:
    """A chat that could not be read. It is tried again in search number `due`, `pause` searches after the last try."""

    reason: str
    pause: int
    due: int


class MetadataCache:
    """Reads chats by id. The metadata of a chat never changes, so a chat that is not ours is read only once."""

    def __init__(self, read: Callable[[str], Awaitable[RemoteChat | None]]) -> None:
        """`read` returns a chat that carries metadata of ours, or None for any other chat. Raises `ProviderError`."""
        self._read = read
        self._known: dict[str, RemoteChat | None] = {}
        self._unreadable: dict[str, _Unreadable] = {}
        self._searches = 0

    def begin_search(self) -> None:
        """Count a search. The pauses of unreadable chats are measured in searches."""
        self._searches += 1

    def unread(self, chats: Iterable[str]) -> list[str]:
        """Those of `chats` that this search has to read."""
        return [chat_id for chat_id in chats if chat_id not in self._known and not self._is_paused(chat_id)]

    def chat(self, chat_id: str) -> RemoteChat | None:
        """A chat that carries metadata of ours; None if it carries none, or was not read."""
        return self._known.get(chat_id)

    def unreadable_reason(self, chat_id: str) -> str | None:
        """Why a chat could not be read; None if it was read, or was never tried."""
        unreadable = self._unreadable.get(chat_id)
        return unreadable.reason if unreadable else None

    async def read(self, chats: Sequence[str], may_call: MayCall) -> ProviderError | None:
        """Read the unread ones of these chats, as far as calls are left.

        Unreadable chats are noted and passed over. Returns the error that ended the reading, which concerns the whole
        account; None if there was none.
        """
        problems: list[ProviderError] = []
        server_errors = 0

        async def read_one(chat_id: str) -> None:
            nonlocal server_errors
            try:
                self._note(chat_id, await self._read(chat_id))
                server_errors = 0
            except ProviderError as error:
                if isinstance(error, ProviderBusy | ProviderUnreachable) or error.status == 401:
                    problems.append(error)
                    return
                self._note_unreadable(chat_id, error)
                server_errors = server_errors + 1 if is_server_fault(error) else 0
                if server_errors >= MAX_SERVER_ERRORS:
                    problems.append(error)

        def may_continue() -> bool:
            return not problems and may_call()

        await in_parallel(self.unread(chats), read_one, limit=PARALLEL_READS, may_continue=may_continue)
        return problems[0] if problems else None

    def _is_paused(self, chat_id: str) -> bool:
        unreadable = self._unreadable.get(chat_id)
        return unreadable is not None and self._searches < unreadable.due

    def _note(self, chat_id: str, chat: RemoteChat | None) -> None:
        self._unreadable.pop(chat_id, None)
        self._known[chat_id] = chat
        _drop_oldest(self._known)

    def _note_unreadable(self, chat_id: str, error: ProviderError) -> None:
        before = self._unreadable.pop(chat_id, None)
        first = PAUSE_AFTER_ERROR if is_server_fault(error) or error.status == 404 else PAUSE_AFTER_REFUSAL
        pause = min(before.pause * 2, first * 2**DOUBLINGS) if before else first
        self._unreadable[chat_id] = _Unreadable(str(error), pause, self._searches + pause)
        _drop_oldest(self._unreadable)


def is_server_fault(error: ProviderError) -> bool:
    """Whether an error is v0's own rather than about one chat: a 5xx, or no answer."""
    return isinstance(error, OutcomeUnknown) and error.code in ("server_error", "no_answer")


def metadata_of(detail: Any, chat_id: str) -> dict[str, str]:
    """Our own metadata of a v1 ChatDetail; v0's document requires that it has some. Raises `OutcomeUnknown`."""
    metadata = our_metadata(detail.get("metadata")) if isinstance(detail, dict) else None
    if metadata is None or detail.get("id") != chat_id:
        raise OutcomeUnknown("v0's chat could not be read, or is another one.", code="bad_answer")
    return metadata


def remote_chat_of(detail: Any, chat_id: str) -> RemoteChat:
    """A v1 ChatDetail as a search finds it. Raises `OutcomeUnknown` if it cannot be read."""
    metadata = metadata_of(detail, chat_id)
    return RemoteChat(
        chat_id,
        project_id=identifier(detail.get("projectId")),
        metadata=metadata,
        created_at=instant(detail.get("createdAt")),
    )


def _drop_oldest(remembered: dict[str, Any]) -> None:
    while len(remembered) > REMEMBERED:
        del remembered[next(iter(remembered))]
