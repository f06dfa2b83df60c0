"""Hooks that we registered at providers, as rows."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from protokeep.store.database import Database
from protokeep.store.sql import query


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook of ours at a provider. `hook` is the provider's id of it; empty: it is not registered yet.

    The nonces make its address, together with our secret key. `old_nonce` is the address before a rotation.
    """

    account: str
    api_version: int
    hook: str
    nonce: str
    installed_at: datetime
    old_nonce: str | None = None


class HookStore:
    """Reads and writes `protokeep_hooks`: one hook per account and API version."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self) -> builtins.list[Hook]:
        """All hooks that we registered."""
        async with self._database.reading() as connection:
            return [Hook(**row) for row in await connection.fetch_all(query("list_hooks"))]

    async def save(self, hook: Hook) -> None:
        """Saves a hook, in place of the one of the same account and API version."""
        async with self._database.transaction() as connection:
            await connection.execute(query("save_hook"), _values(hook))

    async def claim(self, hook: Hook, previous_installed_at: datetime | None) -> bool:
        """Whether this process may register a hook now.

        `previous_installed_at` is `installed_at` of the hook that was read before; None: there was no hook.
        """
        values = {**_values(hook), "previous_installed_at": previous_installed_at}
        async with self._database.transaction() as connection:
            return await connection.execute(query("claim_hook"), values) > 0

    async def delete(self, account: str, api_version: int) -> None:
        """Deletes a hook that is no longer registered."""
        async with self._database.transaction() as connection:
            await connection.execute(query("delete_hook"), {"account": account, "api_version": api_version})


def _values(hook: Hook) -> dict[str, Any]:
    return {
        "account": hook.account,
        "api_version": hook.api_version,
        "hook": hook.hook,
        "nonce": hook.nonce,
        "old_nonce": hook.old_nonce,
        "now": hook.installed_at,
    }
