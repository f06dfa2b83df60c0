"""The operations on what was deleted: the bin, and the archives of chats. Does no I/O, as `operations`."""

from __future__ import annotations

from protokeep.client.models import ArchivedChat, Prototype, RestoredChat
from protokeep.client.operations import Call, Operation, _quoted, _request, _send, _value, body_of

ARCHIVES = "/api/design/archives"


def take_back(prototype_id: str) -> Operation[Prototype]:
    """`POST /api/design/prototypes/{id}/restore`: the prototype, out of the bin."""
    advice = "It may have been taken back. Taking it back again is safe: one that is in use stays as it is."
    call = Call("POST", f"/api/design/prototypes/{_quoted(prototype_id)}/restore", True, advice)
    return (yield from _request(Prototype, call))


def bin_page(cursor: str | None, limit: int) -> Operation[tuple[list[Prototype], str | None]]:
    """`GET /api/design/bin`: one page, what goes next first, and the cursor of the next page."""
    answer = yield from _send(Call("GET", "/api/design/bin", repeatable=True, params=_page(cursor, limit)))
    return [_value(Prototype, view) for view in answer.get("prototypes", ())], answer.get("next_cursor")


def archives_page(cursor: str | None, limit: int) -> Operation[tuple[list[ArchivedChat], str | None]]:
    """`GET /api/design/archives`: one page, newest first, and the cursor of the next page."""
    answer = yield from _send(Call("GET", ARCHIVES, repeatable=True, params=_page(cursor, limit)))
    return [_value(ArchivedChat, view) for view in answer.get("archives", ())], answer.get("next_cursor")


def download_archive(archive_id: str) -> Operation[bytes]:
    """`GET /api/design/archives/{id}`: the zip."""
    headers = {"Accept": "application/zip, application/problem+json"}
    call = Call("GET", f"{ARCHIVES}/{_quoted(archive_id)}", repeatable=True, headers=headers)
    body: bytes = yield from _send(call, body_of)
    return body


def restore_archive(archive_id: str) -> Operation[RestoredChat]:
    """`POST /api/design/archives/{id}/restore`. Not repeated: a second try is refused, and says what was made."""
    advice = "A new chat may have been made. Look at the archive first: it names the chat."
    return (yield from _request(RestoredChat, Call("POST", f"{ARCHIVES}/{_quoted(archive_id)}/restore", False, advice)))


def remove_archive(archive_id: str) -> Operation[None]:
    """`DELETE /api/design/archives/{id}`."""
    advice = "It may have been removed. Ask for the list to see."
    yield from _send(Call("DELETE", f"{ARCHIVES}/{_quoted(archive_id)}", False, advice))


def remove_archives(older_than_days: int) -> Operation[int]:
    """`DELETE /api/design/archives?older_than_days=..`: how many were removed."""
    advice = "They may have been removed. Asking again is safe: it removes what is that old by then."
    answer = yield from _send(Call("DELETE", ARCHIVES, True, advice, {"older_than_days": str(older_than_days)}))
    return int(answer.get("removed", 0))


def _page(cursor: str | None, limit: int) -> dict[str, str]:
    return {"limit": str(limit), **({"cursor": cursor} if cursor else {})}
