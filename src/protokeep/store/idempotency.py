"""Idempotency keys: one key names one request, and a repeated request gets the first answer."""

from __future__ import annotations

from protokeep.core.create_request import IdempotentRequest
from protokeep.core.errors import KeyReused
from protokeep.store.database import Database
from protokeep.store.sql import Connection, LostRace, query


class IdempotencyKeys:
    """Reads rows of `protokeep_idempotency_keys`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prototype_of_request(self, request: IdempotentRequest) -> str | None:
        """The prototype that a request's key was used for. None: the key is new. Raises `KeyReused`."""
        async with self._database.reading() as connection:
            return await prototype_of_request(connection, request)

    async def count(self, workspace_id: str, most: int) -> int:
        """How many keys of a workspace are remembered, counted up to `most`."""
        async with self._database.reading() as connection:
            values = {"workspace_id": workspace_id, "most": most}
            row = await connection.fetch_one(query("count_idempotency_keys"), values)
        return int(row["number"]) if row else 0


async def prototype_of_request(connection: Connection, request: IdempotentRequest) -> str | None:
    """The prototype that a request's key was used for. None: the key is new.

    Raises `KeyReused` when the key was used for another request.
    """
    row = await connection.fetch_one(query("find_idempotency_key"), _key_of(request))
    if row is None:
        return None
    if row["fingerprint"] != request.fingerprint:
        raise KeyReused(
            "This Idempotency-Key was used for another request. Send a new key, or repeat the first request exactly.",
            field="Idempotency-Key",
        )
    return str(row["mockup_id"])


async def save_request(connection: Connection, request: IdempotentRequest, mockup_id: str) -> None:
    """Saves the request that a key is used for, in the transaction of its change. Raises `LostRace` if it is taken."""
    values = {**_key_of(request), "fingerprint": request.fingerprint, "mockup_id": mockup_id, "now": request.now}
    if await connection.execute(query("save_idempotency_key"), values) == 0:
        raise LostRace


def _key_of(request: IdempotentRequest) -> dict[str, str]:
    return {"workspace_id": request.workspace_id, "actor": request.actor, "key": request.key}
