"""Searches for chats at a provider: the lost creates that they search for, and the chats that they could not read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from protokeep.store.database import Database
from protokeep.store.sql import query

#: Unreadable chats that are listed for an account: enough to see what is wrong.
MOST_UNREADABLE = 20
#: How long an unreadable chat is listed after it was last found.
UNREADABLE_LISTED = timedelta(days=7)
#: Lost creates that one search looks for.
MOST_LOST = 500


@dataclass(frozen=True, slots=True)
class LostCreate:
    """A create that was sent and whose answer was lost."""

    marker: str
    created_at: datetime
    sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class UnreadableChat:
    """A chat that searches skip, and why."""

    account: str
    chat_id: str
    reason: str
    noted_at: datetime


class Searches:
    """Lost creates, unreadable chats, and which process has the turn to search."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lost(self, account: str, api_version: int) -> list[LostCreate]:
        """The creates of an account that were sent and have no chat yet, oldest first."""
        values = {"account": account, "api_version": api_version, "limit": MOST_LOST}
        async with self._database.reading() as connection:
            return [LostCreate(**row) for row in await connection.fetch_all(query("list_lost_creates"), values)]

    async def note_unreadable(self, account: str, reasons: Mapping[str, str], now: datetime) -> None:
        """Lists unreadable chats of an account, with the reason for each."""
        name = f"unreadable:{account}"
        async with self._database.transaction() as connection:
            row = await connection.fetch_one(query("find_meta"), {"name": name})
            chats: dict[str, list[str]] = json.loads(row["value"]) if row else {}
            for chat_id, reason in reasons.items():
                chats.pop(chat_id, None)
                chats[chat_id] = [reason[:300], now.isoformat()]
            newest = dict(list(chats.items())[-MOST_UNREADABLE:])
            await connection.execute(query("save_meta"), {"name": name, "value": json.dumps(newest)})

    async def unreadable(self, now: datetime) -> list[UnreadableChat]:
        """The chats that searches skipped lately."""
        async with self._database.reading() as connection:
            rows = await connection.fetch_all(query("list_unreadable_chats"))
        found = [
            UnreadableChat(row["name"].removeprefix("unreadable:"), chat_id, reason, datetime.fromisoformat(noted_at))
            for row in rows
            for chat_id, (reason, noted_at) in json.loads(row["value"]).items()
        ]
        return [chat for chat in found if now - chat.noted_at <= UNREADABLE_LISTED]

    async def take_turn(self, name: str, now: datetime, every: timedelta) -> bool:
        """Whether a periodic task that one process does for all is due. If so, this process has the turn."""
        values = {"name": f"turn:{name}", "value": _text_of(now)}
        values |= {"before": _text_of(now - every), "after": _text_of(now + every)}
        async with self._database.transaction() as connection:
            return bool(await connection.fetch_all(query("claim_turn"), values))


def _text_of(moment: datetime) -> str:
    """An instant as text of a fixed width, so that texts compare as instants do."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
