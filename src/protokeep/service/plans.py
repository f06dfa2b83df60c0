"""What admins decide about a plan: to approve, apply, pause, resume and cancel it, and to take it back.

What happens to each chat is decided once more by `plan_steps`, right before its deletion.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from protokeep.core.audit import Action
from protokeep.core.clean_up import (
    FIRST_CENSUS_HOURS,
    OPEN_ITEMS,
    ItemState,
    Plan,
    PlanAction,
    PlanItem,
    PlanState,
    undo_of,
)
from protokeep.core.errors import InvalidInput, NotNow
from protokeep.core.principals import Principal
from protokeep.service.approvals import require_other_person
from protokeep.service.plan_drafts import PlanDrafts
from protokeep.service.receipts import receipt_of
from protokeep.store.sql import ConstraintBroken

#: How often a change is tried again because another process changed the plan.
MAX_LOSSES = 10
LIVE = frozenset({PlanState.DRAFT, PlanState.APPROVED, PlanState.APPLYING, PlanState.PAUSED})
CHANGED = "Another person is changing this plan right now. Look at it, then try again."


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo did: chats that stay, that are being made again, whose deletion is under way, and the rest."""

    protected: int = 0
    restoring: int = 0
    under_way: int = 0  #: it is being found out whether they are deleted; what is gone is made again
    not_possible: int = 0  #: nothing was to be taken back, or no chat can be made of its copy


class PlanService(PlanDrafts):
    """The use cases of plans: making and reading them, and what admins decide about them."""

    async def approve(self, principal: Principal, plan_id: str, digest: str, workspace: str) -> Plan:
        """Approve exactly this list. The last approval that it needs begins its grace period; nothing is deleted yet.

        `workspace` repeats the name of the workspace. A second approval by the same admin changes nothing. Raises
        `InvalidInput` for another digest or name, and `NotNow` for a plan that is no draft, or where the approval
        comes from somebody who may be who approved before: one of them made the other's token.
        """
        for _ in range(MAX_LOSSES):
            plan = await self._with_digest(principal, plan_id, digest)
            self._require_name(principal, workspace)
            if principal.user_id in (by for by, _ in plan.approvals):
                return plan
            now = self._context.clock()
            if plan.state is not PlanState.DRAFT or plan.expires_at <= now:
                state = PlanState.EXPIRED if plan.state is PlanState.DRAFT else plan.state
                raise NotNow(f"Only a draft can be approved, and this plan is {state.value}. Make a new one.")
            if plan.deletions == 0:
                raise NotNow("This plan deletes nothing, so there is nothing to approve.")
            await require_other_person(self._context.store.approvers, principal, plan.id)
            try:
                if await self._approve(principal, plan):
                    return await self.get(principal.workspace_id, plan_id)
            except ConstraintBroken:  # Another plan with one of its chats was approved at this moment.
                continue
        raise NotNow(CHANGED)

    async def _approve(self, principal: Principal, plan: Plan) -> bool:
        now = self._context.clock()
        entry = self._entry(principal, Action.PLAN_APPROVED, plan)
        if len(plan.approvals) + 1 < plan.approvals_needed:
            return await self._store.approve(plan, principal, now, None, (), [entry])
        censuses = await self._store.censuses(plan.workspace_id, plan.account)
        first_at = (censuses[0][1] or censuses[0][0]) if censuses else now
        due_at = max(now + timedelta(days=plan.grace_days), first_at + timedelta(hours=FIRST_CENSUS_HOURS))
        taken = await self._store.open_chats(plan.account)
        planned = await self._store.items(plan.id, states=frozenset({ItemState.PLANNED}))
        reason = "Another plan, approved earlier, deletes it."
        skipped = [
            replace(item, state=ItemState.SKIPPED, rule="other_plan", reason=reason)
            for item in planned
            if item.chat_id in taken
        ]
        approved = replace(
            plan, state=PlanState.APPROVED, step_at=None, approvals=[*plan.approvals, (principal.user_id, now)]
        )
        receipts = [receipt_of(approved, item, now) for item in skipped]
        return await self._store.approve(approved, principal, now, due_at, skipped, [entry, *receipts])

    async def apply(self, principal: Principal, plan_id: str, digest: str) -> Plan:
        """Let the deletions of an approved plan begin, each when its grace period is over. Again: changes nothing.

        Before this, nothing is deleted, however long ago the grace period ended. Raises `InvalidInput` for another
        digest, and `NotNow` for a plan that is not approved.
        """
        for _ in range(MAX_LOSSES):
            plan = await self._with_digest(principal, plan_id, digest)
            if plan.state in (PlanState.APPLYING, PlanState.DONE):
                return plan
            if plan.state is not PlanState.APPROVED:
                raise NotNow(f"Only an approved plan can be applied, and this one is {plan.state.value}.")
            applying = replace(plan, state=PlanState.APPLYING, step_at=self._context.clock())
            if await self._store.save(applying, self._entry(principal, Action.PLAN_APPLIED, plan)):
                return await self.get(principal.workspace_id, plan_id)
        raise NotNow(CHANGED)

    async def pause(self, principal: Principal, plan_id: str) -> Plan:
        """Stop the deletions of a plan until it is resumed. What was taken back goes on being made again."""
        message = f"{principal.user_id} paused it."
        return await self._move(
            principal,
            plan_id,
            (PlanState.APPLYING,),
            Action.PLAN_PAUSED,
            lambda plan: replace(plan, state=PlanState.PAUSED, problem_code="paused", problem=message),
        )

    async def resume(self, principal: Principal, plan_id: str) -> Plan:
        """Resume a paused plan."""
        now = self._context.clock()
        return await self._move(
            principal,
            plan_id,
            (PlanState.PAUSED,),
            Action.PLAN_RESUMED,
            lambda plan: replace(
                plan,
                state=PlanState.APPLYING,
                step_at=now,
                problem_code=None,
                problem=None,
                slowed_at=None,
                slowdowns=0,
                failures=0,
            ),
        )

    async def cancel(self, principal: Principal, plan_id: str) -> Plan:
        """End a plan: nothing of it is deleted any more. What was deleted stays deleted; `undo` takes it back."""
        await self._cancel(principal, plan_id)
        return await self.get(principal.workspace_id, plan_id)

    async def undo(self, principal: Principal, plan_id: str, chat_ids: Collection[str] | None = None) -> Undone:
        """Take back a whole plan, or some of its chats.

        What was not deleted yet is kept at once; what was deleted is made again from its archive, as a new chat. A plan
        that is taken back as a whole is cancelled. Works whatever state the plan is in.
        """
        plan = await self.get(principal.workspace_id, plan_id)
        if chat_ids is None and plan.state in LIVE:
            await self._cancel(principal, plan_id, keeps=True)
        wanted = None if chat_ids is None else frozenset(chat_ids)
        for _ in range(MAX_LOSSES):
            plan = await self.get(principal.workspace_id, plan_id)
            items = [
                item
                for item in await self._store.items(plan.id, actions=frozenset({PlanAction.DELETE}))
                if wanted is None or item.chat_id in wanted
            ]
            _require_known(wanted, items)
            if (undone := await self._undo(principal, plan, items)) is not None:
                return undone
        raise NotNow(CHANGED)

    async def _undo(self, principal: Principal, plan: Plan, items: Sequence[PlanItem]) -> Undone | None:
        """None: the plan or an item was changed meanwhile."""
        now = self._context.clock()
        changed = [_taken_back(item, principal.user_id) for item in items]
        changed = [replace(item, due_at=now) if item.state is ItemState.RESTORING else item for item in changed]
        pairs = [(before, after) for before, after in zip(items, changed, strict=True) if after != before]
        protected = [after for _, after in pairs if after.state is ItemState.PROTECTED]
        entries = [
            self._entry(principal, Action.PLAN_UNDONE, plan, chats=len(pairs)),
            *(receipt_of(plan, item, now) for item in protected),
        ]
        moved = replace(plan, step_at=now)
        if not await self._store.save_with_items(moved, [after for _, after in pairs], now, entries):
            return None
        states = [item.state for item in changed]
        restoring, under_way = states.count(ItemState.RESTORING), states.count(ItemState.DELETING)
        kept = states.count(ItemState.PROTECTED)
        return Undone(kept, restoring, under_way, len(states) - restoring - under_way - kept)

    async def _cancel(self, principal: Principal, plan_id: str, *, keeps: bool = False) -> None:
        """Cancel a plan. With `keeps` its open items are left for an undo, which protects them."""
        reason = "The plan was cancelled."
        for _ in range(MAX_LOSSES):
            plan = await self.get(principal.workspace_id, plan_id)
            if plan.state is PlanState.CANCELLED:
                return
            if plan.state not in LIVE:
                raise NotNow(f"This plan is {plan.state.value}, so there is nothing to cancel.")
            now = self._context.clock()
            # What may have been sent already is found out by the next steps.
            items = [] if keeps else await self._store.items(plan.id, states=OPEN_ITEMS - {ItemState.DELETING})
            skipped = [replace(item, state=ItemState.SKIPPED, rule="cancelled", reason=reason) for item in items]
            cancelled = replace(plan, state=PlanState.CANCELLED, step_at=now, finished_at=now)
            entries = [
                self._entry(principal, Action.PLAN_CANCELLED, plan),
                *(receipt_of(plan, item, now) for item in skipped),
            ]
            if await self._store.save_with_items(cancelled, skipped, now, entries):
                return
        raise NotNow(CHANGED)

    async def _move(
        self,
        principal: Principal,
        plan_id: str,
        states: Collection[PlanState],
        action: Action,
        change: Callable[[Plan], Plan],
    ) -> Plan:
        """Change the state of a plan that is in one of `states`; one that has the new state already stays as it is."""
        for _ in range(MAX_LOSSES):
            plan = await self.get(principal.workspace_id, plan_id)
            after = change(plan)
            if plan.state is after.state:
                return plan
            if plan.state not in states:
                wanted = " or ".join(state.value for state in states)
                raise NotNow(f"Only a plan that is {wanted} allows this, and this one is {plan.state.value}.")
            if await self._store.save(after, self._entry(principal, action, plan)):
                return await self.get(principal.workspace_id, plan_id)
        raise NotNow(CHANGED)

    async def _with_digest(self, principal: Principal, plan_id: str, digest: str) -> Plan:
        plan = await self.get(principal.workspace_id, plan_id)
        if digest != plan.digest:
            raise InvalidInput(
                "This is not the digest of this plan, so nothing was done. Look at the plan, then send its digest.",
                field="digest",
            )
        return plan


def _taken_back(item: PlanItem, by: str) -> PlanItem:
    """The item after somebody wants its chat back; unchanged if there is nothing to take back."""
    if item.state in (ItemState.PLANNED, ItemState.WAITING, ItemState.ARCHIVED):
        return replace(item, state=ItemState.PROTECTED, undo_by=by, rule="undone", reason="A person took it back.")
    if item.state is ItemState.DELETING and item.undo_by is None:
        return replace(item, undo_by=by)
    if item.state is ItemState.DELETED and undo_of(item) != "none":
        return replace(item, state=ItemState.RESTORING, undo_by=by, attempts=0)
    return item


def _require_known(wanted: frozenset[str] | None, items: Sequence[PlanItem]) -> None:
    unknown = sorted((wanted or frozenset()) - {item.chat_id for item in items})
    if unknown:
        raise InvalidInput(f"The plan deletes no chat {unknown[0]}. Nothing was taken back.", field="chat_ids")
