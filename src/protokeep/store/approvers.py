"""Who stands behind an approval: the person that it names, and everybody who made the token that it was given with."""

from __future__ import annotations

from protokeep.core.principals import Principal
from protokeep.store.database import Database
from protokeep.store.sql import query


class Approvers:
    """Reads the approvals of plans and how their tokens came about."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def behind(self, principal: Principal) -> frozenset[str]:
        """The person, who made their token, who made the token that it was made with, and so on.

        Only the person where no token is used (a sign-in service), or where the command line made it.
        """
        values = {"workspace_id": principal.workspace_id, "token_id": principal.token_id}
        async with self._database.reading() as connection:
            rows = await connection.fetch_all(query("list_people_behind_token"), values)
        found = {principal.user_id, *(row["user_id"] for row in rows), *(row["made_by"] for row in rows)}
        return frozenset(found - {None})

    async def of_plan(self, plan_id: str) -> list[tuple[str, str]]:
        """(who approved a plan, with which token) of each approval, in order; an empty token: with none."""
        async with self._database.reading() as connection:
            rows = await connection.fetch_all(query("list_approvers"), {"plan_id": plan_id})
        return [(row["approved_by"], row["approved_with"] or "") for row in rows]
