"""Keepers, an emulated v0 and one clock for all; every request and answer in between is held against v0's documents."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from protokeep.bus import Bus
from protokeep.core.call_budget import Limits
from protokeep.core.principals import Principal, Role
from protokeep.core.prototype import Prototype
from protokeep.providers.base import Provider
from protokeep.providers.v0_http import V0Config
from protokeep.providers.v0_v1 import V0V1
from protokeep.providers.v0_v2 import V0V2
from protokeep.sandbox import Knobs, Sandbox, running
from protokeep.service import Ensured, Keeper, NewPrototype
from protokeep.service.chat_metadata import Signer
from protokeep.service.context import Context
from protokeep.service.hooks import Hooks
from protokeep.service.provider_accounts import Providers
from protokeep.store.database import Database
from protokeep.store.prototypes import Store
from sandbox.v0_contract import Document

ACCOUNT = "v0:test"
SECRET = b"s" * 32
ANN = Principal("default", "ann", Role.ADMIN, "t-1")
#: Somebody of another workspace.
EVE = Principal("elsewhere", "eve", Role.ADMIN, "t-2")


class Clock:
    """Stands still until told to move."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
        self._seconds = 0.0

    def __call__(self) -> datetime:
        return self.now

    def elapsed(self) -> float:
        """Seconds that have passed."""
        return self._seconds

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)
        self._seconds += seconds


class Checked(httpx2.AsyncBaseTransport):
    """A transport that holds every request, and every answer that v0 could give, against v0's documents."""

    def __init__(self, documents: dict[str, Document]) -> None:
        self._documents = documents
        self._inner = httpx2.AsyncHTTPTransport()
        self.problems: list[str] = []
        self.calls: Counter[str] = Counter()
        self.answers_checked = True

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        api, _, path = request.url.path.lstrip("/").partition("/")
        document = self._documents.get(api)
        operation = document.at(request.method, f"/{path}") if document else None
        self.calls[f"{api}:{operation or request.url.path}"] += 1
        if document is not None:
            self._check_request(document, operation, request, await request.aread())
        response = await self._inner.handle_async_request(request)
        if document is None or operation is None or not self.answers_checked:
            return response
        content = await response.aread()
        await response.aclose()
        self.problems += document.answer_problems(operation, response.status_code, json.loads(content))
        return httpx2.Response(response.status_code, headers=response.headers, content=content)

    def _check_request(
        self, document: Document, operation: str | None, request: httpx2.Request, content: bytes
    ) -> None:
        where = f"{request.method} {request.url.path}"
        if operation is None:
            self.problems.append(f"{where}: not in the document of {document.api}")
            return
        described = document.operations[operation][2]
        if content:
            self.problems += document.body_problems(operation, json.loads(content))
        elif described.get("requestBody", {}).get("required"):
            self.problems.append(f"{where}: has no body")
        named = {one["name"]: one for one in described.get("parameters", ()) if one.get("in") == "query"}
        given = dict(request.url.params.multi_items())
        for name, value in given.items():
            plain = name.partition("[")[0]
            if plain == "scope":
                continue  # Not in the documents, and sent all the same: the owner asked for it.
            if plain not in named:
                self.problems.append(f"{where}: query {name} is not in the document")
            elif named[plain].get("schema", {}).get("type") in ("integer", "number") and not value.isdigit():
                self.problems.append(f"{where}: query {name}={value} is no number")
        missing = [name for name, one in named.items() if one.get("required") and name not in given]
        self.problems += [f"{where}: query {name} is missing" for name in missing]

    async def aclose(self) -> None:
        await self._inner.aclose()


class World:
    """One emulated v0, one database, and as many keepers as asked for."""

    def __init__(
        self, sandbox: Sandbox, url: str, clock: Clock, api_version: int, transport: Checked, patience: float
    ) -> None:
        self.sandbox = sandbox
        self.url = url
        self.clock = clock
        self.api_version = api_version
        self.transport = transport
        #: How long an adapter waits for v0: long, for a busy machine is not what is tried here.
        self.patience = patience
        self.keeper: Keeper
        self.hooks: Hooks

    def provider(self, api_version: int | None = None) -> Provider:
        """An adapter that talks to the emulator."""
        config = V0Config(
            api_key="key", root_url=self.url, web_url=self.url, scope="mckinsey", timeout_seconds=self.patience
        )
        return (V0V1 if (api_version or self.api_version) == 1 else V0V2)(config, self.transport)

    async def made(self, product: str = "p-1", prompt: str = "A shop", **more: Any) -> Ensured:
        """A prototype that the builder has accepted."""
        ensured = await self.keeper.ensure(ANN, NewPrototype(product, prompt, **more), wait=0)
        await self.keeper.submit(ensured.prototype.id)
        return Ensured(await self.get(ensured.prototype), ensured.decision, ensured.is_existing, accepted=True)

    async def done(self, product: str = "p-1", seconds: float = 30, **more: Any) -> Prototype:
        """A prototype that is finished, and wrapped up."""
        ensured = await self.made(product, **more)
        await self.pass_time(seconds)
        await self.keeper.finalize()
        return await self.get(ensured.prototype)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, then look at what is due."""
        self.clock.advance(seconds)
        await self.keeper.track(ACCOUNT)

    async def get(self, prototype: Prototype) -> Prototype:
        """It, as it is written now."""
        return await self.keeper.get(ANN, prototype.id)

    @property
    def calls(self) -> int:
        """Calls that reached the emulator's APIs."""
        return sum(self.sandbox.stats()["calls"].values())

    async def another(self, database_url: str, limits: Limits | None = None, *, for_new: int | None = None) -> Keeper:
        """A keeper on the same database, as another process has it."""
        providers = Providers({"v0": "V0_API_KEY"})
        for version in (1, 2):
            providers.add(ACCOUNT, self.provider(version), for_new=version == (for_new or self.api_version))
        bus = Bus()
        store = Store(Database(database_url), bus)
        limits = limits or Limits()
        context = Context(
            store, providers, bus, self.clock, limits=limits, elapsed=self.clock.elapsed, signer=Signer(b"secret")
        )
        return Keeper(context)


@contextlib.asynccontextmanager
async def world_of(
    database_url: str,
    api_version: int,
    documents: dict[str, Document],
    *,
    limits: Limits | None = None,
    patience: float = 10.0,
    **knobs: Any,
) -> AsyncIterator[World]:
    """A world whose generations take twenty seconds of its clock."""
    clock = Clock()
    sandbox = Sandbox(clock, Knobs(**{"generation_seconds": 20, **knobs}), random_seed=5)
    async with running(sandbox) as url:
        transport = Checked(documents)
        world = World(sandbox, url, clock, api_version, transport, patience)
        world.keeper = await world.another(database_url, limits)
        world.hooks = Hooks(world.keeper.context, SECRET, "http://127.0.0.1:9")
        try:
            yield world
        finally:
            await world.keeper.context.audit.close()
            await world.keeper.context.providers.aclose()
            await world.keeper.context.store.close()
    assert not transport.problems, "\n".join(sorted(set(transport.problems)))
