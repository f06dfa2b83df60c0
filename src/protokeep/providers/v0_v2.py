"""v0 API v2 (v0's openapi.v2.json). Tracked by one light message read per chat; found by metadata filter."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import httpx2

from protokeep.core.errors import OutcomeUnknown, ProviderBusy, ProviderError, ProviderRejected
from protokeep.core.inputs import PROMPT_MAX
from protokeep.core.prototype import Observation, Seen
from protokeep.providers.base import Capabilities, Known, Looked, Made, Watched
from protokeep.providers.v0_http import V0Config, V0Http, instant, no_id, segment, text

#: Message reads under way at once.
PARALLEL_READS = 16
#: Pages of a metadata search that are read; each holds up to 100 chats.
MAX_PAGES = 100

_FINAL: Mapping[str, tuple[Seen, str | None, str | None]] = {
    "stop": (Seen.FINISHED, None, None),
    "error": (Seen.BROKE, "builder_error", "v0 ended the generation with an error."),
    "content-filter": (Seen.BROKE, "content_filter", "v0's content filter stopped the generation."),
    "tool-calls": (Seen.WAITING, "waiting_for_answer", "v0 asked a question. Answer it on the chat's page."),
    "length": (Seen.WAITING, "needs_a_look", "v0 stopped at its length limit. Look at the chat's page."),
    "other": (Seen.WAITING, "needs_a_look", "v0 stopped without saying why. Look at the chat's page."),
}


class V0V2:
    """One v0 account, spoken to in API v2."""

    name = "v0"
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
        self._http = V0Http(config, 2, transport)
        self._web = config.web_url

    async def aclose(self) -> None:
        await self._http.aclose()

    async def create(self, prompt: str, marks: Mapping[str, str]) -> Made:
        """`POST /chats/async` -> 202 `{chatId, messageId}`."""
        answer = await self._http.request("POST", "chats/async", body={"message": prompt, "metadata": dict(marks)})
        if not isinstance(answer, dict) or not (chat_id := text(answer.get("chatId"), 200)):
            raise no_id("the create")
        return Made(
            chat_id,
            message_id=text(answer.get("messageId"), 200),
            marks=marks,
            observation=Observation(Seen.QUEUED, chat_url=self._chat_url(chat_id)),
        )

    async def observe(self, watched: Sequence[Watched]) -> Looked:
        """One `GET /chats/{id}/messages/{messageId}` per chat, a few at once; stops early on 429."""
        observations: dict[str, Observation] = {}
        missing: set[str] = set()
        trouble: list[ProviderError] = []
        queue = list(reversed(watched))

        async def reader() -> None:
            while queue and not any(isinstance(error, ProviderBusy) for error in trouble):
                chat = queue.pop()
                try:
                    observations[chat.chat_id] = await self._look(chat)
                except ProviderRejected as error:
                    if error.status == 404:
                        missing.add(chat.chat_id)
                    else:
                        trouble.append(error)
                except ProviderError as error:
                    trouble.append(error)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(PARALLEL_READS, len(queue))):
                group.create_task(reader())
        pause = next((error.retry_after for error in trouble if isinstance(error, ProviderBusy)), None)
        busy = any(isinstance(error, ProviderBusy) for error in trouble)
        return Looked(
            observations,
            frozenset(missing),
            (pause or timedelta(seconds=30)) if busy else None,
            str(trouble[0]) if trouble else None,
        )

    async def find(self, marks: Mapping[str, str], *, sent_after: datetime, known: Known) -> list[Made]:
        """`GET /chats?metadata[key]=value`: all pairs must match, so the answer holds our chats only."""
        found: list[Made] = []
        params: dict[str, str | int] = {f"metadata[{key}]": value for key, value in marks.items()}
        params["limit"] = 100
        for _ in range(MAX_PAGES):
            page = await self._http.request("GET", "chats", params=params)
            rows = page.get("chats") if isinstance(page, dict) else None
            if not isinstance(rows, list):
                raise OutcomeUnknown("v0's list of chats could not be read.", code="bad_answer")
            found += [made for row in rows if (made := self._made(row, marks))]
            cursor = text(page.get("cursor"))
            if cursor is None:
                break
            params["cursor"] = cursor
        ours = await known([made.chat_id for made in found])
        return [made for made in found if made.chat_id not in ours]

    async def prompt_of(self, chat_id: str) -> str | None:
        """The oldest user message within `GET /chats/{id}/messages`, newest first."""
        page = await self._http.request("GET", f"chats/{segment(chat_id)}/messages", params={"limit": 100})
        rows = page.get("messages") if isinstance(page, dict) else None
        asked = [row for row in rows or () if isinstance(row, dict) and row.get("role") == "user"]
        return text(asked[-1].get("content"), PROMPT_MAX) if asked else None

    async def delete(self, chat_id: str) -> None:
        """`DELETE /chats/{id}`; 404 counts as deleted."""
        try:
            await self._http.request("DELETE", f"chats/{segment(chat_id)}")
        except ProviderRejected as error:
            if error.status != 404:
                raise

    async def _look(self, chat: Watched) -> Observation:
        if chat.message_id is None:
            message = await self._newest_message(chat.chat_id)
        else:
            message = await self._http.request(
                "GET", f"chats/{segment(chat.chat_id)}/messages/{segment(chat.message_id)}"
            )
        return self._observation(chat.chat_id, message)

    async def _newest_message(self, chat_id: str) -> Any:
        """The newest assistant message: `limit` is required there, newest first."""
        page = await self._http.request("GET", f"chats/{segment(chat_id)}/messages", params={"limit": 10})
        rows = page.get("messages") if isinstance(page, dict) else None
        if not isinstance(rows, list):
            raise OutcomeUnknown("v0's list of messages could not be read.", code="bad_answer")
        return next((row for row in rows if isinstance(row, dict) and row.get("role") == "assistant"), {})

    def _observation(self, chat_id: str, message: Any) -> Observation:
        """A Message's `finishReason`: null while running, else final."""
        if not isinstance(message, dict):
            raise OutcomeUnknown("v0's message could not be read.", code="bad_answer")
        message_id = text(message.get("id"), 200)
        if message_id is None:
            return Observation(Seen.QUEUED, chat_url=self._chat_url(chat_id))
        if "finishReason" not in message:
            raise OutcomeUnknown("v0's message has no finishReason.", code="bad_answer")
        if message.get("chatId", chat_id) != chat_id:
            raise OutcomeUnknown("v0 answered about another chat than the one asked for.", code="bad_answer")
        reason = message["finishReason"]
        if reason is None:
            return Observation(Seen.RUNNING, message_id, chat_url=self._chat_url(chat_id))
        if not isinstance(reason, str) or reason not in _FINAL:
            return Observation(
                Seen.WAITING,
                message_id,
                chat_url=self._chat_url(chat_id),
                error_code="needs_a_look",
                error_message="v0 ended with a word that is not known here. Look at the chat's page.",
            )
        seen, code, words = _FINAL[reason]
        return Observation(seen, message_id, chat_url=self._chat_url(chat_id), error_code=code, error_message=words)

    def _made(self, row: Any, wanted: Mapping[str, str]) -> Made | None:
        """A row of the chat list, if it carries the marks: the filter is not taken on trust."""
        if not isinstance(row, dict) or not (chat_id := text(row.get("id"), 200)):
            return None
        marks = row.get("metadata")
        if not isinstance(marks, dict) or any(marks.get(key) != value for key, value in wanted.items()):
            return None
        return Made(
            chat_id,
            marks={key: value for key, value in marks.items() if isinstance(value, str)},
            created_at=instant(row.get("createdAt")),
            observation=Observation(Seen.QUEUED, chat_url=self._chat_url(chat_id)),
        )

    def _chat_url(self, chat_id: str) -> str:
        return f"{self._web}/chat/{chat_id}"
