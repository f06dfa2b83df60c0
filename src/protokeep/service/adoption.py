"""Adoption of the owner's older rows: they are tracked at once, and their chats' accounts are found out by asking.

Each account whose key is here is asked once: with its list, which shows many chats at a time, then about each chat that
no list showed. An account whose key was changed is asked again, and lists are read again once a day. Until an account
has shown its chat, an older row is not polled, and nothing in the owner's table changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile

import structlog

from protokeep.core import adoption
from protokeep.core.adoption import AdoptionProgress, ListedChat
from protokeep.core.call_budget import Priority
from protokeep.core.errors import DatabaseUnavailable, ProviderError
from protokeep.core.events import Event, Source
from protokeep.core.prototype import TrackedPrototype
from protokeep.providers.base import PollTarget, SupportsListing, with_listing
from protokeep.service.call_budget import CallBudget
from protokeep.service.context import Context
from protokeep.service.visibility import Visibility
from protokeep.store.adoption import BATCH_SIZE, TURN, AccountAnswers, UnknownChat, newest_answers
from protokeep.store.sql import DatabaseError

log = structlog.get_logger(__name__)

#: From one round to the next: a row that the old system writes is followed within a minute.
ROUND = timedelta(seconds=15)
#: In a table of millions, the search for rows that are not tracked yet takes at most one twentieth of the time.
LOOKS_SHARE = 20
LONGEST_ROUND = timedelta(seconds=45)
#: How long the page shows what a round found out: another process may have made the rounds since.
PROGRESS_SHOWN = timedelta(minutes=3)
#: Older rows were made with this version of the provider's API.
API_VERSION = 1
#: Batches of rows that one round begins to track, and chats that it asks one account about singly.
BATCHES = 10
SINGLE_ASKS = 200
ASKED_TOGETHER = 20
#: Rows that name a project without a chat are asked about again this often, for this long.
PROJECTS_PAUSE = timedelta(minutes=2)
PROJECTS_YOUNG = timedelta(hours=1)
#: How often lists are read again for chats that no account showed.
LISTED_AGAIN = timedelta(days=1)
#: The pause between the pictures of two older rows: thousands at once would take the calls of a day.
PICTURE_PAUSE = timedelta(seconds=10)


class Adopter:
    """Takes up older rows, and finds out which account their chats are in."""

    def __init__(self, context: Context, budget: CallBudget, visibility: Visibility) -> None:
        self._context = context
        self._budget = budget
        self._visibility = visibility
        self._looked_for = timedelta(0)
        #: Chats that an account's list was read for.
        self._seen: dict[str, set[str]] = {}
        self._marks: dict[str, str] = {}
        self._projects_asked_at: dict[str, datetime] = {}
        #: Accounts whose keys the provider refuses.
        self._refused: set[str] = set()
        #: What the last round that had something to do left, and when that was.
        self._logged: AdoptionProgress | None = None
        self._logged_at = context.clock()
        self._tenants_mapped = False

    async def run_if_due(self) -> None:
        """One round, in one process at a time. An error of one account delays no other one."""
        context = self._context
        now = context.clock()
        store = context.store.adoption
        every = min(max(ROUND, LOOKS_SHARE * self._looked_for), LONGEST_ROUND)
        if not await context.store.searches.take_turn(TURN, now, every):
            return
        await self._map_tenants()
        began, adopted = context.elapsed(), await store.adopt(now)
        self._looked_for = timedelta(seconds=context.elapsed() - began)
        for _ in range(BATCHES - 1):
            if adopted % BATCH_SIZE or not adopted:
                break
            adopted += await store.adopt(now)
        released = await self._release_missing(now)
        if adopted or released or await store.has_unknown():
            await self._ask_all(now)
            await self._log_progress()

    async def progress(self) -> AdoptionProgress:
        """How far the adoption is. Raises `NotMigrated`."""
        return await self._context.store.adoption.progress()

    def under_way(self) -> AdoptionProgress | None:
        """How far the adoption was at this process's last round; None: it is done, or another process knows more."""
        progress = self._logged
        if progress is None or progress.is_done or self._context.clock() - self._logged_at > PROGRESS_SHOWN:
            return None
        return progress

    async def _release_missing(self, now: datetime) -> int:
        """Let rows be looked for again that their account's present key has never shown. Returns their number."""
        context = self._context
        await context.providers.refresh()
        missing_since = now - context.timing.key_settles
        return sum(
            [
                await context.store.adoption.release(account, self._visibility.key_since(account), missing_since, now)
                for account in context.providers.accounts()
            ]
        )

    async def _map_tenants(self) -> None:
        """Move what was written before tenants were workspaces, once for each start of a process."""
        if not self._tenants_mapped:
            moved = await self._context.store.adoption.map_tenants()
            self._tenants_mapped = True
            if moved:
                log.info("rows_moved_to_workspaces_of_tenants", count=moved)

    async def _log_progress(self) -> None:
        progress = replace(await self.progress(), last_at=None)
        self._logged_at = self._context.clock()
        if self._logged is None and progress.is_done and not progress.not_in_any_account:
            self._logged = progress  # Nothing was to be done, and nobody has to hear of it.
        if progress != self._logged:
            self._logged = progress
            log.info(
                "older_rows_adopted",
                to_adopt=progress.to_adopt,
                looking=progress.looking,
                adopted=progress.adopted,
                not_in_any_account=progress.not_in_any_account,
                failed=progress.failed,
            )

    # -- asking ------------------------------------------------------------------------------------------------

    async def _ask_all(self, now: datetime) -> None:
        """Ask every account, then write down about which rows all of them were asked in vain."""
        context = self._context
        await context.providers.refresh()
        known = await context.store.adoption.answers()
        asked: list[AccountAnswers] = []
        for account in context.providers.accounts():
            provider = with_listing(context.providers.serving(account, API_VERSION))
            if provider is None:
                continue
            mark = context.providers.key_mark(account)
            before = known.get((account, mark), AccountAnswers(key_mark=mark))
            answers = await self._ask(account, provider, before, now)
            newest = newest_answers(known).get(account)
            if answers != before or (newest is not None and newest.key_mark != mark):
                await context.store.adoption.save_answers(account, replace(answers, saved_at=now))
            if account not in self._refused:
                asked.append(answers)
        await self._conclude(asked, now)

    async def _conclude(self, asked: Sequence[AccountAnswers], now: datetime) -> None:
        """A row that every account was asked about, and none showed, is in no account whose key is here.

        An account whose key is refused shows nothing to anybody; one that does not answer may have the chat.
        """
        reached = [(answers.asked_at, answers.asked_id) for answers in asked if answers.asked_at is not None]
        if reached and len(reached) == len(asked):
            await self._context.store.adoption.mark_not_in_account(*min(reached), now)

    async def _ask(
        self, account: str, provider: SupportsListing, known: AccountAnswers, now: datetime
    ) -> AccountAnswers:
        """Ask one account as far as its calls allow. Its answers so far, with the problem if it has one."""
        context = self._context
        if self._marks.setdefault(account, known.key_mark) != known.key_mark:
            self._marks[account] = known.key_mark
            self._seen.pop(account, None)
        if (await context.store.accounts.get(account)).is_polling_paused(now):
            return known
        answers, error = known, None
        try:
            answers = await self._read_list(account, provider, answers, now)
            answers, error = await self._ask_singly(account, provider, answers)
            if error is None:
                await self._ask_young_projects(account, provider, now)
        except ProviderError as caught:
            error = caught
        except DatabaseUnavailable:
            raise
        except Exception as unexpected:  # The other accounts are asked all the same.
            log.exception("account_not_asked", account=account)
            error = ProviderError(
                f"The app builder's answer could not be read ({type(unexpected).__name__}).", code="bad_answer"
            )
        return await self._with_problem(account, answers, error, now)

    async def _with_problem(
        self, account: str, answers: AccountAnswers, error: ProviderError | None, now: datetime
    ) -> AccountAnswers:
        """The answers with the error that ended them, if one did. A pause that the provider asks for begins."""
        problem = None if error is None else str(error)
        if problem is not None and problem != answers.problem:
            log.warning("older_rows_not_asked_about", account=account, reason=problem)
        if error is not None and error.status == 401:
            self._refused.add(account)
        else:
            self._refused.discard(account)
        if error is not None and error.retry_after is not None:
            until = now + error.retry_after
            await self._context.store.accounts.pause_polling(account, until, "rate_limited", str(error))
        return replace(answers, problem=problem)

    async def _read_list(
        self, account: str, provider: SupportsListing, answers: AccountAnswers, now: datetime
    ) -> AccountAnswers:
        """Look for all chats in the account's list, if it was not read for some of them. Raises `ProviderError`."""
        chats = await self._context.store.adoption.unknown_chats()
        again = answers.listed_at is not None and now - answers.listed_at >= LISTED_AGAIN
        seen = self._seen.setdefault(account, {chat.chat_id for chat in chats if answers.has_listed(chat)})
        unlisted = [chat for chat in chats if again or chat.chat_id not in seen]
        calls = (await self._budget.allowance(account)).left(Priority.OLD)
        if not unlisted or calls == 0:
            return answers
        times = [chat.created_at for chat in unlisted if chat.created_at is not None]
        since = min(times) if len(times) == len(unlisted) else None
        listing = await provider.list_chats({chat.chat_id for chat in unlisted}, since=since, calls=calls)
        shown = {chat.chat_id: chat for chat in listing.chats}
        await self._follow_listed(account, [chat for chat in chats if chat.chat_id in shown], shown)
        if not listing.whole:
            return answers
        seen.update(chat.chat_id for chat in unlisted)
        return replace(answers, listed_at=now)

    async def _follow_listed(self, account: str, chats: Sequence[UnknownChat], shown: dict[str, ListedChat]) -> None:
        """Follow the prototypes of these chats, the newest rows first."""
        ids = [chat.mockup_id for chat in sorted(chats, key=_made_at, reverse=True)]
        for start in range(0, len(ids), BATCH_SIZE):
            some = ids[start : start + BATCH_SIZE]
            by_id = {prototype.id: prototype for prototype in await self._context.store.get_many(some)}
            for place, mockup_id in enumerate(some, start):
                prototype = by_id.get(mockup_id)
                if prototype is not None and prototype.chat_id in shown:
                    await self._follow(account, prototype, shown[prototype.chat_id], place)

    async def _ask_singly(
        self, account: str, provider: SupportsListing, answers: AccountAnswers
    ) -> tuple[AccountAnswers, ProviderError | None]:
        """Ask about the chats that the account's list does not show, each once. Also the error that ended it."""
        store = self._context.store.adoption
        for _ in range(SINGLE_ASKS // ASKED_TOGETHER):
            calls = (await self._budget.allowance(account)).left(Priority.RECENT)
            unasked = await store.unasked(answers, ASKED_TOGETHER if calls is None else min(calls, ASKED_TOGETHER))
            unasked = list(takewhile(partial(_may_be_asked, answers.listed_at), unasked))
            if not unasked:
                break
            try:
                shown = await self._shown_singly(provider, unasked)
            except ProviderError as error:
                return answers, error
            for place, prototype in enumerate(unasked):
                if prototype.id in shown:
                    await self._follow(account, prototype, shown[prototype.id], place)
            last = unasked[-1]
            answers = replace(answers, asked_at=last.generation.created_at, asked_id=last.id)
        return answers, None

    async def _ask_young_projects(self, account: str, provider: SupportsListing, now: datetime) -> None:
        """Ask again about projects of rows that are young: the old system makes the chat after the project.

        Raises `ProviderError`.
        """
        asked_at = self._projects_asked_at.get(account, now)
        self._projects_asked_at.setdefault(account, now)
        calls = (await self._budget.allowance(account)).left(Priority.RECENT)
        if now - asked_at < PROJECTS_PAUSE or calls == 0:
            return
        self._projects_asked_at[account] = now
        young = await self._context.store.adoption.young_projects(now - PROJECTS_YOUNG, ASKED_TOGETHER)
        for mockup_id, chat in (await self._shown_singly(provider, young)).items():
            prototype = next(one for one in young if one.id == mockup_id)
            await self._follow(account, prototype, chat, 0)

    async def _shown_singly(
        self, provider: SupportsListing, prototypes: Sequence[TrackedPrototype]
    ) -> dict[str, ListedChat]:
        """The chats that the account shows, by the ids of their prototypes. Raises `ProviderError`."""
        chats = {prototype.id: prototype.chat_id for prototype in prototypes if prototype.chat_id}
        now = self._context.clock()
        targets = [PollTarget(chat_id, None, now, individually=True) for chat_id in dict.fromkeys(chats.values())]
        result = await provider.observe(targets)
        if result.problem is not None:
            raise ProviderError(result.problem, code="not_asked", retry_after=result.retry_after)
        shown = {
            mockup_id: ListedChat(chat_id, result.observations[chat_id])
            for mockup_id, chat_id in chats.items()
            if chat_id in result.observations
        }
        for prototype in prototypes:
            if not prototype.chat_id and prototype.project_id:
                chat = await self._chat_of_project(provider, prototype, shown.values())
                if chat is not None:
                    shown[prototype.id] = chat
        return shown

    async def _chat_of_project(
        self, provider: SupportsListing, prototype: TrackedPrototype, shown: Iterable[ListedChat]
    ) -> ListedChat | None:
        """The chat of a row that names only its project; None if the account does not show one that no row has."""
        chats = await provider.chats_of_project(prototype.project_id or "")
        taken = await self._context.store.known_chats("", [chat.chat_id for chat in chats])
        return adoption.chat_of_project(chats, prototype.created_at, taken | {chat.chat_id for chat in shown})

    async def _follow(self, account: str, prototype: TrackedPrototype, chat: ListedChat, place: int) -> None:
        """Follow a prototype in the account that shows its chat. One that cannot be written delays no other one."""
        context = self._context
        now = context.clock()
        pictured_at = now + PICTURE_PAUSE * place
        after = adoption.found(prototype, account, chat, now, context.timing, finalize_at=pictured_at)
        event = Event("adopted", Source.SWEEP, now, status=after.status.value, data={"chat_id": chat.chat_id})
        try:
            await context.store.save(prototype, after, event)
        except DatabaseError:
            log.exception("older_row_not_adopted", prototype_id=prototype.id)


def _may_be_asked(listed_at: datetime | None, prototype: TrackedPrototype) -> bool:
    """Whether a list would have shown the chat, or the row names a project, which no list shows."""
    return prototype.chat_id is None or (listed_at is not None and prototype.generation.created_at <= listed_at)


def _made_at(chat: UnknownChat) -> datetime:
    return chat.created_at or chat.adopted_at
