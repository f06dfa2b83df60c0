"""The budget of censuses and clean-ups, counted for all processes together."""

from __future__ import annotations

from datetime import datetime

from protokeep.core.clean_up_budget import next_call_at
from protokeep.service.call_budget import CallBudget
from protokeep.service.context import Context


class CleanUpBudget:
    """Says when the next call of a census or a clean-up may be made for an account.

    They wait for everything else: for the account's holds and for the pauses of its polls, and for the calls of people.
    """

    def __init__(self, context: Context, call_budget: CallBudget) -> None:
        self._context = context
        self._call_budget = call_budget

    async def next_call_at(self, account: str) -> datetime | None:
        """When the next call may be made; None: now."""
        context = self._context
        now = context.clock()
        known = await context.store.accounts.get(account)
        paused_until = known.polling_paused_until if known.is_polling_paused(now) else None
        held_until = max((at for at in (paused_until, known.hold_until) if at is not None and at > now), default=None)
        if held_until is not None:
            return held_until
        counted = await context.store.accounts.clean_up_calls(account, now)
        allowance = await self._call_budget.allowance(account)
        return next_call_at(counted, context.limits, allowance, context.timing.clean_up_pace, now)

    async def spent(self, account: str, calls: int = 1) -> None:
        """Count calls that were made, the last of them now."""
        await self._context.store.accounts.spend_on_clean_up(account, calls, self._context.clock())
