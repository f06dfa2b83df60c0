"""The audit: who did what, from where. Admins read it; nobody changes it."""

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
from protokeep.service.scans import Scans
from protokeep.store.audit import BEGINNING, END, AuditRecord, AuditStore
from protokeep.store.sql import DatabaseError

log = structlog.get_logger(__name__)

#: Noted entries are written together after this long. A process that is killed loses as much.
FLUSH_SECONDS = 1.0
#: Different entries that may wait to be written. Further ones are dropped, and the log says how many.
WAITING_MAX = 10_000

#: Entries with the same key differ in their time only.
_GroupKey = tuple[str, str, str, str, str, str | None, object, object]


class Audit:
    """Writes entries at once (`add`), or together a moment later (`note`).

    Noted entries are those of the hot path and of sign-ins that fail. The same person who gets the same prototype again
    and again within a second is one entry with a count, and failed sign-ins are a few entries a minute, however many
    there are.
    """

    def __init__(
        self, store: AuditStore, seconds: Callable[[], float] = time.monotonic, scans: Scans | None = None
    ) -> None:
        """`scans` gives turns to reads that look for few entries among many."""
        self._store = store
        self._scans = scans or Scans()
        self._seconds = seconds
        self._failed_sign_ins = FailedSignInCounter()
        self._waiting: dict[_GroupKey, tuple[AuditEntry, int]] = {}
        self._dropped = 0
        self._closing = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None

    async def add(self, entry: AuditEntry) -> None:
        """Write one entry; it is committed when this returns."""
        await self._store.add(entry)

    def note(self, entry: AuditEntry) -> None:
        """Write an entry within the next second or so. The caller waits for no database."""
        key = _group_key(entry)
        if key not in self._waiting and len(self._waiting) >= WAITING_MAX:
            self._dropped += 1
            return
        first, count = self._waiting.get(key, (entry, 0))
        self._waiting[key] = (first, count + 1)
        self._start_flusher()

    def note_failed_sign_in(self, entry: AuditEntry) -> None:
        """Write an entry about a failed sign-in, as `note` does; a flood of them becomes a count.

        Takes the same time for every token, so that the time of an answer tells nothing.
        """
        self._note_summaries()
        first = self._failed_sign_ins.count(entry, self._seconds())
        if first is not None:
            self.note(first)
        self._start_flusher()

    async def flush(self) -> None:
        """Write the entries that wait.

        Those that cannot be written now go on waiting. One that the database refuses is lost, and takes no other along.
        """
        self._note_summaries()
        if self._dropped:
            log.error("audit_lines_dropped", count=self._dropped)
            self._dropped = 0
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        try:
            await self._store.add(*(_counted(entry, count) for entry, count in waiting.values()))
        except ProtokeepError as error:
            self._wait_again(waiting, error)
        except DatabaseError:
            await self._write_one_by_one(waiting)

    async def close(self) -> None:
        """Write the entries that wait, before the process ends."""
        self._closing.set()
        if self._flusher is not None:
            await asyncio.wait({self._flusher})
        self._note_summaries(at_once=True)
        await self.flush()

    async def list(
        self,
        principal: Principal,
        limit: int,
        *,
        action: str | None = None,
        actor: str | None = None,
        since: datetime = BEGINNING,
        until: datetime = END,
        after: tuple[datetime, str] | None = None,
    ) -> tuple[list[AuditRecord], tuple[datetime, str] | None]:
        """A page of the principal's workspace, newest first, and where the next page begins (None: there is none).

        Raises `TooMany` and `TooSlow` where entries of one action or actor are looked for.
        """
        async with contextlib.AsyncExitStack() as stack:
            if action is not None or actor is not None:
                await stack.enter_async_context(self._scans.turn(principal))
            found = await self._store.list(
                principal.workspace_id, limit + 1, action=action, actor=actor, since=since, until=until, after=after
            )
        page = found[:limit]
        return page, (page[-1].entry.at, page[-1].id) if len(found) > limit else None

    async def _write_one_by_one(self, waiting: dict[_GroupKey, tuple[AuditEntry, int]]) -> None:
        for key, (entry, count) in waiting.items():
            try:
                await self._store.add(_counted(entry, count))
            except ProtokeepError as error:
                self._wait_again({key: (entry, count)}, error)
            except DatabaseError:
                log.exception("audit_entry_refused", action=entry.action.value)

    def _wait_again(self, waiting: dict[_GroupKey, tuple[AuditEntry, int]], error: ProtokeepError) -> None:
        """Put entries back that could not be written. Equal ones may have been noted since."""
        log.error("audit_write_failed", reason=str(error))
        for key, (_, since) in self._waiting.items():
            if key in waiting:
                first, count = waiting[key]
                waiting[key] = first, count + since
        self._waiting = self._waiting | waiting

    def _start_flusher(self) -> None:
        if (self._flusher is None or self._flusher.done()) and not self._closing.is_set():
            self._flusher = asyncio.create_task(self._flush_while_waiting())

    def _note_summaries(self, *, at_once: bool = False) -> None:
        """Note the counts of failed sign-ins whose minute is over, or (`at_once`) of all."""
        for entry in self._failed_sign_ins.end_window(self._seconds(), at_once=at_once):
            self.note(entry)

    async def _flush_while_waiting(self) -> None:
        while (self._waiting or self._failed_sign_ins.has_open_window) and not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), FLUSH_SECONDS)
            await self.flush()


def _counted(entry: AuditEntry, count: int) -> AuditEntry:
    return replace(entry, data={**entry.data, "times": count}) if count > 1 else entry


def _group_key(entry: AuditEntry) -> _GroupKey:
    data = entry.data.get("reason"), entry.data.get("times")
    return entry.workspace_id, entry.action, entry.actor, entry.token_id, entry.address, entry.subject, *data
