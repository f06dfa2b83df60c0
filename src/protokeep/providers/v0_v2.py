"""v0 API v2 (v0's openapi.v2.json). Tracked by one light message read per chat; found by metadata filter."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx2

from protokeep.core.errors import OutcomeUnknown, ProviderBusy, ProviderError, ProviderRejected
from protokeep.core.prototype import Observation, ObservedState
from protokeep.core.validation import PROMPT_MAX
from protokeep.providers.base import (
    Capabilities,
    Conversation,
    Known,
    MayBegin,
    PollResult,
    PollTarget,
    RemoteChat,
    Search,
)
from protokeep.providers.v0_common import LOOK_PATIENCE, V0Common, chat_ids, message_of, newest_first
from protokeep.providers.v0_http import TOO_LARGE, V0Config, amount, instant, no_id, segment, text
from protokeep.providers.v0_walks import FilteredWalks, carries

#: Message reads under way at once.
PARALLEL_READS = 16
#: Reads in a row without an answer that can be used, after which v0 as a whole counts as troubled.
IN_VAIN = 2 * PARALLEL_READS
#: Messages that are read to find out whether a follow-up arrived.
TALK_PAGE = 50
#: Rows of a page of the list; the smaller ones are for rows that are too large to be read together.
PAGE_SIZES = (100, 10, 1)

_FINAL: Mapping[str, tuple[ObservedState, str | None, str | None]] = {
    "stop": (ObservedState.FINISHED, None, None),
    "error": (ObservedState.BROKE, "builder_error", "v0 ended the generation with an error."),
    "content-filter": (ObservedState.BROKE, "content_filter", "v0's content filter stopped the generation."),
    "tool-calls": (ObservedState.WAITING, "waiting_for_answer", "v0 asked a question. Answer it on the chat's page."),
    "length": (ObservedState.WAITING, "needs_a_look", "v0 stopped at its length limit. Look at the chat's page."),
    "other": (ObservedState.WAITING, "needs_a_look", "v0 stopped without saying why. Look at the chat's page."),
}


class V0V2(V0Common):
    """One v0 account, spoken to in API v2."""

    api_version = 2
    capabilities = Capabilities(
        batch_status=False,
        metadata_search=True,
        hooks=True,
        delete=True,
        cancel=True,
        picture=False,
        cost=True,
    )

    def __init__(self, config: V0Config, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        super().__init__(config, transport)
        self._filter_works: bool | None = None

    async def create(self, prompt: str, marks: Mapping[str, str], *, may_begin: MayBegin | None = None) -> RemoteChat:
        """`POST /chats/async` -> 202 `{chatId, messageId}`."""
        body = {"message": prompt, "metadata": dict(marks)}
        answer = await self._http.request("POST", "chats/async", body=body, may_begin=may_begin)
        if not isinstance(answer, dict) or not (chat_id := text(answer.get("chatId"), 200)):
            raise no_id("the create")
        return RemoteChat(
            chat_id,
            message_id=text(answer.get("messageId"), 200),
            metadata=marks,
            observation=Observation(ObservedState.QUEUED, chat_url=self._chat_url(chat_id)),
            newest_message_id=text(answer.get("messageId"), 200),
        )

    def polling_cost(self, chats: int) -> int:
        """One read each."""
        return chats

    async def observe(self, watched: Sequence[PollTarget], *, calls: int | None = None) -> PollResult:
        """One `GET /chats/{id}/messages/{messageId}` per chat, a few at once; stops early on 429."""
        observations: dict[str, Observation] = {}
        missing: set[str] = set()
        unread: dict[str, str] = {}
        trouble: list[ProviderError] = []
        queue = list(reversed(watched[:calls]))
        in_vain = 0

        async def reader() -> None:
            nonlocal in_vain
            while queue and not trouble:
                chat = queue.pop()
                try:
                    observations[chat.chat_id] = await self._look(chat)
                    in_vain = 0
                except ProviderRejected as error:
                    if error.status == 404:
                        missing.add(chat.chat_id)
                    elif error.status == 401:
                        trouble.append(error)
                    else:
                        unread[chat.chat_id] = str(error)
                except OutcomeUnknown as error:
                    unread[chat.chat_id] = str(error)
                    in_vain += 1
                    if in_vain >= IN_VAIN:
                        trouble.append(error)
                except ProviderError as error:
                    trouble.append(error)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(PARALLEL_READS, len(queue))):
                group.create_task(reader())
        busy = next((error for error in trouble if isinstance(error, ProviderBusy)), None)
        pause = (busy.retry_after or timedelta(seconds=30)) if busy else None
        words = str(busy or trouble[0]) if trouble else None
        return PollResult(observations, frozenset(missing), pause, words, unread)

    async def send(self, chat_id: str, message: str, *, may_begin: MayBegin | None = None) -> RemoteChat:
        """`POST /chats/{id}/messages/async` -> 202 `{messageId}`, the assistant's message."""
        path = f"chats/{segment(chat_id)}/messages/async"
        answer = await self._http.request("POST", path, body={"message": message}, may_begin=may_begin)
        if not isinstance(answer, dict) or not (message_id := text(answer.get("messageId"), 200)):
            raise no_id("the message")
        return RemoteChat(chat_id, message_id=message_id, newest_message_id=message_id)

    async def conversation(self, chat_id: str) -> Conversation:
        """`GET /chats/{id}/messages`: newest first, `limit` is required there."""
        rows, whole = await self._messages(chat_id, TALK_PAGE)
        last = next((row for row in rows if row.get("role") == "assistant"), None)
        return Conversation([message_of(row) for row in rows], last["id"] if last else None, whole)

    async def costs(self, chats: Sequence[str], *, since: datetime) -> Mapping[str, float]:
        """Told with every message that is looked at; nothing more is read."""
        return {}

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
        """`GET /chats?metadata[key]=value` per entry of `wanted`; rows carry metadata, and are compared again.

        A filter that answers nothing at all may be broken: a thorough search then walks the whole list.
        """
        walks = rest if isinstance(rest, FilteredWalks) else FilteredWalks(wanted, self._page)
        error: ProviderError | None = None
        try:
            await walks.go_on(sent_after, self._may_call(calls), thorough=thorough, filter_works=self._filter_works)
        except ProviderError as caught:
            if not walks.met:
                raise
            error = caught
        self._filter_works = walks.filter_works
        found = [made for row in walks.met.values() if (made := self._made(row, wanted)) is not None]
        ours = await known([made.chat_id for made in found])
        return Search(
            [made for made in found if made.chat_id not in ours],
            ended=walks.ended,
            passed=walks.passed,
            skipped=[one for one in walks.unreadable() if one.may_be_of(sent_after)],
            error=error,
            rest=None if walks.ended or walks.broken else walks,
        )

    async def _page(self, marks: Mapping[str, str], cursor: str | None) -> dict[str, Any]:
        """A page of `GET /chats`, with fewer rows where so many are too large to be read."""
        params: dict[str, str | int] = {f"metadata[{key}]": value for key, value in marks.items()}
        if cursor is not None:
            params["cursor"] = cursor
        page: Any = None
        for limit in PAGE_SIZES:
            try:
                page = await self._http.request("GET", "chats", params={**params, "limit": limit})
                break
            except OutcomeUnknown as error:
                if error.code != TOO_LARGE or limit == PAGE_SIZES[-1]:
                    raise
        if not isinstance(page, dict) or not isinstance(page.get("chats"), list):
            raise OutcomeUnknown("v0's list of chats could not be read.", code="bad_answer")
        return page

    async def prompt_of(self, chat_id: str) -> str | None:
        """The oldest user message within `GET /chats/{id}/messages`, newest first."""
        page = await self._http.request("GET", f"chats/{segment(chat_id)}/messages", params={"limit": 100})
        rows = page.get("messages") if isinstance(page, dict) else None
        asked = [row for row in rows or () if isinstance(row, dict) and row.get("role") == "user"]
        return text(asked[-1].get("content"), PROMPT_MAX) if asked else None

    async def recent_chats(self) -> list[str]:
        """`GET /chats`, one page."""
        page = await self._http.request("GET", "chats", params={"limit": 100})
        rows = page.get("chats") if isinstance(page, dict) else None
        return chat_ids(rows)

    async def _look(self, chat: PollTarget) -> Observation:
        """The message that is being made; while that one is missing, what is newest in the chat."""
        if chat.message_id is not None:
            try:
                return await self._look_at_message(chat.chat_id, chat.message_id)
            except ProviderRejected as error:
                if error.status != 404:
                    raise
        return await self._look_at_newest(chat)

    async def _look_at_message(self, chat_id: str, message_id: str) -> Observation:
        path = f"chats/{segment(chat_id)}/messages/{segment(message_id)}"
        message = await self._http.request("GET", path, patience=LOOK_PATIENCE)
        if isinstance(message, dict) and message.get("id", message_id) != message_id:
            raise OutcomeUnknown("v0 answered about another message than the one asked for.", code="bad_answer")
        return self._observation(chat_id, message)

    async def _look_at_newest(self, chat: PollTarget) -> Observation:
        rows, _ = await self._messages(chat.chat_id, 10)
        replies = []
        for row in rows:
            if row["id"] in (chat.previous_message_id, chat.baseline_message_id):
                break
            if row.get("role") == "assistant":
                replies.append(row)
        if not replies:
            return Observation(ObservedState.QUEUED, chat_url=self._chat_url(chat.chat_id))
        seen = self._observation(chat.chat_id, replies[0])
        spent = [cost for row in replies if (cost := _cost(row)) is not None]
        return replace(seen, credits=round(sum(spent), 6) if spent else None)

    async def _messages(self, chat_id: str, limit: int) -> tuple[list[dict[str, Any]], bool]:
        """The newest messages of a chat, newest first, and whether that is all of them."""
        page = await self._http.request("GET", f"chats/{segment(chat_id)}/messages", params={"limit": limit})
        rows = page.get("messages") if isinstance(page, dict) else None
        if not isinstance(rows, list):
            raise OutcomeUnknown("v0's list of messages could not be read.", code="bad_answer")
        return newest_first(rows, listed_newest_first=True), page.get("cursor") is None

    def _observation(self, chat_id: str, message: Any) -> Observation:
        """A Message's `finishReason`: null while running, else final."""
        if not isinstance(message, dict):
            raise OutcomeUnknown("v0's message could not be read.", code="bad_answer")
        message_id = text(message.get("id"), 200)
        if message_id is None:
            raise OutcomeUnknown("v0's message has no id.", code="bad_answer")
        if "finishReason" not in message:
            raise OutcomeUnknown("v0's message has no finishReason.", code="bad_answer")
        if message.get("chatId", chat_id) != chat_id:
            raise OutcomeUnknown("v0 answered about another chat than the one asked for.", code="bad_answer")
        reason = message["finishReason"]
        if reason is None:
            return Observation(ObservedState.RUNNING, message_id, chat_url=self._chat_url(chat_id))
        if not isinstance(reason, str) or reason not in _FINAL:
            return Observation(
                ObservedState.WAITING,
                message_id,
                chat_url=self._chat_url(chat_id),
                error_code="needs_a_look",
                error_message="v0 ended with a word that is not known here. Look at the chat's page.",
            )
        seen, code, words = _FINAL[reason]
        return Observation(
            seen,
            message_id,
            chat_url=self._chat_url(chat_id),
            error_code=code,
            error_message=words,
            credits=_cost(message),
        )

    def _made(self, row: Mapping[str, Any], wanted: Sequence[Mapping[str, str]]) -> RemoteChat | None:
        """A row of the chat list, if it carries the marks: the filter is not taken on trust."""
        chat_id, marks = row["id"], row.get("metadata")
        if not isinstance(marks, dict) or not any(carries(marks, one) for one in wanted):
            return None
        return RemoteChat(
            chat_id,
            metadata={key: value for key, value in marks.items() if isinstance(value, str)},
            created_at=instant(row.get("createdAt")),
            observation=Observation(ObservedState.QUEUED, chat_url=self._chat_url(chat_id)),
        )

    def _chat_url(self, chat_id: str) -> str:
        return f"{self._http.config.web_url}/chat/{chat_id}"


def _cost(message: Mapping[str, Any]) -> float | None:
    """`usage.creditsCost.total` of a Message."""
    usage = message.get("usage")
    cost = usage.get("creditsCost") if isinstance(usage, dict) else None
    return amount(cost.get("total")) if isinstance(cost, dict) else None
