"""What this installation knows about itself: rows of `protokeep_meta`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from protokeep.store.database import Database
from protokeep.store.sql import query

#: The name under which is written which secret the database was made with.
SECRET_MARK = "secret_mark"  # noqa: S105 - the name of a value
#: The names of this installation's id, and of that of the installation from a copy of which it was made.
INSTALLATION_ID, FORKED_FROM = "installation_id", "forked_from"


class InstallationStore:
    """Reads and writes single values of the installation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, name: str) -> str | None:
        """The value under a name; None without one."""
        rows = await self._database.read(query("find_meta"), {"name": name})
        return rows[0]["value"] if rows else None

    async def save(self, values: Mapping[str, str]) -> None:
        """Writes values under their names, all or none."""
        async with self._database.transaction() as connection:
            for name, value in values.items():
                await connection.execute(query("save_meta"), {"name": name, "value": value})

    async def fork(self, installation_id: str, now: datetime) -> str:
        """Makes an installation of its own of a copy, with a new id. Returns the id of the original.

        The processes and the hooks that the copy names are the original's, and are forgotten here.
        """
        original = await self.read(INSTALLATION_ID) or ""
        values = {INSTALLATION_ID: installation_id, FORKED_FROM: original, "installed_at": now.isoformat()}
        async with self._database.transaction() as connection:
            for name, value in values.items():
                await connection.execute(query("save_meta"), {"name": name, "value": value})
            await connection.execute(query("delete_all_processes"))
            await connection.execute(query("delete_all_hooks"))
        return original
