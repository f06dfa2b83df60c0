"""Removes rows that are older than the settings keep them, in small steps beside everything else.

Each step is one transaction of a few hundred rows, which no claim waits for. A process that is killed leaves whole
steps behind; the next pass, or another process, goes on with what is there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from protokeep.core.audit import ITSELF, Action, AuditEntry
from protokeep.core.errors import InvalidInput
from protokeep.core.retention import LASTING_ACTIONS, STEP_KINDS, RetentionPeriods
from protokeep.service.context import Context
from protokeep.store.private_files import create_file
from protokeep.store.sql import Row

#: What a walk removes, and how many rows of it a step removed.
Kind = Literal["idempotency_keys", "events", "pictures"]
Removed = tuple[Kind, int]

#: From the end of one walk over everything to the beginning of the next.
WALK_INTERVAL = timedelta(hours=1)
#: Steps of one pass: the statements of so many take well under a second.
STEPS_PER_PASS = 20
#: Events that a step looks at. Those that stay are passed over by their number, at about 1 ms for each step.
EVENTS_PER_STEP = 1000
KEYS_PER_STEP = 500
#: A picture may be a megabyte, and its prototype's row is locked meanwhile.
PICTURES_PER_STEP = 20
AUDIT_PER_STEP = 500


@dataclass(frozen=True, slots=True)
class AuditExport:
    """A file with lines of the audit, oldest first in each workspace; `sha256` is its digest."""

    file: Path
    sha256: str
    #: (lines, time of the first, time of the last) by workspace.
    workspaces: Mapping[str, tuple[int, str, str]]

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return sum(number for number, _first, _last in self.workspaces.values())


@dataclass(slots=True)
class Pruned:
    """What was removed, or would be: rows by kind, and lines of the audit with the file that holds them."""

    rows: Counter[Kind] = field(default_factory=Counter)
    audit_lines: int | None = None
    export: AuditExport | None = None


class Retention:
    """Removes what is too old: in passes of the jobs, or all of it for a command."""

    def __init__(self, context: Context, periods: RetentionPeriods) -> None:
        self._context = context
        self.periods = periods
        self._walk: AsyncGenerator[Removed] | None = None
        self._rests_until: datetime | None = None

    async def run_if_due(self) -> None:
        """One pass: a few steps of a walk over everything that may be too old, which begins anew every hour."""
        now = self._context.clock()
        if self._walk is None:
            if self._rests_until is not None and now < self._rests_until:
                return
            self._walk = self._steps(dry_run=False)
        walk, self._walk = self._walk, None  # A walk whose step fails is over: the next pass begins another one.
        for _ in range(STEPS_PER_PASS):
            if await anext(walk, None) is None:
                self._rests_until = now + WALK_INTERVAL
                return
        self._walk = walk

    async def prune(self, *, dry_run: bool = False, audit_to: Path | None = None) -> Pruned:
        """Remove all that is too old, or only count it.

        With `audit_to` lines of the audit are written to that new file and then removed. Raises `InvalidInput` where
        the file exists or no setting says how old such lines have to be, and `OSError` where it cannot be written;
        nothing was removed then.
        """
        pruned = Pruned()
        if audit_to is not None and self.periods.audit is None:
            raise InvalidInput("It is not set how old lines of the audit must be to go.")
        if self.periods.audit is not None and (dry_run or audit_to is not None):
            before = self._context.clock() - self.periods.audit
            pruned.export = None if dry_run or audit_to is None else await self._export_audit(audit_to, before)
            pruned.audit_lines = pruned.export.lines if pruned.export else await self._count_audit(before)
        async with aclosing(self._steps(dry_run=dry_run)) as steps:
            async for kind, number in steps:
                pruned.rows[kind] += number
        if pruned.export is not None:
            await self._remove_audit(pruned.export)
        return pruned

    # -- steps -------------------------------------------------------------------------------------------------

    async def _steps(self, *, dry_run: bool) -> AsyncGenerator[Removed]:
        """Each step, as it was taken; the walk goes on when the next one is asked for."""
        now = self._context.clock()
        store = self._context.store.retention
        before = now - self.periods.idempotency_keys
        if dry_run:
            yield "idempotency_keys", await store.count_keys(before)
        else:
            while removed := await store.delete_keys(before, KEYS_PER_STEP):
                yield "idempotency_keys", removed
        if self.periods.events is not None:
            async for removed in self._event_steps(now - self.periods.events, dry_run=dry_run):
                yield "events", removed
        if self.periods.pictures is not None:
            before = now - self.periods.pictures
            if dry_run:
                yield "pictures", await store.count_pictures(before)
            else:
                while removed := await store.delete_pictures(before, PICTURES_PER_STEP):
                    yield "pictures", removed

    async def _event_steps(self, before: datetime, *, dry_run: bool) -> AsyncIterator[int]:
        """Walk over the events by their numbers, which grow with time, until they are too young."""
        after: int | None = 0
        store = self._context.store.retention
        while after is not None:
            after, removed = await store.prune_events(after, before, STEP_KINDS, EVENTS_PER_STEP, dry_run=dry_run)
            yield removed

    # -- the audit ---------------------------------------------------------------------------------------------

    async def _old_audit(self, before: datetime) -> AsyncIterator[list[Row]]:
        """The lines that may go, in pages: by workspace, oldest first."""
        store = self._context.store.retention
        async for workspace_id in store.audited_workspaces():
            after = None
            while page := await store.old_audit(workspace_id, before, LASTING_ACTIONS, after, AUDIT_PER_STEP):
                yield page
                after = (page[-1]["written_at"], page[-1]["id"])

    async def _count_audit(self, before: datetime) -> int:
        return sum([len(page) async for page in self._old_audit(before)])

    async def _export_audit(self, file: Path, before: datetime) -> AuditExport:
        """Write the lines that may go to a file, which is on the disk when this returns."""
        digest = hashlib.sha256()
        workspaces: dict[str, tuple[int, str, str]] = {}
        try:
            descriptor = create_file(file)
        except FileExistsError:
            raise InvalidInput(f"{file} exists. Choose another name, so that no older lines are lost.") from None
        with os.fdopen(descriptor, "wb") as output:
            async for page in self._old_audit(before):
                text = b"".join(json.dumps(_line(row), ensure_ascii=False).encode() + b"\n" for row in page)
                output.write(text)
                digest.update(text)
                at = [row["written_at"].isoformat() for row in (page[0], page[-1])]
                number, first, _last = workspaces.get(page[0]["workspace_id"], (0, at[0], ""))
                workspaces[page[0]["workspace_id"]] = (number + len(page), first, at[1])
            output.flush()
            os.fsync(output.fileno())
        return AuditExport(file, digest.hexdigest(), workspaces)

    async def _remove_audit(self, export: AuditExport) -> None:
        """Remove the lines that the file holds, and no other; first a receipt says so in each workspace."""
        now = self._context.clock()
        receipts = [
            AuditEntry(
                workspace_id,
                now,
                Action.AUDIT_REMOVED,
                ITSELF,
                data={"lines": lines, "from": first, "to": last, "file": str(export.file), "sha256": export.sha256},
            )
            for workspace_id, (lines, first, last) in export.workspaces.items()
        ]
        store = self._context.store.retention
        for number, ids in enumerate(_ids_in(export.file)):
            await store.delete_audit(ids, receipts if number == 0 else ())


def _line(row: Row) -> dict[str, Any]:
    """A line of the audit as the file has it."""
    return {**row, "written_at": row["written_at"].isoformat(), "data": json.loads(row["data"]) if row["data"] else {}}


def _ids_in(file: Path) -> Iterator[list[str]]:
    """The ids of the lines of a file, a step's at a time."""
    ids: list[str] = []
    with file.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            ids.append(json.loads(line)["id"])
            if len(ids) == AUDIT_PER_STEP:
                yield ids
                ids = []
    if ids:
        yield ids
