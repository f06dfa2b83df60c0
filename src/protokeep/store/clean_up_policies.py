"""Standing policies of clean-ups as rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from protokeep.core.audit import AuditEntry
from protokeep.store.audit import write
from protokeep.store.database import Database
from protokeep.store.sql import query


@dataclass(frozen=True, slots=True)
class Policy:
    """A workspace wants a draft of a plan again and again: failed, empty and superseded chats of an account."""

    workspace_id: str
    account: str
    older_than_days: int
    set_by: str
    set_at: datetime
    next_at: datetime  #: when the next draft is made


class PolicyStore:
    """Reads and writes `protokeep_clean_up_policies`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, policy: Policy, entry: AuditEntry) -> None:
        """Sets a policy, in place of the one before."""
        async with self._database.transaction() as connection:
            await connection.execute(query("save_clean_up_policy"), asdict(policy))
            await write(connection, entry)

    async def remove(self, workspace_id: str, account: str, entry: AuditEntry) -> bool:
        """Removes a policy. False: there was none."""
        values = {"workspace_id": workspace_id, "account": account}
        async with self._database.transaction() as connection:
            if await connection.execute(query("delete_clean_up_policy"), values) == 0:
                return False
            await write(connection, entry)
        return True

    async def of_workspace(self, workspace_id: str) -> list[Policy]:
        """The policies of a workspace."""
        async with self._database.reading() as connection:
            rows = await connection.fetch_all(query("list_clean_up_policies"), {"workspace_id": workspace_id})
        return [Policy(**row) for row in rows]

    async def due(self, now: datetime) -> list[Policy]:
        """Policies whose next draft is due."""
        async with self._database.reading() as connection:
            return [Policy(**row) for row in await connection.fetch_all(query("list_due_policies"), {"now": now})]

    async def take(self, policy: Policy, next_at: datetime) -> bool:
        """Takes the turn of a policy, and says when the next one is. False: another process was first."""
        values = {
            "workspace_id": policy.workspace_id,
            "account": policy.account,
            "before": policy.next_at,
            "next_at": next_at,
        }
        async with self._database.transaction() as connection:
            return await connection.execute(query("postpone_clean_up_policy"), values) > 0

    async def has_open_draft(self, policy: Policy) -> bool:
        """Whether a draft of the policy waits for its approval."""
        values = {"workspace_id": policy.workspace_id, "account": policy.account}
        async with self._database.reading() as connection:
            return await connection.fetch_one(query("has_open_policy_draft"), values) is not None
