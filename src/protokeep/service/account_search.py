"""One search of an account at its provider: within the budget of calls, and obeying the provider's pauses.

A search that was cut, was refused or skipped a chat proves no absence. A cut search can be resumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import structlog

from protokeep.core.call_budget import Priority
from protokeep.core.errors import ProviderBusy, ProviderError
from protokeep.core.generation import Generation
from protokeep.core.submission import NO_KEY
from protokeep.core.timing import LOOK_BACK
from protokeep.providers.base import Provider, RemoteChat, Search
from protokeep.service.call_budget import CallBudget
from protokeep.service.context import Context
from protokeep.store.searches import LostCreate

log = structlog.get_logger(__name__)

#: From one search of an account to the next, and per call that the last one took, up to the longest.
SHORTEST_PAUSE, PAUSE_PER_CALL, LONGEST_PAUSE = timedelta(seconds=2), timedelta(seconds=0.1), timedelta(seconds=10)
#: How long after its begin a cut search may be resumed: what its first part read gets old.
LONGEST_SEARCH = timedelta(minutes=10)
#: The pause where the provider asks for one and names no time.
DEFAULT_PAUSE = timedelta(seconds=30)
#: Chats that the log of this process has named, and prototypes whose searches are remembered.
MOST_REMEMBERED = 5_000
#: Chats that one search names in the log. Whoever has a key of the account can plant as many as they like.
MOST_NAMED = 100

#: How many calls a search may still make; None: any number.
Calls = Callable[[], int | None]


@dataclass(frozen=True, slots=True)
class FinishedSearch:
    """A search: when it began and ended, and which chats it asked for. `markers` None: all of this installation."""

    search: Search
    began_at: datetime
    done_at: datetime
    since: datetime
    markers: frozenset[str] | None = None

    def covers(self, generation: Generation) -> bool:
        """Whether a generation's chat would be among those that the search asked for."""
        return self.since <= searched_since(generation) and (self.markers is None or generation.marker in self.markers)

    def can_be_resumed(self, now: datetime, since: datetime) -> bool:
        """Whether it was cut a short time ago, and reads as far back as `since`."""
        return self.search.continuation is not None and self.since <= since and now - self.began_at <= LONGEST_SEARCH


@dataclass(slots=True)
class AccountSearches:
    """The last searches of an account, and a thorough search that was cut and is to be resumed."""

    name: str
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    quick: FinishedSearch | None = None
    thorough: FinishedSearch | None = None
    cut: FinishedSearch | None = None
    next_at: datetime | None = None
    #: The epoch of the database in which these searches were made, and the provider that made them.
    made_by: tuple[int, Provider] | None = None
    #: How many calls the last search for all chats of this installation took.
    calls_for_all: int = 1
    #: By prototype, when the last search began that was counted as finding nothing.
    counted: dict[str, datetime] = field(default_factory=dict)
    #: When the account was last asked for.
    asked_at: datetime | None = None
    #: Whether the key shows chats that were made before it was set: then it is of the same team as the key before.
    shows_older: bool = False

    @property
    def finished(self) -> list[FinishedSearch]:
        """The searches whose chats count."""
        return [search for search in (self.quick, self.thorough) if search is not None]

    def reset(self) -> None:
        """Begin anew: the searches say nothing any more."""
        self.quick = self.thorough = self.cut = None
        self.counted.clear()


class Searcher:
    """Searches accounts, and names chats that cannot be read or that another installation signed."""

    def __init__(self, context: Context, budget: CallBudget) -> None:
        self._context = context
        self._budget = budget
        self._named: dict[tuple[str, str], str] = {}

    async def search(
        self,
        account: AccountSearches,
        provider: Provider,
        filters: Sequence[Mapping[str, str]],
        since: datetime,
        calls: Calls,
        *,
        thorough: bool,
        continuation: object | None,
    ) -> Search:
        """Search for chats that carry all entries of one of `filters`. Raises `ProviderError`."""

        async def known(chats: Sequence[str]) -> set[str]:
            return await self._known_chats(account, chats)

        left = calls()
        if left == 0:
            return Search(error=_short_of_calls(), continuation=continuation)
        before = provider.calls
        try:
            search = await provider.find(
                filters, sent_after=since, known=known, thorough=thorough, calls=left, continuation=continuation
            )
        except ProviderBusy as error:
            await self._pause(account.name, error)
            raise
        finally:
            pause = PAUSE_PER_CALL * (provider.calls - before)
            account.next_at = self._context.clock() + min(max(pause, SHORTEST_PAUSE), LONGEST_PAUSE)
        if isinstance(search.error, ProviderBusy):
            await self._pause(account.name, search.error)
        await self._note_unreadable(account.name, search)
        return search

    async def calls(self, name: str, provider: Provider, priority: Priority) -> Calls:
        """How many calls searches may make from now on. Raises `ProviderBusy` while the provider wants none."""
        now = self._context.clock()
        account_row = await self._context.store.accounts.get(name)
        if account_row.is_polling_paused(now) and account_row.polling_paused_code != NO_KEY:
            pause = (account_row.polling_paused_until or now) - now
            raise ProviderBusy("The app builder asked for a pause.", code="rate_limited", retry_after=pause)
        allowance = await self._budget.allowance(name)
        allowed = allowance.left(priority)
        if allowed == 0:
            pause = allowance.until(priority, 1) - now
            message = f"Look-ups wait for calls. {allowance.message}"
            raise ProviderBusy(message, code="short_of_calls", retry_after=pause)
        before = provider.calls
        return lambda: None if allowed is None else max(allowed - (provider.calls - before), 0)

    async def _known_chats(self, account: AccountSearches, chats: Sequence[str]) -> set[str]:
        """Those chats that some row has. Also notes whether the key shows chats from before it was set."""
        store = self._context.store
        found = await store.known_chats(account.name, chats)
        set_at = self._context.providers.key_set_at(account.name)
        if found and set_at is not None and not account.shows_older:
            account.shows_older = await store.knew_chats_before(account.name, list(found), set_at)
        return found

    async def _pause(self, name: str, error: ProviderBusy) -> None:
        """Pause look-ups and polls of the account in every process, as the provider asks."""
        until = self._context.clock() + (error.retry_after or DEFAULT_PAUSE)
        await self._context.store.accounts.pause_polling(name, until, "rate_limited", str(error))

    async def _note_unreadable(self, name: str, search: Search) -> None:
        """Name each unreadable or forged chat once in the log, and list it for `doctor`."""
        reasons = {skipped.chat_id: skipped.reason for skipped in search.skipped}
        for chat in search.chats:
            if not self._context.signer.has_signed(chat.metadata):
                reasons[chat.chat_id] = "Its marks are not signed by this installation, so they are not believed."
        unnamed = ((chat_id, why) for chat_id, why in reasons.items() if self._named.get((name, chat_id)) != why)
        new = dict(islice(unnamed, MOST_NAMED))
        if not new:
            return
        for chat_id, reason in new.items():
            self._named[name, chat_id] = reason
            log.warning("chat_unreadable", account=name, chat_id=chat_id, reason=reason)
        drop_oldest(self._named)
        await self._context.store.searches.note_unreadable(name, new, self._context.clock())


def searched_since(generation: Generation | LostCreate) -> datetime:
    """From when on a chat may be this prototype's. An earlier sending was looked up before it was sent again."""
    sent_at = generation.sent_at if isinstance(generation, LostCreate) else generation.submission.sent_at
    return (sent_at or generation.created_at) - LOOK_BACK


def oldest_first(chats: Iterable[RemoteChat]) -> list[RemoteChat]:
    """Chats in the order in which they were made: a copy comes after the chat whose metadata it carries."""
    return sorted(chats, key=lambda chat: (chat.created_at is None, chat.created_at, chat.chat_id))


def drop_oldest(remembered: dict[Any, Any]) -> None:
    """Keep the newest entries only, so that memory stays bounded."""
    while len(remembered) > MOST_REMEMBERED:
        del remembered[next(iter(remembered))]


def _short_of_calls() -> ProviderError:
    return ProviderError("Look-ups wait for calls.", code="short_of_calls", retry_after=SHORTEST_PAUSE)
