"""The store: one method per question or change, each a statement of `queries/` or one short transaction."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from protokeep.bus import CHANNEL, Bus, Change
from protokeep.core.create_request import Adoption, ClaimResult, CreateRequest
from protokeep.core.errors import NotMigrated
from protokeep.core.events import Event, Source
from protokeep.core.generation import RecoveryPoint
from protokeep.core.prototype import Prototype, Status, TrackedPrototype
from protokeep.core.quotas import Quotas
from protokeep.store import claims, orphans
from protokeep.store.accounts import Accounts
from protokeep.store.afterwards import Afterwards
from protokeep.store.claiming import Claiming
from protokeep.store.database import Database, Part, Row, Session, Untouched, must_touch
from protokeep.store.mapping import (
    generation_values,
    mockup_values,
    prototype_from,
    prototype_of,
    tracked_prototype_of,
)
from protokeep.store.orphans import OrphanChat
from protokeep.store.owner_table import OwnerTable, read_owner_table
from protokeep.store.processes import ProcessStore
from protokeep.store.prototype_queries import PrototypeQueries, query
from protokeep.store.searches import Searches

#: What belongs to a guarded write: done after it, in the same transaction, and rolled back with it.
InTransaction = Callable[[Session], Awaitable[object]]

#: Events that change nothing that a page shows, and that another one follows soon: nobody is told of them.
QUIET = {"sent"}


@dataclass(frozen=True, slots=True)
class Page:
    """What a list is asked for. `after` is the (created_at, id) of the last row of the page before."""

    limit: int = 20
    provider: str | None = None
    status: Status | None = None
    user_id: str | None = None
    after: tuple[datetime, str] | None = None


class Store:
    """All reads and writes of one database. Publishes every committed change on the bus."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self.database = database
        self.accounts = Accounts(database)
        self.afterwards = Afterwards(database)
        self.processes = ProcessStore(database)
        self.searches = Searches(database)
        self._bus = bus
        self._statements: PrototypeQueries | None = None
        self._claiming = Claiming(database, bus, self._told)

    async def close(self) -> None:
        await self.database.close()

    async def owner_table(self) -> OwnerTable:
        """The owner's table as it is; read again until it is migrated, then remembered."""
        return (await self._prepared(for_create=False)).shape

    async def _prepared(self, *, for_create: bool) -> PrototypeQueries:
        statements = self._statements
        if statements is None or not statements.shape.tracked:
            async with self.database.reading() as session:
                shape = await read_owner_table(session)
            statements = PrototypeQueries(shape)
            if not (shape.own and shape.exists):
                raise NotMigrated("The database has no protokeep tables")
            self._statements = statements
        if for_create and not statements.shape.tracked:
            raise NotMigrated(
                "design_mockups has no columns to track a prototype with, and an untracked create would be an orphan"
            )
        return statements

    # -- reading ---------------------------------------------------------------------------------------------

    async def ready(self) -> OwnerTable:
        """Ask the database something; raises `NotReady` when it does not answer or has no tables of ours."""
        await self.installation()
        return await self.owner_table()

    async def get(self, workspace_id: str, mockup_id: str) -> Prototype | None:
        """One prototype of a workspace."""
        return await self._one("get", workspace_id=workspace_id, mockup_id=mockup_id)

    async def get_unscoped(self, mockup_id: str) -> TrackedPrototype | None:
        """One tracked prototype, for jobs, which act for every workspace."""
        prototype = await self._one("get_any", mockup_id=mockup_id)
        return prototype if isinstance(prototype, TrackedPrototype) else None

    async def current(self, workspace_id: str, product_id: str, provider: str) -> Prototype | None:
        """The prototype that a product has now: the one in its slot, else the newest row."""
        statements = await self._prepared(for_create=False)
        rows = await self.database.bare(statements.current, _slot(workspace_id, product_id, provider))
        if rows:
            return prototype_from(rows[0])
        async with self.database.reading() as session:
            return await claims.find_current(session, statements, workspace_id, product_id, provider)

    async def list_of_product(self, workspace_id: str, product_id: str, page: Page) -> list[Prototype]:
        """Prototypes of a product, newest first."""
        statements = await self._prepared(for_create=False)
        values: dict[str, Any] = {"workspace_id": workspace_id, "product_id": product_id, "limit": page.limit}
        filters = set()
        for name, value in (("provider", page.provider), ("status", page.status), ("user_id", page.user_id)):
            if value is not None:
                filters.add(name)
                values[name] = str(value)
        if page.after is not None:
            filters.add("after")
            values["after_created_at"], values["after_id"] = page.after
        if page.after is None:
            rows = await self.database.bare(statements.listing(frozenset(filters)), values)
            return [prototype_from(row) for row in rows]
        async with self.database.reading() as session:
            return [prototype_of(row) for row in await session.rows(statements.listing(frozenset(filters)), values)]

    async def history(self, workspace_id: str, mockup_id: str, limit: int = 500) -> list[Row]:
        """What happened to a prototype, oldest first."""
        return await self._rows("events_of_prototype", workspace_id=workspace_id, mockup_id=mockup_id, limit=limit)

    async def surplus(self, mockup_id: str) -> list[str]:
        """Chats that carry this prototype's marker and are not the one it uses."""
        return [row["chat_id"] for row in await self._rows("surplus_of_prototype", mockup_id=mockup_id)]

    async def installation(self) -> tuple[str, datetime]:
        """This installation, as the marks of its chats name it, and since when it exists."""
        meta = {row["name"]: row["value"] for row in await self._rows("keeper")}
        return meta["keeper_id"], datetime.fromisoformat(meta["keeper_made_at"])

    # -- claiming --------------------------------------------------------------------------------------------

    async def claim(self, wanted: CreateRequest, poll_timeout: timedelta, caps: Quotas = claims.NO_CAPS) -> ClaimResult:
        """The prototype for a request: the existing one, or a claim that makes this request its one creator.

        Raises `QuotaReached` when it would be one too many; nothing is written then.
        """
        return await self._claiming.claim(await self._prepared(for_create=True), wanted, poll_timeout, caps)

    # -- writing ---------------------------------------------------------------------------------------------

    async def save(
        self, before: TrackedPrototype, after: TrackedPrototype, *events: Event, belongs: InTransaction | None = None
    ) -> TrackedPrototype | None:
        """Write what shall be. None: somebody moved it meanwhile, and nothing was written; read again.

        `belongs` is executed only after the guarded write touched its row, in the same transaction. What it raises
        undoes everything.
        """
        if belongs is None:
            return (await self.save_all([(before, after, events)]))[0]
        statements = await self._prepared(for_create=True)
        try:
            async with self.database.transaction() as session:
                await must_touch(session, query("save_generation"), generation_values(after))
                await session.together(self._parts_of(statements, before, after, events))
                await belongs(session)
        except Untouched:
            return None
        saved = _next_version(after)
        self._publish(saved, "changed")
        return saved

    async def save_all(
        self, changes: Sequence[tuple[TrackedPrototype, TrackedPrototype, Sequence[Event]]]
    ) -> list[TrackedPrototype | None]:
        """Write several prototypes in one transaction, each guarded by its own version.

        Of several, looks that changed nothing are written together, and count as saved.
        """
        saved: list[TrackedPrototype | None] = []
        loud: list[TrackedPrototype] = []
        quiet: list[Mapping[str, Any]] = []
        statements = await self._prepared(for_create=True)
        # One by itself is one statement, where the database can.
        async with self.database.alone() if len(changes) == 1 else self.database.transaction() as session:
            for before, after, events in changes:
                if not events and _looks_same(before, after):
                    touched = 1
                    if len(changes) == 1:
                        touched = await session.run(query("touch_looked"), _touch_values(after))
                    else:
                        quiet.append(_touch_values(after))
                    saved.append(after if touched else None)
                    continue
                parts: list[Part] = [(query("save_generation"), generation_values(after))]
                parts += self._parts_of(statements, before, after, events)
                if (await session.together(parts, if_first=True))[0] == 0:
                    saved.append(None)
                    continue
                saved.append(_next_version(after))
                if _is_shown(before, after, events):
                    loud.append(_next_version(after))
            if quiet:
                await session.run_many(query("touch_looked"), quiet)
        for prototype in loud:
            self._publish(prototype, "changed")
        return saved

    def _parts_of(
        self, statements: PrototypeQueries, before: TrackedPrototype, after: TrackedPrototype, events: Sequence[Event]
    ) -> list[Part]:
        """What is written beside a generation: its events, what people see of it, and what tells other processes."""
        generation = after.generation
        parts = [claims.event_part(generation.workspace_id, after.product_id, after.id, event) for event in events]
        if mockup_values(before) != mockup_values(after):
            parts.append((statements.save_mockup, mockup_values(after)))
        if _is_shown(before, after, events):
            parts += self._told(_change(after, "changed"))
        return parts

    async def take_for_submit(self, mockup_id: str, now: datetime, lease: timedelta) -> TrackedPrototype | None:
        """Hold a row that waits to be sent or looked up. None: held by another worker, or nothing is due."""
        statements = await self._prepared(for_create=True)
        values = {"mockup_id": mockup_id, "now": now, "lease_until": now + lease}
        async with self.database.transaction() as session:
            if await session.row(query("take_for_submit"), values) is None:
                return None
            # Read before anybody else can move it: what is taken is what was written.
            row = await session.row(statements.get_any, {"mockup_id": mockup_id})
        return None if row is None else tracked_prototype_of(row)

    async def renew_lease(self, prototype: TrackedPrototype, until: datetime) -> bool:
        """Keep holding a row; False: it was taken over."""
        values = {"mockup_id": prototype.id, "fence": prototype.generation.submission.fence, "lease_until": until}
        return await self._run("renew_lease", **values) > 0

    async def due_for_submit(self, now: datetime, limit: int = 500) -> list[tuple[str, int, bool]]:
        """(id, fence, whether it was sent) of rows that wait to be sent or looked up and that nobody holds."""
        rows = await self._rows("due_for_submit", now=now, limit=limit)
        return [(row["mockup_id"], row["fence"], row["recovery_point"] == RecoveryPoint.SENT) for row in rows]

    async def note_surplus(self, prototype: TrackedPrototype, chat_id: str, now: datetime) -> bool:
        """Record a second chat with a prototype's marker; False: it was known."""
        generation = prototype.generation
        async with self.database.transaction() as session:
            values = {
                "account": generation.account,
                "chat_id": chat_id,
                "mockup_id": prototype.id,
                "marker": generation.marker,
                "now": now,
            }
            if await session.run(query("note_surplus"), values) == 0:
                return False
            event = Event("surplus", Source.SWEEP, now, data={"chat_id": chat_id})
            part = claims.event_part(generation.workspace_id, prototype.product_id, prototype.id, event)
            await session.together([part, *self._told(_change(prototype, "changed"))])
        self._publish(prototype, "changed")
        return True

    async def known_chats(self, account: str, chats: Sequence[str]) -> set[str]:
        """Those of `chats` that some row, or the list of surplus ones, already has."""
        if not chats:
            return set()
        return {row["chat_id"] for row in await self._rows("known_chats", account=account, chats=list(chats))}

    async def knew_chats_before(self, account: str, chats: Sequence[str], before: datetime) -> bool:
        """Whether some row had one of `chats`, made for an account before then."""
        return bool(await self._rows("knew_chats", account=account, chats=list(chats), before=before))

    async def has_other_chats(self, account: str, mockup_id: str) -> bool:
        """Whether an account has chats that nothing is wrong with, beside one prototype's."""
        return bool(await self._rows("has_other_chats", account=account, mockup_id=mockup_id))

    # -- tracking --------------------------------------------------------------------------------------------

    async def due(self, account: str, now: datetime, limit: int = 10_000) -> list[TrackedPrototype]:
        """Prototypes of an account whose look is due by `now`, longest overdue first, without their prompts."""
        statements = await self._prepared(for_create=True)
        async with self.database.reading() as session:
            rows = await session.rows(statements.due, {"account": account, "now": now, "limit": limit})
        return [tracked_prototype_of(row) for row in rows]

    async def due_soon(self, account: str, api_version: int, now: datetime, until: datetime) -> list[TrackedPrototype]:
        """Prototypes whose look is due after `now` and by `until`, without their prompts."""
        return await self._many("due_soon", account=account, api_version=api_version, now=now, until=until)

    async def named_by_hooks(self, account: str, api_version: int, now: datetime, limit: int) -> list[TrackedPrototype]:
        """Prototypes whose look is due because a hook spoke of them, the first told ones first."""
        return await self._many("told_by_hooks", account=account, api_version=api_version, now=now, limit=limit)

    async def not_visible(self, account: str, api_version: int, until: datetime, limit: int) -> list[TrackedPrototype]:
        """Missing prototypes whose look is not due by `until`, without their prompts."""
        return await self._many("away", account=account, api_version=api_version, until=until, limit=limit)

    async def next_due(self, account: str) -> datetime | None:
        """When the account's next look is due; None: nothing is in flight."""
        rows = await self._rows("next_due_poll", account=account)
        due: datetime | None = rows[0]["due_at"]
        return due

    async def request_poll(
        self, prototype: TrackedPrototype, now: datetime, *, stale_before: datetime, watched_until: datetime
    ) -> bool:
        """Ask that a prototype is looked at now; False: it was looked at recently enough."""
        values = {
            "mockup_id": prototype.id,
            "now": now,
            "stale_before": stale_before,
            "watched_until": watched_until,
        }
        if await self._run("ask_for_look", **values) == 0:
            return False
        change = _change(prototype, "look")
        async with self.database.reading() as session:
            await session.together(self._told(change))
        self._bus.publish(change)
        return True

    async def get_many(self, ids: Sequence[str]) -> list[TrackedPrototype]:
        """Some prototypes, for jobs."""
        return await self._many("these", ids=list(ids)) if ids else []

    async def due_for_deletion(self, now: datetime, limit: int = 50) -> list[TrackedPrototype]:
        """Prototypes whose deletion was asked for and whose next try is due."""
        return await self._many("to_remove", now=now, limit=limit)

    async def poll_soon(
        self, account: str, chats: Sequence[str], now: datetime, *, begun: bool, later: datetime
    ) -> int:
        """A hook spoke of chats: look now, or (when they have only `begun`) not before `later`. How many are ours."""
        values: dict[str, Any] = {"account": account, "chats": list(chats), "now": now}
        if begun:
            values["later"] = later
        else:
            values |= {"second_ago": now - timedelta(seconds=1), "minute_ago": now - timedelta(seconds=60)}
            values["soon"] = now + timedelta(seconds=1)
        async with self.database.transaction() as session:
            rows = await session.rows(query("hook_heard" if begun else "hook_look"), values)
            change = Change("", "", rows[0]["mockup_id"] if rows else "", account, "hooked")
            if rows and not begun:
                await session.together(self._told(change))
        if rows and not begun:
            self._bus.publish(change)
        return len(rows)

    async def adopt_untracked(self, adoption: Adoption, poll_timeout: timedelta, limit: int = 200) -> int:
        """Begin to track older rows that name a chat. How many there were."""
        statements = await self._prepared(for_create=True)
        rows = await self._rows("untracked_chats", limit=limit)
        for row in rows:
            with contextlib.suppress(Untouched):
                async with self.database.transaction() as session:
                    found = await session.row(statements.get_any, {"mockup_id": row["id"]})
                    if found is not None:
                        await claims.adopt(session, statements, prototype_of(found), adoption, poll_timeout)
        return len(rows)

    async def adopt_orphan(self, stray: OrphanChat, poll_timeout: timedelta) -> str:
        """Give a chat of ours that no row knows a row. In words, what became of it."""
        statements = await self._prepared(for_create=True)
        async with self.database.transaction() as session:
            outcome = await orphans.adopt(session, statements, stray, poll_timeout)
            row = await session.row(statements.by_chat, {"chat_id": stray.chat_id})
            if row is not None and row["marker"] is not None:
                await session.together(self._told(_change(tracked_prototype_of(row), "changed")))
        if row is not None and row["marker"] is not None:
            self._publish(tracked_prototype_of(row), "changed")
        return outcome

    async def delete_expired_idempotency_keys(self, before: datetime) -> int:
        """Drop keys older than their promise."""
        return await self._run("forget_idempotency_keys", before=before)

    async def delete_expired_create_counts(self, before: datetime) -> int:
        """Drop the counts of days that are over."""
        return await self._run("forget_create_counts", before=before)

    # -- plumbing --------------------------------------------------------------------------------------------

    async def _one(self, name: str, **values: Any) -> Prototype | None:
        statements = await self._prepared(for_create=False)
        rows = await self.database.bare(getattr(statements, name), values)
        return prototype_from(rows[0]) if rows else None

    async def _many(self, name: str, **values: Any) -> list[TrackedPrototype]:
        statements = await self._prepared(for_create=True)
        async with self.database.reading() as session:
            return [tracked_prototype_of(row) for row in await session.rows(getattr(statements, name), values)]

    async def _rows(self, name: str, **values: Any) -> list[Row]:
        async with self.database.reading() as session:
            return await session.rows(query(name), values)

    async def _run(self, name: str, **values: Any) -> int:
        async with self.database.alone() as session:
            return await session.run(query(name), values)

    def _told(self, change: Change) -> list[Part]:
        """What tells the other processes when a transaction commits; there are none beside SQLite."""
        if self.database.is_sqlite:
            return []
        return [(query("notify"), {"channel": CHANNEL, "payload": self._bus.encode(change)})]

    def _publish(self, prototype: TrackedPrototype, kind: str) -> None:
        self._bus.publish(_change(prototype, kind))


def _slot(workspace_id: str, product_id: str, provider: str) -> dict[str, str]:
    return {"workspace_id": workspace_id, "product_id": product_id, "provider": provider}


def _change(prototype: TrackedPrototype, kind: str) -> Change:
    generation = prototype.generation
    return Change(generation.workspace_id, prototype.product_id, prototype.id, generation.account, kind)


def _next_version(prototype: TrackedPrototype) -> TrackedPrototype:
    return prototype.with_generation(version=prototype.generation.version + 1)


def _is_shown(before: TrackedPrototype, after: TrackedPrototype, events: Sequence[Event]) -> bool:
    """Whether a change is one that a page shows."""
    return any(event.kind not in QUIET for event in events) or _seen_by_people(before) != _seen_by_people(after)


def _seen_by_people(prototype: TrackedPrototype) -> tuple[object, ...]:
    """What a page shows that may change without an event: a picture that came, a link that died, a reason to wait."""
    generation = prototype.generation
    picture, credits = generation.picture_etag, generation.credits
    return prototype.state, prototype.project_url, picture, credits, generation.hold.message


def _looks_same(before: TrackedPrototype, after: TrackedPrototype) -> bool:
    """Whether only the time of the poll differs."""
    polling, absence = before.generation.polling, after.generation.absence
    same = replace(
        after.generation,
        polling=replace(
            after.generation.polling,
            observed_at=polling.observed_at,
            poll_count=polling.poll_count,
            next_poll_at=polling.next_poll_at,
        ),
        absence=replace(absence, last_shown_at=before.generation.absence.last_shown_at),
    )
    return same == before.generation and mockup_values(before) == mockup_values(after)


def _touch_values(after: TrackedPrototype) -> dict[str, Any]:
    generation = after.generation
    return {
        "mockup_id": after.id,
        "version": generation.version,
        "observed_at": generation.polling.observed_at,
        "last_shown_at": generation.absence.last_shown_at,
        "next_poll_at": generation.polling.next_poll_at,
    }
