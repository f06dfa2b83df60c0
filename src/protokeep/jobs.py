"""A claim is sent by the process that claimed it; the sweep hands everything left behind to PgQueuer, for any process.

`Jobs` runs what the keeper put into its `JobQueue`, and repeats the periodic tasks, the sweep among them.

Nothing here decides anything. Every job may run twice, late, or never; rows and their constraints keep the promises.
The periodic tasks stand outside the queue, because they repair what a queue may lose.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta

import structlog
from pgqueuer import PgQueuer
from pgqueuer.models import Job

from protokeep.bus import Change, ChangeKind
from protokeep.job_queue import SUBMITS_AT_ONCE, JobQueue
from protokeep.service import Keeper
from protokeep.service.clean_up import CleanUp
from protokeep.service.hooks import Hooks
from protokeep.service.text_index import TextIndexer
from protokeep.settings import Settings
from protokeep.wiring import Application, build_application

log = structlog.get_logger(__name__)

#: PgQueuer gives a job to another process after this long without a heartbeat of the process that took it.
HEARTBEAT_TIMEOUT = timedelta(seconds=6)
SWEEP_SECONDS = 2.0
#: The pause between two heartbeats, each of which also compares the database and its clock with what is known.
BEAT_SECONDS = 3.0
#: The pause between two looks for older rows; which process has the turn is decided there.
ADOPTION_SECONDS = 5.0
#: The pause between two looks for censuses whose steps are due; while one runs, its steps are waited for.
CLEAN_UP_SECONDS = 2.0
#: The longest that an account waits for its hook when its key is set after `hooks install`.
HOOKS_SECONDS = 30.0
#: How long PgQueuer waits to hear of a job before it looks by itself: after a fail-over it may hear the old server.
LOOK_SECONDS = 5.0
#: The pause before PgQueuer is started again after it was interrupted.
RESTART_SECONDS = 1.0
#: Polls that come due within this time share a pass.
GATHER_SECONDS = 0.25
#: The pause before prototypes that a hook named are polled a second time.
SECOND_POLL_SECONDS = 1.1
#: PgQueuer logs finished jobs, which nobody reads: rows and events tell the story. The log is cleared this often.
CLEAR_LOG_SECONDS = 3600.0
#: The pause between two passes of removing what is too old; a pass has a few steps, and most find nothing to do.
RETENTION_SECONDS = 10.0
#: The pause between two looks for texts that are not indexed; which process has the turn is decided there.
TEXTS_SECONDS = 5.0
#: The longest that a stop waits for running jobs before it cancels them; other processes take up their rows.
STOP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """A task that every process repeats: `run` is one pass, `seconds` the pause after each pass."""

    name: str
    seconds: float
    run: Callable[[], Awaitable[object]]


class Jobs:
    """Sends the claims of a keeper, runs the jobs of its queue, and repeats `periodic_tasks`."""

    def __init__(self, keeper: Keeper, queue: JobQueue, hooks: Hooks) -> None:
        """`queue` is the one that `keeper` was built with."""
        self._keeper = keeper
        self._queue = queue
        self._stopping = asyncio.Event()
        self._pgqueuer: PgQueuer | None = None
        self.periodic_tasks: tuple[PeriodicTask, ...] = (
            PeriodicTask("heartbeat", BEAT_SECONDS, keeper.context.heartbeat.beat),
            PeriodicTask("sweep", SWEEP_SECONDS, keeper.sweep),
            PeriodicTask("reconcile", SWEEP_SECONDS, keeper.reconcile),
            PeriodicTask("adoption", ADOPTION_SECONDS, keeper.adopt),
            PeriodicTask("finalize", SWEEP_SECONDS, keeper.finalize),
            PeriodicTask("clean_up", CLEAN_UP_SECONDS, CleanUp(keeper.context, keeper.budget).run),
            PeriodicTask("hooks", HOOKS_SECONDS, hooks.complete),
            PeriodicTask("texts", TEXTS_SECONDS, TextIndexer(keeper.context).run_if_due),
            PeriodicTask("retention", RETENTION_SECONDS, keeper.housekeeping.retention.run_if_due),
            PeriodicTask("clear_job_log", CLEAR_LOG_SECONDS, queue.clear_log),
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Jobs]:
        """Accept claims, run jobs and repeat the periodic tasks, for as long as the context lasts."""
        async with self._queue.open():
            worker = asyncio.create_task(self._repeat(PeriodicTask("job_queue", RESTART_SECONDS, self._run_pgqueuer)))
            tasks = [worker, *(asyncio.create_task(self._repeat(task)) for task in self.periodic_tasks)]
            self._keeper.context.heartbeat.expect(BEAT_SECONDS)
            try:
                with self._queue.accepting_claims(self._keeper.submit_held):
                    yield self
            finally:
                self._stopping.set()
                if self._pgqueuer is not None:
                    self._pgqueuer.shutdown.set()
                await asyncio.wait([worker, *self._queue.sending], timeout=STOP_SECONDS)
                tasks += self._queue.sending
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _repeat(self, task: PeriodicTask) -> None:
        """Run a task again and again until the process stops. A pass that fails is logged, and the next one runs."""
        while not self._stopping.is_set():
            try:
                with self._keeper.context.metrics.job(task.name):
                    await task.run()
            except Exception as error:  # noqa: BLE001 - the outermost line of a loop that has to go on
                log.warning("task_failed", task=task.name, error=type(error).__name__, reason=str(error)[:200])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), task.seconds)

    async def _run_pgqueuer(self) -> None:
        """Run jobs until the process stops, or the connection to the queue is lost."""
        self._pgqueuer = pgqueuer = self._queue.pgqueuer()
        pgqueuer.entrypoint("submit", concurrency_limit=SUBMITS_AT_ONCE)(self._submit)
        pgqueuer.entrypoint("track")(self._track)
        async with self._queue.listening(pgqueuer):
            await pgqueuer.qm.run(
                dequeue_timeout=timedelta(seconds=LOOK_SECONDS),
                batch_size=SUBMITS_AT_ONCE,
                max_concurrent_tasks=4 * SUBMITS_AT_ONCE,
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                shutdown_on_listener_failure=True,
                log_aggregation_interval=timedelta(0),
            )

    async def _submit(self, job: Job) -> None:
        with self._keeper.context.metrics.job("submit"):
            await self._keeper.submit((job.payload or b"").decode())

    async def _track(self, job: Job) -> None:
        """Poll an account, pass after pass, until none of its prototypes is in flight."""
        account = (job.payload or b"").decode()
        if account in self._queue.tracking:
            return
        self._queue.tracking.add(account)
        hook_polls = asyncio.create_task(self._poll_after_hooks(account))
        try:
            with self._keeper.context.metrics.job("track"):
                await self._poll_until_idle(account)
        finally:
            hook_polls.cancel()
            await asyncio.gather(hook_polls, return_exceptions=True)
            self._queue.tracking.discard(account)
            await self._keeper.release(account)

    async def _poll_until_idle(self, account: str) -> None:
        context = self._keeper.context
        longest = context.timing.lease.total_seconds() / 2
        with context.bus.subscribed() as changes:
            while not self._stopping.is_set():
                due = await self._keeper.track(account)
                if due is None:
                    return
                seconds = min(max((due - context.clock()).total_seconds(), GATHER_SECONDS), longest)
                await self._wait_for_poll_request(changes, account, seconds)

    async def _wait_for_poll_request(self, changes: asyncio.Queue[Change], account: str, seconds: float) -> None:
        """Return after `seconds`, or when somebody asks for a poll of the account, or when the process stops."""
        waiting = {
            asyncio.create_task(_next_burst(changes, account, "poll_requested")),
            asyncio.create_task(self._stopping.wait()),
        }
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _poll_after_hooks(self, account: str) -> None:
        """Poll prototypes as soon as a hook names them, also while a pass over thousands is under way.

        A chat that was polled less than a second ago is due a second later; a second poll follows for it.
        """
        second_poll = False
        with self._keeper.context.bus.subscribed() as changes:
            while True:
                try:
                    async with asyncio.timeout(SECOND_POLL_SECONDS if second_poll else None):
                        await _next_change(changes, account, "hook_received")
                except TimeoutError:
                    second_poll = False
                else:
                    second_poll = True
                    await _drain_burst(changes)
                await self._poll_named_by_hooks(account)

    async def _poll_named_by_hooks(self, account: str) -> None:
        try:
            while await self._keeper.track_hooked(account):
                pass
        except Exception as error:  # noqa: BLE001 - the outermost line of a loop; a pass finds these chats, too
            log.warning("hook_poll_failed", account=account, error=type(error).__name__, reason=str(error)[:200])


@contextlib.asynccontextmanager
async def application_with_jobs(settings: Settings) -> AsyncIterator[Application]:
    """An application whose jobs run in this process, for as long as the context lasts."""
    queue = JobQueue(settings.direct_url, limits=settings.connection_limits)
    async with (
        traces_of(settings),
        build_application(settings, queue=queue) as application,
        Jobs(application.keeper, queue, application.hooks).running(),
    ):
        application.gauges.pools["jobs"] = queue.usage
        yield application


def traces_of(settings: Settings) -> AbstractAsyncContextManager[None]:
    """Makes traces, if a setting asks for them."""
    if settings.traces_endpoint is None:
        return contextlib.nullcontext()
    from protokeep import tracing

    return tracing.exporting(settings.traces_endpoint, to_builder=settings.traces_to_builder)


async def _next_change(changes: asyncio.Queue[Change], account: str, kind: ChangeKind) -> None:
    while True:
        change = await changes.get()
        if change.kind == kind and change.account == account:
            return


async def _drain_burst(changes: asyncio.Queue[Change]) -> None:
    """Drop the changes of the next moment: more follow a first one, and the poll that comes next reads them all."""
    await asyncio.sleep(GATHER_SECONDS / 2)
    while not changes.empty():
        changes.get_nowait()


async def _next_burst(changes: asyncio.Queue[Change], account: str, kind: ChangeKind) -> None:
    await _next_change(changes, account, kind)
    await _drain_burst(changes)
