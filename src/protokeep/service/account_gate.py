"""Whether an account may send now: holds that the provider asked for, and a circuit that opens after lost answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from protokeep.core.errors import OutcomeUnknown, ProviderBusy
from protokeep.core.timing import backoff
from protokeep.providers.base import Provider
from protokeep.service.context import Context

log = structlog.get_logger(__name__)

#: How long an account waits after a 429 that names no time.
BUSY_PAUSE = timedelta(seconds=30)
#: A row of an account that is held waits at least so long.
SHORTEST_HOLD = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class AccountHold:
    """Why and until when an account sends nothing. `code` is stable, `message` is for people."""

    until: datetime
    code: str
    message: str


class AccountGate:
    """Holds and releases accounts, for all processes together."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def hold_of(self, name: str) -> AccountHold | None:
        """Why the account may not send now; None: it may. Lets exactly one probe through when a hold is over."""
        context = self._context
        account = await context.store.accounts.get(name)
        if account.hold_code is None or account.hold_until is None:
            return None
        now = context.clock()
        pause = context.timing.credits_pause
        if account.hold_until <= now and await context.store.accounts.take_probe(name, now, now + pause):
            return None
        until = max(account.hold_until, now + SHORTEST_HOLD)
        return AccountHold(until, account.hold_code, account.hold_message or "The account is paused.")

    async def release(self, name: str) -> None:
        """End the account's hold, because the provider accepted a request. Parked requests of the account go on now."""
        await self._context.store.accounts.release(name, self._context.clock())

    async def hold_for(self, name: str, provider: Provider, error: ProviderBusy) -> datetime:
        """Hold the account, as the provider asks. Returns the end of the hold."""
        pause = self._context.timing.credits_pause if error.code == "out_of_credits" else BUSY_PAUSE
        until = self._context.clock() + (error.retry_after or pause)
        await self._context.store.accounts.hold(name, provider.name, error.code, str(error), until)
        return until

    async def count_lost_answer(self, name: str, provider: Provider, error: OutcomeUnknown, now: datetime) -> None:
        """Hold the account after several creates in a row without a trustworthy answer, longer each time."""
        context = self._context
        failures = await context.store.accounts.count_failure(name, provider.name)
        beyond = failures - context.timing.circuit_failures
        if beyond < 0:
            return
        until = now + (error.retry_after or max(backoff(beyond + 4, context.timing), context.timing.lease))
        message = f"{failures} creates in a row had no clear answer. The last: {error}"
        await context.store.accounts.hold(name, provider.name, "unavailable", message, until)
        log.warning("circuit_open", account=name, failures=failures)
