"""Providers of an installation that was made from a copy: they change only chats that the installation made itself.

The chat at the app builder says whose it is: its metadata carry the installation that made it, signed. So a copy can do
no harm whatever its rows say, and a chat is asked right before it is changed. This costs one call, in a fork only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from protokeep.core.errors import ProviderError, ProviderRejected, ProviderUnreachable
from protokeep.providers.base import MayBegin, RemoteChat
from protokeep.providers.v0_v1 import V0V1
from protokeep.providers.v0_v2 import V0V2


class ChatGuard(Protocol):
    """Says whose chats are."""

    async def is_fork(self) -> bool:
        """Whether this installation was made from a copy of another one."""
        ...

    async def is_own(self, metadata: Mapping[str, str]) -> bool:
        """Whether this installation made the chat with these metadata."""
        ...


class _OwnChatsOnly:
    """Asks the guard before each call that changes a chat. Stands before a provider's class."""

    guard: ChatGuard

    async def delete(self, chat_id: str) -> bool:
        await self._require_own(chat_id)
        return await super().delete(chat_id)  # type: ignore[misc,no-any-return]

    async def send(self, chat_id: str, message: str, *, may_begin: MayBegin | None = None) -> RemoteChat:
        await self._require_own(chat_id)
        return await super().send(chat_id, message, may_begin=may_begin)  # type: ignore[misc,no-any-return]

    async def cancel(self, chat_id: str, message_id: str | None, *, may_begin: MayBegin | None = None) -> bool:
        await self._require_own(chat_id)
        return await super().cancel(chat_id, message_id, may_begin=may_begin)  # type: ignore[misc,no-any-return]

    async def _require_own(self, chat_id: str) -> None:
        """Raises `ProviderRejected` for a chat of another installation, and `ProviderUnreachable` for one not seen."""
        if not await self.guard.is_fork():
            return
        try:
            copy = await self.read_chat(chat_id)  # type: ignore[attr-defined]
        except ProviderError as error:
            message = "Whose chat this is could not be read, so nothing was sent."
            raise ProviderUnreachable(message, code="owner_unknown", retry_after=error.retry_after) from error
        if not await self.guard.is_own(copy.metadata):
            raise ProviderRejected(
                "This chat is of the installation that this one was copied from. It is changed there only.",
                code="not_of_this_fork",
                status=403,
            )


class ForkableV0V1(_OwnChatsOnly, V0V1):
    """v0's API v1, for an installation that may be a fork."""


class ForkableV0V2(_OwnChatsOnly, V0V2):
    """v0's API v2, for an installation that may be a fork."""
