"""v0's API v1: chats and messages. Paths, operation ids and shapes are those of its OpenAPI document."""

from __future__ import annotations

from itertools import islice
from typing import Any

from ..generated_content import title_of
from ..http import Answer, Refusal, boolean, number, ordered
from ..routing import Call, Operations
from ..state import Chat, Message
from . import bodies as v1_bodies
from . import views as v1_views

operations = Operations("v1")


@operations.on("POST", "/chats", "chats.create", creates=True)
def create_chat(call: Call) -> Answer:
    """`sync`, the default, answers when the generation has ended; `async` at once."""
    body = call.read(v1_bodies.CreateChat)
    _refuse_stream(body.responseMode)
    _known_project(call, body.projectId)
    chat = call.backend.create_chat(
        call.account,
        "v1",
        call.now,
        call.knobs,
        message=body.message,
        title=title_of(body.message),
        privacy=body.chatPrivacy or "private",
        project_id=body.projectId,
        metadata=dict(body.metadata or {}),
    )
    attachments = [one.url for one in body.attachments or []]
    reply = call.backend.say(chat, call.now, call.knobs, body.message, attachments=attachments)
    return _generating(call, chat, reply, body.responseMode)


@operations.on("POST", "/chats/init", "chats.init", creates=True)
def init_chat(call: Call) -> Answer:
    """A chat from files, without a prompt and without a generation: its version is completed at once."""
    body = call.read(v1_bodies.InitChat).root
    _known_project(call, body.projectId)
    files: dict[str, str] = {}
    if isinstance(body, v1_bodies.InitFiles):
        files = {one.name: one.content if isinstance(one, v1_bodies.FileByContent) else "" for one in body.files}
    chat = call.backend.create_chat(
        call.account,
        "v1",
        call.now,
        call.knobs,
        name=body.name,
        title=body.name or "Untitled",
        privacy=body.chatPrivacy or "private",
        project_id=body.projectId,
        metadata=dict(body.metadata or {}),
        files=files,
        initial_version_id=call.backend.new_id(),
    )
    return Answer(lambda: v1_views.chat_detail(call, chat))


@operations.on("GET", "/chats", "chats.find")
def find_chats(call: Call) -> dict[str, Any]:
    """Up to 60 rows from `offset` on; a short page is the end. Rows carry status but no metadata."""
    limit = number(call.query.get("limit"), "limit", float("-inf"), 60, 60)
    offset = number(call.query.get("offset"), "offset", float("-inf"), float("inf"), 0)
    favorite = boolean(call.query.get("isFavorite"), "isFavorite")
    linked = "vercelProjectId" in call.query or "branch" in call.query  # No chat here has either.
    chats = (
        chat
        for chat in ordered(call.account.chats["v1"], call.knobs.list_order)
        if chat.listed_at <= call.now
        and not linked
        and not call.knobs.hides(chat.id, call.now, "row")
        and favorite in (None, chat.favorite)
    )
    return v1_views.listed([v1_views.chat_summary(call, chat) for chat in islice(chats, offset, offset + limit)])


@operations.on("GET", "/chats/{chatId}", "chats.getById")
def get_chat(call: Call) -> dict[str, Any]:
    """Everything of one chat."""
    return v1_views.chat_detail(call, call.chat())


@operations.on("PATCH", "/chats/{chatId}", "chats.update")
def update_chat(call: Call) -> dict[str, Any]:
    """Rename, re-share, merge metadata."""
    chat = call.chat()
    changes = call.read(v1_bodies.UpdateChat).model_dump(exclude_unset=True)
    call.backend.change_chat(chat, call.now, changes)
    return v1_views.chat_detail(call, chat)


@operations.on("DELETE", "/chats/{chatId}", "chats.delete")
def delete_chat(call: Call) -> dict[str, Any]:
    """Unreadable at once; deleting it again is a 404."""
    chat = call.chat()
    call.backend.delete_chat(chat, call.now)
    return {"id": chat.id, "object": "chat", "deleted": True}


@operations.on("PUT", "/chats/{chatId}/favorite", "chats.favorite")
def favorite_chat(call: Call) -> dict[str, Any]:
    """Mark or unmark it."""
    chat = call.chat()
    chat.favorite = call.read(v1_bodies.Favorite).isFavorite
    return {"id": chat.id, "object": "chat", "favorited": chat.favorite}


@operations.on("GET", "/chats/{chatId}/messages", "chats.findMessages")
def find_messages(call: Call) -> dict[str, Any]:
    """Newest first."""
    chat = call.chat()
    shown, pagination = v1_views.paged(call, f"/chats/{chat.id}/messages", "messages", list(reversed(chat.messages)))
    return {
        **v1_views.listed([v1_views.message_summary(call, chat, one) for one in shown]),
        "pagination": pagination,
    }


@operations.on("POST", "/chats/{chatId}/messages", "chats.sendMessage")
def send_message(call: Call) -> Answer:
    """A follow-up: a new version, so the chat is pending again."""
    chat = call.chat()
    body = call.read(v1_bodies.SendMessage)
    _refuse_stream(body.responseMode)
    attachments = [one.url for one in body.attachments or []]
    reply = call.backend.say(chat, call.now, call.knobs, body.message, attachments=attachments)
    return _generating(call, chat, reply, body.responseMode)


@operations.on("GET", "/chats/{chatId}/messages/{messageId}", "chats.getMessage")
def get_message(call: Call) -> dict[str, Any]:
    """One message."""
    chat = call.chat()
    return v1_views.message_detail(call, chat, call.message(chat))


@operations.on("POST", "/chats/{chatId}/messages/{messageId}/stop", "chats.stop")
def stop_message(call: Call) -> dict[str, Any]:
    """End a running generation; its version fails."""
    chat = call.chat()
    call.backend.stop(chat, call.message(chat).id, call.now)
    return {"success": True}


@operations.on("POST", "/chats/{chatId}/tasks/resolve", "chats.resolveTask")
def resolve_task(call: Call) -> Answer:
    """Answer the question the chat waits on; a new generation goes on from there."""
    chat = call.chat()
    body = call.read(v1_bodies.ResolveTask)
    _refuse_stream(body.responseMode)
    reply = call.backend.resolve(chat, call.now, call.knobs, body.task.type, "answered-questions")
    return _generating(call, chat, reply, body.responseMode)


@operations.on("GET", "/chats/{chatId}/versions", "chats.findVersions")
def find_versions(call: Call) -> dict[str, Any]:
    """Newest first."""
    chat = call.chat()
    versions = list(chat.versions(call.now))
    shown, pagination = v1_views.paged(call, f"/chats/{chat.id}/versions", "versions", versions)
    rows = [v1_views.version_summary(call, chat, version) for version in shown]
    return {**v1_views.listed(rows), "pagination": pagination, "meta": {"totalCount": len(versions)}}


@operations.on("GET", "/chats/{chatId}/versions/{versionId}", "chats.getVersion")
def get_version(call: Call) -> dict[str, Any]:
    """One version with its files."""
    chat = call.chat()
    boolean(call.query.get("includeDefaultFiles"), "includeDefaultFiles")
    for version in chat.versions(call.now):
        if version.id == call.ids["versionId"]:
            return v1_views.version_detail(call, chat, version)
    raise Refusal(404, "Version not found")


def _generating(call: Call, chat: Chat, reply: Message, mode: str | None) -> Answer:
    wait_for = reply if mode in (None, "sync") else None
    return Answer(lambda: v1_views.chat_detail(call, chat), starts_generation=True, wait_for=wait_for)


def _refuse_stream(mode: str | None) -> None:
    if mode == "experimental_stream":
        raise Refusal(422, "responseMode: the sandbox does not stream; use async")


def _known_project(call: Call, project_id: str | None) -> None:
    if project_id is not None and project_id not in call.account.projects:
        raise Refusal(404, "Project not found")
