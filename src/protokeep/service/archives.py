"""Archives: copies of chats that are kept here, checked when they are made and whenever they are read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog

from protokeep.core.archive_file import ArchivedChat, build_archive, parse_archive, sha256_of
from protokeep.core.audit import Action, AuditEntry
from protokeep.core.census import CensusChat, ChatContent
from protokeep.core.errors import ArchiveFault, NotFound, NotNow, ProviderBusy, ProviderRejected, ProviderUnreachable
from protokeep.core.principals import Principal
from protokeep.providers.base import Image, RemoteChat
from protokeep.providers.census_port import ChatCopy, SupportsCensus
from protokeep.service.context import Context
from protokeep.store.archives import Archive

log = structlog.get_logger(__name__)

#: An archive of the same chat with the same bytes that is younger than this is used again: its making was tried before,
#: and its maker was killed. No archive this young can be removed.
YOUNG = timedelta(days=1)
#: An answer was lost while an archive was made again. A chat that was made all the same is found by its mark long
#: before this; then the archive may be made again once more.
RESTORING = timedelta(hours=1)
#: Failures after which certainly no chat was made.
_NOTHING_MADE = (ProviderRejected, ProviderBusy, ProviderUnreachable)
_INSTANTS = ("created_at", "updated_at")


class ChatArchives:
    """Makes archives, reads them, and makes chats from them again."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store.archives

    async def make(
        self,
        workspace_id: str,
        account: str,
        copy: ChatCopy,
        *,
        product_id: str | None = None,
        mockup_id: str | None = None,
    ) -> Archive:
        """Keep a chat. When this returns, what the database gives back has been compared with what was put in.

        Killed anywhere, it leaves a whole archive or none; a second call for the same chat uses the first one's.
        `product_id` and `mockup_id` name the prototype whose chat it is.

        Raises `ArchiveFault` for a chat that cannot be kept: it must not be deleted then.
        """
        now = self._context.clock()
        body = await asyncio.to_thread(build_archive, _chat_of(copy))  # It may take a second.
        archive = Archive(
            id=str(uuid4()),
            workspace_id=workspace_id,
            account=account,
            chat_id=copy.chat.chat_id,
            api_version=copy.chat.api_version,
            name=copy.chat.name,
            sha256=sha256_of(body),
            bytes=len(body),
            created_at=now,
            product_id=product_id,
            mockup_id=mockup_id,
        )
        same = await self._store.find_same(archive, now - YOUNG / 2)
        if same is None:
            await self._store.insert(archive, body)
        kept = same or archive
        await self.copy_of(workspace_id, kept.id)
        return kept

    async def find(self, workspace_id: str, archive_id: str) -> Archive:
        """An archive of a workspace. Raises `NotFound`."""
        found = await self._store.find(workspace_id, archive_id) if _is_uuid(archive_id) else None
        if found is None:
            raise NotFound("There is no such copy of a chat. GET /api/design/archives lists the copies.")
        return found

    async def list(
        self, workspace_id: str, limit: int, after: tuple[datetime, str] | None = None
    ) -> tuple[Sequence[Archive], tuple[datetime, str] | None]:
        """A page of archives, newest first, and the place after which the next page begins; None at the end."""
        found = await self._store.newest(workspace_id, limit + 1, after)
        rows = found[:limit]
        return rows, (rows[-1].created_at, rows[-1].id) if len(found) > limit else None

    async def total(self, workspace_id: str) -> tuple[int, int]:
        """(how many archives a workspace has, their bytes)."""
        return await self._store.total(workspace_id)

    async def body(self, workspace_id: str, archive_id: str) -> bytes:
        """The zip, exactly as it was made. Raises `NotFound`, and `ArchiveFault` where its digest is another one."""
        archive = await self.find(workspace_id, archive_id)
        body = await self._store.body(workspace_id, archive.id)
        if body is None:
            raise NotFound("This copy was removed.")
        if await asyncio.to_thread(sha256_of, body) != archive.sha256:
            log.error("archive_damaged", archive_id=archive.id, chat_id=archive.chat_id)
            raise ArchiveFault(
                "The copy was damaged: its digest is another one. Restore it from a backup of the database."
            )
        return body

    async def copy_of(self, workspace_id: str, archive_id: str) -> ChatCopy:
        """The chat in an archive. Raises `NotFound`, `ArchiveFault`."""
        kept = await asyncio.to_thread(parse_archive, await self.body(workspace_id, archive_id))
        try:
            return _copy_of(kept)
        except (KeyError, TypeError, ValueError) as error:
            raise ArchiveFault(f"The copy does not hold a chat in protokeep's format: {error}.") from error

    async def restore(
        self, workspace_id: str, archive_id: str, provider: SupportsCensus, metadata: Mapping[str, str]
    ) -> RemoteChat:
        """Make a new chat from an archive, once. Its history is not carried over, and stays readable here.

        Raises `NotNow` where it was made again before, or is being made; `NotFound`, `ArchiveFault`, `ProviderError`.
        After an answer that was lost, it can be tried again in an hour.
        """
        archive = await self.find(workspace_id, archive_id)
        if archive.restored_as is not None:
            raise NotNow(f"A new chat was made from it already: {archive.restored_as}.")
        copy = await self.copy_of(workspace_id, archive.id)
        now = self._context.clock()
        if not await self._store.claim_restoring(archive, now, stale_before=now - RESTORING):
            raise NotNow(
                "A new chat is being created from it, or the app builder's reply was lost. Try again in an hour."
            )
        self._context.checkpoint("before_make_again")
        try:
            made = await provider.make_again(copy, metadata)
        except _NOTHING_MADE:
            await self._store.release_restoring(archive, now)
            raise
        self._context.checkpoint("after_make_again")
        await self._store.mark_restored(archive, made.chat_id, self._context.clock())
        log.info("chat_made_again", archive_id=archive.id, chat_id=made.chat_id)
        return made

    async def remove(self, principal: Principal, archive_id: str) -> Archive:
        """Remove an archive for good. Raises `NotFound`, and `NotNow` where something still waits for it."""
        archive = await self.find(principal.workspace_id, archive_id)
        now = self._context.clock()
        details = {"chat_id": archive.chat_id, "sha256": archive.sha256}
        entry = AuditEntry.of(principal, Action.ARCHIVES_REMOVED, now, archive.id, **details)
        if not await self._store.remove(principal.workspace_id, archive.id, now - YOUNG, entry):
            raise NotNow(
                "It is kept: it is the copy of a prototype in the bin or of a chat that a plan is about to delete, or "
                "it is younger than a day."
            )
        return archive

    async def remove_older(self, principal: Principal, than: timedelta) -> int:
        """Remove archives that are older than that, at least a day. Returns how many. Those that are needed stay."""
        now = self._context.clock()
        before = now - max(than, YOUNG)
        entry = AuditEntry.of(principal, Action.ARCHIVES_REMOVED, now, before=before.isoformat())
        return await self._store.remove_before(principal.workspace_id, before, entry)


def _chat_of(copy: ChatCopy) -> ArchivedChat:
    """The plain values of a chat."""
    told = {field.name: getattr(copy.chat, field.name) for field in fields(CensusChat)}
    told |= {name: told[name].isoformat() for name in _INSTANTS if told[name] is not None}
    told["content"] = copy.chat.content.value
    if copy.chat.metadata is not None:
        told["metadata"] = dict(copy.chat.metadata)
    picture = None if copy.picture is None else (copy.picture.content_type, copy.picture.body)
    return ArchivedChat({"list": told, "metadata": dict(copy.metadata)}, copy.messages, copy.files, picture)


def _copy_of(kept: ArchivedChat) -> ChatCopy:
    """The chat of plain values. Values that a newer version added are left out."""
    told: dict[str, Any] = {name: kept.chat["list"].get(name) for name in (field.name for field in fields(CensusChat))}
    told |= {name: datetime.fromisoformat(told[name]) for name in _INSTANTS if told[name] is not None}
    told["content"] = ChatContent(told["content"])
    picture = None if kept.picture is None else Image(*kept.picture)
    return ChatCopy(CensusChat(**told), kept.chat["metadata"], kept.messages, kept.files, picture)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
