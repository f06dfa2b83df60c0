"""When code runs: PgQueuer, in memory beside SQLite, or on PostgreSQL for any number of workers.

Nothing here decides anything. Every job may run twice, late, or never; rows and their constraints keep the promises.
Sweep and reconcile stand outside the queue, because they mend what a queue may lose.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import structlog
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.models import Job

from protokeep.bus import Change, notice_silence
from protokeep.core.prototype import TrackedPrototype
from protokeep.service import Keeper
from protokeep.service.hooks import Hooks
from protokeep.store.postgresql import CONNECT_SECONDS

log = structlog.get_logger(__name__)

#: What a statement of the queue's may take to answer.
STATEMENT_SECONDS = 10.0
#: A killed worker's job is picked up by another after this long without a heartbeat.
HEARTBEAT_TIMEOUT = timedelta(seconds=6)
SWEEP_SECONDS = 2.0
#: How often a process writes that it lives, and compares its database and its clock with what it knows.
BEAT_SECONDS = 3.0
#: A key that was set after hooks were installed gets its own so soon.
HOOKS_SECONDS = 30.0
#: Looks that come due within this are made in one pass.
GATHER_SECONDS = 0.25
#: What hooks have named is read again after this.
HOOKED_AGAIN_SECONDS = 1.1
#: Creates under way at once in one process: so many of its own, and so many out of the queue.
SUBMITS_AT_ONCE = 400
#: Rows that a process holds from their claim on, before it leaves further ones to whoever has time.
HELD_AT_ONCE = 2 * SUBMITS_AT_ONCE
#: PgQueuer keeps a log of finished jobs, which nobody reads: rows and events tell the story.
FORGET_LOG_SECONDS = 3600.0
#: What a stop waits for running jobs before it cancels them; others take up their rows.
STOP_SECONDS = 2.0


class Jobs:
    """Runs a keeper's submit, track and sweep. Is the keeper's queue."""

    def __init__(self, keeper: Keeper, database_url: str, hooks: Hooks | None = None) -> None:
        self._keeper = keeper
        self._hooks = hooks
        self._url = None if database_url.startswith("sqlite") else database_url
        self._memory = None if self._url else PgQueuer.in_memory()
        self._pool: asyncpg.Pool | None = None
        self._stopping = asyncio.Event()
        self._pgq: PgQueuer | None = None
        self._tracking: set[str] = set()
        self._runs = False
        self._held: set[asyncio.Task[None]] = set()
        self._at_once = asyncio.Semaphore(SUBMITS_AT_ONCE)
        keeper.context.queue = self

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Jobs]:
        """Connect, so that jobs can be queued; runs none."""
        if self._url:
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=1,
                max_size=6,
                timeout=CONNECT_SECONDS,
                command_timeout=STATEMENT_SECONDS,
                init=_notice_silence,
            )
        try:
            yield self
        finally:
            if self._pool is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._pool.close(), 2)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Jobs]:
        """Queue and run jobs, and sweep, for as long as the context lasts."""
        async with self.open():
            tasks = [
                asyncio.create_task(self._run_forever()),
                asyncio.create_task(self._repeat("heartbeat", self._keeper.context.heartbeat.beat, BEAT_SECONDS)),
                asyncio.create_task(self._repeat("sweep", self._keeper.sweep)),
                asyncio.create_task(self._repeat("reconcile", self._keeper.reconcile)),
                asyncio.create_task(self._repeat("wrap_up", self._keeper.finalize)),
                asyncio.create_task(self._forget_forever()),
            ]
            if self._hooks is not None:
                tasks.append(asyncio.create_task(self._repeat("hooks", self._hooks.complete, HOOKS_SECONDS)))
            self._keeper.context.heartbeat.expect(BEAT_SECONDS)
            self._runs = True
            try:
                yield self
            finally:
                self._runs = False
                self._stopping.set()
                if self._pgq is not None:
                    self._pgq.shutdown.set()
                await asyncio.wait([tasks[0], *self._held], timeout=STOP_SECONDS)
                tasks += self._held
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    # -- the keeper's queue ------------------------------------------------------------------------------------

    def has_room(self) -> bool:
        """Whether this process runs jobs, and may hold one more row."""
        return self._runs and len(self._held) < HELD_AT_ONCE

    def start(self, claimed: TrackedPrototype) -> None:
        """Submit a row that this process holds since its claim: nobody else would take it up now."""
        task = asyncio.create_task(self._submit_held(claimed))
        self._held.add(task)
        task.add_done_callback(self._held.discard)

    async def submit(self, mockup_id: str, fence: int, *, first: bool = False) -> None:
        """Queue one row; the fence makes the key new whenever somebody has held the row meanwhile."""
        await self._enqueue("submit", mockup_id, f"submit:{mockup_id}:{fence}", priority=int(first))

    async def track(self, account: str) -> None:
        """Queue an account's tracker, unless this process runs it or it is queued."""
        if account not in self._tracking:
            await self._enqueue("track", account, f"track:{account}:{self._keeper.context.owner}", priority=1)

    async def _enqueue(self, entrypoint: str, payload: str, key: str, priority: int = 0) -> None:
        await self._queries().enqueue(entrypoint, payload.encode(), priority, dedupe_key=key, on_conflict="skip")

    def _queries(self) -> Any:
        if self._memory is not None:
            return self._memory.qm.queries
        return Queries(AsyncpgPoolDriver(self._connected()))

    def _connected(self) -> asyncpg.Pool:
        if self._pool is None:
            raise RuntimeError("the jobs are not open")
        return self._pool

    # -- running -----------------------------------------------------------------------------------------------

    async def _run_forever(self) -> None:
        while not self._stopping.is_set():
            self._pgq = self._prepared()
            try:
                await self._pgq.qm.run(
                    batch_size=SUBMITS_AT_ONCE,
                    max_concurrent_tasks=4 * SUBMITS_AT_ONCE,
                    heartbeat_timeout=HEARTBEAT_TIMEOUT,
                    shutdown_on_listener_failure=True,
                    log_aggregation_interval=timedelta(0),
                )
            except Exception as error:  # noqa: BLE001 - the outermost line of a loop that has to go on
                log.warning("jobs_interrupted", error=type(error).__name__, reason=str(error)[:200])
            if not self._stopping.is_set():
                await asyncio.sleep(1.0)

    def _prepared(self) -> PgQueuer:
        if self._memory is not None:
            pgq = PgQueuer(connection=self._memory.connection, queries=self._memory.queries)
        else:
            pgq = PgQueuer.from_asyncpg_pool(self._connected())
        pgq.entrypoint("submit", concurrency_limit=SUBMITS_AT_ONCE)(self._submit)
        pgq.entrypoint("track")(self._track)
        return pgq

    async def _submit(self, job: Job) -> None:
        await self._keeper.submit((job.payload or b"").decode())

    async def _submit_held(self, claimed: TrackedPrototype) -> None:
        async with self._at_once:
            try:
                await self._keeper.submit_held(claimed)
            except Exception:
                log.exception("submit_failed", prototype_id=claimed.id)  # The sweep finds the row.

    async def _track(self, job: Job) -> None:
        """Pass after pass until nothing is in flight; wakes early when somebody wants a look."""
        account = (job.payload or b"").decode()
        if account in self._tracking:
            return
        self._tracking.add(account)
        context = self._keeper.context
        longest = context.timing.lease.total_seconds() / 2
        beside = asyncio.create_task(self._look_at_hooked(account))
        try:
            with context.bus.subscribed() as changes:
                while not self._stopping.is_set():
                    due = await self._keeper.track(account)
                    if due is None:
                        break
                    pause = min(max((due - context.clock()).total_seconds(), GATHER_SECONDS), longest)
                    await self._wake(changes, account, pause)
        finally:
            beside.cancel()
            await asyncio.gather(beside, return_exceptions=True)
            self._tracking.discard(account)
            await self._keeper.release(account)

    async def _look_at_hooked(self, account: str) -> None:
        """Read what hooks name at once, also while a pass over thousands is under way.

        A chat that was looked at less than a second ago is due a second later: so everything is read twice.
        """
        again = False
        with self._keeper.context.bus.subscribed() as changes:
            while True:
                try:
                    change = await asyncio.wait_for(changes.get(), HOOKED_AGAIN_SECONDS if again else None)
                except TimeoutError:
                    again = False
                else:
                    if change.kind != "hooked" or change.account != account:
                        continue
                    again = True
                    await asyncio.sleep(GATHER_SECONDS / 2)  # Where one chat ends, more follow.
                    while not changes.empty():
                        changes.get_nowait()
                await self._read_hooked(account)

    async def _read_hooked(self, account: str) -> None:
        try:
            while await self._keeper.track_hooked(account):
                pass
        except Exception as error:  # noqa: BLE001 - the outermost line of a loop; a pass finds these chats, too
            log.warning("hooked_poll_failed", account=account, error=type(error).__name__, reason=str(error)[:200])

    async def _wake(self, changes: asyncio.Queue[Change], account: str, pause: float) -> None:
        """Sleep for `pause`, or until a look at the account is asked for, or the process stops."""

        async def asked() -> None:
            while True:
                change = await changes.get()
                if change.kind == "look" and change.account == account:
                    await asyncio.sleep(GATHER_SECONDS / 2)  # Where one look is asked for, more follow.
                    while not changes.empty():
                        changes.get_nowait()
                    return

        waiting = {asyncio.create_task(asked()), asyncio.create_task(self._stopping.wait())}
        try:
            await asyncio.wait(waiting, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _repeat(self, name: str, duty: Callable[[], Awaitable[object]], every: float = SWEEP_SECONDS) -> None:
        while not self._stopping.is_set():
            try:
                await duty()
            except Exception as error:  # noqa: BLE001 - the outermost line of a loop that has to go on
                log.warning("task_failed", duty=name, error=type(error).__name__, reason=str(error)[:200])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), every)

    async def _forget_forever(self) -> None:
        while True:
            await asyncio.sleep(FORGET_LOG_SECONDS)
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._queries().clear_queue_log(["submit", "track"])


async def _notice_silence(connection: Any) -> None:
    notice_silence(connection)
