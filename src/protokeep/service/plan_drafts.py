"""Drafts of plans: made from a census, or from an edited list, and read by everybody.

Nothing here calls the app builder. A plan is a list that never changes, so that what people read is what happens.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID, uuid4

from protokeep.core.audit import Action, AuditEntry
from protokeep.core.clean_up import (
    DRAFT_DAYS,
    GRACE_DAYS_MAX,
    GRACE_DAYS_MIN,
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
from protokeep.core.foreign_text import is_id
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
from protokeep.store.census import CensusStore
from protokeep.store.plans import ALL_ACTIONS, ALL_STATES


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """How a plan is carried out. `origin`: `person` or `policy`."""

    grace_days: int = 14
    per_day: int = 100
    rules_off: frozenset[str] = frozenset()
    origin: str = "person"


class PlanDrafts:
    """Makes and reads plans. Every method works in one workspace, and raises `NotFound` for plans of others."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store.plans
        self._censuses = CensusStore(context.store)

    # -- making ------------------------------------------------------------------------------------------------

    async def accounts(self, workspace_id: str) -> list[str]:
        """The accounts that a workspace may clean up, its own key's first."""
        await self._context.providers.refresh()
        return self._context.providers.accounts_of(DEFAULT_PROVIDER, workspace_id)

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
        chats = sum(item.rule != KeepRule.MISSING for item in items)  # What is gone makes no plan a smaller part.
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
            chats=chats,
            deletions=deletions,
            approvals_needed=approvals_needed(deletions, chats),
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
            raise NotNow("This account has no finished scan yet. Start one: `protokeep census scan`.")
        records = await self._store.chats(workspace_id, account)
        chats = [record.chat.chat_id for record in records]
        # Rows may have changed since the census: they say whose a chat is.
        owners = await self._censuses.owners(workspace_id, account, chats)
        return AccountFacts(
            records=[replace(record, claim=owners.get(record.chat.chat_id, record.claim)) for record in records],
            now=self._context.clock(),
            prototype_chats=await self._store.prototype_chats(chats),
            newest_census_at=censuses[-1][0] if len(censuses) > 1 else None,
            rules_off=frozenset(KeepRule(name) for name in rules_off),
        )

    async def _account_of(self, workspace_id: str, account: str | None) -> str:
        accounts = await self.accounts(workspace_id)
        if not accounts:
            raise NotNow(
                "This workspace has no v0 API key, so there is no account to clean up. Set one: `protokeep keys set`."
            )
        if account is not None and account not in accounts:
            raise InvalidInput(f"account must be one of: {', '.join(accounts)}.", field="account")
        return account or accounts[0]

    # -- reading -----------------------------------------------------------------------------------------------

    async def get(self, workspace_id: str, plan_id: str) -> Plan:
        """A plan. Raises `NotFound`."""
        found = await self._store.find(workspace_id, plan_id) if _is_uuid(plan_id) else None
        if found is None:
            raise NotFound("There is no such plan in your workspace. GET /api/design/plans lists the plans.")
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
        if after and not is_id(after):
            raise InvalidInput("Take next_cursor of the page before, or leave it out.", field="cursor")
        found = await self._store.items(plan.id, states=states, actions=actions, after=after, limit=limit + 1)
        return found[:limit], found[limit - 1].chat_id if len(found) > limit else None

    async def all_items(self, workspace_id: str, plan_id: str) -> list[PlanItem]:
        """All items, for exports."""
        plan = await self.get(workspace_id, plan_id)
        return await self._store.items(plan.id)

    # -- helpers -----------------------------------------------------------------------------------------------

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


def _checked(options: PlanOptions) -> PlanOptions:
    """The options, if they can be used. Raises `InvalidInput`."""
    if not GRACE_DAYS_MIN <= options.grace_days <= GRACE_DAYS_MAX:
        raise InvalidInput(f"grace_days must be {GRACE_DAYS_MIN} to {GRACE_DAYS_MAX}.", field="grace_days")
    if not 1 <= options.per_day <= PER_DAY_MAX:
        raise InvalidInput(f"per_day must be 1 to {PER_DAY_MAX:,}.", field="per_day")
    fixed = sorted(options.rules_off - SWITCHABLE)
    if fixed:
        allowed = ", ".join(sorted(SWITCHABLE))
        raise InvalidInput(f"Only these rules can be switched off: {allowed}.", field="rules_off")
    return options


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
