"""JSON bodies of v0's API v1 (components/schemas of its OpenAPI document). Unset fields are left out."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from ..generated_content import credits_of, files_of, reply_text
from ..http import make_cursor, number, read_cursor
from ..routing import Call
from ..state import Account, Chat, Hook, Message, Project, Version

T = TypeVar("T")


def listed(rows: list[Any]) -> dict[str, Any]:
    """The envelope of every list."""
    return {"object": "list", "data": rows}


def paged(call: Call, path: str, kind: str, rows: list[T]) -> tuple[list[T], dict[str, Any]]:
    """One page of rows, newest first, and its `pagination`. The cursor counts from the oldest row."""
    limit = number(call.query.get("limit"), "limit", 1, 150, 20)
    position = read_cursor(kind, call.query.get("cursor"))
    start = max(len(rows) - position, 0) if isinstance(position, int) else 0
    page = rows[start : start + limit]
    left = len(rows) - start - len(page)
    if left <= 0:
        return page, {"hasMore": False}
    cursor = make_cursor(kind, left)
    url = f"{call.base}/v1{path}?limit={limit}&cursor={cursor}"
    return page, {"hasMore": True, "nextCursor": cursor, "nextUrl": url}


def version_summary(call: Call, chat: Chat, version: Version) -> dict[str, Any]:
    """VersionSummary. A completed version has links."""
    body: dict[str, Any] = {"id": version.id, "object": "version", "status": version.status}
    if version.status == "completed":
        body["demoUrl"] = f"{call.base}/preview/{chat.id}"
        body["screenshotUrl"] = f"{call.base}/screenshot/{chat.id}/{version.id}.png"
    body["createdAt"] = call.stamp(version.created_at)
    body["updatedAt"] = call.stamp(version.updated_at)
    return body


def version_detail(call: Call, chat: Chat, version: Version, *, with_defaults: bool = False) -> dict[str, Any]:
    """VersionDetail: the summary and the files that are text. Only a download has the others."""
    files = files_of(chat, with_defaults=with_defaults) if version.status == "completed" else {}
    shown = [
        {"object": "file", "name": name, "content": content, "locked": False}
        for name, content in files.items()
        if isinstance(content, str)
    ]
    return {**version_summary(call, chat, version), "files": shown}


def chat_summary(call: Call, chat: Chat) -> dict[str, Any]:
    """ChatSummary: with status, without metadata. It has `webUrl` from the first moment on."""
    body = _chat(call, chat)
    version = chat.latest_version(call.now)
    if version is not None:
        body["latestVersion"] = version_summary(call, chat, version)
    return body


def chat_detail(call: Call, chat: Chat) -> dict[str, Any]:
    """ChatDetail: with all messages and files."""
    body = _chat(call, chat)
    version = chat.latest_version(call.now)
    if version is not None:
        body["latestVersion"] = version_detail(call, chat, version)
        if version.status == "completed":
            body["demo"] = f"{call.base}/preview/{chat.id}"
    body["url"] = body["webUrl"]
    body["messages"] = [message_summary(call, chat, message) for message in chat.messages]
    body["text"] = chat.message
    body["permissions"] = {"write": chat.writable}
    body["metadata"] = chat.metadata
    return body


def _chat(call: Call, chat: Chat) -> dict[str, Any]:
    body: dict[str, Any] = {"id": chat.id, "object": "chat", "shareable": True, "privacy": chat.privacy}
    if chat.name is not None:
        body["name"] = chat.name
    if (title := chat.shown_name) is not None:
        body["title"] = title
    body["createdAt"] = call.stamp(chat.created_at)
    body["updatedAt"] = call.stamp(chat.updated_at(call.now))
    body["favorite"] = chat.favorite
    body["authorId"] = call.author_of(chat)
    if chat.project_id is not None:
        body["projectId"] = chat.project_id
    if chat.vercel_project_id is not None:
        body["vercelProjectId"] = chat.vercel_project_id
    body["webUrl"] = f"{call.base}/chat/{chat.id}"
    body["apiUrl"] = f"{call.base}/v1/chats/{chat.id}"
    return body


def message_summary(call: Call, chat: Chat, message: Message) -> dict[str, Any]:
    """MessageSummary. A user's message has no `finishReason`, nor has an answer that is being generated."""
    body: dict[str, Any] = {
        "id": message.id,
        "object": "message",
        "content": reply_text(chat, message, call.now),
        "createdAt": call.stamp(message.created_at),
        "updatedAt": call.stamp(message.updated_at(call.now)),
        "type": message.kind,
        "role": message.role,
    }
    if (reason := message.finish_reason(call.now)) is not None:
        body["finishReason"] = reason
    body["apiUrl"] = f"{call.base}/v1/chats/{chat.id}/messages/{message.id}"
    body["authorId"] = call.author_of(chat) if message.role == "user" else None
    if message.attachments:
        body["attachments"] = [{"url": url, "size": 0} for url in message.attachments]
    return body


def message_detail(call: Call, chat: Chat, message: Message) -> dict[str, Any]:
    """MessageDetail: the summary and the chat it belongs to."""
    return {**message_summary(call, chat, message), "chatId": chat.id}


def project_summary(call: Call, project: Project) -> dict[str, Any]:
    """ProjectSummary."""
    body: dict[str, Any] = {
        "id": project.id,
        "object": "project",
        "name": project.name,
        "privacy": project.privacy,
        "createdAt": call.stamp(project.created_at),
        "updatedAt": call.stamp(project.updated_at),
        "apiUrl": f"{call.base}/v1/projects/{project.id}",
        "webUrl": f"{call.base}/projects/{project.id}",
    }
    if project.vercel_project_id is not None:
        body["vercelProjectId"] = project.vercel_project_id
    return body


def project_detail(call: Call, project: Project) -> dict[str, Any]:
    """ProjectDetail: the summary and the project's chats as list rows."""
    body = project_summary(call, project)
    if project.description is not None:
        body["description"] = project.description
    if project.instructions is not None:
        body["instructions"] = project.instructions
    chats = reversed(call.account.chats["v1"].values())
    body["chats"] = [
        chat_summary(call, chat) for chat in chats if chat.project_id == project.id and chat.listed_at <= call.now
    ]
    return body


def hook_detail(hook: Hook) -> dict[str, Any]:
    """HookDetail."""
    body: dict[str, Any] = {"id": hook.id, "object": "hook", "name": hook.name, "events": hook.events}
    if hook.chat_id is not None:
        body["chatId"] = hook.chat_id
    return {**body, "url": hook.url}


def user(call: Call, account: Account) -> dict[str, Any]:
    """UserSummarySchema."""
    return {
        "id": account.user_id,
        "object": "user",
        "name": f"Sandbox user {account.id[:4]}",
        "email": f"{account.id}@sandbox.invalid",
        "avatar": f"{call.base}/avatar.png",
        "createdAt": call.stamp(account.created_at),
    }


def usage_row(call: Call, chat: Chat, message: Message, at: datetime) -> dict[str, Any]:
    """One row of GET /reports/usage; costs are strings."""
    cost = credits_of(message, call.now)
    return {
        "id": f"usage_{message.id}",
        "object": "usage_event",
        "type": "message",
        "promptCost": f"{cost['input']:.4f}",
        "completionCost": f"{cost['output']:.4f}",
        "totalCost": f"{cost['total']:.4f}",
        "chatId": chat.id,
        "messageId": message.id,
        "userId": call.author_of(chat),
        "createdAt": call.stamp(at),
    }
