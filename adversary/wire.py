"""Chats and messages in the words of v0's two documents, openapi.v1.json and openapi.v2.json."""

from __future__ import annotations

import time
from typing import Any

from adversary.chats import Chat, Message, instant
from adversary.knobs import Knobs

#: What a body may hold; both documents close their bodies, so another field is a 422.
CREATE_FIELDS = {
    1: {
        *("message", "attachments", "system", "chatPrivacy", "projectId", "modelConfiguration", "responseMode"),
        *("designSystemId", "mcpServerIds", "attachedSkillIds", "skills", "metadata"),
    },
    2: {
        *("message", "systemPrompt", "modelConfiguration", "attachments", "mcpServerIds", "skills", "privacy"),
        *("title", "metadata"),
    },
}
SEND_FIELDS = {
    1: {
        *("message", "attachments", "system", "modelConfiguration", "responseMode", "mcpServerIds"),
        *("attachedSkillIds", "skills", "action"),
    },
    2: {"message", "systemPrompt", "modelConfiguration", "mcpServerIds", "attachments", "skills"},
}
ERROR_TYPES = {
    401: "unauthorized_error",
    403: "forbidden_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "payload_too_large_error",
    422: "unprocessable_entity_error",
    429: "too_many_requests_error",
    500: "internal_server_error",
}
OVERSIZED = ["x" * 1024] * 9 * 1024
ZERO = {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0, "total": 0}


def error(version: int, status: int, words: str) -> dict[str, Any]:
    """An error's body: an object of its own in v1, one message in v2."""
    if version == 1:
        return {"error": {"message": words, "type": ERROR_TYPES.get(status, "x_error")}}
    return {"message": words}


def row(chat: Chat, knobs: Knobs, version: int) -> dict[str, Any]:
    """A chat in a list: v1 shows its newest version and no metadata, v2 the other way round."""
    ahead = knobs.clock_ahead
    if version == 1:
        shown: dict[str, Any] = {
            "id": chat.id,
            "object": "chat",
            "shareable": False,
            "privacy": "private",
            "createdAt": instant(chat.created_at, ahead),
            "favorite": chat.pinned,
            "authorId": "u1",
            "webUrl": f"https://v0.app/chat/{chat.id}",
            "apiUrl": f"https://api.v0.dev/v1/chats/{chat.id}",
        }
        if newest := _newest_version(chat, knobs):
            shown["latestVersion"] = newest
    else:
        shown = {
            "id": chat.id,
            "title": "A chat",
            "createdAt": instant(chat.created_at, ahead),
            "updatedAt": instant(chat.messages[-1].at, ahead),
            "privacy": "private",
            "authorId": "u1",
            "metadata": chat.metadata,
            "writePermission": True,
        }
    if knobs.unknown_fields:
        shown["brandNew"] = {"a": [None]}
    return {**shown, **chat.shown}


def detail(chat: Chat, knobs: Knobs, version: int) -> dict[str, Any]:
    """A chat read by its id: with all messages in v1, the list's row in v2."""
    if version == 2:
        return row(chat, knobs, 2)
    messages = [_message_of_v1(message, knobs) for message in visible_messages(chat, knobs)]
    shown = row(chat, knobs, 1)
    if isinstance(shown.get("latestVersion"), dict):
        shown["latestVersion"] = {**shown["latestVersion"], "files": []}
    more = {"url": shown["apiUrl"], "messages": messages, "text": "", "permissions": {"write": True}}
    return {**shown, **more, "metadata": chat.metadata, **chat.shown}


def poisoned(chat: Chat, knobs: Knobs, version: int) -> tuple[int, Any]:
    """The read of a chat that cannot be read as its document says."""
    if chat.poison in ("403", "500"):
        return int(chat.poison), error(version, int(chat.poison), "private")
    if chat.poison == "oversized":
        return 200, {**detail(chat, knobs, version), "files": OVERSIZED}
    if chat.poison == "malformed":
        return 200, {"id": 5, "messages": "none", "metadata": [], "latestVersion": 7, "createdAt": None}
    return 200, "{not json"


def message_of_v2(chat: Chat, message: Message, knobs: Knobs) -> dict[str, Any]:
    """A message as `GET /chats/{id}/messages/{id}` of v2 shows it."""
    return {
        "id": message.id,
        "chatId": chat.id,
        "role": message.role,
        "content": message.content,
        "createdAt": instant(message.at, knobs.clock_ahead),
        "updatedAt": instant(message.at, knobs.clock_ahead),
        "finishReason": message.finish_reason,
        "parts": [],
        "restorable": False,
        "authorId": None,
        "usage": {"tokens": ZERO, "creditsCost": ZERO},
    }


def message(chat: Chat, one: Message, knobs: Knobs, version: int) -> dict[str, Any]:
    """A single message of either version."""
    return message_of_v2(chat, one, knobs) if version == 2 else {**_message_of_v1(one, knobs), "chatId": chat.id}


def messages(chat: Chat, knobs: Knobs, version: int, limit: int) -> dict[str, Any]:
    """The newest messages of a chat, newest first."""
    newest = visible_messages(chat, knobs)[::-1][:limit]
    if version == 2:
        return {"messages": [message_of_v2(chat, one, knobs) for one in newest], "cursor": None}
    shown = [_message_of_v1(one, knobs) for one in newest]
    return {"object": "list", "data": shown, "pagination": {"hasMore": False}}


def visible_messages(chat: Chat, knobs: Knobs) -> list[Message]:
    """The messages that a read shows now; those of the create are always among them."""
    now = time.time()
    return [one for one in chat.messages if now - one.at >= knobs.message_lag or one.at <= chat.created_at + 0.01]


def _message_of_v1(one: Message, knobs: Knobs) -> dict[str, Any]:
    shown = {
        "id": one.id,
        "object": "message",
        "content": one.content,
        "createdAt": instant(one.at, knobs.clock_ahead),
        "type": "message",
        "role": one.role,
        "apiUrl": f"https://api.v0.dev/v1/messages/{one.id}",
        "authorId": None,
    }
    return {**shown, "finishReason": one.finish_reason} if one.finish_reason else shown


def _newest_version(chat: Chat, knobs: Knobs) -> dict[str, Any] | None:
    if not chat.versions:
        return None
    version_id, answer = chat.versions[-1]
    completed = answer.finish_reason is not None
    if knobs.flipping_status and int(time.time()) % 2:
        completed = False
    at = instant(answer.at, knobs.clock_ahead)
    status = "completed" if completed else "pending"
    shown = {"id": version_id, "object": "version", "status": status, "createdAt": at, "updatedAt": at}
    return {**shown, "demoUrl": f"http://127.0.0.1:1/demo/{chat.id}"} if completed else shown
