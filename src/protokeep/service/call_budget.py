"""The calls of an account, counted for all replicas together, and how many of them polls may still make."""

from __future__ import annotations

from collections import defaultdict

from protokeep.core.call_budget import CallAllowance, allowance_of
from protokeep.service.context import Context


class CallBudget:
    """Writes down how many calls this process made, together with questions about the budget."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._written: defaultdict[str, int] = defaultdict(int)

    async def allowance(self, account: str) -> CallAllowance:
        """The calls that may be made for this account now. One write, and none where there are no limits."""
        context = self._context
        now = context.clock()
        limits = context.limits
        if not (limits.per_minute or limits.per_day):
            return CallAllowance(None, 0, now)
        minute_calls, day_calls = await context.store.accounts.spend(account, self._unwritten(account), now)
        return allowance_of(limits, minute_calls, day_calls, now)

    async def flush(self) -> None:
        """Write down the calls for accounts that this process does not track."""
        limits = self._context.limits
        for account in self._context.providers.accounts() if limits.per_minute or limits.per_day else ():
            if calls := self._unwritten(account):
                await self._context.store.accounts.spend(account, calls, self._context.clock())

    def _unwritten(self, account: str) -> int:
        total = self._context.providers.calls(account)
        calls = total - self._written[account]
        self._written[account] = total
        return calls
