"""The standing policy of a workspace, off by default: drafts of plans that are made by themselves.

A draft deletes nothing. An admin reads it and approves it like any other, or lets it expire.
"""

from __future__ import annotations

from datetime import timedelta

import structlog

from protokeep.core.audit import Action, AuditEntry
from protokeep.core.errors import InvalidInput, NotFound, ProtokeepError
from protokeep.core.keep_rules import OF_POLICY, Selection
from protokeep.core.principals import Principal, Role
from protokeep.service.context import Context
from protokeep.service.plan_drafts import PlanOptions
from protokeep.service.plans import PlanService
from protokeep.store.clean_up_policies import Policy

log = structlog.get_logger(__name__)

#: From one draft of a policy to the next look.
POLICY_INTERVAL = timedelta(days=1)
DAYS_MAX = 3650


class PlanPolicies:
    """Sets standing policies, and makes their drafts."""

    def __init__(self, context: Context, plans: PlanService) -> None:
        self._context = context
        self._store = context.store.clean_up_policies
        self._plans = plans

    async def set(self, principal: Principal, workspace: str, account: str | None, older_than_days: int) -> Policy:
        """Let failed, empty and superseded chats that are older go into a new draft, about once a day.

        `workspace` repeats the name of the workspace. Raises `InvalidInput`, and `NotNow` without an account.
        """
        if not 1 <= older_than_days <= DAYS_MAX:
            raise InvalidInput(f"older_than_days must be 1 to {DAYS_MAX:,}.", field="older_than_days")
        account = await self._plans.account_for(principal, workspace, account)
        now = self._context.clock()
        policy = Policy(principal.workspace_id, account, older_than_days, principal.user_id, now, now)
        entry = AuditEntry.of(principal, Action.POLICY_SET, now, account, older_than_days=older_than_days)
        await self._store.save(policy, entry)
        return policy

    async def of_workspace(self, workspace_id: str) -> list[Policy]:
        """The policies of a workspace."""
        return await self._store.of_workspace(workspace_id)

    async def remove(self, principal: Principal, account: str = "") -> None:
        """Switch a policy off: that of `account`, or (empty) the only one. Drafts that it made stay.

        Raises `NotFound`, and `InvalidInput` where there are several and none is named.
        """
        known = [policy.account for policy in await self._store.of_workspace(principal.workspace_id)]
        if not account and len(known) > 1:
            raise InvalidInput(f"account has to be one of these: {', '.join(known)}.", field="account")
        account = account or "".join(known)
        entry = AuditEntry.of(principal, Action.POLICY_REMOVED, self._context.clock(), account)
        if account not in known or not await self._store.remove(principal.workspace_id, account, entry):
            raise NotFound("There is no standing policy for this account.")

    async def run(self) -> int:
        """Make the drafts that are due. Returns how many were made."""
        now = self._context.clock()
        made = 0
        for policy in await self._store.due(now):
            if await self._store.take(policy, now + POLICY_INTERVAL) and not await self._store.has_open_draft(policy):
                made += await self._draft(policy)
        return made

    async def _draft(self, policy: Policy) -> bool:
        by = Principal(policy.workspace_id, policy.set_by, Role.ADMIN, token_id="")
        selection = Selection(kinds=OF_POLICY, older_than_days=policy.older_than_days)
        try:
            plan = await self._plans.propose_if_any(by, policy.account, selection, PlanOptions(origin="policy"))
        except ProtokeepError as error:  # Such as a key that was removed. The next look tries again.
            log.warning("policy_draft_failed", account=policy.account, reason=str(error))
            return False
        if plan is not None:
            log.info("policy_draft_made", plan_id=plan.id, deletions=plan.deletions)
        return plan is not None
