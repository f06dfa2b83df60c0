"""The steps of a census: each makes one call at most, and is saved together with what the call has brought.

A process that is killed anywhere leaves the census where its last step was saved: the call is made once more, and rows
are written again as they are. Two processes never save the same step, because each save is guarded by the census's
version. Nothing is written at the app builder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from protokeep.core.census import PROMPT_KEPT, Census, CensusChat, CensusState, ChatContent, Claim
from protokeep.core.census_sightings import KnownChat, Sighting, sighting_of
from protokeep.core.census_tasks import NOT_SERVED, CensusTasks, Task, Work
from protokeep.core.errors import ProtokeepError, ProviderBusy, ProviderError, ProviderUnreachable
from protokeep.core.foreign_text import is_id
from protokeep.core.timing import backoff
from protokeep.providers.census_port import AccountPage, SupportsCensus, with_census
from protokeep.service.census_accounts import may_read
from protokeep.service.census_groups import CensusGrouping
from protokeep.service.census_marks import mark_of
from protokeep.service.clean_up_budget import CleanUpBudget
from protokeep.service.context import Context
from protokeep.store import census as writes
from protokeep.store.accounts import count_clean_up_calls
from protokeep.store.census import Belongs, CensusStore
from protokeep.store.sql import Connection

log = structlog.get_logger(__name__)

#: How long a step keeps its census from other processes. One of a killed process is taken up after it.
LEASE = timedelta(seconds=90)
#: A longer wait than this shows as a pause.
SHORT_WAIT = timedelta(seconds=10)
#: A list that shifts faster than it can be read is begun again this often, and a call that fails is made again.
MOST_WALKS, MOST_TRIES = 10, 30
NO_CREDITS_PAUSE = timedelta(hours=1)
#: Projects whose names are remembered; accounts are said to have at most a hundred.
MOST_PROJECTS = 2_000


@dataclass(frozen=True, slots=True)
class Step:
    """What a step leads to: the tasks that are left, what it saves beside them, and the calls that it made."""

    tasks: CensusTasks
    belongs: Belongs | None = None
    calls: int = 0
    chats: int = 0  #: chats that this census had not seen before


class CannotGoOn(Exception):
    """A person has to do something first; the message says what."""


class CensusRunner:
    """Takes censuses forward, in any process, the longest due first."""

    def __init__(self, context: Context, budget: CleanUpBudget) -> None:
        self._context = context
        self._budget = budget
        self._store = CensusStore(context.store)
        self._grouping = CensusGrouping(context)

    async def step(self) -> datetime | None:
        """Take one due census a step further. When the next step of any is due; None: no census is open."""
        for census in await self._store.due(self._context.clock()):
            if await self._take_and_step(census):
                break
        return await self._store.next_step_at()

    async def _take_and_step(self, census: Census) -> bool:
        """Whether this process had the census, and took its step."""
        context = self._context
        tasks = CensusTasks.of(census.position)
        taken = await self._store.take(census, context.clock() + LEASE)
        if taken is None:
            return False
        context.checkpoint("census_taken")
        task = tasks.first
        waits_until = await self._budget.next_call_at(census.account) if task is not None and task.needs_call else None
        if waits_until is not None:
            await self._save(_waiting(taken, waits_until, context.clock()))
            return False  # Another census may have calls left.
        after, step = await self._after_step(taken, tasks, task)
        context.checkpoint("census_read")

        async def belongs(connection: Connection) -> None:
            if step.belongs is not None:
                await step.belongs(connection)
            if step.calls:
                await count_clean_up_calls(connection, census.account, step.calls, context.clock())

        await self._save(after, belongs)
        context.checkpoint("census_saved")
        return True

    async def _after_step(self, census: Census, tasks: CensusTasks, task: Task | None) -> tuple[Census, Step]:
        """The census after its step, and what is saved beside it. Raises errors of the database only."""
        try:
            step = await self._step(census, tasks, task) if task is not None else Step(tasks)
        except ProviderError as error:
            return await self._after_error(census, tasks, error), Step(tasks, calls=1)
        except CannotGoOn as error:
            return self._ended(census, CensusState.FAILED, str(error)), Step(tasks)
        except ProtokeepError:  # The database cannot do this now: the step is due again when its lease ends.
            raise
        except Exception as unexpected:
            log.exception("census_step_failed", account=census.account)
            words = f"An answer of the app builder could not be read ({type(unexpected).__name__})."
            return await self._after_error(census, tasks, ProviderError(words, code="bad_answer")), Step(tasks, calls=1)
        return self._after(census, step), step

    async def _save(self, census: Census, belongs: Belongs | None = None) -> None:
        if not await self._store.save(census, belongs):
            log.info("census_overtaken", account=census.account, workspace_id=census.workspace_id)
        elif census.finished_at is not None:
            log.info(
                "census_ended",
                account=census.account,
                workspace_id=census.workspace_id,
                state=census.state.value,
                chats=census.chats,
                calls=census.calls,
            )

    # -- one step ----------------------------------------------------------------------------------------------

    async def _step(self, census: Census, tasks: CensusTasks, task: Task) -> Step:
        """Raises `ProviderError` and `CannotGoOn`."""
        if task.work is Work.GROUPS:
            return await self._group(census, tasks)
        await self._context.providers.refresh()
        if not may_read(self._context.providers, census.workspace_id, census.account):
            raise CannotGoOn("The workspace no longer has a key of this account. Set it again, then start a new scan.")
        if task.work is Work.PROMPTS:
            return await self._read_prompt(census, tasks, task)
        provider = self._provider(census.account, task.api_version)
        if provider is None:
            return Step(tasks.was_refused(task.api_version, "") if task.work is Work.LIST else tasks.done())
        reads = {Work.LIST: self._read_list, Work.PROJECTS: self._read_projects, Work.COSTS: self._read_costs}
        return await reads[task.work](census, tasks, task, provider)

    def _provider(self, account: str, api_version: int) -> SupportsCensus | None:
        return with_census(self._context.providers.serving(account, api_version))

    async def _read_list(self, census: Census, tasks: CensusTasks, task: Task, provider: SupportsCensus) -> Step:
        walk = f"{census.id}:{task.api_version}:{tasks.walk}"
        seen = await self._store.walked(census.workspace_id, census.account, walk)
        before = provider.calls
        try:
            page = await provider.read_account(tasks.at, seen)
        except ProviderError as error:
            if tasks.at is None and error.status in NOT_SERVED:
                return Step(_require_some(tasks.was_refused(task.api_version, str(error))), calls=1)
            raise
        calls = min(max(provider.calls - before, 1), 2)  # Polls of the same account count there, too.
        known, sightings = await self._sightings(census, page, task.api_version)
        now = self._context.clock()
        new = sum(known[one.chat.chat_id].last_census_id != census.id for one in sightings if one.chat.chat_id in known)
        new += sum(one.chat.chat_id not in known for one in sightings)
        after = _after_page(census, tasks, task, page, _is_known(census, task, walk, known, sightings))
        is_whole = task.api_version in after.read and page.position is None and not page.is_broken

        async def belongs(connection: Connection) -> None:
            await writes.save_chats(connection, census, walk, sightings, now)
            if is_whole and census.is_whole:
                await writes.mark_missing(connection, census, task.api_version, walk)

        return Step(after, belongs, calls, new)

    async def _sightings(
        self, census: Census, page: AccountPage, api_version: int
    ) -> tuple[Mapping[str, KnownChat], Sequence[Sighting]]:
        """What the table knows of a page's chats, and how they are saved now.

        A chat that was made a moment ago and that nobody has claimed may be one that a prototype waits for: it is left
        to the next census.
        """
        context = self._context
        shown = _shown_on(page, api_version)
        ids = [chat.chat_id for chat in shown]
        known = await self._store.known(census.workspace_id, census.account, ids)
        owners = await self._store.owners(census.workspace_id, census.account, ids)
        young_since = context.clock() - context.timing.settle
        found = [
            sighting_of(
                chat,
                known.get(chat.chat_id),
                mark_of(chat.metadata, context.signer, census.workspace_id),
                owners.get(chat.chat_id),
            )
            for chat in shown
        ]
        return known, [one for one in found if one.chat.chat_id in known or not _is_young(one, young_since)]

    async def _read_projects(self, census: Census, tasks: CensusTasks, task: Task, provider: SupportsCensus) -> Step:
        before = provider.calls
        try:
            names = dict(await provider.project_names())
        except ProviderError as error:
            if error.status not in NOT_SERVED:
                raise
            return Step(tasks.done().noted(f"The names of projects are not known: {error}"), calls=1)
        kept = dict(list({**tasks.projects, **names}.items())[:MOST_PROJECTS])
        return Step(replace(tasks.done(), projects=kept), calls=min(provider.calls - before, 1))

    async def _read_costs(self, census: Census, tasks: CensusTasks, task: Task, provider: SupportsCensus) -> Step:
        """A page of the usage report of the version that reads the chats: the other one would count costs twice."""
        if tasks.at is None:
            numbers = await self._store.chats_by_version(census.workspace_id, census.account)
            if task.api_version not in tasks.read or not numbers.get(task.api_version):
                return Step(tasks.done())
        first = tasks.at is None
        try:
            page = await provider.costs_page(tasks.at)
        except ProviderError as error:
            if error.status not in NOT_SERVED:
                raise
            return Step(tasks.done().noted(f"What chats have cost is not known: {error}"), calls=1)
        last = page.position is None
        after = tasks.done() if last else tasks.moved(page.position)
        belongs = partial(
            _add_costs, census=census, version=task.api_version, credits=page.credits, first=first, last=last
        )
        return Step(after, belongs, calls=1)

    async def _read_prompt(self, census: Census, tasks: CensusTasks, task: Task) -> Step:
        """The first message of the first chat that is left. A chat that is gone has none."""
        if not task.chat_ids:
            return Step(tasks.done())
        chat_id, rest = task.chat_ids[0], replace(task, chat_ids=task.chat_ids[1:])
        after = tasks.done(rest)
        known = (await self._store.known(census.workspace_id, census.account, [chat_id])).get(chat_id)
        owners = await self._store.owners(census.workspace_id, census.account, [chat_id])
        is_foreign = owners.get(chat_id) is Claim.FOREIGN or known is None or known.claim is Claim.FOREIGN
        provider = None if known is None else self._provider(census.account, known.chat.api_version)
        if is_foreign or provider is None:
            return Step(after)
        try:
            prompt = await provider.first_prompt(chat_id)
        except ProviderError as error:
            if error.status not in (403, 404, 410):
                raise
            prompt = None
        kept = None if prompt is None else prompt.replace("\x00", "")[:PROMPT_KEPT]
        now = self._context.clock()
        belongs = partial(writes.save_prompt, census=census, chat_id=chat_id, prompt=kept, now=now)
        return Step(after, belongs, calls=1)

    async def _group(self, census: Census, tasks: CensusTasks) -> Step:
        """Groups, and prompts that may join them, and groups once more when those were read."""
        is_last = any(note == PROMPTS_READ for note in tasks.notes)
        made = await self._grouping.group(census, tasks.projects, with_prompts=not is_last)
        after = tasks.done()
        if made.prompts:
            after = tasks.done(Task(Work.PROMPTS, chat_ids=tuple(made.prompts)), Task(Work.GROUPS)).noted(PROMPTS_READ)
        return Step(after, partial(writes.save_groups, census=census, groups=made.groups, changed=made.changed))

    # -- what follows ------------------------------------------------------------------------------------------

    def _after(self, census: Census, step: Step) -> Census:
        census = replace(
            census,
            position=step.tasks.as_json(),
            calls=census.calls + step.calls,
            chats=census.chats + step.chats,
            problem=None,
        )
        task = step.tasks.first
        if task is None:
            notes = [note for note in step.tasks.notes if note != PROMPTS_READ]
            return self._ended(census, CensusState.DONE, " ".join(dict.fromkeys(notes)) or None)
        pause = self._context.timing.clean_up_pace if step.calls and task.needs_call else timedelta(0)
        return replace(census, state=CensusState.RUNNING, phase=task.words, step_at=self._context.clock() + pause)

    def _ended(self, census: Census, state: CensusState, problem: str | None) -> Census:
        return replace(census, state=state, problem=problem, step_at=None, finished_at=self._context.clock(), phase="")

    async def _after_error(self, census: Census, tasks: CensusTasks, error: ProviderError) -> Census:
        """A refused key needs a person. Everything else passes, and the census goes on by itself."""
        now = self._context.clock()
        census = replace(census, calls=census.calls + 1)
        if error.status in (401, 403):
            return self._ended(
                census,
                CensusState.FAILED,
                f"The app builder rejects this key: {error} Set one of the same account that may read all chats "
                "(PUT /api/design/keys, or V0_API_KEY), then scan again.",
            )
        if tasks.tries >= MOST_TRIES:
            return self._ended(
                census, CensusState.FAILED, f"The app builder failed {tasks.tries + 1} times in a row: {error}"
            )
        if error.status == 402:
            pause, advice = NO_CREDITS_PAUSE, "Add credits there; protokeep tries again every hour."
        else:
            pause, advice = error.retry_after or backoff(tasks.tries, self._context.timing), "It resumes automatically."
            if error.retry_after is not None:
                until = now + error.retry_after
                await self._context.store.accounts.pause_polling(census.account, until, "rate_limited", str(error))
        if not isinstance(error, ProviderBusy | ProviderUnreachable):
            log.warning("census_call_failed", account=census.account, code=error.code, reason=str(error)[:200])
        return replace(
            census,
            state=CensusState.PAUSED,
            step_at=now + pause,
            problem=f"{error} {advice}",
            position=tasks.failed_once().as_json(),
        )


#: A note for the census itself: prompts were read, and the groups that are made next are the last ones.
PROMPTS_READ = "prompts read"


async def _add_costs(
    connection: Connection,
    *,
    census: Census,
    version: int,
    credits: Mapping[str, float],
    first: bool,
    last: bool,
) -> None:
    await writes.add_costs(connection, census, version, credits, first=first, last=last)


def _shown_on(page: AccountPage, api_version: int) -> Sequence[CensusChat]:
    """The chats of a page, each once, also those of which only the id could be read."""
    unread = [
        CensusChat(skipped.chat_id, api_version, ChatContent.UNREADABLE, created_at=skipped.created_at)
        for skipped in page.unreadable
        if is_id(skipped.chat_id)
    ]
    return list({chat.chat_id: chat for chat in [*unread, *page.chats]}.values())


def _after_page(census: Census, tasks: CensusTasks, task: Task, page: AccountPage, is_known: bool) -> CensusTasks:
    """Where the reading of a list goes on. Raises `CannotGoOn` when it was begun again too often."""
    if page.is_broken:
        if tasks.walk >= MOST_WALKS:
            raise CannotGoOn(
                "The list of chats changes faster than it can be read, so that chats would be missed. Scan again at a "
                "time when fewer people work in the account."
            )
        return tasks.again()
    if page.position is None or (is_known and not census.is_whole):
        return tasks.was_read(task.api_version)
    return tasks.moved(page.position)


def _is_known(
    census: Census, task: Task, walk: str, known: Mapping[str, KnownChat], sightings: Sequence[Sighting]
) -> bool:
    """Whether a page shows only what an earlier census knew already. Rows that this walk has met say nothing."""
    told = [one for one in sightings if one.chat.chat_id not in known or known[one.chat.chat_id].walk != walk]
    ours = f"{census.id}:{task.api_version}:"
    return bool(told) and not any(
        one.changes(before := known.get(one.chat.chat_id)) or (before is not None and before.walk.startswith(ours))
        for one in told
    )


def _is_young(sighting: Sighting, since: datetime) -> bool:
    made_at = sighting.chat.created_at
    return sighting.claim is Claim.NOBODY and sighting.mark is None and made_at is not None and made_at > since


def _require_some(tasks: CensusTasks) -> CensusTasks:
    """Raises `CannotGoOn` when no version of the API shows a list with this key."""
    is_last = not any(task.work is Work.LIST for task in tasks.tasks)
    if is_last and not tasks.read:
        reasons = " ".join(dict.fromkeys(reason for reason in tasks.refused.values() if reason))
        raise CannotGoOn(
            f"The app builder shows no list of chats with this key: {reasons} Set a key of the account that may read "
            "all chats (PUT /api/design/keys, or V0_API_KEY), then scan again."
        )
    return tasks


def _waiting(census: Census, until: datetime, now: datetime) -> Census:
    """Nothing was done, because no call may be made before `until`."""
    if until - now <= SHORT_WAIT:
        return replace(census, step_at=until)
    return replace(
        census,
        state=CensusState.PAUSED,
        step_at=until,
        problem="Other calls of the account come first, or today's calls are used up. It resumes automatically.",
    )
