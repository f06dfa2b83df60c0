"""The audit for admins: who did what, from where; with filters, and as a table for a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from starlette.datastructures import QueryParams

from protokeep.core.audit import Action
from protokeep.store.audit import BEGINNING, END, AuditRecord
from protokeep.web.dependencies import application_of, decode_cursor, encode_cursor
from protokeep.web.models import Cursor
from protokeep.web.pages.render import page
from protokeep.web.pages.session import AdminDep, Visitor
from protokeep.wiring import Application

router = APIRouter(prefix="/audit")

ROWS = 50
#: Entries of one file, and of one read for it.
EXPORTED = 10_000
BATCH = 500
COLUMNS = ("time", "person", "action", "subject", "address", "token", "details")
#: How a cell of a spreadsheet begins that would be calculated.
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")  # noqa: RUF001 - some take wide signs, too


@dataclass(frozen=True, slots=True)
class AuditFilters:
    """The filters in the page's address. What cannot be read filters nothing."""

    action: Action | None
    actor: str
    since: date | None
    until: date | None

    @classmethod
    def of(cls, query: QueryParams) -> AuditFilters:
        """The filters of a query."""
        action = query.get("action", "")
        actor = query.get("actor", "").replace("\0", " ").encode(errors="ignore").decode().strip()[:200]
        known = Action(action) if action in list(Action) else None
        return cls(known, actor, _day_of(query.get("since")), _day_of(query.get("until")))

    @property
    def values(self) -> dict[str, Any]:
        """The arguments of the audit's list. `until` is a whole day."""
        return {
            "action": self.action.value if self.action else None,
            "actor": self.actor or None,
            "since": _midnight(self.since) if self.since else BEGINNING,
            "until": _midnight(self.until + timedelta(days=1)) if self.until else END,
        }

    def url(self, path: str, **more: str) -> str:
        """The address of `path` with these filters."""
        given = {"action": self.action, "actor": self.actor, "since": self.since, "until": self.until}
        query = {name: str(value) for name, value in given.items() if value} | more
        return f"{path}?{urlencode(query)}" if query else path


@router.get("")
async def audit(request: Request, visitor: AdminDep, cursor: Cursor = None) -> Response:
    """A page of the audit, newest first."""
    application = application_of(request)
    filters = AuditFilters.of(request.query_params)
    found, after = await application.keeper.context.audit.list(
        visitor.principal, ROWS, **filters.values, after=decode_cursor(cursor)
    )
    now = application.keeper.context.clock()
    return page(
        request,
        "audit.html",
        visitor=visitor,
        live=None,
        rows=[
            {
                "entry": record.entry,
                "clock": _clock_of(record.entry.at, now),
                "words": words_of(record.entry.action),
                "details": details_of(record),
            }
            for record in found
        ],
        filters=filters,
        actions={action.value: words_of(action) for action in Action},
        export_url=filters.url("/audit/export"),
        newest_url=filters.url("/audit") if cursor else None,
        older_url=filters.url("/audit", cursor=encode_cursor(after) or "") if after else None,
    )


@router.get("/export")
async def export(request: Request, visitor: AdminDep) -> Response:
    """The newest entries that match, as CSV. No cell of it is calculated by a spreadsheet."""
    application = application_of(request)
    filters = AuditFilters.of(request.query_params)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    async for record in _exported(application, visitor, filters):
        entry = record.entry
        cells = (
            entry.at.isoformat(),
            entry.actor,
            entry.action.value,
            entry.subject or "",
            entry.address,
            entry.token_id,
            json.dumps(dict(entry.data), ensure_ascii=False) if entry.data else "",
        )
        writer.writerow([plain_cell(cell) for cell in cells])
    name = f"audit-{application.keeper.context.clock():%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(text.getvalue().encode("utf-8", "replace"), media_type="text/csv", headers=headers)


async def _exported(application: Application, visitor: Visitor, filters: AuditFilters) -> AsyncIterator[AuditRecord]:
    after: tuple[datetime, str] | None = None
    for _ in range(EXPORTED // BATCH):
        found, after = await application.keeper.context.audit.list(
            visitor.principal, BATCH, **filters.values, after=after
        )
        for record in found:
            yield record
        if after is None:
            return


def plain_cell(text: str) -> str:
    """A cell that spreadsheets show as it is: one that begins like a formula gets an apostrophe before it."""
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


#: What people read for actions whose names in the API are other words.
WORDS: Mapping[Action, str] = {
    Action.ASKED: "Asked for a change",
    Action.DELETED: "Deleted, or moved to the bin",
    Action.RESTORED: "Chat restored from its copy",
    Action.ARCHIVES_REMOVED: "Copies removed",
    Action.AUDIT_REMOVED: "Old audit moved to a file",
    Action.CENSUS_STARTED: "Scan started",
    Action.CENSUS_CANCELLED: "Scan cancelled",
    Action.PLAN_MADE: "Plan created",
    Action.PLAN_UNDONE: "Plan taken back",
    Action.PLAN_ITEM: "Chat of a plan",
    Action.POLICY_SET: "Standing policy set",
    Action.POLICY_REMOVED: "Standing policy removed",
    Action.INVITED: "Invited a person",
    Action.KEY_SEALED_ANEW: "Key encrypted again",
}


def words_of(action: Action) -> str:
    """What somebody did, in words."""
    return WORDS.get(action) or str(action.value).replace("_", " ").capitalize()


def _clock_of(at: datetime, now: datetime) -> str:
    """ "3 May, 14:05:09", with a short month and the year where it is another one."""
    return f"{at.day} {at:%b}{f' {at.year}' if at.year != now.year else ''}, {at:%H:%M:%S}"


def details_of(record: AuditRecord) -> Sequence[tuple[str, str]]:
    """The further details of an entry."""
    return [(str(name).replace("_", " "), _value_of(value)) for name, value in record.entry.data.items()]


def _value_of(value: object) -> str:
    """A detail as people write it: a list with commas, yes and no, a time without its fractions."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_value_of, value)) or "none"
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) and "T" in value else None
    except ValueError:
        at = None
    return f"{at.astimezone(UTC):%-d %B %Y, %H:%M} UTC" if at and at.tzinfo else str(value)


def _day_of(text: str | None) -> date | None:
    try:
        day = date.fromisoformat(text or "")
    except ValueError:
        return None
    return day if 1970 <= day.year < 9999 else None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
