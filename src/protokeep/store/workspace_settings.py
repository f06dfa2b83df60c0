"""What admins have set for their workspaces, as rows."""

from __future__ import annotations

from protokeep.core.audit import AuditEntry
from protokeep.core.similar import UnclearProductRule
from protokeep.store.audit import write
from protokeep.store.database import Database
from protokeep.store.sql import query


class WorkspaceSettingsStore:
    """Reads and writes `protokeep_workspace_settings`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unclear_product(self, workspace_id: str) -> UnclearProductRule | None:
        """What happens to unclear products; None: no admin has set it."""
        async with self._database.reading() as connection:
            row = await connection.fetch_one(query("find_workspace_settings"), {"workspace_id": workspace_id})
        return None if row is None or row["unclear_product"] is None else UnclearProductRule(row["unclear_product"])

    async def save(self, workspace_id: str, rule: UnclearProductRule | None, entry: AuditEntry) -> None:
        """Saves the settings of a workspace, and adds that to the audit."""
        values = {"workspace_id": workspace_id, "unclear_product": None if rule is None else rule.value}
        async with self._database.transaction() as connection:
            await connection.execute(query("save_workspace_settings"), values)
            await write(connection, entry)
