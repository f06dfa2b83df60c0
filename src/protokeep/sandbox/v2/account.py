"""Operations of v0's API v2 that concern no chat: hooks and usage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..bodies import UpdateHook
from ..generated_content import credits_of
from ..http import Refusal, instant, integer, make_cursor, read_cursor
from ..routing import Call, Operations
from ..state import Hook
from . import bodies, views


def add_to(operations: Operations) -> None:
    """Register these operations."""
    for method, path, operation, handler in (
        ("GET", "/hooks", "webhooks.list", list_hooks),
        ("POST", "/hooks", "webhooks.create", create_hook),
        ("GET", "/hooks/{hookId}", "webhooks.get", get_hook),
        ("PATCH", "/hooks/{hookId}", "webhooks.update", update_hook),
        ("DELETE", "/hooks/{hookId}", "webhooks.delete", delete_hook),
        ("GET", "/usage/summary", "usage.getSummary", usage_summary),
        ("GET", "/usage/events", "usage.listEvents", usage_events),
    ):
        operations.on(method, path, operation)(handler)


def list_hooks(call: Call) -> list[dict[str, Any]]:
    """All hooks, as a bare array."""
    return [{"id": hook.id, "name": hook.name} for hook in call.account.hooks["v2"].values()]


def create_hook(call: Call) -> dict[str, Any]:
    """Create a hook. With `chatId` null it hears of every v2 chat of the account."""
    body = call.read(bodies.CreateHook)
    if body.chatId is not None:
        call.backend.find_chat(call.account, "v2", body.chatId)
    hook = Hook(call.backend.new_id(prefix="hook_"), body.name, list(body.events), body.url, call.now, body.chatId)
    call.backend.add_hook(call.account, "v2", hook)
    return views.show_hook(call, hook)


def get_hook(call: Call) -> dict[str, Any]:
    """One hook."""
    return views.show_hook(call, call.hook())


def update_hook(call: Call) -> dict[str, Any]:
    """Change the fields that are given."""
    hook = call.hook()
    for name, value in call.read(UpdateHook).model_dump(exclude_unset=True).items():
        setattr(hook, name, value)
    return views.show_hook(call, hook)


def delete_hook(call: Call) -> dict[str, Any]:
    """Delete a hook. Nothing is delivered to it any more."""
    hook = call.hook()
    del call.account.hooks["v2"][hook.id]
    return {"id": hook.id, "deleted": True}


def usage_summary(call: Call) -> dict[str, Any]:
    """Credits of the range, in total and for each day."""
    wanted = _Wanted.by(call, call.query)
    days: dict[str, float] = {}
    for at, chat, message in call.backend.usage(call.account, "v2", call.now):
        if wanted.has(at, chat.id, message.id, call.author_of(chat)):
            day = at.astimezone(UTC).date().isoformat()
            days[day] = days.get(day, 0.0) + credits_of(message, call.now)["total"]
    return {
        "object": "usage_summary",
        "range": {"start": call.stamp(wanted.start), "end": call.stamp(wanted.end)},
        "scope": _scope(call),
        "credits": _as_credits(sum(days.values())),
        "daily": [{"date": day, "credits": _as_credits(days[day])} for day in sorted(days)],
        "dataAsOf": call.stamp(call.now),
    }


def usage_events(call: Call) -> dict[str, Any]:
    """One row per finished generation, newest first. A cursor keeps the range and the filters of its first page."""
    limit = integer(call.query.get("limit"), "limit", 1, 100, 50)
    left, query = _read_cursor(call)
    wanted = _Wanted.by(call, query)
    rows = [
        row
        for row in call.backend.usage(call.account, "v2", call.now)
        if wanted.has(row.at, row.chat.id, row.message.id, call.author_of(row.chat))
    ]
    # The cursor counts from the oldest row, so that new rows do not shift pages.
    first = 0 if left is None else max(len(rows) - left, 0)
    page = rows[first : first + limit]
    left = len(rows) - first - len(page)
    cursor = make_cursor("usage", json.dumps([left, wanted.as_query()])) if left > 0 else None
    return {
        "object": "list",
        "range": {"start": call.stamp(wanted.start), "end": call.stamp(wanted.end)},
        "scope": _scope(call),
        "data": [views.show_usage_event(call, chat, message, at) for at, chat, message in page],
        "pagination": {"hasMore": left > 0, "cursor": cursor},
    }


def _read_cursor(call: Call) -> tuple[int | None, Mapping[str, str]]:
    """How many rows are left at the cursor, and the query of its first page; without a cursor None and this query."""
    position = read_cursor("usage", call.query.get("cursor"))
    if position is None:
        return None, call.query
    try:
        left, query = json.loads(position)
        return int(left), {str(name): str(value) for name, value in query.items()}
    except (ValueError, TypeError, AttributeError):
        raise Refusal(422, "cursor: not a cursor of this list") from None


@dataclass(slots=True)
class _Wanted:
    """The rows that a request wants. The document's end is exclusive; the present, its default, is inclusive here."""

    start: datetime
    end: datetime
    end_given: bool
    filters: dict[str, str]

    @classmethod
    def by(cls, call: Call, query: Mapping[str, str]) -> _Wanted:
        given = instant(query.get("end"), "end")
        end = given or call.now
        start = instant(query.get("start"), "start") or end - timedelta(days=7)
        if start > end:
            raise Refusal(422, "start: is after end")
        filters = {name: query[name] for name in ("chatId", "messageId", "userId") if name in query}
        return cls(start, end, given is not None, filters)

    def has(self, at: datetime, chat_id: str, message_id: str, user_id: str) -> bool:
        in_time = self.start <= at and (at < self.end if self.end_given else at <= self.end)
        found = {"chatId": chat_id, "messageId": message_id, "userId": user_id}
        return in_time and all(found[name] == value for name, value in self.filters.items())

    def as_query(self) -> dict[str, str]:
        end = self.end if self.end_given else self.end + timedelta(microseconds=1)
        return {"start": _exactly(self.start), "end": _exactly(end), **self.filters}


def _exactly(instant: datetime) -> str:
    return f"{instant.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"


def _scope(call: Call) -> dict[str, Any]:
    user = call.account.user_id
    return {"id": user, "type": "personal", "isTeamWide": False, "userId": user}


def _as_credits(credits: float) -> dict[str, float]:
    return {"plan": round(credits, 6), "onDemand": 0, "total": round(credits, 6)}
