"""What metrics say of rows."""

from __future__ import annotations

from datetime import datetime, timedelta

from protokeep.store.accounts import CLEAN_UP
from protokeep.store.database import Database
from protokeep.store.sql import Row, query

#: Accounts whose calls are told, those with the most calls first: there may be an account for every person.
ACCOUNTS_TOLD = 20
#: How long counting all prototypes may take.
COUNT_SECONDS = 5.0


class GaugeStore:
    """Reads numbers over all workspaces. No row says whose they are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, now: datetime) -> list[Row]:
        """Rows of (gauge, label, number, since_at), by one statement whose time does not grow with ended prototypes."""
        minute = now.replace(second=0, microsecond=0)
        values = {
            "now": now,
            "minute_at": minute,
            "day_at": minute.replace(hour=0, minute=0),
            "clean_up": f"%{CLEAN_UP}",
            "most": ACCOUNTS_TOLD,
        }
        async with self._database.reading() as connection:
            return await connection.fetch_all(query("list_gauges"), values)

    async def count_prototypes(self) -> list[Row]:
        """Rows of (provider, state, number). Takes longer the more prototypes there are; raises `TooSlow`."""
        return await self._database.scan(query("count_prototypes"), {}, COUNT_SECONDS)


def seconds_since(row: Row, now: datetime) -> float:
    """How long ago the row's `since_at` is; 0 for none."""
    since = row["since_at"]
    return 0.0 if since is None else max((now - since) / timedelta(seconds=1), 0.0)
