"""The store: all tables of one database, and the changes that span several of them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from protokeep.bus import Bus
from protokeep.core.create_request import ClaimResult, CreateRequest
from protokeep.core.events import Event, Source
from protokeep.core.prototype import Prototype, TrackedPrototype
from protokeep.core.quotas import Quotas
from protokeep.core.restored_chat import chat_made_again
from protokeep.store import claims, orphans
from protokeep.store.accounts import Accounts
from protokeep.store.adoption import AdoptionStore, shared_chats
from protokeep.store.approvers import Approvers
from protokeep.store.archives import Archives
from protokeep.store.arrangement import ArrangementStore
from protokeep.store.bin import BinStore
from protokeep.store.changes import change_of
from protokeep.store.clean_up_policies import PolicyStore
from protokeep.store.database import Database
from protokeep.store.events import add_event
from protokeep.store.gauges import GaugeStore
from protokeep.store.hooks import HookStore
from protokeep.store.idempotency import IdempotencyKeys
from protokeep.store.installation import InstallationStore
from protokeep.store.mapping import prototype_of
from protokeep.store.orphans import OrphanChat
from protokeep.store.owner_table import OwnerTable
from protokeep.store.pictures import Pictures
from protokeep.store.plans import PlanStore
from protokeep.store.processes import ProcessStore
from protokeep.store.prototypes import Prototypes
from protokeep.store.retention import RetentionStore
from protokeep.store.searches import Searches
from protokeep.store.slots import find_successor
from protokeep.store.sql import LostRace, Row, query
from protokeep.store.texts import Texts


class Store(Prototypes):
    """One database. The store itself is the table of prototypes; each other table is an attribute."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        *,
        tenants_are_workspaces: bool = False,
        tracking_fix: str = "Run `protokeep migrate`",
    ) -> None:
        super().__init__(database, bus, tenants_are_workspaces=tenants_are_workspaces, tracking_fix=tracking_fix)
        self.accounts = Accounts(database)
        self.adoption = AdoptionStore(self)
        self.approvers = Approvers(database)
        self.archives = Archives(database)
        self.arrangement = ArrangementStore(database, self._changes)
        self.bin = BinStore(self)
        self.clean_up_policies = PolicyStore(database)
        self.claims = claims.Claims(database, self._changes)
        self.gauges = GaugeStore(database)
        self.hooks = HookStore(database)
        self.installation_values = InstallationStore(database)
        self.idempotency = IdempotencyKeys(database)
        self.pictures = Pictures(database)
        self.plans = PlanStore(database)
        self.processes = ProcessStore(database)
        self.retention = RetentionStore(database)
        self.searches = Searches(database)
        self.texts = Texts(database)

    async def close(self) -> None:
        """Closes all connections."""
        await self.database.close()

    async def ready(self) -> OwnerTable:
        """The shape of the owner's table.

        Raises `NotReady` when the database does not answer or is not migrated, or hides rows of the table from us.
        """
        await self.installation()
        return (await self._prepared()).shape

    async def installation(self) -> tuple[str, datetime]:
        """(the id of this installation, as its chats carry it; when it was installed)."""
        values = {row["name"]: row["value"] for row in await self._rows("find_installation")}
        return values["installation_id"], datetime.fromisoformat(values["installed_at"])

    async def current(self, workspace_id: str, product_id: str, provider: str) -> Prototype | None:
        """The prototype of a product: the one in its slot, else the newest row."""
        queries = await self._prepared(for_tracking=False)
        key = {"workspace_id": workspace_id, "product_id": product_id, "provider": provider}
        prototype = await self._read_one(queries.current, **key)
        if prototype is not None:
            return prototype
        async with self.database.reading() as connection:
            return await claims.find_current(connection, queries, key)

    async def successor(self, workspace_id: str, prototype: Prototype) -> Prototype | None:
        """The variant that becomes current if this prototype, which is current, is deleted. None: nothing is left."""
        queries = await self._prepared(for_tracking=False)
        async with self.database.reading() as connection:
            return await find_successor(connection, queries, prototype, workspace_id)

    async def history(self, workspace_id: str, mockup_id: str, limit: int = 500) -> list[Row]:
        """The events of a prototype, oldest first."""
        return await self._rows("list_events", workspace_id=workspace_id, mockup_id=mockup_id, limit=limit)

    async def claim(self, request: CreateRequest, quotas: Quotas = claims.NO_QUOTAS) -> ClaimResult:
        """The prototype for a request: the existing one, or a new one that this request has to create.

        Raises `QuotaReached` when the new one would be one too many; nothing is written then.
        """
        return await self.claims.claim(await self._prepared(), request, quotas)

    async def has_several_tenants(self) -> bool:
        """Whether the owner's rows belong to more than one tenant."""
        shape = await self.owner_table()
        return shape.has_tenant and len(await self._rows("list_two_tenants")) > 1

    # -- chats -----------------------------------------------------------------------------------------------

    async def surplus(self, mockup_id: str) -> list[str]:
        """Chats that carry the marker of a prototype and are not the chat that it uses."""
        return [row["chat_id"] for row in await self._rows("list_surplus_chats", mockup_id=mockup_id)]

    async def note_surplus(self, prototype: TrackedPrototype, chat_id: str, now: datetime) -> bool:
        """Records a second chat with the marker of a prototype. False: it was recorded before."""
        generation = prototype.generation
        change = change_of(prototype, "changed")
        values = {
            "account": generation.account,
            "chat_id": chat_id,
            "mockup_id": prototype.id,
            "marker": generation.marker,
            "now": now,
        }
        event = Event("surplus", Source.SWEEP, now, data={"chat_id": chat_id})
        async with self.database.transaction() as connection:
            if await connection.execute(query("save_surplus_chat"), values) == 0:
                return False
            await add_event(connection, generation.workspace_id, prototype.product_id, prototype.id, event)
            self._changes.notify(connection, change)
        self._changes.publish(change)
        return True

    async def known_chats(self, account: str, chats: Sequence[str]) -> set[str]:
        """Those of `chats` that a row has, or that are recorded as surplus."""
        if not chats:
            return set()
        return {row["chat_id"] for row in await self._rows("list_known_chats", account=account, chats=list(chats))}

    async def shared_chats(self, mockup_id: str, chats: Sequence[str]) -> set[str]:
        """Those of a row's chats that another row names, of whatever workspace."""
        if not chats:
            return set()
        async with self.database.reading() as connection:
            return await shared_chats(connection, mockup_id, chats)

    async def knew_chats_before(self, account: str, chats: Sequence[str], before: datetime) -> bool:
        """Whether one of `chats` was created for an account before a time."""
        return bool(await self._rows("has_chats_before", account=account, chats=list(chats), before=before))

    async def has_other_chats(self, account: str, mockup_id: str) -> bool:
        """Whether an account has a chat that is not missing, beside that of one prototype."""
        return bool(await self._rows("has_other_visible_chats", account=account, mockup_id=mockup_id))

    async def repoint_chat(self, workspace_id: str, chat_id: str, new_chat_id: str, now: datetime) -> int:
        """Lets the workspace's prototypes that have a chat lead to the one that was made of it. Returns how many."""
        queries = await self._prepared()
        async with self.database.reading() as connection:
            rows = await connection.fetch_all(queries.by_chat, {"chat_id": chat_id})
        event = Event("chat_made_again", Source.SWEEP, now, data={"chat_id": new_chat_id, "before": chat_id})
        found = [prototype_of(row) for row in rows]
        saved = [
            await self.save(prototype, chat_made_again(prototype, new_chat_id, now), event)
            for prototype in found
            if isinstance(prototype, TrackedPrototype) and prototype.generation.workspace_id == workspace_id
        ]
        return sum(prototype is not None for prototype in saved)

    # -- orphans ---------------------------------------------------------------------------------------------

    async def adopt_orphan(self, orphan: OrphanChat, poll_timeout: timedelta) -> str:
        """Gives a row to a chat of ours that no row has. Returns the outcome, see `orphans.adopt`.

        Raises `LostRace` when other transactions changed the rows at every try.
        """
        for _ in range(claims.MAX_LOSSES - 1):
            with contextlib.suppress(LostRace):
                return await self._try_to_adopt_orphan(orphan, poll_timeout)
        return await self._try_to_adopt_orphan(orphan, poll_timeout)

    async def _try_to_adopt_orphan(self, orphan: OrphanChat, poll_timeout: timedelta) -> str:
        queries = await self._prepared()
        slot = {"workspace_id": orphan.workspace_id, "product_id": orphan.product_id, "provider": orphan.provider}
        async with self.database.transaction() as connection:
            before = await connection.fetch_one(queries.current, slot)
            outcome = await orphans.adopt(connection, queries, orphan, poll_timeout)
            rows = await connection.fetch_all(queries.by_chat, {"chat_id": orphan.chat_id})
            if before is not None and outcome == "adopted":
                # The new row may have taken its slot. Viewers of this prototype read then whether it is current.
                rows.append(before)
            changed = [prototype for row in rows if isinstance(prototype := prototype_of(row), TrackedPrototype)]
            changes = [change_of(prototype, "changed") for prototype in changed]
            for change in changes:
                self._changes.notify(connection, change)
        for change in changes:
            self._changes.publish(change)
        return outcome
