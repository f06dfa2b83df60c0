"""Look-ups of lost chats: one search of an account serves all its lost creates, within its budget of calls.

A quick search reads as far back as is needed. Before anything is sent a second time, a thorough search has to see the
whole list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from protokeep.core.call_budget import Priority
from protokeep.core.errors import ProviderError
from protokeep.core.generation import Generation
from protokeep.core.prototype import TrackedPrototype
from protokeep.core.timing import settled_since_sent
from protokeep.providers.base import Provider, RemoteChat, Search
from protokeep.service.account_search import (
    LONGEST_PAUSE,
    LONGEST_SEARCH,
    SHORTEST_PAUSE,
    AccountSearches,
    Calls,
    FinishedSearch,
    Searcher,
    drop_oldest,
    oldest_first,
    searched_since,
)
from protokeep.service.call_budget import CallBudget
from protokeep.service.chat_metadata import installation_filter, marker_filter
from protokeep.service.context import Context
from protokeep.service.heartbeat import CLOCK_SLACK
from protokeep.store.searches import LostCreate

#: How old a search may be for a create that may be decided by it.
FRESH_ENOUGH = timedelta(seconds=4)
#: The code of the error of a look-up that was not made, because the last one is too young.
LOOK_UP_WAITS = "look_up_waits"


@dataclass(frozen=True, slots=True)
class LookupResult:
    """What a look-up says of one prototype's chats.

    `chats` carry its marker, oldest first. `absent`: there certainly is none, by a search that began at `began_at`.
    With neither of them the look-up decides nothing; `error` says why, if it failed.
    """

    chats: Sequence[RemoteChat] = ()
    absent: bool = False
    began_at: datetime | None = None
    error: ProviderError | None = None


class Lookups:
    """Searches an account for lost creates, and for all chats of this installation."""

    def __init__(self, context: Context, budget: CallBudget) -> None:
        self._context = context
        self._searcher = Searcher(context, budget)
        self._accounts: dict[tuple[str, int], AccountSearches] = {}
        self._keeper_id: str | None = None

    async def keeper_id(self) -> str:
        """This installation, as the metadata of its chats names it."""
        if self._keeper_id is None:
            self._keeper_id, _ = await self._context.store.installation()
        return self._keeper_id

    async def find(self, prototype: TrackedPrototype, provider: Provider) -> LookupResult:
        """The chats of one prototype that no row knows, by a search that serves the whole account.

        Raises `ProviderError` when the account could not be searched at all.
        """
        generation = prototype.generation
        account = self._searches_of(generation.account, provider)
        async with account.lock:
            self._forget_outdated(account, provider)
            if not self._found(account, generation) and not self._answers(account, prototype):
                if (wait := self._must_wait(account, generation)) is not None:
                    return LookupResult(error=wait)
                await self._search_for_lost(account, provider, generation)
            return self._result(account, prototype)

    async def search_installation(self, name: str, provider: Provider, since: datetime, priority: Priority) -> Search:
        """All chats of this installation made after `since` that no row knows; resumes the last one if that was cut.

        Raises `ProviderError`.
        """
        account = self._searches_of(name, provider)
        async with account.lock:
            self._forget_outdated(account, provider)
            last = account.quick
            resumed: FinishedSearch | None = None
            if last is not None and last.markers is None and not last.search.reached:
                resumed = last if last.can_be_resumed(self._context.clock(), since) else None
            calls = await self._searcher.calls(name, provider, priority)
            return (await self._search_quickly(account, provider, since, calls, resumed=resumed)).search

    def _searches_of(self, name: str, provider: Provider) -> AccountSearches:
        return self._accounts.setdefault((name, provider.api_version), AccountSearches(name))

    def _forget_outdated(self, account: AccountSearches, provider: Provider) -> None:
        """Drop searches that say nothing any more.

        After the database went back: they left out chats that had rows then, and may have none now. After a change of
        the key: a cut search would be resumed with the key that it began with. After the clock was set back: an old
        search would seem to be the newest for long.
        """
        now = self._context.clock()
        epoch = self._context.heartbeat.epoch
        other_key = account.made_by is None or account.made_by[1] is not provider
        other_epoch = account.made_by is not None and account.made_by[0] != epoch
        set_back = account.asked_at is not None and now < account.asked_at - CLOCK_SLACK
        if other_key or other_epoch or set_back:
            account.reset()
        if other_key:
            account.shows_older = False
        account.made_by = epoch, provider
        account.asked_at = now

    # -- searching ---------------------------------------------------------------------------------------------

    async def _search_for_lost(self, account: AccountSearches, provider: Provider, generation: Generation) -> None:
        """Search quickly for all lost creates; thoroughly where some may be decided and were not found."""
        calls = await self._searcher.calls(account.name, provider, Priority.LOOKUP)
        lost = await self._context.store.searches.lost(account.name, provider.api_version)
        since = min([searched_since(generation), *(searched_since(create) for create in lost)])
        resumed = self._cut_search(account, generation, since)
        decided = self._is_decided_now(generation)
        # A list serves both kinds of search. A filter is first tried on chats that surely exist, then believed.
        if not decided or (resumed is None and provider.capabilities.metadata_search):
            await self._search_for_young(account, provider, generation, lost, calls)
        if decided and not self._found(account, generation):
            markers = frozenset({generation.marker, *(create.marker for create in lost)})
            await self._search_thoroughly(account, provider, markers, since, calls, resumed)

    def _cut_search(self, account: AccountSearches, generation: Generation, since: datetime) -> FinishedSearch | None:
        """The thorough search that was cut and may be resumed."""
        cut = account.cut
        if cut is None or not cut.can_be_resumed(self._context.clock(), since) or not cut.covers(generation):
            return None
        return cut

    async def _search_for_young(
        self,
        account: AccountSearches,
        provider: Provider,
        generation: Generation,
        lost: Sequence[LostCreate],
        calls: Calls,
    ) -> None:
        """Search for creates that no search can decide yet: by filter where these are few, else for all of ours."""
        now = self._context.clock()
        young = {create.marker: searched_since(create) for create in lost if not self._may_be_decided(create, now)}
        young[generation.marker] = searched_since(generation)
        by_filter = (
            generation.submission.was_sent
            and not self._is_decided_now(generation)
            and provider.capabilities.metadata_search
            and len(young) <= account.calls_for_all
        )
        markers = frozenset(young) if by_filter else None
        await self._search_quickly(account, provider, min(young.values()), calls, markers=markers)

    async def _search_thoroughly(
        self,
        account: AccountSearches,
        provider: Provider,
        markers: frozenset[str],
        since: datetime,
        calls: Calls,
        resumed: FinishedSearch | None,
    ) -> None:
        """Search the whole list for `markers`, so that a chat that is not found is certainly absent."""
        began_at, continuation = self._beginning(resumed)
        filters = [marker_filter(marker) for marker in sorted(markers)]
        search = await self._searcher.search(
            account, provider, filters, since, calls, thorough=True, continuation=continuation
        )
        account.thorough = FinishedSearch(search, began_at, self._context.clock(), since, markers)
        account.cut = account.thorough if search.continuation is not None else None

    async def _search_quickly(
        self,
        account: AccountSearches,
        provider: Provider,
        since: datetime,
        calls: Calls,
        *,
        markers: frozenset[str] | None = None,
        resumed: FinishedSearch | None = None,
    ) -> FinishedSearch:
        """Search the young part of the list for all chats of this installation, or by filter for `markers`."""
        began_at, continuation = self._beginning(resumed)
        before = provider.calls
        filters = [installation_filter(await self.keeper_id())]
        if markers is not None:
            filters = [marker_filter(marker) for marker in sorted(markers)]
        search = await self._searcher.search(
            account, provider, filters, since, calls, thorough=False, continuation=continuation
        )
        if markers is None:
            account.calls_for_all = max(provider.calls - before, 1)
        account.quick = FinishedSearch(search, began_at, self._context.clock(), since, markers)
        return account.quick

    def _beginning(self, resumed: FinishedSearch | None) -> tuple[datetime, object | None]:
        """(when a search begins, where it continues): a resumed search has begun with its first part."""
        if resumed is None:
            return self._context.clock(), None
        return resumed.began_at, resumed.search.continuation

    # -- answering ---------------------------------------------------------------------------------------------

    def _found(self, account: AccountSearches, generation: Generation) -> list[RemoteChat]:
        """Chats with a prototype's marker in the last searches that we signed, oldest first."""
        found = {
            chat.chat_id: chat
            for finished in account.finished
            for chat in finished.search.chats
            if chat.metadata.get("protokeep_marker") == generation.marker
            and self._context.signer.has_signed(chat.metadata)
        }
        return oldest_first(found.values())

    def _answers(self, account: AccountSearches, prototype: TrackedPrototype) -> bool:
        """Whether the last search is young enough for this prototype, and began late enough."""
        generation = prototype.generation
        now = self._context.clock()
        finished = self._relevant(account, generation)
        if finished is None or not finished.covers(generation):
            return False
        age = now - finished.done_at
        if self._is_decided_now(generation):
            counted = account.counted.get(prototype.id)
            is_new = counted is None or finished.began_at > counted
            return is_new and finished.search.ended and age <= FRESH_ENOUGH
        sent_at = generation.submission.sent_at
        if sent_at is not None:
            oldest = min(max((now - sent_at) / 2, SHORTEST_PAUSE / 2), LONGEST_PAUSE)
            return finished.began_at >= sent_at and age < oldest
        claimed_before = finished.began_at >= generation.turn_at
        return finished.search.reached and claimed_before and age <= self._context.timing.claim_is_fresh

    def _result(self, account: AccountSearches, prototype: TrackedPrototype) -> LookupResult:
        generation = prototype.generation
        if found := self._found(account, generation):
            account.counted.pop(prototype.id, None)
            return LookupResult(found)
        finished = self._relevant(account, generation)
        if finished is None:
            return LookupResult()
        search, began_at = finished.search, finished.began_at
        if not generation.submission.was_sent:
            absent = search.reached and finished.covers(generation)
            return LookupResult(absent=absent, began_at=began_at, error=None if absent else search.error or _cut())
        same_team = self._is_of_this_team(account, generation)
        absent = same_team and self._proves_absence(account, finished, prototype)
        if absent:
            account.counted[prototype.id] = began_at
            drop_oldest(account.counted)
        error = search.error or (None if same_team else _other_key())
        return LookupResult(absent=absent, began_at=began_at, error=error)

    def _proves_absence(self, account: AccountSearches, finished: FinishedSearch, prototype: TrackedPrototype) -> bool:
        """Whether a search that did not find a sent prototype's chat saw everything, late enough, and counts anew."""
        generation = prototype.generation
        counted = account.counted.get(prototype.id)
        return (
            finished is account.thorough
            and finished.covers(generation)
            and settled_since_sent(generation, finished.began_at, self._context.timing)
            and (counted is None or finished.began_at > counted)
            and finished.search.whole_since(searched_since(generation))
            and not self._is_forged(account, generation)
        )

    def _relevant(self, account: AccountSearches, generation: Generation) -> FinishedSearch | None:
        """The search that a prototype's answer comes from."""
        return account.thorough if self._is_decided_now(generation) else account.quick

    def _is_decided_now(self, generation: Generation) -> bool:
        """Whether a search that finds nothing would count: then it has to be a thorough one."""
        settled = settled_since_sent(generation, self._context.clock(), self._context.timing)
        return generation.submission.was_sent and settled

    def _may_be_decided(self, lost: LostCreate, now: datetime) -> bool:
        return lost.sent_at is None or now - lost.sent_at >= self._context.timing.settle

    def _is_of_this_team(self, account: AccountSearches, generation: Generation) -> bool:
        """Whether the key would show the chat of this create: it was sent with it, or with a key of the same team."""
        set_at = self._context.providers.key_set_at(generation.account)
        sent_at = generation.submission.sent_at
        return set_at is None or sent_at is None or sent_at >= set_at or account.shows_older

    def _is_forged(self, account: AccountSearches, generation: Generation) -> bool:
        """Whether a chat names this prototype without our signature: perhaps it is ours, of an earlier secret."""
        return any(
            chat.metadata.get("protokeep_marker") == generation.marker
            for finished in account.finished
            for chat in finished.search.chats
        )

    def _must_wait(self, account: AccountSearches, generation: Generation) -> ProviderError | None:
        """Why the account is not searched again yet: it was a moment ago, or thoroughly for an old create."""
        now = self._context.clock()
        until = account.next_at or now
        thorough = account.thorough
        if self._is_decided_now(generation) and thorough is not None and thorough.search.continuation is None:
            age = now - (generation.submission.sent_at or now) - self._context.timing.settle
            until = max(until, thorough.done_at + min(max(age / 5, FRESH_ENOUGH), LONGEST_SEARCH))
        if until <= now or until - now > LONGEST_SEARCH:
            return None
        message = "protokeep searched the account a moment ago."
        return ProviderError(message, code=LOOK_UP_WAITS, retry_after=until - now)


def _cut() -> ProviderError:
    message = "The app builder's list of chats was not read to its end yet."
    return ProviderError(message, code="look_up_cut", retry_after=SHORTEST_PAUSE)


def _other_key() -> ProviderError:
    message = (
        "The key was changed after this was sent, and shows no chat that was made before: it may be another team's. "
        "protokeep keeps searching, and finds it once a key of the first team is set."
    )
    return ProviderError(message, code="other_key")
