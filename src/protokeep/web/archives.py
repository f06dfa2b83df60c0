"""The API of what was deleted: the bin, and the archives of chats."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from protokeep.store.archives import Archive
from protokeep.web.dependencies import Admin, KeeperDep, Viewer, application_of, decode_cursor, encode_cursor
from protokeep.web.models import BinView, Cursor, Limit, PrototypeView, values_of
from protokeep.web.problems import responses

router = APIRouter(prefix="/api/design", tags=["deleted"])

ArchiveInPath = Annotated[str, Path(max_length=100, description="The copy's id.")]
#: An archive holds what somebody wrote at an app builder: a browser saves it and never shows it. (Every answer has
#: nosniff.)
DOWNLOAD_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class ArchiveView(BaseModel):
    """The copy of a chat that was made before its deletion."""

    id: Annotated[str, Field(description="Its id.")]
    chat_id: Annotated[str, Field(description="The chat that it is a copy of.")]
    account: Annotated[str, Field(description="The account that the chat was in.")]
    api_version: Annotated[int, Field(description="The version of the API that read it.")]
    name: Annotated[str, Field(description="What the app builder called the chat.")]
    product_id: Annotated[str | None, Field(description="The product that the chat was for; null: not known.")]
    prototype_id: Annotated[str | None, Field(description="The prototype whose chat it was.")]
    sha256: Annotated[str, Field(description="Of the file that is downloaded.")]
    bytes: Annotated[int, Field(description="How large the file is.")]
    created_at: Annotated[datetime, Field(description="When it was made.")]
    restored_as: Annotated[str | None, Field(description="The chat that was made from it.")]
    restored_at: Annotated[datetime | None, Field(description="When a chat was made from it.")]

    @classmethod
    def of(cls, archive: Archive) -> ArchiveView:
        """The view of an archive."""
        values = values_of(cls, archive, "prototype_id")
        return cls(**values, prototype_id=archive.mockup_id)


class ArchivesView(BaseModel):
    """A page of archives, newest first. `total_bytes` is that of all archives of the workspace."""

    archives: Annotated[list[ArchiveView], Field(description="The copies of this page.")]
    total: Annotated[int, Field(description="How many the workspace has.")]
    total_bytes: Annotated[int, Field(description="How large all of them are.")]
    next_cursor: Annotated[str | None, Field(description="The cursor of the next page; null: this is the last one.")]


class RestoredView(BaseModel):
    """A chat that was made again. `prototype` is null where nobody knows which product it was for."""

    archive: Annotated[ArchiveView, Field(description="The copy that it was created from.")]
    chat_id: Annotated[str, Field(description="The new chat.")]
    prototype: Annotated[
        PrototypeView | None, Field(description="The prototype whose chat it is; null: nobody knows the product.")
    ]


class RemovedView(BaseModel):
    """How many archives were removed."""

    removed: Annotated[int, Field(description="How many were removed.")]


@router.get("/bin", summary="What was deleted and can be taken back", responses=responses(401, 403, 422, 503))
async def list_bin(principal: Viewer, keeper: KeeperDep, limit: Limit = 50, cursor: Cursor = None) -> BinView:
    """The prototypes in the bin of the workspace; what goes next comes first."""
    found, after = await keeper.bin.list(principal, limit, decode_cursor(cursor))
    views = [PrototypeView.listed(prototype, keeper.context.clock()) for prototype in found]
    return BinView(prototypes=views, next_cursor=encode_cursor(after))


@router.get("/archives", summary="List the copies of chats", responses=responses(401, 403, 422, 503))
async def list_archives(principal: Admin, request: Request, limit: Limit = 50, cursor: Cursor = None) -> ArchivesView:
    """Copies of chats that were made before their deletion, newest first."""
    archives = application_of(request).archives
    found, after = await archives.list(principal.workspace_id, limit, decode_cursor(cursor))
    total, size = await archives.total(principal.workspace_id)
    views = [ArchiveView.of(archive) for archive in found]
    return ArchivesView(archives=views, total=total, total_bytes=size, next_cursor=encode_cursor(after))


@router.get(
    "/archives/{archive_id}",
    summary="Download a copy of a chat",
    response_class=Response,
    responses={
        200: {"content": {"application/zip": {}}, "description": "A zip: messages, files, picture"},
        **responses(401, 403, 404, 503),
    },
)
async def download_archive(archive_id: ArchiveInPath, principal: Admin, request: Request) -> Response:
    """The file as it was made; its digest is checked before it is sent."""
    archives = application_of(request).archives
    archive = await archives.find(principal.workspace_id, archive_id)
    body = await archives.body(principal.workspace_id, archive_id)
    disposition = f'attachment; filename="chat-{archive.id}.zip"'
    headers = {**DOWNLOAD_HEADERS, "Content-Disposition": disposition, "ETag": f'"{archive.sha256}"'}
    return Response(body, media_type="application/zip", headers=headers)


@router.post(
    "/archives/{archive_id}/restore",
    summary="Create a new chat from a copy",
    responses=responses(401, 403, 404, 409, 502, 503),
)
async def restore_archive(
    archive_id: ArchiveInPath, principal: Admin, request: Request, keeper: KeeperDep
) -> RestoredView:
    """A new chat with the files of the copied one, once. It is a prototype of the product, if that is known.

    It becomes the current one only if the product has none. The history of the old chat is not carried over; it stays
    in the copy.
    """
    made = await application_of(request).restorer.restore(principal, archive_id)
    view = None if made.prototype is None else PrototypeView.of(made.prototype, keeper.context.clock())
    return RestoredView(archive=ArchiveView.of(made.archive), chat_id=made.chat_id, prototype=view)


@router.delete(
    "/archives/{archive_id}",
    status_code=204,
    summary="Remove a copy for good",
    responses=responses(401, 403, 404, 409, 503),
)
async def remove_archive(archive_id: ArchiveInPath, principal: Admin, request: Request) -> Response:
    """One that is younger than a day, or that something still waits for, stays."""
    await application_of(request).archives.remove(principal, archive_id)
    return Response(status_code=204)


@router.delete("/archives", summary="Remove old copies for good", responses=responses(401, 403, 422, 503))
async def remove_archives(
    principal: Admin,
    request: Request,
    older_than_days: Annotated[int, Query(ge=1, le=3650, description="Those that are older than so many days.")],
) -> RemovedView:
    """All copies of the workspace that are older, except those that something still waits for."""
    removed = await application_of(request).archives.remove_older(principal, timedelta(days=older_than_days))
    return RemovedView(removed=removed)
