"""Makes chats again that a plan deleted: once each, from their archives. A product's link then leads to the new one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from protokeep.core.clean_up import NOT_MADE_AGAIN, ItemState, Plan, PlanItem
from protokeep.core.errors import ArchiveFault, NotFound, NotNow, OutcomeUnknown, ProviderRejected
from protokeep.core.timing import backoff
from protokeep.providers.census_port import SupportsCensus
from protokeep.service.archives import ChatArchives
from protokeep.service.context import Context
from protokeep.service.plan_interruptions import is_refusal_of_account
from protokeep.service.receipts import receipt_of
from protokeep.store.archives import Archive

log = structlog.get_logger(__name__)

#: The mark of a chat that was made again: the id of the chat that it stands for.
RESTORED_FROM = "protokeep_restored_from"


class Restorer:
    """Takes the step of an item whose chat a person wants back."""

    def __init__(self, context: Context, archives: ChatArchives) -> None:
        self._context = context
        self._store = context.store.plans
        self._archives = archives

    async def restore(self, plan: Plan, item: PlanItem, provider: SupportsCensus) -> None:
        """Make the chat again, or find the one that was made by a try whose answer was lost.

        Raises `ProviderError` where certainly nothing was made.
        """
        try:
            archive = await self._archives.find(plan.workspace_id, item.archive_id or "")
            chat_id = archive.restored_as or await self._made(plan, item, archive, provider)
        except (NotFound, ArchiveFault) as fault:
            await self._give_up(plan, item, str(fault))
            return
        except ProviderRejected as refusal:  # Such as that there are no files to make it from.
            if is_refusal_of_account(refusal):
                raise
            await self._give_up(plan, item, str(refusal))
            return
        if chat_id is None:
            await self._later(plan, item)
            return
        self._context.checkpoint("plan_chat_made_again")
        await self._restored(plan, item, chat_id)

    async def _made(self, plan: Plan, item: PlanItem, archive: Archive, provider: SupportsCensus) -> str | None:
        """The chat that was made; None: that is not known yet."""
        if archive.restored_at is not None:  # A try before this one may have made it.
            found = await self._find_made(item, archive, provider, archive.restored_at)
            if found is not None:
                return found
        try:
            made = await self._archives.restore(plan.workspace_id, archive.id, provider, {RESTORED_FROM: item.chat_id})
        except (NotNow, OutcomeUnknown) as error:
            log.info("plan_restore_unknown", plan_id=plan.id, chat_id=item.chat_id, reason=str(error))
            return None
        return made.chat_id

    async def _find_made(
        self, item: PlanItem, archive: Archive, provider: SupportsCensus, since: datetime
    ) -> str | None:
        async def none_known(_chats: object) -> set[str]:
            return set()

        search = await provider.find(
            [{RESTORED_FROM: item.chat_id}], sent_after=since, known=none_known, thorough=False
        )
        if search.error is not None:
            raise search.error
        chats = [chat.chat_id for chat in search.chats if chat.metadata.get(RESTORED_FROM) == item.chat_id]
        if not chats:
            return None
        await self._context.store.archives.mark_restored(archive, chats[0], self._context.clock())
        return chats[0]

    async def _restored(self, plan: Plan, item: PlanItem, chat_id: str) -> None:
        now = self._context.clock()
        pin = {
            "workspace_id": plan.workspace_id,
            "account": plan.account,
            "chat_id": chat_id,
            "pinned_by": item.undo_by or plan.requested_by,
            "pinned_at": now,
            "reason": "It was made again from its copy.",
        }
        await self._context.store.repoint_chat(plan.workspace_id, item.chat_id, chat_id, now)
        after = replace(item, state=ItemState.RESTORED, restored_as=chat_id, due_at=None, answer="made again")
        if await self._store.save_restored(plan, after, now, pin, receipt_of(plan, after, now)) is not None:
            log.info("plan_chat_restored", plan_id=plan.id, chat_id=chat_id)

    async def _later(self, plan: Plan, item: PlanItem) -> None:
        now = self._context.clock()
        pause = max(backoff(item.attempts + 3, self._context.timing), timedelta(seconds=30))
        await self._store.save_item(plan, replace(item, attempts=item.attempts + 1, due_at=now + pause), now)

    async def _give_up(self, plan: Plan, item: PlanItem, reason: str) -> None:
        """It cannot be made again, and stays deleted. Its archive, if there is one, can still be downloaded."""
        now = self._context.clock()
        answer = f"{NOT_MADE_AGAIN}: {reason}"
        after = replace(item, state=ItemState.DELETED, due_at=None, answer=answer)
        await self._store.save_item(plan, after, now, receipt_of(plan, after, now))
