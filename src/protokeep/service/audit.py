"""The audit: who did what, from where. Read by admins, never changed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import structlog

from protokeep.core.audit import AuditEntry
from protokeep.core.errors import ProtokeepError
from protokeep.core.failed_sign_ins import FailedSignInCounter
from protokeep.core.principals import Principal
from protokeep.store.audit import AuditRecord, AuditStore

log = structlog.get_logger(__name__)

#: What `note` was told is written together after this long. A process that is killed loses as much.
FLUSH_SECONDS = 1.0
#: Different lines that wait; beyond them new ones are dropped, and the log says how many.
MAX_WAITING = 10_000

_Same = tuple[str, str, str, str, str, str | None, object, object]


class Audit:
    """Writes at once what changes something, and a moment later, together, what does not.

    Reuse is the hot path: the same person who gets the same prototype again and again within a second is one line,
    with a number of times. Those who are not let in are told in few lines a minute, whatever comes.
    """

    def __init__(self, store: AuditStore, seconds: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._seconds = seconds
        self._refusals = FailedSignInCounter()
        self._waiting: dict[_Same, tuple[AuditEntry, int]] = {}
        self._dropped = 0
        self._closing = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None

    async def add(self, entry: AuditEntry) -> None:
        """Write one line; it stands when this returns."""
        await self._store.add(entry)

    def note(self, entry: AuditEntry) -> None:
        """Write a line within the next second or so. Costs the caller nothing."""
        same = _same(entry)
        if same not in self._waiting and len(self._waiting) >= MAX_WAITING:
            self._dropped += 1
            return
        first, times = self._waiting.get(same, (entry, 0))
        self._waiting[same] = (first, times + 1)
        self._start()

    def note_refusal(self, entry: AuditEntry) -> None:
        """Write a line about somebody who was not let in, as `note` does; a flood of them becomes a number.

        Takes as long whoever it was, and waits for no database.
        """
        self._end_refusals()
        told = self._refusals.take(entry, self._seconds())
        if told is not None:
            self.note(told)
        self._start()

    async def flush(self) -> None:
        """Write what waits. What cannot be written now goes on waiting."""
        self._end_refusals()
        if self._dropped:
            log.error("audit_lines_dropped", count=self._dropped)
            self._dropped = 0
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        told = (
            replace(entry, data={**entry.data, "times": times}) if times > 1 else entry
            for entry, times in waiting.values()
        )
        try:
            await self._store.add(*told)
        except ProtokeepError as error:
            log.error("audit_write_failed", reason=str(error))
            self._waiting = waiting | self._waiting

    async def close(self) -> None:
        """Write what waits, before the process ends."""
        self._closing.set()
        if self._flusher is not None:
            await asyncio.wait({self._flusher})
        self._end_refusals(at_once=True)
        await self.flush()

    async def list(
        self,
        principal: Principal,
        limit: int,
        *,
        action: str | None = None,
        actor: str | None = None,
        after: tuple[datetime, str] | None = None,
    ) -> tuple[list[AuditRecord], tuple[datetime, str] | None]:
        """A page of the workspace's audit, newest first, and what the next page comes after (None: the end)."""
        found = await self._store.list(principal.workspace_id, limit + 1, action=action, actor=actor, after=after)
        shown = found[:limit]
        return shown, (shown[-1].entry.at, shown[-1].id) if len(found) > limit else None

    def _start(self) -> None:
        if (self._flusher is None or self._flusher.done()) and not self._closing.is_set():
            self._flusher = asyncio.create_task(self._flush_soon())

    def _end_refusals(self, *, at_once: bool = False) -> None:
        for entry in self._refusals.over(self._seconds(), at_once=at_once):
            self.note(entry)

    async def _flush_soon(self) -> None:
        while (self._waiting or self._refusals.waiting) and not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), FLUSH_SECONDS)
            await self.flush()


def _same(entry: AuditEntry) -> _Same:
    """Lines that differ in their time only are one line with a number of times."""
    told = entry.data.get("reason"), entry.data.get("times")
    return entry.workspace_id, entry.action, entry.actor, entry.token_id, entry.address, entry.subject, *told
