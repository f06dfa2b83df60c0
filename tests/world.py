"""A small world on one clock that stands still: a database, the emulated v0 over real HTTP, and processes of protokeep.

    async with World.open(database_url, api_version=2) as world:
        first = await world.ensure("p-1")            # claimed; nothing was sent yet
        await world.work()                           # what was queued runs now: the create is sent
        world.clock.advance(10)
        assert (await world.status("p-1")).status is Status.COMPLETED
        assert world.made == 1                       # counted on v0's side

Nothing happens by itself: tests submit, track, sweep and let time pass. `await world.node()` is one more process on
the same database and the same v0; `node.crash_at(point)` ends it at a named point, and its leases stay behind.
`world.open_client()` is the real web application on a real port.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx2
import pytest

from protokeep.bus import Bus
from protokeep.core.principals import Principal, Role
from protokeep.core.prototype import Prototype
from protokeep.core.timing import Timing
from protokeep.providers.base import Provider
from protokeep.providers.v0_http import V0Config
from protokeep.providers.v0_v1 import V0V1
from protokeep.providers.v0_v2 import V0V2
from protokeep.sandbox import Chat, Knobs, Sandbox, running
from protokeep.service import Ensured, Keeper, NewPrototype
from protokeep.service.chat_metadata import Signer
from protokeep.service.context import Context
from protokeep.service.heartbeat import Clock as ReadsClock
from protokeep.service.heartbeat import SteadyClock
from protokeep.service.hooks import Hooks
from protokeep.service.provider_accounts import Providers, StoredKeys
from protokeep.service.sessions import Sessions
from protokeep.service.tokens import Tokens
from protokeep.service.vault import Vault
from protokeep.settings import Settings
from protokeep.store.database import Database
from protokeep.store.prototypes import Page, Store
from protokeep.store.provider_keys import KeyStore
from protokeep.store.sessions import SessionStore
from protokeep.store.tokens import TokenStore
from protokeep.web.app import create_app
from protokeep.web.protocol import Bounds
from protokeep.web.server import address_of, listen, serving
from protokeep.wiring import ENVIRONMENT_ACCOUNT, PROVIDERS, Application
from store.owner import rows, run
from tracked import tracked

ANN = Principal("default", "ann", Role.MAKER, "token-of-ann")
BOB = Principal("default", "bob", Role.MAKER, "token-of-bob")

PROMPT = "A landing page for a bakery"
KEY = "key-of-the-tests"
MASTER = "a master key of the tests, long enough to be one"
GENERATION_SECONDS = 10.0

#: Runs a test, or all tests of a class, with each version of v0's API; otherwise `world` speaks v2 on each database.
#: Versions and databases know nothing of each other, so two of the four pairs are enough.
both_versions = pytest.mark.parametrize(
    ("database_url", "api_version"), [("sqlite", 1), ("postgresql", 2)], indirect=["database_url"], ids=["v1", "v2"]
)
#: Runs a test on one kind of database only, because the other cannot make a difference to it.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


class Clock:
    """Stands still until told to move: the wall clock of every host and of the database, and the ruler beside it."""

    def __init__(self, now: datetime = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)) -> None:
        self.now = now
        self._began = now
        self._seconds = 0.0

    def __call__(self) -> datetime:
        return self.now

    def elsewhere(self) -> datetime:
        """The clock of another host, at the builder, which nobody sets."""
        return self._began + timedelta(seconds=self._seconds)

    def elapsed(self) -> float:
        """Seconds that have passed, whatever the wall clock was set to."""
        return self._seconds

    def advance(self, seconds: float) -> datetime:
        """Let time pass; the time it is then. Less than nothing: somebody sets the clock back."""
        self._seconds += max(seconds, 0.0)
        return self.step(seconds)

    def step(self, seconds: float) -> datetime:
        """Set the clock to another time, without any passing."""
        self.now += timedelta(seconds=seconds)
        return self.now


class Crash(BaseException):
    """The process ends here. No `except Exception` may catch it, as none catches a SIGKILL."""


class ByHand:
    """A queue that keeps what was asked for until the test runs it."""

    def __init__(self) -> None:
        self.submits: list[str] = []
        self.tracks: list[str] = []
        #: What this process holds since it claimed it; with `holds` it does so.
        self.held: list[Prototype] = []
        self.holds = False

    def has_room(self) -> bool:
        return self.holds

    def start(self, claimed: Prototype) -> None:
        self.held.append(claimed)

    async def submit(self, mockup_id: str, fence: int, *, first: bool = False) -> None:
        self.submits.append(mockup_id)

    async def track(self, account: str) -> None:
        self.tracks.append(account)


class AtOnce(ByHand):
    """A queue that runs a submit beside the caller as soon as it is asked for; looks wait for the test."""

    def __init__(self, keeper: Keeper) -> None:
        super().__init__()
        self._keeper = keeper
        self._running: set[asyncio.Task[None]] = set()

    async def submit(self, mockup_id: str, fence: int, *, first: bool = False) -> None:
        self._run(self._keeper.submit(mockup_id))

    def start(self, claimed: Prototype) -> None:
        self._run(self._keeper.submit_held(tracked(claimed)))

    def _run(self, submitting: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(submitting)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def finished(self) -> None:
        """Return when no submit runs any more. Raises what one of them raised."""
        while self._running:
            await asyncio.gather(*self._running)


@dataclass
class Node:
    """One process: a keeper with connections, bus and builders of its own, and its queue."""

    keeper: Keeper
    queue: ByHand
    database: Database

    @property
    def context(self) -> Context:
        return self.keeper.context

    @property
    def store(self) -> Store:
        return self.keeper.context.store

    def crash_at(self, point: str | None) -> None:
        """Raise `Crash` every time this process gets to `point` (None: never again)."""

        def reached(name: str) -> None:
            if name == point:
                raise Crash(name)

        self.context.checkpoint = reached

    async def work(self) -> None:
        """Run what is queued, submits first, and what that queues, until the queue is empty."""
        queue = self.queue
        if isinstance(queue, AtOnce):
            await queue.finished()
        while queue.held or queue.submits or queue.tracks:
            held, queue.held = queue.held, []
            for claimed in held:
                await self.keeper.submit_held(tracked(claimed))
            submits, queue.submits = queue.submits, []
            for mockup_id in submits:
                await self.keeper.submit(mockup_id)
            tracks, queue.tracks = queue.tracks, []
            for account in dict.fromkeys(tracks):
                await self.keeper.track(account)

    async def sweep(self) -> int:
        """One sweep, and all that it found to do. How many rows and accounts that was."""
        found = await self.keeper.sweep()
        await self.work()
        return found

    async def close(self) -> None:
        """End in good order, as far as connections go."""
        if isinstance(self.queue, AtOnce):
            await self.queue.finished()
        await self.context.audit.close()
        await self.context.providers.aclose()
        await self.store.close()


@dataclass
class Site:
    """The web application on a real port, and a client with a maker's token."""

    url: str
    http: httpx2.AsyncClient
    tokens: Tokens
    node: Node

    async def token(self, role: Role = Role.MAKER, user_id: str = "ann", **values: Any) -> str:
        """A new token as its owner holds it."""
        text, _ = await self.tokens.create(role, user_id=user_id, **values)
        return text

    async def create(self, product_id: str = "p-1", prompt: str = PROMPT, **more: Any) -> httpx2.Response:
        """`POST /api/design/create-project`; `headers` go beside the token, all else into the body."""
        headers = more.pop("headers", {})
        body = {"product_id": product_id, "prompt": prompt, **more}
        return await self.http.post("/api/design/create-project", json=body, headers=headers)

    async def listed(self, product_id: str = "p-1", **params: Any) -> httpx2.Response:
        """`GET /api/design/mockups/{product_id}`."""
        return await self.http.get(f"/api/design/mockups/{product_id}", params=params)

    async def status(
        self, product_id: str = "p-1", provider: str = "v0", headers: dict[str, str] | None = None
    ) -> httpx2.Response:
        """`GET /api/design/mockups/{product_id}/status`."""
        path = f"/api/design/mockups/{product_id}/status"
        return await self.http.get(path, params={"provider": provider}, headers=headers)


@dataclass
class World:
    """One database, one emulated v0, one clock, and any number of processes; the first one is `first`."""

    database_url: str
    api_version: int
    clock: Clock
    sandbox: Sandbox
    v0_url: str
    pace: Timing
    scope: str = "mckinsey"
    timeout_seconds: float = 5.0
    #: Whether processes go by clocks of their own, as real ones do.
    steady: bool = False
    nodes: list[Node] = field(default_factory=list)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        database_url: str,
        api_version: int = 2,
        *,
        pace: Timing | None = None,
        steady: bool = False,
        **knobs: Any,
    ) -> AsyncIterator[World]:
        """A world with one process, on a database that is there. `knobs` are the sandbox's."""
        clock = Clock()
        sandbox = Sandbox(clock.elsewhere, Knobs(**{"generation_seconds": GENERATION_SECONDS, **knobs}), random_seed=7)
        async with running(sandbox) as v0_url:
            world = cls(database_url, api_version, clock, sandbox, v0_url, pace or Timing(), steady=steady)
            # As if it had been migrated at this moment, not when the tests began.
            with contextlib.suppress(sqlite3.OperationalError, asyncpg.UndefinedTableError):
                made_at = clock.now.isoformat()
                await run(database_url, f"UPDATE protokeep_meta SET value = '{made_at}' WHERE name = 'keeper_made_at'")
            try:
                await world.node()
                yield world
            finally:
                for node in world.nodes:
                    await node.close()

    # -- processes -------------------------------------------------------------------------------------------

    async def node(
        self,
        *,
        at_once: bool = False,
        key: str | None = KEY,
        clock: ReadsClock | None = None,
        masters: Sequence[str] = (MASTER,),
        ours_for: Sequence[str] | None = None,
        alone: bool = False,
        holds: bool = False,
        steady: bool = False,
        **config: Any,
    ) -> Node:
        """One more process. Without a `key` no builder is configured; `config` goes to `V0Config`.

        `masters` seal the keys that are kept; `ours_for` are the workspaces that `key` pays for (None: all). One that
        is `alone`, as beside SQLite, asks at its start for what nobody wrote down. One that `holds` what it claims
        submits it itself. One that is `steady` goes by a clock of its own, as real ones do, and follows the world's
        with each beat.
        """
        bus = Bus()
        database = Database(self.database_url)

        def build(_name: str, kept_key: str) -> Sequence[Provider]:
            spoken = V0Config.of(
                api_key=kept_key,
                base_url=self.v0_url,
                scope=self.scope,
                web_url=None,
                timeout_seconds=self.timeout_seconds,
            )
            return V0V1(spoken), V0V2(spoken)

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
            for provider in (V0V1(spoken, **config), V0V2(spoken, **config)):
                providers.add(ENVIRONMENT_ACCOUNT, provider, for_new=provider.api_version == self.api_version)
        steady = steady or self.steady
        if steady:
            clock = SteadyClock(self.clock(), self.clock.elapsed)
        context = Context(
            Store(database, bus),
            providers,
            bus,
            clock or self.clock,
            self.pace,
            single_process=alone,
            elapsed=self.clock.elapsed,
            wall=clock if clock is not None and not steady else self.clock,
            signer=Signer(b"secret-of-the-tests"),
        )
        keeper = Keeper(context)
        context.queue = AtOnce(keeper) if at_once else ByHand()
        context.queue.holds = holds
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
        return {
            table: await self.rows(f"SELECT * FROM {table} ORDER BY 1, 2")
            for table in (
                "design_mockups",
                "protokeep_slots",
                "protokeep_generations",
                "protokeep_products",
                "protokeep_events",
                "protokeep_idempotency_keys",
            )
        }

    @property
    def made(self) -> int:
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
        """The web application on a port of its own. Its submits run at once; its looks when somebody asks.

        `real=False` calls the application without a socket between, which is ten times faster to set up.
        """
        node = node or await self.node(at_once=True)
        made = settings_of(database_url=self.database_url, **settings)
        tokens = Tokens(TokenStore(node.database), b"secret-of-the-tests", self.clock)
        sign_on_lasts = timedelta(hours=made.sign_on_hours)
        sessions = Sessions(SessionStore(node.database), tokens, b"secret-of-the-tests", self.clock, sign_on_lasts)
        hooks = Hooks(node.keeper.context, b"secret-of-the-tests", made.public_url)
        app = create_app(made, Application(made, node.keeper, tokens, sessions, hooks))
        token, _ = await tokens.create(Role.MAKER, user_id=ANN.user_id)
        headers = {"Authorization": f"Bearer {token}"}
        async with contextlib.AsyncExitStack() as stack:
            transport = None
            if real:
                listener = listen("127.0.0.1", 0)
                url = address_of(listener)
                bounds = Bounds(made.max_header_bytes, made.header_seconds, made.body_seconds)
                await stack.enter_async_context(serving(app, listener, bounds=bounds))
            else:
                url = "http://protokeep.test"
                await stack.enter_async_context(app.router.lifespan_context(app))
                transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
            client = httpx2.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30, transport=transport)
            yield Site(url, await stack.enter_async_context(client), tokens, node)


def settings_of(**values: Any) -> Settings:
    """Settings of a test's own: neither a `.env` nor the environment has a say in what is given here."""
    return Settings(_env_file=None, **values)  # type: ignore[call-arg, unused-ignore]


def quick(pace: Timing | None = None, **changes: Any) -> Timing:
    """A pace with some durations changed."""
    return replace(pace or Timing(), **changes)


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait, in real time and not for long, for something that happens beside the test."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - it changes in code that knows no event of ours
            await asyncio.sleep(0.005)
