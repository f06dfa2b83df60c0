"""The way back after a deletion for good: a new chat from an archive, as a new prototype of its product.

The new chat carries our signed mark, with a marker that follows from the archive. If the answer is lost, or this
process is killed, the search for chats of ours finds the chat and makes it a prototype of its product all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

import structlog

from protokeep.core.audit import Action, AuditEntry
from protokeep.core.errors import InvalidInput, NotNow
from protokeep.core.events import Source
from protokeep.core.principals import Principal
from protokeep.core.prototype import SETTLED, Observation, ObservedState, Prototype, advance
from protokeep.core.validation import prompt_of
from protokeep.providers.base import RemoteChat
from protokeep.providers.census_port import ChatCopy, with_census
from protokeep.service.archives import ChatArchives
from protokeep.service.chat_metadata import RESTORED_FROM, ChatMetadata, parse_metadata, signed_metadata
from protokeep.service.context import Context, status_events
from protokeep.service.deletion import MAX_LOSSES
from protokeep.service.provider_accounts import Choice
from protokeep.store.archives import Archive
from protokeep.store.orphans import OrphanChat

log = structlog.get_logger(__name__)

#: Markers of restored chats follow from the ids of their archives, so that a second try has the same one.
_MARKERS = UUID("8d0c5a52-5a3c-4f0e-9d3e-6b1f6f3c1a17")


@dataclass(frozen=True, slots=True)
class Restored:
    """A chat that was made again. `prototype` None: no product is known for it, or the product is gone."""

    archive: Archive
    chat_id: str
    prototype: Prototype | None


class ChatRestorer:
    """Makes chats from archives, and prototypes of them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._archives = ChatArchives(context)

    async def restore(self, principal: Principal, archive_id: str) -> Restored:
        """Make a new chat from an archive, in the account that new prototypes of this person are made in.

        It becomes a prototype of its product, and the current one if the product has none. Raises as
        `ChatArchives.restore`, and `NotConfigured` without a key.
        """
        context = self._context
        archive = await self._archives.find(principal.workspace_id, archive_id)
        await context.providers.refresh()
        name = archive.account.partition(":")[0]
        choice = context.providers.choose(name, principal.workspace_id, principal.user_id)
        provider = with_census(context.providers.serving(choice.account, choice.api_version))
        if provider is None:
            raise NotNow(f"{name} makes no chats from copies. Download the copy, and make the chat by hand.")
        copy = await self._archives.copy_of(principal.workspace_id, archive.id)
        named = await self._named_by(principal, archive, copy)
        if named is not None and (found := await self._made_before(archive, named)) is not None:
            return found
        keeper_id, _ = await context.store.installation()
        signed = signed_metadata(context.signer, keeper_id, named) if named is not None else {}
        metadata = {**signed, RESTORED_FROM: archive.chat_id}
        made = await self._archives.restore(principal.workspace_id, archive.id, provider, metadata)
        context.checkpoint("after_restored")
        prototype = None
        if named is not None:
            prototype = await self._link(named, choice, made, copy)
        await self._audit(principal, archive, made, prototype)
        return Restored(await self._archives.find(principal.workspace_id, archive.id), made.chat_id, prototype)

    async def _link(self, named: ChatMetadata, choice: Choice, made: RemoteChat, copy: ChatCopy) -> Prototype | None:
        """Make the chat a prototype of its product."""
        context = self._context
        orphan = OrphanChat(
            chat_id=made.chat_id,
            marker=named.marker,
            workspace_id=named.workspace_id,
            product_id=named.product_id,
            user_id=named.user_id,
            provider=choice.account.partition(":")[0],
            account=choice.account,
            api_version=choice.api_version,
            prompt=_prompt_in(copy.messages),
            made_at=context.clock(),
            now=context.clock(),
            only_free_slot=True,
        )
        try:
            await context.store.adopt_orphan(orphan, context.timing.poll_timeout)
        except LookupError as error:  # The owner's table has no such product any more.
            log.warning("restored_chat_not_linked", chat_id=orphan.chat_id, reason=str(error))
            return None
        await settle_restored(context, orphan.marker, made)
        return await context.store.get(orphan.workspace_id, orphan.marker)

    async def _made_before(self, archive: Archive, named: ChatMetadata) -> Restored | None:
        """The prototype whose chat was made by a try that lost its answer, and that was found since."""
        found = await self._context.store.get(named.workspace_id, named.marker)
        if archive.restored_as is not None or found is None or found.chat_id is None:
            return None
        await self._context.store.archives.mark_restored(archive, found.chat_id, self._context.clock())
        return Restored(await self._archives.find(archive.workspace_id, archive.id), found.chat_id, found)

    async def _named_by(self, principal: Principal, archive: Archive, copy: ChatCopy) -> ChatMetadata | None:
        """The mark of the new chat; None: nobody knows which product the chat was for."""
        marker, user_id = str(uuid5(_MARKERS, archive.id)), principal.user_id
        if archive.product_id is not None:
            return ChatMetadata(marker, principal.workspace_id, archive.product_id, user_id)
        try:
            table = await self._context.store.owner_table()
            was = parse_metadata(copy.metadata, self._context.signer, archive.account, table)
        except (ValueError, InvalidInput):
            return None
        if was.workspace_id != principal.workspace_id:
            return None
        return ChatMetadata(marker, was.workspace_id, was.product_id, user_id)

    async def _audit(
        self, principal: Principal, archive: Archive, made: RemoteChat, prototype: Prototype | None
    ) -> None:
        now = self._context.clock()
        details = {
            "archive_id": archive.id,
            "chat_id": archive.chat_id,
            "new_chat_id": made.chat_id,
            "product_id": prototype.product_id if prototype else None,
            "sha256": archive.sha256,
        }
        subject = prototype.id if prototype else archive.id
        await self._context.audit.add(AuditEntry.of(principal, Action.RESTORED, now, subject, **details))


async def settle_restored(context: Context, mockup_id: str, made: RemoteChat) -> None:
    """Write down that a prototype whose chat was made from files is finished: nothing is being generated in it."""
    for _ in range(MAX_LOSSES):
        row = await context.store.get_unscoped(mockup_id)
        if row is None or row.chat_id != made.chat_id or row.status in SETTLED:
            return
        now = context.clock()
        after = advance(row, made.observation or Observation(ObservedState.FINISHED), now)
        if await context.store.save(row, after, *status_events(row, after, Source.SUBMIT, now)) is not None:
            await context.queue.track(row.generation.account)
            return


def _prompt_in(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """The first text that a person sent; None where the messages do not tell one."""
    for message in messages:
        content = message.get("content")
        if message.get("role") == "user" and isinstance(content, str):
            try:
                return prompt_of(content)
            except InvalidInput:
                return None
    return None
