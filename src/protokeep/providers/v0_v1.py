"""v0 API v1 (v0's openapi.v1.json): state comes from sweeps over the chat list, finds from reading recent chats."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx2

from protokeep.core.errors import OutcomeUnknown, ProviderError, ProviderRejected
from protokeep.core.prototype import Observation, ObservedState
from protokeep.providers.base import (
    CLOCK_SLACK,
    Capabilities,
    Conversation,
    KnownChats,
    ListedChat,
    Listing,
    MayBegin,
    PollResult,
    PollTarget,
    RemoteChat,
    Search,
    Skipped,
)
from protokeep.providers.v0_common import (
    READ_TIMEOUT_SECONDS,
    message_of,
    newest_first,
    oldest_prompt,
    unreadable_message,
)
from protokeep.providers.v0_fields import amount, id_of, instant, link, list_in, missing_id, segment, text
from protokeep.providers.v0_http import V0Config
from protokeep.providers.v0_metadata import MetadataCache, remote_chat_of
from protokeep.providers.v0_polls import PollRound, in_parallel
from protokeep.providers.v0_v1_census import USAGE_PAGE, V0V1Census
from protokeep.providers.v0_v1_list import LIST_TIMEOUT_SECONDS
from protokeep.providers.v0_v1_observations import (
    chat_of_detail,
    messages_of,
    newest_message_id,
    observation_of_detail,
    observation_of_row,
)
from protokeep.providers.v0_walks import OVERLAP, PAGE, OffsetWalk, ids_of, matches

#: Heavy detail reads in one round of polls, for chats whose state the list does not show.
MAX_DETAILS = 20
#: Detail reads at once.
PARALLEL_READS = 8
#: Pages that are read of the usage report for some chats.
MAX_USAGE_PAGES = 20


class V0V1(V0V1Census):
    """One v0 account, through API v1. `message_id` names a version of the generated code."""

    capabilities = Capabilities(batch_status=True, metadata_search=False, cost_reports=True)

    def __init__(self, config: V0Config, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        super().__init__(config, transport)
        self._metadata = MetadataCache(self._chat_of_ours)

    async def create(
        self, prompt: str, metadata: Mapping[str, str], *, may_begin: MayBegin | None = None
    ) -> RemoteChat:
        """`POST /chats` with `responseMode: async` -> 200 ChatDetail."""
        body = {"message": prompt, "responseMode": "async", "metadata": dict(metadata)}
        answer = await self._http.request("POST", "chats", body=body, may_begin=may_begin)
        return chat_of_detail(answer, metadata, "the create", self._plain_hosts)

    def polling_cost(self, chats: int) -> int:
        """The pages to read if the polled chats are the newest ones of the list."""
        return -(-chats // (PAGE - OVERLAP)) if chats else 0

    async def observe(self, targets: Sequence[PollTarget]) -> PollResult:
        """Read `GET /chats` until every chat was met, then the details of a few chats whose state it does not show."""
        polls = PollRound()
        try:
            unclear = await self._sweep(targets, polls)
        except ProviderError as error:
            polls.problems.append(error)
            return polls.result()

        async def read(target: PollTarget) -> None:
            try:
                polls.observations[target.chat_id] = await self._read(target)
            except ProviderError as error:
                polls.note_error(target.chat_id, error)

        await in_parallel(unclear[:MAX_DETAILS], read, limit=PARALLEL_READS, may_continue=lambda: not polls.problems)
        return polls.result()

    async def _sweep(self, targets: Sequence[PollTarget], polls: PollRound) -> list[PollTarget]:
        """Record the states that the list shows. Returns the chats whose detail has to be read."""
        listed = {target.chat_id: target for target in targets if not target.individually}
        unmet = {target.chat_id for target in listed.values() if not target.only_if_listed}
        oldest = min((listed[chat_id].created_at for chat_id in unmet), default=None)
        unclear: list[PollTarget] = []

        def pages_needed() -> int:
            return -(-len(unmet) // PAGE)

        async for row in self._list.rows(before=oldest, pages_needed=pages_needed):
            target = listed.pop(id_of(row) or "", None)
            if target is None:
                continue
            unmet.discard(target.chat_id)
            observation = observation_of_row(row, self._plain_hosts)
            if observation is None or observation.message_id == target.previous_message_id is not None:
                unclear.append(target)
                observation = Observation(ObservedState.QUEUED, web_url=link(row.get("webUrl"), self._plain_hosts))
            polls.observations[target.chat_id] = observation
        return [target for target in targets if target.individually or target.chat_id in unmet] + [
            target for target in unclear if target.thoroughly and not target.only_if_listed
        ]

    async def _read(self, target: PollTarget) -> Observation:
        """`GET /chats/{id}`."""
        detail = await self._http.request("GET", f"chats/{segment(target.chat_id)}", time_limit=READ_TIMEOUT_SECONDS)
        return observation_of_detail(
            detail,
            target.chat_id,
            target.previous_message_id,
            target.baseline_message_id,
            plain_hosts=self._plain_hosts,
        )

    async def list_chats(self, chat_ids: Collection[str], *, since: datetime | None, calls: int | None) -> Listing:
        """`GET /chats`, page after page."""
        unmet, found = set(chat_ids), dict[str, ListedChat]()
        may_call = self._may_call(calls)
        async for row in self._list.rows(
            before=since, pages_needed=lambda: -(-len(unmet) // PAGE) if may_call() else 0
        ):
            chat = self._listed(row)
            if chat is not None:
                found[chat.chat_id] = chat
                unmet.discard(chat.chat_id)
        return Listing(list(found.values()), whole=not unmet or may_call())

    async def chats_of_project(self, project_id: str) -> list[ListedChat]:
        """`GET /projects/{id}`: a ProjectDetail holds its chats as rows of a list."""
        try:
            detail = await self._http.request("GET", f"projects/{segment(project_id)}")
        except ProviderRejected as error:
            if error.status != 404:
                raise
            return []
        rows = detail.get("chats") if isinstance(detail, dict) else None
        chats = [chat for row in (rows if isinstance(rows, list) else []) if (chat := self._listed(row)) is not None]
        return sorted(chats, key=lambda chat: chat.created_at or datetime.max.replace(tzinfo=UTC), reverse=True)

    async def recent_chats(self) -> list[str]:
        """`GET /chats`, one page."""
        params = {"limit": PAGE, "offset": 0}
        page = await self._http.request("GET", "chats", params=params, time_limit=LIST_TIMEOUT_SECONDS)
        return ids_of(list_in(page, "data", "list of chats"))

    async def send(self, chat_id: str, message: str, *, may_begin: MayBegin | None = None) -> RemoteChat:
        """`POST /chats/{id}/messages` with `responseMode: async` -> 200 ChatDetail, perhaps before the new version."""
        path, body = f"chats/{segment(chat_id)}/messages", {"message": message, "responseMode": "async"}
        answer = await self._http.request("POST", path, body=body, may_begin=may_begin)
        if not isinstance(answer, dict) or answer.get("id") != chat_id:
            raise missing_id("the message")
        return RemoteChat(
            chat_id,
            observation=observation_of_row(answer, self._plain_hosts),
            newest_message_id=newest_message_id(answer),
        )

    async def conversation(self, chat_id: str) -> Conversation:
        """`GET /chats/{id}`: the messages of a ChatDetail, and its latest version."""
        detail = await self._http.request("GET", f"chats/{segment(chat_id)}")
        rows = detail.get("messages") if isinstance(detail, dict) else None
        if not isinstance(rows, list) or detail.get("id") != chat_id:
            raise OutcomeUnknown("v0's chat could not be read.", code="bad_answer")
        version_id = id_of(detail.get("latestVersion"))
        messages = newest_first(rows)
        if len(messages) < len(rows):
            raise unreadable_message()
        return Conversation([message_of(row) for row in messages], version_id, whole=True)

    async def costs(self, chats: Sequence[str], *, since: datetime) -> Mapping[str, float]:
        """`GET /reports/usage` from `since` on, 150 rows a page, for one chat or for all chats; costs are texts."""
        costs: dict[str, float] = {}
        params: dict[str, str | int] = {"limit": USAGE_PAGE}
        if len(chats) == 1:
            params["chatId"] = chats[0]
        params["startDate"] = (since - CLOCK_SLACK).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        for _ in range(MAX_USAGE_PAGES):
            page = await self._http.request("GET", "reports/usage", params=params)
            for row in list_in(page, "data", "report of usage"):
                cost = amount(row.get("totalCost")) if isinstance(row, dict) else None
                if cost is not None and row.get("chatId") in chats:
                    costs[row["chatId"]] = round(costs.get(row["chatId"], 0.0) + cost, 6)
            pagination = page.get("pagination")
            cursor = text(pagination.get("nextCursor")) if isinstance(pagination, dict) else None
            if cursor is None or not pagination.get("hasMore"):
                break
            params["cursor"] = cursor
        return costs

    async def find(
        self,
        filters: Sequence[Mapping[str, str]],
        *,
        sent_after: datetime,
        known: KnownChats,
        thorough: bool = True,
        calls: int | None = None,
        continuation: object | None = None,
    ) -> Search:
        """Rows of the list carry no metadata, so unknown chats that are recent enough are read, each once."""
        walk = continuation if isinstance(continuation, OffsetWalk) else OffsetWalk(self._list.page)
        may_call, error = self._may_call(calls), None
        self._metadata.begin_search()
        try:
            await walk.resume(sent_after, may_call, thorough=thorough)
        except ProviderError as caught:
            if not walk.rows.by_id:
                raise
            error = caught
        created_at = walk.rows.created_since(sent_after)
        with_row = await known(list(created_at))
        unknown = [chat_id for chat_id in created_at if chat_id not in with_row]
        if error is None or isinstance(error, OutcomeUnknown):
            error = await self._metadata.read(unknown, may_call) or error
        complete = not self._metadata.unread(unknown)
        chats = [chat for chat_id in unknown if (chat := self._metadata.chat(chat_id)) is not None]
        skipped = [*self._unreadable(unknown, created_at), *walk.rows.without_id]
        return Search(
            [chat for chat in chats if any(matches(chat.metadata, fields) for fields in filters)],
            ended=walk.ended and complete,
            passed=walk.passed and complete,
            skipped=[chat for chat in skipped if chat.may_be_newer_than(sent_after)],
            error=error,
            continuation=None if walk.broken or (walk.ended and complete) else walk,
        )

    def _unreadable(self, chats: Sequence[str], created_at: Mapping[str, datetime | None]) -> list[Skipped]:
        """Those of `chats` that could not be read, with the reason."""
        return [
            Skipped(chat_id, reason, created_at[chat_id])
            for chat_id in chats
            if (reason := self._metadata.unreadable_reason(chat_id)) is not None
        ]

    async def _chat_of_ours(self, chat_id: str) -> RemoteChat | None:
        """`GET /chats/{id}`; None for a chat that carries no metadata of any protokeep."""
        detail = await self._http.request("GET", f"chats/{segment(chat_id)}")
        chat = remote_chat_of(detail, chat_id)
        if not chat.metadata:
            return None
        return replace(chat, observation=observation_of_detail(detail, chat_id, plain_hosts=self._plain_hosts))

    async def prompt_of(self, chat_id: str) -> str | None:
        """The oldest user message of a ChatDetail."""
        detail = await self._http.request("GET", f"chats/{segment(chat_id)}")
        return oldest_prompt(messages_of(detail)) if isinstance(detail, dict) else None

    def _listed(self, row: Any) -> ListedChat | None:
        """The chat in a row of a list; None: the row has no id. A chat without a version says nothing of its state."""
        chat_id = id_of(row)
        if chat_id is None:
            return None
        observation = observation_of_row(row, self._plain_hosts)
        if observation is None:
            observation = Observation(ObservedState.QUEUED, web_url=link(row.get("webUrl"), self._plain_hosts))
        return ListedChat(chat_id, observation, instant(row.get("createdAt")))
