"""JSON bodies of v0's API v2 (components/schemas of its OpenAPI document)."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any

from ..generated_content import credits_of, files_of, number_of, reply_text, tokens_of
from ..routing import Call
from ..state import Chat, Hook, Message


def show_chat(call: Call, chat: Chat) -> dict[str, Any]:
    """Chat: with metadata, without status."""
    title = {} if chat.shown_name is None else {"title": chat.shown_name}
    linked = {} if chat.vercel_project_id is None else {"vercelProjectId": chat.vercel_project_id}
    return {
        "id": chat.id,
        **title,
        "privacy": chat.privacy,
        "createdAt": call.stamp(chat.created_at),
        "updatedAt": call.stamp(chat.updated_at(call.now)),
        "authorId": call.author_of(chat),
        **linked,
        "metadata": chat.metadata,
        "writePermission": chat.writable,
    }


def show_chat_with_usage(call: Call, chat: Chat, reply: Message | None) -> dict[str, Any]:
    """ChatWithUsage. A chat that was begun from files has used nothing."""
    nothing = dict.fromkeys(("input", "output", "cacheRead", "cacheWrite", "total"), 0)
    used = show_usage(call, reply) if reply is not None else {"tokens": nothing, "creditsCost": nothing}
    return {"chat": show_chat(call, chat), "usage": used}


def show_usage(call: Call, message: Message) -> dict[str, Any]:
    """Tokens and credits of one message."""
    return {"tokens": tokens_of(message, call.now), "creditsCost": credits_of(message, call.now)}


def show_message(call: Call, chat: Chat, message: Message) -> dict[str, Any]:
    """Message. `finishReason` is null for a user's message, and while an answer is generated."""
    attachments = {"attachments": [{"url": url} for url in message.attachments]} if message.attachments else {}
    return {
        "id": message.id,
        "chatId": chat.id,
        "role": message.role,
        "createdAt": call.stamp(message.created_at),
        "updatedAt": call.stamp(message.updated_at(call.now)),
        "content": reply_text(chat, message, call.now),
        "parts": _parts(call, chat, message),
        "finishReason": message.finish_reason(call.now),
        "restorable": _restorable(call, chat, message),
        **attachments,
        "authorId": call.author_of(chat) if message.role == "user" else None,
        "usage": show_usage(call, message),
    }


def _restorable(call: Call, chat: Chat, message: Message) -> bool:
    newest = chat.last_reply()
    generation = message.generation
    return (
        generation is not None and generation.succeeded and call.now >= generation.finish_at and message is not newest
    )


def _parts(call: Call, chat: Chat, message: Message) -> list[dict[str, Any]]:
    text = reply_text(chat, message, call.now)
    if message.generation is None:
        return [{"type": "text", "text": text}]
    started = call.stamp(message.created_at)
    thinking = {"type": "thinking", "text": "Planning the layout and its data.", "startedAt": started}
    reason = message.finish_reason(call.now)
    if reason is None:
        return [thinking]
    ended = call.stamp(message.generation.finish_at)
    parts: list[dict[str, Any]] = [{**thinking, "finishedAt": ended}]
    if message.generation.succeeded:
        parts += [
            {
                "type": "file-edit",
                "operation": "create",
                "path": path,
                "startedAt": started,
                "finishedAt": ended,
            }
            for path in files_of(chat)
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


def show_preview(call: Call, chat: Chat) -> dict[str, Any] | None:
    """GET /chats/{chatId}/preview: null before there is one. The token is valid until the end of the next hour."""
    if not chat.preview_ready(call.now):
        return None
    expires = call.now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=2)
    token = f"{number_of('preview', chat.id, expires.isoformat()):016x}"
    return {"url": f"{call.base}/preview/{chat.id}", "token": token, "expiresAt": call.stamp(expires)}


def show_files(call: Call, chat: Chat) -> dict[str, Any]:
    """Files: the current code; none before the first generation has succeeded."""
    code = files_of(chat) if chat.preview_ready(call.now) else {}
    return {"files": [_file(path, content) for path, content in code.items()]}


def _file(path: str, content: str | bytes) -> dict[str, str]:
    if isinstance(content, str):
        return {"path": path, "content": content, "encoding": "utf8"}
    return {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}


def show_hook(call: Call, hook: Hook) -> dict[str, Any]:
    """Webhook."""
    return {
        "id": hook.id,
        "createdAt": call.stamp(hook.created_at),
        "name": hook.name,
        "events": hook.events,
        "url": hook.url,
        "chatId": hook.chat_id,
    }


def show_usage_event(call: Call, chat: Chat, message: Message, at: datetime) -> dict[str, Any]:
    """One row of GET /usage/events."""
    cost = credits_of(message, call.now)
    return {
        "id": f"usage_{message.id}",
        "object": "usage_event",
        "type": "message",
        "createdAt": call.stamp(at),
        "userId": call.author_of(chat),
        "chatId": chat.id,
        "messageId": message.id,
        "model": "v0-pro",
        "sources": ["plan"],
        "waived": False,
        "tokens": tokens_of(message, call.now),
        "creditsCost": {**cost, "charged": cost["total"]},
    }
