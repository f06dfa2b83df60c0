"""Censuses as people use them: begin one, see how far it is, look at what was found, pin what has to stay."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

from protokeep.core.audit import Action, AuditEntry
from protokeep.core.census import Census, CensusState
from protokeep.core.census_summary import CensusSummary, summary_of
from protokeep.core.census_tasks import tasks_of
from protokeep.core.errors import NotConfigured, NotFound
from protokeep.core.foreign_text import is_id
from protokeep.core.principals import Principal
from protokeep.providers.base import Image
from protokeep.service.census_accounts import account_to_read, account_to_show, versions_read
from protokeep.service.census_adoption import AdoptRequest, AdoptResult, CensusAdopter
from protokeep.service.census_pictures import CensusPictures
from protokeep.service.clean_up_budget import CleanUpBudget
from protokeep.service.context import Context
from protokeep.service.provider_accounts import DEFAULT_PROVIDER
from protokeep.store.census import CensusStore
from protokeep.store.census_reads import CensusReads, ChatFilters, FoundChat, FoundGroup, Place

OPEN = frozenset({CensusState.RUNNING, CensusState.PAUSED})
#: Authors and products that a summary names.
MOST_NAMED = 20
#: Words of a search that count, and their length in all.
MOST_WORDS, MOST_TEXT = 6, 200
MOST_REASON = 200


@dataclass(frozen=True, slots=True)
class CensusOverview:
    """The accounts that the workspace may read, the one that is shown, and its censuses, newest first.

    `expected_calls` and `seconds_left` are what the open census takes, as far as an earlier one tells; None: unknown.
    """

    accounts: Sequence[str]
    account: str
    censuses: Sequence[Census] = field(default=())
    expected_calls: int | None = None
    seconds_left: float | None = None

    @property
    def newest(self) -> Census | None:
        """The newest census; None: there was none."""
        return self.censuses[0] if self.censuses else None


class CensusService:
    """Everything about censuses but their steps."""

    def __init__(self, context: Context, budget: CleanUpBudget, pictures: CensusPictures) -> None:
        self._context = context
        self._pictures = pictures
        self._store = CensusStore(context.store)
        self._reads = CensusReads(context.store)
        self._adopter = CensusAdopter(context, budget)

    # -- for admins --------------------------------------------------------------------------------------------

    async def start(self, principal: Principal, account: str | None = None, whole: bool | None = None) -> Census:
        """Begin a census of the workspace's account; the open one, if there is one. Its steps are taken by jobs.

        `whole` None: the first one reads the lists to their ends, later ones what is new. Raises `InvalidInput` and
        `NotConfigured`.
        """
        context = self._context
        await context.providers.refresh()
        account = account_to_read(context.providers, principal.workspace_id, account)
        versions = versions_read(context.providers, account)
        if not versions:
            raise NotConfigured("The app builder of this account gives out no list of all its chats.")
        before = await self._store.newest_done(principal.workspace_id, account, whole=True)
        is_whole = before is None or bool(whole)
        now = context.clock()
        tasks = tasks_of(versions, with_costs=is_whole)
        census = Census(
            id=uuid4().hex,
            workspace_id=principal.workspace_id,
            account=account,
            state=CensusState.RUNNING,
            is_whole=is_whole,
            requested_by=principal.user_id,
            started_at=now,
            step_at=now,
            phase=tasks.first.words if tasks.first else "",
            position=tasks.as_json(),
            expected=before.chats if before is not None and is_whole else None,
        )
        entry = AuditEntry.of(principal, Action.CENSUS_STARTED, now, census.id, account=account, is_whole=is_whole)
        if await self._store.begin(census, entry):
            return census
        return (await self._store.newest(principal.workspace_id, account, 1))[0]

    async def cancel(self, principal: Principal, account: str | None = None) -> Census:
        """End the open census; what it found so far stays. The newest one if none is open. Raises `NotFound`."""
        account = await self._shown(principal, account)
        now = self._context.clock()
        entry = AuditEntry.of(principal, Action.CENSUS_CANCELLED, now, account=account)
        await self._store.cancel(principal.workspace_id, account, now, entry)
        found = await self._store.newest(principal.workspace_id, account, 1)
        if not found:
            raise NotFound("This account has not been scanned yet. Start a scan with POST /api/design/census.")
        return found[0]

    async def adopt(self, principal: Principal, request: AdoptRequest) -> AdoptResult:
        """Give chats to a product. Raises as `CensusAdopter.adopt`."""
        return await self._adopter.adopt(principal, request)

    # -- for everybody of the workspace ------------------------------------------------------------------------

    async def censuses(self, principal: Principal, account: str | None = None) -> CensusOverview:
        """How far the newest census is, and the ones before it. Raises `InvalidInput`."""
        await self._context.providers.refresh()
        accounts = self._context.providers.accounts_of(DEFAULT_PROVIDER, principal.workspace_id)
        account = await self._shown(principal, account)
        found = await self._store.newest(principal.workspace_id, account)
        newest = found[0] if found else None
        if newest is None or newest.state not in OPEN:
            return CensusOverview(accounts, account, found)
        before = await self._store.newest_done(principal.workspace_id, account, whole=newest.is_whole)
        if before is None:
            return CensusOverview(accounts, account, found)
        left = max(before.calls - newest.calls, 1) * max(self._context.timing.clean_up_pace, timedelta(seconds=0.2))
        return CensusOverview(accounts, account, found, before.calls, left.total_seconds())

    async def summary(self, principal: Principal, account: str | None = None) -> CensusSummary:
        """How many chats there are of which kind, and which nobody needs. Raises `TooMany`, `TooSlow`."""
        account = await self._shown(principal, account)
        async with self._context.scans.turn(principal):
            counts = await self._reads.counts(principal.workspace_id, account, self._context.clock(), MOST_NAMED)
        return summary_of(counts.rows, counts.authors, counts.products)

    async def chats(
        self,
        principal: Principal,
        filters: ChatFilters,
        limit: int,
        *,
        account: str | None = None,
        sort: str = "created",
        after: Place | None = None,
    ) -> tuple[Sequence[FoundChat], Place | None]:
        """A page of chats, and where the next page begins. Raises `TooMany`, `TooSlow`."""
        account = await self._shown(principal, account)
        async with self._context.scans.turn(principal):
            return await self._reads.chats(principal.workspace_id, account, filters, limit, sort=sort, after=after)

    async def all_chats(
        self, principal: Principal, filters: ChatFilters, *, account: str | None = None
    ) -> AsyncIterator[Sequence[FoundChat]]:
        """All chats in pages, each read in a turn of its own. Raises `TooMany`, `TooSlow`."""
        account = await self._shown(principal, account)
        pages = self._reads.all_chats(principal.workspace_id, account, filters, prompts=True)
        while True:
            async with self._context.scans.turn(principal):
                page = await anext(pages, None)
            if page is None:
                return
            yield page

    async def groups(
        self,
        principal: Principal,
        limit: int,
        *,
        account: str | None = None,
        product_id: str | None = None,
        unclaimed: bool = False,
        least_confidence: float | None = None,
        after: tuple[int, str] | None = None,
    ) -> tuple[Sequence[FoundGroup], tuple[int, str] | None]:
        """A page of groups, the largest first. Raises `TooMany`, `TooSlow`."""
        account = await self._shown(principal, account)
        async with self._context.scans.turn(principal):
            return await self._reads.groups(
                principal.workspace_id,
                account,
                limit,
                product_id=product_id,
                unclaimed=unclaimed,
                least_confidence=least_confidence,
                after=after,
            )

    async def picture(self, principal: Principal, chat_id: str, account: str | None = None) -> Image:
        """The picture of a chat that the workspace may see. Raises `NotFound`."""
        account = await self._shown(principal, account)
        found = await self._found(principal, account, chat_id)
        return await self._pictures.picture(account, found.record.chat)

    async def pin(
        self, principal: Principal, chat_id: str, *, account: str | None = None, reason: str | None = None
    ) -> FoundChat:
        """Keep a chat from every plan. A second pin changes nothing. Raises `NotFound` for what nobody here may see."""
        account = await self._shown(principal, account)
        found = await self._found(principal, account, chat_id)
        if found.record.pinned_by is not None:
            return found
        reason = (reason or "").strip()[:MOST_REASON] or None
        entry = self._entry(principal, Action.PINNED, account, chat_id)
        await self._reads.pin(principal.workspace_id, account, chat_id, principal.user_id, reason, entry)
        return await self._found(principal, account, chat_id)

    async def pins(self, workspace_id: str, account: str, chat_ids: Sequence[str]) -> Mapping[str, str]:
        """Who of the workspace pinned which of these chats, by the ids of the pinned ones."""
        return await self._reads.pins(workspace_id, account, chat_ids)

    async def unpin(self, principal: Principal, chat_id: str, *, account: str | None = None) -> FoundChat:
        """Take a pin off a chat, whoever put it there. A chat without one stays as it is. Raises `NotFound`."""
        account = await self._shown(principal, account)
        await self._found(principal, account, chat_id)
        entry = self._entry(principal, Action.UNPINNED, account, chat_id)
        await self._reads.unpin(principal.workspace_id, account, chat_id, entry)
        return await self._found(principal, account, chat_id)

    # -- inside ------------------------------------------------------------------------------------------------

    def _entry(self, principal: Principal, action: Action, account: str, chat_id: str) -> AuditEntry:
        return AuditEntry.of(principal, action, self._context.clock(), chat_id, account=account)

    async def _found(self, principal: Principal, account: str, chat_id: str) -> FoundChat:
        filters = ChatFilters(chat_ids=(chat_id,))
        found: Sequence[FoundChat] = []
        if is_id(chat_id):
            found, _ = await self._reads.chats(principal.workspace_id, account, filters, 1, sort="id")
        if not found:
            raise NotFound("No scan of this account has seen this chat. GET /api/design/census/chats lists its chats.")
        return found[0]

    async def _shown(self, principal: Principal, account: str | None) -> str:
        await self._context.providers.refresh()
        return account_to_show(self._context.providers, principal.workspace_id, account)


def filters_of(text: str, **values: object) -> ChatFilters:
    """Filters with the words of a search."""
    words = text[:MOST_TEXT].replace("\x00", " ").encode(errors="ignore").decode().split()
    given: Mapping[str, object] = {name: value for name, value in values.items() if value is not None}
    return ChatFilters(words=tuple(words[:MOST_WORDS]), **given)  # type: ignore[arg-type]
