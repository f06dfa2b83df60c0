"""Looking for chats at a builder: one look-up of an account serves all its lost answers, within its calls.

A quick search reads as far back as is needed. Before anything is sent a second time, a thorough one has to see the
whole list; what was cut, refused or passed over proves nothing, and is gone on with later.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from protokeep.core.call_budget import Priority
from protokeep.core.errors import ProviderBusy, ProviderError
from protokeep.core.generation import Generation, RecoveryPoint
from protokeep.core.prototype import TrackedPrototype
from protokeep.core.submission import NO_KEY
from protokeep.core.timing import LOOK_BACK, settled_since_sent
from protokeep.providers.base import Provider, RemoteChat, Search
from protokeep.service.call_budget import CallBudget
from protokeep.service.chat_metadata import Signed, installation_filter, marker_filter
from protokeep.service.context import Context
from protokeep.service.heartbeat import CLOCK_SLACK
from protokeep.store.searches import LostCreate

log = structlog.get_logger(__name__)

#: From one search of an account to the next, and per call that the last one took, up to the longest.
SHORTEST_PAUSE, PAUSE_PER_CALL, LONGEST_PAUSE = timedelta(seconds=2), timedelta(seconds=0.1), timedelta(seconds=10)
#: How old a search may be for a create that may be decided by it.
FRESH_ENOUGH = timedelta(seconds=4)
#: How long a search that was cut may be gone on with: what its first part saw gets old.
LONGEST_SEARCH = timedelta(minutes=10)
#: What a builder's pause is when it names none.
DEFAULT_PAUSE = timedelta(seconds=30)
#: Chats that this process has spoken of in its log, and prototypes whose searches it has counted.
MOST_NAMED = 5_000
#: The code of the error of a look-up that was not made, because the last one is too young.
LOOK_UP_WAITS = "look_up_waits"


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What is known of one prototype's chats.

    `chats` carry its marker, oldest first. `absent`: there is none, as far as this prototype needs to know, in a
    search that began at `began_at`. Neither: it is undecided, because of `error` if there is one.
    """

    chats: Sequence[RemoteChat] = ()
    absent: bool = False
    began_at: datetime | None = None
    error: ProviderError | None = None


@dataclass(frozen=True, slots=True)
class _Searched:
    """A search: when it began and ended, and which chats it asked for. `markers` None: all of this installation."""

    search: Search
    began_at: datetime
    done_at: datetime
    since: datetime
    markers: frozenset[str] | None = None

    def covers(self, generation: Generation) -> bool:
        """Whether a generation's chat would be among what was asked for."""
        return self.since <= _since(generation) and (self.markers is None or generation.marker in self.markers)

    def goes_on(self, now: datetime, since: datetime) -> bool:
        """Whether it was cut a short time ago, and reads as far back as is wanted now."""
        return self.search.rest is not None and self.since <= since and now - self.began_at <= LONGEST_SEARCH


@dataclass(slots=True)
class _Account:
    """The last searches of an account, and those that were cut and are gone on with."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    quick: _Searched | None = None
    thorough: _Searched | None = None
    cut: _Searched | None = None
    next_at: datetime | None = None
    #: The epoch of the database in which these searches were made, and with which provider.
    made_by: tuple[int, Provider] | None = None
    #: How many calls the last search for all chats of this installation took.
    calls_for_all: int = 1
    #: By prototype, when the last search began that counted as one that found nothing.
    counted: dict[str, datetime] = field(default_factory=dict)
    #: When it was asked last.
    asked_at: datetime | None = None
    #: Whether the key shows chats that were made before it was set: then it is of the same team as the one before.
    shows_older: bool = False


class Lookups:
    """Searches an account for lost creates, and for all chats of this installation."""

    def __init__(self, context: Context, budget: CallBudget) -> None:
        self._context = context
        self._budget = budget
        self._accounts: defaultdict[tuple[str, int], _Account] = defaultdict(_Account)
        self._keeper_id: str | None = None
        self._named: dict[tuple[str, str], str] = {}

    async def keeper_id(self) -> str:
        """This installation, as the marks of its chats name it."""
        if self._keeper_id is None:
            self._keeper_id, _ = await self._context.store.installation()
        return self._keeper_id

    async def find(self, prototype: TrackedPrototype, provider: Provider) -> LookedUp:
        """The chats of one prototype that no row knows, out of a search that serves the whole account.

        Raises `ProviderError` when the account could not be searched at all.
        """
        generation = prototype.generation
        account = self._accounts[generation.account, provider.api_version]
        async with account.lock:
            self._forget_others(account, provider)
            if not self._found(account, generation) and not self._serves(account, prototype):
                if (pause := self._pause(account, generation)) is not None:
                    return LookedUp(error=pause)
                await self._search_for_lost(account, provider, generation)
            return self._answer(account, prototype)

    async def all_of_ours(self, name: str, provider: Provider, since: datetime, rank: Priority) -> Search:
        """All chats of this installation made after `since` that no row knows; goes on where the last one was cut.

        Raises `ProviderError`.
        """
        account = self._accounts[name, provider.api_version]
        async with account.lock:
            self._forget_others(account, provider)
            rest = account.quick
            if rest is not None and (rest.markers is not None or rest.search.reached):
                rest = None
            if rest is not None and not rest.goes_on(self._context.clock(), since):
                rest = None
            calls = await self._calls(name, provider, rank)
            return (await self._search_quickly(name, account, provider, since, calls, going_on=rest)).search

    def _forget_others(self, account: _Account, provider: Provider) -> None:
        """Searches left out what rows knew, which a database that went back may not know any more; a search that was
        cut goes on with the key that it began with, which may not be used any more; and one that was made before the
        clock was set back would seem to be the newest for long."""
        now = self._context.clock()
        epoch = self._context.heartbeat.epoch
        other_key = account.made_by is None or account.made_by[1] is not provider
        set_back = account.asked_at is not None and now < account.asked_at - CLOCK_SLACK
        if other_key or set_back or (account.made_by is not None and account.made_by[0] != epoch):
            account.quick = account.thorough = account.cut = None
            account.counted.clear()
        if other_key:
            account.shows_older = False
        account.made_by = epoch, provider
        account.asked_at = now

    # -- searching ---------------------------------------------------------------------------------------------

    async def _search_for_lost(self, account: _Account, provider: Provider, generation: Generation) -> None:
        """Search quickly for all lost creates; thoroughly where some may be decided and were not found."""
        now = self._context.clock()
        name = generation.account
        calls = await self._calls(name, provider, Priority.LOOKUP)
        lost = await self._context.store.searches.lost(name, provider.api_version)
        since = min([_since(generation), *(_since(one) for one in lost)])
        markers = frozenset({generation.marker, *(one.marker for one in lost)})
        decided = self._is_decided_now(generation)
        cut = account.cut if account.cut is not None and account.cut.goes_on(now, since) else None
        if cut is not None and not cut.covers(generation):
            cut = None
        # A list serves both kinds of search. A filter is tried on what is surely there, before it is believed.
        if not decided or (cut is None and provider.capabilities.metadata_search):
            young = {one.marker: _since(one) for one in lost if not self._may_be_decided(one, now)}
            young[generation.marker] = _since(generation)
            sent = generation.submission.recovery_point is RecoveryPoint.SENT and not decided
            filtered = sent and provider.capabilities.metadata_search and len(young) <= account.calls_for_all
            await self._search_quickly(
                name, account, provider, min(young.values()), calls, markers=frozenset(young) if filtered else None
            )
        if decided and not self._found(account, generation):
            rest = cut.search.rest if cut is not None else None
            wanted = [marker_filter(marker) for marker in sorted(markers)]
            search = await self._search(account, name, provider, wanted, since, calls, thorough=True, rest=rest)
            began_at = cut.began_at if cut is not None else now
            account.thorough = _Searched(search, began_at, self._context.clock(), since, markers)
            account.cut = account.thorough if search.rest is not None else None

    async def _search_quickly(
        self,
        name: str,
        account: _Account,
        provider: Provider,
        since: datetime,
        calls: Calls,
        *,
        markers: frozenset[str] | None = None,
        going_on: _Searched | None = None,
    ) -> _Searched:
        """Search the young part of the list for all chats of this installation, or by filter for `markers`."""
        now = self._context.clock()
        before = provider.calls
        wanted = [installation_filter(await self.keeper_id())]
        if markers is not None:
            wanted = [marker_filter(marker) for marker in sorted(markers)]
        rest = going_on.search.rest if going_on is not None else None
        search = await self._search(account, name, provider, wanted, since, calls, thorough=False, rest=rest)
        if markers is None:
            account.calls_for_all = max(provider.calls - before, 1)
        began_at = going_on.began_at if going_on is not None else now
        account.quick = _Searched(search, began_at, self._context.clock(), since, markers)
        return account.quick

    async def _search(
        self,
        account: _Account,
        name: str,
        provider: Provider,
        wanted: Sequence[Mapping[str, str]],
        since: datetime,
        calls: Calls,
        *,
        thorough: bool,
        rest: object | None,
    ) -> Search:
        async def known(chats: Sequence[str]) -> set[str]:
            found = await self._context.store.known_chats(name, chats)
            set_at = self._context.providers.key_set_at(name)
            if found and set_at is not None and not account.shows_older:
                account.shows_older = await self._context.store.knew_chats_before(name, list(found), set_at)
            return found

        left = calls()
        if left == 0:
            return Search(error=_short_of_calls(), rest=rest)
        before = provider.calls
        try:
            search = await provider.find(
                wanted, sent_after=since, known=known, thorough=thorough, calls=left, rest=rest
            )
        except ProviderBusy as error:
            await self._heed(name, error)
            raise
        finally:
            pause = PAUSE_PER_CALL * (provider.calls - before)
            account.next_at = self._context.clock() + min(max(pause, SHORTEST_PAUSE), LONGEST_PAUSE)
        if isinstance(search.error, ProviderBusy):
            await self._heed(name, search.error)
        await self._note_unreadable(name, search)
        return search

    async def _calls(self, name: str, provider: Provider, rank: Priority) -> Calls:
        """How many calls searches may make from now on. Raises `ProviderBusy` while the builder wants none."""
        now = self._context.clock()
        held = await self._context.store.accounts.get(name)
        if held.is_polling_paused(now) and held.polling_paused_code != NO_KEY:
            pause = (held.polling_paused_until or now) - now
            raise ProviderBusy("The builder asked for a pause.", code="rate_limited", retry_after=pause)
        room = await self._budget.allowance(name)
        allowed = room.left(rank)
        if allowed == 0:
            pause = room.until(rank, 1) - now
            raise ProviderBusy(f"Look-ups wait for calls. {room.message}", code="short_of_calls", retry_after=pause)
        before = provider.calls
        return lambda: None if allowed is None else max(allowed - (provider.calls - before), 0)

    async def _heed(self, name: str, error: ProviderBusy) -> None:
        """The builder asks for a pause: of look-ups and looks, in every process."""
        until = self._context.clock() + (error.retry_after or DEFAULT_PAUSE)
        await self._context.store.accounts.pause_polling(name, until, "rate_limited", str(error))

    # -- answering ---------------------------------------------------------------------------------------------

    def _found(self, account: _Account, generation: Generation) -> list[RemoteChat]:
        """Chats with a prototype's marker out of the last searches, signed by us or by nobody, oldest first."""
        found = {
            made.chat_id: made
            for searched in (account.quick, account.thorough)
            if searched is not None
            for made in searched.search.chats
            if made.metadata.get("protokeep_marker") == generation.marker
            and self._context.signer.check(made.metadata) is not Signed.WRONG
        }
        return sorted(found.values(), key=lambda made: (made.created_at is None, made.created_at, made.chat_id))

    def _serves(self, account: _Account, prototype: TrackedPrototype) -> bool:
        """Whether the last search is young enough for this prototype, and began late enough."""
        generation = prototype.generation
        now = self._context.clock()
        searched = self._relevant(account, generation)
        if searched is None or not searched.covers(generation):
            return False
        age = now - searched.done_at
        if self._is_decided_now(generation):
            counted = account.counted.get(prototype.id)
            new = counted is None or searched.began_at > counted
            return new and searched.search.ended and age <= FRESH_ENOUGH
        if generation.submission.sent_at is not None:
            oldest = min(max((now - generation.submission.sent_at) / 2, SHORTEST_PAUSE / 2), LONGEST_PAUSE)
            return searched.began_at >= generation.submission.sent_at and age < oldest
        claimed_before = searched.began_at >= generation.turn_at
        return searched.search.reached and claimed_before and age <= self._context.timing.claim_is_fresh

    def _answer(self, account: _Account, prototype: TrackedPrototype) -> LookedUp:
        generation = prototype.generation
        if found := self._found(account, generation):
            account.counted.pop(prototype.id, None)
            return LookedUp(found)
        searched = self._relevant(account, generation)
        if searched is None:
            return LookedUp()
        search, began_at = searched.search, searched.began_at
        if generation.submission.recovery_point is not RecoveryPoint.SENT:
            absent = search.reached and searched.covers(generation)
            return LookedUp(absent=absent, began_at=began_at, error=None if absent else search.error or _cut())
        same_team = self._is_of_this_team(account, generation)
        counted = account.counted.get(prototype.id)
        decides = (
            searched is account.thorough
            and searched.covers(generation)
            and settled_since_sent(generation, began_at, self._context.timing)
            and (counted is None or began_at > counted)
            and search.whole_since(_since(generation))
            and not self._forged(account, generation)
            and same_team
        )
        if decides:
            account.counted[prototype.id] = began_at
            _forget_oldest(account.counted)
        error = search.error or (None if same_team else _other_key())
        return LookedUp(absent=decides, began_at=began_at, error=error)

    def _relevant(self, account: _Account, generation: Generation) -> _Searched | None:
        """The search that a prototype's answer comes from."""
        return account.thorough if self._is_decided_now(generation) else account.quick

    def _is_decided_now(self, generation: Generation) -> bool:
        """Whether a search that finds nothing would count: then it has to be a thorough one."""
        sent = generation.submission.recovery_point is RecoveryPoint.SENT
        return sent and settled_since_sent(generation, self._context.clock(), self._context.timing)

    def _may_be_decided(self, lost: LostCreate, now: datetime) -> bool:
        return lost.sent_at is None or now - lost.sent_at >= self._context.timing.settle

    def _is_of_this_team(self, account: _Account, generation: Generation) -> bool:
        """Whether the key would show what this create made: it was sent with it, or with one of the same team."""
        set_at = self._context.providers.key_set_at(generation.account)
        return (
            set_at is None
            or generation.submission.sent_at is None
            or generation.submission.sent_at >= set_at
            or account.shows_older
        )

    def _forged(self, account: _Account, generation: Generation) -> bool:
        """Whether a chat names this prototype under a wrong signature: perhaps ours, of an earlier secret."""
        return any(
            made.metadata.get("protokeep_marker") == generation.marker
            for searched in (account.quick, account.thorough)
            if searched is not None
            for made in searched.search.chats
        )

    def _pause(self, account: _Account, generation: Generation) -> ProviderError | None:
        """Why the account is not searched again yet: a moment ago it was, or thoroughly for an old create."""
        now = self._context.clock()
        until = account.next_at or now
        thorough = account.thorough
        if self._is_decided_now(generation) and thorough is not None and thorough.search.rest is None:
            age = now - (generation.submission.sent_at or now) - self._context.timing.settle
            until = max(until, thorough.done_at + min(max(age / 5, FRESH_ENOUGH), LONGEST_SEARCH))
        if until <= now or until - now > LONGEST_SEARCH:
            return None
        words = "The account was searched a moment ago."
        return ProviderError(words, code=LOOK_UP_WAITS, retry_after=until - now)

    # -- unreadable chats --------------------------------------------------------------------------------------

    async def _note_unreadable(self, name: str, search: Search) -> None:
        """Name each unreadable or forged chat once in the log, and list it for `doctor`."""
        reasons = {one.chat_id: one.reason for one in search.skipped}
        for made in search.chats:
            if self._context.signer.check(made.metadata) is Signed.WRONG:
                reasons[made.chat_id] = "Its marks are not signed by this installation, so they are not believed."
        new = {chat_id: words for chat_id, words in reasons.items() if self._named.get((name, chat_id)) != words}
        if not new:
            return
        for chat_id, words in new.items():
            self._named[name, chat_id] = words
            log.warning("chat_unreadable", account=name, chat_id=chat_id, reason=words)
        _forget_oldest(self._named)
        await self._context.store.searches.note_unreadable(name, new, self._context.clock())


#: How many calls searches may still make; None: any number.
Calls = Callable[[], int | None]


def _since(generation: Generation | LostCreate) -> datetime:
    """From when on a chat may be this prototype's. What was sent before was looked for before it was sent again."""
    sent_at = generation.sent_at if isinstance(generation, LostCreate) else generation.submission.sent_at
    return (sent_at or generation.created_at) - LOOK_BACK


def _cut() -> ProviderError:
    words = "The builder's list of chats was not seen to its end yet."
    return ProviderError(words, code="look_up_cut", retry_after=SHORTEST_PAUSE)


def _other_key() -> ProviderError:
    words = (
        "The key was changed after this was sent, and shows no chat that was made before: it may be another team's. It "
        "is looked for again; with a key of the team that it was sent for, it is found."
    )
    return ProviderError(words, code="other_key")


def _short_of_calls() -> ProviderError:
    return ProviderError("Look-ups wait for calls.", code="short_of_calls", retry_after=SHORTEST_PAUSE)


def _forget_oldest(remembered: dict[Any, Any]) -> None:
    while len(remembered) > MOST_NAMED:
        del remembered[next(iter(remembered))]
