"""A small world on one clock that stands still: a database, the emulated v0 over real HTTP, and processes of protokeep.

    async with World.open(database_url, api_version=2) as world:
        first = await world.ensure("p-1")            # claimed; nothing was sent yet
        await world.work()                           # what was queued runs now: the create is sent
        world.clock.advance(10)
        assert (await world.status("p-1")).status is Status.COMPLETED
        assert world.chats_created == 1                       # counted on v0's side

Nothing happens by itself: tests submit, track, sweep and let time pass. `await world.node()` is one more process on
the same database and the same v0; `node.crash_at(point)` ends it at a named point, and its leases stay behind.
`world.serving()` is the web application, on a real port or called directly.

A test says with `@pytest.mark.world(...)` how `World.open` opens the world that its fixture `world` gives it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import asyncpg

from clock import Clock
from contract_transport import ContractTransport
from marks import both_versions, every_version_and_database, on_postgresql, on_sqlite
from node import Crash, ImmediateQueue, ManualQueue, Node, jobs_of
from owner_schemas import rows, rows_of_each, run
from people import ADA, ANN, BOB, EVE, GENERATION_SECONDS, KEY, MASTER, PROMPT, SECRET
from protokeep.bus import Bus
from protokeep.core.call_budget import Limits
from protokeep.core.principals import Principal
from protokeep.core.prototype import Prototype
from protokeep.core.timing import Timing
from protokeep.metrics import Metrics
from protokeep.providers.base import Provider
from protokeep.providers.of_fork import ForkableV0V1, ForkableV0V2
from protokeep.providers.v0_http import V0Config
from protokeep.sandbox import Chat, Knobs, Sandbox, running
from protokeep.service import Ensured, Keeper, NewPrototype
from protokeep.service.chat_metadata import Signer
from protokeep.service.context import Context
from protokeep.service.heartbeat import Clock as ReadsClock
from protokeep.service.heartbeat import SteadyClock
from protokeep.service.installation import ForkGuard
from protokeep.service.provider_accounts import Providers, StoredKeys
from protokeep.service.vault import Vault
from protokeep.store.database import Database
from protokeep.store.installation import InstallationStore
from protokeep.store.prototypes import Page
from protokeep.store.provider_keys import KeyStore
from protokeep.store.store import Store
from protokeep.wiring import ENVIRONMENT_ACCOUNT, PROVIDERS
from sandbox.v0_contract import Document
from waiting import until
from web_site import Site, serve, settings_of

#: The whole world of tests has one door: what tests use of it is imported from here.
__all__ = [
    "ADA",
    "ANN",
    "BOB",
    "ENVIRONMENT_ACCOUNT",
    "EVE",
    "GENERATION_SECONDS",
    "KEY",
    "MASTER",
    "PROMPT",
    "SECRET",
    "Clock",
    "Crash",
    "ImmediateQueue",
    "ManualQueue",
    "Node",
    "Site",
    "World",
    "both_versions",
    "every_version_and_database",
    "jobs_of",
    "on_postgresql",
    "on_sqlite",
    "quick",
    "settings_of",
    "until",
]

#: The tables that requests write to.
WRITTEN = (
    "design_mockups",
    "protokeep_slots",
    "protokeep_generations",
    "protokeep_products",
    "protokeep_events",
    "protokeep_idempotency_keys",
    "protokeep_censuses",
    "protokeep_pins",
    "protokeep_plans",
    "protokeep_archives",
    "protokeep_invitations",
    "protokeep_texts",
    "protokeep_product_tags",
    "protokeep_archived_products",
    "protokeep_favourites",
    "protokeep_saved_views",
)


@dataclass
class World:
    """One database, one emulated v0, one clock, and any number of processes; the first one is `first`."""

    database_url: str
    api_version: int
    clock: Clock
    sandbox: Sandbox
    v0_url: str
    timing: Timing
    scope: str = "mckinsey"
    timeout_seconds: float = 5.0
    #: Whether processes go by clocks of their own, as real ones do.
    steady: bool = False
    #: Whether the tenant of an owner's row is the workspace that it belongs to.
    tenants_are_workspaces: bool = False
    #: Calls that each process may make.
    limits: Limits = field(default_factory=Limits)
    #: Holds what every process says to v0, and what it answers, against v0's documents; None: nothing does.
    transport: ContractTransport | None = None
    nodes: list[Node] = field(default_factory=list)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        database_url: str,
        api_version: int = 2,
        *,
        timing: Timing | None = None,
        steady: bool = False,
        limits: Limits | None = None,
        timeout_seconds: float = 5.0,
        documents: Mapping[str, Document] | None = None,
        tenants_are_workspaces: bool = False,
        **knobs: Any,
    ) -> AsyncIterator[World]:
        """A world with one process, on a database that is there. `knobs` are the sandbox's.

        With v0's `documents`, the test fails when a request or an answer is not as they say.
        """
        clock = Clock()
        sandbox = Sandbox(clock.elsewhere, Knobs(**{"generation_seconds": GENERATION_SECONDS, **knobs}), random_seed=7)
        async with running(sandbox) as v0_url:
            world = cls(
                database_url,
                api_version,
                clock,
                sandbox,
                v0_url,
                timing or Timing(),
                timeout_seconds=timeout_seconds,
                steady=steady,
                tenants_are_workspaces=tenants_are_workspaces,
                limits=limits or Limits(),
                transport=None if documents is None else ContractTransport(documents),
            )
            # As if it had been migrated at this moment, not when the tests began.
            with contextlib.suppress(sqlite3.OperationalError, asyncpg.UndefinedTableError):
                made_at = clock.now.isoformat()
                await run(database_url, f"UPDATE protokeep_meta SET value = '{made_at}' WHERE name = 'installed_at'")
            try:
                await world.node()
                yield world
            finally:
                for node in world.nodes:
                    await node.close()
        if world.transport is not None:
            assert not world.transport.problems, "\n".join(sorted(set(world.transport.problems)))

    # -- processes -------------------------------------------------------------------------------------------

    async def node(
        self,
        *,
        immediate: bool = False,
        key: str | None = KEY,
        clock: ReadsClock | None = None,
        masters: Sequence[str] = (MASTER,),
        ours_for: Sequence[str] | None = None,
        single_process: bool = False,
        holds_claims: bool = False,
        steady: bool = False,
        **config: Any,
    ) -> Node:
        """One more process. Without a `key` no builder is configured; `config` goes to `V0Config`.

        `masters` seal stored keys; `ours_for` are the workspaces that `key` pays for (None: all). With `immediate` a
        submit runs as soon as it is queued. A `single_process`, as beside SQLite, searches at its start for chats
        that are in no row. With `holds_claims` the process sends its own claims. A `steady` process goes by a clock of
        its own, as real ones do, and follows the world's with each beat.
        """
        bus, metrics = Bus(), Metrics()
        database = Database(self.database_url)
        config.setdefault("transport", self.transport)
        guard = ForkGuard(InstallationStore(database), Signer(SECRET))

        def built(spoken: V0Config, **config: Any) -> Sequence[Provider]:
            found = ForkableV0V1(spoken, **config), ForkableV0V2(spoken, **config)
            for provider in found:
                provider.guard = guard
            return found

        def build(_name: str, kept_key: str) -> Sequence[Provider]:
            spoken = V0Config.of(
                api_key=kept_key,
                base_url=self.v0_url,
                scope=self.scope,
                web_url=None,
                timeout_seconds=self.timeout_seconds,
            )
            return built(replace(spoken, metrics=metrics), transport=self.transport)

        vault = Vault([master.encode() for master in masters])
        kept = StoredKeys(KeyStore(database), vault, build, {"v0": self.api_version})
        providers = Providers(PROVIDERS, kept, lambda workspace: ours_for is None or workspace in ours_for)
        if key is not None:
            spoken = V0Config.of(
                api_key=key,
                base_url=config.pop("base_url", self.v0_url),
                scope=config.pop("scope", self.scope),
                web_url=None,
                timeout_seconds=config.pop("timeout_seconds", self.timeout_seconds),
            )
            for provider in built(replace(spoken, metrics=metrics), **config):
                for_new = provider.api_version == self.api_version
                providers.add(ENVIRONMENT_ACCOUNT, provider, for_new=for_new, key_mark=key)
        steady = steady or self.steady
        if steady:
            clock = SteadyClock(self.clock(), self.clock.elapsed)
        context = Context(
            Store(database, bus, tenants_are_workspaces=self.tenants_are_workspaces),
            providers,
            bus,
            clock or self.clock,
            self.timing,
            self.limits,
            single_process=single_process,
            elapsed=self.clock.elapsed,
            wall=clock if clock is not None and not steady else self.clock,
            metrics=metrics,
            signer=Signer(SECRET),
        )
        keeper = Keeper(context)
        context.queue = ImmediateQueue(keeper) if immediate else ManualQueue()
        context.queue.holds_claims = holds_claims
        node = Node(keeper, context.queue, database)
        self.nodes.append(node)
        return node

    @property
    def first(self) -> Node:
        """The process that the helpers below use."""
        return self.nodes[0]

    @property
    def keeper(self) -> Keeper:
        return self.first.keeper

    def provider(self, api_version: int | None = None) -> Provider:
        """The first process's adapter of that version of v0's API, or of the world's own."""
        found = self.first.context.providers.serving(ENVIRONMENT_ACCOUNT, api_version or self.api_version)
        assert found is not None, "no v0 is configured"
        return found

    @property
    def store(self) -> Store:
        return self.first.store

    # -- what people do --------------------------------------------------------------------------------------

    async def ensure(
        self, product_id: str = "p-1", prompt: str = PROMPT, *, who: Principal = ANN, wait: float = 0.0, **more: Any
    ) -> Ensured:
        """Ask for a product's prototype. `more`: create_new, provider, product_name, idempotency_key."""
        return await self.keeper.ensure(who, NewPrototype(product_id, prompt, **more), wait=wait)

    async def make(self, product_id: str = "p-1", prompt: str = PROMPT, **more: Any) -> Prototype:
        """Ask for a product's prototype, and let the builder accept it."""
        ensured = await self.ensure(product_id, prompt, **more)
        await self.work()
        return await self.get(ensured.prototype.id)

    async def complete(self, product_id: str = "p-1", prompt: str = PROMPT, **more: Any) -> Prototype:
        """Ask for a product's prototype, and wait until it is ready."""
        made = await self.make(product_id, prompt, **more)
        self.clock.advance(GENERATION_SECONDS)
        await self.sweep()
        return await self.get(made.id)

    async def finish(
        self, product_id: str = "p-1", prompt: str = PROMPT, *, seconds: float = 30.0, **more: Any
    ) -> Prototype:
        """Ask for a product's prototype, wait until it is ready, and read what is read once at the end."""
        made = await self.make(product_id, prompt, **more)
        await self.pass_time(seconds)
        await self.keeper.finalize()
        return await self.get(made.id)

    async def status(self, product_id: str = "p-1", *, who: Principal = ANN, wait: float = 0.0) -> Prototype:
        """A product's prototype as a status request sees it."""
        return await self.keeper.status(who, product_id, "v0", wait=wait)

    async def listed(self, product_id: str = "p-1", *, who: Principal = ANN, **page: Any) -> Sequence[Prototype]:
        """The first page of a product's prototypes."""
        found, _ = await self.keeper.list(who, product_id, Page(**{"limit": 100, **page}))
        return found

    # -- what happens ----------------------------------------------------------------------------------------

    async def work(self) -> None:
        """Run what the first process has queued."""
        await self.first.work()

    async def sweep(self) -> int:
        """One sweep of the first process, and all that it found to do."""
        return await self.first.sweep()

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and have the first process poll what is due."""
        self.clock.advance(seconds)
        await self.keeper.track(ENVIRONMENT_ACCOUNT)

    async def adopt(self) -> None:
        """One round of adoption of the owner's older rows, when it is time for one."""
        self.clock.advance(20)
        await self.keeper.adopt()

    async def live(self, seconds: float, step: float = 3.0) -> None:
        """Let time pass in steps, with a sweep after each."""
        ends = self.clock.now + timedelta(seconds=seconds)
        while self.clock.now < ends:
            self.clock.advance(min(step, (ends - self.clock.now).total_seconds()))
            await self.sweep()

    # -- what is true ----------------------------------------------------------------------------------------

    async def get(self, prototype_id: str) -> Prototype:
        """One prototype as it is written."""
        found = await self.store.get_unscoped(prototype_id)
        assert found is not None, f"no prototype {prototype_id}"
        return found

    async def kinds(self, prototype: Prototype) -> list[str]:
        """The kinds of a prototype's events, oldest first."""
        history, _ = await self.keeper.history(await self.get(prototype.id))
        return [str(row["kind"]) for row in history]

    async def rows(self, query: str) -> list[dict[str, Any]]:
        """What the database answers, past all our code."""
        return await rows(self.database_url, query)

    async def contents(self) -> dict[str, list[dict[str, Any]]]:
        """All that a request could have written: equal before and after means that it wrote nothing."""
        queries = [f"SELECT * FROM {table} ORDER BY 1, 2" for table in WRITTEN]
        return dict(zip(WRITTEN, await rows_of_each(self.database_url, *queries), strict=True))

    @property
    def chats_created(self) -> int:
        """How many chats v0 made, as v0 counts them."""
        return self.sandbox.chats_created

    @property
    def chat(self) -> Chat:
        """The one chat that v0 has made."""
        (chat,) = self.sandbox.chats.values()
        return chat

    def calls(self, *operations: str) -> int:
        """How often v0 was called, by the operation ids of its documents; without any: at all."""
        counted: dict[str, int] = self.sandbox.stats()["calls"]
        return sum(count for operation, count in counted.items() if not operations or operation in operations)

    @property
    def creates(self) -> int:
        """How often v0 was asked to create a chat."""
        return self.calls("chats.create", "chats.createAsync")

    async def orphans(self) -> set[str]:
        """Chats that live at v0 and are in no row here: neither a prototype's nor a surplus one."""
        known = {row["v0_chat_id"] for row in await self.rows("SELECT v0_chat_id FROM design_mockups")}
        known |= {row["chat_id"] for row in await self.rows("SELECT chat_id FROM protokeep_surplus_chats")}
        return {chat.id for chat in self.sandbox.chats.values() if not chat.deleted} - known

    @contextlib.contextmanager
    def knobs(self, **knobs: Any) -> Iterator[None]:
        """Turn some of the sandbox's knobs for as long as the context lasts."""
        before = self.sandbox.knobs
        self.sandbox.set_knobs(**knobs)
        try:
            yield
        finally:
            self.sandbox.set_knobs(**{name: getattr(before, name) for name in knobs})

    # -- the web application ---------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def serving(self, node: Node | None = None, *, real: bool = True, **settings: Any) -> AsyncIterator[Site]:
        """The web application on a port of its own. Submits run at once; polls run when a test asks.

        `real=False` calls the application without a socket between, which is ten times faster to set up.
        """
        chosen = settings_of(database_url=self.database_url, **settings)
        async with serve(node or await self.node(immediate=True), chosen, self.clock, real=real) as served:
            yield served


def quick(timing: Timing | None = None, **changes: Any) -> Timing:
    """`timing`, or the default one, with some durations changed."""
    return replace(timing or Timing(), **changes)
