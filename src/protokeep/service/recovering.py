"""Taking back what a restored database has forgotten: chats of ours that no row knows.

A copy from a backup does not know what was made after it was taken, and a claim in it may have been sent since. So a
process that finds its account unattended for a while, or that starts as the only one there is, asks the builder for
all chats that carry this installation's mark before it sends anything.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog

from protokeep.core.errors import ProviderError
from protokeep.core.keys import owner_of
from protokeep.providers.base import Made, Provider
from protokeep.service.context import LOOK_BACK, Context
from protokeep.store.strays import Stray

log = structlog.get_logger(__name__)


class Recoverer:
    """Looks for strays once per account when that may be needed, and once a day."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._done_at: dict[str, datetime] = {}
        self._attended_at: dict[str, datetime] = {}
        self._looking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def attend(self, account: str, provider: Provider) -> None:
        """Make sure that nothing of an account is forgotten, then note that it is looked after.

        Raises `ProviderError` when the builder could not be asked: nothing may be sent then.
        """
        context = self._context
        async with self._looking[account]:
            now = context.clock()
            done = self._done_at.get(account)
            if done is None or now - done >= context.pace.reconcile:
                keeper_id, made_at = await context.store.keeper()
                alive_at = (await context.store.accounts.get(account)).alive_at
                since = max(alive_at or made_at, made_at)
                unattended = now - since > context.pace.unattended
                if done is not None or unattended or (context.alone and alive_at is not None):
                    await self._take_back(account, provider, keeper_id, since)
                self._done_at[account] = now
            attended = self._attended_at.get(account)
            if attended is None or now - attended >= context.pace.unattended / 3:
                self._attended_at[account] = now
                await context.store.accounts.attend(account, provider.name, now)

    async def _take_back(self, account: str, provider: Provider, keeper_id: str, since: datetime) -> None:
        context = self._context

        async def known(chats: Sequence[str]) -> set[str]:
            return await context.store.known_chats(account, chats)

        found = await provider.find({"protokeep": keeper_id}, sent_after=since - LOOK_BACK, known=known)
        for made in found:
            try:
                await self._adopt(account, provider, made)
            except (LookupError, ValueError) as error:
                log.error("stray_not_adopted", account=account, chat_id=made.chat_id, reason=str(error))
        if found:
            log.warning("strays_found", account=account, count=len(found))

    async def _adopt(self, account: str, provider: Provider, made: Made) -> None:
        context = self._context
        marks = made.marks
        UUID(marks.get("protokeep_marker", ""))  # A chat of ours names its row; another one is nobody's.
        owner = owner_of(account)
        if owner is not None and marks["protokeep_workspace"] != owner.workspace_id:
            # Whoever owns the account at the builder can write any mark there.
            raise LookupError("its marks name another workspace than its account's")
        try:
            prompt = await provider.prompt_of(made.chat_id)
        except ProviderError:
            prompt = None
        now = context.clock()
        stray = Stray(
            chat_id=made.chat_id,
            marker=marks["protokeep_marker"],
            workspace_id=marks["protokeep_workspace"],
            product_id=marks["protokeep_product"],
            user_id=marks.get("protokeep_user", ""),
            provider=provider.name,
            account=account,
            api_version=provider.api_version,
            prompt=prompt,
            made_at=min(made.created_at or now, now),
            now=now,
        )
        outcome = await context.store.adopt_stray(stray, context.pace.poll_timeout)
        log.warning("stray_taken_back", outcome=outcome, account=account, chat_id=made.chat_id)
        await context.queue.track(account)
