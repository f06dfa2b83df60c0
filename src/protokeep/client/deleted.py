"""What was deleted, over the API: the bin, and the archives of chats.

bin, has_more = keep.run(deleted.list_bin(50))
"""

from __future__ import annotations

from collections.abc import Sequence

from protokeep.client.models import ArchivedChat, Prototype, RestoredChat
from protokeep.client.operations import Call, Operation, body_of, quoted, request, send, send_and_read, value_of
from protokeep.client.pages import read_pages

ARCHIVES = "/api/design/archives"


def take_back(prototype_id: str) -> Operation[Prototype]:
    """`POST /api/design/prototypes/{id}/restore`: the prototype, out of the bin."""
    advice = "It may have been taken back. Taking it back again is safe: one that is in use stays as it is."
    call = Call("POST", f"/api/design/prototypes/{quoted(prototype_id)}/restore", True, advice)
    return (yield from request(Prototype, call))


def list_bin(limit: int | None = None) -> Operation[tuple[Sequence[Prototype], bool]]:
    """`GET /api/design/bin`: (up to `limit` prototypes, None: all, what goes next first; whether there are more)."""
    views, has_more = yield from read_pages("/api/design/bin", "prototypes", {}, limit)
    return [value_of(Prototype, view) for view in views], has_more


def list_archives(limit: int | None = None) -> Operation[tuple[Sequence[ArchivedChat], bool]]:
    """`GET /api/design/archives`, for admins: (up to `limit`, newest first, None: all; whether there are more)."""
    views, has_more = yield from read_pages(ARCHIVES, "archives", {}, limit)
    return [value_of(ArchivedChat, view) for view in views], has_more


def download_archive(archive_id: str) -> Operation[bytes]:
    """`GET /api/design/archives/{id}`: the zip."""
    headers = {"Accept": "application/zip, application/problem+json"}
    call = Call("GET", f"{ARCHIVES}/{quoted(archive_id)}", repeatable=True, headers=headers)
    body = yield from send_and_read(call, body_of)
    return body


def restore_archive(archive_id: str) -> Operation[RestoredChat]:
    """`POST /api/design/archives/{id}/restore`. Not repeated: a second try is refused, and says what was made."""
    advice = "A new chat may have been made. Look at the copy first: it names the chat."
    return (yield from request(RestoredChat, Call("POST", f"{ARCHIVES}/{quoted(archive_id)}/restore", False, advice)))


def remove_archive(archive_id: str) -> Operation[None]:
    """`DELETE /api/design/archives/{id}`."""
    advice = "It may have been removed. Ask for the list to see."
    yield from send(Call("DELETE", f"{ARCHIVES}/{quoted(archive_id)}", False, advice))


def remove_archives(older_than_days: int) -> Operation[int]:
    """`DELETE /api/design/archives?older_than_days=..`: how many were removed."""
    advice = "They may have been removed. Asking again is safe: it removes what is that old by then."
    answer = yield from send(Call("DELETE", ARCHIVES, True, advice, {"older_than_days": str(older_than_days)}))
    return int(answer.get("removed", 0))
