"""v0 API v1 (v0's openapi.v1.json). Tracked by list sweeps of 60 rows; found by walking recent rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import httpx2

from protokeep.core.errors import OutcomeUnknown, ProviderBusy, ProviderError, ProviderRejected
from protokeep.core.inputs import PROMPT_MAX
from protokeep.core.prototype import Observation, Seen
from protokeep.providers.base import Capabilities, Known, Looked, Made, Watched
from protokeep.providers.v0_http import V0Config, V0Http, instant, link, no_id, segment, text

PAGE = 60
#: Rows that two pages share: others create while we walk, which shifts every offset.
OVERLAP = 10
#: Pages of one walk; 200 of them reach 10,000 chats back.
MAX_PAGES = 200
#: Heavy detail reads in one round of looks, for chats that the list cannot tell about.
MAX_DETAILS = 20
#: How far v0's clock may be from ours.
CLOCK_SLACK = timedelta(hours=2)

_NO_VERSION_FINAL: Mapping[str, tuple[Seen, str, str]] = {
    "error": (Seen.BROKE, "builder_error", "v0 ended the generation with an error."),
    "content-filter": (Seen.BROKE, "content_filter", "v0's content filter stopped the generation."),
    "tool-calls": (Seen.WAITING, "waiting_for_answer", "v0 asked a question. Answer it on the chat's page."),
    "length": (Seen.WAITING, "needs_a_look", "v0 stopped at its length limit. Look at the chat's page."),
    "other": (Seen.WAITING, "needs_a_look", "v0 stopped without saying why. Look at the chat's page."),
}


class V0V1:
    """One v0 account, spoken to in API v1."""

    name = "v0"
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
        self._http = V0Http(config, 1, transport)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def create(self, prompt: str, marks: Mapping[str, str]) -> Made:
        """`POST /chats` with `responseMode: async` -> 200 ChatDetail."""
        answer = await self._http.request(
            "POST", "chats", body={"message": prompt, "responseMode": "async", "metadata": dict(marks)}
        )
        if not isinstance(answer, dict) or not (chat_id := text(answer.get("id"), 200)):
            raise no_id("the create")
        return Made(
            chat_id,
            project_id=text(answer.get("projectId"), 200),
            marks=marks,
            created_at=instant(answer.get("createdAt")),
            observation=_of_detail(answer, chat_id),
        )

    async def observe(self, watched: Sequence[Watched]) -> Looked:
        """Walk `GET /chats` until every watched chat was met; read the few that the list cannot tell."""
        wanted = {chat.chat_id: chat for chat in watched}
        observations: dict[str, Observation] = {}
        missing: set[str] = set()
        oldest = min((chat.created_at for chat in watched), default=None)
        unsure = set(wanted)
        try:
            async for row in self._rows(before=oldest, enough=lambda: not unsure):
                chat_id = text(row.get("id"), 200)
                if chat_id in unsure:
                    unsure.discard(chat_id)
                    seen = _of_row(row)
                    if seen is not None:
                        observations[chat_id] = seen
            details = [chat_id for chat_id in wanted if chat_id not in observations]
            for chat_id in details[:MAX_DETAILS]:
                try:
                    detail = await self._http.request("GET", f"chats/{segment(chat_id)}")
                    observations[chat_id] = _of_detail(detail, chat_id)
                except ProviderRejected as error:
                    if error.status != 404:
                        raise
                    missing.add(chat_id)
        except ProviderBusy as error:
            return Looked(observations, frozenset(missing), error.retry_after or timedelta(seconds=30), str(error))
        except ProviderError as error:
            return Looked(observations, frozenset(missing), None, str(error))
        return Looked(observations, frozenset(missing))

    async def find(self, marks: Mapping[str, str], *, sent_after: datetime, known: Known) -> list[Made]:
        """List rows carry no metadata: read the unknown ones that are recent enough, and compare."""
        candidates: dict[str, None] = {}
        async for row in self._rows(before=sent_after, enough=lambda: False):
            chat_id = text(row.get("id"), 200)
            created = instant(row.get("createdAt"))
            if chat_id and (created is None or created >= sent_after - CLOCK_SLACK):
                candidates[chat_id] = None
        ours = await known(list(candidates))
        found = []
        for chat_id in candidates:
            if chat_id in ours:
                continue
            try:
                detail = await self._http.request("GET", f"chats/{segment(chat_id)}")
            except ProviderRejected as error:
                if error.status == 404:
                    continue
                raise
            carried = detail.get("metadata") if isinstance(detail, dict) else None
            if isinstance(carried, dict) and all(carried.get(key) == value for key, value in marks.items()):
                found.append(
                    Made(
                        chat_id,
                        project_id=text(detail.get("projectId"), 200),
                        marks={key: value for key, value in carried.items() if isinstance(value, str)},
                        created_at=instant(detail.get("createdAt")),
                        observation=_of_detail(detail, chat_id),
                    )
                )
        return found

    async def prompt_of(self, chat_id: str) -> str | None:
        """The oldest user message of a ChatDetail."""
        detail = await self._http.request("GET", f"chats/{segment(chat_id)}")
        rows = detail.get("messages") if isinstance(detail, dict) else None
        asked = [row for row in rows or () if isinstance(row, dict) and row.get("role") == "user"]
        oldest = min(asked, key=lambda row: str(row.get("createdAt", "")), default={})
        return text(oldest.get("content"), PROMPT_MAX)

    async def delete(self, chat_id: str) -> None:
        """`DELETE /chats/{id}`; 404 counts as deleted."""
        try:
            await self._http.request("DELETE", f"chats/{segment(chat_id)}")
        except ProviderRejected as error:
            if error.status != 404:
                raise

    async def _rows(self, *, before: datetime | None, enough: Callable[[], bool]) -> AsyncIterator[dict[str, Any]]:
        """Rows of `GET /chats`, page after overlapping page.

        Ends at a short page, when `enough()`, or at a page of rows older than `before`. The order is not stated,
        so the last holds only while everything met so far came newest first.
        """
        offset = 0
        newest_first = True
        previous: datetime | None = None
        for _ in range(MAX_PAGES):
            page = await self._http.request("GET", "chats", params={"limit": PAGE, "offset": offset})
            rows = page.get("data") if isinstance(page, dict) else None
            if not isinstance(rows, list):
                raise OutcomeUnknown("v0's list of chats could not be read.", code="bad_answer")
            fresh = False
            for row in rows:
                if isinstance(row, dict):
                    created = instant(row.get("createdAt"))
                    fresh = fresh or created is None or before is None or created >= before - CLOCK_SLACK
                    newest_first = newest_first and not (created and previous and created > previous)
                    previous = created or previous
                    yield row
            if len(rows) < PAGE or enough() or (newest_first and not fresh):
                return
            offset += PAGE - OVERLAP
            previous = None  # The next page overlaps this one.
            await asyncio.sleep(0)


def _of_row(row: Mapping[str, Any]) -> Observation | None:
    """What a list row tells; None: it has no version yet, so only the detail knows."""
    version = row.get("latestVersion")
    if not isinstance(version, dict):
        return None
    status = version.get("status")
    web_url = link(row.get("webUrl"))
    demo_url = link(version.get("demoUrl"))
    version_id = text(version.get("id"), 200)
    if status == "pending":
        return Observation(Seen.RUNNING, version_id, web_url=web_url, demo_url=demo_url)
    if status == "completed":
        return Observation(Seen.FINISHED, version_id, web_url=web_url, demo_url=demo_url)
    if status == "failed":
        return Observation(
            Seen.BROKE,
            version_id,
            web_url=web_url,
            error_code="builder_error",
            error_message="v0 says that this version failed.",
        )
    return Observation(
        Seen.WAITING,
        version_id,
        web_url=web_url,
        error_code="needs_a_look",
        error_message="v0 reports a status that is not known here. Look at the chat's page.",
    )


def _of_detail(detail: Any, chat_id: str) -> Observation:
    """What a ChatDetail tells: its latest version, or without one the last assistant message."""
    if not isinstance(detail, dict) or detail.get("id") != chat_id:
        raise OutcomeUnknown("v0's chat could not be read, or is another one.", code="bad_answer")
    known = _of_row(detail)
    if known is not None:
        return known
    web_url = link(detail.get("webUrl"))
    messages = detail.get("messages")
    reason: Any = None
    if isinstance(messages, list):
        replies = [m for m in messages if isinstance(m, dict) and m.get("role") == "assistant"]
        if replies:
            reason = max(replies, key=lambda m: str(m.get("createdAt", ""))).get("finishReason")
    if isinstance(reason, str) and reason in _NO_VERSION_FINAL:
        seen, code, words = _NO_VERSION_FINAL[reason]
        return Observation(seen, web_url=web_url, error_code=code, error_message=words)
    return Observation(Seen.QUEUED, web_url=web_url)
