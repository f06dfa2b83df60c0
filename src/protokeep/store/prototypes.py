"""Prototypes: rows of `design_mockups` and of `protokeep_generations` beside it, read and written as one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from protokeep.bus import Bus, Change
from protokeep.core.audit import AuditEntry
from protokeep.core.errors import NotMigrated, NotNow, NotReady
from protokeep.core.events import Event
from protokeep.core.generation import RecoveryPoint
from protokeep.core.principals import DEFAULT_WORKSPACE
from protokeep.core.prototype import Prototype, Status, TrackedPrototype
from protokeep.store import audit, texts
from protokeep.store.changes import Changes, change_of, is_visible_change
from protokeep.store.database import Database
from protokeep.store.events import add_event
from protokeep.store.mapping import (
    changed_mockup_values,
    generation_values,
    mockup_values,
    prototype_of,
    tracked_prototype_of,
    with_next_version,
)
from protokeep.store.owner_table import OwnerTable, read_owner_table
from protokeep.store.prototype_queries import PrototypeQueries
from protokeep.store.slots import pass_slot_on
from protokeep.store.sql import Connection, ConstraintBroken, LostRace, Row, Statement, must_touch, query

#: Writes that belong to a guarded write: executed after it, in the same transaction, and rolled back with it.
#: Its result: further changes that viewers are told of after the commit.
InTransaction = Callable[[Connection], Awaitable[Sequence[Change] | None]]


@dataclass(frozen=True, slots=True)
class Page:
    """Which prototypes a list has. `after` is the (created_at, id) of the last row of the page before."""

    limit: int = 20
    provider: str | None = None
    status: Status | None = None
    user_id: str | None = None
    after: tuple[datetime, str] | None = None

    @property
    def is_scan(self) -> bool:
        """Whether rows are read that do not match: the more there are, the longer it takes."""
        return self.status is not None or self.user_id is not None


class Prototypes:
    """Reads and writes prototypes. Every committed change is published."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        *,
        tenants_are_workspaces: bool = False,
        tracking_fix: str = "Run `protokeep migrate`",
    ) -> None:
        """`tenants_are_workspaces`: the tenant of an owner's row is the workspace that it belongs to.

        `tracking_fix`: what people are told to do about a `design_mockups` that lacks the tracking columns.
        """
        self.database = database
        self._tenants_are_workspaces = tenants_are_workspaces
        self._tracking_fix = tracking_fix
        self._changes = Changes(bus)
        self._queries: PrototypeQueries | None = None

    async def owner_table(self) -> OwnerTable:
        """The shape of the owner's table. Read again until it is migrated, then remembered."""
        return (await self._queries_of_table()).shape

    # -- reading ---------------------------------------------------------------------------------------------

    async def get(self, workspace_id: str, mockup_id: str) -> Prototype | None:
        """One prototype of a workspace."""
        queries = await self._prepared(for_tracking=False)
        return await self._read_one(queries.get, workspace_id=workspace_id, mockup_id=mockup_id)

    async def get_unscoped(self, mockup_id: str) -> TrackedPrototype | None:
        """One tracked prototype, for jobs, which act for every workspace."""
        queries = await self._prepared(for_tracking=False)
        prototype = await self._read_one(queries.get_unscoped, mockup_id=mockup_id)
        return prototype if isinstance(prototype, TrackedPrototype) else None

    async def get_many(self, ids: Sequence[str]) -> list[TrackedPrototype]:
        """Prototypes by their ids, for jobs."""
        queries = await self._prepared()
        return await self._list(queries.get_many, ids=list(ids)) if ids else []

    async def list_of_product(self, workspace_id: str, product_id: str, page: Page) -> list[Prototype]:
        """Prototypes of a product, newest first, with the beginnings of their prompts."""
        queries = await self._prepared(for_tracking=False)
        values: dict[str, Any] = {"workspace_id": workspace_id, "product_id": product_id, "limit": page.limit}
        filters = {"provider": page.provider, "status": page.status, "user_id": page.user_id}
        given = {name: str(value) for name, value in filters.items() if value is not None}
        names = set(given)
        if page.after is not None:
            names.add("after")
            values["after_created_at"], values["after_id"] = page.after
        listing = queries.listing(frozenset(names))
        values |= given
        if page.is_scan:
            rows = await self.database.scan(listing, values)
        else:
            rows = await self.database.read(listing, values)
        return [prototype_of(row) for row in rows]

    async def was_deleted(self, workspace_id: str, mockup_id: str) -> bool:
        """Whether this workspace had such a prototype and deleted it."""
        return bool(await self._rows("was_deleted", workspace_id=workspace_id, mockup_id=mockup_id))

    # -- writing ---------------------------------------------------------------------------------------------

    async def save(
        self, before: TrackedPrototype, after: TrackedPrototype, *events: Event, belongs: InTransaction | None = None
    ) -> TrackedPrototype | None:
        """Saves a prototype, guarded by its version. None: somebody changed it meanwhile, and nothing was written.

        Events, and what `belongs` writes, are committed with the prototype or rolled back with it. An error of
        `belongs` rolls everything back; `LostRace` counts as a change of the prototype.
        """
        queries = await self._prepared()
        change = change_of(after, "changed")
        told = [change] if is_visible_change(before, after, events) else []
        try:
            async with self.database.transaction() as connection:
                # The owner's row first, as a deletion locks it first: otherwise each could wait for the other.
                changed = changed_mockup_values(before, after)
                if changed is not None:
                    # The time of the owner's last change of a row stays the owner's.
                    adopted = after.generation.is_adopted
                    await connection.execute(queries.save_adopted if adopted else queries.save_mockup, changed)
                await must_touch(connection, query("save_generation"), generation_values(after))
                for event in events:
                    await add_event(connection, change.workspace_id, after.product_id, after.id, event)
                if belongs is not None:
                    told += await belongs(connection) or ()
                for one in told:
                    self._changes.notify(connection, one)
        except LostRace:
            return None
        for one in told:
            self._changes.publish(one)
        return with_next_version(after)

    async def record_polls(self, polls: Sequence[TrackedPrototype]) -> None:
        """Records polls that changed nothing but their own time (`mapping.is_unchanged_poll`), in one transaction.

        A prototype that somebody changed meanwhile is left as it is.
        """
        if polls:
            async with self.database.transaction() as connection:
                await connection.execute_many(query("record_poll"), [generation_values(poll) for poll in polls])

    async def delete(self, prototype: TrackedPrototype, event: Event) -> bool:
        """Deletes a prototype for good; False: it was gone. Its history stays, with `event` at the end."""
        change = change_of(prototype, "deleted")
        try:
            async with self.database.transaction() as connection:
                await must_touch(connection, query("delete_mockup"), {"mockup_id": prototype.id})
                await texts.forget(connection, prototype.id)
                await connection.execute(query("delete_surplus_chats"), {"mockup_id": prototype.id})
                await add_event(connection, change.workspace_id, prototype.product_id, prototype.id, event)
                self._changes.notify(connection, change)
        except LostRace:
            return False
        self._changes.publish(change)
        return True

    async def delete_untracked(self, workspace_id: str, row: Prototype, event: Event, entry: AuditEntry) -> bool:
        """Deletes a row that has no generation, and passes its slot on. False: it was gone, or is tracked now.

        Raises `NotNow` where rows of the owner's refer to it.
        """
        queries = await self._prepared(for_tracking=False)
        told = [Change(workspace_id, row.product_id, row.id, "", "deleted")]
        try:
            async with self.database.transaction() as connection:
                told += await pass_slot_on(connection, queries, row, event.at, workspace_id)
                await must_touch(connection, query("delete_untracked_mockup"), {"mockup_id": row.id})
                await texts.forget(connection, row.id)
                await add_event(connection, workspace_id, row.product_id, row.id, event)
                await audit.write(connection, entry)
                for one in told:
                    self._changes.notify(connection, one)
        except LostRace:
            return False
        except ConstraintBroken as error:
            raise NotNow(f"The database keeps this row, because others refer to it: {error.driver}.") from error
        for one in told:
            self._changes.publish(one)
        return True

    # -- submission ------------------------------------------------------------------------------------------

    async def due_for_submit(self, now: datetime, limit: int = 500) -> list[tuple[str, int, bool]]:
        """(id, fence, whether it was sent) of prototypes that wait to be sent or looked up and that no worker holds."""
        rows = await self._rows("due_for_submission", now=now, limit=limit)
        return [(row["mockup_id"], row["fence"], row["recovery_point"] == RecoveryPoint.SENT) for row in rows]

    async def take_for_submit(self, mockup_id: str, now: datetime, lease: timedelta) -> TrackedPrototype | None:
        """Takes the lease of a prototype that waits to be sent or looked up.

        None: another worker holds the lease, or nothing is due.
        """
        queries = await self._prepared()
        values = {"mockup_id": mockup_id, "now": now, "lease_until": now + lease}
        async with self.database.transaction() as connection:
            if await connection.execute(query("acquire_submission_lease"), values) == 0:
                return None
            # In the same transaction, so that the prototype is the one whose lease was taken.
            row = await connection.fetch_one(queries.get_unscoped, {"mockup_id": mockup_id})
        return None if row is None else tracked_prototype_of(row)

    async def renew_lease(self, prototype: TrackedPrototype, until: datetime) -> bool:
        """Extends the lease of a prototype. False: another worker took it over."""
        values = {"mockup_id": prototype.id, "fence": prototype.generation.submission.fence, "lease_until": until}
        return await self._execute("renew_lease", **values) > 0

    # -- polling ---------------------------------------------------------------------------------------------

    async def due(self, account: str, now: datetime, limit: int = 10_000) -> list[TrackedPrototype]:
        """Prototypes of an account whose poll is due, longest overdue first, without their prompts."""
        queries = await self._prepared()
        return await self._list(queries.due, account=account, now=now, limit=limit)

    async def due_soon(self, account: str, api_version: int, now: datetime, until: datetime) -> list[TrackedPrototype]:
        """Prototypes whose poll is due after `now` and by `until`, without their prompts."""
        queries = await self._prepared()
        return await self._list(queries.due_soon, account=account, api_version=api_version, now=now, until=until)

    async def named_by_hooks(self, account: str, api_version: int, now: datetime, limit: int) -> list[TrackedPrototype]:
        """Prototypes that are due because a hook named them, in the order of the hooks, without their prompts."""
        queries = await self._prepared()
        values = {"account": account, "api_version": api_version, "now": now, "limit": limit}
        return await self._list(queries.named_by_hooks, **values)

    async def not_visible(self, account: str, api_version: int, until: datetime, limit: int) -> list[TrackedPrototype]:
        """Missing prototypes whose poll is not due by `until`, without their prompts."""
        queries = await self._prepared()
        values = {"account": account, "api_version": api_version, "until": until, "limit": limit}
        return await self._list(queries.not_visible, **values)

    async def next_due(self, account: str) -> datetime | None:
        """When the next poll of an account is due. None: nothing is polled."""
        rows = await self._rows("find_next_due_poll", account=account)
        due: datetime | None = rows[0]["due_at"]
        return due

    async def request_poll(
        self, prototype: TrackedPrototype, now: datetime, *, stale_before: datetime, watched_until: datetime
    ) -> bool:
        """Makes a prototype due for a poll. False: the provider answered a poll after `stale_before`."""
        change = change_of(prototype, "poll_requested")
        values = {
            "mockup_id": prototype.id,
            "now": now,
            "stale_before": stale_before,
            "watched_until": watched_until,
        }
        async with self.database.transaction() as connection:
            if await connection.execute(query("request_poll"), values) == 0:
                return False
            self._changes.notify(connection, change)
        self._changes.publish(change)
        return True

    async def poll_soon(
        self, account: str, chats: Sequence[str], now: datetime, *, begun: bool, later: datetime
    ) -> int:
        """Makes chats that a hook named due for a poll: at once, or at `later` if the hook says that they have `begun`.

        Returns how many of the chats some row has.
        """
        values: dict[str, Any] = {"account": account, "chats": list(chats), "now": now}
        if begun:
            async with self.database.transaction() as connection:
                return await connection.execute(query("defer_poll_after_hook"), {**values, "later": later})
        second = timedelta(seconds=1)
        values |= {"second_ago": now - second, "soon": now + second, "minute_ago": now - timedelta(minutes=1)}
        async with self.database.transaction() as connection:
            rows = await connection.fetch_all(query("poll_after_hook"), values)
            change = Change("", "", rows[0]["mockup_id"] if rows else "", account, "hook_received")
            if rows:
                self._changes.notify(connection, change)
        if rows:
            self._changes.publish(change)
        return len(rows)

    # -- finalizing and deletion -----------------------------------------------------------------------------

    async def claim_for_finalizing(self, now: datetime, later: datetime, limit: int) -> list[str]:
        """Takes finished prototypes that are due for finalizing. No other process gets them before `later`."""
        if not await self._rows("has_due_finalization", now=now):  # The common case, which takes no write lock.
            return []
        values = {"now": now, "later": later, "limit": limit}
        async with self.database.transaction() as connection:
            rows = await connection.fetch_all(query("claim_for_finalizing"), values)
        return [row["mockup_id"] for row in rows]

    async def due_for_deletion(self, now: datetime, limit: int = 50) -> list[TrackedPrototype]:
        """Prototypes whose deletion was requested and whose next try is due."""
        queries = await self._prepared()
        return await self._list(queries.due_for_deletion, now=now, limit=limit)

    # -- plumbing --------------------------------------------------------------------------------------------

    async def prepared(self) -> PrototypeQueries:
        """The queries for the owner's table, which has the tracking columns. Raises `NotMigrated`."""
        return await self._prepared()

    async def _prepared(self, *, for_tracking: bool = True) -> PrototypeQueries:
        """The queries for the owner's table as it is. Raises `NotMigrated` when a table or column is missing.

        Raises `NotReady` where our role does not see the table as it is: what is not seen would be made again.
        """
        queries = await self._queries_of_table()
        if queries.shape.fault is not None:
            raise NotReady(queries.shape.fault)
        if for_tracking and not queries.shape.tracked:
            raise NotMigrated(
                "design_mockups has no columns to track a prototype with, and an untracked create would be an orphan",
                self._tracking_fix,
            )
        return queries

    async def _queries_of_table(self) -> PrototypeQueries:
        queries = self._queries
        if queries is None or not queries.shape.tracked or queries.shape.fault is not None:
            async with self.database.reading() as connection:
                shape = await read_owner_table(connection, tenants_are_workspaces=self._tenants_are_workspaces)
            if not (shape.own and shape.exists):
                raise NotMigrated("The database has no protokeep tables")
            queries = self._queries = PrototypeQueries(shape)
        return queries

    async def _read_one(self, statement: Statement, **key: str) -> Prototype | None:
        rows = await self.database.read(statement, key)
        return prototype_of(rows[0]) if rows else None

    async def _list(self, statement: Statement, **values: Any) -> list[TrackedPrototype]:
        async with self.database.reading() as connection:
            return [tracked_prototype_of(row) for row in await connection.fetch_all(statement, values)]

    async def _rows(self, name: str, **values: Any) -> list[Row]:
        async with self.database.reading() as connection:
            return await connection.fetch_all(query(name), values)

    async def _execute(self, name: str, **values: Any) -> int:
        async with self.database.transaction() as connection:
            return await connection.execute(query(name), values)


async def insert_prototype(
    connection: Connection,
    queries: PrototypeQueries,
    prototype: TrackedPrototype,
    *,
    name: str | None = None,
) -> TrackedPrototype | None:
    """Inserts the rows of a new prototype and of its product. None: the owner has no such product.

    Returns the prototype with its number among the product's variants.
    """
    workspace_id = prototype.generation.workspace_id
    tenant_id = None if workspace_id == DEFAULT_WORKSPACE else workspace_id
    values = {**mockup_values(prototype), "workspace_id": workspace_id, "tenant_id": tenant_id}
    if await connection.execute(queries.insert_mockup, values) == 0:
        return None
    product = {
        "workspace_id": prototype.generation.workspace_id,
        "product_id": prototype.product_id,
        "name": name,
        "now": prototype.created_at,
    }
    numbered = await connection.fetch_one(query("save_product"), product)
    variant = prototype.with_generation(variant=numbered["newest_variant"] if numbered else None)
    await insert_generation(connection, variant)
    await texts.index(connection, queries.shape, [prototype.id])
    if name is not None:
        await texts.index_product(connection, queries.shape, workspace_id, prototype.product_id)
    return variant


async def insert_generation(connection: Connection, prototype: TrackedPrototype) -> None:
    """Inserts the generation of a prototype. Raises `LostRace` when the prototype has one."""
    await must_touch(connection, query("insert_generation"), generation_values(prototype))
