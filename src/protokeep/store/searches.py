"""What searches for chats at a builder need of the database, and what they leave there for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from protokeep.store.database import Database
from protokeep.store.prototype_queries import query

#: Unreadable chats that are listed of an account: enough to see what is wrong.
MOST_UNREADABLE = 20
#: How long one is listed after it was last noted.
UNREADABLE_LISTED = timedelta(days=7)
#: Lost creates that one search serves.
MOST_LOST = 500


@dataclass(frozen=True, slots=True)
class LostCreate:
    """A create that was sent and whose answer nobody wrote down."""

    marker: str
    created_at: datetime
    sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class UnreadableChat:
    """A chat that searches pass over, and why."""

    account: str
    chat_id: str
    reason: str
    noted_at: datetime


class Searches:
    """Lost creates, unreadable chats, and whose turn it is to search. One statement or one short transaction each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lost(self, account: str, api_version: int) -> list[LostCreate]:
        """The creates of an account that were sent and have no chat yet, oldest first."""
        values = {"account": account, "api_version": api_version, "limit": MOST_LOST}
        async with self._database.reading() as session:
            return [LostCreate(**row) for row in await session.rows(query("lost_creates"), values)]

    async def note_unreadable(self, account: str, reasons: Mapping[str, str], now: datetime) -> None:
        """List unreadable chats of an account, with the reason of each."""
        name = f"unreadable:{account}"
        async with self._database.transaction() as session:
            row = await session.row(query("find_note"), {"name": name})
            noted: dict[str, list[str]] = json.loads(row["value"]) if row else {}
            for chat_id, reason in reasons.items():
                noted.pop(chat_id, None)
                noted[chat_id] = [reason[:300], now.isoformat()]
            kept = dict(list(noted.items())[-MOST_UNREADABLE:])
            await session.run(query("keep_note"), {"name": name, "value": json.dumps(kept)})

    async def unreadable(self, now: datetime) -> list[UnreadableChat]:
        """The chats that searches passed over lately."""
        async with self._database.reading() as session:
            rows = await session.rows(query("unreadable_notes"), {})
        found = [
            UnreadableChat(row["name"].removeprefix("unreadable:"), chat_id, reason, datetime.fromisoformat(noted_at))
            for row in rows
            for chat_id, (reason, noted_at) in json.loads(row["value"]).items()
        ]
        return [one for one in found if now - one.noted_at <= UNREADABLE_LISTED]

    async def take_turn(self, name: str, now: datetime, every: timedelta) -> bool:
        """Whether a duty that one process does for all is due; if so, it is this process's turn now."""
        values = {"name": f"turn:{name}", "value": _written(now)}
        values |= {"before": _written(now - every), "after": _written(now + every)}
        async with self._database.alone() as session:
            return bool(await session.rows(query("take_turn"), values))


def _written(moment: datetime) -> str:
    """An instant as text of a fixed width, so that texts compare as instants do."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
