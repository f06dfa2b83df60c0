"""The dependencies of the use cases, handed in once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from os import getpid
from socket import gethostname
from typing import Protocol
from uuid import uuid4

from protokeep.bus import Bus
from protokeep.core.call_budget import Limits
from protokeep.core.events import Event, Source
from protokeep.core.prototype import Prototype, TrackedPrototype
from protokeep.core.quotas import Quotas
from protokeep.core.shares import Shares
from protokeep.core.similar import UnclearProductRule
from protokeep.core.timing import Timing
from protokeep.metrics import Metrics
from protokeep.service.audit import Audit
from protokeep.service.chat_metadata import Signer
from protokeep.service.heartbeat import Clock, Heartbeat, boot_seconds, utc_now
from protokeep.service.key_room import KeyRoom
from protokeep.service.provider_accounts import Providers
from protokeep.service.scans import Scans
from protokeep.service.workspace_settings import UnclearProducts, WorkspaceSettings
from protokeep.store.audit import AuditStore
from protokeep.store.readiness import Readiness
from protokeep.store.store import Store
from protokeep.store.workspace_settings import WorkspaceSettingsStore


class Queue(Protocol):
    """Decides when code runs; may run everything twice, late, or never."""

    def has_room(self, workspace_id: str) -> bool:
        """Whether this process would start a workspace's new row now, so that it may hold the row from its claim on."""
        ...

    def start(self, claimed: TrackedPrototype) -> None:
        """Run `Keeper.submit_held` now for a row that this process holds since its claim."""
        ...

    async def submit(self, mockup_id: str, fence: int, *, first: bool = False) -> None:
        """Run `Keeper.submit` soon; with `first`, before rows that were queued without it."""
        ...

    async def track(self, account: str) -> None:
        """Run `Keeper.track` until nothing of the account is in flight."""
        ...


class NoQueue:
    """Runs nothing: the owner of the keeper calls its steps."""

    def has_room(self, workspace_id: str) -> bool:
        return False

    def start(self, claimed: TrackedPrototype) -> None:
        return None

    async def submit(self, mockup_id: str, fence: int, *, first: bool = False) -> None:
        return None

    async def track(self, account: str) -> None:
        return None


@dataclass
class Context:
    """The dependencies of the use cases in one process, and the name of the process."""

    store: Store
    providers: Providers
    bus: Bus
    clock: Clock = utc_now
    timing: Timing = field(default_factory=Timing)
    limits: Limits = field(default_factory=Limits)
    quotas: Quotas = field(default_factory=Quotas)
    queue: Queue = field(default_factory=NoQueue)
    #: Requests that may wait at once.
    waits: Shares = field(default_factory=lambda: Shares(100, 900))
    #: The turns of reads that take longer the more rows there are.
    scans: Scans = field(default_factory=Scans)
    #: How long what people delete waits in the bin; zero: it is deleted at once.
    bin_time: timedelta = timedelta(0)
    #: Idempotency keys of a workspace that are remembered at once; 0: any number.
    keys_per_workspace: int = 0
    #: Whether a product whose id reads like another one's is refused until the asker says that it is another one, in
    #: workspaces whose admins have not chosen.
    asks_unclear_product: bool = False
    #: The name of this process in the database.
    owner: str = field(default_factory=lambda: f"{gethostname()}:{getpid()}:{uuid4().hex[:8]}")
    #: Whether no other process works on this database: then every start may be a start on a restored copy.
    single_process: bool = False
    metrics: Metrics = field(default_factory=Metrics)
    #: Called with the name of each point at which a crash is survivable; tests crash there.
    checkpoint: Callable[[str], None] = lambda point: None
    #: A monotonic clock, in seconds: how old something is within this process.
    elapsed: Callable[[], float] = boot_seconds
    #: Used instead of the database's clock: SQLite has none of its own.
    wall: Clock | None = None
    #: Signs the metadata of chats with the installation's secret.
    signer: Signer = field(kw_only=True)
    audit: Audit = field(init=False)
    key_room: KeyRoom = field(init=False)
    workspace_settings: WorkspaceSettings = field(init=False)
    heartbeat: Heartbeat = field(init=False)
    readiness: Readiness = field(init=False)

    def __post_init__(self) -> None:
        self.audit = Audit(AuditStore(self.store.database), scans=self.scans)
        self.workspace_settings = WorkspaceSettings(WorkspaceSettingsStore(self.store.database), self.clock)
        self.key_room = KeyRoom(self.store.idempotency, self.keys_per_workspace, self.clock)
        self.readiness = Readiness(self.store.database, self.clock)
        self.heartbeat = Heartbeat(
            self.store,
            self.owner,
            self.clock,
            self.timing,
            wall=self.wall,
            elapsed=self.elapsed,
            single_process=self.single_process,
        )

    async def unclear_products(self, workspace_id: str) -> UnclearProducts:
        """What happens in a workspace to requests for products whose ids read like another one's."""
        default = UnclearProductRule.ASK if self.asks_unclear_product else UnclearProductRule.TAKE
        return await self.workspace_settings.unclear_products(workspace_id, default)

    async def asks_first(self, workspace_id: str) -> bool:
        """Whether programs have to say first that such a product is another one."""
        return (await self.unclear_products(workspace_id)).rule is UnclearProductRule.ASK


def status_events(before: Prototype, after: Prototype, source: Source, now: datetime) -> list[Event]:
    """The line of history for a status that moved; empty when it did not."""
    if before.status is after.status and before.state is after.state:
        return []
    generation = after.generation
    data = (
        {"code": generation.error.code, "message": generation.error.message}
        if generation is not None and generation.error.code is not None and not generation.not_visible
        else {"state": after.state.value}
    )
    return [Event("status", source, now, status=after.status.value, data=data)]


@contextlib.asynccontextmanager
async def renewing(renew: Callable[[], Awaitable[object]], every: timedelta) -> AsyncIterator[None]:
    """Call `renew` again and again for as long as the context lasts, so that a lease ends soon after its process."""

    async def renew_forever() -> None:
        while True:
            await asyncio.sleep(every.total_seconds())
            with contextlib.suppress(Exception):  # The database may answer the next time.
                await renew()

    task = asyncio.create_task(renew_forever())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
