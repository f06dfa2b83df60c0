"""Taking back what a restored database has forgotten: chats of ours that no row knows.

An older copy of the database does not know what was made after it was taken, and a claim in it may have been sent
since. A process that may work on one (`Heartbeat` says so) asks the builder for all chats that carry this
installation's mark before it sends anything.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from protokeep.core.call_budget import Priority
from protokeep.core.errors import DatabaseUnavailable, ProviderBusy, ProviderError, ProviderUnreachable
from protokeep.core.timing import LOOK_BACK
from protokeep.providers.base import Provider, RemoteChat
from protokeep.service.chat_metadata import parse_metadata
from protokeep.service.context import Context
from protokeep.service.lookups import Lookups
from protokeep.store.orphans import OrphanChat

log = structlog.get_logger(__name__)

#: When a search that was cut is gone on with.
CUT_PAUSE = timedelta(seconds=2)
#: From one comparison to the next after the database went back.
SETTLING_PAUSE = timedelta(seconds=5)
KEY_REFUSED_PAUSE = timedelta(minutes=1)
#: However long a builder's pause is, an account is tried again after this.
LONGEST_PAUSE = timedelta(minutes=5)
#: What became of a chat that a row now tracks, and of one that no row will.
ADOPTED = frozenset({"adopted", "recorded"})
NOBODYS = frozenset({"deleted", "unsigned", "refused"})
MOST_REMEMBERED = 10_000


class OrphanReconciler:
    """Searches for chats of ours that no row knows: when some may be forgotten, daily, and every few minutes."""

    def __init__(self, context: Context, lookups: Lookups) -> None:
        self._context = context
        self._lookups = lookups
        #: The epoch of the database in which an account was last compared with it.
        self._verified: dict[tuple[str, int], int] = {}
        self._done_at: dict[tuple[str, int], datetime] = {}
        self._searched_at: dict[str, datetime] = {}
        self._next_at: dict[str, datetime] = {}
        self._looking: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        #: Chats that no row will ever know, and that are not looked at again in this process.
        self._nobodys: dict[tuple[str, str], None] = {}

    async def reconcile(self, accounts: Sequence[tuple[str, Provider]]) -> None:
        """Look after these accounts. What is wrong with one keeps no other waiting."""
        for account, provider in accounts:
            try:
                await self._reconcile(account, provider)
            except DatabaseUnavailable:
                raise
            except Exception:  # the outermost line of a loop that has to go on
                log.exception("orphan_search_failed", account=account)

    async def _reconcile(self, account: str, provider: Provider) -> None:
        now = self._context.clock()
        if now < self._next_at.get(account, now) <= now + LONGEST_PAUSE:
            return
        try:
            await self.verify(account, provider)
            await self.search_recent(account, provider)
            await self.search_daily(account, provider)
        except ProviderError as error:
            # A refused key is asked about once a minute only; a create asks for itself.
            pause = KEY_REFUSED_PAUSE if error.status == 401 else error.retry_after or timedelta(0)
            self._next_at[account] = now + min(pause, LONGEST_PAUSE)
            log.warning("orphan_search_failed", account=account, code=error.code, reason=str(error))

    async def verify(self, account: str, provider: Provider) -> None:
        """Make sure that no chat of an account is forgotten, before anything is sent for it.

        Raises `ProviderError` when the builder could not be asked, or not to the end, or when its lists may not show
        yet what was made right before the database went back: nothing may be sent then.
        """
        heartbeat = self._context.heartbeat
        await heartbeat.started()
        key = account, provider.api_version
        async with self._looking[key]:
            epoch = heartbeat.epoch
            if self._verified.get(key) == epoch:
                return
            # The others may be done with it; one that was not there then has all of it before it.
            went_along = self._verified.get(key) == epoch - 1
            known_until = (heartbeat.known_until if went_along else None) or heartbeat.lost_after
            if known_until is not None:
                await self._compare(account, provider, known_until)
            self._verified[key] = epoch

    async def _compare(self, account: str, provider: Provider, known_until: datetime) -> None:
        settling = self._context.heartbeat.is_settling
        if not await self.take_back(account, provider, known_until):
            words = "The builder's list of chats was not seen to its end yet."
            raise ProviderError(words, code="look_up_cut", retry_after=CUT_PAUSE)
        if settling:
            words = "The database is an older copy of itself: chats that it does not know are being taken back."
            raise ProviderError(words, code="database_went_back", retry_after=SETTLING_PAUSE)

    def has_verified(self, accounts: Sequence[tuple[str, Provider]]) -> bool:
        """Whether nothing of these accounts is forgotten."""
        return all(self.is_verified(account, provider.api_version) for account, provider in accounts)

    def is_verified(self, account: str, api_version: int) -> bool:
        """Whether nothing of an account is forgotten, as far as this process knows of its database."""
        return self._verified.get((account, api_version)) == self._context.heartbeat.epoch

    async def search_daily(self, account: str, provider: Provider) -> None:
        """Search everything since the last such search, once a day."""
        context = self._context
        now = context.clock()
        key = account, provider.api_version
        done_at = self._done_at[key] = min(self._done_at.get(key, now), now)  # It may have been set back.
        if now - done_at >= context.timing.full_search_interval and await self.take_back(account, provider, done_at):
            self._done_at[key] = now

    async def take_back(self, account: str, provider: Provider, since: datetime) -> bool:
        """Give rows to the chats of ours that were made after `since` and that no row knows.

        True: the search reached its end; single chats that cannot be read do not count. False: it was cut, and the
        next call goes on from there. Raises `ProviderError` when the account could not be searched at all.
        """
        search = await self._lookups.all_of_ours(account, provider, since - LOOK_BACK, Priority.LOOKUP)
        await self._take(account, provider, search.chats)
        return search.reached

    async def search_recent(self, account: str, provider: Provider) -> None:
        """Search the newest chats, every few minutes and by one process, for second ones of ours."""
        context = self._context
        now = context.clock()
        every = context.timing.recent_search_interval
        searched_at = self._searched_at.get(account)
        if searched_at is not None and now - every / 10 < searched_at <= now:
            return
        self._searched_at[account] = now
        if not await context.store.searches.take_turn(f"recent:{account}:{provider.api_version}", now, every):
            return
        try:
            search = await self._lookups.all_of_ours(account, provider, now - 3 * every - LOOK_BACK, Priority.RECENT)
        except ProviderBusy:
            return  # Everything else comes before this.
        fresh = [made for made in search.chats if (account, made.chat_id) not in self._nobodys]
        await self._take(account, provider, fresh)

    async def _take(self, account: str, provider: Provider, chats: Sequence[RemoteChat]) -> None:
        """Give each chat a row. One that cannot be given one keeps no other from it."""
        adopted = 0
        for made in chats:
            try:
                outcome = await self._adopt(account, provider, made)
            except (DatabaseUnavailable, ProviderBusy, ProviderUnreachable):
                raise
            except ProviderError as error:  # It goes better later, so the chat is not left to itself.
                outcome = "not_deleted"
                log.warning("orphan_deletion_failed", account=account, chat_id=made.chat_id, reason=str(error))
            except Exception as error:  # noqa: BLE001 - one chat of a loop that has to go on
                outcome = "refused"
                if (account, made.chat_id) not in self._nobodys:
                    log.error("orphan_adoption_failed", account=account, chat_id=made.chat_id, reason=str(error)[:200])
            if outcome in NOBODYS:
                self._nobodys[account, made.chat_id] = None
            adopted += outcome in ADOPTED
        while len(self._nobodys) > MOST_REMEMBERED:
            del self._nobodys[next(iter(self._nobodys))]
        if adopted:
            log.warning("orphans_adopted", account=account, count=adopted)

    async def _adopt(self, account: str, provider: Provider, made: RemoteChat) -> str:
        context = self._context
        marks = parse_metadata(made.metadata, context.signer, account, await context.store.owner_table())
        prompt = await self._prompt_of(provider, made.chat_id) if marks.signed else None
        now = context.clock()
        stray = OrphanChat(
            chat_id=made.chat_id,
            marker=marks.marker,
            workspace_id=marks.workspace_id,
            product_id=marks.product_id,
            user_id=marks.user_id,
            provider=provider.name,
            account=account,
            api_version=provider.api_version,
            prompt=prompt,
            made_at=min(made.created_at or now, now),
            now=now,
            signed=marks.signed,
        )
        outcome = await context.store.adopt_orphan(stray, context.timing.poll_timeout)
        if outcome == "deleted" and await context.store.afterwards.was_deleted(stray.workspace_id, stray.marker):
            await provider.delete(made.chat_id)  # It was to be deleted at the builder, too.
        if (account, made.chat_id) not in self._nobodys:
            log.warning("orphan_adopted", outcome=outcome, account=account, chat_id=made.chat_id)
        if outcome in ADOPTED:
            await context.queue.track(account)
        return outcome

    async def _prompt_of(self, provider: Provider, chat_id: str) -> str | None:
        try:
            return await provider.prompt_of(chat_id)
        except (ProviderBusy, ProviderUnreachable):
            raise  # It can be read later, and this chat can be adopted later.
        except ProviderError:
            return None
