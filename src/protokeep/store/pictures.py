"""Pictures of prototypes as rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from protokeep.store.database import Database
from protokeep.store.sql import Connection, query


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it is stored and served. `etag` is a digest of the body."""

    content_type: str
    body: bytes
    etag: str


class Pictures:
    """Reads `protokeep_pictures`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, mockup_id: str) -> Picture | None:
        """The newest picture of a prototype, or None."""
        async with self._database.reading() as connection:
            row = await connection.fetch_one(query("find_picture"), {"mockup_id": mockup_id})
        return None if row is None else Picture(row["content_type"], bytes(row["body"]), row["etag"])


async def save_picture(connection: Connection, mockup_id: str, picture: Picture, now: datetime) -> None:
    """Saves the newest picture of a prototype, in place of the one before."""
    values = {
        "mockup_id": mockup_id,
        "content_type": picture.content_type,
        "body": picture.body,
        "etag": picture.etag,
        "now": now,
    }
    await connection.execute(query("save_picture"), values)
