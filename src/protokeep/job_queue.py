"""The queue of one process: its own claims stay in the process, all other jobs go into PgQueuer.

PgQueuer keeps jobs in memory beside SQLite, and on PostgreSQL for any number of processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

import asyncpg
import structlog
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.adapters.persistence.queries import Queries

from protokeep.bus import enable_keepalive
from protokeep.core.connection_limits import FOR_QUEUE, ConnectionLimits
from protokeep.core.prototype import TrackedPrototype
from protokeep.store.pool_usage import PoolUsage, Waits
from protokeep.store.postgresql import CONNECT_SECONDS, usage_of

log = structlog.get_logger(__name__)

#: The longest that a statement of the queue may take; it holds no lease.
STATEMENT_SECONDS = 10.0
#: Creates that one process sends at once: so many claims of its own, and so many jobs out of PgQueuer.
SUBMITS_AT_ONCE = 400
#: Claims that one process holds, sent or waiting; further ones go into PgQueuer.
HELD_AT_ONCE = 2 * SUBMITS_AT_ONCE
#: The part of both that one workspace may have, so that a create of another one is sent at once.
PART_OF_WORKSPACE = 0.75
#: A job that has not run after this long may be queued again. PgQueuer runs a job when a clock shows the time at which
#: the job was queued; once that clock has been set back by an hour, the job waits for an hour.
REPEAT_SECONDS = 30

#: Sends one claim to the provider.
SendClaim = Callable[[TrackedPrototype], Awaitable[None]]


class JobQueue:
    """Implements `service.context.Queue`."""

    def __init__(
        self,
        database_url: str,
        wall_clock: Callable[[], float] = time.time,
        limits: ConnectionLimits | None = None,
    ) -> None:
        """`database_url` leads past a pooler in transaction mode: PgQueuer listens."""
        self._wall_clock = wall_clock
        self._limits = limits or ConnectionLimits()
        self._url = None if database_url.startswith("sqlite") else database_url
        self._memory = None if self._url else PgQueuer.in_memory()
        self._pool: asyncpg.Pool | None = None
        self._process_id = uuid4().hex
        self._send: SendClaim | None = None
        self._accepts_claims = False
        self._send_slots = asyncio.Semaphore(SUBMITS_AT_ONCE)
        self._slots_of_workspace: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._held_of_workspace: Counter[str] = Counter()
        #: Claims that this process holds: one running or waiting task each.
        self.sending: set[asyncio.Task[None]] = set()
        #: Accounts that this process polls: no job is queued for them.
        self.tracking: set[str] = set()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[JobQueue]:
        """Connect to the database, for as long as the context lasts."""
        if self._url:
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=0,
                max_size=FOR_QUEUE + 1,  # One of them listens.
                max_inactive_connection_lifetime=self._limits.idle_seconds,
                timeout=CONNECT_SECONDS,
                command_timeout=STATEMENT_SECONDS,
                init=_enable_keepalive,
            )
        try:
            yield self
        finally:
            if self._pool is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._pool.close(), 2)

    def usage(self) -> PoolUsage:
        """The queue's own connections at this moment; beside SQLite it has none."""
        return usage_of(self._pool, Waits())

    @contextlib.contextmanager
    def accepting_claims(self, send: SendClaim) -> Iterator[None]:
        """Hold claims of this process, and send each with `send`, for as long as the context lasts.

        Claims that are held when the context ends are still sent; their tasks are in `sending`.
        """
        self._send = send
        self._accepts_claims = True
        try:
            yield
        finally:
            self._accepts_claims = False

    def has_room(self, workspace_id: str) -> bool:
        """Whether this process accepts claims, and may hold one more of the workspace's."""
        most = int(HELD_AT_ONCE * PART_OF_WORKSPACE)
        return (
            self._accepts_claims and len(self.sending) < HELD_AT_ONCE and self._held_of_workspace[workspace_id] < most
        )

    def start(self, claimed: TrackedPrototype) -> None:
        """Send a claim whose lease this process holds. No other process takes the claim up before the lease ends."""
        if self._send is None:
            raise RuntimeError("this process has never accepted claims")
        task = asyncio.create_task(self._send_claim(self._send, claimed))
        self.sending.add(task)
        task.add_done_callback(self.sending.discard)
        workspace_id = claimed.generation.workspace_id
        self._held_of_workspace[workspace_id] += 1
        task.add_done_callback(lambda _task: self._let_go(workspace_id))

    async def _send_claim(self, send: SendClaim, claimed: TrackedPrototype) -> None:
        workspace_id = claimed.generation.workspace_id
        slots = asyncio.Semaphore(int(SUBMITS_AT_ONCE * PART_OF_WORKSPACE))
        async with self._slots_of_workspace.setdefault(workspace_id, slots), self._send_slots:
            try:
                await send(claimed)
            except Exception:
                log.exception("submit_failed", prototype_id=claimed.id)  # The sweep finds the row.

    def _let_go(self, workspace_id: str) -> None:
        self._held_of_workspace[workspace_id] -= 1
        if not self._held_of_workspace[workspace_id]:
            del self._held_of_workspace[workspace_id]

    async def submit(self, mockup_id: str, fence: int, *, first: bool = False) -> None:
        """Queue one row, unless it waits in the queue already. The fence grows with every lease of the row, so that a
        row is queued again after it was leased."""
        await self._enqueue("submit", mockup_id, f"submit:{mockup_id}:{fence}", priority=int(first))

    async def track(self, account: str) -> None:
        """Queue the polling of an account, unless this process polls it or has queued it already."""
        if account not in self.tracking:
            await self._enqueue("track", account, f"track:{account}:{self._process_id}", priority=1)

    async def _enqueue(self, entrypoint: str, payload: str, key: str, priority: int) -> None:
        key = f"{key}:{int(self._wall_clock()) // REPEAT_SECONDS}"
        async with self._renewing():
            await self._queries().enqueue(entrypoint, payload.encode(), priority, dedupe_key=key, on_conflict="skip")

    async def clear_log(self) -> None:
        """Delete PgQueuer's log of finished jobs."""
        await self._queries().clear_queue_log(["submit", "track"])

    def pgqueuer(self) -> PgQueuer:
        """A new PgQueuer that takes jobs out of this queue. It has no entrypoints yet, and runs once."""
        if self._memory is not None:
            return PgQueuer(connection=self._memory.connection, queries=self._memory.queries)
        return PgQueuer.from_asyncpg_pool(self._connected())

    @contextlib.asynccontextmanager
    async def listening(self, pgqueuer: PgQueuer) -> AsyncIterator[None]:
        """Let a PgQueuer hear of jobs before it runs, for as long as the context lasts.

        At its start it notifies itself, to see whether it hears. By itself it may do so before it listens, and gives up
        half a minute later.
        """
        async with self._renewing(), pgqueuer.connection as driver:
            if self._memory is None:
                await driver.add_listener(pgqueuer.qm.channel, lambda _payload: None)
            yield

    @contextlib.asynccontextmanager
    async def _renewing(self) -> AsyncIterator[None]:
        """Replace all connections after an error: after a fail-over the address leads to another server."""
        try:
            yield
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            if self._pool is not None:
                await self._pool.expire_connections()
            raise

    def _queries(self) -> Any:
        if self._memory is not None:
            return self._memory.qm.queries
        return Queries(AsyncpgPoolDriver(self._connected()))

    def _connected(self) -> asyncpg.Pool:
        if self._pool is None:
            raise RuntimeError("the job queue is not open")
        return self._pool


async def _enable_keepalive(connection: Any) -> None:
    enable_keepalive(connection)
