"""v0 API v1 (v0's openapi.v1.json). Tracked by list sweeps of 60 rows; found by walking recent rows."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from protokeep.core.errors import OutcomeUnknown, ProviderBusy, ProviderError, ProviderRejected
from protokeep.core.prototype import Observation, ObservedState
from protokeep.core.validation import PROMPT_MAX
from protokeep.providers.base import (
    CLOCK_SLACK,
    Capabilities,
    Conversation,
    Known,
    MayBegin,
    PollResult,
    PollTarget,
    RemoteChat,
    Search,
    Skipped,
)
from protokeep.providers.v0_common import LOOK_PATIENCE, V0Common, chat_ids, message_of, newest_first
from protokeep.providers.v0_details import Details, made_of
from protokeep.providers.v0_http import TOO_LARGE, V0Config, amount, instant, link, no_id, segment, text
from protokeep.providers.v0_v1_answers import newest_message_id, of_detail, of_row
from protokeep.providers.v0_walks import MAX_PAGES, OVERLAP, PAGE, OffsetWalk, carries

#: Rows of one page that are too large to be read, beyond which v0's answers as a whole count as too large.
MAX_TOO_LARGE = 3
#: Heavy detail reads in one round of looks, for chats that the list cannot tell about.
MAX_DETAILS = 20
#: Pages of a sweep under way at once: one after the other, seventy of them take longer than a sweep may.
PAGES_AT_ONCE = 4
#: Detail reads under way at once.
PARALLEL_READS = 8
#: One page of the list: 60 rows of a few hundred bytes each.
LIST_PATIENCE = 10.0
#: Rows of one page of the usage report, and pages that are read of it.
USAGE_PAGE = 150
MAX_USAGE_PAGES = 20


@dataclass(slots=True)
class _Round:
    """What a round of looks has brought so far."""

    observations: dict[str, Observation] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    unread: dict[str, str] = field(default_factory=dict)

    def ended(self, trouble: str | None = None, retry_after: timedelta | None = None) -> PollResult:
        return PollResult(self.observations, frozenset(self.missing), retry_after, trouble, self.unread)


class V0V1(V0Common):
    """One v0 account, spoken to in API v1."""

    api_version = 1
    capabilities = Capabilities(
        batch_status=True,
        metadata_search=False,
        hooks=True,
        delete=True,
        cancel=True,
        picture=True,
        cost=True,
    )

    def __init__(self, config: V0Config, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        super().__init__(config, transport)
        self._details = Details(self._marked)

    async def create(self, prompt: str, marks: Mapping[str, str], *, may_begin: MayBegin | None = None) -> RemoteChat:
        """`POST /chats` with `responseMode: async` -> 200 ChatDetail."""
        body = {"message": prompt, "responseMode": "async", "metadata": dict(marks)}
        answer = await self._http.request("POST", "chats", body=body, may_begin=may_begin)
        if not isinstance(answer, dict) or not (chat_id := text(answer.get("id"), 200)):
            raise no_id("the create")
        return RemoteChat(
            chat_id,
            project_id=text(answer.get("projectId"), 200),
            metadata=marks,
            created_at=instant(answer.get("createdAt")),
            observation=of_detail(answer, chat_id),
            newest_message_id=newest_message_id(answer),
        )

    def polling_cost(self, chats: int) -> int:
        """Pages to walk when the watched chats are the newest ones."""
        return -(-chats // (PAGE - OVERLAP)) if chats else 0

    async def observe(self, watched: Sequence[PollTarget], *, calls: int | None = None) -> PollResult:
        """Walk `GET /chats` until every watched chat was met; read the few that the list cannot tell."""
        before = self.calls

        def left() -> bool:
            return calls is None or self.calls - before < calls

        looked = _Round()
        try:
            unsure = await self._swept(watched, looked, left)
            await self._read_details(unsure[:MAX_DETAILS], looked, left)
        except ProviderBusy as error:
            return looked.ended(str(error), error.retry_after or timedelta(seconds=30))
        except ProviderError as error:
            return looked.ended(str(error))
        return looked.ended()

    async def _swept(self, watched: Sequence[PollTarget], looked: _Round, left: Callable[[], bool]) -> list[PollTarget]:
        """Note what the list tells. Those that it does not show, or cannot tell about, come back."""
        listed = {chat.chat_id: chat for chat in watched if not chat.individually}
        unmet = {chat.chat_id for chat in listed.values() if not chat.only_if_listed}
        oldest = min((listed[chat_id].created_at for chat_id in unmet), default=None)
        unsure: list[PollTarget] = []

        def wanted() -> int:
            """Pages that are needed at least."""
            return -(-len(unmet) // PAGE) if left() else 0

        async for row in self._rows(before=oldest, wanted=wanted):
            chat_id = text(row.get("id"), 200)
            chat = listed.pop(chat_id, None) if chat_id is not None else None
            if chat is None:
                continue
            unmet.discard(chat.chat_id)
            seen = of_row(row)
            if seen is None or seen.message_id == chat.previous_message_id is not None:
                unsure.append(chat)
                seen = Observation(ObservedState.QUEUED, web_url=link(row.get("webUrl")))
            looked.observations[chat.chat_id] = seen
        return [chat for chat in watched if chat.individually or chat.chat_id in unmet] + [
            chat for chat in unsure if chat.thoroughly and not chat.only_if_listed
        ]

    async def _read_details(self, chats: Sequence[PollTarget], looked: _Round, left: Callable[[], bool]) -> None:
        """Read chats one by one, a few at once. One that cannot be read keeps none of the others from it."""
        queue = list(reversed(chats))
        trouble: list[ProviderError] = []

        async def reader() -> None:
            while queue and not trouble and left():
                chat = queue.pop()
                try:
                    looked.observations[chat.chat_id] = await self._detail(chat)
                except ProviderRejected as error:
                    if error.status == 401:
                        trouble.append(error)
                    elif error.status != 404:
                        looked.unread[chat.chat_id] = str(error)
                    elif chat.chat_id not in looked.observations:  # The list does not show it, either.
                        looked.missing.add(chat.chat_id)
                except OutcomeUnknown as error:
                    looked.unread[chat.chat_id] = str(error)
                except ProviderError as error:
                    trouble.append(error)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(PARALLEL_READS, len(queue))):
                group.create_task(reader())
        if trouble:
            raise next((error for error in trouble if isinstance(error, ProviderBusy)), trouble[0])

    async def recent_chats(self) -> list[str]:
        """`GET /chats`, one page."""
        page = await self._http.request("GET", "chats", params={"limit": PAGE, "offset": 0}, patience=LIST_PATIENCE)
        return chat_ids(page.get("data") if isinstance(page, dict) else None)

    async def _detail(self, chat: PollTarget) -> Observation:
        detail = await self._http.request("GET", f"chats/{segment(chat.chat_id)}", patience=LOOK_PATIENCE)
        return of_detail(detail, chat.chat_id, chat.previous_message_id, chat.baseline_message_id)

    async def send(self, chat_id: str, message: str, *, may_begin: MayBegin | None = None) -> RemoteChat:
        """`POST /chats/{id}/messages` with `responseMode: async` -> 200 ChatDetail, perhaps before the new version."""
        path, body = f"chats/{segment(chat_id)}/messages", {"message": message, "responseMode": "async"}
        answer = await self._http.request("POST", path, body=body, may_begin=may_begin)
        if not isinstance(answer, dict) or answer.get("id") != chat_id:
            raise no_id("the message")
        return RemoteChat(chat_id, observation=of_row(answer), newest_message_id=newest_message_id(answer))

    async def conversation(self, chat_id: str) -> Conversation:
        """`GET /chats/{id}`: the messages of a ChatDetail, and its latest version."""
        detail = await self._http.request("GET", f"chats/{segment(chat_id)}")
        rows = detail.get("messages") if isinstance(detail, dict) else None
        if not isinstance(rows, list) or detail.get("id") != chat_id:
            raise OutcomeUnknown("v0's chat could not be read.", code="bad_answer")
        version = detail.get("latestVersion")
        previous_message_id = text(version.get("id"), 200) if isinstance(version, dict) else None
        return Conversation([message_of(row) for row in newest_first(rows)], previous_message_id, whole=True)

    async def costs(self, chats: Sequence[str], *, since: datetime) -> Mapping[str, float]:
        """`GET /reports/usage` from `since` on, 150 rows a page, for one chat or for all; costs are texts."""
        spent: dict[str, float] = {}
        params: dict[str, str | int] = {"limit": USAGE_PAGE}
        if len(chats) == 1:
            params["chatId"] = chats[0]
        params["startDate"] = (since - CLOCK_SLACK).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        for _ in range(MAX_USAGE_PAGES):
            page = await self._http.request("GET", "reports/usage", params=params)
            rows = page.get("data") if isinstance(page, dict) else None
            if not isinstance(rows, list):
                raise OutcomeUnknown("v0's report of usage could not be read.", code="bad_answer")
            for row in rows:
                cost = amount(row.get("totalCost")) if isinstance(row, dict) else None
                if cost is not None and row.get("chatId") in chats:
                    spent[row["chatId"]] = round(spent.get(row["chatId"], 0.0) + cost, 6)
            pagination = page.get("pagination")
            cursor = text(pagination.get("nextCursor")) if isinstance(pagination, dict) else None
            if cursor is None or not pagination.get("hasMore"):
                break
            params["cursor"] = cursor
        return spent

    async def find(
        self,
        wanted: Sequence[Mapping[str, str]],
        *,
        sent_after: datetime,
        known: Known,
        thorough: bool = True,
        calls: int | None = None,
        rest: object | None = None,
    ) -> Search:
        """List rows carry no metadata: read the unknown ones that are recent enough, each once, and compare."""
        walk = rest if isinstance(rest, OffsetWalk) else OffsetWalk(self._page)
        may_call, error = self._may_call(calls), None
        self._details.begin_search()
        try:
            await walk.go_on(sent_after, may_call, thorough=thorough)
        except ProviderError as caught:
            if not walk.rows.met:
                raise
            error = caught
        made_at = walk.rows.made_since(sent_after)
        ours = await known(list(made_at))
        unknown = [chat_id for chat_id in made_at if chat_id not in ours]
        if error is None or isinstance(error, OutcomeUnknown):
            error = await self._details.read(unknown, may_call) or error
        complete = not self._details.unread(unknown)
        skipped = [
            Skipped(chat_id, reason, made_at[chat_id])
            for chat_id in unknown
            if (reason := self._details.reason(chat_id)) is not None
        ]
        marked = [made for chat_id in unknown if (made := self._details.made(chat_id)) is not None]
        return Search(
            [made for made in marked if any(carries(made.metadata, marks) for marks in wanted)],
            ended=walk.ended and complete,
            passed=walk.passed and complete,
            skipped=[one for one in (*skipped, *walk.rows.nameless) if one.may_be_of(sent_after)],
            error=error,
            rest=None if walk.broken or (walk.ended and complete) else walk,
        )

    async def _page(self, offset: int) -> list[Any]:
        """Rows of `GET /chats`. Single ones that are too large to be read are None; they hide no others."""
        too_large = 0

        async def rows(first: int, limit: int) -> list[Any]:
            nonlocal too_large
            try:
                return await self._rows_from(first, limit)
            except OutcomeUnknown as error:
                too_large += limit == 1
                if error.code != TOO_LARGE or too_large > MAX_TOO_LARGE:
                    raise
            if limit == 1:
                return [None]
            half = limit // 2
            found = await rows(first, half)
            return found + (await rows(first + half, limit - half) if len(found) == half else [])

        return await rows(offset, PAGE)

    async def _rows_from(self, offset: int, limit: int) -> list[Any]:
        params = {"limit": limit, "offset": offset}
        page = await self._http.request("GET", "chats", params=params, patience=LIST_PATIENCE)
        rows = page.get("data") if isinstance(page, dict) else None
        if not isinstance(rows, list):
            raise OutcomeUnknown("v0's list of chats could not be read.", code="bad_answer")
        return rows

    async def _marked(self, chat_id: str) -> RemoteChat | None:
        """`GET /chats/{id}`; None for a chat that carries no marks of any protokeep."""
        detail = await self._http.request("GET", f"chats/{segment(chat_id)}")
        made = made_of(detail, chat_id)
        if not any(key.startswith("protokeep") for key in made.metadata):
            return None
        return replace(made, observation=of_detail(detail, chat_id))

    async def prompt_of(self, chat_id: str) -> str | None:
        """The oldest user message of a ChatDetail."""
        detail = await self._http.request("GET", f"chats/{segment(chat_id)}")
        rows = detail.get("messages") if isinstance(detail, dict) else None
        asked = [row for row in rows or () if isinstance(row, dict) and row.get("role") == "user"]
        oldest = min(asked, key=lambda row: str(row.get("createdAt", "")), default={})
        return text(oldest.get("content"), PROMPT_MAX)

    async def _rows(self, *, before: datetime | None, wanted: Callable[[], int]) -> AsyncIterator[dict[str, Any]]:
        """Rows of `GET /chats`, page after overlapping page, for as long as pages are `wanted`.

        Ends at a short page, or at a page of rows older than `before`. The order is not stated, so the last holds only
        while everything met so far came newest first, and some of it visibly so.
        """
        newest_first, visibly = True, False
        async with contextlib.aclosing(self._pages(wanted)) as pages:
            async for rows in pages:
                fresh = False
                previous: datetime | None = None  # The page before overlaps this one.
                for row in rows:
                    if isinstance(row, dict):
                        created = instant(row.get("createdAt"))
                        fresh = fresh or created is None or before is None or created >= before - CLOCK_SLACK
                        if created is not None and previous is not None:
                            newest_first = newest_first and created <= previous
                            visibly = visibly or created < previous
                        previous = created or previous
                        yield row
                if len(rows) < PAGE or (newest_first and visibly and not fresh):
                    return
                await asyncio.sleep(0)

    async def _pages(self, wanted: Callable[[], int]) -> AsyncGenerator[list[Any], None]:
        """Pages of the list in their order, a few under way at once, and no more of them than are `wanted`."""
        begun, under_way = 0, deque[asyncio.Task[list[Any]]]()
        try:
            while (needed := wanted()) and (under_way or begun < MAX_PAGES):
                while len(under_way) < min(needed, PAGES_AT_ONCE) and begun < MAX_PAGES:
                    under_way.append(asyncio.create_task(self._page(begun * (PAGE - OVERLAP))))
                    begun += 1
                yield await under_way.popleft()
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
