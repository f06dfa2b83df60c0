"""Plans of a clean-up: they are made, edited, approved, applied, paused, cancelled and taken back here.

Nothing here calls the app builder. A plan is a list that never changes, so that what people read is what happens; what
happens to each chat is decided once more by `plan_steps`, right before its deletion.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID, uuid4

from protokeep.core.audit import Action, AuditEntry
from protokeep.core.clean_up import (
    DRAFT_DAYS,
    FIRST_CENSUS_HOURS,
    GRACE_DAYS_MAX,
    GRACE_DAYS_MIN,
    OPEN_ITEMS,
    PER_DAY_MAX,
    ItemState,
    Plan,
    PlanAction,
    PlanItem,
    PlanState,
    approvals_needed,
    digest_of,
)
from protokeep.core.errors import InvalidInput, NotFound, NotNow
from protokeep.core.keep_rules import (
    SWITCHABLE,
    AccountFacts,
    KeepRule,
    Selection,
    groups_without_survivor,
    plan_items,
)
from protokeep.core.plan_file import edited, read_edits, refuse
from protokeep.core.principals import Principal
from protokeep.service.context import Context
from protokeep.service.provider_accounts import DEFAULT_PROVIDER
from protokeep.service.receipts import receipt_of
from protokeep.store.plans import ALL_ACTIONS, ALL_STATES
from protokeep.store.sql import ConstraintBroken

#: How often a change is tried again because another process changed the plan.
MAX_LOSSES = 10
LIVE = frozenset({PlanState.DRAFT, PlanState.APPROVED, PlanState.APPLYING, PlanState.PAUSED})
CHANGED = "The plan is being changed by others at this moment. Look at it, then try again."


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """How a plan is carried out. `origin`: `person` or `policy`."""

    grace_days: int = 14
    per_day: int = 100
    rules_off: frozenset[str] = frozenset()
    origin: str = "person"


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo did: chats that stay, that are being made again, whose deletion is under way, and the rest."""

    protected: int = 0
    restoring: int = 0
    under_way: int = 0  #: it is being found out whether they are deleted; what is gone is made again
    not_possible: int = 0  #: nothing was to be taken back, or there is no archive


class PlanService:
    """The use cases of plans. Every method works in the principal's own workspace and raises `NotFound` elsewhere."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store.plans

    # -- making ------------------------------------------------------------------------------------------------

    async def accounts(self, workspace_id: str) -> list[str]:
        """The accounts that a workspace may clean up, its own key's first."""
        await self._context.providers.refresh()
        return self._context.providers.of_workspace(DEFAULT_PROVIDER, workspace_id)

    async def propose(
        self,
        principal: Principal,
        workspace: str,
        account: str | None = None,
        selection: Selection | None = None,
        options: PlanOptions | None = None,
    ) -> Plan:
        """Make a draft of a plan from the newest census. It changes nothing at the app builder.

        `workspace` repeats the name of the workspace. `account` None: the first that it may clean up. Raises
        `InvalidInput`, and `NotNow` before a census is finished.
        """
        options = _checked(options or PlanOptions())
        account = await self.account_for(principal, workspace, account)
        facts = await self._facts(principal.workspace_id, account, options.rules_off)
        items = plan_items(facts, selection or Selection())
        return await self._insert(principal, account, items, options)

    async def propose_if_any(
        self, principal: Principal, account: str, selection: Selection, options: PlanOptions
    ) -> Plan | None:
        """As `propose`, for the standing policy: None where nothing would be deleted."""
        account = await self.account_for(principal, principal.workspace_id, account)
        facts = await self._facts(principal.workspace_id, account, options.rules_off)
        items = plan_items(facts, selection)
        if all(item.action is PlanAction.KEEP for item in items):
            return None
        return await self._insert(principal, account, items, options)

    async def account_for(self, principal: Principal, workspace: str, account: str | None) -> str:
        """`account`, or the first one, if the workspace, whose name is repeated, may clean it up.

        Raises `InvalidInput`, and `NotNow` where there is no account.
        """
        self._require_name(principal, workspace)
        return await self._account_of(principal.workspace_id, account)

    async def import_edited(self, principal: Principal, plan_id: str, content: str) -> Plan:
        """Make a new draft from an exported list in which actions were changed. The plan that it comes from stays.

        Raises `InvalidInput` with the lines at fault.
        """
        plan = await self.get(principal.workspace_id, plan_id)
        before = await self._store.items(plan.id)
        items = edited(before, read_edits(content, before), principal.user_id)
        records = {record.chat.chat_id: record for record in await self._store.chats(plan.workspace_id, plan.account)}
        known = [item for item in items if item.chat_id in records]
        refuse(
            [
                f"chats {', '.join(chats[:3])}: at least one of this group has to stay."
                for chats in groups_without_survivor(known, records)
            ]
        )
        options = PlanOptions(plan.grace_days, plan.per_day, frozenset(plan.rules_off))
        return await self._insert(principal, plan.account, items, options, edited_from=plan)

    async def _insert(
        self,
        principal: Principal,
        account: str,
        items: Sequence[PlanItem],
        options: PlanOptions,
        edited_from: Plan | None = None,
    ) -> Plan:
        now = self._context.clock()
        deletions = sum(item.action is PlanAction.DELETE for item in items)
        expires_at = now + timedelta(days=DRAFT_DAYS)
        plan = Plan(
            id=str(uuid4()),
            workspace_id=principal.workspace_id,
            account=account,
            digest=digest_of(principal.workspace_id, account, items),
            state=PlanState.DRAFT,
            requested_by=principal.user_id,
            created_at=now,
            expires_at=expires_at,
            grace_days=options.grace_days,
            per_day=options.per_day,
            chats=len(items),
            deletions=deletions,
            approvals_needed=approvals_needed(deletions, len(items)),
            edited_from=edited_from.id if edited_from else None,
            origin=options.origin,
            rules_off=tuple(sorted(options.rules_off)),
            step_at=expires_at,
        )
        await self._store.insert(plan, items, self._entry(principal, Action.PLAN_MADE, plan, deletions=deletions))
        return plan

    async def _facts(self, workspace_id: str, account: str, rules_off: Collection[str]) -> AccountFacts:
        censuses = await self._store.censuses(workspace_id, account)
        if not censuses:
            raise NotNow("This account has no finished census yet. Start one: `protokeep census scan`.")
        records = await self._store.chats(workspace_id, account)
        return AccountFacts(
            records=records,
            now=self._context.clock(),
            prototype_chats=await self._store.prototype_chats([record.chat.chat_id for record in records]),
            newest_census_at=censuses[-1][0] if len(censuses) > 1 else None,
            rules_off=frozenset(KeepRule(name) for name in rules_off),
        )

    async def _account_of(self, workspace_id: str, account: str | None) -> str:
        accounts = await self.accounts(workspace_id)
        if not accounts:
            raise NotNow(
                "This workspace has no key of its own, and none that serves it. Set one: `protokeep keys set`."
            )
        if account is not None and account not in accounts:
            raise InvalidInput(f"account must be one of: {', '.join(accounts)}.", field="account")
        return account or accounts[0]

    # -- reading -----------------------------------------------------------------------------------------------

    async def get(self, workspace_id: str, plan_id: str) -> Plan:
        """A plan. Raises `NotFound`."""
        found = await self._store.find(workspace_id, plan_id) if _is_uuid(plan_id) else None
        if found is None:
            raise NotFound("There is no such plan. GET /api/design/plans lists them.")
        return found

    async def newest(self, workspace_id: str, limit: int = 100) -> list[Plan]:
        """The plans of a workspace, newest first."""
        return await self._store.newest(workspace_id, limit)

    async def items(
        self,
        workspace_id: str,
        plan_id: str,
        *,
        states: frozenset[ItemState] = ALL_STATES,
        actions: frozenset[PlanAction] = ALL_ACTIONS,
        after: str = "",
        limit: int = 100,
    ) -> tuple[list[PlanItem], str | None]:
        """A page of the items, in the order of their chats, and the chat after which the next page begins."""
        plan = await self.get(workspace_id, plan_id)
        found = await self._store.items(plan.id, states=states, actions=actions, after=after, limit=limit + 1)
        return found[:limit], found[limit - 1].chat_id if len(found) > limit else None

    async def all_items(self, workspace_id: str, plan_id: str) -> list[PlanItem]:
        """All items, for exports."""
        plan = await self.get(workspace_id, plan_id)
        return await self._store.items(plan.id)

    # -- deciding ----------------------------------------------------------------------------------------------

    async def approve(self, principal: Principal, plan_id: str, digest: str, workspace: str) -> Plan:
        """Approve exactly this list. The last approval that it needs begins its grace period; nothing is deleted yet.

        `workspace` repeats the name of the workspace. A second approval by the same admin changes nothing. Raises
        `InvalidInput` for another digest or name, and `NotNow` for a plan that is no draft.
        """
        self._require_name(principal, workspace)
        for _ in range(MAX_LOSSES):
            plan = await self._with_digest(principal, plan_id, digest)
            if principal.user_id in (by for by, _ in plan.approvals):
                return plan
            now = self._context.clock()
            if plan.state is not PlanState.DRAFT or plan.expires_at <= now:
                raise NotNow(f"Only a draft can be approved, and this plan is {plan.state.value}. Make a new one.")
            if plan.deletions == 0:
                raise NotNow("This plan deletes nothing, so there is nothing to approve.")
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
            return await self._store.approve(plan, principal.user_id, now, None, (), [entry])
        censuses = await self._store.censuses(plan.workspace_id, plan.account)
        first_at = (censuses[0][1] or censuses[0][0]) if censuses else now
        due_at = max(now + timedelta(days=plan.grace_days), first_at + timedelta(hours=FIRST_CENSUS_HOURS))
        taken = await self._store.open_chats(plan.account)
        planned = await self._store.items(plan.id, states=frozenset({ItemState.PLANNED}))
        reason = "Another plan that was approved before deletes it."
        skipped = [
            replace(item, state=ItemState.SKIPPED, rule="other_plan", reason=reason)
            for item in planned
            if item.chat_id in taken
        ]
        approved = replace(
            plan, state=PlanState.APPROVED, step_at=None, approvals=[*plan.approvals, (principal.user_id, now)]
        )
        receipts = [receipt_of(approved, item, now) for item in skipped]
        return await self._store.approve(approved, principal.user_id, now, due_at, skipped, [entry, *receipts])

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
        """Let a paused plan go on."""
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

    # -- helpers -----------------------------------------------------------------------------------------------

    async def _with_digest(self, principal: Principal, plan_id: str, digest: str) -> Plan:
        plan = await self.get(principal.workspace_id, plan_id)
        if digest != plan.digest:
            raise InvalidInput(
                "This is not the digest of this plan, so nothing was done. Look at the plan, then send its digest.",
                field="digest",
            )
        return plan

    def _entry(self, principal: Principal, action: Action, plan: Plan, **data: object) -> AuditEntry:
        now = self._context.clock()
        return AuditEntry.of(principal, action, now, plan.id, account=plan.account, digest=plan.digest, **data)

    @staticmethod
    def _require_name(principal: Principal, workspace: str) -> None:
        if workspace != principal.workspace_id:
            raise InvalidInput(
                f"Write the name of the workspace that is to be cleaned up: {principal.workspace_id}.",
                field="workspace",
            )


def _taken_back(item: PlanItem, by: str) -> PlanItem:
    """The item after somebody wants its chat back; unchanged if there is nothing to take back."""
    if item.state in (ItemState.PLANNED, ItemState.WAITING, ItemState.ARCHIVED):
        return replace(item, state=ItemState.PROTECTED, undo_by=by, rule="undone", reason="A person took it back.")
    if item.state is ItemState.DELETING and item.undo_by is None:
        return replace(item, undo_by=by)
    if item.state is ItemState.DELETED and item.archive_id is not None:
        return replace(item, state=ItemState.RESTORING, undo_by=by, attempts=0)
    return item


def _require_known(wanted: frozenset[str] | None, items: Sequence[PlanItem]) -> None:
    unknown = sorted((wanted or frozenset()) - {item.chat_id for item in items})
    if unknown:
        raise InvalidInput(f"The plan deletes no chat {unknown[0]}. Nothing was taken back.", field="chat_ids")


def _checked(options: PlanOptions) -> PlanOptions:
    """The options, if they can be used. Raises `InvalidInput`."""
    if not GRACE_DAYS_MIN <= options.grace_days <= GRACE_DAYS_MAX:
        raise InvalidInput(f"grace_days must be {GRACE_DAYS_MIN} to {GRACE_DAYS_MAX}.", field="grace_days")
    if not 1 <= options.per_day <= PER_DAY_MAX:
        raise InvalidInput(f"per_day must be 1 to {PER_DAY_MAX:,}.", field="per_day")
    fixed = sorted(options.rules_off - SWITCHABLE)
    if fixed:
        allowed = ", ".join(sorted(SWITCHABLE))
        raise InvalidInput(f"{fixed[0]} is no rule that can be switched off; these are: {allowed}.", field="rules_off")
    return options


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
