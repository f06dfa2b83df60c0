"""One process of protokeep, as tests have it: its queue runs when the test says so, and it may crash at any point."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from protokeep.core.prototype import Prototype
from protokeep.job_queue import JobQueue
from protokeep.jobs import Jobs
from protokeep.service import Keeper
from protokeep.service.context import Context
from protokeep.service.hooks import Hooks
from protokeep.store.database import Database
from protokeep.store.store import Store
from tracked import tracked


class Crash(BaseException):
    """The process ends here. No `except Exception` may catch it, as none catches a SIGKILL."""


class ManualQueue:
    """A queue that keeps submits and tracks until the test runs them."""

    def __init__(self) -> None:
        self.submits: list[str] = []
        self.tracks: list[str] = []
        #: Claims that this process holds; only with `holds_claims` does it hold any.
        self.held: list[Prototype] = []
        self.holds_claims = False

    def has_room(self, workspace_id: str) -> bool:
        return self.holds_claims

    def start(self, claimed: Prototype) -> None:
        self.held.append(claimed)

    async def submit(self, mockup_id: str, fence: int, *, first: bool = False) -> None:
        self.submits.append(mockup_id)

    async def track(self, account: str) -> None:
        self.tracks.append(account)


class ImmediateQueue(ManualQueue):
    """A queue that runs a submit beside the caller as soon as it is asked for; polls wait for the test."""

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


def jobs_of(
    keeper: Keeper, database_url: str, hooks: Hooks | None = None, wall_clock: Callable[[], float] = time.time
) -> tuple[Jobs, JobQueue]:
    """Jobs that run a keeper of the tests, and their queue, which is the keeper's from now on."""
    queue = JobQueue(database_url, wall_clock)
    keeper.context.queue = queue
    return Jobs(keeper, queue, hooks or Hooks(keeper.context, b"secret-of-the-tests", None)), queue


@dataclass
class Node:
    """One process: a keeper with connections, bus and providers of its own, and its queue."""

    keeper: Keeper
    queue: ManualQueue
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
        if isinstance(queue, ImmediateQueue):
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
        if isinstance(self.queue, ImmediateQueue):
            await self.queue.finished()
        await self.context.audit.close()
        await self.context.providers.aclose()
        await self.store.close()
