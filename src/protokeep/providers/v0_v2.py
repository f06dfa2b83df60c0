"""v0 API v2 (v0's openapi.v2.json): state comes from one light message read per chat, finds from a metadata filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx2

from protokeep.core.errors import OutcomeUnknown, ProviderError, ProviderRejected
from protokeep.core.prototype import Observation, ObservedState
from protokeep.providers.base import (
    Capabilities,
    Conversation,
    KnownChats,
    MayBegin,
    PollResult,
    PollTarget,
    RemoteChat,
    Search,
)
from protokeep.providers.v0_common import (
    READ_TIMEOUT_SECONDS,
    UNFINISHED_REASONS,
    message_of,
    newest_first,
    oldest_prompt,
    unreadable_message,
)
from protokeep.providers.v0_fields import (
    amount,
    id_of,
    identifier,
    instant,
    list_in,
    missing_id,
    segment,
)
from protokeep.providers.v0_http import V0Config
from protokeep.providers.v0_polls import PollRound, in_parallel
from protokeep.providers.v0_v2_census import V0V2Census
from protokeep.providers.v0_v2_list import PAGE_SIZES, page_of
from protokeep.providers.v0_walks import FilteredWalks, ids_of, matches

#: Message reads at once.
PARALLEL_READS = 16
#: Reads in a row without a usable answer after which v0 as a whole counts as failing.
MAX_UNUSABLE = 2 * PARALLEL_READS
#: Messages read to find out whether a follow-up arrived, for a prompt, and for the newest answer.
CONVERSATION_PAGE, PROMPT_PAGE, ANSWERS_PAGE = 50, 100, 10


class V0V2(V0V2Census):
    """One v0 account, through API v2. `message_id` names the assistant's message of a generation."""

    capabilities = Capabilities(batch_status=False, metadata_search=True, tracks_messages=True)

    def __init__(self, config: V0Config, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        super().__init__(config, transport)
        self._filter_works: bool | None = None

    async def create(
        self, prompt: str, metadata: Mapping[str, str], *, may_begin: MayBegin | None = None
    ) -> RemoteChat:
        """`POST /chats/async` -> 202 `{chatId, messageId}`."""
        body = {"message": prompt, "metadata": dict(metadata)}
        answer = await self._http.request("POST", "chats/async", body=body, may_begin=may_begin)
        if not isinstance(answer, dict) or not (chat_id := identifier(answer.get("chatId"))):
            raise missing_id("the create")
        message_id = identifier(answer.get("messageId"))
        return RemoteChat(
            chat_id,
            message_id=message_id,
            metadata=metadata,
            observation=Observation(ObservedState.QUEUED, chat_url=self._chat_url(chat_id)),
            newest_message_id=message_id,
        )

    def polling_cost(self, chats: int) -> int:
        """One read for each chat."""
        return chats

    async def observe(self, targets: Sequence[PollTarget]) -> PollResult:
        """One `GET /chats/{id}/messages/{messageId}` per chat, a few at once; stops early on 429."""
        polls = PollRound()
        unusable = 0

        async def read(target: PollTarget) -> None:
            nonlocal unusable
            try:
                polls.observations[target.chat_id] = await self._read(target)
                unusable = 0
            except ProviderError as error:
                polls.note_error(target.chat_id, error)
                unusable += isinstance(error, OutcomeUnknown)
                if isinstance(error, OutcomeUnknown) and unusable >= MAX_UNUSABLE:
                    polls.problems.append(error)

        await in_parallel(targets, read, limit=PARALLEL_READS, may_continue=lambda: not polls.problems)
        return polls.result()

    async def send(self, chat_id: str, message: str, *, may_begin: MayBegin | None = None) -> RemoteChat:
        """`POST /chats/{id}/messages/async` -> 202 `{messageId}`, the assistant's message."""
        path = f"chats/{segment(chat_id)}/messages/async"
        answer = await self._http.request("POST", path, body={"message": message}, may_begin=may_begin)
        if not isinstance(answer, dict) or not (message_id := identifier(answer.get("messageId"))):
            raise missing_id("the message")
        return RemoteChat(chat_id, message_id=message_id, newest_message_id=message_id)

    async def conversation(self, chat_id: str) -> Conversation:
        """`GET /chats/{id}/messages`: newest first. v0 requires `limit`."""
        rows, whole = await self._messages(chat_id, CONVERSATION_PAGE)
        answer_id = next((row["id"] for row in rows if row.get("role") == "assistant"), None)
        return Conversation([message_of(row) for row in rows], answer_id, whole)

    async def costs(self, chats: Sequence[str], *, since: datetime) -> Mapping[str, float]:
        """Nothing: every message that is polled carries its cost."""
        return {}

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
        """`GET /chats?metadata[key]=value` per entry of `filters`. Rows carry metadata, and are compared again.

        A filter that finds nothing at all may be broken: a thorough search then reads the whole list.
        """
        walks = continuation if isinstance(continuation, FilteredWalks) else FilteredWalks(filters, self._page)
        error: ProviderError | None = None
        try:
            await walks.resume(sent_after, self._may_call(calls), thorough=thorough, filter_works=self._filter_works)
        except ProviderError as caught:
            if not walks.rows:
                raise
            error = caught
        self._filter_works = walks.filter_works
        found = [chat for row in walks.rows.values() if (chat := self._matching_chat(row, filters)) is not None]
        with_row = await known([chat.chat_id for chat in found])
        return Search(
            [chat for chat in found if chat.chat_id not in with_row],
            ended=walks.ended,
            passed=walks.passed,
            skipped=[chat for chat in walks.unreadable() if chat.may_be_newer_than(sent_after)],
            error=error,
            continuation=None if walks.ended or walks.broken else walks,
        )

    async def _page(self, metadata: Mapping[str, str], cursor: str | None) -> dict[str, Any]:
        return await page_of(self._http, metadata, cursor)

    async def prompt_of(self, chat_id: str) -> str | None:
        """The oldest user message within the newest 100 of `GET /chats/{id}/messages`."""
        rows, _ = await self._messages(chat_id, PROMPT_PAGE)
        return oldest_prompt(rows)

    async def recent_chats(self) -> list[str]:
        """`GET /chats`, one page."""
        page = await self._http.request("GET", "chats", params={"limit": PAGE_SIZES[0]})
        return ids_of(list_in(page, "chats", "list of chats"))

    async def _read(self, target: PollTarget) -> Observation:
        """The state of the message that is being generated; while v0 does not show it, of the chat's newest answer."""
        if target.message_id is not None:
            try:
                return await self._read_message(target.chat_id, target.message_id)
            except ProviderRejected as error:
                if error.status != 404:
                    raise
        return await self._read_newest(target)

    async def _read_message(self, chat_id: str, message_id: str) -> Observation:
        path = f"chats/{segment(chat_id)}/messages/{segment(message_id)}"
        message = await self._http.request("GET", path, time_limit=READ_TIMEOUT_SECONDS)
        if isinstance(message, dict) and message.get("id", message_id) != message_id:
            raise OutcomeUnknown("v0 answered about another message than the one asked for.", code="bad_answer")
        return self._observation(chat_id, message)

    async def _read_newest(self, target: PollTarget) -> Observation:
        """The state of the newest answer in this turn, with the credits of all answers in it."""
        rows, _ = await self._messages(target.chat_id, ANSWERS_PAGE)
        answers = []
        for row in rows:
            if row["id"] in (target.previous_message_id, target.baseline_message_id):
                break
            if row.get("role") == "assistant":
                answers.append(row)
        if not answers:
            return Observation(ObservedState.QUEUED, chat_url=self._chat_url(target.chat_id))
        costs = [cost for row in answers if (cost := _cost(row)) is not None]
        return replace(self._observation(target.chat_id, answers[0]), credits=round(sum(costs), 6) if costs else None)

    async def _messages(self, chat_id: str, limit: int) -> tuple[list[dict[str, Any]], bool]:
        """The newest messages of a chat, newest first, and whether the chat has no others. Raises `ProviderError`."""
        page = await self._http.request("GET", f"chats/{segment(chat_id)}/messages", params={"limit": limit})
        rows = list_in(page, "messages", "list of messages")
        messages = newest_first(rows, listed_newest_first=True)
        if len(messages) < len(rows):
            raise unreadable_message()
        return messages, page.get("cursor") is None

    def _observation(self, chat_id: str, message: Any) -> Observation:
        """The state of a Message: its `finishReason` is null while it is generated. Raises `OutcomeUnknown`."""
        message_id = _checked_id(chat_id, message)
        chat_url, reason = self._chat_url(chat_id), message["finishReason"]
        if reason is None:
            return Observation(ObservedState.RUNNING, message_id, chat_url=chat_url)
        if reason == "stop":
            return Observation(ObservedState.FINISHED, message_id, chat_url=chat_url, credits=_cost(message))
        if not isinstance(reason, str) or reason not in UNFINISHED_REASONS:
            return Observation(
                ObservedState.WAITING,
                message_id,
                chat_url=chat_url,
                error_code="needs_a_look",
                error_message="v0 ended with a word that is not known here. Look at the chat's page.",
            )
        state, code, explanation = UNFINISHED_REASONS[reason]
        return Observation(
            state,
            message_id,
            chat_url=chat_url,
            error_code=code,
            error_message=explanation,
            credits=_cost(message),
        )

    def _matching_chat(self, row: Mapping[str, Any], filters: Sequence[Mapping[str, str]]) -> RemoteChat | None:
        """A row of the list, if its metadata matches: v0's filter is not trusted."""
        metadata = row["metadata"]
        if metadata is None or not any(matches(metadata, fields) for fields in filters):
            return None
        return RemoteChat(
            row["id"],
            metadata=metadata,
            created_at=instant(row.get("createdAt")),
            observation=Observation(ObservedState.QUEUED, chat_url=self._chat_url(row["id"])),
        )

    def _chat_url(self, chat_id: str) -> str:
        return f"{self._http.config.web_url}/chat/{segment(chat_id)}"


def _checked_id(chat_id: str, message: Any) -> str:
    """The id of a Message that belongs to the chat and has a `finishReason`. Raises `OutcomeUnknown`."""
    if not isinstance(message, dict):
        raise OutcomeUnknown("v0's message could not be read.", code="bad_answer")
    message_id = id_of(message)
    if message_id is None:
        raise OutcomeUnknown("v0's message has no id.", code="bad_answer")
    if "finishReason" not in message:
        raise OutcomeUnknown("v0's message has no finishReason.", code="bad_answer")
    if message.get("chatId", chat_id) != chat_id:
        raise OutcomeUnknown("v0 answered about another chat than the one asked for.", code="bad_answer")
    return message_id


def _cost(message: Mapping[str, Any]) -> float | None:
    """`usage.creditsCost.total` of a Message."""
    usage = message.get("usage")
    cost = usage.get("creditsCost") if isinstance(usage, dict) else None
    return amount(cost.get("total")) if isinstance(cost, dict) else None
