"""Following prototypes to their end: one tracker per account, one look shared by everybody who watches."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import datetime, timedelta

import structlog

from protokeep.core import generation as steps
from protokeep.core.history import Event, Source
from protokeep.core.pacing import stale
from protokeep.core.prototype import Prototype, generation_of
from protokeep.providers.base import Looked, Provider, Watched
from protokeep.service.context import Context, renewing, status_events

log = structlog.get_logger(__name__)

#: Prototypes written per transaction after a round of looks.
BATCH = 200
#: How long a status request waits for a look before it answers with what is written.
LOOK_PATIENCE = 2.5


class Tracker:
    """Looks at what is due, writes what the builder said, and says when the next look is due."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._passes: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._trouble: dict[str, str] = {}

    async def track(self, account: str) -> datetime | None:
        """One pass over an account. When the next one is due; None: nothing is in flight, or another one tracks."""
        context = self._context
        async with self._passes[account]:
            if not await self._take(account):
                return None
            async with renewing(lambda: self._take(account), context.pace.lease / 3):
                held = (await context.store.accounts.get(account)).read_hold_until
                if held is not None and held > context.clock():
                    return held
                due = await context.store.due(account, context.clock())
                for api_version in sorted({generation_of(prototype).api_version for prototype in due}):
                    mine = [p for p in due if generation_of(p).api_version == api_version]
                    await self._look_at(account, api_version, mine)
                context.reached("after_track")
                return await context.store.next_due(account)

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
            await self.track(generation.account)
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

    async def _look_at(self, account: str, api_version: int, prototypes: list[Prototype]) -> None:
        context = self._context
        provider = context.providers.serving(account, api_version)
        if provider is None:
            looked = Looked(trouble="The account has no key configured.")
        else:
            looked = await provider.observe(
                [
                    Watched(p.chat_id, generation_of(p).message_id, generation_of(p).created_at)
                    for p in prototypes
                    if p.chat_id is not None
                ]
            )
        self._note_trouble(account, looked)
        now = context.clock()
        if looked.retry_after is not None:
            await context.store.accounts.hold_reads(account, now + looked.retry_after)
        context.reached("after_look")
        batched = provider is not None and provider.capabilities.batch_status
        for start in range(0, len(prototypes), BATCH):
            await self._write(prototypes[start : start + BATCH], looked, provider, now, batched=batched)

    async def _write(
        self, prototypes: list[Prototype], looked: Looked, provider: Provider | None, now: datetime, *, batched: bool
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
            )
            changes.append((before, after, status_events(before, after, Source.POLL, now)))
        for (before, _, _), saved in zip(changes, await context.store.save_all(changes), strict=True):
            if saved is not None and saved.status is not before.status:
                log.info(
                    "prototype_status", prototype_id=saved.id, before=before.status.value, after=saved.status.value
                )

    def _note_trouble(self, account: str, looked: Looked) -> None:
        """Say what is wrong with an account's looks once, not at every look."""
        if looked.trouble is None:
            if self._trouble.pop(account, None) is not None:
                log.info("looks_work_again", account=account)
        elif self._trouble.get(account) != looked.trouble:
            self._trouble[account] = looked.trouble
            log.warning("looks_troubled", account=account, reason=looked.trouble)


def seconds(delta: timedelta) -> float:
    """A pause as seconds, never negative."""
    return max(delta.total_seconds(), 0.0)
