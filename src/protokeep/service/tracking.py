"""Following prototypes to their end: one tracker per account, one look shared by everybody who watches."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from protokeep.core import generation as steps
from protokeep.core.budget import Rank, Room, rank_of
from protokeep.core.generation import NO_KEY
from protokeep.core.history import Event, Source
from protokeep.core.keys import missing
from protokeep.core.pacing import stale
from protokeep.core.prototype import UNFINISHED, Prototype, generation_of
from protokeep.providers.base import Looked, Provider, Watched
from protokeep.service.budget import Budget
from protokeep.service.context import Context, renewing, status_events
from protokeep.store.accounts import LOOKS_FAIL, SHORT_OF_CALLS

log = structlog.get_logger(__name__)

#: Prototypes written per transaction after a round of looks.
BATCH = 500
#: Calls of a sweep beyond which the next one takes a longer rest.
LARGE_SWEEP = 16
#: So many chats that hooks spoke of are read one by one.
HOOKED_ALONE = 20
#: Chats that are looked at one by one before what was seen is written.
PART = 200
#: After so long without a word about what is being made, the heavier call may be made at every third look.
QUIET = timedelta(seconds=10)
CLOSELY_EVERY = 3
#: How long looks wait for a key that is not there; setting it ends the wait.
KEYLESS_PAUSE = timedelta(seconds=60)
#: How long it is shown that looks fail; each one that fails says so anew.
TROUBLE_SHOWN = timedelta(seconds=30)
#: How long a status request waits for a look before it answers with what is written.
LOOK_PATIENCE = 2.5


class Tracker:
    """Looks at what is due, writes what the builder said, and says when the next look is due."""

    def __init__(self, context: Context, budget: Budget) -> None:
        self._context = context
        self._passes: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._trouble: dict[str, str] = {}
        self._unread: dict[str, str] = {}
        self._budget = budget

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
            async with renewing(lambda: self._take(account), context.pace.lease / 3):
                held = await context.store.accounts.get(account)
                if held.pauses_looks(context.clock()):
                    return True, held.read_hold_until
                for api_version, chosen in await self._due(account):
                    if not await self._look_at(account, api_version, chosen):
                        break
                context.reached("after_track")
                return True, await context.store.next_due(account)

    async def _due(self, account: str) -> list[tuple[int, list[Prototype]]]:
        """What to look at now, by API version, as far as the budget goes; the rest is put off.

        Where one call reports many chats, all that would be due before the next sweep join this one.
        """
        context = self._context
        now = context.clock()
        everything = await context.store.due(account, now)
        if not everything:
            return []
        room = await self._budget.room(account)
        chosen: list[tuple[int, list[Prototype]]] = []
        for api_version in sorted({generation_of(prototype).api_version for prototype in everything}):
            due = [prototype for prototype in everything if generation_of(prototype).api_version == api_version]
            provider = context.providers.serving(account, api_version)
            batched = provider is not None and provider.capabilities.batch_status
            # A few that hooks spoke of are read by themselves: a sweep would cost more, and come no sooner.
            alone = len(due) <= HOOKED_ALONE and all(generation_of(one).told_by_hook for one in due)
            if batched and not alone:
                until = now + max(context.pace.poll_interval, context.pace.swept)
                due += await context.store.due_soon(account, api_version, now, until)
            looks, put_off = affordable(due, room, now, provider, batched=batched)
            if put_off:
                await self._put_off(account, put_off, room)
            chosen.append((api_version, looks))
        return chosen

    async def _put_off(self, account: str, looks: Sequence[Prototype], room: Room) -> None:
        until = room.until(Rank.FRESH, len(looks))
        await self._context.store.accounts.postpone_looks(looks, until)
        words = f"Looks at the builder are slower than usual. {room.message}"
        shown_until = max(until, room.now + timedelta(seconds=60))
        await self._context.store.accounts.hold_reads(account, shown_until, SHORT_OF_CALLS, words)
        self._note_trouble(account, Looked(trouble=words))

    async def release(self, account: str) -> None:
        """Hand an account over to whoever wants to track it."""
        await self._context.store.accounts.release_tracking(account, self._context.owner)

    async def freshen(self, prototype: Prototype) -> Prototype:
        """`prototype` as the builder sees it now, if what is written is too old. Joins a look under way.

        Bounded in time: when the look does not come back soon, what is written is the answer.
        """
        context = self._context
        if not stale(prototype, context.clock(), context.pace):
            return prototype
        look = self._looks.get(prototype.id)
        if look is None:
            look = asyncio.create_task(self._look_for(prototype))
            self._looks[prototype.id] = look
            look.add_done_callback(lambda _task: self._looks.pop(prototype.id, None))
        await asyncio.wait({look}, timeout=LOOK_PATIENCE)
        return await context.store.get_any(prototype.id) or prototype

    async def _look_for(self, prototype: Prototype) -> None:
        context = self._context
        generation = generation_of(prototype)
        now = context.clock()
        with context.bus.watching(prototype.id) as changed:
            asked = await context.store.ask_for_look(
                prototype,
                now,
                stale_before=now - context.pace.poll_interval / 2,
                watched_until=now + context.pace.watch,
            )
            if not asked:
                return
            mine, _due = await self._pass(generation.account)
            if mine:
                return  # It was looked at, or there is a reason why not.
            for _ in range(int(LOOK_PATIENCE / 0.25)):
                current = await context.store.get_any(prototype.id)
                if current is None or generation_of(current).poll_count > generation.poll_count:
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
            account, provider, context.owner, now, now + context.pace.lease
        )

    async def _look_at(self, account: str, api_version: int, prototypes: list[Prototype]) -> bool:
        """Look, a part at a time where each chat takes a call of its own; False: the builder asks for a pause."""
        context = self._context
        provider = context.providers.serving(account, api_version)
        batched = provider is not None and provider.capabilities.batch_status
        part = max(len(prototypes), 1) if batched else PART
        large = provider is not None and batched and provider.looks_cost(len(prototypes)) > LARGE_SWEEP
        for start in range(0, len(prototypes), part):
            looking = prototypes[start : start + part]
            began = context.clock()
            if provider is None:
                await self._wait_for_key(account)
                return False
            few = len(looking) <= HOOKED_ALONE
            looked = await provider.observe([_watched(one, began, few=few) for one in looking])
            self._note_trouble(account, looked)
            now = context.clock()
            if looked.trouble is not None and looked.retry_after is None:
                await context.store.accounts.hold_reads(account, now + TROUBLE_SHOWN, LOOKS_FAIL, looked.trouble)
            rest = context.pace.swept - (now - began) if large else None
            if looked.retry_after is not None:
                words = looked.trouble or "The builder asks for a pause."
                until = now + looked.retry_after
                await context.store.accounts.hold_reads(account, until, "rate_limited", words)
            context.reached("after_look")
            for first in range(0, len(looking), BATCH):
                await self._write(looking[first : first + BATCH], looked, now, batched=batched, rest=rest)
            if looked.retry_after is not None:
                return False
        return True

    async def _wait_for_key(self, account: str) -> None:
        """No looks until there is a key again, and the reason on everything that is being made."""
        words = missing(account)
        await self._context.store.accounts.hold_reads(account, self._context.clock() + KEYLESS_PAUSE, NO_KEY, words)
        self._note_trouble(account, Looked(trouble=words))

    async def _write(
        self, prototypes: list[Prototype], looked: Looked, now: datetime, *, batched: bool, rest: timedelta | None
    ) -> None:
        context = self._context
        changes: list[tuple[Prototype, Prototype, list[Event]]] = []
        for before in prototypes:
            chat_id = before.chat_id or ""
            after = steps.observed(
                before,
                looked.observations.get(chat_id),
                now,
                context.pace,
                batched=batched,
                missing=chat_id in looked.missing,
                unread=chat_id in looked.unread,
                rest=rest,
            )
            source = Source.HOOK if generation_of(before).told_by_hook else Source.POLL
            changes.append((before, after, status_events(before, after, source, now)))
            self._note_unread(before.id, looked.unread.get(chat_id))
        for (before, _, _), saved in zip(changes, await context.store.save_all(changes), strict=True):
            if saved is not None and saved.status is not before.status:
                log.info(
                    "prototype_status", prototype_id=saved.id, before=before.status.value, after=saved.status.value
                )

    def _note_unread(self, prototype_id: str, reason: str | None) -> None:
        """Say once, not at every look, that one chat's answer makes no sense."""
        if reason is None:
            self._unread.pop(prototype_id, None)
        elif self._unread.get(prototype_id) != reason:
            self._unread[prototype_id] = reason
            log.warning("look_unreadable", prototype_id=prototype_id, reason=reason)

    def _note_trouble(self, account: str, looked: Looked) -> None:
        """Say what is wrong with an account's looks once, not at every look."""
        if looked.trouble is None:
            if self._trouble.pop(account, None) is not None:
                log.info("looks_work_again", account=account)
        elif self._trouble.get(account) != looked.trouble:
            self._trouble[account] = looked.trouble
            log.warning("looks_troubled", account=account, reason=looked.trouble)


def affordable(
    prototypes: Sequence[Prototype], room: Room, now: datetime, provider: Provider | None, *, batched: bool
) -> tuple[list[Prototype], list[Prototype]]:
    """What may be looked at now, watched ones first, and what has to wait for want of calls."""
    ranked = sorted(((_rank(one, now), one) for one in prototypes), key=lambda pair: _ORDER.index(pair[0]))
    if provider is None or room.pace is None:
        return [one for _, one in ranked], []
    if batched:
        rank, needed = ranked[0][0], provider.looks_cost(len(ranked))
        left, whole = room.left(rank) or 0, room.whole(rank) or 0
        everything = [one for _, one in ranked]
        return (everything, []) if left >= min(needed, whole) else ([], everything)
    looks: list[Prototype] = []
    put_off: list[Prototype] = []
    for rank, one in ranked:
        (looks if len(looks) < (room.left(rank) or 0) else put_off).append(one)
    return looks, put_off


_ORDER = list(Rank)


def _rank(prototype: Prototype, now: datetime) -> Rank:
    generation = generation_of(prototype)
    return rank_of(generation.round_at, generation.watched_until, now)


def _watched(prototype: Prototype, now: datetime, *, few: bool) -> Watched:
    """What the builder is asked about. While it waits for an answer, a person may have given it on the chat's page:
    then the newest message counts. The heavier call is for what should have been told by the light one long ago."""
    generation = generation_of(prototype)
    long_ago = now - generation.round_at >= QUIET and generation.poll_count % CLOSELY_EVERY == 0
    return Watched(
        prototype.chat_id or "",
        None if generation.waiting else generation.message_id,
        generation.created_at,
        stale_id=generation.stale_id,
        before_id=generation.before_id,
        closely=generation.waiting or long_ago,
        alone=prototype.status not in UNFINISHED or (few and generation.told_by_hook),
    )


def seconds(delta: timedelta) -> float:
    """A pause as seconds, never negative."""
    return max(delta.total_seconds(), 0.0)
