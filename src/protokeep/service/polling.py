"""Polls prototypes to their end: one process tracks an account, and one poll serves everybody who watches."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from protokeep import telemetry
from protokeep.core import polling
from protokeep.core.absence import AccountVisibility, deadline_extended, may_be_gone, polling_paused, recorded_missing
from protokeep.core.call_budget import CallAllowance, Priority
from protokeep.core.events import Event, Source
from protokeep.core.poll_plan import FEW_HOOKED, PollPlan, are_few_hooked, plan_polls
from protokeep.core.prototype import TrackedPrototype
from protokeep.core.provider_keys import missing_key_message
from protokeep.core.submission import NO_KEY
from protokeep.providers.base import PollResult, Provider
from protokeep.service.call_budget import CallBudget
from protokeep.service.context import Context, renewing, status_events
from protokeep.service.poll_problems import PollProblems
from protokeep.service.poll_targets import poll_targets
from protokeep.service.visibility import Visibility
from protokeep.store.accounts import POLLING_FAILS, SHORT_OF_CALLS
from protokeep.store.mapping import is_unchanged_poll
from protokeep.store.sql import DatabaseError
from protokeep.telemetry import Origin, Turn

log = structlog.get_logger(__name__)

#: The change that a poll makes to a prototype: before, after, and the lines of history.
PollChange = tuple[TrackedPrototype, TrackedPrototype, list[Event]]

#: Prototypes written per transaction after a poll.
WRITTEN_TOGETHER = 500
#: Missing chats that a sweep over a list also looks for.
MOST_MISSING = 500
#: Prototypes that the trace of a poll names; a poll of a whole account may be about thousands.
LINKED = 100
#: How long polls wait for a missing key; setting the key ends the wait.
NO_KEY_PAUSE = timedelta(seconds=60)
#: How long people see that polls fail; each failing poll renews the notice.
PROBLEM_SHOWN = timedelta(seconds=30)
#: How long people see at least that an account is short of calls.
SHORT_OF_CALLS_SHOWN = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class _Round:
    """The result of one batch, and the account's visibility in it.

    `unwatched_pause`: no prototype that nobody watches is polled before it is over.
    """

    result: PollResult
    account: AccountVisibility
    now: datetime
    batched: bool
    unwatched_pause: timedelta | None

    def answer_about(self, prototype: TrackedPrototype) -> polling.PollAnswer:
        """The part of the result that is about one chat."""
        result, chat_id = self.result, prototype.chat_id or ""
        observation = result.observations.get(chat_id)
        if observation is not None:
            return polling.ChatShown(observation, is_partial=chat_id in result.unreadable)
        if chat_id in result.missing:
            return polling.ChatMissing(self.account)
        if chat_id in result.unreadable:
            return polling.ChatUnreadable()
        return polling.NoAnswer() if result.retry_after is None else polling.PollsPaused(result.retry_after)


class Poller:
    """Polls what is due, writes what the provider said, and says when the next poll is due."""

    def __init__(self, context: Context, budget: CallBudget, visibility: Visibility) -> None:
        self._context = context
        self._budget = budget
        self._visibility = visibility
        self._problems = PollProblems()
        self._passes: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._hooked: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        #: Prototypes that `track_hooked` polls at this moment.
        self._polled_beside: set[str] = set()

    async def track(self, account: str) -> datetime | None:
        """Poll an account once. When the next pass is due; None: no poll is, or another process tracks the account."""
        _, due = await self.run_pass(account)
        return due

    async def run_pass(self, account: str) -> tuple[bool, datetime | None]:
        """(whether this process tracks the account, when the next pass is due)."""
        context = self._context
        await context.providers.refresh()
        async with self._passes[account]:
            if not await self._take_lease(account):
                return False, None
            async with renewing(lambda: self._take_lease(account), context.timing.lease / 3):
                account_row = await context.store.accounts.get(account)
                if account_row.is_polling_paused(context.clock()):
                    return True, account_row.polling_paused_until
                await self._poll_due(account)
                context.checkpoint("after_pass")
                return True, await context.store.next_due(account)

    async def release(self, account: str) -> None:
        """Hand an account over to any process that wants to track it."""
        await self._context.store.accounts.release_tracking(account, self._context.owner)

    async def _take_lease(self, account: str) -> bool:
        context = self._context
        now = context.clock()
        provider = account.split(":", 1)[0]
        return await context.store.accounts.take_tracking(
            account, provider, context.owner, now, now + context.timing.lease
        )

    async def track_hooked(self, account: str) -> int:
        """Poll the few chats that hooks have just named, one by one, beside a pass that may take seconds.

        Only for the process that tracks the account. How many were polled. More than a few are left to the pass.
        """
        context = self._context
        async with self._hooked[account]:
            now = context.clock()
            if (await context.store.accounts.get(account)).is_polling_paused(now):
                return 0
            polled = 0
            for provider in context.providers.of_account(account):
                named = await context.store.named_by_hooks(account, provider.api_version, now, FEW_HOOKED)
                allowance = await self._budget.allowance(account)
                plan = plan_polls(named, allowance, now, context.timing, batched=False, cost=provider.polling_cost)
                if plan.polled and await self._poll_beside(account, provider, plan):
                    polled += len(plan.polled)
            return polled

    async def _poll_beside(self, account: str, provider: Provider, plan: PollPlan) -> bool:
        ids = {prototype.id for prototype in plan.polled}
        self._polled_beside |= ids
        try:
            return await self._execute(account, provider, plan)
        finally:
            self._polled_beside -= ids

    # -- one pass ----------------------------------------------------------------------------------------------

    async def _poll_due(self, account: str) -> None:
        """Poll what is due, by API version, until the provider asks for a pause or there is no key."""
        context = self._context
        now = context.clock()
        due = [one for one in await context.store.due(account, now) if one.id not in self._polled_beside]
        if not due:
            return
        allowance = await self._budget.allowance(account)
        for api_version in sorted({prototype.generation.api_version for prototype in due}):
            provider = context.providers.serving(account, api_version)
            if provider is None:
                await self._wait_for_key(account)
                return
            of_version = [prototype for prototype in due if prototype.generation.api_version == api_version]
            plan = await self._plan(account, provider, of_version, allowance, now)
            if plan.postponed:
                await self._postpone_for_calls(account, plan.postponed, allowance)
            if not await self._execute(account, provider, plan):
                return

    async def _plan(
        self,
        account: str,
        provider: Provider,
        due: list[TrackedPrototype],
        allowance: CallAllowance,
        now: datetime,
    ) -> PollPlan:
        """Where one call reports many chats, all that would be due before the next sweep join this one."""
        timing = self._context.timing
        batched = provider.capabilities.batch_status
        if batched and not are_few_hooked(due):
            until = now + max(timing.poll_interval, timing.batch_poll_interval)
            due = due + await self._context.store.due_soon(account, provider.api_version, now, until)
        return plan_polls(due, allowance, now, timing, batched=batched, cost=provider.polling_cost)

    async def _execute(self, account: str, provider: Provider, plan: PollPlan) -> bool:
        """Poll batch after batch; False: the provider asks for a pause."""
        for batch in plan.batches:
            result = await self._poll_batch(account, provider, batch, plan)
            if result.retry_after is not None:
                return False
        return True

    async def _poll_batch(
        self, account: str, provider: Provider, batch: Sequence[TrackedPrototype], plan: PollPlan
    ) -> PollResult:
        context = self._context
        began = context.clock()
        missing: Sequence[TrackedPrototype] = []
        if provider.capabilities.batch_status:
            missing = await context.store.not_visible(account, provider.api_version, began, MOST_MISSING)
        result = await self._observe(account, provider, batch, missing, began)
        now = context.clock()
        await self._show_problem(account, result, now)
        context.checkpoint("after_poll")
        ids = {prototype.id for prototype in batch}
        reappeared = [one for one in missing if one.chat_id in result.observations and one.id not in ids]
        poll_round = _Round(
            result,
            await self._account_visibility(account, provider, batch, result, now),
            now,
            provider.capabilities.batch_status,
            None if plan.unwatched_pause is None else plan.unwatched_pause - (now - began),
        )
        prototypes = [*batch, *reappeared]
        for start in range(0, len(prototypes), WRITTEN_TOGETHER):
            await self._write(prototypes[start : start + WRITTEN_TOGETHER], poll_round)
        return result

    async def _observe(
        self,
        account: str,
        provider: Provider,
        batch: Sequence[TrackedPrototype],
        missing: Sequence[TrackedPrototype],
        began: datetime,
    ) -> PollResult:
        """Ask the provider. An unexpected error is a problem of this account, and of no other one."""
        origin = Origin(turns=[Turn(one.id, one.generation.follow_up.turn) for one in batch[:LINKED]])
        try:
            with telemetry.span("account.poll", origin=origin, provider=provider.name, prototypes=len(batch)):
                result = await provider.observe(poll_targets(batch, missing, began, self._context.timing))
        except Exception as error:
            log.exception("poll_failed", account=account)
            result = PollResult(problem=f"The app builder's answer could not be read ({type(error).__name__}).")
        self._problems.note_account(account, result.problem)
        return result

    async def _account_visibility(
        self,
        account: str,
        provider: Provider,
        batch: Sequence[TrackedPrototype],
        result: PollResult,
        now: datetime,
    ) -> AccountVisibility:
        """The account's visibility in this round. A list is read only when a chat may be gone for good."""
        timing = self._context.timing
        missing = [prototype for prototype in batch if prototype.chat_id in result.missing]
        counted = [recorded_missing(deadline_extended(prototype, now, timing), now) for prototype in missing]
        in_doubt = any(may_be_gone(prototype.generation, now, timing) for prototype in counted)
        shown = len(result.observations)
        return await self._visibility.assess(account, provider, missing, shown=shown, in_doubt=in_doubt)

    # -- pauses ------------------------------------------------------------------------------------------------

    async def _show_problem(self, account: str, result: PollResult, now: datetime) -> None:
        """Show what is wrong with the account's polls, and pause them for as long as the provider asks."""
        accounts = self._context.store.accounts
        if result.retry_after is not None:
            message = result.problem or "The app builder asks for a pause."
            await accounts.pause_polling(account, now + result.retry_after, "rate_limited", message)
        elif result.problem is not None:
            await accounts.pause_polling(account, now + PROBLEM_SHOWN, POLLING_FAILS, result.problem)

    async def _wait_for_key(self, account: str) -> None:
        """No polls until there is a key again; people see the reason on every unfinished prototype."""
        message = missing_key_message(account)
        until = self._context.clock() + NO_KEY_PAUSE
        await self._context.store.accounts.pause_polling(account, until, NO_KEY, message)
        self._problems.note_account(account, message)

    async def _postpone_for_calls(
        self, account: str, prototypes: Sequence[TrackedPrototype], allowance: CallAllowance
    ) -> None:
        until = allowance.until(Priority.FRESH, len(prototypes))
        await self._postpone(prototypes, until)
        message = f"Status checks are slower than usual. {allowance.message}"
        shown_until = max(until, allowance.now + SHORT_OF_CALLS_SHOWN)
        await self._context.store.accounts.pause_polling(account, shown_until, SHORT_OF_CALLS, message)
        self._problems.note_account(account, message)

    async def _postpone(self, prototypes: Sequence[TrackedPrototype], until: datetime) -> None:
        """Poll these prototypes not before `until`. Neither their deadline nor their absence counts that time."""
        now, timing = self._context.clock(), self._context.timing
        paused = [polling_paused(deadline_extended(one, now, timing), now, until, timing) for one in prototypes]
        await self._context.store.accounts.postpone_polls(paused, until)

    # -- writing -----------------------------------------------------------------------------------------------

    async def _write(self, prototypes: Sequence[TrackedPrototype], poll_round: _Round) -> None:
        """Write the answers. If one answer makes no sense, the other prototypes are still written."""
        changes: list[PollChange] = []
        for before in prototypes:
            try:
                answer = poll_round.answer_about(before)
                after = polling.polled(
                    before,
                    answer,
                    poll_round.now,
                    self._context.timing,
                    batched=poll_round.batched,
                    unwatched_pause=poll_round.unwatched_pause,
                )
            except (ValueError, KeyError, TypeError, OverflowError):
                log.exception("poll_result_not_understood", prototype_id=before.id)
                await self._postpone_unwritable(before, poll_round.now)
                continue
            source = Source.HOOK if before.generation.hook_is_newer else Source.POLL
            changes.append((before, after, status_events(before, after, source, poll_round.now)))
            self._problems.note_chat(before.id, poll_round.result.unreadable.get(before.chat_id or ""))
        await self._save(changes, poll_round.now)

    async def _save(self, changes: list[PollChange], now: datetime) -> None:
        """Save the results of polls. If the database refuses one of them, the others are still saved."""
        store = self._context.store
        unchanged = [after for before, after, events in changes if not events and is_unchanged_poll(before, after)]
        await store.record_polls(unchanged)
        recorded = {prototype.id for prototype in unchanged}
        for before, after, events in changes:
            if before.id in recorded:
                continue
            turn = before.generation.follow_up.turn
            try:
                with telemetry.turn_span("prototype.poll", before.id, turn, status=after.status.value):
                    saved = await store.save(before, after, *events)
            except (DatabaseError, ValueError):  # A trigger of the owner's may refuse one row.
                log.exception("poll_result_not_saved", prototype_id=before.id)
                await self._postpone_unwritable(before, now)
                continue
            if saved is not None and saved.status is not before.status:
                log.info(
                    "prototype_status", prototype_id=saved.id, before=before.status.value, after=saved.status.value
                )

    async def _postpone_unwritable(self, prototype: TrackedPrototype, now: datetime) -> None:
        """Poll a row that could not be written later, because otherwise every pass would poll it again."""
        await self._postpone([prototype], now + self._context.timing.max_poll_interval)
