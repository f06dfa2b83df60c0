"""Censuses and what they found, as the code that makes them reads and writes it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from protokeep.core.audit import AuditEntry
from protokeep.core.census import Census, CensusChat, CensusState, ChatContent, ChatGroup, ChatKind, ChatRecord, Claim
from protokeep.core.census_sightings import KnownChat, Sighting
from protokeep.store import audit
from protokeep.store.prototype_queries import workspace_of
from protokeep.store.prototypes import Prototypes
from protokeep.store.sql import Connection, LostRace, Row, Statement, must_touch, query

#: Writes that belong to a step: committed with the census that took it, or rolled back with it.
Belongs = Callable[[Connection], Awaitable[object]]
#: The columns of a chat that its list tells.
_CHAT_COLUMNS = (
    *("chat_id", "name", "author_id", "created_at", "updated_at", "privacy", "is_favorite", "may_delete"),
    *("project_id", "vercel_project_id", "version_id", "web_url", "demo_url", "picture_url"),
)
#: Rows that are written at a time where there are thousands.
PART = 500
#: Censuses of an account that are listed.
MOST_CENSUSES = 20


@dataclass(frozen=True, slots=True)
class GroupedChat:
    """The group that a chat is in, what it is there, and the product that this points to."""

    chat_id: str
    group_id: str | None
    kind: ChatKind
    product_id: str | None


class CensusStore:
    """Reads and writes `protokeep_censuses`, and what the steps of a census write."""

    def __init__(self, prototypes: Prototypes) -> None:
        self._prototypes = prototypes
        self._database = prototypes.database

    # -- censuses ----------------------------------------------------------------------------------------------

    async def begin(self, census: Census, entry: AuditEntry) -> bool:
        """Begins a census. False: another one of the workspace and the account is open."""
        async with self._database.transaction() as connection:
            if await connection.execute(query("insert_census"), _values(census)) == 0:
                return False
            await audit.write(connection, entry)
        return True

    async def cancel(self, workspace_id: str, account: str, now: datetime, entry: AuditEntry) -> bool:
        """Ends the open census. False: there is none."""
        values = {"workspace_id": workspace_id, "account": account, "now": now}
        async with self._database.transaction() as connection:
            if await connection.execute(query("cancel_census"), values) == 0:
                return False
            await audit.write(connection, entry)
        return True

    async def newest(self, workspace_id: str, account: str, limit: int = MOST_CENSUSES) -> list[Census]:
        """The censuses of an account, newest first."""
        values = {"workspace_id": workspace_id, "account": account, "limit": limit}
        return [_census_of(row) for row in await self._rows(query("list_censuses"), values)]

    async def newest_done(self, workspace_id: str, account: str, *, whole: bool) -> Census | None:
        """The newest census that was done; `whole`: of those that read lists to their ends, or of the others."""
        values = {"workspace_id": workspace_id, "account": account, "is_whole": whole}
        rows = await self._rows(query("find_whole_census"), values)
        return _census_of(rows[0]) if rows else None

    async def due(self, now: datetime, limit: int = 20) -> list[Census]:
        """Open censuses whose next step is due, the longest due first."""
        return [_census_of(row) for row in await self._rows(query("list_due_censuses"), {"now": now, "limit": limit})]

    async def next_step_at(self) -> datetime | None:
        """When the next step of any census is due; None: none is open."""
        rows = await self._rows(query("find_next_census_step"), {})
        at: datetime | None = rows[0]["step_at"]
        return at

    async def take(self, census: Census, until: datetime) -> Census | None:
        """Keeps a census from other processes until a time. None: somebody else has it, or it has ended."""
        values = {
            "id": census.id,
            "workspace_id": census.workspace_id,
            "version": census.version,
            "until": until,
        }
        async with self._database.transaction() as connection:
            if await connection.execute(query("take_census"), values) == 0:
                return None
        return replace(census, version=census.version + 1, step_at=until)

    async def save(self, census: Census, belongs: Belongs | None = None) -> bool:
        """Saves how far a census is, with what `belongs` writes. False: somebody else changed it, nothing is written.

        `census` has the version that was read.
        """
        try:
            async with self._database.transaction() as connection:
                await must_touch(connection, query("save_census"), _values(census))
                if belongs is not None:
                    await belongs(connection)
        except LostRace:
            return False
        return True

    # -- what steps read ---------------------------------------------------------------------------------------

    async def known(self, workspace_id: str, account: str, chats: Sequence[str]) -> dict[str, KnownChat]:
        """What the table says of these chats."""
        if not chats:
            return {}
        values = {"workspace_id": workspace_id, "account": account, "chats": list(chats)}
        return {row["chat_id"]: _known_of(row) for row in await self._rows(query("list_seen_census_chats"), values)}

    async def walked(self, workspace_id: str, account: str, walk: str) -> set[str]:
        """The chats that one reading of a list has shown so far."""
        values = {"workspace_id": workspace_id, "account": account, "walk": walk}
        return {row["chat_id"] for row in await self._rows(query("list_walked_chats"), values)}

    async def promptless(self, workspace_id: str, account: str) -> set[str]:
        """Chats whose first message was asked for, and that had none."""
        values = {"workspace_id": workspace_id, "account": account}
        return {row["chat_id"] for row in await self._rows(query("list_promptless_chats"), values)}

    async def chats_by_version(self, workspace_id: str, account: str) -> dict[int, int]:
        """How many chats lists show, by the version of the API that reads them."""
        values = {"workspace_id": workspace_id, "account": account}
        return {row["api_version"]: row["number"] for row in await self._rows(query("count_census_chats"), values)}

    async def owners(self, workspace_id: str, account: str, chats: Sequence[str]) -> dict[str, Claim]:
        """Those of the chats that a row of any workspace has: OURS, SURPLUS or FOREIGN, as a workspace sees it."""
        if not chats:
            return {}
        shape = (await self._prototypes.prepared()).shape
        statement = Statement(
            f"SELECT m.v0_chat_id AS chat_id, {workspace_of(shape, 'm', 'g')} AS workspace_id, 0 AS is_surplus"  # noqa: S608
            " FROM design_mockups m LEFT JOIN protokeep_generations g ON g.mockup_id = m.id"
            " WHERE m.v0_chat_id IN :chats"
            " UNION ALL SELECT s.chat_id, g.workspace_id, 1 FROM protokeep_surplus_chats s"
            " JOIN protokeep_generations g ON g.mockup_id = s.mockup_id"
            " WHERE s.account = :account AND s.chat_id IN :chats"
        )
        found: dict[str, Claim] = {}
        for row in await self._rows(statement, {"account": account, "chats": list(chats)}):
            ours = Claim.SURPLUS if row["is_surplus"] else Claim.OURS
            claim = ours if row["workspace_id"] == workspace_id else Claim.FOREIGN
            found[row["chat_id"]] = min(claim, found.get(row["chat_id"], claim), key=_RANKS.index)
        return found

    async def _rows(self, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        async with self._database.reading() as connection:
            return await connection.fetch_all(statement, values)


#: Where several rows have a chat, the first of these counts. The read of chats says the same.
_RANKS = [Claim.OURS, Claim.FOREIGN, Claim.SURPLUS]


# -- what steps write, in the transaction of their census ------------------------------------------------------


async def save_chats(
    connection: Connection, census: Census, walk: str, sightings: Sequence[Sighting], now: datetime
) -> None:
    """Saves what a page of a list has shown."""
    await connection.execute_many(
        query("save_census_chat"), [_chat_values(census, walk, sighting, now) for sighting in sightings]
    )


async def mark_missing(connection: Connection, census: Census, api_version: int, walk: str) -> None:
    """Marks the chats of a version that the whole reading of its list did not show."""
    values = {**_scope(census), "api_version": api_version, "walk": walk}
    await connection.execute(query("mark_missing_census_chats"), values)


async def add_costs(
    connection: Connection, census: Census, api_version: int, credits: Mapping[str, float], *, first: bool, last: bool
) -> None:
    """Adds a page of the usage report. `first` and `last` say whether the reading begins or ends with it."""
    values = {**_scope(census), "api_version": api_version}
    if first:
        await connection.execute(query("forget_costs_read"), values)
    chats = [{**values, "chat_id": chat_id, "credits": float(cost)} for chat_id, cost in credits.items()]
    await connection.execute_many(query("add_costs_read"), chats)
    if last:
        await connection.execute(query("save_costs_read"), values)


async def save_prompt(connection: Connection, census: Census, chat_id: str, prompt: str | None, now: datetime) -> None:
    """Saves the first message of a chat; None: it has none."""
    values = {**_scope(census), "chat_id": chat_id, "prompt": prompt, "now": now}
    await connection.execute(query("save_census_prompt"), values)


async def save_groups(
    connection: Connection, census: Census, groups: Sequence[ChatGroup], changed: Sequence[GroupedChat]
) -> None:
    """Replaces the groups of an account. `changed` are the chats whose group or kind is another one now."""
    scope = _scope(census)
    await connection.execute(query("delete_census_groups"), scope)
    rows = [
        {
            **scope,
            "group_id": group.id,
            "confidence": group.confidence,
            "reasons": json.dumps(list(group.reasons), ensure_ascii=False),
            "product_id": group.product_id,
            "product_confidence": group.product_confidence,
        }
        for group in groups
    ]
    await _execute_in_parts(connection, "insert_census_group", rows)
    chats = [
        {
            **scope,
            "chat_id": chat.chat_id,
            "group_id": chat.group_id,
            "kind": chat.kind.value,
            "product_id": chat.product_id,
        }
        for chat in changed
    ]
    await _execute_in_parts(connection, "save_chat_group", chats)


async def _execute_in_parts(connection: Connection, name: str, values: Sequence[dict[str, Any]]) -> None:
    """Executes a statement for each of thousands of `values`; no part takes longer than one statement may."""
    for start in range(0, len(values), PART):
        await connection.execute_many(query(name), values[start : start + PART])


def _scope(census: Census) -> dict[str, str]:
    return {"workspace_id": census.workspace_id, "account": census.account}


def _values(census: Census) -> dict[str, Any]:
    return {
        "id": census.id,
        "workspace_id": census.workspace_id,
        "account": census.account,
        "state": census.state.value,
        "is_whole": census.is_whole,
        "requested_by": census.requested_by,
        "started_at": census.started_at,
        "step_at": census.step_at,
        "finished_at": census.finished_at,
        "phase": census.phase,
        "position": json.dumps(dict(census.position)),
        "calls": census.calls,
        "chats": census.chats,
        "expected": census.expected,
        "problem": census.problem,
        "version": census.version,
    }


def _census_of(row: Row) -> Census:
    values = {
        **row,
        "state": CensusState(row["state"]),
        "is_whole": bool(row["is_whole"]),
        "position": json.loads(row["position"]),
    }
    return Census(**values)


def _chat_values(census: Census, walk: str, sighting: Sighting, now: datetime) -> dict[str, Any]:
    chat = sighting.chat
    return {
        **_scope(census),
        **{name: getattr(chat, name) for name in _CHAT_COLUMNS},
        "api_version": chat.api_version,
        "content": chat.content.value,
        "claim": sighting.claim.value,
        "mark": sighting.mark,
        "metadata": None if chat.metadata is None else json.dumps(dict(chat.metadata), ensure_ascii=False),
        "fingerprint": chat.fingerprint,
        "census_id": census.id,
        "walk": walk,
        "now": now,
    }


def chat_of(row: Row) -> CensusChat:
    """The chat in a row, as its lists showed it."""
    values = {name: row[name] for name in _CHAT_COLUMNS}
    for name in ("is_favorite", "may_delete"):
        values[name] = None if row[name] is None else bool(row[name])
    return CensusChat(
        **values,
        api_version=row["api_version"],
        content=ChatContent(row["content"]),
        metadata=None if row["metadata"] is None else json.loads(row["metadata"]),
    )


def chat_record_of(row: Row, prompt: str | None = None) -> ChatRecord:
    """What a row knows of a chat, and its prompt for those who need it: plans go without."""
    return ChatRecord(
        chat=chat_of(row),
        claim=Claim(row["claim"]),
        prompt=prompt,
        credits=row["credits"],
        group_id=row["group_id"],
        kind=ChatKind(row["kind"]) if row["kind"] else None,
        product_id=row["product_id"],
        mockup_id=row["mockup_id"],
        pinned_by=row["pinned_by"],
        first_seen_at=row["first_seen_at"],
        last_seen_at=row["last_seen_at"],
        is_missing=bool(row["is_missing"]),
    )


def _known_of(row: Row) -> KnownChat:
    return KnownChat(
        chat_of(row),
        Claim(row["claim"]),
        row["mark"],
        row["last_census_id"],
        row["walk"],
        bool(row["is_missing"]),
    )
