"""v0's API v2 beside the chats: hooks and usage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from .. import bodies
from ..generated_content import credits_of, finished_replies
from ..http import Refusal, instant, integer, make_cursor, read_cursor
from ..routing import Call, Operations
from ..state import Hook
from ..v1.account import find_hook
from . import bodies as v2_bodies
from . import views as v2_views


def add_to(operations: Operations) -> None:
    """Register these operations beside those of the chats."""
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
    """A bare array."""
    return [{"id": one.id, "name": one.name} for one in call.account.hooks["v2"].values()]


def create_hook(call: Call) -> dict[str, Any]:
    """With `chatId` null it hears of every v2 chat of the account."""
    body = call.read(v2_bodies.CreateHook)
    if body.chatId is not None:
        call.backend.find_chat(call.account, "v2", body.chatId)
    hook = Hook(call.backend.new_id(prefix="hook_"), body.name, list(body.events), body.url, call.now, body.chatId)
    call.backend.add_hook(call.account, "v2", hook)
    return v2_views.show_hook(call, hook)


def get_hook(call: Call) -> dict[str, Any]:
    """One hook."""
    return v2_views.show_hook(call, find_hook(call))


def update_hook(call: Call) -> dict[str, Any]:
    """Change what is given."""
    hook = find_hook(call)
    for name, value in call.read(bodies.UpdateHook).model_dump(exclude_unset=True).items():
        setattr(hook, name, value)
    return v2_views.show_hook(call, hook)


def delete_hook(call: Call) -> dict[str, Any]:
    """No delivery follows."""
    hook = find_hook(call)
    del call.account.hooks["v2"][hook.id]
    return {"id": hook.id, "deleted": True}


def usage_summary(call: Call) -> dict[str, Any]:
    """Credits of the range, and day by day."""
    start, end = _range(call)
    days: dict[str, float] = {}
    for at, _, message in finished_replies(call.account, "v2", call.now):
        if start <= at <= end and call.query.get("userId") in (None, call.account.user_id):
            day = at.astimezone(UTC).date().isoformat()
            days[day] = days.get(day, 0.0) + credits_of(message, call.now)["total"]
    return {
        "object": "usage_summary",
        "range": {"start": call.stamp(start), "end": call.stamp(end)},
        "scope": _scope(call),
        "credits": _spent(sum(days.values())),
        "daily": [{"date": day, "credits": _spent(days[day])} for day in sorted(days)],
        "dataAsOf": call.stamp(call.now),
    }


def usage_events(call: Call) -> dict[str, Any]:
    """One row per finished generation, newest first."""
    start, end = _range(call)
    query = call.query
    limit = integer(query.get("limit"), "limit", 1, 100, 50)
    position = read_cursor("usage", query.get("cursor"))
    rows = [
        (at, chat, message)
        for at, chat, message in finished_replies(call.account, "v2", call.now)
        if start <= at <= end
        and query.get("chatId") in (None, chat.id)
        and query.get("messageId") in (None, message.id)
        and query.get("userId") in (None, call.account.user_id)
    ]
    # The cursor counts from the oldest row, so that a new row moves no page.
    first = max(len(rows) - position, 0) if isinstance(position, int) else 0
    shown = rows[first : first + limit]
    left = len(rows) - first - len(shown)
    return {
        "object": "list",
        "range": {"start": call.stamp(start), "end": call.stamp(end)},
        "scope": _scope(call),
        "data": [v2_views.show_usage_event(call, chat, message, at) for at, chat, message in shown],
        "pagination": {"hasMore": left > 0, "cursor": make_cursor("usage", left) if left > 0 else None},
    }


def _range(call: Call) -> tuple[datetime, datetime]:
    end = instant(call.query.get("end"), "end") or call.now
    start = instant(call.query.get("start"), "start") or end - timedelta(days=30)
    if start > end:
        raise Refusal(422, "start: is after end")
    return start, end


def _scope(call: Call) -> dict[str, Any]:
    user = call.account.user_id
    return {"id": user, "type": "personal", "isTeamWide": False, "userId": user}


def _spent(credits: float) -> dict[str, float]:
    return {"plan": round(credits, 6), "onDemand": 0, "total": round(credits, 6)}
