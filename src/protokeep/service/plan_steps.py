"""Carries plans out, one chat at a time: read and copy it, decide again, archive it, delete it, write down the answer.

A step may be killed anywhere, run late, run twice and run in several processes. What has happened stands in the item,
each change of which is guarded by its version: `archived` says that a verified copy is here, and `deleting` that the
deletion may have been sent, so that the chat is read again before anything else is done with it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from protokeep.core.census import USABLE
from protokeep.core.clean_up import OPEN_ITEMS, PER_DAY_MAX, ItemState, Plan, PlanItem, PlanState
from protokeep.core.errors import (
    ArchiveFault,
    NotFound,
    OutcomeUnknown,
    ProtokeepError,
    ProviderBusy,
    ProviderError,
    ProviderRejected,
    ProviderUnreachable,
)
from protokeep.core.keep_rules import REASONS, KeepRule, changed_rule
from protokeep.core.timing import backoff
from protokeep.providers.census_port import ChatCopy, SupportsCensus
from protokeep.service.archives import ChatArchives
from protokeep.service.chat_metadata import is_foreign
from protokeep.service.context import Context
from protokeep.service.plan_account import REFUSED_ONCE, AccountView, obstacle_of
from protokeep.service.plan_interruptions import Interruptions, is_refusal_of_account
from protokeep.service.plan_policies import PlanPolicies
from protokeep.service.plan_restoring import Restorer
from protokeep.service.plan_schedule import OPEN_FOR_STEP, Budget, PlanSchedule
from protokeep.service.receipts import receipt_of
from protokeep.store.plans import Obstacles

log = structlog.get_logger(__name__)

#: A process has the turn of an account for so long. Correctness does not depend on it.
TURN = timedelta(seconds=60)
#: The pause after a step in which another process had the turn.
OTHERS_TURN = timedelta(seconds=5)
#: The longest time, by the process's own ruler, from the read that decided about a chat to its deletion.
FRESH_SECONDS = 5.0
#: A deletion that was marked is resolved by reading after this: its sender may still wait for the answer.
RESOLVE_AFTER = timedelta(seconds=60)
#: Tries of one chat whose copy or deletion fails for reasons of its own.
MAX_ATTEMPTS = 6
#: An item that met an outage lets the others go first.
OUTAGE_PAUSE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class _Work:
    """One item of a plan with the provider that reads and deletes its chat."""

    plan: Plan
    item: PlanItem
    provider: SupportsCensus


class PlanRunner:
    """Takes the steps of all plans. `step` is called again and again, in every process."""

    def __init__(self, context: Context, archives: ChatArchives, budget: Budget, policies: PlanPolicies) -> None:
        self._context = context
        self._store = context.store.plans
        self._archives = archives
        self._budget = budget
        self._policies = policies
        self._interruptions = Interruptions(context)
        self._schedule = PlanSchedule(context, self._interruptions)
        self._restorer = Restorer(context, archives)
        self._account = AccountView(context)

    async def step(self) -> datetime | None:
        """Do what is due: at most one chat of each plan. When the next step is due; None: nothing is open."""
        worked = await self.work()
        now = self._context.clock()
        due = await self._store.next_step_at()
        is_others = worked == 0 and due is not None and due <= now
        return now + OTHERS_TURN if is_others else due

    async def work(self) -> int:
        """Do what is due. Returns how many plans it worked on."""
        await self._context.providers.refresh()
        await self._interruptions.stop_on_older_copy()
        await self._policies.run()
        worked = 0
        for plan in await self._store.due(self._context.clock()):
            try:
                worked += await self._step_plan(plan)
            except Exception:  # The other plans go on.
                log.exception("plan_step_failed", plan_id=plan.id)
                await self._store.save(replace(plan, step_at=self._context.clock() + timedelta(seconds=60)))
        return worked

    # -- plans -------------------------------------------------------------------------------------------------

    async def _step_plan(self, plan: Plan) -> bool:
        context, now = self._context, self._context.clock()
        if plan.state is PlanState.DRAFT:
            return await self._store.save(replace(plan, state=PlanState.EXPIRED, step_at=None, finished_at=now))
        if not await self._store.take_turn(plan.account, context.owner, now, now + TURN):
            return False
        next_at = await self._budget.next_call_at(plan.account)
        if next_at is not None and next_at > now:
            await self._store.save(replace(plan, step_at=next_at))
            return False
        item = await self._schedule.next_item(plan, now)
        if item is None:
            await self._schedule.go_on_later(plan, now)
            return False
        provider = self._account.provider_of(plan, item.api_version)
        if provider is None:
            await self._interruptions.stop(
                plan, "no_key", "The v0 API key of this account is missing, or does not serve this workspace. Set it."
            )
            return False
        calls = context.providers.calls(plan.account)
        try:
            await self._step_item(_Work(plan, item, provider))
        finally:
            await self._budget.spent(plan.account, context.providers.calls(plan.account) - calls)
        return True

    # -- items -------------------------------------------------------------------------------------------------

    async def _step_item(self, work: _Work) -> None:
        before = work.provider.calls
        try:
            if work.item.state is ItemState.RESTORING:
                await self._restorer.restore(work.plan, work.item, work.provider)
            elif work.item.state is ItemState.DELETING:
                await self._resolve(work)
            else:
                await self._delete(work)
            await self._interruptions.went_well(work.plan, work.provider.calls - before)
        except ProviderError as error:
            await self._interrupted(work, error)
        except ProtokeepError:  # The database, for one: it says nothing of this chat.
            raise
        except Exception as error:  # The other chats go on.
            log.exception("plan_item_unexpected", plan_id=work.plan.id, chat_id=work.item.chat_id)
            await self._try_later(work, ProviderError(type(error).__name__, code="unexpected"))

    async def _interrupted(self, work: _Work, error: ProviderError) -> None:
        """The app builder did not answer a read as it should: the run stops (R8), or this item waits or fails."""
        if not is_refusal_of_account(error):
            await self._try_later(work, error)
            return
        if work.item.state in OPEN_FOR_STEP and error.status == 403:
            await self._forbidden(work, work.item, error)
            return
        await self._interruptions.refused(work.plan, error)
        if error.status is None or error.status >= 500:
            # One chat that always answers so must not stop the others. It is counted where others went well.
            await self._try_later(work, error, OUTAGE_PAUSE, counts=work.plan.failures == 0)

    async def _forbidden(self, work: _Work, item: PlanItem, error: ProviderError) -> None:
        """A chat, or another one of its group, is refused: the run stops, or that chat alone stays."""
        if await self._account.refuses_one(work.plan, item, work.provider, error):
            words = f"It was not deleted: v0 refuses it, or another one of its group. {error}"
            await self._finish(work.plan, item, ItemState.FAILED, KeepRule.NO_RIGHT.value, words, REFUSED_ONCE)
            await self._interruptions.refused_one(work.plan)
            return
        await self._store.save_item(work.plan, replace(item, answer=REFUSED_ONCE), self._now())
        await self._interruptions.refused(work.plan, error)

    async def _try_later(
        self, work: _Work, error: ProviderError, pause: timedelta | None = None, *, counts: bool = True
    ) -> None:
        """Try an item again later. One that was tried often enough fails, unless its deletion may have been sent."""
        now = self._now()
        item = await self._store.item(work.plan.id, work.item.chat_id) or work.item
        tries = item.attempts + counts
        if item.state in OPEN_FOR_STEP and (tries >= MAX_ATTEMPTS or error.code == "too_large"):
            reason = f"It was not deleted, because it could not be copied in time and whole: {error}"
            await self._finish(work.plan, item, ItemState.FAILED, "not_copied", reason, error.code)
        elif item.state in OPEN_ITEMS | {ItemState.RESTORING}:
            due_at = now + (error.retry_after or pause or backoff(tries, self._context.timing))
            waiting = replace(item, attempts=tries, due_at=due_at, answer=error.code)
            await self._store.save_item(work.plan, waiting, now)

    async def _delete(self, work: _Work) -> None:
        """Read and copy a chat, decide again, keep its copy, and delete it, all within a few seconds."""
        context = self._context
        read_at = context.elapsed()
        copy = await self._read(work)
        if copy is None:
            return
        if (reason := await self._reason_to_skip(work, copy)) is not None:
            await self._finish(work.plan, work.item, ItemState.SKIPPED, *reason)
            return
        context.checkpoint("plan_item_decided")
        item = await self._archived(work, copy)
        if item is None:
            return
        context.checkpoint("plan_item_archived")
        if self._is_late(read_at):  # The next step reads the chat again, which is quicker now that it is archived.
            await self._try_later(work, ProviderError("It took too long to be sure of it.", code="too_slow"))
            return
        await self._mark_and_send(replace(work, item=item), copy, read_at)

    async def _read(self, work: _Work) -> ChatCopy | None:
        """The chat as it is now, whole unless it was archived before; None: it is not there, which was written down."""
        item = work.item
        try:
            if item.state is ItemState.ARCHIVED:
                return await work.provider.read_chat(item.chat_id)
            return await work.provider.copy_chat(item.chat_id)
        except ProviderError as error:
            if error.status != 404:
                raise
            await self._not_there(work)
            return None

    async def _not_there(self, work: _Work) -> None:
        """A chat answered 404, and nothing of ours deleted it. The key may be another team's: then the run stops."""
        if not await self._account.shows_others(work.plan, work.item, work.provider):
            words = (
                "The account shows none of the chats that the scan saw. Check that its key is still of the same "
                "account, scan the account, then resume the plan."
            )
            await self._interruptions.stop(work.plan, "other_account", words)
            return
        reason = "It was gone before the plan came to it; no deletion was sent."
        await self._finish(work.plan, work.item, ItemState.SKIPPED, "gone", reason, "404 to a read")

    async def _reason_to_skip(self, work: _Work, copy: ChatCopy) -> tuple[str, str] | None:
        """Why the chat may not be deleted, as (rule, sentence) (R3)."""
        if is_foreign(self._context.signer, work.plan.workspace_id, copy.metadata):
            return "foreign", "It belongs to another workspace or another installation."
        changed = changed_rule(work.item, copy.chat, copy.metadata)
        if changed is not None:
            return changed
        obstacles = await self._store.obstacles(work.plan, work.item, is_usable=_is_usable(copy))
        if (obstacle := obstacle_of(obstacles)) is not None or work.item.group_id is None:
            return obstacle
        stays = await self._account.shows_one(work.plan, obstacles.survivors, is_usable=_is_usable(copy))
        return None if stays else (KeepRule.LAST_OF_GROUP.value, REASONS[KeepRule.LAST_OF_GROUP])

    async def _archived(self, work: _Work, copy: ChatCopy) -> PlanItem | None:
        """The item with a verified copy of its chat; None: there is none, or somebody changed the item (R4)."""
        plan, item = work.plan, work.item
        try:
            if item.state is not ItemState.WAITING and item.archive_id is not None:
                await self._archives.copy_of(plan.workspace_id, item.archive_id)
                return item
            archive = await self._archives.make(plan.workspace_id, plan.account, copy)
        except NotFound:
            await self._store.save_item(plan, replace(item, state=ItemState.WAITING, archive_id=None), self._now())
            return None
        except ArchiveFault as fault:
            await self._finish(plan, item, ItemState.FAILED, "not_archived", f"It was not deleted: {fault}")
            return None
        self._context.checkpoint("plan_archive_made")
        kept = replace(item, state=ItemState.ARCHIVED, archive_id=archive.id)
        return await self._store.save_item(plan, kept, self._now())

    async def _mark_and_send(self, work: _Work, copy: ChatCopy, read_at: float) -> None:
        """Write that the deletion is sent, and send it, unless something speaks against it at the last moment."""
        plan, item, now = work.plan, work.item, self._now()
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        marking = replace(
            item, state=ItemState.DELETING, sent_at=now, due_at=now + RESOLVE_AFTER, attempts=item.attempts + 1
        )
        # A deletion that is sent again was counted when it was sent first.
        most = PER_DAY_MAX if item.state is ItemState.DELETING else plan.per_day
        marked = await self._store.mark_deleting(plan, marking, now, most_since=(day, most), is_usable=_is_usable(copy))
        if isinstance(marked, Obstacles):
            await self._finish(plan, item, ItemState.SKIPPED, *(obstacle_of(marked) or ("changed", "It changed.")))
            return
        if marked is None:
            return
        self._context.checkpoint("plan_item_marked")
        # A pin of this moment counts, too. Nothing was sent yet, and the version says that nobody else did.
        obstacle = obstacle_of(await self._store.obstacles(plan, marked, is_usable=_is_usable(copy)))
        if obstacle is not None or self._is_late(read_at):
            await self._unsent(work, marked, item, obstacle)
            return
        await self._send(replace(work, item=marked), item)

    async def _unsent(self, work: _Work, marked: PlanItem, before: PlanItem, obstacle: tuple[str, str] | None) -> None:
        """A deletion that was marked was certainly not sent."""
        back = replace(before, version=marked.version, due_at=self._now())
        if obstacle is not None:
            await self._finish(work.plan, back, ItemState.SKIPPED, *obstacle)
        else:
            await self._store.save_item(work.plan, back, self._now())

    async def _send(self, work: _Work, before: PlanItem) -> None:
        """Send the deletion of a marked item, and write down the answer."""
        plan, marked = work.plan, work.item
        try:
            was_there = await work.provider.delete(marked.chat_id)
        except (ProviderBusy, ProviderUnreachable, ProviderRejected) as error:
            await self._refused(work, before, error)
            return
        except OutcomeUnknown as error:
            later = self._now() + max(error.retry_after or timedelta(0), RESOLVE_AFTER)
            await self._store.save_item(plan, replace(marked, answer=error.code, due_at=later), self._now())
            if is_refusal_of_account(error):
                await self._interruptions.refused(plan, error)
            return
        self._context.checkpoint("plan_deletion_answered")
        answer = "deleted" if was_there else "404 to our deletion"
        await self._deleted(plan, marked, answer)

    async def _refused(self, work: _Work, before: PlanItem, error: ProviderError) -> None:
        """The app builder certainly did not delete the chat."""
        back = replace(before, version=work.item.version, answer=error.code)
        if error.status == 403:
            await self._forbidden(work, replace(back, answer=before.answer, due_at=self._now()), error)
            return
        if is_refusal_of_account(error):
            await self._store.save_item(work.plan, replace(back, due_at=self._now()), self._now())
            await self._interruptions.refused(work.plan, error)
            return
        await self._finish(
            work.plan, back, ItemState.FAILED, "refused", f"v0 refuses its deletion: {error}", error.code
        )

    async def _resolve(self, work: _Work) -> None:
        """Find out what became of a deletion whose answer is unknown: gone, there as it was, or there and changed."""
        plan, item = work.plan, work.item
        context = self._context
        read_at = context.elapsed()
        try:
            copy = await work.provider.read_chat(item.chat_id)
        except ProviderError as error:
            if error.status != 404:
                raise
            await self._deleted(plan, item, "404 to a read after our deletion")
            return
        context.checkpoint("plan_outcome_read")
        reason = await self._reason_to_skip(work, copy)
        if item.undo_by is not None:
            await self._finish(plan, item, ItemState.PROTECTED, "undone", "A person took it back.")
        elif reason is not None:
            rule, words = reason
            after = "It changed after its deletion was sent, and is still there." if rule == "changed" else words
            await self._finish(plan, item, ItemState.SKIPPED, rule, after)
        elif plan.state is PlanState.CANCELLED:
            await self._finish(plan, item, ItemState.SKIPPED, "cancelled", "The plan was cancelled.")
        elif plan.state is not PlanState.APPLYING or self._interruptions.rests_until(plan, self._now()):
            later = self._now() + timedelta(minutes=10)
            await self._store.save_item(plan, replace(item, due_at=later), self._now())
        elif not self._is_late(read_at) and await self._archived(work, copy) is not None:
            await self._mark_and_send(work, copy, read_at)

    async def _deleted(self, plan: Plan, item: PlanItem, answer: str) -> None:
        """Write that a chat is deleted, whatever others wrote meanwhile: it is gone."""
        current: PlanItem | None = item
        for _ in range(MAX_ATTEMPTS):
            if current is None or current.state in (ItemState.DELETED, ItemState.RESTORING, ItemState.RESTORED):
                return
            deleted = replace(current, state=ItemState.DELETED, answer=answer, due_at=None)
            if await self._save_deleted(plan, deleted):
                return
            current = await self._store.item(plan.id, item.chat_id)

    async def _save_deleted(self, plan: Plan, item: PlanItem) -> bool:
        now = self._now()
        archive = None
        with suppress(NotFound):  # Somebody removed it from the database: the chat is gone all the same.
            archive = await self._archives.find(plan.workspace_id, item.archive_id or "")
        item = replace(item, archive_id=archive.id if archive else None)
        receipt = receipt_of(plan, item, now, archive.sha256 if archive else None)
        wanted_back = item.undo_by is not None and archive is not None
        state = ItemState.RESTORING if wanted_back else ItemState.DELETED
        due_at = now if wanted_back else None
        after = replace(item, state=state, due_at=due_at, attempts=0)
        return await self._store.save_deleted(plan, after, now, receipt)

    async def _finish(
        self, plan: Plan, item: PlanItem, state: ItemState, rule: str, reason: str, answer: str | None = None
    ) -> None:
        """Write the end of an item that was not deleted, together with its receipt."""
        now = self._now()
        ended = replace(item, state=state, rule=rule, reason=reason, answer=answer or item.answer, due_at=None)
        if await self._store.save_item(plan, ended, now, receipt_of(plan, ended, now)) is not None:
            log.info("plan_item_ended", plan_id=plan.id, chat_id=item.chat_id, state=state.value, rule=rule)

    def _is_late(self, read_at: float) -> bool:
        """Whether the chat may have changed since it was read, because this process slept."""
        return self._context.elapsed() - read_at > FRESH_SECONDS

    def _now(self) -> datetime:
        return self._context.clock()


def _is_usable(copy: ChatCopy) -> bool:
    return copy.chat.content in USABLE
