"""How v0's API v2 shows things (components/schemas of its OpenAPI document)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ..generated_content import credits_of, files_of, number_of, reply_text, tokens_of
from ..routing import Call
from ..state import Chat, Hook, Message


def show_chat(call: Call, one: Chat) -> dict[str, Any]:
    """Chat: metadata but no status."""
    shown: dict[str, Any] = {"id": one.id}
    if one.title is not None:
        shown["title"] = one.title
    return {
        **shown,
        "privacy": one.privacy,
        "createdAt": call.stamp(one.created_at),
        "updatedAt": call.stamp(one.updated_at(call.now)),
        "authorId": call.account.user_id,
        "metadata": one.metadata,
        "writePermission": True,
    }


def show_chat_with_usage(call: Call, one: Chat, reply: Message | None) -> dict[str, Any]:
    """ChatWithUsage; a chat begun from files has used nothing."""
    nothing = dict.fromkeys(("input", "output", "cacheRead", "cacheWrite", "total"), 0)
    used = show_usage(call, reply) if reply is not None else {"tokens": nothing, "creditsCost": nothing}
    return {"chat": show_chat(call, one), "usage": used}


def show_usage(call: Call, message: Message) -> dict[str, Any]:
    """Tokens and credits of one message."""
    return {"tokens": tokens_of(message, call.now), "creditsCost": credits_of(message, call.now)}


def show_message(call: Call, one: Chat, said: Message) -> dict[str, Any]:
    """Message. `finishReason` null: still being generated, or said by a user."""
    attachments = {"attachments": [{"url": url} for url in said.attachments]} if said.attachments else {}
    return {
        "id": said.id,
        "chatId": one.id,
        "role": said.role,
        "createdAt": call.stamp(said.created_at),
        "updatedAt": call.stamp(said.updated_at(call.now)),
        "content": reply_text(one, said, call.now),
        "parts": _parts(call, one, said),
        "finishReason": said.finish_reason(call.now),
        "restorable": _restorable(call, one, said),
        **attachments,
        "authorId": call.account.user_id if said.role == "user" else None,
        "usage": show_usage(call, said),
    }


def _restorable(call: Call, one: Chat, said: Message) -> bool:
    newest = one.last_reply()
    generation = said.generation
    return generation is not None and generation.succeeded and call.now >= generation.finish_at and said is not newest


def _parts(call: Call, one: Chat, said: Message) -> list[dict[str, Any]]:
    text = reply_text(one, said, call.now)
    if said.generation is None:
        return [{"type": "text", "text": text}]
    started = call.stamp(said.created_at)
    thinking = {"type": "thinking", "text": "Planning the layout and its data.", "startedAt": started}
    reason = said.finish_reason(call.now)
    if reason is None:
        return [thinking]
    ended = call.stamp(said.generation.finish_at)
    parts: list[dict[str, Any]] = [{**thinking, "finishedAt": ended}]
    if said.generation.succeeded:
        parts += [
            {
                "type": "file-edit",
                "operation": "create",
                "path": path,
                "startedAt": started,
                "finishedAt": ended,
            }
            for path in files_of(one)
        ]
    if reason == "tool-calls":
        parts.append(_question(started))
    return [*parts, {"type": "text", "text": text, "startedAt": ended, "finishedAt": ended}]


def _question(started: str) -> dict[str, Any]:
    options = [
        {"id": "light", "label": "Light"},
        {"id": "dark", "label": "Dark", "description": "Easy on the eyes"},
    ]
    question = {
        "id": "theme",
        "question": "Which theme should the prototype use?",
        "header": "Theme",
        "multiSelect": False,
        "options": options,
    }
    return {
        "type": "agent-action",
        "name": "ask_user_questions",
        "summary": "Asked which theme to use",
        "data": {"questions": [question]},
        "startedAt": started,
    }


def show_preview(call: Call, one: Chat) -> dict[str, Any] | None:
    """GET /chats/{chatId}/preview: null while starting. The token is good until the end of the next hour."""
    if not one.preview_ready(call.now):
        return None
    expires = call.now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=2)
    token = f"{number_of('preview', one.id, expires.isoformat()):016x}"
    return {"url": f"{call.base}/preview/{one.id}", "token": token, "expiresAt": call.stamp(expires)}


def show_files(call: Call, one: Chat) -> dict[str, Any]:
    """Files: the current code, none before the first generation has succeeded."""
    found = files_of(one) if one.preview_ready(call.now) else {}
    return {"files": [{"path": path, "content": text, "encoding": "utf8"} for path, text in found.items()]}


def show_hook(call: Call, one: Hook) -> dict[str, Any]:
    """Webhook."""
    return {
        "id": one.id,
        "createdAt": call.stamp(one.created_at),
        "name": one.name,
        "events": one.events,
        "url": one.url,
        "chatId": one.chat_id,
    }


def show_usage_event(call: Call, one: Chat, said: Message, at: datetime) -> dict[str, Any]:
    """One row of GET /usage/events."""
    cost = credits_of(said, call.now)
    return {
        "id": f"usage_{said.id}",
        "object": "usage_event",
        "type": "message",
        "createdAt": call.stamp(at),
        "userId": call.account.user_id,
        "chatId": one.id,
        "messageId": said.id,
        "model": "v0-pro",
        "sources": ["plan"],
        "waived": False,
        "tokens": tokens_of(said, call.now),
        "creditsCost": {**cost, "charged": cost["total"]},
    }
