"""Following prototypes to their end: one tracker per account, one look shared by everybody who watches."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from protokeep.core import polling as steps
from protokeep.core.absence import AccountVisibility, deadline_extended, may_be_gone, polling_paused, recorded_missing
from protokeep.core.call_budget import CallAllowance, Priority
from protokeep.core.events import Event, Source
from protokeep.core.prototype import TrackedPrototype
from protokeep.core.provider_keys import missing as missing_key
from protokeep.core.submission import NO_KEY
from protokeep.core.timing import answer_valid_for, is_poll_due_on_request
from protokeep.providers.base import PollResult, Provider
from protokeep.service.call_budget import CallBudget
from protokeep.service.context import Context, renewing, status_events
from protokeep.service.poll_plan import poll_target_of, within_budget
from protokeep.service.visibility import Visibility
from protokeep.store.accounts import LOOKS_FAIL, SHORT_OF_CALLS
from protokeep.store.sql import ConstraintBroken

log = structlog.get_logger(__name__)

#: What a round of looks changes: before, after, and the lines of history.
PollPlan = tuple[TrackedPrototype, TrackedPrototype, list[Event]]

#: Prototypes written per transaction after a round of looks.
BATCH = 500
#: Calls of a sweep beyond which the next one takes a longer rest.
LARGE_SWEEP = 16
#: So many chats that hooks spoke of are read one by one.
HOOKED_ALONE = 20
#: Missing chats that a sweep over a list may meet by the way.
AWAY = 500
#: Chats that are looked at one by one before what was seen is written.
PART = 200
#: How long looks wait for a key that is not there; setting it ends the wait.
KEYLESS_PAUSE = timedelta(seconds=60)
#: How long it is shown that looks fail; each one that fails says so anew.
TROUBLE_SHOWN = timedelta(seconds=30)
#: How long a status request waits for a look before it answers with what is written.
LOOK_PATIENCE = 2.5


class Poller:
    """Looks at what is due, writes what the builder said, and says when the next look is due."""

    def __init__(self, context: Context, budget: CallBudget, visibility: Visibility) -> None:
        self._context = context
        self._passes: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._hooked: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._reading: set[str] = set()
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._trouble: dict[str, str] = {}
        self._unread: dict[str, str] = {}
        self._budget = budget
        self._visibility = visibility

    async def track(self, account: str) -> datetime | None:
        """One pass over an account. When the next one is due; None: nothing is in flight, or another one tracks."""
        _, due = await self._pass(account)
        return due

    async def _pass(self, account: str) -> tuple[bool, datetime | None]:
        """(whether this process tracks the account, when the next pass is due)."""
        context = self._context
        await context.providers.refresh()
        async with self._passes[account]:
            if not await self._take(account):
                return False, None
            async with renewing(lambda: self._take(account), context.timing.lease / 3):
                held = await context.store.accounts.get(account)
                if held.is_polling_paused(context.clock()):
                    return True, held.polling_paused_until
                for api_version, chosen in await self._due(account):
                    if not await self._look_at(account, api_version, chosen):
                        break
                context.checkpoint("after_track")
                return True, await context.store.next_due(account)

    async def track_hooked(self, account: str) -> int:
        """Read the few chats that hooks have just named, one by one, beside a pass that may take seconds.

        Only for the process that tracks the account. How many were read. More than a few are left to the pass.
        """
        context = self._context
        async with self._hooked[account]:
            now = context.clock()
            held = await context.store.accounts.get(account)
            if held.is_polling_paused(now):
                return 0
            read = 0
            for provider in context.providers.of_account(account):
                named = await context.store.named_by_hooks(account, provider.api_version, now, HOOKED_ALONE)
                looks, _ = within_budget(named, await self._budget.allowance(account), now, provider, batched=False)
                reading = {one.id for one in looks}
                self._reading |= reading
                try:
                    if looks and await self._look_at(account, provider.api_version, looks):
                        read += len(looks)
                finally:
                    self._reading -= reading
            return read

    async def _due(self, account: str) -> list[tuple[int, list[TrackedPrototype]]]:
        """What to look at now, by API version, as far as the budget goes; the rest is put off.

        Where one call reports many chats, all that would be due before the next sweep join this one.
        """
        context = self._context
        now = context.clock()
        everything = [one for one in await context.store.due(account, now) if one.id not in self._reading]
        if not everything:
            return []
        room = await self._budget.allowance(account)
        chosen: list[tuple[int, list[TrackedPrototype]]] = []
        for api_version in sorted({prototype.generation.api_version for prototype in everything}):
            due = [prototype for prototype in everything if prototype.generation.api_version == api_version]
            provider = context.providers.serving(account, api_version)
            batched = provider is not None and provider.capabilities.batch_status
            # A few that hooks spoke of are read by themselves: a sweep would cost more, and come no sooner.
            alone = len(due) <= HOOKED_ALONE and all(one.generation.hook_is_newer for one in due)
            if batched and not alone:
                until = now + max(context.timing.poll_interval, context.timing.batch_poll_interval)
                due += await context.store.due_soon(account, api_version, now, until)
            looks, put_off = within_budget(due, room, now, provider, batched=batched)
            if put_off:
                await self._put_off(account, put_off, room)
            chosen.append((api_version, looks))
        return chosen

    async def _put_off(self, account: str, looks: Sequence[TrackedPrototype], room: CallAllowance) -> None:
        until = room.until(Priority.FRESH, len(looks))
        await self._postpone(looks, until)
        words = f"Looks at the builder are slower than usual. {room.message}"
        shown_until = max(until, room.now + timedelta(seconds=60))
        await self._context.store.accounts.pause_polling(account, shown_until, SHORT_OF_CALLS, words)
        self._note_trouble(account, PollResult(problem=words))

    async def _postpone(self, looks: Sequence[TrackedPrototype], until: datetime) -> None:
        """Nobody looks at these before `until`, and that time counts against nothing."""
        now, pace = self._context.clock(), self._context.timing
        moved = [polling_paused(deadline_extended(one, now, pace), now, until, pace) for one in looks]
        await self._context.store.accounts.postpone_polls(moved, until)

    async def release(self, account: str) -> None:
        """Hand an account over to whoever wants to track it."""
        await self._context.store.accounts.release_tracking(account, self._context.owner)

    async def refresh(self, prototype: TrackedPrototype) -> TrackedPrototype:
        """`prototype` as the builder sees it now, if what is written is too old. Joins a look under way.

        Bounded in time: when the look does not come back soon, what is written is the answer.
        """
        context = self._context
        if not is_poll_due_on_request(prototype, context.clock(), context.timing):
            return prototype
        look = self._looks.get(prototype.id)
        if look is None:
            look = asyncio.create_task(self._look_for(prototype))
            self._looks[prototype.id] = look
            look.add_done_callback(lambda _task: self._looks.pop(prototype.id, None))
        await asyncio.wait({look}, timeout=LOOK_PATIENCE)
        return await context.store.get_unscoped(prototype.id) or prototype

    async def _look_for(self, prototype: TrackedPrototype) -> None:
        context = self._context
        generation = prototype.generation
        now = context.clock()
        with context.bus.watching(prototype.id) as changed:
            asked = await context.store.request_poll(
                prototype,
                now,
                stale_before=now - answer_valid_for(prototype, now, context.timing) / 2,
                watched_until=now + context.timing.watched_for,
            )
            if not asked:
                return
            mine, _due = await self._pass(generation.account)
            if mine:
                return  # It was looked at, or there is a reason why not.
            for _ in range(int(LOOK_PATIENCE / 0.25)):
                current = await context.store.get_unscoped(prototype.id)
                if current is None or current.generation.polling.poll_count > generation.polling.poll_count:
                    return
                changed.clear()
                try:  # Another process tracks this account: its look ends with a change, or with none.
                    await asyncio.wait_for(changed.wait(), 0.25)
                except TimeoutError:
                    continue

    async def _take(self, account: str) -> bool:
        context = self._context
        now = context.clock()
        provider = account.split(":", 1)[0]
        return await context.store.accounts.take_tracking(
            account, provider, context.owner, now, now + context.timing.lease
        )

    async def _look_at(self, account: str, api_version: int, prototypes: list[TrackedPrototype]) -> bool:
        """Look, a part at a time where each chat takes a call of its own; False: the builder asks for a pause."""
        context = self._context
        provider = context.providers.serving(account, api_version)
        if provider is None:
            await self._wait_for_key(account)
            return False
        batched = provider.capabilities.batch_status
        part = max(len(prototypes), 1) if batched else PART
        large = batched and provider.polling_cost(len(prototypes)) > LARGE_SWEEP
        for start in range(0, len(prototypes), part):
            looking = prototypes[start : start + part]
            began = context.clock()
            away = await context.store.not_visible(account, api_version, began, AWAY) if batched else []
            looked = await self._observe(provider, account, looking, away, began)
            now = context.clock()
            await self._hold(account, looked, now)
            context.checkpoint("after_look")
            rest = context.timing.batch_poll_interval - (now - began) if large else None
            around = await self._around(account, provider, looking, looked, now)
            ids = {one.id for one in looking}
            looking += [one for one in away if one.chat_id in looked.observations and one.id not in ids]
            for first in range(0, len(looking), BATCH):
                await self._write(
                    looking[first : first + BATCH], looked, now, batched=batched, rest=rest, around=around
                )
            if looked.retry_after is not None:
                return False
        return True

    async def _observe(
        self,
        provider: Provider,
        account: str,
        looking: Sequence[TrackedPrototype],
        away: Sequence[TrackedPrototype],
        began: datetime,
    ) -> PollResult:
        """Ask the builder; `away` are missing ones that a list may show by the way.

        An answer that nobody expected is trouble of this account, and of no other.
        """
        few = len(looking) <= HOOKED_ALONE
        pace = self._context.timing
        watched = [poll_target_of(one, began, pace, few=few) for one in looking]
        ids = {one.chat_id for one in watched}
        passing = [poll_target_of(one, began, pace, few=False) for one in away]
        watched += [replace(one, individually=False, only_if_listed=True) for one in passing if one.chat_id not in ids]
        try:
            looked = await provider.observe(watched)
        except Exception as error:
            log.exception("poll_failed", account=account)
            looked = PollResult(problem=f"The builder's answer could not be read ({type(error).__name__}).")
        self._note_trouble(account, looked)
        return looked

    async def _hold(self, account: str, looked: PollResult, now: datetime) -> None:
        """Show what is wrong with the account's looks, and pause them for as long as the builder asks."""
        accounts = self._context.store.accounts
        if looked.retry_after is not None:
            words = looked.problem or "The builder asks for a pause."
            await accounts.pause_polling(account, now + looked.retry_after, "rate_limited", words)
        elif looked.problem is not None:
            await accounts.pause_polling(account, now + TROUBLE_SHOWN, LOOKS_FAIL, looked.problem)

    async def _around(
        self, account: str, provider: Provider, looking: Sequence[TrackedPrototype], looked: PollResult, now: datetime
    ) -> AccountVisibility:
        """What this round tells about the account; a list is asked only when a chat may be gone for good."""
        pace = self._context.timing
        missing = [one for one in looking if one.chat_id in looked.missing]
        in_doubt = any(
            may_be_gone(recorded_missing(deadline_extended(one, now, pace), now).generation, now, pace)
            for one in missing
        )
        seen = len(looked.observations)
        return await self._visibility.around(account, provider, missing, seen=seen, in_doubt=in_doubt)

    async def _wait_for_key(self, account: str) -> None:
        """No looks until there is a key again, and the reason on everything that is being made."""
        words = missing_key(account)
        await self._context.store.accounts.pause_polling(account, self._context.clock() + KEYLESS_PAUSE, NO_KEY, words)
        self._note_trouble(account, PollResult(problem=words))

    async def _write(
        self,
        prototypes: Sequence[TrackedPrototype],
        looked: PollResult,
        now: datetime,
        *,
        batched: bool,
        rest: timedelta | None,
        around: AccountVisibility,
    ) -> None:
        context = self._context
        changes: list[PollPlan] = []
        for before in prototypes:
            chat_id = before.chat_id or ""
            try:
                answer = _answer_of(chat_id, looked, around)
                after = steps.polled(before, answer, now, context.timing, batched=batched, rest=rest)
            except (ValueError, KeyError, TypeError, OverflowError):
                log.exception("poll_result_not_understood", prototype_id=before.id)
                await self._put_aside(before, now)
                continue
            source = Source.HOOK if before.generation.hook_is_newer else Source.POLL
            changes.append((before, after, status_events(before, after, source, now)))
            self._note_unread(before.id, looked.unreadable.get(chat_id))
        await self._save(changes, now)

    async def _save(self, changes: list[PollPlan], now: datetime) -> None:
        """Write a round; a row that the database refuses keeps none of the others from being written."""
        try:
            saved = await self._context.store.save_all(changes)
        except (ConstraintBroken, ValueError):
            if len(changes) > 1:
                for change in changes:
                    await self._save([change], now)
                return
            log.exception("poll_result_not_saved", prototype_id=changes[0][0].id)
            await self._put_aside(changes[0][0], now)
            return
        for (before, _, _), after in zip(changes, saved, strict=True):
            if after is not None and after.status is not before.status:
                log.info(
                    "prototype_status", prototype_id=after.id, before=before.status.value, after=after.status.value
                )

    async def _put_aside(self, prototype: TrackedPrototype, now: datetime) -> None:
        """What could not be written is looked at again later: it would come up in every pass."""
        await self._postpone([prototype], now + self._context.timing.max_poll_interval)

    def _note_unread(self, prototype_id: str, reason: str | None) -> None:
        """Say once, not at every look, that one chat's answer makes no sense."""
        if reason is None:
            self._unread.pop(prototype_id, None)
        elif self._unread.get(prototype_id) != reason:
            self._unread[prototype_id] = reason
            log.warning("poll_answer_unreadable", prototype_id=prototype_id, reason=reason)

    def _note_trouble(self, account: str, looked: PollResult) -> None:
        """Say what is wrong with an account's looks once, not at every look."""
        if looked.problem is None:
            if self._trouble.pop(account, None) is not None:
                log.info("polling_recovered", account=account)
        elif self._trouble.get(account) != looked.problem:
            self._trouble[account] = looked.problem
            log.warning("polling_failing", account=account, reason=looked.problem)


def _answer_of(chat_id: str, looked: PollResult, around: AccountVisibility) -> steps.PollAnswer:
    """The part of a round's result that is about one chat."""
    seen = looked.observations.get(chat_id)
    if seen is not None:
        return steps.ChatShown(seen, is_partial=chat_id in looked.unreadable)
    if chat_id in looked.missing:
        return steps.ChatMissing(around)
    if chat_id in looked.unreadable:
        return steps.ChatUnreadable()
    return steps.NoAnswer() if looked.retry_after is None else steps.PollsPaused(looked.retry_after)


def seconds(delta: timedelta) -> float:
    """A pause as seconds, never negative."""
    return max(delta.total_seconds(), 0.0)
