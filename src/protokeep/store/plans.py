"""Plans of clean-ups as rows: their items, approvals and turns, and what is read to make and to carry them out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from protokeep.core.audit import AuditEntry
from protokeep.core.census import USABLE, ChatContent, ChatRecord
from protokeep.core.clean_up import ItemState, Plan, PlanAction, PlanItem, PlanState
from protokeep.core.principals import Principal
from protokeep.store.audit import AuditRecord, record_of, write
from protokeep.store.census import chat_record_of
from protokeep.store.database import Database
from protokeep.store.sql import Connection, LostRace, Row, must_touch, query

#: Items of a plan that are read at once.
ALL_ITEMS = 100_000
ALL_STATES = frozenset(ItemState)
ALL_ACTIONS = frozenset(PlanAction)


@dataclass(frozen=True, slots=True)
class Obstacles:
    """What speaks against the deletion of a chat at this moment."""

    is_pinned: bool
    has_prototype: bool
    has_survivor: bool  #: another chat of its group stays
    survivors: Sequence[tuple[str, int]]  #: up to twenty of those, as (chat, API version)


@dataclass(frozen=True, slots=True)
class Fate:
    """How many items of a plan have the same action, state and rule, and what their chats had cost."""

    action: PlanAction
    state: ItemState
    rule: str
    items: int
    credits: float


class PlanStore:
    """Reads and writes `protokeep_plans`, `protokeep_plan_items` and `protokeep_plan_approvals`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- reading -----------------------------------------------------------------------------------------------

    async def find(self, workspace_id: str, plan_id: str) -> Plan | None:
        """A plan of a workspace, or None."""
        found = await self._plans("find_plan", workspace_id=workspace_id, id=plan_id)
        return found[0] if found else None

    async def newest(self, workspace_id: str, limit: int) -> list[Plan]:
        """The plans of a workspace, newest first."""
        return await self._plans("list_plans", workspace_id=workspace_id, limit=limit)

    async def due(self, now: datetime, limit: int = 50) -> list[Plan]:
        """Plans of all workspaces whose next step is due."""
        return await self._plans("list_due_plans", now=now, limit=limit)

    async def applying(self) -> list[Plan]:
        """The plans of all workspaces that delete chats now."""
        return await self._plans("list_applying_plans")

    async def next_step_at(self) -> datetime | None:
        """When the next step of any plan, or the next draft of a policy, is due; None: never."""
        due_at: datetime | None = (await self._rows("find_next_plan_step"))[0]["due_at"]
        return due_at

    async def items(
        self,
        plan_id: str,
        *,
        states: frozenset[ItemState] = ALL_STATES,
        actions: frozenset[PlanAction] = ALL_ACTIONS,
        after: str = "",
        limit: int = ALL_ITEMS,
    ) -> list[PlanItem]:
        """Items of a plan in the order of their chats, behind the chat `after`."""
        rows = await self._rows(
            "list_plan_items",
            plan_id=plan_id,
            states=sorted(states),
            actions=sorted(actions),
            after=after,
            limit=limit,
        )
        return [_item_of(row) for row in rows]

    async def item(self, plan_id: str, chat_id: str) -> PlanItem | None:
        """The item of a plan for a chat, or None."""
        rows = await self._rows("find_plan_item", plan_id=plan_id, chat_id=chat_id)
        return _item_of(rows[0]) if rows else None

    async def due_item(self, plan_id: str, states: frozenset[ItemState], now: datetime) -> PlanItem | None:
        """The item in one of these states that may go on since the longest time, or None."""
        rows = await self._rows("find_due_plan_item", plan_id=plan_id, states=sorted(states), now=now)
        return _item_of(rows[0]) if rows else None

    async def next_due(self, plan_id: str, states: frozenset[ItemState]) -> datetime | None:
        """When the next item in one of these states may go on; None: there is none."""
        rows = await self._rows("find_next_due_of_plan", plan_id=plan_id, states=sorted(states))
        due_at: datetime | None = rows[0]["due_at"]
        return due_at

    async def fates(self, plan_id: str) -> list[Fate]:
        """The items of a plan, counted by what became of them."""
        rows = await self._rows("count_plan_items", plan_id=plan_id)
        return [
            Fate(
                PlanAction(row["action"]),
                ItemState(row["state"]),
                row["rule"],
                row["items"],
                float(row["credits"] or 0),
            )
            for row in rows
        ]

    async def deletions_since(self, plan_id: str, since: datetime) -> int:
        """How many chats of a plan have had a deletion sent since a time."""
        rows = await self._rows("count_sent_deletions", plan_id=plan_id, since=since, chat_id="")
        return int(rows[0]["items"])

    async def restored_since(self, plan_id: str, since: datetime) -> int:
        """How many chats of a plan were made again since a time."""
        rows = await self._rows("count_restored_items", plan_id=plan_id, since=since)
        return int(rows[0]["items"])

    async def pinned_touched(self, plan_id: str) -> int:
        """How many chats a plan deleted that were pinned before: always none."""
        rows = await self._rows("count_pinned_touched", plan_id=plan_id)
        return int(rows[0]["items"])

    async def seen_after_deletion(self, plan: Plan) -> list[str]:
        """Chats that the plan deleted, and that a census has seen after that."""
        rows = await self._rows("list_seen_after_deletion", workspace_id=plan.workspace_id, plan_id=plan.id)
        return [row["chat_id"] for row in rows]

    async def receipts(self, workspace_id: str, plan_id: str) -> list[AuditRecord]:
        """The receipts of a plan, oldest first."""
        rows = await self._rows("list_receipts", workspace_id=workspace_id, plan_id=plan_id)
        return [record_of(row) for row in rows]

    async def chats(self, workspace_id: str, account: str) -> list[ChatRecord]:
        """What the workspace's censuses know of the chats of an account."""
        rows = await self._rows("list_account_chats", workspace_id=workspace_id, account=account)
        return [chat_record_of(row) for row in rows]

    async def censuses(self, workspace_id: str, account: str) -> list[tuple[datetime, datetime | None, bool]]:
        """When the finished censuses of an account began and ended, and whether each read it whole; oldest first."""
        rows = await self._rows("list_done_censuses", workspace_id=workspace_id, account=account)
        return [(row["started_at"], row["finished_at"], bool(row["is_whole"])) for row in rows]

    async def prototype_chats(self, chats: Sequence[str]) -> set[str]:
        """Those of `chats` that the row of a prototype names, of whatever workspace."""
        return {row["chat_id"] for row in await self._rows("list_prototype_chats", chats=[*chats])}

    async def known_chats(self, plan: Plan, chats: Sequence[str]) -> set[str]:
        """Those of `chats` that the workspace's censuses of the plan's account have seen."""
        values = {"workspace_id": plan.workspace_id, "account": plan.account, "chats": [*chats]}
        return {row["chat_id"] for row in await self._rows("list_known_of_account", **values)}

    async def is_missing(self, plan: Plan, chat_id: str) -> bool:
        """Whether the newest whole census did not see a chat."""
        values = {"workspace_id": plan.workspace_id, "account": plan.account, "chat_id": chat_id}
        return bool(await self._rows("find_missing_census_chat", **values))

    # -- making and changing plans -----------------------------------------------------------------------------

    async def insert(self, plan: Plan, items: Sequence[PlanItem], *entries: AuditEntry) -> None:
        """Adds a plan with its items, all or nothing."""
        async with self._database.transaction() as connection:
            await connection.execute(query("insert_plan"), _plan_values(plan))
            values = [{**_item_values(plan, item), "changed_at": plan.created_at} for item in items]
            await connection.execute_many(query("insert_plan_item"), values)
            await write(connection, *entries)

    async def save(self, plan: Plan, *entries: AuditEntry) -> bool:
        """Changes a plan, guarded by its version. False: somebody changed it meanwhile; nothing was written."""
        with contextlib.suppress(LostRace):
            async with self._database.transaction() as connection:
                await must_touch(connection, query("save_plan"), _plan_values(plan))
                await write(connection, *entries)
            return True
        return False

    async def save_with_items(
        self, plan: Plan, items: Sequence[PlanItem], now: datetime, entries: Sequence[AuditEntry]
    ) -> bool:
        """Changes a plan and some of its items together. False: somebody changed one of them; nothing was written."""
        with contextlib.suppress(LostRace):
            async with self._database.transaction() as connection:
                await must_touch(connection, query("save_plan"), _plan_values(plan))
                for item in items:
                    values = {**_item_values(plan, item), "changed_at": now}
                    await must_touch(connection, query("save_plan_item"), values)
                await write(connection, *entries)
            return True
        return False

    async def approve(
        self,
        plan: Plan,
        by: Principal,
        now: datetime,
        due_at: datetime | None,
        skipped: Sequence[PlanItem],
        entries: Sequence[AuditEntry],
    ) -> bool:
        """Adds an approval. With `due_at` it is the last one: the grace period of all but `skipped` begins.

        False: somebody changed the plan, or approved it before, and nothing was written. Raises `ConstraintBroken` if
        another plan was approved at this moment that deletes one of its chats.
        """
        with contextlib.suppress(LostRace):
            async with self._database.transaction() as connection:
                await must_touch(connection, query("save_plan"), _plan_values(plan))
                approval = {"plan_id": plan.id, "approved_by": by.user_id, "approved_with": by.token_id or None}
                await must_touch(connection, query("insert_plan_approval"), {**approval, "approved_at": now})
                for item in skipped:
                    await must_touch(
                        connection, query("save_plan_item"), {**_item_values(plan, item), "changed_at": now}
                    )
                if due_at is not None:
                    start = {"plan_id": plan.id, "due_at": due_at, "now": now}
                    await connection.execute(query("start_grace_of_plan"), start)
                await write(connection, *entries)
            return True
        return False

    async def open_chats(self, account: str) -> set[str]:
        """The chats of an account that an approved plan is about to delete."""
        return {row["chat_id"] for row in await self._rows("list_open_plan_chats", account=account)}

    # -- carrying plans out ------------------------------------------------------------------------------------

    async def take_turn(self, account: str, owner: str, now: datetime, until: datetime) -> bool:
        """Makes a process the one that works on an account's plans. False: another process has the turn."""
        values = {"account": account, "owner": owner, "now": now, "until": until}
        async with self._database.transaction() as connection:
            return await connection.fetch_one(query("acquire_clean_up_turn"), values) is not None

    async def save_item(self, plan: Plan, item: PlanItem, now: datetime, *entries: AuditEntry) -> PlanItem | None:
        """Changes an item, guarded by its version. None: somebody changed it meanwhile; nothing was written."""
        with contextlib.suppress(LostRace):
            async with self._database.transaction() as connection:
                values = {**_item_values(plan, item), "changed_at": now}
                await must_touch(connection, query("save_plan_item"), values)
                await write(connection, *entries)
            return replace(item, version=item.version + 1)
        return None

    async def save_deleted(self, plan: Plan, item: PlanItem, now: datetime, receipt: AuditEntry) -> bool:
        """Writes that an item's chat is deleted. A prototype that it was a second chat of has one less now,
        and censuses count the chat no more.

        False: somebody changed the item meanwhile; nothing was written.
        """
        with contextlib.suppress(LostRace):
            async with self._database.transaction() as connection:
                values = {**_item_values(plan, item), "changed_at": now}
                await must_touch(connection, query("save_plan_item"), values)
                chat = {"account": plan.account, "chat_id": item.chat_id}
                await connection.execute(query("forget_surplus_chat"), chat)
                await connection.execute(query("mark_census_chat_missing"), {**chat, "workspace_id": plan.workspace_id})
                await write(connection, receipt)
            return True
        return False

    async def save_restored(
        self, plan: Plan, item: PlanItem, now: datetime, pin: dict[str, Any], *entries: AuditEntry
    ) -> PlanItem | None:
        """Changes an item whose chat was made again, and pins the new chat. None: somebody changed it meanwhile."""
        with contextlib.suppress(LostRace):
            async with self._database.transaction() as connection:
                values = {**_item_values(plan, item), "changed_at": now}
                await must_touch(connection, query("save_plan_item"), values)
                await connection.execute(query("save_pin_of_restored"), pin)
                await write(connection, *entries)
            return replace(item, version=item.version + 1)
        return None

    async def mark_deleting(
        self, plan: Plan, item: PlanItem, now: datetime, *, most_since: tuple[datetime, int], is_usable: bool
    ) -> PlanItem | Obstacles | None:
        """Writes that the deletion of an item's chat is sent now, if nothing speaks against it at this moment.

        Returns the obstacles if something does, and None if the plan is not being applied any more, the item was
        changed, or as many deletions as `most_since` (since, number) allows were sent. `is_usable`: the chat is not
        failed or empty, so that another one has to stay that is not, either.
        """
        with contextlib.suppress(LostRace):
            async with self._database.transaction() as connection:
                # Plans of one account decide one after the other: two must not each count on the other's chat.
                await must_touch(connection, query("lock_clean_up_turn"), {"account": plan.account})
                await must_touch(connection, query("hold_plan_state"), {"id": plan.id, "state": "applying"})
                since, most = most_since
                counted = {"plan_id": plan.id, "since": since, "chat_id": item.chat_id}
                sent = await connection.fetch_all(query("count_sent_deletions"), counted)
                if int(sent[0]["items"]) >= most:
                    return None
                obstacles = await self._obstacles(connection, plan, item, is_usable=is_usable)
                if obstacles.is_pinned or obstacles.has_prototype or not obstacles.has_survivor:
                    return obstacles
                values = {**_item_values(plan, item), "changed_at": now}
                await must_touch(connection, query("save_plan_item"), values)
            return replace(item, version=item.version + 1)
        return None

    async def obstacles(self, plan: Plan, item: PlanItem, *, is_usable: bool) -> Obstacles:
        """What speaks against the deletion of an item's chat at this moment."""
        async with self._database.reading() as connection:
            return await self._obstacles(connection, plan, item, is_usable=is_usable)

    async def _obstacles(self, connection: Connection, plan: Plan, item: PlanItem, *, is_usable: bool) -> Obstacles:
        values = {
            "workspace_id": plan.workspace_id,
            "plan_id": plan.id,
            "chat_id": item.chat_id,
            "group_id": item.group_id,
            "contents": sorted(USABLE if is_usable else ChatContent),
        }
        chat = {"account": plan.account, "chat_id": item.chat_id}
        row = await connection.fetch_one(query("find_plan_obstacles"), chat)
        if row is None:
            raise LostRace
        rows = await connection.fetch_all(query("list_plan_survivors"), values) if item.group_id is not None else []
        survivors = [(one["chat_id"], one["api_version"]) for one in rows]
        stays = item.group_id is None or bool(survivors)
        return Obstacles(bool(row["is_pinned"]), bool(row["has_prototype"]), stays, survivors)

    # -- helpers -----------------------------------------------------------------------------------------------

    async def _plans(self, name: str, **values: Any) -> list[Plan]:
        async with self._database.reading() as connection:
            rows = await connection.fetch_all(query(name), values)
            approvals = await connection.fetch_all(query("list_plan_approvals"), {"plans": [row["id"] for row in rows]})
        found: dict[str, list[tuple[str, datetime]]] = {}
        for row in approvals:
            found.setdefault(row["plan_id"], []).append((row["approved_by"], row["approved_at"]))
        return [_plan_of(row, tuple(found.get(row["id"], ()))) for row in rows]

    async def _rows(self, name: str, **values: Any) -> list[Row]:
        async with self._database.reading() as connection:
            return await connection.fetch_all(query(name), values)


_PLAN_FIELDS = tuple(field.name for field in fields(Plan) if field.name != "approvals")
_ITEM_FIELDS = tuple(field.name for field in fields(PlanItem))


def _plan_values(plan: Plan) -> dict[str, Any]:
    values = {name: getattr(plan, name) for name in _PLAN_FIELDS}
    return {**values, "state": plan.state.value, "rules_off": json.dumps(list(plan.rules_off))}


def _item_values(plan: Plan, item: PlanItem) -> dict[str, Any]:
    values = {name: getattr(item, name) for name in _ITEM_FIELDS}
    words = {"action": item.action.value, "state": item.state.value}
    return {**values, **words, "plan_id": plan.id, "account": plan.account}


def _plan_of(row: Row, approvals: tuple[tuple[str, datetime], ...]) -> Plan:
    values = {name: row[name] for name in _PLAN_FIELDS}
    values |= {"state": PlanState(row["state"]), "rules_off": tuple(json.loads(row["rules_off"]))}
    return Plan(**values, approvals=approvals)


def _item_of(row: Row) -> PlanItem:
    values = {name: row[name] for name in _ITEM_FIELDS}
    values |= {"action": PlanAction(row["action"]), "state": ItemState(row["state"])}
    return PlanItem(**values)
