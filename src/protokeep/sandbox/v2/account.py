"""Operations of v0's API v2 that concern no chat: hooks and usage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ..bodies import UpdateHook
from ..generated_content import credits_of, finished_replies
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
        "credits": _as_credits(sum(days.values())),
        "daily": [{"date": day, "credits": _as_credits(days[day])} for day in sorted(days)],
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
    # The cursor counts from the oldest row, so that new rows do not shift pages.
    first = max(len(rows) - position, 0) if isinstance(position, int) else 0
    page = rows[first : first + limit]
    left = len(rows) - first - len(page)
    return {
        "object": "list",
        "range": {"start": call.stamp(start), "end": call.stamp(end)},
        "scope": _scope(call),
        "data": [views.show_usage_event(call, chat, message, at) for at, chat, message in page],
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


def _as_credits(credits: float) -> dict[str, float]:
    return {"plan": round(credits, 6), "onDemand": 0, "total": round(credits, 6)}
