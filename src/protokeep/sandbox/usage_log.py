"""What an account has used: one row per finished generation."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from .state import Chat, Message

_NEVER = datetime.max.replace(tzinfo=UTC)


class Usage(NamedTuple):
    """A finished generation: the time of its end, its chat, and the assistant's message."""

    at: datetime
    chat: Chat
    message: Message


class UsageLog:
    """The usage of one account in one API version, counted again only when something has changed.

    A report of 12,000 rows is read in a hundred pages, and each page would sort all of them.
    """

    def __init__(self) -> None:
        self._rows: list[Usage] = []
        self._changes = -1
        self._counted_at = self._valid_until = _NEVER

    def rows(self, chats: Iterable[Chat], changes: int, now: datetime) -> list[Usage]:
        """The rows at `now`, newest first. `changes` is a number that differs after every change of a chat."""
        if changes != self._changes or not self._counted_at <= now < self._valid_until:
            self._count(chats, now)
            self._changes, self._counted_at = changes, now
        return self._rows

    def _count(self, chats: Iterable[Chat], now: datetime) -> None:
        self._valid_until = _NEVER
        rows = []
        for chat in chats:
            for message in chat.messages:
                if message.generation is None:
                    continue
                if message.finish_reason(now) is None:
                    self._valid_until = min(self._valid_until, message.generation.finish_at)
                else:
                    rows.append(Usage(message.updated_at(now), chat, message))
        rows.sort(key=lambda row: (row.at, row.message.sequence), reverse=True)
        self._rows = rows
