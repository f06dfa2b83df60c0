"""Polls on request: a status request gets fresh news where the row is too old, and many requests share one poll."""

from __future__ import annotations

import asyncio
import contextlib

from protokeep.core.prototype import TrackedPrototype
from protokeep.core.timing import answer_valid_for, is_poll_due_on_request
from protokeep.service.context import Context
from protokeep.service.polling import Poller

#: How long a status request waits for a poll before it answers with the row as it is.
PATIENCE_SECONDS = 2.5
#: How often the row is read again while another process polls.
CHECK_SECONDS = 0.25


class Refresher:
    """Polls single prototypes for those who ask."""

    def __init__(self, context: Context, poller: Poller) -> None:
        self._context = context
        self._poller = poller
        self._polls: dict[str, asyncio.Task[None]] = {}

    async def refresh(self, prototype: TrackedPrototype) -> TrackedPrototype:
        """The prototype as the provider shows it now, if its row is too old. Joins a poll that is under way.

        Bounded in time: when the poll does not come back soon, the row as it is written is the answer.
        """
        context = self._context
        if not is_poll_due_on_request(prototype, context.clock(), context.timing):
            return prototype
        poll = self._polls.get(prototype.id)
        if poll is None:
            poll = asyncio.create_task(self._poll(prototype))
            self._polls[prototype.id] = poll
            poll.add_done_callback(lambda _task: self._polls.pop(prototype.id, None))
        await asyncio.wait({poll}, timeout=PATIENCE_SECONDS)
        return await context.store.get_unscoped(prototype.id) or prototype

    async def _poll(self, prototype: TrackedPrototype) -> None:
        """Request a poll, and make it if this process tracks the account; otherwise wait for the tracking process."""
        context = self._context
        now = context.clock()
        with context.bus.watching(prototype.id) as changed:
            is_due = await context.store.request_poll(
                prototype,
                now,
                stale_before=now - answer_valid_for(prototype, now, context.timing) / 2,
                watched_until=now + context.timing.watched_for,
            )
            if not is_due:
                return
            is_tracking, _due = await self._poller.run_pass(prototype.generation.account)
            if not is_tracking:
                await self._wait_for_poll(prototype, changed)

    async def _wait_for_poll(self, prototype: TrackedPrototype, changed: asyncio.Event) -> None:
        """The poll of another process ends with a change of the row, or with none."""
        for _ in range(int(PATIENCE_SECONDS / CHECK_SECONDS)):
            current = await self._context.store.get_unscoped(prototype.id)
            if current is None or current.generation.polling.poll_count > prototype.generation.polling.poll_count:
                return
            changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), CHECK_SECONDS)
