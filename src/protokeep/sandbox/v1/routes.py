"""v0's API v1: chats and messages. Paths, operation ids and shapes are those of its OpenAPI document."""

from __future__ import annotations

from itertools import islice
from typing import Any

from ..archives import fetch, files_in_zip, tarball_of, text_or_bytes, zip_of
from ..generated_content import files_of, title_of
from ..http import Answer, Refusal, boolean, number, ordered
from ..routing import Call, Operations
from ..state import Chat, Message, Version
from . import bodies, views

operations = Operations("v1")


@operations.on("POST", "/chats", "chats.create", creates=True)
def create_chat(call: Call) -> Answer:
    """Create a chat. `sync`, the default, answers at the end of the generation; `async` at once."""
    body = call.read(bodies.CreateChat)
    _refuse_streaming(body.responseMode)
    _check_project(call, body.projectId)
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
    attachments = [attachment.url for attachment in body.attachments or []]
    reply = call.backend.add_turn(chat, call.now, call.knobs, body.message, attachments=attachments)
    return _generating(call, chat, reply, body.responseMode)


@operations.on("POST", "/chats/init", "chats.init", creates=True)
async def init_chat(call: Call) -> Answer:
    """Create a chat from files, without a prompt and a generation. Its version is completed at once."""
    body = call.read(bodies.InitChat).root
    _check_project(call, body.projectId)
    files = await _files_to_begin_from(body)
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
    return Answer(lambda: views.chat_detail(call, chat))


@operations.on("GET", "/chats", "chats.find")
def find_chats(call: Call) -> dict[str, Any]:
    """Up to 60 rows from `offset` on; a short page is the end. Rows carry status but no metadata."""
    limit = number(call.query.get("limit"), "limit", float("-inf"), 60, 60)
    offset = number(call.query.get("offset"), "offset", float("-inf"), float("inf"), 0)
    favorite = boolean(call.query.get("isFavorite"), "isFavorite")
    vercel_project = call.query.get("vercelProjectId")
    on_branch = "branch" in call.query  # No chat here has a branch.
    chats = (
        chat
        for chat in ordered(call.account.chats["v1"], call.knobs.list_order, call.now)
        if chat.listed_at <= call.now
        and not on_branch
        and vercel_project in (None, chat.vercel_project_id)
        and not call.knobs.hides(chat.id, call.now, "row")
        and favorite in (None, chat.favorite)
    )
    return views.listed([views.chat_summary(call, chat) for chat in islice(chats, offset, offset + limit)])


@operations.on("GET", "/chats/{chatId}", "chats.getById")
def get_chat(call: Call) -> dict[str, Any]:
    """A chat with all messages and files."""
    return views.chat_detail(call, call.chat())


@operations.on("PATCH", "/chats/{chatId}", "chats.update")
def update_chat(call: Call) -> dict[str, Any]:
    """Change name, privacy and metadata."""
    chat = call.writable_chat()
    changes = call.read(bodies.UpdateChat).model_dump(exclude_unset=True)
    call.backend.change_chat(chat, call.now, changes)
    return views.chat_detail(call, chat)


@operations.on("DELETE", "/chats/{chatId}", "chats.delete")
def delete_chat(call: Call) -> dict[str, Any]:
    """Move a chat to the trash, where it cannot be read. Deleting it again answers 404."""
    chat = call.writable_chat()
    call.backend.delete_chat(chat, call.now, by_client=True)
    return {"id": chat.id, "object": "chat", "deleted": True}


@operations.on("PUT", "/chats/{chatId}/favorite", "chats.favorite")
def favorite_chat(call: Call) -> dict[str, Any]:
    """Mark a chat as a favorite, or remove the mark."""
    chat = call.chat()
    chat.favorite = call.read(bodies.Favorite).isFavorite
    return {"id": chat.id, "object": "chat", "favorited": chat.favorite}


@operations.on("GET", "/chats/{chatId}/messages", "chats.findMessages")
def find_messages(call: Call) -> dict[str, Any]:
    """The messages of a chat, newest first."""
    chat = call.chat()
    page, pagination = views.paged(call, f"/chats/{chat.id}/messages", "messages", list(reversed(chat.messages)))
    return {
        **views.listed([views.message_summary(call, chat, message) for message in page]),
        "pagination": pagination,
    }


@operations.on("POST", "/chats/{chatId}/messages", "chats.sendMessage")
def send_message(call: Call) -> Answer:
    """Add a follow-up message. It leads to a new version, so the chat is pending again."""
    chat = call.writable_chat()
    body = call.read(bodies.SendMessage)
    _refuse_streaming(body.responseMode)
    attachments = [attachment.url for attachment in body.attachments or []]
    reply = call.backend.add_turn(chat, call.now, call.knobs, body.message, attachments=attachments)
    return _generating(call, chat, reply, body.responseMode)


@operations.on("GET", "/chats/{chatId}/messages/{messageId}", "chats.getMessage")
def get_message(call: Call) -> dict[str, Any]:
    """One message."""
    chat = call.chat()
    return views.message_detail(call, chat, call.message(chat))


@operations.on("POST", "/chats/{chatId}/messages/{messageId}/stop", "chats.stop")
def stop_message(call: Call) -> dict[str, Any]:
    """Stop a running generation; its version fails."""
    chat = call.writable_chat()
    call.backend.stop(chat, call.message(chat).id, call.now)
    return {"success": True}


@operations.on("POST", "/chats/{chatId}/tasks/resolve", "chats.resolveTask")
def resolve_task(call: Call) -> Answer:
    """Answer the question that the chat waits for, which starts a new generation."""
    chat = call.writable_chat()
    body = call.read(bodies.ResolveTask)
    _refuse_streaming(body.responseMode)
    reply = call.backend.resolve(chat, call.now, call.knobs, body.task.type, "answered-questions")
    return _generating(call, chat, reply, body.responseMode)


@operations.on("GET", "/chats/{chatId}/versions", "chats.findVersions")
def find_versions(call: Call) -> dict[str, Any]:
    """The versions of a chat, newest first."""
    chat = call.chat()
    versions = list(chat.versions(call.now))
    page, pagination = views.paged(call, f"/chats/{chat.id}/versions", "versions", versions)
    rows = [views.version_summary(call, chat, version) for version in page]
    return {**views.listed(rows), "pagination": pagination, "meta": {"totalCount": len(versions)}}


@operations.on("GET", "/chats/{chatId}/versions/{versionId}", "chats.getVersion")
def get_version(call: Call) -> dict[str, Any]:
    """One version with its files."""
    chat = call.chat()
    with_defaults = bool(boolean(call.query.get("includeDefaultFiles"), "includeDefaultFiles"))
    return views.version_detail(call, chat, _version(call, chat), with_defaults=with_defaults)


@operations.on("GET", "/chats/{chatId}/versions/{versionId}/download", "chats.downloadVersion")
def download_version(call: Call) -> Answer:
    """The files of a completed version as a ZIP archive, or as a gzipped tar archive."""
    chat = call.chat()
    version = _version(call, chat)
    with_defaults = bool(boolean(call.query.get("includeDefaultFiles"), "includeDefaultFiles"))
    kind = call.query.get("format", "zip")
    if kind not in ("zip", "tarball"):
        raise Refusal(422, "format: must be zip or tarball")
    if version.status != "completed":
        raise Refusal(409, "The version has no files")
    files = files_of(chat, with_defaults=with_defaults)
    if kind == "zip":
        return Answer(lambda: zip_of(files), content_type=b"application/zip")
    return Answer(lambda: tarball_of(files), content_type=b"application/gzip")


def _version(call: Call, chat: Chat) -> Version:
    for version in chat.versions(call.now):
        if version.id == call.ids["versionId"]:
            return version
    raise Refusal(404, "Version not found")


async def _files_to_begin_from(body: bodies.AnyInit) -> dict[str, str | bytes]:
    """The files of an init. The sandbox reads files and archives; repositories and templates have none here."""
    if isinstance(body, bodies.InitZip):
        return files_in_zip(await fetch(body.zip.url))
    if not isinstance(body, bodies.InitFiles):
        return {}
    return {
        file.name: file.content if isinstance(file, bodies.FileByContent) else text_or_bytes(await fetch(file.url))
        for file in body.files
    }


def _generating(call: Call, chat: Chat, reply: Message, mode: str | None) -> Answer:
    wait_for = reply if mode in (None, "sync") else None
    return Answer(lambda: views.chat_detail(call, chat), starts_generation=True, wait_for=wait_for)


def _refuse_streaming(mode: str | None) -> None:
    if mode == "experimental_stream":
        raise Refusal(422, "responseMode: the sandbox does not stream; use async")


def _check_project(call: Call, project_id: str | None) -> None:
    if project_id is not None and project_id not in call.account.projects:
        raise Refusal(404, "Project not found")
