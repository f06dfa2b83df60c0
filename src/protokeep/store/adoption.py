"""Adoption of older rows: which ones are tracked, which account each chat is in, and which accounts were asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from protokeep.core.adoption import AdoptionProgress, AskedAccount
from protokeep.core.principals import DEFAULT_WORKSPACE
from protokeep.core.prototype import NO_TIME, TrackedPrototype
from protokeep.core.provider_keys import UNKNOWN_ACCOUNT
from protokeep.store.mapping import tracked_prototype_of
from protokeep.store.prototypes import Prototypes
from protokeep.store.sql import Connection, Row, Statement, Values, query
from protokeep.store.texts import WHOLE

#: Older rows that begin to be tracked in one transaction, and the names under which accounts are remembered.
BATCH_SIZE = 1000
ASKED = "adoption:"
#: The name of the task that one process does for all.
TURN = "adoption"


class UnknownChat(NamedTuple):
    """The chat of an older row whose account is not known. `created_at`: when the row was made; None: not known."""

    mockup_id: str
    chat_id: str
    created_at: datetime | None
    adopted_at: datetime


@dataclass(frozen=True, slots=True)
class AccountAnswers:
    """How far an account was asked about older rows, with the key that `key_mark` stands for.

    `listed_at`: rows adopted by then were searched for in its list. `asked_at` and `asked_id` name the last row that it
    was asked about singly, in the order of adoption.
    """

    key_mark: str = ""
    listed_at: datetime | None = None
    asked_at: datetime | None = None
    asked_id: str = ""
    problem: str | None = None
    saved_at: datetime | None = None

    def has_listed(self, chat: UnknownChat) -> bool:
        """Whether the account's list was read since the row was adopted."""
        return self.listed_at is not None and chat.adopted_at <= self.listed_at


class AdoptionStore:
    """Reads and writes what adoption needs."""

    def __init__(self, prototypes: Prototypes) -> None:
        self._prototypes = prototypes
        self._database = prototypes.database

    async def adopt(self, now: datetime) -> int:
        """Begins to track a batch of older rows. Returns their number; less than `BATCH_SIZE`: none is left."""
        queries = await self._prototypes.prepared()
        values = {"account": UNKNOWN_ACCOUNT, "now": now, "limit": BATCH_SIZE}
        async with self._database.transaction() as connection:
            adopted = await connection.execute(queries.adopt_older, values)
            if adopted:
                await connection.execute(query("adopt_beside_known"), {"account": UNKNOWN_ACCOUNT, "now": now})
                await connection.execute(queries.number_variants, {"account": UNKNOWN_ACCOUNT, "now": now})
        return adopted

    async def map_tenants(self) -> int:
        """Moves prototypes of the default workspace to the workspaces of their rows' tenants. Returns their number.

        Where tenants are workspaces; otherwise nothing is moved. A slot that is taken there stays with its holder.
        """
        if not (await self._prototypes.prepared()).shape.tenants_are_workspaces:
            return 0
        values = {"workspace_id": DEFAULT_WORKSPACE}
        async with self._database.transaction() as connection:
            moved = await connection.execute(query("move_to_tenants"), values)
            if moved:  # Texts are indexed by workspace: searches read the rows until all are indexed again.
                await connection.execute(query("save_meta"), {"name": WHOLE, "value": ""})
            if moved:
                await connection.execute(query("move_slots_to_tenants"), values)
                await connection.execute(query("delete_slots_left"), values)
        return moved

    async def has_unknown(self) -> bool:
        """Whether the account of some older row is not known."""
        return bool(await self._rows(query("has_unknown_chats"), {"account": UNKNOWN_ACCOUNT}))

    async def release(self, account: str, key_since: datetime, missing_before: datetime, now: datetime) -> int:
        """Forgets the account of older rows whose chats are missing since before a time.

        Only of those that were not shown since `key_since`, when the account's present key was first used, and that
        nobody has continued through protokeep. They count as adopted `now`. Returns their number.
        """
        values = {
            "account": account,
            "unknown": UNKNOWN_ACCOUNT,
            "key_since": key_since,
            "missing_before": missing_before,
            "now": now,
        }
        async with self._database.transaction() as connection:
            return await connection.execute(query("release_older_rows"), values)

    async def unknown_chats(self) -> list[UnknownChat]:
        """The chats of all older rows whose account is not known."""
        rows = await self._rows(query("list_unknown_chats"), {"account": UNKNOWN_ACCOUNT})
        return [UnknownChat(**row) for row in rows]

    async def unasked(self, answers: AccountAnswers, limit: int) -> list[TrackedPrototype]:
        """Older rows of unknown account that an account was not asked about singly yet, in the order of adoption."""
        queries = await self._prototypes.prepared()
        values = {"account": UNKNOWN_ACCOUNT, "limit": limit}
        if answers.asked_at is None:
            return [tracked_prototype_of(row) for row in await self._rows(queries.unknown, values)]
        values |= {"asked_at": answers.asked_at, "asked_id": answers.asked_id}
        return [tracked_prototype_of(row) for row in await self._rows(queries.unknown_after, values)]

    async def young_projects(self, since: datetime, limit: int) -> list[TrackedPrototype]:
        """Rows of unknown account, adopted after `since`, that name a project and no chat, the newest first."""
        queries = await self._prototypes.prepared()
        values = {"account": UNKNOWN_ACCOUNT, "since": since, "limit": limit}
        return [tracked_prototype_of(row) for row in await self._rows(queries.young_projects, values)]

    async def mark_not_in_account(self, asked_at: datetime, asked_id: str, now: datetime) -> int:
        """Writes down that no account showed the chats of the older rows up to this one. Returns their number."""
        values = {"account": UNKNOWN_ACCOUNT, "at": asked_at, "id": asked_id, "now": now}
        async with self._database.transaction() as connection:
            return await connection.execute(query("mark_not_in_account"), values)

    async def answers(self) -> dict[tuple[str, str], AccountAnswers]:
        """How far each account was asked with each key, by the account and the mark of the key.

        Processes may have different keys for one account: each goes on where it was.
        """
        rows = await self._rows(query("list_meta"), {"pattern": f"{ASKED}%"})
        found = [
            (row["name"].removeprefix(ASKED).partition(":")[2], _answers_of(json.loads(row["value"]))) for row in rows
        ]
        return {(account, answers.key_mark): answers for account, answers in found}

    async def save_answers(self, account: str, answers: AccountAnswers) -> None:
        """Remembers how far an account was asked."""
        value = {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(answers).items()
        }
        async with self._database.transaction() as connection:
            name = f"{ASKED}{answers.key_mark}:{account}"
            await connection.execute(query("save_meta"), {"name": name, "value": json.dumps(value)})

    async def progress(self) -> AdoptionProgress:
        """How far the adoption is."""
        queries = await self._prototypes.prepared()
        (left,) = await self._rows(queries.count_unadopted, {})
        (counts,) = await self._rows(query("count_adoptions"), {"account": UNKNOWN_ACCOUNT})
        turns = await self._rows(query("find_meta"), {"name": f"turn:{TURN}"})
        return AdoptionProgress(
            to_adopt=left["number"],
            **counts,
            accounts=[
                AskedAccount(account, answers.listed_at, answers.problem)
                for account, answers in newest_answers(await self.answers()).items()
            ],
            last_at=datetime.fromisoformat(turns[0]["value"]) if turns else None,
        )

    async def _rows(self, statement: Statement, values: Values) -> list[Row]:
        async with self._database.reading() as connection:
            return await connection.fetch_all(statement, values)


async def shared_chats(connection: Connection, mockup_id: str, chats: Sequence[str]) -> set[str]:
    """Those of a row's chats that another row names, too."""
    rows = await connection.fetch_all(query("list_shared_chats"), {"mockup_id": mockup_id, "chats": list(chats)})
    return {row["chat_id"] for row in rows}


def newest_answers(answers: Mapping[tuple[str, str], AccountAnswers]) -> dict[str, AccountAnswers]:
    """The newest answers of each account, with whatever key."""
    by_time = sorted(answers.items(), key=lambda pair: pair[1].saved_at or NO_TIME)
    return {account: one for (account, _mark), one in by_time}


def _answers_of(value: dict[str, Any]) -> AccountAnswers:
    times = {
        name: datetime.fromisoformat(value[name]) if value[name] else None
        for name in ("listed_at", "asked_at", "saved_at")
    }
    return AccountAnswers(**{**value, **times})
