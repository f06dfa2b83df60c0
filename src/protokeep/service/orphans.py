"""Adoption of orphans: chats of ours that no row has, because the database is an older copy of itself.

Such a copy lacks the chats that were made after it was taken, and a claim in it may have been sent since. A process
that may work on a copy (`Heartbeat` says so) searches for all chats that carry this installation's marker before it
sends anything.
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
from protokeep.service.account_search import oldest_first
from protokeep.service.chat_metadata import RESTORED_FROM, Unsigned, parse_metadata
from protokeep.service.context import Context
from protokeep.service.lookups import Lookups
from protokeep.service.restoring import settle_restored
from protokeep.store.orphans import OrphanChat
from protokeep.store.sql import LostRace

log = structlog.get_logger(__name__)

#: How far the builder's clock may be ahead of ours before its chats count as made since a start.
CLOCK_SLACK = timedelta(minutes=5)
#: How soon a search that was cut is resumed.
CUT_PAUSE = timedelta(seconds=2)
#: From one comparison to the next after the database went back.
SETTLING_PAUSE = timedelta(seconds=5)
KEY_REFUSED_PAUSE = timedelta(minutes=1)
#: An account is tried again after this, even if the provider asks for a longer pause.
LONGEST_PAUSE = timedelta(minutes=5)
#: A search that fails in the same way at every turn, seconds apart, is logged once in this time.
TOLD_EVERY = timedelta(minutes=1)
#: Outcomes of a chat that a row tracks now, and of a chat that will never get a row.
ADOPTED = frozenset({"adopted", "recorded"})
NEVER_ADOPTED = frozenset({"deleted", "refused"})
MOST_REMEMBERED = 10_000


class OrphanReconciler:
    """Searches for chats of ours that no row has: after a restore, daily, and among the newest every few minutes."""

    def __init__(self, context: Context, lookups: Lookups) -> None:
        self._context = context
        self._lookups = lookups
        #: The epoch of the database in which an account was last compared with it.
        self._verified: dict[tuple[str, int], int] = {}
        self._done_at: dict[tuple[str, int], datetime] = {}
        self._searched_at: dict[str, datetime] = {}
        self._next_at: dict[str, datetime] = {}
        self._told: dict[str, tuple[str | None, datetime]] = {}
        self._locks: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        #: Chats that will never get a row, and that this process does not try to adopt again.
        self._never_adopted: dict[tuple[str, str], None] = {}

    async def reconcile(self, accounts: Sequence[tuple[str, Provider]]) -> None:
        """Search these accounts, where it is time. An error of one account delays no other one."""
        for account, provider in accounts:
            try:
                await self._reconcile(account, provider)
            except DatabaseUnavailable:
                raise
            except Exception:  # The other accounts are searched all the same.
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
            told = self._told.get(account)
            if told is None or told[0] != error.code or not now - TOLD_EVERY < told[1] <= now:
                self._told[account] = error.code, now
                log.warning("orphan_search_failed", account=account, code=error.code, reason=str(error))

    async def verify(self, account: str, provider: Provider) -> None:
        """Make sure that no chat of an account is forgotten, before anything is sent for it.

        Raises `ProviderError` when nothing may be sent: the search failed or was cut, or lists may not show chats yet
        that were made right before the database went back.
        """
        heartbeat = self._context.heartbeat
        await heartbeat.started()
        key = account, provider.api_version
        async with self._locks[key]:
            epoch = heartbeat.epoch
            if self._verified.get(key) == epoch:
                return
            # An account that was not compared in the epoch before may lack chats from before that epoch, too.
            compared_before = self._verified.get(key) == epoch - 1
            known_until = (heartbeat.known_until if compared_before else None) or heartbeat.lost_after
            if known_until is not None:
                await self._compare(account, provider, known_until)
            self._verified[key] = epoch

    async def _compare(self, account: str, provider: Provider, known_until: datetime) -> None:
        settling = self._context.heartbeat.is_settling
        if not await self.adopt_since(account, provider, known_until):
            message = "The app builder's list of chats was not read to its end yet."
            raise ProviderError(message, code="look_up_cut", retry_after=CUT_PAUSE)
        if settling:
            message = "The database is an older copy of itself: protokeep is adopting chats that it does not know."
            raise ProviderError(message, code="database_went_back", retry_after=SETTLING_PAUSE)

    def has_verified(self, accounts: Sequence[tuple[str, Provider]]) -> bool:
        """Whether no chat of these accounts is forgotten."""
        return all(self.is_verified(account, provider.api_version) for account, provider in accounts)

    def is_verified(self, account: str, api_version: int) -> bool:
        """Whether no chat of an account is forgotten, as far as this process knows of its database."""
        return self._verified.get((account, api_version)) == self._context.heartbeat.epoch

    async def search_daily(self, account: str, provider: Provider) -> None:
        """Search all chats since the last such search, once a day."""
        context = self._context
        now = context.clock()
        key = account, provider.api_version
        done_at = self._done_at[key] = min(self._done_at.get(key, now), now)  # The clock may have been set back.
        if now - done_at >= context.timing.full_search_interval and await self.adopt_since(account, provider, done_at):
            self._done_at[key] = now

    async def adopt_since(self, account: str, provider: Provider, since: datetime) -> bool:
        """Give rows to all chats of ours that were made after `since` and that no row has.

        True: the search reached its end; single chats may have been unreadable. False: the search was cut, and the next
        call resumes it. Raises `ProviderError` when the account could not be searched at all.
        """
        search = await self._lookups.search_installation(account, provider, since - LOOK_BACK, Priority.LOOKUP)
        await self._adopt_all(account, provider, search.chats)
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
            search = await self._lookups.search_installation(
                account, provider, now - 3 * every - LOOK_BACK, Priority.RECENT
            )
        except ProviderBusy:
            return  # All other calls have priority.
        unknown = [chat for chat in search.chats if (account, chat.chat_id) not in self._never_adopted]
        await self._adopt_all(account, provider, unknown)

    async def _adopt_all(self, account: str, provider: Provider, chats: Sequence[RemoteChat]) -> None:
        """Give each chat a row, oldest first. If one gets none, the others still get theirs.

        Raises `LostRace` at the end if the row of one moved at every try: the account is not compared then.
        """
        adopted, lost_race = 0, None
        for chat in oldest_first(chats):
            try:
                outcome = await self._try_to_adopt(account, provider, chat)
            except LostRace as error:
                lost_race = error
                continue
            if outcome in NEVER_ADOPTED:
                self._never_adopted[account, chat.chat_id] = None
            adopted += outcome in ADOPTED
        while len(self._never_adopted) > MOST_REMEMBERED:
            del self._never_adopted[next(iter(self._never_adopted))]
        if adopted:
            log.warning("orphans_adopted", account=account, count=adopted)
        if lost_race is not None:
            raise lost_race

    async def _try_to_adopt(self, account: str, provider: Provider, chat: RemoteChat) -> str:
        """The outcome of the adoption, as one word. Raises only errors that concern the whole account."""
        try:
            return await self._adopt(account, provider, chat)
        except (DatabaseUnavailable, LostRace, ProviderBusy, ProviderUnreachable):
            raise
        except ProviderError as error:  # The deletion is tried again with the next search.
            log.warning("orphan_deletion_failed", account=account, chat_id=chat.chat_id, reason=str(error))
            return "not_deleted"
        except Unsigned:  # The search has listed it.
            return "refused"
        except Exception as error:  # noqa: BLE001 - the other chats are adopted all the same
            if (account, chat.chat_id) not in self._never_adopted:
                log.error("orphan_adoption_failed", account=account, chat_id=chat.chat_id, reason=str(error)[:200])
            return "refused"

    async def _adopt(self, account: str, provider: Provider, chat: RemoteChat) -> str:
        context = self._context
        orphan = await self._orphan_of(account, provider, chat)
        outcome = await context.store.adopt_orphan(orphan, context.timing.poll_timeout)
        if outcome == "deleted" and await context.store.was_deleted(orphan.workspace_id, orphan.marker):
            await provider.delete(chat.chat_id)  # Its prototype was deleted: the chat has to go, too.
        if (account, chat.chat_id) not in self._never_adopted:
            log.warning("orphan_adopted", outcome=outcome, account=account, chat_id=chat.chat_id)
        if outcome == "adopted":
            self._notice_twin(orphan)
        if outcome in ADOPTED:
            if orphan.only_free_slot:
                await settle_restored(context, orphan.marker, chat)
            await context.queue.track(account)
        return outcome

    def _notice_twin(self, orphan: OrphanChat) -> None:
        """Say that a copy of this installation is at work: somebody else made a chat in our name since we started.

        Whatever a process on this database makes has a row before it is made.
        """
        started_at = self._context.heartbeat.trusted_from
        if orphan.only_free_slot or started_at is None or orphan.made_at < started_at + CLOCK_SLACK:
            return
        fix = "Stop the process on the copy, and run there: protokeep fork-installation --yes"
        log.error("installation_runs_twice", account=orphan.account, chat_id=orphan.chat_id, fix=fix)

    async def _orphan_of(self, account: str, provider: Provider, chat: RemoteChat) -> OrphanChat:
        """The chat with its checked metadata. Raises `ValueError` or `InvalidInput` when no row may be made of it."""
        context = self._context
        metadata = parse_metadata(chat.metadata, context.signer, account, await context.store.owner_table())
        prompt = await self._prompt_of(provider, chat.chat_id)
        now = context.clock()
        return OrphanChat(
            chat_id=chat.chat_id,
            marker=metadata.marker,
            workspace_id=metadata.workspace_id,
            product_id=metadata.product_id,
            user_id=metadata.user_id,
            provider=provider.name,
            account=account,
            api_version=provider.api_version,
            prompt=prompt,
            made_at=min(chat.created_at or now, now),
            now=now,
            only_free_slot=RESTORED_FROM in chat.metadata,
        )

    async def _prompt_of(self, provider: Provider, chat_id: str) -> str | None:
        try:
            return await provider.prompt_of(chat_id)
        except (ProviderBusy, ProviderUnreachable):
            raise  # The prompt can be read later, and the chat adopted later.
        except ProviderError:
            return None
