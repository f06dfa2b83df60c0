"""v0's API v2. Paths, operation ids and shapes are those of its OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from ..archives import fetch, files_in_zip, zip_of
from ..generated_content import files_of, title_of
from ..http import Answer, Refusal, integer, make_cursor, ordered, paginate, read_cursor
from ..routing import Call, Operations
from ..state import Chat, Message
from . import bodies, views

operations = Operations("v2")


@operations.on("POST", "/chats", "chats.create", creates=True)
def create_chat(call: Call) -> Answer:
    """Create a chat. Answers when the generation has ended."""
    chat, reply = _create(call)
    return Answer(lambda: views.show_chat_with_usage(call, chat, reply), starts_generation=True, wait_for=reply)


@operations.on("POST", "/chats/async", "chats.createAsync", creates=True)
def create_chat_async(call: Call) -> Answer:
    """Create a chat. Answers 202 with the id of the assistant's message, whose `finishReason` shows the end."""
    chat, reply = _create(call)
    return Answer(lambda: {"chatId": chat.id, "messageId": reply.id}, 202, starts_generation=True)


@operations.on("POST", "/chats/from-files", "chats.createFromFiles", creates=True)
def create_from_files(call: Call) -> Answer:
    """Create a chat from files, without a generation. It has a preview at once."""
    body = call.read(bodies.CreateFromFiles)
    return _begin_from(call, body, {file.name: file.content for file in body.files})


@operations.on("POST", "/chats/from-zip", "chats.createFromZip", creates=True)
async def create_from_zip(call: Call) -> Answer:
    """Create a chat from a ZIP archive behind a URL, without a generation. It has a preview at once."""
    body = call.read(bodies.CreateFromZip)
    return _begin_from(call, body, files_in_zip(await fetch(body.url)))


def _begin_from(call: Call, body: bodies.BeginFrom, files: Mapping[str, str | bytes]) -> Answer:
    chat = call.backend.create_chat(
        call.account,
        "v2",
        call.now,
        call.knobs,
        title=body.title,
        privacy=body.privacy or "private",
        metadata=dict(body.metadata or {}),
        files=dict(files),
        initial_version_id=call.backend.new_id(),
    )
    return Answer(lambda: views.show_chat_with_usage(call, chat, None))


@operations.on("GET", "/chats", "chats.list")
def list_chats(call: Call) -> dict[str, Any]:
    """Rows carry metadata but no status. `metadata[key]=value` pairs must all match."""
    limit = integer(call.query.get("limit"), "limit", 1, 100, 20)
    order = "newest" if call.knobs.list_order == "favorites" else call.knobs.list_order
    kind = f"chats-{order}"
    metadata = {} if call.knobs.ignore_filter else _metadata_filter(call.query)
    author = call.query.get("authorId")
    vercel_project = call.query.get("vercelProjectId")
    chats = (
        chat
        for chat in ordered(call.account.chats["v2"], order, call.now)
        if metadata.items() <= chat.metadata.items()
        and chat.listed_at <= call.now
        and not call.knobs.hides(chat.id, call.now, "row")
        and vercel_project in (None, chat.vercel_project_id)
        and author in (None, call.author_of(chat))
    )
    follows = _follows(read_cursor(kind, call.query.get("cursor")), order)
    rows, last = paginate(chats, limit, _position_in(order, call.now), follows)
    cursor = None if last is None else make_cursor(kind, last)
    return {"chats": [views.show_chat(call, chat) for chat in rows], "cursor": cursor}


@operations.on("GET", "/chats/{chatId}", "chats.get")
def get_chat(call: Call) -> dict[str, Any]:
    """A chat, without its status."""
    return views.show_chat(call, call.chat())


@operations.on("PATCH", "/chats/{chatId}", "chats.update")
def update_chat(call: Call) -> dict[str, Any]:
    """Change title, privacy and metadata."""
    chat = call.writable_chat()
    call.backend.change_chat(chat, call.now, call.read(bodies.UpdateChat).model_dump(exclude_unset=True))
    return views.show_chat(call, chat)


@operations.on("DELETE", "/chats/{chatId}", "chats.delete")
def delete_chat(call: Call) -> dict[str, Any]:
    """Delete a chat at once. Deleting it again answers 404."""
    chat = call.writable_chat()
    call.backend.delete_chat(chat, call.now, by_client=True)
    return {"chatId": chat.id}


@operations.on("GET", "/chats/{chatId}/preview", "chats.getPreview")
def get_preview(call: Call) -> dict[str, Any] | None:
    """The preview of a chat; null before there is one."""
    return views.show_preview(call, call.chat())


@operations.on("GET", "/chats/{chatId}/files", "chats.getFiles")
def get_files(call: Call) -> dict[str, Any]:
    """The current code of a chat."""
    return views.show_files(call, call.chat())


@operations.on("GET", "/chats/{chatId}/files/download", "chats.downloadFiles")
def download_files(call: Call) -> Answer:
    """The current code of a chat as a ZIP archive. The document leaves the type of the answer open."""
    chat = call.chat()
    if not chat.preview_ready(call.now):
        raise Refusal(409, "The chat has no files yet")
    return Answer(lambda: zip_of(files_of(chat)), content_type=b"application/zip")


@operations.on("GET", "/chats/{chatId}/messages", "messages.list")
def list_messages(call: Call) -> dict[str, Any]:
    """The messages of a chat, newest first. `limit` is required."""
    chat = call.chat()
    if "limit" not in call.query:
        raise Refusal(422, "limit: is required")
    limit = integer(call.query["limit"], "limit", 1, 100, 20)
    follows = _follows(read_cursor("messages", call.query.get("cursor")), "newest")
    rows, last = paginate(reversed(chat.messages), limit, lambda message: message.sequence, follows)
    cursor = None if last is None else make_cursor("messages", last)
    return {"messages": [views.show_message(call, chat, message) for message in rows], "cursor": cursor}


@operations.on("POST", "/chats/{chatId}/messages", "messages.send")
def send_message(call: Call) -> Answer:
    """Add a follow-up message. Answers with the assistant's message when the generation has ended."""
    chat, reply = _send(call)
    return Answer(lambda: views.show_message(call, chat, reply), starts_generation=True, wait_for=reply)


@operations.on("POST", "/chats/{chatId}/messages/async", "messages.sendAsync")
def send_message_async(call: Call) -> Answer:
    """Add a follow-up message. Answers 202 with the id of the assistant's message."""
    _, reply = _send(call)
    return Answer(lambda: {"messageId": reply.id}, 202, starts_generation=True)


@operations.on("GET", "/chats/{chatId}/messages/{messageId}", "messages.get")
def get_message(call: Call) -> dict[str, Any]:
    """One message; `finishReason` null means running."""
    chat = call.chat()
    return views.show_message(call, chat, call.message(chat))


@operations.on("POST", "/chats/{chatId}/messages/resolve", "messages.resolve")
def resolve(call: Call) -> Answer:
    """Answer the question that the chat waits for. Answers when the new generation has ended."""
    chat, reply = _resolve(call)
    return Answer(lambda: views.show_message(call, chat, reply), starts_generation=True, wait_for=reply)


@operations.on("POST", "/chats/{chatId}/messages/resolve/async", "messages.resolveAsync")
def resolve_async(call: Call) -> Answer:
    """Answer the question that the chat waits for. Answers 202 with the id of the assistant's message."""
    _, reply = _resolve(call)
    return Answer(lambda: {"messageId": reply.id}, 202, starts_generation=True)


@operations.on("POST", "/chats/{chatId}/messages/{messageId}/stop", "messages.stop")
def stop_message(call: Call) -> dict[str, Any]:
    """Stop a running generation; 409 if it does not run."""
    chat = call.writable_chat()
    return {"messageId": call.backend.stop(chat, call.message(chat).id, call.now).id}


def _create(call: Call) -> tuple[Chat, Message]:
    body = call.read(bodies.CreateChat)
    chat = call.backend.create_chat(
        call.account,
        "v2",
        call.now,
        call.knobs,
        message=body.message,
        title=body.title if body.title is not None else title_of(body.message),
        privacy=body.privacy or "private",
        metadata=dict(body.metadata or {}),
    )
    attachments = [attachment.url for attachment in body.attachments or []]
    return chat, call.backend.add_turn(chat, call.now, call.knobs, body.message, attachments=attachments)


def _send(call: Call) -> tuple[Chat, Message]:
    chat = call.writable_chat()
    body = call.read(bodies.SendMessage)
    attachments = [attachment.url for attachment in body.attachments or []]
    return chat, call.backend.add_turn(chat, call.now, call.knobs, body.message, attachments=attachments)


def _resolve(call: Call) -> tuple[Chat, Message]:
    chat = call.writable_chat()
    task = call.read(bodies.ResolveTask).task
    return chat, call.backend.resolve(chat, call.now, call.knobs, task.type, "answered-questions")


def _metadata_filter(query: dict[str, str]) -> dict[str, str]:
    metadata = {}
    for name, value in query.items():
        if name.startswith("metadata[") and name.endswith("]"):
            if len(value) > 500:
                raise Refusal(422, f"{name}: longer than 500 characters")
            metadata[name[len("metadata[") : -1]] = value
        elif name == "metadata":
            raise Refusal(422, "metadata: write metadata[key]=value")
    return metadata


def _position_in(order: str, now: datetime) -> Callable[[Chat], Any]:
    if order == "updated":
        return lambda chat: chat.last_touched(now)
    return (lambda chat: chat.shuffled) if order == "random" else (lambda chat: chat.sequence)


def _follows(position: Any, order: str) -> Callable[[Any], bool] | None:
    if position is None:
        return None
    if order in ("newest", "updated"):
        return lambda other: bool(other < position)
    return lambda other: bool(other > position)
